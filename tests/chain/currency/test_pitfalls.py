"""Section 9 of the staking sheet: what went wrong in the reference, by its issue, and that it does not here.

(#N = cosmos/cosmos-sdk#N.) Windows, offsets and start heights (#1789, #2255, #2372, #12541, #4889) are in
test_liveness.py, the bypass by unbonding at the destination (GHSA-86h5-xcpx-cfqc) in test_examples.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from chain.app_state.economy import InvalidAppState
from chain.currency.ledger import bank
from chain.currency.ledger import economic_params as params
from chain.currency.ledger.bank import BONDED_POOL
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import (
    DistributionParams,
    InvalidParam,
    MintParams,
    SlashingParams,
    StakingParams,
)
from chain.currency.ledger.records import SUPPLY, Supply
from chain.currency.ledger.stake_records import BONDED, MINTER, UNBONDED, UNBONDING, Minter, Now, Pulse
from chain.currency.rewards import distribution, mint
from chain.currency.staking import signing, stake
from chain.currency.staking.queues import ITEMS_MAX, TIME_BYTES, TimeQueue
from chain.tx import errors as e
from chain.tx.codec import UINT64_MAX
from chain.tx.errors import declared_errors
from chain.tx.messages.economy import (
    CreateValidator,
    Delegate,
    EditValidator,
    Redelegate,
    Undelegate,
    Unjail,
    prove_possession,
)
from consensus.types.params import EvidenceParams
from tests.support.economy.sandbox import Sandbox, address
from tests.support.economy.world import SLASHING, STAKING, UNIT, World, consensus_key, possession, private_key

HALF = ONE // 2


def comes(world: World, name: str, stake_udchat: int) -> None:
    """Somebody becomes a validator, with a key of the same name."""
    world.keys[name] = consensus_key(name)
    who = world.address(name)
    key = world.keys[name].bytes
    world.do(name, CreateValidator(who, key, name, 0, ONE, ONE, UNIT, stake_udchat, possession(name, who)))


def code_of(name: str) -> int:
    return next(error.code for error in declared_errors() if error.__name__ == name)


# ------------------------------------------------------------------------------ slashing


def test_late_delegators_pay_too() -> None:
    """#1440, #3206: stake delegated after the infraction is slashed with the validator's; it is not skipped."""
    box = Sandbox({"v": 10 * UNIT, "w": 1})
    box.at(20)
    box.delegate("late", "v", 10 * UNIT)
    box.at(21)
    box.slash("v", height=5, power=10, fraction=HALF)
    validator, late = box.validator("v"), box.delegation("late", "v")
    assert late is not None
    assert validator.tokens == 15 * UNIT
    assert validator.tokens_of(late.shares) == 15 * UNIT * ONE // 2


