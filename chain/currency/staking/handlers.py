"""What the messages of staking, slashing and rewards do: the rules that depend on state, then the change."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from chain.currency.ledger import bank, dec
from chain.currency.ledger.bank import DISTRIBUTION, NOT_BONDED_POOL
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import staking_of
from chain.currency.ledger.stake_records import (
    CONSENSUS_KEY,
    UNBONDED,
    UNBONDINGS,
    WITHDRAW,
    Now,
    Validator,
    consensus_address,
)
from chain.currency.rewards import distribution
from chain.currency.staking import rotation, signing, stake
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, coins, consensus, time_text
from chain.tx.errors import (
    CommissionAboveMaximum,
    CommissionChangeTooLarge,
    CommissionTooLow,
    CommissionTooSoon,
    ConsensusKeyRetired,
    KeyNotPossessed,
    MinSelfDelegationLowered,
    NoCommission,
    NoSelfDelegation,
    NotJailed,
    NoUnbonding,
    SelfDelegationTooLow,
    StakeTooLow,
    StillJailed,
    Tombstoned,
    UnbondingTooSmall,
    ValidatorExists,
    ValidatorJailed,
    WithdrawAddressRefused,
)
from chain.tx.messages.economy import (
    CancelUnbonding,
    CreateValidator,
    Delegate,
    EditValidator,
    FundCommunityPool,
    Redelegate,
    RotateConsensusKey,
    SetWithdrawAddress,
    Undelegate,
    Unjail,
    WithdrawCommission,
    WithdrawRewards,
    possession_hash,
)
from chain.tx.messages.kinds.fields import consensus_key_of

COMMISSION_PERIOD_NS: Final = 24 * 3_600 * 10**9


def _now(ctx: Context) -> Now:
    return Now(ctx.height, ctx.time_ns)


def _pair(operator: bytes, delegator: bytes) -> dict[str, str]:
    """A delegation, as events name it."""
    return {"validator": account(operator), "delegator": account(delegator)}


def new_validator(
    state: Any, *, operator: bytes, consensus_key: bytes, moniker: str, rate: int, max_rate: int,
    max_change_rate: int, min_self_delegation: int, now: Now,
) -> Validator:  # fmt: skip
    """A validator without tokens, with its records. Whether it may be is the caller's."""
    validator = Validator(
        operator, consensus_key, moniker, False, UNBONDED, 0, 0, 0, 0, rate, max_rate, max_change_rate, now.time_ns,
        min_self_delegation,
    )  # fmt: skip
    stake.put_validator(state, None, validator)
    state.set(CONSENSUS_KEY + validator.address, operator)
    distribution.begin_validator(state, operator)
    return validator


def create_validator(ctx: Context, message: CreateValidator) -> Leg:
    state, params = ctx.branch, staking_of(ctx.branch)
    operator, address = message.operator, consensus_address(message.consensus_key)
    if stake.validator_of(state, operator) is not None:
        raise ValidatorExists(f"operator {account(operator)}")
    rotation.require_free(state, address)
    info = signing.info_of(state, address)
    if info is not None and info.tombstoned:
        raise ConsensusKeyRetired(f"consensus address {consensus(address)}")
    if message.commission_rate < params.min_commission:
        raise CommissionTooLow(
            f"{dec.text(message.commission_rate)}, allowed: {dec.text(params.min_commission)} and more"
        )
    if message.min_self_delegation < params.min_self_delegation:
        raise SelfDelegationTooLow(f"{message.min_self_delegation} udchat, needed: {params.min_self_delegation} udchat")
    if message.amount < params.min_stake:
        raise StakeTooLow(f"{message.amount} udchat, needed: {params.min_stake} udchat")
    key = consensus_key_of(message.consensus_key)
    if not key.verify(possession_hash(ctx.chain_id, operator), message.possession):
        raise KeyNotPossessed(f"consensus address {consensus(address)}, operator {account(operator)}")
    validator = new_validator(
        state, operator=operator, consensus_key=message.consensus_key, moniker=message.moniker,
        rate=message.commission_rate, max_rate=message.commission_max_rate,
        max_change_rate=message.commission_max_change_rate, min_self_delegation=message.min_self_delegation,
        now=_now(ctx),
    )  # fmt: skip
    bank.move(state, sender=operator, recipient=NOT_BONDED_POOL, amount=message.amount)
    stake.delegate(state, validator, delegator=operator, amount=message.amount, now=_now(ctx))
    told = {"validator": account(operator), "amount": coins(message.amount)}
    state.emit(Event.of("create_validator", consensus_address=consensus(address), **told))
    return Leg("create_validator", message.amount, operator)


