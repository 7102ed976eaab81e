"""A validator that changes its consensus key and stays: what the engine is told, what moves to the new key, and that
whoever signed twice by the old one pays, as long as evidence is valid."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from chain.app_state.economy import EconomicsGenesis, parse_economics
from chain.currency.ledger import bank
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams, MintParams, StakingParams
from chain.currency.ledger.stake_records import BONDED, RETIRED_KEY, TOLD, UNBONDED, UNBONDING
from chain.currency.rewards import distribution
from chain.currency.staking.rotation import current, rotations_of
from chain.currency.staking.signing import info_of
from chain.tx import errors as e
from chain.tx.messages.economy import CreateValidator, Delegate, RotateConsensusKey, Undelegate, Unjail
from consensus.abci.interface import ValidatorUpdate
from dchat.app.economy_queries import EconomyQueries
from tests.support.economy.world import DCHAT, SLASHING, STAKING, UNIT, World, consensus_key, possession

FEE = STAKING.key_rotation_fee


def new_world(**options: object) -> World:
    return World(
        {"v1": 100 * UNIT, "v2": 100 * UNIT, "v3": 100 * UNIT},
        {"ann": 1000 * UNIT, "v1": 50 * UNIT, "v2": 50 * UNIT, "v3": 50 * UNIT, "new": 500 * UNIT},
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def world() -> World:
    world = new_world()
    world.blocks(3)
    return world


def test_the_engine_is_told_at_the_end_of_the_block_and_the_old_key_signs_one_more(world: World) -> None:
    old, new = world.keys["v1"], consensus_key("v1 later")
    response = world.block(world.tx("v1", world.rotation("v1", "v1 later")))
    assert response.tx_results[0].code == 0, response.tx_results[0].log
    assert response.validator_updates == (
        ValidatorUpdate(old, 0),
        ValidatorUpdate(new, 100),
    )
    at = world.height
    assert world.sets[at + 1].index_of(old.address) is not None
    assert world.sets[at + 1].index_of(new.address) is None
    assert world.sets[at + 2].index_of(old.address) is None
    assert world.sets[at + 2].powers[world.sets[at + 2].index_of(new.address) or 0] == 100
    world.note_key("v1", new)
    for _ in range(5):
        assert world.block().validator_updates == ()
    assert world.validator("v1").address == new.address
    assert world.validator("v1").status == BONDED


def test_it_costs_the_fee_which_goes_to_the_community_pool(world: World) -> None:
    before, pool = world.balances(), distribution.pool_of(world.state).amount
    result = world.rotate("v1", "v1 later")
    assert distribution.pool_of(world.state).amount - pool == FEE * ONE
    assert bank.held(world.state, world.address("v1")) == 50 * UNIT - FEE
    changed = {who for who, held in world.balances().items() if held != before.get(who)}
    assert len(changed) == 1
    told = {key: value for event in result.events for key, value, _ in event.attributes if event.type[:6] == "rotate"}
    assert told["retired_address"] == consensus_key("v1").address.hex().upper()
    assert told["consensus_address"] == consensus_key("v1 later").address.hex().upper()
    assert told["fee"] == f"{FEE}udchat"


def test_stake_and_rewards_are_what_they_would_have_been() -> None:
    """Of two equal chains, one of whose validators changes its key."""
    options = {"mint": MintParams(), "inflation": ONE // 10, "distribution": DistributionParams()}
    worlds = [new_world(**options, staking=STAKING._replace(key_rotation_fee=0)) for _ in range(2)]
    for number, world in enumerate(worlds):
        world.do("ann", Delegate(world.address("ann"), world.address("v1"), 10 * UNIT))
        world.do("ann", Undelegate(world.address("ann"), world.address("v1"), UNIT))
        world.blocks(4)
        if number:
            world.rotate("v1", "v1 later")
        else:
            world.block()
        world.blocks(6)
    plain, rotated = worlds
    for who, name in (("ann", "v1"), ("v1", "v1"), ("v2", "v2")):
        assert rotated.delegation(who, name) == plain.delegation(who, name)
        assert rotated.earned(who, name) == plain.earned(who, name)
    assert rotated.unbonding("ann", "v1") == plain.unbonding("ann", "v1")
    mine, theirs = rotated.validator("v1"), plain.validator("v1")
    assert mine._replace(consensus_key=theirs.consensus_key) == theirs
    assert distribution.settled(rotated.state, mine) == distribution.settled(plain.state, theirs)


Refused = tuple[type[e.TxError], Callable[[World], tuple[str, RotateConsensusKey]]]
REFUSED: dict[str, Refused] = {
    "the key that it has": (e.ConsensusKeyTaken, lambda w: ("v1", w.rotation("v1", "v1"))),
    "another validator's": (e.ConsensusKeyTaken, lambda w: ("v1", w.rotation("v1", "v2"))),
    "one that another gave up": (e.ConsensusKeyRetired, lambda w: ("v1", w.rotation("v1", "v3"))),
    "one that it gave up itself": (e.ConsensusKeyRetired, lambda w: ("v3", w.rotation("v3", "v3"))),
    "nobody signed": (e.KeyNotPossessed, lambda w: ("v1", w.rotation("v1", "v1 later", proof=bytes(64)))),
    "signed for another operator": (
        e.KeyNotPossessed,
        lambda w: ("v1", w.rotation("v1", "v1 later", proof=possession("v1 later", w.address("v2")))),
    ),
    "an operator without a validator": (
        e.UnknownValidator,
        lambda w: ("ann", RotateConsensusKey(w.address("ann"), consensus_key("x").bytes, possession("x", b"\0" * 20))),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(world: World, case: str) -> None:
    world.set_params(staking={"key_rotations_max": "2"})
    world.rotate("v3", "v3 later")
    error, make = REFUSED[case]
    signer, message = make(world)
    result = world.run(signer, message)
    assert (result.codespace, result.code) == (error.codespace, error.code), result.log


def test_a_key_that_was_given_up_makes_no_new_validator(world: World) -> None:
    world.rotate("v1", "v1 later")
    for label, error in (("v1", e.ConsensusKeyRetired), ("v1 later", e.ConsensusKeyTaken)):
        me = world.address("new")
        key, proof = consensus_key(label).bytes, possession(label, me)
        assert world.run("new", CreateValidator(me, key, "new", 0, ONE, ONE, 1, UNIT, proof)).code == error.code


def test_so_many_in_an_unbonding_time(world: World) -> None:
    world.rotate("v1", "second")
    late = world.run("v1", world.rotation("v1", "third"))
    assert late.code == e.TooManyRotations.code
    assert "again from" in late.log
    assert world.run("v1", world.rotation("v1", "third"), seconds=STAKING.unbonding_s - 10).code == late.code
    world.rotate("v1", "third", seconds=20)
    world.set_params(staking={"key_rotations_max": "3"})
    world.rotate("v1", "fourth")
    world.rotate("v1", "fifth")
    assert world.run("v1", world.rotation("v1", "sixth")).code == e.TooManyRotations.code
    world.blocks(3)
    assert [one.address for one in rotations_of(world.state, world.address("v1"))] == [
        consensus_key(label).address for label in ("v1", "second", "third", "fourth")
    ]
    world.set_params(staking={"key_rotations_max": "0"})
    assert world.run("v2", world.rotation("v2", "v2 later")).code == e.KeyRotationOff.code


def test_two_changes_in_a_block_and_two_validators_in_a_block(world: World) -> None:
    """The engine hears of the key that it knows and of the last one, and of each validator's."""
    world.set_params(staking={"key_rotations_max": "2"})
    response = world.block(
        world.tx("v1", world.rotation("v1", "between")),
        world.tx("v2", world.rotation("v2", "v2 later")),
        world.tx("v1", world.rotation("v1", "v1 later")),
    )
    assert [result.code for result in response.tx_results] == [0, 0, 0]
    told = {update.pub_key: update.power for update in response.validator_updates}
    assert told == {
        consensus_key("v1"): 0, consensus_key("v1 later"): 100, consensus_key("v2"): 0, consensus_key("v2 later"): 100
    }  # fmt: skip
    world.note_key("v1", consensus_key("v1 later"))
    world.note_key("v2", consensus_key("v2 later"))
    world.blocks(4)