def test_a_redelegation_pays_no_more_than_its_due() -> None:
    """#20688, still in v0.50.13: 10 moved, 5 of them unbonding at the destination, 0.9: the reference burns 10."""
    box = Sandbox({"v": 10, "w": 10, "x": 10})
    box.at(10)
    box.delegate("d", "v", 10)
    box.at(11)
    box.redelegate("d", "v", "w", 10)
    box.undelegate("d", "w", 5)
    total = distribution.total_supply(box.branch)
    box.at(12)
    box.slash("v", height=10, power=0, fraction=ONE * 9 // 10)
    assert distribution.total_supply(box.branch) == total - 9
    assert box.unbonding("d", "w") == [0]
    left = box.delegation("d", "w")
    assert left is not None
    assert box.validator("w").tokens_of(left.shares) == ONE
    box.end()
    box.laws()


def test_moved_stake_cannot_dodge() -> None:
    """SDK 2024-005: by transactions: redelegated after the infraction, before the evidence."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT, "v3": 100 * UNIT}, {"ann": 20 * UNIT})
    ann, v1, v2 = (world.address(name) for name in ("ann", "v1", "v2"))
    world.do("ann", Delegate(ann, v1, 20 * UNIT))
    world.blocks(3)
    at = world.height
    world.do("ann", Redelegate(ann, v1, v2, 20 * UNIT))
    world.do("ann", Undelegate(ann, v2, 20 * UNIT))
    world.block(misbehavior=[world.double_sign("v1", height=at)])
    assert [entry.balance for entry in world.unbonding("ann", "v2").entries] == [19 * UNIT]
    assert world.validator("v1").tokens == 95 * UNIT


def test_the_slash_hook_reaches_rewards() -> None:
    """#4012: rewards after a slash are by the stake that is left."""
    box = Sandbox({"v": 100 * UNIT})
    box.at(1)
    box.slash("v", height=0, power=100, fraction=HALF)
    box.at(2)
    box.allocate(50 * UNIT, v=1)
    earned = box.earned("v", "v")
    assert 50 * UNIT * ONE - 50 * UNIT <= earned <= 50 * UNIT * ONE


def test_a_double_signer_is_jailed_by_its_address() -> None:
    """SDK 0.42 notes: a wrong prefix, and no double signer was ever jailed. By real evidence and a real set."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT, "v3": 100 * UNIT, "v4": 100 * UNIT})
    world.blocks(3)
    evidence = world.double_sign("v1")
    world.block(misbehavior=[evidence])
    assert world.validator("v1").jailed
    assert world.validator("v1").tokens == 95 * UNIT
    assert "v1" not in world.names(world.height + 2)
    world.block(misbehavior=[evidence])
    assert world.validator("v1").tokens == 95 * UNIT  # tombstoned: one slash a key
    assert world.run("v1", Unjail(world.address("v1")), seconds=10**6).code == code_of("Tombstoned")


def test_without_tombstones_the_jail_has_an_end() -> None:
    """Issue 4: the contract's 86,400 s hold where the param says so."""
    world = World(dict.fromkeys(("v1", "v2", "v3"), 100 * UNIT), slashing=SLASHING._replace(tombstone=0))
    world.blocks(3)
    world.block(misbehavior=[world.double_sign("v1")])
    assert world.run("v1", Unjail(world.address("v1")), seconds=118).code == code_of("StillJailed")
    world.do("v1", Unjail(world.address("v1")), seconds=2)
    assert "v1" in world.names(world.height + 2)


@pytest.mark.parametrize(("age_s", "blocks", "punished"), [
    pytest.param(501, 21, False, id="too old by both"),
    pytest.param(501, 20, True, id="too old by time alone"),
    pytest.param(500, 21, True, id="too old by blocks alone"),
])  # fmt: skip
def test_age_of_evidence(age_s: int, blocks: int, punished: bool) -> None:
    """ASA-2024-004: old evidence is ignored when it is too old by time and by blocks."""
    evidence = EvidenceParams(max_age_num_blocks=20, max_age_duration_ns=500 * 10**9)
    world = World(dict.fromkeys(("v1", "v2", "v3"), 100 * UNIT), evidence=evidence)
    world.blocks(25)
    found = world.double_sign("v1", height=world.height + 1 - blocks, age_s=age_s - 1)
    world.block(misbehavior=[found])
    assert world.validator("v1").jailed is punished


def test_evidence_must_fit_into_unbonding() -> None:
    """celestiaorg/celestia-app#7706: whoever may still be accused may not have left with the stake."""
    with pytest.raises(InvalidAppState, match="evidence_age_s_max is 1001; allowed: staking"):
        World({"v1": 100 * UNIT}, evidence=EvidenceParams(max_age_duration_ns=1_001 * 10**9))
    with pytest.raises(InvalidParam, match="must still be punishable"):
        params.check(StakingParams(unbonding_s=10), SlashingParams(), DistributionParams(), MintParams())


def test_unknown_and_unbonded_are_ignored() -> None:
    world = World(dict.fromkeys(("v1", "v2", "v3"), 100 * UNIT))
    world.blocks(3)
    found = world.double_sign("v1")
    world.block(misbehavior=[replace(found, address=bytes(20))])
    assert not any(world.validator(name).jailed for name in world.keys)
    world.set_params(staking={"validators_max": "2"})
    outranked = next(name for name in world.keys if world.validator(name).status == UNBONDING)
    world.block(seconds=2_000)
    assert world.validator(outranked).status == UNBONDED
    late = world.double_sign(outranked, height=2)
    world.block(misbehavior=[late])
    assert not world.validator(outranked).jailed


# ------------------------------------------------------------------------------ rewards


def test_stake_above_its_worth_does_not_halt() -> None:
    """#4088, #4094, #16940, ISA-2025-002: many slashes whose rounding leaves a stake too high; the reference panics."""
    box = Sandbox({"v": 33_333_333_333_333})
    for height in range(1, 200):
        box.at(height)
        if height % 7 == 3:
            box.delegate(f"d{height}", "v", height)
        tokens = box.validator("v").tokens
        fraction = (1 + height % 5) * ONE // 97
        box.slash("v", height=height, power=max(1, tokens // UNIT), fraction=fraction)
        box.allocate(1_000_003, v=1)
    box.at(500)
    for key, _ in list(box.scan(b"ud" + address("v"))):
        assert key
    box.withdraw("v", "v")
    for height in range(3, 200, 7):
        assert box.withdraw(f"d{height}", "v") >= 0
    box.end()
    box.laws()


def test_tax_and_proposer_rewards_are_at_most_all() -> None:
    """#8914."""
    with pytest.raises(InvalidParam, match=r"1\.000000000000000001 together; allowed: 1"):
        params.check(
            StakingParams(), SlashingParams(), DistributionParams(ONE // 2, ONE // 4, ONE // 4 + 1, 0), MintParams()
        )


def test_rewards_after_everybody_left() -> None:
    """#3769: a validator without tokens that is still in the last commit: what it would get is the pool's."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, mint=MintParams(), inflation=ONE // 10)
    world.blocks(3)
    world.do("v1", Undelegate(world.address("v1"), world.address("v1"), 100 * UNIT))
    assert world.validator("v1").tokens == 0
    assert "v1" in world.names(world.height)
    world.blocks(5)  # all laws after each
    world.block(seconds=2_000)
    world.block()
    assert stake.validator_of(world.state, world.address("v1")) is None


def test_overflowing_rewards() -> None:
    """ISA-2025-005: nothing is minted above 64 bits; nothing halts."""
    box = Sandbox({"v": 100 * UNIT})
    supply: Supply = box.branch.get(SUPPLY)
    box.branch.set(SUPPLY, Supply(UINT64_MAX - 5, supply.collected_fees))
    minter: Minter = box.branch.get(MINTER)
    box.branch.set(MINTER, minter._replace(genesis_supply=UINT64_MAX - 5))
    distribution.set_pulse(box.branch, Pulse(inflation=ONE))
    bank.credit(box.branch, address("bank"), 0)
    assert mint.begin_block(box.branch, Now(1, 10**18)) == 5
    assert mint.begin_block(box.branch, Now(2, 2 * 10**18)) == 0
    assert distribution.total_supply(box.branch) == UINT64_MAX


def test_divisors_are_never_zero() -> None:
    """SDK 2025-003: goal_bonded, blocks_per_year and windows have lower bounds; empty sums are branches."""
    for name in ("goal_bonded", "blocks_per_year", "missed_blocks_window", "validators_max", "unbonding_s"):
        assert params.RANGES[name].low >= 1
    box = Sandbox({"v": 10 * UNIT})
    box.at(5)
    box.slash("v", height=1, power=10, fraction=ONE)
    assert box.validator("v").tokens == 0
    box.allocate(7, v=0)
    box.allocate(7, v=1)
    assert box.withdraw("v", "v") == 0
    box.laws_but_the_set()


# ------------------------------------------------------------------------------ shares


def test_undelegating_all_but_one() -> None:
    """#11084: 2999999 of 3000000, also after a slash that made shares worth a broken number."""
    for fraction in (0, ONE // 3):
        box = Sandbox({"v": 3_000_000, "w": UNIT})
        box.delegate("d", "v", 3_000_000)
        if fraction:
            validator = box.validator("v")
            tokens = validator.tokens - 1_999_999
            bank.burn(box.branch, BONDED_POOL, 1_999_999)
            stake.put_validator(box.branch, validator, validator._replace(tokens=tokens))
        delegation = box.delegation("d", "v")
        assert delegation is not None
        worth = box.validator("v").tokens_of_trunc(delegation.shares) // ONE
        assert worth in (3_000_000, 2_000_000)
        got = box.undelegate("d", "v", worth - 1)
        assert worth - 2 <= got <= worth - 1
        box.end()
        box.laws()


def test_dust_goes_with_its_shares() -> None:
    """#10254: what is worth less than a unit is taken out with the rest, and the validator's sum follows."""
    box = Sandbox({"v": 100, "w": UNIT})
    box.delegate("d", "v", 3)
    validator = box.validator("v")
    bank.burn(box.branch, BONDED_POOL, 20)
    stake.put_validator(box.branch, validator, validator._replace(tokens=83))
    assert box.undelegate("d", "v", 2) == 2
    assert box.delegation("d", "v") is None
    box.end()
    box.laws()


def test_a_validator_without_tokens_can_be_left() -> None:
    """#10091: shares without tokens are given up, and the validator goes."""
    box = Sandbox({"v": 10 * UNIT, "w": 100 * UNIT})
    box.delegate("d", "v", UNIT)
    box.at(5)
    box.slash("v", height=1, power=11, fraction=ONE)
    box.end()
    assert (box.validator("v").tokens, box.validator("v").status) == (0, UNBONDING)
    assert box.undelegate("d", "v", 1) == 0
    assert box.undelegate("v", "v", 1) == 0
    assert box.validator("v").shares == 0
    box.at(2_000)
    box.end()
    assert stake.validator_of(box.branch, address("v")) is None
    box.laws()


def test_entries_are_bounded() -> None:
    """#3270, cosmos/gaia#2910, sei-protocol/sei-chain#4000: seven unbondings and seven redelegations of a pair."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, {"ann": 100 * UNIT})
    ann, v1, v2 = (world.address(name) for name in ("ann", "v1", "v2"))
    world.do("ann", Delegate(ann, v1, 50 * UNIT))
    for _ in range(7):
        world.do("ann", Undelegate(ann, v1, UNIT))
        world.do("ann", Redelegate(ann, v1, v2, UNIT))
    assert world.run("ann", Undelegate(ann, v1, UNIT)).code == 127
    assert world.run("ann", Redelegate(ann, v1, v2, UNIT)).code == 133
    world.block(seconds=1_100)
    world.do("ann", Undelegate(ann, v1, UNIT))
    world.do("ann", Redelegate(ann, v1, v2, UNIT))


def test_queues_sort_by_time_and_have_a_budget() -> None:
    """likecoin/likecoin-chain#75: a queue keyed by text sorted wrongly. And a flood is spread over blocks."""
    box = Sandbox({"v": UNIT})
    queue = TimeQueue(b"Uq")
    count = ITEMS_MAX + 5
    for number in range(count):
        queue.push(box.branch, 10 ** (number % 10) + number, b"%05d" % number)
    expected = sorted(range(count), key=lambda number: 10 ** (number % 10) + number)
    first = queue.take_due(box.branch, box.scan, 10**12)
    assert [int(due[TIME_BYTES:]) for due in first] == expected[:ITEMS_MAX]
    rest = queue.take_due(box.branch, box.scan, 10**12)
    assert [int(due[TIME_BYTES:]) for due in rest] == expected[ITEMS_MAX:]
    assert queue.take_due(box.branch, box.scan, 10**12) == []


# ------------------------------------------------------------------------------ the set


def test_a_key_is_one_validators() -> None:
    """#26460, tendermint/tendermint#1893: a key used twice, or a removal of somebody unknown, kills consensus."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, {"new": 500 * UNIT, "also": 500 * UNIT})
    message = CreateValidator(
        world.address("new"),
        consensus_key("k").bytes,
        "new",
        0,
        ONE,
        ONE,
        UNIT,
        200 * UNIT,
        possession("k", world.address("new")),
    )
    world.keys["new"] = consensus_key("k")
    twin = message._replace(operator=world.address("also"))
    response = world.block(world.tx("new", message), world.tx("also", twin))
    assert [result.code for result in response.tx_results] == [0, 105]
    assert len(response.validator_updates) == 1
    # World applies each update to a real ValidatorSet, which refuses unknown removals and repeats.
    gone = world.block(world.tx("new", Undelegate(world.address("new"), world.address("new"), 200 * UNIT)))
    assert [update.power for update in gone.validator_updates] == [0]
    for _ in range(4):
        assert world.block(seconds=700).validator_updates == ()


@pytest.mark.parametrize("proof", [
    pytest.param(lambda new, thief: possession("k", new), id="the owner's, seen in the mempool"),
    pytest.param(lambda new, thief: possession("thief", thief), id="by another key"),
    pytest.param(lambda new, thief: bytes(64), id="none"),
    pytest.param(
        lambda new, thief: prove_possession(private_key("k"), "another-chain", thief), id="for another chain",
    ),
])  # fmt: skip
def test_nobody_registers_anothers_key(proof: Callable[[bytes, bytes], bytes]) -> None:
    """namada#106: whoever was first with somebody else's key kept him out, and could have him slashed."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, {"new": 500 * UNIT, "thief": 500 * UNIT})
    new, thief = world.address("new"), world.address("thief")
    key = private_key("k").pub_key
    theft = CreateValidator(thief, key.bytes, "t", 0, ONE, ONE, UNIT, 200 * UNIT, proof(new, thief))
    assert world.run("thief", theft).code == e.KeyNotPossessed.code
    world.keys["new"] = key
    world.do("new", CreateValidator(new, key.bytes, "new", 0, ONE, ONE, UNIT, 200 * UNIT, possession("k", new)))
    assert world.names(world.height + 2) == {"v1", "v2", "new"}


def test_power_is_of_whole_units() -> None:
    """#19321: the unit is a rule, not a setting: stake below it has no power, and changes nothing at the engine."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, {"ann": 10 * UNIT})
    ann, v1 = world.address("ann"), world.address("v1")
    assert world.block(world.tx("ann", Delegate(ann, v1, UNIT - 1))).validator_updates == ()
    [update] = world.block(world.tx("ann", Delegate(ann, v1, 1))).validator_updates
    assert update.power == 101


def test_the_last_validator_stays() -> None:
    """An engine without validators cannot go on: who would leave an empty set stays until somebody is there."""
    world = World({"v1": 100 * UNIT}, {"new": 500 * UNIT})
    world.blocks(3)
    assert world.block(misbehavior=[world.double_sign("v1")]).validator_updates == ()
    assert world.validator("v1").jailed
    assert world.validator("v1").status == BONDED
    assert world.block().validator_updates == ()
    comes(world, "new", 200 * UNIT)
    assert world.names(world.height + 2) == {"new"}
    assert world.validator("v1").status == UNBONDING


def test_power_from_state_alone() -> None:
    """SDK 2024-006: whatever a proposer says, powers for rewards and slashes come from the set that signed."""
    world = World({"v1": 100 * UNIT, "v2": 300 * UNIT}, mint=MintParams(), inflation=ONE // 10)
    world.blocks(4)
    shares = [distribution.settled(world.state, world.validator(name)).outstanding for name in ("v1", "v2")]
    assert abs(shares[1] - 3 * shares[0]) <= 10 * ONE


def test_commission_waits_a_day_and_rises_slowly() -> None:
    """Section 1: creation sets the time; a decrease is unbounded; max and max change never change."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, {"new": 500 * UNIT})
    world.keys["new"] = consensus_key("new")
    new = world.address("new")
    message = CreateValidator(
        new, world.keys["new"].bytes, "new", ONE // 2, ONE, ONE // 100, UNIT, 2 * UNIT, possession("new", new)
    )
    world.do("new", message)
    assert world.run("new", EditValidator(new, commission_rate=0), seconds=86_399).code == 112
    world.do("new", EditValidator(new, commission_rate=ONE // 2 + ONE // 100), seconds=1)
    assert world.run("new", EditValidator(new, commission_rate=0), seconds=86_399).code == 112
    world.do("new", EditValidator(new, "still new", commission_rate=0), seconds=1)
    assert (world.validator("new").rate, world.validator("new").moniker) == (0, "still new")


def test_a_change_of_commission_leaves_what_was_earned() -> None:
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, rates={"v1": HALF}, mint=MintParams(), inflation=ONE // 10)
    world.block(seconds=1)
    world.block(seconds=90_000)
    world.blocks(2)
    before = distribution.settled(world.state, world.validator("v1")).commission
    result = world.do("v1", EditValidator(world.address("v1"), commission_rate=0))
    assert result.code == 0
    after = distribution.settled(world.state, world.validator("v1")).commission
    assert before < after  # with the rate before: the block begins with the rewards
    world.blocks(2)
    assert distribution.settled(world.state, world.validator("v1")).commission == after


def test_an_operator_below_its_minimum_is_jailed() -> None:
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, {"ann": 100 * UNIT})
    v1 = world.address("v1")
    world.do("ann", Delegate(world.address("ann"), v1, 50 * UNIT))
    world.do("v1", EditValidator(v1, min_self_delegation=60 * UNIT))
    world.do("v1", Undelegate(v1, v1, 40 * UNIT))
    assert not world.validator("v1").jailed
    world.do("v1", Undelegate(v1, v1, 1))
    assert world.validator("v1").jailed
    assert world.run("v1", Unjail(v1)).code == 206
    info = signing.info_of(world.state, world.keys["v1"].address)
    assert info is not None
    assert info.counted_since == 0


def test_h_plus_2() -> None:
    """Update returned at the end of H: signs from H+2, in LastCommit from H+3; a leaver still signs H+1."""
    world = World({"v1": 100 * UNIT, "v2": 90 * UNIT}, {"new": 500 * UNIT}, staking=STAKING._replace(validators_max=2))
    world.blocks(2)
    comes(world, "new", 200 * UNIT)
    at = world.height
    assert (world.names(at + 1), world.names(at + 2)) == ({"v1", "v2"}, {"v1", "new"})
    world.blocks(2)
    index = distribution.slots_of(world.state).index
    assert world.keys["v2"].address in index
    world.block()
    assert world.height == at + 3
    index = distribution.slots_of(world.state).index
    assert world.keys["new"].address in index
    assert world.keys["v2"].address not in index


# ------------------------------------------------------------------------------ one offence, one minimum


def test_an_offence_counts_once_for_ever() -> None:
    """cosmos-sdk#3205: without a tombstone the same evidence in four blocks slashed four times, and evidence that had
    been forgotten came in again when governance raised its age.
    """
    world = World(
        {"v1": 100 * UNIT, "v2": 100 * UNIT, "v3": 100 * UNIT}, staking=STAKING._replace(unbonding_s=10_000),
        slashing=SLASHING._replace(tombstone=0, evidence_age_s_max=100, evidence_age_blocks_max=5),
        evidence=EvidenceParams(max_age_num_blocks=5, max_age_duration_ns=100 * 10**9),
    )  # fmt: skip
    world.blocks(4)
    first, second = world.double_sign("v1", height=2), world.double_sign("v1", height=3)
    world.block(misbehavior=[first])
    assert world.validator("v1").tokens == 95 * UNIT
    for _ in range(4):
        world.block(misbehavior=[first, first])
    assert world.validator("v1").tokens == 95 * UNIT
    world.block(misbehavior=[second])  # another offence
    assert world.validator("v1").tokens == 90 * UNIT
    world.blocks(20, seconds=50)
    world.set_params(slashing={"evidence_age_s_max": "9000", "evidence_age_blocks_max": "1000"})
    world.block(misbehavior=[first, second])
    assert world.validator("v1").tokens == 90 * UNIT


def test_offences_take_bounded_room() -> None:
    """cosmos-sdk#3205: what is remembered for ever is bounded, and what is forgotten counts no more."""
    info = signing.SigningInfo(1)
    for height in range(5, 5 + 2 * signing.OFFENCES_MAX):
        info = info.with_offence(height)
        assert signing.SigningInfo.decode(info.encode()) == info
    assert len(info.offences) == signing.OFFENCES_MAX
    assert all(info.was_punished(height) for height in range(5 + 2 * signing.OFFENCES_MAX))
    assert not info.was_punished(5 + 2 * signing.OFFENCES_MAX)


def test_a_raised_minimum_commission_raises_everybody() -> None:
    """celestia-app#5526: who was below stayed below it, and could not be edited any more."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, {"new": 500 * UNIT}, rates={"v2": HALF})
    new, key = world.address("new"), consensus_key("new")
    world.keys["new"] = key
    low = CreateValidator(new, key.bytes, "n", 0, ONE // 100, ONE // 100, UNIT, 50 * UNIT, possession("new", new))
    world.do("new", low)
    world.set_params(staking={"min_commission": "0.05"})
    rates = {name: (world.validator(name).rate, world.validator(name).max_rate) for name in ("v1", "v2", "new")}
    assert rates == {"v1": (ONE // 20, ONE), "v2": (HALF, ONE), "new": (ONE // 20, ONE // 20)}
    world.do("new", EditValidator(new, "still", min_self_delegation=2 * UNIT))
    world.do("v1", EditValidator(world.address("v1"), commission_rate=ONE // 10), seconds=86_400)
    world.set_params(staking={"min_commission": "0"})
    assert world.validator("new").rate == ONE // 20


def test_a_validator_made_in_the_block_that_raises_the_minimum_is_raised() -> None:
    """celestia-app#5526: nobody slips through."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, {"new": 500 * UNIT})
    new, key = world.address("new"), consensus_key("new")
    world.keys["new"] = key
    low = CreateValidator(new, key.bytes, "n", 0, ONE, ONE, UNIT, 50 * UNIT, possession("new", new))
    world.param_changes[world.height + 1] = {"staking": {"min_commission": "0.05"}}
    world.do("new", low)
    assert world.validator("new").rate == ONE // 20