def edit_validator(ctx: Context, message: EditValidator) -> Leg:
    before = validator = stake.require_validator(ctx.branch, message.operator)
    if message.moniker is not None:
        validator = validator._replace(moniker=message.moniker)
    rate = message.commission_rate
    if rate is not None:
        _check_commission(validator, rate, minimum=staking_of(ctx.branch).min_commission, time_ns=ctx.time_ns)
        distribution.settle(ctx.branch, validator)
        validator = validator._replace(rate=rate, commission_time_ns=ctx.time_ns)
    least = message.min_self_delegation
    if least is not None:
        if least <= validator.min_self_delegation:
            raise MinSelfDelegationLowered(f"{least} udchat, allowed: above {validator.min_self_delegation}")
        if least > validator.tokens:
            raise SelfDelegationTooLow(f"{least} udchat, allowed: its tokens, {validator.tokens}, at most")
        validator = validator._replace(min_self_delegation=least)
    stake.put_validator(ctx.branch, before, validator)
    ctx.branch.emit(
        Event.of(
            "edit_validator", validator=account(validator.operator), moniker=validator.moniker,
            commission_rate=dec.text(validator.rate), min_self_delegation=coins(validator.min_self_delegation),
        )
    )  # fmt: skip
    return Leg("edit_validator", 0, message.operator)


def _check_commission(validator: Validator, rate: int, *, minimum: int, time_ns: int) -> None:
    since_ns = time_ns - validator.commission_time_ns
    if since_ns < COMMISSION_PERIOD_NS:
        raise CommissionTooSoon(f"{since_ns // 10**9} s ago, allowed: after {COMMISSION_PERIOD_NS // 10**9}")
    if rate > validator.max_rate:
        raise CommissionAboveMaximum(f"{dec.text(rate)}, allowed: {dec.text(validator.max_rate)} at most")
    if rate < minimum:
        raise CommissionTooLow(f"{dec.text(rate)}, allowed: {dec.text(minimum)} and more")
    if rate - validator.rate > validator.max_change_rate:
        raise CommissionChangeTooLarge(
            f"by {dec.text(rate - validator.rate)}, allowed: {dec.text(validator.max_change_rate)}"
        )


def delegate(ctx: Context, message: Delegate) -> Leg:
    validator = stake.require_validator(ctx.branch, message.operator)
    pool = stake.pool_of_status(validator.status)
    bank.move(ctx.branch, sender=message.delegator, recipient=pool, amount=message.amount)
    shares = stake.delegate(ctx.branch, validator, delegator=message.delegator, amount=message.amount, now=_now(ctx))
    pair = _pair(message.operator, message.delegator)
    ctx.branch.emit(Event.of("delegate", **pair, amount=coins(message.amount), new_shares=dec.text(shares)))
    return Leg("delegate", message.amount, message.operator)


def undelegate(ctx: Context, message: Undelegate) -> Leg:
    tokens, completion = stake.undelegate(
        ctx.branch, delegator=message.delegator, operator=message.operator, amount=message.amount, now=_now(ctx)
    )
    pair = _pair(message.operator, message.delegator)
    ctx.branch.emit(Event.of("unbond", **pair, amount=coins(tokens), completion_time=time_text(completion)))
    return Leg("undelegate", tokens, message.operator, completion)


def cancel_unbonding(ctx: Context, message: CancelUnbonding) -> Leg:
    branch, (delegator, operator, amount, height) = ctx.branch, message
    validator = stake.require_validator(branch, operator)
    if validator.jailed:
        raise ValidatorJailed(f"operator {account(operator)}")
    waiting = branch.get(UNBONDINGS + operator + delegator)
    entries = list(waiting.entries) if waiting is not None else []
    fitting = [
        at for at, one in enumerate(entries) if one.creation_height == height and one.completion_ns > ctx.time_ns
    ]
    if not fitting:
        raise NoUnbonding(f"of {account(delegator)} from {account(operator)}, begun at {height}")
    position = fitting[0]
    entry = entries[position]
    if amount > entry.balance:
        raise UnbondingTooSmall(f"{amount} udchat, allowed: {entry.balance} at most")
    pool = stake.pool_of_status(validator.status)
    if pool != NOT_BONDED_POOL:
        bank.pay_out(branch, pool=NOT_BONDED_POOL, recipient=pool, amount=amount)
    stake.delegate(branch, validator, delegator=delegator, amount=amount, now=_now(ctx))
    if amount == entry.balance:
        del entries[position]
    else:
        entries[position] = entry._replace(
            balance=entry.balance - amount, initial_balance=entry.initial_balance - amount
        )
    stake.put_unbonding(branch, operator, delegator, tuple(entries))
    pair = _pair(operator, delegator)
    branch.emit(Event.of("cancel_unbonding_delegation", **pair, amount=coins(amount), creation_height=str(height)))
    return Leg("cancel_unbonding", amount, operator)