def test_what_fails_changes_nothing(world: World) -> None:
    """A bundle whose second message fails: the engine is told of no other key."""
    me = world.address("v1")
    response = world.block(world.tx("v1", world.rotation("v1", "v1 later"), Delegate(me, world.address("ann"), 1)))
    assert response.tx_results[0].code == e.UnknownValidator.code
    assert response.validator_updates == ()
    assert world.validator("v1").consensus_key == consensus_key("v1").bytes
    assert world.state.get(RETIRED_KEY + consensus_key("v1").address) is None


# ------------------------------------------------------------------------------ what the old key did


@pytest.mark.parametrize("at", [0, 1], ids=["before the change", "the block that the old key signed after it"])
def test_who_signed_twice_by_the_old_key_is_slashed(world: World, at: int) -> None:
    world.rotate("v1", "v1 later")
    fault = world.height + at
    world.blocks(5)
    tokens = world.validator("v1").tokens
    made = world.double_sign("v1", height=fault, age_s=5)
    assert made.address == consensus_key("v1").address
    response = world.block(misbehavior=[made])
    slashed = world.validator("v1")
    assert slashed.tokens == tokens - tokens // 20
    assert slashed.jailed
    info = info_of(world.state, consensus_key("v1 later").address)
    assert info is not None
    assert info.tombstoned
    assert info.was_punished(fault)
    assert ValidatorUpdate(consensus_key("v1 later"), 0) in response.validator_updates
    world.block(misbehavior=[made])  # the same once more
    world.block(misbehavior=[world.double_sign("v1", height=fault - 1, age_s=6)])
    assert world.validator("v1").tokens == slashed.tokens
    assert world.run("v1", Unjail(world.address("v1"))).code == e.Tombstoned.code
    assert world.run("v1", world.rotation("v1", "third"), seconds=2_000).code == e.Tombstoned.code


