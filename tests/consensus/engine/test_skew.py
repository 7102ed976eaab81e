"""A clock that is off is told, by how much and which way, and nothing else follows from it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from consensus.engine.skew import PART, SAMPLES, ClockSkew, length, weighted_median
from consensus.formats.units import NS_PER_S
from consensus.system.clock import LoopClock
from consensus.system.tasks import Faults
from tests.support.engine.bench import FAST, Home, genesis_of, make_node
from tests.support.engine.memnet import MemoryNetwork

MINUTE_NS = 60 * NS_PER_S
T0 = 1_700_000_000 * NS_PER_S
US = b"us"


@dataclass
class Wall(LoopClock):
    now: int = T0
    passed: int = 0

    def now_ns(self) -> int:
        return self.now

    def monotonic_ns(self) -> int:
        return self.passed


@dataclass
class Told:
    """A node that hears of blocks a second apart, whose others' clocks show T0 and what passed since."""

    clock: Wall = field(default_factory=Wall)
    faults: Faults = field(default_factory=Faults)
    is_behind: bool = False
    skew: ClockSkew = field(init=False)

    def __post_init__(self) -> None:
        self.skew = ClockSkew(self.clock, lambda: US, self.faults, is_behind=lambda: self.is_behind)

    def blocks(self, number: int, *, off_ns: int = 0, old_ns: int = 0, others: tuple[int, ...] = (0, 0, 0)) -> None:
        """off_ns: of this machine's clock. old_ns: how long ago they were decided. others: how far theirs are off."""
        for _ in range(number):
            self.clock.passed += NS_PER_S
            true_ns = T0 + self.clock.passed
            self.clock.now = true_ns + off_ns
            times = [self.clock.now, *(true_ns - old_ns + other for other in others)]
            slots = [
                SimpleNamespace(
                    is_absent=self.is_behind and not index,  # what is fetched was decided without us
                    validator_address=b"%d" % index if index else US,
                    timestamp_ns=time,
                )
                for index, time in enumerate(times)
            ]
            state = SimpleNamespace(last_validators=SimpleNamespace(powers=(10,) * len(slots)))
            saved: Any = SimpleNamespace(commit=SimpleNamespace(signatures=slots), state=state)
            self.skew.block_saved(saved)

    @property
    def said(self) -> str:
        return self.faults.down.get(PART, "")


@pytest.mark.parametrize(
    ("off_ns", "others", "said"),
    [
        pytest.param(0, (0, 0, 0), "", id="all well"),
        pytest.param(9 * NS_PER_S, (0, 0, 0), "", id="seconds: a slow machine's"),
        pytest.param(61 * MINUTE_NS, (0, 0, 0), "about 61 minutes ahead of those of the other", id="an hour ahead"),
        pytest.param(-61 * MINUTE_NS, (0, 0, 0), "about 61 minutes behind those of the other", id="an hour behind"),
        pytest.param(-T0, (0, 0, 0), "about 19676 days behind", id="1970"),
        pytest.param(0, (-T0, 0, 10 * T0), "", id="others are"),
        pytest.param(0, (0, 10 * T0), "", id="one of two others is, with one absent"),
        pytest.param(61 * MINUTE_NS, (61 * MINUTE_NS,) * 3, "", id="all are off alike"),
        pytest.param(61 * MINUTE_NS, (), "", id="alone"),
    ],
)
def test_the_median_of_the_others_says_whose_clock_is_off(off_ns: int, others: tuple[int, ...], said: str) -> None:
    told = Told()
    told.blocks(SAMPLES, off_ns=off_ns, others=others)
    assert (said in told.said, bool(told.said)) == (True, bool(said))


def test_it_is_said_once_and_taken_back_when_the_clock_is_set() -> None:
    told = Told()
    with capture_logs() as lines:
        told.blocks(50, off_ns=61 * MINUTE_NS)
        told.blocks(50)
    assert [line["log_level"] for line in lines] == ["error", "warning", "info"]
    assert lines[1]["event"] == "this machine's clock jumped 61 minutes back"
    assert (told.said, told.skew.ns) == ("", 0)


def test_a_block_that_took_long_says_nothing() -> None:
    told = Told()
    told.blocks(10)
    told.blocks(2, old_ns=MINUTE_NS)
    told.blocks(10)
    assert told.faults.failures[PART] == 0


def test_blocks_that_are_fetched_are_old_and_show_only_a_clock_that_is_behind_them() -> None:
    told = Told(is_behind=True)
    told.blocks(10, old_ns=600 * MINUTE_NS)
    assert (told.said, told.skew.ns) == ("", None)
    told.blocks(10, off_ns=-700 * MINUTE_NS, old_ns=600 * MINUTE_NS)
    assert "about 100 minutes behind" in told.said  # at the least


def test_lengths_and_medians() -> None:
    spans = (47, 119, 120, 3_660, 7_199, 7_200, 25 * 3_600, 48 * 3_600)
    assert [length(seconds * NS_PER_S) for seconds in spans] == [
        "47 seconds", "119 seconds", "2 minutes", "61 minutes", "120 minutes", "2 hours", "25 hours", "2 days",
    ]  # fmt: skip
    assert weighted_median([(1, 10), (2, 10), (3, 10)]) == 2
    assert weighted_median([(1, 10), (2, 21)]) == 2
    assert weighted_median([(5, 1)]) == 5


class Skewed(LoopClock):
    def now_ns(self) -> int:
        return super().now_ns() + 61 * MINUTE_NS


async def test_on_a_network_only_the_one_whose_clock_is_off_says_so() -> None:
    clocks = [LoopClock(), LoopClock(), LoopClock(), Skewed()]
    genesis = genesis_of(4)
    nodes = [await make_node(genesis, index, Home(), config=FAST, clock=clock) for index, clock in enumerate(clocks)]
    skews = []
    for node, clock in zip(nodes, clocks, strict=True):
        assert node.driver._signer is not None
        address = node.driver._signer.pub_key.address
        skews.append(ClockSkew(clock, partial(bytes, address), faults := Faults(), is_behind=lambda: False))
        node.driver.add_saved_listener(skews[-1])
        node.faults = faults  # type: ignore[attr-defined]  # told of here alone
    network = MemoryNetwork(nodes)
    await network.start()
    await network.reach(SAMPLES + 1)
    await asyncio.sleep(0)
    down = [node.faults.down for node in nodes]  # type: ignore[attr-defined]
    assert [PART in one for one in down] == [False, False, False, True]
    assert "61 minutes ahead" in down[3][PART]
    await network.stop()