def redelegate(ctx: Context, message: Redelegate) -> Leg:
    tokens, completion = stake.redelegate(
        ctx.branch, delegator=message.delegator, source=message.source, destination=message.destination,
        amount=message.amount, now=_now(ctx),
    )  # fmt: skip
    ctx.branch.emit(
        Event.of(
            "redelegate", source_validator=account(message.source), destination_validator=account(message.destination),
            delegator=account(message.delegator), amount=coins(tokens), completion_time=time_text(completion),
        )
    )  # fmt: skip
    return Leg("redelegate", tokens, message.destination, completion)


def unjail(ctx: Context, message: Unjail) -> Leg:
    branch = ctx.branch
    validator = stake.require_validator(branch, message.operator)
    own = stake.delegation_of(branch, message.operator, message.operator)
    worth = validator.tokens_of(own.shares) // ONE if own is not None else 0
    if own is None or worth < validator.min_self_delegation:
        raise NoSelfDelegation(f"worth {worth} udchat, needed: {validator.min_self_delegation} udchat")
    if not validator.jailed:
        raise NotJailed(f"operator {account(message.operator)}")
    info = signing.info_of(branch, validator.address)
    if info is not None:
        if info.tombstoned:
            raise Tombstoned(f"consensus address {consensus(validator.address)}")
        if ctx.time_ns < info.jailed_until_ns:
            raise StillJailed(f"for {(info.jailed_until_ns - ctx.time_ns) // 10**9} s more")
    stake.require_settled(validator)
    stake.put_validator(branch, validator, validator._replace(jailed=False))
    if validator.address in distribution.slots_of(branch).index:
        signing.begin_counting(branch, validator.address, ctx.height + 1)
    branch.emit(Event.of("unjail", validator=account(message.operator), address=consensus(validator.address)))
    return Leg("unjail", 0, message.operator)


def withdraw_rewards(ctx: Context, message: WithdrawRewards) -> Leg:
    branch, (delegator, operator) = ctx.branch, message
    validator = stake.require_validator(branch, operator)
    delegation = stake.require_delegation(branch, delegator, operator)
    paid = distribution.withdraw(branch, validator, delegator, delegation)
    again = distribution.start(branch, validator, delegation.shares, _now(ctx))
    stake.put_delegation(branch, delegator, operator, again)
    return Leg("withdraw_rewards", paid, operator)


def withdraw_commission(ctx: Context, message: WithdrawCommission) -> Leg:
    validator = stake.require_validator(ctx.branch, message.operator)
    paid = distribution.withdraw_commission(ctx.branch, validator)
    if not paid:
        raise NoCommission("less than 1 udchat")
    return Leg("withdraw_commission", paid, message.operator)


def fund_community_pool(ctx: Context, message: FundCommunityPool) -> Leg:
    bank.move(ctx.branch, sender=message.sender, recipient=DISTRIBUTION, amount=message.amount)
    distribution.add_to_pool(ctx.branch, message.amount * ONE)
    depositor = account(message.sender)
    ctx.branch.emit(Event.of("fund_community_pool", depositor=depositor, amount=coins(message.amount)))
    return Leg("fund_community_pool", message.amount)


def set_withdraw_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself."""

    def set_withdraw_address(ctx: Context, message: SetWithdrawAddress) -> Leg:
        if message.withdraw_address in refused:
            raise WithdrawAddressRefused(account(message.withdraw_address))
        own = message.withdraw_address == message.delegator
        ctx.branch.set(WITHDRAW + message.delegator, None if own else message.withdraw_address)
        told = {"delegator": account(message.delegator), "withdraw_address": account(message.withdraw_address)}
        ctx.branch.emit(Event.of("set_withdraw_address", **told))
        return Leg("set_withdraw_address", 0, message.withdraw_address)

    return set_withdraw_address


def handlers(refused: frozenset[bytes], follow_key: rotation.FollowKey) -> dict[type[Any], Handler]:
    """follow_key: moves what others keep by a consensus key."""
    return {
        CreateValidator: create_validator,
        EditValidator: edit_validator,
        Delegate: delegate,
        Undelegate: undelegate,
        CancelUnbonding: cancel_unbonding,
        Redelegate: redelegate,
        Unjail: unjail,
        WithdrawRewards: withdraw_rewards,
        WithdrawCommission: withdraw_commission,
        SetWithdrawAddress: set_withdraw_handler(refused),
        FundCommunityPool: fund_community_pool,
        RotateConsensusKey: partial(rotation.rotate_consensus_key, follow_key),
    }