def test_evidence_of_an_old_key_is_too_old_when_any_would_be(world: World) -> None:
    world.rotate("v1", "v1 later")
    made = world.double_sign("v1", age_s=SLASHING.evidence_age_s_max)
    world.set_params(slashing={"evidence_age_s_max": "60", "evidence_age_blocks_max": "3"})
    world.blocks(4, seconds=60)
    world.block(misbehavior=[made])
    assert not world.validator("v1").jailed


def test_one_offence_at_a_height_counts_once_by_whichever_key(world: World) -> None:
    """Punished for a height by its old key before the change; without a tombstone it comes back with the new one."""
    world.set_params(slashing={"tombstone": "0"})
    made = world.double_sign("v1")
    world.block(misbehavior=[made])
    tokens = world.validator("v1").tokens
    world.rotate("v1", "v1 later")
    world.block(misbehavior=[made])
    assert world.validator("v1").tokens == tokens
    world.do("v1", Unjail(world.address("v1")), seconds=200)
    world.blocks(3)
    assert "v1" in world.names(world.height + 1)


def test_misses_go_on_under_the_new_key(world: World) -> None:
    """Down before and after the change: jailed in the block in which it would have been without one."""
    plain = new_world()
    plain.blocks(3)
    jailed = []
    for number, one in enumerate((plain, world)):
        one.blocks(4, absent=["v1"])
        if number:
            one.rotate("v1", "v1 later", absent=["v1"])
        else:
            one.block(absent=["v1"])
        while not one.validator("v1").jailed:
            one.block(absent=["v1"])
            assert one.height < 40
        jailed.append(one.height)
    assert jailed[0] == jailed[1]
    info = info_of(world.state, consensus_key("v1 later").address)
    assert info is not None
    assert info.jailed_until_ns > world.time_ns
    assert info_of(world.state, consensus_key("v1").address) is None


def test_misses_before_count_after(world: World) -> None:
    world.blocks(5, absent=["v1"])
    world.rotate("v1", "v1 later")
    world.blocks(2)
    shown = EconomyQueries(world.app.queries).validator(operator=world.address("v1")).validator
    assert (shown.signing.missed_in_window, shown.signing.missed_total) == (5, 5)
    assert [one.address for one in shown.rotations] == [consensus_key("v1").address]
    queries = EconomyQueries(world.app.queries)
    for label in ("v1", "v1 later"):
        found = queries.validator(consensus_address=consensus_key(label).address).validator
        assert found.operator == world.address("v1"), label


