"""Misses kept as runs say exactly what a bit for each block and a counter say; jail comes at the formula's block."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain.currency.ledger.economic_params import SlashingParams, slashing_of
from chain.currency.ledger.stake_records import QUEUE_WATCHES, SLASHES
from chain.currency.staking import signing
from chain.currency.staking.signing import LIVENESS, SIGNING, SigningInfo
from chain.tx.messages.economy import Delegate, EditValidator, Redelegate, Undelegate, Unjail
from consensus.abci.interface import FinalizeBlockResponse
from proto.dchat.v1 import state_pb2 as pb
from tests.support.economy.world import SLASHING, STAKING, UNIT, World

NAMES = ("v1", "v2", "v3", "v4")


@dataclass
class Model:
    """The reference's way: a bit for each offset modulo the window, and a counter."""

    window: int
    start: int = 0
    offset: int = 0
    counter: int = 0
    bits: list[bool] = field(default_factory=list)

    def vote(self, missed: bool) -> None:
        self.bits = self.bits or [False] * self.window
        at = self.offset % self.window
        self.offset += 1
        self.counter += missed - self.bits[at]
        self.bits[at] = missed

    def reset(self) -> None:
        self.offset, self.counter, self.bits = 0, 0, []


class Watched(World):
    """Compares every validator with its model after each block."""

    def watch(self) -> None:
        window = slashing_of(self.state).missed_blocks_window
        self.models = {name: Model(window, start=self.initial_height - 1) for name in NAMES}
        self.jailings: list[tuple[str, int]] = []

    def step(self, *txs: bytes, absent: set[str], seconds: int = 1) -> FinalizeBlockResponse:
        jailed = {name for name in NAMES if self.validator(name).jailed}
        members = self.names(self.height) if self.height >= self.initial_height else set()
        response = self.block(*txs, absent=absent, seconds=seconds)
        params = slashing_of(self.state)
        for name in sorted(members - jailed):
            model = self.models[name]
            model.vote(name in absent)
            if self.height > model.start + model.window and model.counter > params.missed_max:
                model.reset()
                self.jailings.append((name, self.height))
                assert self.validator(name).jailed, (name, self.height)
            else:
                assert not self.validator(name).jailed, (name, self.height)
                info = signing.info_of(self.state, self.keys[name].address)
                assert info is not None
                if info.counted_since and info.counted_since <= self.height:
                    at = info.offset_at(self.height)
                    assert (info.missed(at, model.window), at + 1) == (model.counter, model.offset), (name, self.height)
        for update in response.validator_updates:
            name = next(name for name in NAMES if self.keys[name] == update.pub_key)
            if update.power and name not in self.names(self.height + 1):
                self.models[name].start = self.height
        return response


def watched(window: int = 10, **options: object) -> Watched:
    world = Watched(
        dict.fromkeys(NAMES, 100 * UNIT),
        slashing=SLASHING._replace(missed_blocks_window=window, downtime_jail_s=3),
        **options,  # type: ignore[arg-type]
    )
    world.watch()
    return world


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sets(st.sampled_from(NAMES[:3])), st.booleans(), st.integers(1, 3)), max_size=60))
def test_runs_are_the_references_bits(blocks: list[tuple[set[str], bool, int]]) -> None:
    """Offsets, windows and their first blocks: #1789, #2255, #2372. v4 is never away, so that there is a set."""
    world = watched()
    world.check_laws = False
    for absent, unjails, length in blocks:
        for _ in range(length):
            txs = []
            if unjails:
                for name in NAMES[:3]:
                    info = signing.info_of(world.state, world.keys[name].address)
                    if world.validator(name).jailed and info is not None and info.jailed_until_ns <= world.time_ns:
                        txs.append(world.tx(name, Unjail(world.address(name))))
            world.step(*txs, absent=absent)
    world.assert_invariants()


