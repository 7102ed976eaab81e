"""How far block sync has come, as it tells: heights, rates, peers, what is left."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from consensus.formats.units import NS_PER_S
from consensus.sync.blocks import TELL_WAITING_AFTER_NS
from consensus.sync.progress import WINDOW_NS, Pace, SyncProgress, seconds_left
from tests.support.sync.blocks import Sync, chain
from tests.support.sync.blocks import sync as sync  # noqa: PLC0414 - the fixture


def at(first: int, height: int, target: int) -> SyncProgress:
    return SyncProgress(first, height, target, 0.0, 0.0, 0, None, "")


@pytest.mark.parametrize(
    ("told", "want"),
    [
        pytest.param(at(1, 0, 200), 0.0, id="nothing yet"),
        pytest.param(at(1, 50, 200), 25.0, id="from genesis"),
        pytest.param(at(101, 150, 200), 50.0, id="of what was missing, not of the chain"),
        pytest.param(at(101, 100, 0), 100.0, id="nobody is ahead"),
        pytest.param(at(1, 201, 200), 100.0, id="beyond what was believed"),
    ],
)
def test_percent_is_of_the_blocks_that_were_missing(told: SyncProgress, want: float) -> None:
    assert told.percent == want


def test_rates_are_of_the_last_ten_seconds() -> None:
    pace = Pace(0)
    for second in range(5):
        pace.applied(second * NS_PER_S, txs=100)
    assert pace.rates(5 * NS_PER_S) == (1.0, 100.0)  # of the five since the beginning
    later = 5 * NS_PER_S + WINDOW_NS
    pace.applied(later, txs=50)
    assert pace.rates(later) == (0.1, 5.0)
    assert pace.rates(later + WINDOW_NS + 1) == (0.0, 0.0)


def test_a_fast_sync_keeps_few_numbers() -> None:
    pace = Pace(0)
    for number in range(100_000):
        pace.applied(number * 100_000, txs=1)  # 10,000 blocks a second
    assert len(pace._slots) <= 42
    assert pace.rates(10 * NS_PER_S)[0] == pytest.approx(10_000, rel=0.05)


@pytest.mark.parametrize(
    ("height", "target", "rate", "want"), [(10, 110, 20.0, 5), (10, 110, 0.0, None), (110, 110, 0.0, 0)]
)
def test_what_is_left_follows_from_the_rate(height: int, target: int, rate: float, want: int | None) -> None:
    assert seconds_left(height, target, rate) == want


async def test_a_node_that_syncs_tells_how_far_it_is(sync: Sync) -> None:
    assert sync.reactor.progress() is None
    sync.add(chain(40))
    seen: list[SyncProgress] = []
    apply = sync.driver.apply_synced_block

    async def watched(*args: object, **kwargs: object) -> object:
        told = sync.reactor.progress()
        assert told is not None
        seen.append(told)
        return await apply(*args, **kwargs)  # type: ignore[arg-type]

    sync.driver.apply_synced_block = watched  # type: ignore[method-assign,assignment]
    assert await sync.run(10) == 39
    assert [told.height for told in seen] == list(range(39))
    assert {(told.first_height, told.target, told.peers, told.waits_for) for told in seen} == {(1, 40, 1, "")}
    assert seen[-1].percent == 95.0
    assert seen[-1].blocks_per_second > 0
    assert sync.reactor.progress() is None
    measured = sync.reactor.measured()
    assert (measured.blocks_applied, measured.txs_applied, measured.target) == (39, 39, 0)


async def test_what_it_waits_for_is_told(sync: Sync) -> None:
    sync.add(chain(40), base=20)
    assert await sync.run(2) is None
    told = sync.reactor.progress()
    assert told is not None
    assert told.waits_for == "a peer that still has block 1: the lowest that is kept by any is 20"
    assert (told.seconds_left, told.peers) == (0, 0)


async def test_a_wait_is_said_once_it_is_long(sync: Sync) -> None:
    """Each ordinary start waits a moment for its peers, which is no warning."""
    sync.add(chain(40), base=20)
    with capture_logs() as said:
        assert await sync.run(TELL_WAITING_AFTER_NS // NS_PER_S - 2) is None
        assert [line for line in said if line["event"] == "block sync waits"] == []
        assert await sync.run(5) is None
    [line] = [line for line in said if line["event"] == "block sync waits"]
    assert line["waits_for"].startswith("a peer that still has block 1")