def test_a_watch_moves_with_the_key() -> None:
    """Too many misses in a window that is not full: it is looked at when that is, whatever its key is by then."""
    world = new_world()
    world.blocks(8, absent=["v1"])
    info = info_of(world.state, world.keys["v1"].address)
    assert info is not None
    world.block()
    info = info_of(world.state, world.keys["v1"].address)
    assert info is not None
    assert info.watched
    world.rotate("v1", "v1 later")
    while world.height < info.watched:
        world.block()
    assert world.validator("v1").jailed


# ------------------------------------------------------------------------------ jailed, leaving, gone


def test_while_jailed(world: World) -> None:
    """As after a key was lost: the validator comes back with another."""
    world.blocks(12, absent=["v1"])
    assert world.validator("v1").jailed
    response = world.block(world.tx("v1", world.rotation("v1", "v1 later")), seconds=61)
    assert response.tx_results[0].code == 0, response.tx_results[0].log
    assert response.validator_updates == ()
    world.note_key("v1", consensus_key("v1 later"))
    back = world.block(world.tx("v1", Unjail(world.address("v1"))))
    assert back.validator_updates == (ValidatorUpdate(consensus_key("v1 later"), 99),)  # a hundredth was slashed
    world.blocks(5)
    assert world.validator("v1").status == BONDED


def test_jailed_in_the_block_of_the_change(world: World) -> None:
    """The engine is told to remove the key that it knows, and of no other."""
    response = world.block(world.tx("v1", world.rotation("v1", "v1 later")), misbehavior=[world.double_sign("v2")])
    assert response.tx_results[0].code == 0
    world.note_key("v1", consensus_key("v1 later"))
    world.blocks(3)
    world.set_params(staking={"key_rotations_max": "2"})
    world.set_params(slashing={"tombstone": "0"})
    made = world.double_sign("v1")
    response = world.block(world.tx("v1", world.rotation("v1", "third")), misbehavior=[made])
    assert response.tx_results[0].code == 0, response.tx_results[0].log
    assert response.validator_updates == (ValidatorUpdate(consensus_key("v1 later"), 0),)
    world.note_key("v1", consensus_key("third"))
    world.blocks(4)
    assert world.validator("v1").status == UNBONDING


def test_while_leaving_and_after_it_is_gone(world: World) -> None:
    me = world.address("v1")
    world.do("v1", Undelegate(me, me, 100 * UNIT))
    assert world.validator("v1").status == UNBONDING
    assert world.block(world.tx("v1", world.rotation("v1", "v1 later"))).validator_updates == ()
    world.note_key("v1", consensus_key("v1 later"))
    world.blocks(2)
    world.block(seconds=STAKING.unbonding_s + 1)
    world.block()
    assert not rotations_of(world.state, me)
    assert current(world.state, consensus_key("v1").address) == consensus_key("v1").address
    made = CreateValidator(me, consensus_key("v1").bytes, "again", 0, ONE, ONE, 1, UNIT, possession("v1", me))
    assert world.run("v1", made).code == e.ConsensusKeyRetired.code
    again = made._replace(consensus_key=consensus_key("again").bytes, possession=possession("again", me))
    world.do("v1", again)
    assert current(world.state, consensus_key("v1").address) == consensus_key("v1").address  # no longer its own


def test_the_last_validator_of_all_changes_its_key_in_jail() -> None:
    """Nobody can take its place, so the set stays as it is, and the engine hears of the new key when there is one."""
    world = World({"only": 100 * UNIT}, {"only": 50 * UNIT, "new": 500 * UNIT})
    world.set_params(slashing={"tombstone": "0"})
    assert world.block(misbehavior=[world.double_sign("only")]).validator_updates == ()
    response = world.block(world.tx("only", world.rotation("only", "later")))
    assert response.tx_results[0].code == 0, response.tx_results[0].log
    assert response.validator_updates == ()
    assert world.state.get(TOLD + world.address("only")) is not None
    world.note_key("only", consensus_key("later"))
    world.blocks(2)
    back = world.block(world.tx("only", Unjail(world.address("only"))), seconds=200)
    assert back.validator_updates == (
        ValidatorUpdate(consensus_key("only"), 0), ValidatorUpdate(consensus_key("later"), 95),
    )  # fmt: skip
    world.blocks(4)
    assert world.state.get(TOLD + world.address("only")) is None


# ------------------------------------------------------------------------------ whatever happens


