"""Every declared error of staking, slashing and distribution: a transaction that causes it, and that changes nothing
but fee and sequence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chain.currency.ledger.bank import BONDED_POOL
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import MintParams
from chain.currency.ledger.records import ACCOUNT
from chain.tx import errors as e
from chain.tx.errors import TxError, declared_errors
from chain.tx.messages.economy import (
    CancelUnbonding,
    CreateValidator,
    Delegate,
    EconomyMessage,
    EditValidator,
    Redelegate,
    SetWithdrawAddress,
    Undelegate,
    Unjail,
    WithdrawCommission,
    WithdrawRewards,
)
from tests.support.economy.world import STAKING, UNIT, World, consensus_key, possession

CODESPACES = ("staking", "slashing", "distribution")


@pytest.fixture(scope="module")
def world() -> World:
    """ann delegates to v1 and v2, has moved from v1 to v2, and has as many unbondings from v2 as may be.

    down is jailed for misses, twice for good; ruined has no tokens left.
    """
    names = ("v1", "v2", "down", "twice", "ruined")
    world = World(
        {**dict.fromkeys(names, 100 * UNIT), "v1": 1000 * UNIT},
        {"ann": 1000 * UNIT, "bob": 1000 * UNIT, "new": 1000 * UNIT, "made": 100 * UNIT},
        staking=STAKING._replace(
            entries_max=2, min_commission=ONE // 100, min_self_delegation=2, unbonding_s=100_000, min_stake=10 * UNIT
        ),
        rates=dict.fromkeys(names, ONE // 10), mint=MintParams(), inflation=ONE // 10,
    )  # fmt: skip
    at = {name: world.address(name) for name in (*names, "ann")}
    world.keys["made"] = consensus_key("made")
    made = world.address("made")
    proof = possession("made", made)
    world.do("made", create(world, operator=made, consensus_key=world.keys["made"].bytes, possession=proof))
    for operator in ("v1", "v2", "down", "ruined"):
        world.do("ann", Delegate(at["ann"], at[operator], 10 * UNIT))
    world.do("ann", Redelegate(at["ann"], at["v1"], at["v2"], UNIT))
    world.do("ann", Redelegate(at["ann"], at["v1"], at["v2"], UNIT))
    for _ in range(2):
        world.do("ann", Undelegate(at["ann"], at["v2"], UNIT))
    world.do("ann", Undelegate(at["ann"], at["v1"], UNIT))
    world.cancellable = world.height  # type: ignore[attr-defined]
    world.blocks(11, absent=["down"])
    world.set_params(slashing={"slash_double_sign": "1"})
    world.block(misbehavior=[world.double_sign("ruined")])
    world.set_params(slashing={"slash_double_sign": "0.05"})
    world.block(misbehavior=[world.double_sign("twice")])
    for name in ("down", "twice", "ruined"):
        assert world.validator(name).jailed, name
    assert world.validator("ruined").tokens == 0
    world.blocks(4)
    return world


def create(world: World, **changes: object) -> CreateValidator:
    message = CreateValidator(
        world.address("new"), consensus_key("new").bytes, "new", ONE // 10, ONE // 5, ONE // 100, 2, 10 * UNIT,
        possession("new", world.address("new")),
    )  # fmt: skip
    return message._replace(**changes)  # type: ignore[arg-type]


def edit(world: World, **changes: object) -> EditValidator:
    return EditValidator(world.address("v1"), **changes)  # type: ignore[arg-type]


Make = Callable[[World], tuple[str, EconomyMessage]]


def a(world: World, name: str) -> bytes:
    return world.address(name)


ERRORS: dict[type[TxError], Make] = {
    e.UnknownValidator: lambda w: ("ann", Delegate(a(w, "ann"), a(w, "bob"), 1)),
    e.ValidatorExists: lambda w: ("v1", create(w, operator=a(w, "v1"))),
    e.ConsensusKeyTaken: lambda w: ("new", create(w, consensus_key=w.keys["v1"].bytes)),
    e.ValidatorJailed: lambda w: ("ann", CancelUnbonding(a(w, "ann"), a(w, "down"), 1, 1)),
    e.SelfDelegationTooLow: lambda w: ("new", create(w, min_self_delegation=1)),
    e.MinSelfDelegationLowered: lambda w: ("v1", edit(w, min_self_delegation=1)),
    e.NoDelegation: lambda w: ("bob", WithdrawRewards(a(w, "bob"), a(w, "v1"))),
    e.NotEnoughShares: lambda w: ("ann", Undelegate(a(w, "ann"), a(w, "v1"), 10 * UNIT)),
    e.NoUnbonding: lambda w: ("ann", CancelUnbonding(a(w, "ann"), a(w, "v1"), 1, 1)),
    e.TooManyUnbondings: lambda w: ("ann", Undelegate(a(w, "ann"), a(w, "v2"), 1)),
    e.TransitiveRedelegation: lambda w: ("ann", Redelegate(a(w, "ann"), a(w, "v2"), a(w, "v1"), 1)),
    e.TooManyRedelegations: lambda w: ("ann", Redelegate(a(w, "ann"), a(w, "v1"), a(w, "v2"), 1)),
    e.TinyAmount: lambda w: ("ann", Redelegate(a(w, "ann"), a(w, "ruined"), a(w, "v1"), 1)),
    e.WorthlessShares: lambda w: ("ann", Delegate(a(w, "ann"), a(w, "ruined"), 1)),
    e.CommissionTooLow: lambda w: ("new", create(w, commission_rate=1)),
    e.StakeTooLow: lambda w: ("new", create(w, amount=10 * UNIT - 1)),
    e.ConsensusKeyRetired: lambda w: ("new", create(w, consensus_key=consensus_key("retired").bytes)),
    e.KeyNotPossessed: lambda w: ("new", create(w, possession=possession("new", a(w, "v1")))),
    e.KeyRotationOff: lambda w: ("v2", w.rotation("v2", "v2 later")),
    e.TooManyRotations: lambda w: ("v2", w.rotation("v2", "v2 later")),
    e.SlashWaiting: lambda w: ("ann", Delegate(a(w, "ann"), a(w, "twice"), 1)),
    e.UnbondingTooSmall: lambda w: ("ann", CancelUnbonding(a(w, "ann"), a(w, "v1"), UNIT + 1, w.cancellable)),  # type: ignore[attr-defined]
    e.StillJailed: lambda w: ("down", Unjail(a(w, "down"))),
    e.NotJailed: lambda w: ("v1", Unjail(a(w, "v1"))),
    e.NoSelfDelegation: lambda w: ("ruined", Unjail(a(w, "ruined"))),
    e.Tombstoned: lambda w: ("twice", Unjail(a(w, "twice"))),
    e.WithdrawAddressRefused: lambda w: ("ann", SetWithdrawAddress(a(w, "ann"), BONDED_POOL)),
    e.CommissionTooSoon: lambda w: ("v1", edit(w, commission_rate=ONE // 20)),
    e.CommissionAboveMaximum: lambda w: ("made", EditValidator(a(w, "made"), commission_rate=ONE // 4)),
    e.CommissionChangeTooLarge: lambda w: ("made", EditValidator(a(w, "made"), commission_rate=ONE // 5)),
    e.NoCommission: lambda w: ("v1", WithdrawCommission(a(w, "v1"))),
}
AFTER_A_DAY = (e.CommissionAboveMaximum, e.CommissionChangeTooLarge)


def test_every_error_is_here() -> None:
    assert set(ERRORS) == {error for error in declared_errors() if error.codespace in CODESPACES}


def state_of(world: World) -> dict[bytes, bytes]:
    return dict(world.app.stores.scan("currency"))


@pytest.mark.parametrize(("error", "make"), ERRORS.items(), ids=[error.__name__ for error in ERRORS])
def test_fails_and_changes_nothing(world: World, error: type[TxError], make: Make) -> None:
    if error in AFTER_A_DAY:
        prepare_commission(world)
    if error is e.NoCommission:
        world.set_params(mint={"inflation_max": "0", "inflation_min": "0", "inflation_change": "0"})
        world.blocks(2)
        world.do("v1", WithdrawCommission(a(world, "v1")))
    if error is e.ConsensusKeyRetired:
        retire(world)
    if error is e.KeyRotationOff:
        world.set_params(staking={"key_rotations_max": "0"})
    if error is e.TooManyRotations:
        world.set_params(staking={"key_rotations_max": "1", "key_rotation_fee": "0"})
        world.rotate("v2", "v2 now")
    if error is e.SlashWaiting:
        slashes_wait(world, 1)
    signer, message = make(world)
    kept, twin = dict(world.sequences), {}
    for txs in ((), (world.tx(signer, message),)):  # the same block without it, on the same state
        outcome = execute(world, *txs)
        twin[len(txs)] = outcome
    without, (code, log, writes) = twin[0][2], twin[1]
    assert code == error.code, log
    assert error.rule in log
    saved = state_of(world)
    differing = {key for key in writes if writes[key] != without.get(key, saved.get(key[1:]))}
    assert differing == {ACCOUNT + a(world, signer)}, differing
    world.sequences = kept
    if error is e.SlashWaiting:
        slashes_wait(world, 0)


def execute(world: World, *txs: bytes) -> tuple[int, str, dict[bytes, object]]:
    """The next block, not committed: the only result's code and log, and all that it would write, encoded."""
    from tests.support.chain.harness import drain

    world.time_ns += 10**9
    request = world.request(txs)
    world.time_ns -= 10**9
    response = drain(world.app.finalize_block(request))
    outcome = world.app._outcomes[request.hash]
    writes = {
        key: value if value is None or isinstance(value, bytes) else value.encode()  # type: ignore[attr-defined]
        for key, value in outcome.executed.writes.items()
    }
    world.app._outcomes.clear()
    results = response.tx_results
    return (results[0].code, results[0].log, writes) if results else (0, "", writes)


def prepare_commission(world: World) -> None:
    """v1's commission may change again."""
    world.block(seconds=86_400 - 1_000)
    world.block(seconds=2_000)


def retire(world: World) -> None:
    """A key's signing info says that it signed twice; its validator is gone."""
    from chain.currency.staking.signing import SIGNING, SigningInfo

    world.app.base.merge({SIGNING + consensus_key("retired").address: SigningInfo(1, tombstoned=True)})


def slashes_wait(world: World, number: int) -> None:
    """So many slashes of "twice" are not done."""
    from chain.currency.ledger.stake_records import VALIDATOR

    waiting = world.validator("twice")._replace(slashes_waiting=number)
    world.app.base.merge({VALIDATOR + waiting.operator: waiting})
