"""A slash that goes on over blocks: bounded in each, and in the end as if it had been done in one.

audit 24: whoever made 500,000 redelegations, for some 4,000 DCHAT of fees, made one block of half a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.currency.ledger.dec import ONE
from chain.currency.ledger.stake_records import SLASH_LINE, SLASHES_BEGUN, Now
from chain.currency.staking import slash
from chain.currency.staking.slash import LEAVERS_PER_SLICE
from chain.kernel.branch import Branch, Scan
from chain.kernel.event_text import coins
from chain.tx.errors import SlashWaiting, ValidatorJailed
from chain.tx.messages.economy import CancelUnbonding, Delegate, Redelegate, Undelegate, Unjail
from tests.support.economy import machine as histories
from tests.support.economy.life import Life
from tests.support.economy.sandbox import Sandbox
from tests.support.economy.world import SLASHING, STAKING, UNIT, World

PEOPLE = tuple(f"d{number}" for number in range(4))

# ------------------------------------------------------------------------------ the same in the end

ACT = st.tuples(
    st.sampled_from(("undelegate", "redelegate", "leave the other", "wait")),
    st.sampled_from(PEOPLE),
    st.integers(1, 5 * UNIT),
)


def live(acts: list[tuple[str, str, int]]) -> Sandbox:
    """Stake at v that partly left: to nowhere, or to w, and partly from there."""
    box = Sandbox({"v": 100 * UNIT, "w": 70 * UNIT})
    box.at(1)
    for name in PEOPLE:
        box.delegate(name, "v", 20 * UNIT + len(name))
    for height, (act, name, amount) in enumerate(acts, start=2):
        box.at(height)
        if act == "undelegate":
            box.undelegate(name, "v", amount)
        elif act == "redelegate":
            box.redelegate(name, "v", "w", amount)
        elif act == "leave the other" and (held := box.delegation(name, "w")) is not None:
            box.undelegate(name, "w", min(amount, held.shares // ONE) or 1)
    box.at(len(acts) + 2)
    box.end()
    return box


def worth(box: Sandbox) -> Any:
    """Everything that a slash can change."""
    validators = [box.validator(name)[:-1] for name in ("v", "w")]
    people = [(name, of, box.delegation(name, of), box.unbonding(name, of)) for name in PEOPLE for of in ("v", "w")]
    return validators, people, box.pools


@settings(max_examples=60, deadline=None)
@given(
    st.lists(ACT, max_size=12),
    st.integers(0, 14),
    st.integers(1, ONE),
    st.integers(1, 7),
)
def test_in_the_end_it_makes_no_difference_how_much_a_block_does(
    acts: list[tuple[str, str, int]], since: int, fraction: int, work: int
) -> None:
    at_once, over_blocks = live(acts), live(acts)
    height = min(since, at_once.now.height)
    at_once.slash("v", height=height, power=150, fraction=fraction)
    over_blocks.begin_slash("v", height=height, power=150, fraction=fraction)
    while slash.line_of(over_blocks.branch) is not None:
        list(slash.go_on(over_blocks.branch, over_blocks.scan, over_blocks.now, items_max=work))
        over_blocks.laws_but_the_set()
    assert worth(at_once) == worth(over_blocks)
    at_once.laws_but_the_set()


# ------------------------------------------------------------------------------ bounded in each


def leavers(number: int, leave: Callable[[Sandbox, str], Any]) -> Sandbox:
    box = Sandbox({"v": 10_000 * UNIT, "w": UNIT})
    for at in range(number):
        box.at(1 + at)
        box.delegate(f"d{at}", "v", UNIT)
        leave(box, f"d{at}")
    box.at(number + 1)
    box.end()
    box.laws()
    return box


def test_a_slash_reads_what_began_since_and_nothing_older() -> None:
    """However many left before the infraction: the cost is that of those who left since. Slices in between."""
    box = leavers(300, lambda box, who: box.undelegate(who, "v", UNIT))
    read: list[bytes] = []

    def scan(prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]:
        for key, value in box.scan(prefix, start):
            read.append(key)
            yield key, value

    box.begin_slash("v", height=200, power=10_000, fraction=ONE // 2)
    slices = sum(1 for _ in slash.go_on(box.branch, scan, box.now, items_max=10**6))
    assert len(read) == 101  # begun at 200 to 300
    assert slices == 101 // LEAVERS_PER_SLICE + 1  # and its end
    assert box.unbonding("d198", "v") == [UNIT]
    assert box.unbonding("d199", "v") == [UNIT // 2]


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(lambda box, who: box.undelegate(who, "v", UNIT), id="unbondings"),
        pytest.param(lambda box, who: box.redelegate(who, "v", "w", UNIT), id="redelegations"),
    ],
)
def test_a_block_reaches_a_bounded_number_of_leavers(leave: Callable[[Sandbox, str], Any]) -> None:
    """audit 24."""
    box = leavers(200, leave)
    reads: list[int] = []
    box.begin_slash("v", height=1, power=10_000, fraction=ONE // 2)
    while slash.line_of(box.branch) is not None:
        read: list[bytes] = []

        def scan(prefix: bytes, start: bytes = b"", read: list[bytes] = read) -> Iterator[tuple[bytes, Any]]:
            for key, value in box.scan(prefix, start):
                read.append(key)
                yield key, value

        list(slash.go_on(box.branch, scan, box.now, items_max=30))
        reads.append(len(read))
    assert reads == [30] * 6 + [20]
    box.laws_but_the_set()


def test_what_a_block_reaches_is_counted_in_entries() -> None:
    """Seven redelegations of one height lie under one key of the index."""
    box = Sandbox({"v": 10_000 * UNIT, "w": UNIT})
    box.at(1)
    for at in range(20):
        box.delegate(f"d{at}", "v", 7 * UNIT)
        for _ in range(7):
            box.redelegate(f"d{at}", "v", "w", UNIT)
    box.at(2)
    box.begin_slash("v", height=1, power=10_000, fraction=ONE // 2)
    blocks = 0
    while slash.line_of(box.branch) is not None:
        list(slash.go_on(box.branch, box.scan, box.now, items_max=35))
        blocks += 1
    assert blocks == 20 * 7 // 35 + 1  # the last one ends it
    box.laws_but_the_set()


def test_many_slashes_without_leavers_are_bounded_as_well() -> None:
    box = Sandbox({"v": 100 * UNIT})
    box.at(5)
    for _ in range(10):
        box.begin_slash("v", height=5, power=1, fraction=ONE // 10)
    list(slash.go_on(box.branch, box.scan, box.now, items_max=4))
    assert slash.line_of(box.branch) == (4, 10)
    assert box.validator("v").slashes_waiting == 6
    box.laws_but_the_set()
    box.go_on(1)
    assert slash.line_of(box.branch) is None
    assert box.validator("v").tokens == 99 * UNIT


# ------------------------------------------------------------------------------ nothing gets away


def stretch(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    """One leaver or one slash in so many blocks."""
    go_on = slash.go_on

    def seldom(branch: Branch, scan: Scan, now: Now, *, items_max: int) -> Iterator[None]:
        assert items_max > 1
        return go_on(branch, scan, now, items_max=1) if now.height % blocks == 0 else iter(())

    monkeypatch.setattr(slash, "go_on", seldom)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """v1 signed twice, and twelve who had left it pay one a block."""
    stretch(monkeypatch, 1)
    world = World(
        dict.fromkeys(("v1", "v2", "v3"), 100 * UNIT), dict.fromkeys(("v1", "ann", "bob", *PEOPLE), 200 * UNIT),
        staking=STAKING, slashing=SLASHING._replace(double_sign_jail_s=1, tombstone=0), gas_price=100_000,
    )  # fmt: skip
    for name in ("ann", *PEOPLE):
        world.run(name, Delegate(world.address(name), world.address("v1"), 50 * UNIT))
    for name in PEOPLE:
        for _ in range(2):
            world.run(name, Undelegate(world.address(name), world.address("v1"), 10 * UNIT))
        world.run(name, Redelegate(world.address(name), world.address("v1"), world.address("v2"), 10 * UNIT))
    world.block(misbehavior=[world.double_sign("v1", height=world.initial_height)])
    return world


def begun(world: World) -> int:
    return sum(1 for _ in world.state.scan(SLASHES_BEGUN))


def test_it_goes_on_while_blocks_are_made_and_is_told_once(world: World) -> None:
    told, blocks = 0, 1
    assert begun(world) == 1
    assert world.validator("v1").jailed
    while begun(world):
        response = world.block()
        told += sum(event.type == "slash" for event in response.events)
        blocks += 1
    assert blocks > 8
    assert told == 1
    for name in PEOPLE:
        assert [entry.balance for entry in world.unbonding(name, "v1").entries] == [10 * UNIT * 19 // 20] * 2
    assert world.validator("v1").slashes_waiting == 0


def test_meanwhile_nobody_comes_and_nobody_leaves(world: World) -> None:
    v1, v2, ann, bob = (world.address(name) for name in ("v1", "v2", "ann", "bob"))
    entry = world.unbonding("d0", "v1").entries[0].creation_height
    cancel = CancelUnbonding(world.address("d0"), v1, UNIT, entry)
    attempts = [
        ("ann", Delegate(ann, v1, UNIT)),
        ("ann", Undelegate(ann, v1, UNIT)),
        ("ann", Redelegate(ann, v1, v2, UNIT)),
        ("v1", Unjail(v1)),
    ]
    world.run("bob", Delegate(bob, v2, 10 * UNIT))
    for who, message in attempts:
        assert world.run(who, message).code == SlashWaiting.code, message
    assert world.run("d0", cancel).code == ValidatorJailed.code  # for as long as a slash goes on, its validator is
    assert world.run("bob", Redelegate(bob, v2, v1, UNIT)).code == SlashWaiting.code
    assert begun(world)
    while begun(world):
        world.block()
    for who, message in attempts[:3]:
        assert world.run(who, message).code == 0


def test_meanwhile_no_other_offence_of_it_begins_another(world: World) -> None:
    """Each would reach the same leavers: nothing would mature, for as long as a key has offences to tell of."""
    for height in range(world.initial_height + 1, world.initial_height + 6):
        world.block(misbehavior=[world.double_sign("v1", height=height)])
        assert begun(world) == 1
        assert world.validator("v1").slashes_waiting == 1
    while begun(world):
        world.block()
    world.block(
        misbehavior=[world.double_sign("v1", height=world.initial_height + height) for height in (6, 7)]
    )  # two of one block
    assert world.validator("v1").slashes_waiting == 2


def test_two_that_offend_in_turn_let_something_mature_in_between(world: World) -> None:
    """audit 24: with `tombstone=0` one owner's two validators had always one slash in line behind the other's, each
    over the same leavers, and for as long as their keys had offences to tell of nothing of anybody matured."""
    told: Counter[str] = Counter()
    first = world.initial_height
    for height in range(first + 1, first + 60):
        block = world.block(seconds=1, misbehavior=[world.double_sign(name, height=height) for name in ("v2", "v1")])
        told.update(event.type for event in block.events)
        told["blocks without"] += begun(world) == 0
    assert told["slash"] >= 4, "the first of v2 came while the one of v1 went on"
    assert told["blocks without"] >= 2
    assert world.validator("v2").tokens < 100 * UNIT


def test_meanwhile_nothing_matures_and_what_waited_is_paid_slashed(world: World) -> None:
    """Its time comes while the slash has not reached it."""
    world.block(seconds=2 * STAKING.unbonding_s)
    assert begun(world)
    assert len(world.unbonding("d3", "v1").entries) == 2
    paid: list[str] = []
    while world.unbonding("d3", "v1").entries:
        paid += [
            {key: value for key, value, _ in event.attributes}["amount"]
            for event in world.block().events
            if event.type == "complete_unbonding"
        ]
    assert not begun(world)
    assert paid == [coins(2 * 10 * UNIT * 19 // 20)] * len(PEOPLE)


def test_who_moved_on_from_where_they_had_gone_pays_all_the_same(world: World) -> None:
    """GHSA-86h5-xcpx-cfqc, while the slash goes on."""
    d3, v2 = world.address("d3"), world.address("v2")
    world.do("d3", Undelegate(d3, v2, 10 * UNIT))
    assert begun(world)
    while begun(world):
        world.block()
    assert [entry.balance for entry in world.unbonding("d3", "v2").entries] == [10 * UNIT * 19 // 20]


# ------------------------------------------------------------------------------ whatever happens


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    stretch(monkeypatch, 7)


@pytest.mark.usefixtures("slowly")
@pytest.mark.parametrize("seed", [21, 22])
def test_all_laws_hold_when_each_slash_takes_many_blocks(seed: int) -> None:
    history = histories.run(histories.STEPS_IN_CI, seed)
    history.close()
    assert history.codes[0] > histories.STEPS_IN_CI // 3, history.codes
    assert history.codes.get(SlashWaiting.code), history.codes


@pytest.mark.usefixtures("slowly")
def test_the_models_and_a_twin_agree_when_each_slash_takes_many_blocks() -> None:
    """The twin is restarted in between: what goes on is read back from its records."""
    life = Life(7)
    waiting = 0
    for _ in range(160):
        life.step()
        waiting += life.app.base.get(SLASH_LINE) is not None
    assert waiting
    assert life.seen["restarts of the twin"]