@pytest.mark.parametrize(("silent_until", "away", "jailed_at"), [
    pytest.param(100, 10_000, 102 + 50, id="away from 102 on: the 51st miss"),
    pytest.param(0, 10_000, 101, id="away from the first: as soon as the window is full"),
    pytest.param(0, 52, 101, id="away for 51 commits, then back: still when the window is full"),
    pytest.param(0, 51, None, id="away for 50 commits: never"),
])  # fmt: skip
def test_jailed_at_the_formulas_block(silent_until: int, away: int, jailed_at: int | None) -> None:
    """Defaults of the reference: window 100, 0.5. start_height is 0 and the first commit is block 2's."""
    world = watched(100)
    world.check_laws = False
    while world.height < 160 and not world.jailings:
        at = world.height + 1
        is_away = silent_until + 1 < at <= silent_until + 1 + away - (silent_until == 0)
        world.step(absent={"v1"} if is_away else set())
    assert world.jailings == ([] if jailed_at is None else [("v1", jailed_at)])
    if jailed_at is not None:
        assert world.validator("v1").tokens == 99 * UNIT
        event = world.state.get(SLASHES + world.address("v1") + bytes(8))
        assert (event.height, event.burned) == (jailed_at, UNIT)
    world.assert_invariants()


def test_jailed_leaves_stays_unpaid_and_comes_back() -> None:
    """Must-be-shown 3: rewards stop when the set changes, and resume when it does again."""
    world = watched(10, gas_price=0)
    while not world.validator("v1").jailed:
        world.step(absent={"v1"})
    jailed_at = world.height
    assert jailed_at == 11  # window 10, more than 5 of them missed
    assert "v1" in world.names(jailed_at + 1)
    assert "v1" not in world.names(jailed_at + 2)
    result = world.run("v1", Unjail(world.address("v1")))
    assert result.code == 204
    world.block(seconds=3)
    world.do("v1", Unjail(world.address("v1")))
    back = world.height
    assert not world.validator("v1").jailed
    assert "v1" in world.names(back + 2)
    world.blocks(4)
    info = signing.info_of(world.state, world.keys["v1"].address)
    assert info is not None
    assert (info.start_height, info.counted_since, info.missed_total) == (back, back + 3, 10)


def test_a_smaller_window_judges_the_latest_misses_alone() -> None:
    """#12541: shrinking the window left stale misses. Runs keep absolute offsets, so nothing is stale."""
    world = watched(20)
    world.blocks(25)
    world.blocks(6, absent=["v1"])
    world.blocks(6)
    info = signing.info_of(world.state, world.keys["v1"].address)
    assert info is not None
    at = info.offset_at(world.height)
    assert [info.missed(at, window) for window in (20, 12, 11, 6, 5)] == [6, 6, 5, 0, 0]


def test_new_params_are_judged_by_in_the_next_block() -> None:
    world = watched(20)
    world.blocks(25)
    world.blocks(6, absent=["v1"])
    world.block()
    assert not world.validator("v1").jailed
    world.set_params(slashing={"min_signed_per_window": "0.8"})
    assert not world.validator("v1").jailed  # written in this block, it counts from the next
    world.block()
    assert world.validator("v1").jailed


def test_start_height_of_a_later_genesis() -> None:
    """#4889: a chain that begins at a high height does not punish for the heights before."""
    world = watched(10, initial_height=1_000)
    for _ in range(10):
        world.step(absent={"v1"})
        assert not world.validator("v1").jailed
    world.step(absent={"v1"})
    assert world.validator("v1").jailed


def test_outranked_keeps_its_misses() -> None:
    """Leaving and coming back forgets nothing but the start."""
    world = watched(10, staking=STAKING._replace(validators_max=4))
    world.blocks(3, absent=["v1"])
    world.do("v1", Undelegate(world.address("v1"), world.address("v1"), 99 * UNIT + UNIT // 2))
    assert "v1" not in world.names(world.height + 2)
    world.blocks(4)
    info = signing.info_of(world.state, world.keys["v1"].address)
    assert info is not None
    assert (info.counted_since, info.missed_total, info.missed(info.offset - 1, 10)) == (0, 2, 2)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=12), st.integers(1, 40), st.integers(0, 30))