class Rotations(RuleBasedStateMachine):
    """A model: which keys each validator had, when, and at which heights each key was in the engine's set."""

    NAMES = ("v1", "v2", "v3", "v4")

    @initialize()
    def begin(self) -> None:
        self.world = World(
            dict.fromkeys(self.NAMES, 100 * UNIT), dict.fromkeys(self.NAMES, 50 * UNIT),
            staking=STAKING._replace(key_rotations_max=2, unbonding_s=600, key_rotation_fee=DCHAT),
            slashing=SLASHING._replace(tombstone=0, missed_blocks_window=12), mint=MintParams(), inflation=ONE // 10,
        )  # fmt: skip
        self.world.blocks(3)
        self.labels = {name: [name] for name in self.NAMES}
        self.times: dict[str, list[int]] = {name: [] for name in self.NAMES}
        self.used: set[str] = set(self.NAMES)

    def may_rotate(self, name: str, label: str, time_ns: int) -> bool:
        recent = [at for at in self.times[name] if at > time_ns - 600 * 10**9]
        return label not in self.used and len(recent) < 2

    @rule(name=st.sampled_from(NAMES), which=st.integers(0, 5), seconds=st.sampled_from((1, 1, 1, 200, 700)))
    def rotate(self, name: str, which: int, seconds: int) -> None:
        label = f"{name} {self.world.height}" if which < 4 else sorted(self.used)[which % len(self.used)]
        time_ns = self.world.time_ns + seconds * 10**9
        allowed = self.may_rotate(name, label, time_ns)
        result = self.world.run(name, self.world.rotation(name, label), seconds=seconds)
        assert (result.code == 0) == allowed, result.log
        if allowed:
            self.world.note_key(name, consensus_key(label))
            self.labels[name].append(label)
            self.times[name].append(time_ns)
            self.used.add(label)

    @rule(away=st.sets(st.sampled_from(NAMES), max_size=1), count=st.integers(1, 4))
    def go_on(self, away: set[str], count: int) -> None:
        self.world.blocks(count, absent=sorted(away))

    @precondition(lambda self: len(self.world.names(self.world.height)) > 2)
    @rule(name=st.sampled_from(NAMES), back=st.integers(0, 6))
    def sign_twice(self, name: str, back: int) -> None:
        """By whichever key was in the set there: its validator pays, once for each height."""
        height = max(2, self.world.height - back)
        if name not in self.world.names(height):
            return
        before = self.world.validator(name)
        info = info_of(self.world.state, before.address)
        assert info is not None
        counted = info.was_punished(height) or before.slashes_waiting or before.status == UNBONDED
        self.world.block(misbehavior=[self.world.double_sign(name, height=height, age_s=1)])
        after = self.world.validator(name)
        assert after.jailed or counted
        assert (after.tokens < before.tokens) == (not counted)

    @rule(name=st.sampled_from(NAMES))
    def come_back(self, name: str) -> None:
        if self.world.validator(name).jailed:
            self.world.do(name, Unjail(self.world.address(name)), seconds=300)

    @invariant()
    def each_key_is_one_validators(self) -> None:
        for name in self.NAMES:
            validator = self.world.validator(name)
            assert validator.consensus_key == consensus_key(self.labels[name][-1]).bytes
            for label in self.labels[name]:
                assert current(self.world.state, consensus_key(label).address) == validator.address

    @invariant()
    def the_engine_has_the_newest_key_of_each_member(self) -> None:
        members = {key.address for key in self.world.sets[self.world.height + 2].pub_keys}
        newest = {consensus_key(self.labels[name][-1]).address for name in self.NAMES}
        assert members <= newest or self.world.state.get(b"Us") is not None


Rotations.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestRotations = Rotations.TestCase


# ------------------------------------------------------------------------------ params


def test_a_document_of_before_lets_no_key_be_changed() -> None:
    said = EconomicsGenesis().to_json()
    for name in ("key_rotation_fee", "key_rotations_max"):
        del said["staking"]["params"][name]
    found = parse_economics(said).staking
    assert (found.key_rotation_fee, found.key_rotations_max) == (0, 0)
    assert found.encode() == StakingParams(key_rotation_fee=0, key_rotations_max=0).encode()
    assert found.encode() == StakingParams().encode()[: len(found.encode())]  # nothing is written for what is 0