def test_counter_is_the_popcount(runs: list[tuple[int, int]], window: int, signed_after: int) -> None:
    """Section 8: the counter is the number of bits, for whatever runs and windows. runs: (signed, then missed)."""
    info, offset = SigningInfo(0, counted_since=1), 0
    bits: list[int] = []
    for signed, missed in runs:
        bits += [0] * signed + [1] * missed
        offset += signed
        info = info._replace(run_start=offset + 1)
        assert info.missed(offset + missed - 1, window) == sum(bits[-window:])
        info = info.run_ended(offset + missed - 1)
        offset += missed
    bits += [0] * signed_after
    if bits:
        assert info.missed(len(bits) - 1, window) == sum(bits[-window:])
    assert info.missed_total == sum(bits)
    assert SigningInfo.decode(info.encode()) == info


def test_a_window_and_its_limit() -> None:
    assert SlashingParams().missed_max == 5_000


# ------------------------------------------------------------------------------ who is watched


def watched_at(world: World) -> dict[str, int]:
    """name -> the height at which it is to be looked at although it signs."""
    infos = {name: signing.info_of(world.state, world.keys[name].address) for name in NAMES}
    return {name: info.watched for name, info in infos.items() if info is not None and info.watched}


def test_leaving_and_joining_again_is_watched_once() -> None:
    """audit 23: each time a validator left and came back with its misses, a row was added to one record, until it did
    not fit into the store and no block could be executed any more. And what it missed is not forgotten: it is punished
    when the window since it came back last is full, as by the reference (AfterValidatorBonded sets the start alone).
    """
    world = watched(60, balances={"v1": 7})
    own = world.address("v1")
    world.do("v1", EditValidator(own, None, None, world.validator("v1").tokens))
    world.blocks(32, absent=["v1"])
    world.blocks(4)
    assert watched_at(world) == {"v1": 61}
    for _ in range(7):
        world.block(world.tx("v1", Redelegate(own, own, world.address("v2"), 1)))
        assert world.validator("v1").jailed
        assert watched_at(world) == {}
        world.block(world.tx("v1", Delegate(own, own, 1), Unjail(own)))
        assert len(list(world.state.scan(QUEUE_WATCHES))) <= 1
        assert len(signing.liveness_of(world.state).encode()) == 2  # nobody is absent
    back = world.height
    world.blocks(4)
    assert list(watched_at(world)) == ["v1"]
    world.check_laws = False
    while not world.validator("v1").jailed and world.height < back + 100:
        if world.height == back + 20:
            world.restart()
        world.block(absent=["v1"] if world.height < back + 35 else [])
    assert world.height == back + 61
    assert watched_at(world) == {}
    world.assert_invariants()


def test_an_old_records_watches_are_each_validators_own_from_the_next_block() -> None:
    """A chain from before has them in the one record, several of one validator."""
    world = watched(20)
    world.blocks(13, absent=["v1"])
    world.blocks(2)
    assert watched_at(world) == {"v1": 21}
    address = world.keys["v1"].address
    old = pb.Liveness()
    for height in (15, 18, 21):
        old.watches.add(height=height, address=address)
    old.watches.add(height=21, address=world.keys["v2"].address)  # of whom nothing else says so
    old.watches.add(height=21, address=bytes(20))  # nobody that there is any more
    info = signing.info_of(world.state, address)
    assert info is not None
    record = signing.Liveness.decode(old.SerializeToString())
    world.state.merge({LIVENESS: record, SIGNING + address: info._replace(watched=0)})
    world.block()
    assert watched_at(world) == {"v1": 21, "v2": 21}
    assert world.state.get(LIVENESS) == signing.Liveness()
    while not world.validator("v1").jailed and world.height < 30:
        world.block()
    assert (world.height, world.validator("v2").jailed, watched_at(world)) == (21, False, {})
    world.assert_invariants()
