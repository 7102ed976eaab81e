"""Stake and what it is worth: validators' records, delegations, unbondings and redelegations.

Every function keeps the sums: a pool holds the tokens of its validators (and the unbondings), a validator's shares are
those of its delegations. Shares are cut, never rounded up, so that what remains is never worth less to the others.
Source: Cosmos SDK v0.50, x/staking/README.md; docs/economics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from chain.currency.ledger import bank, dec
from chain.currency.ledger.bank import BONDED_POOL, NOT_BONDED_POOL
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import NS_PER_S, staking_of
from chain.currency.ledger.stake_records import (
    BONDED,
    BY_DELEGATOR,
    BY_MOVER,
    BY_OPERATOR,
    CONSENSUS_KEY,
    DELEGATES,
    DELEGATION,
    MARK,
    RECEIVING,
    REDELEGATIONS,
    REDELEGATIONS_BEGUN,
    ROTATIONS,
    UNBONDED,
    UNBONDING,
    UNBONDINGS,
    UNBONDINGS_BEGUN,
    VALIDATOR,
    Delegation,
    Now,
    Redelegation,
    RedelegationEntry,
    Unbonding,
    UnbondingEntry,
    Validator,
    power_key,
)
from chain.currency.rewards import distribution
from chain.currency.staking import signing
from chain.currency.staking.queues import REDELEGATION_QUEUE, UNBONDING_QUEUE
from chain.kernel.branch import Readable, State
from chain.kernel.event_text import Event, account, coins, consensus
from chain.tx.codec import height_bytes
from chain.tx.errors import (
    NoDelegation,
    NotEnoughShares,
    SlashWaiting,
    TinyAmount,
    TooManyRedelegations,
    TooManyUnbondings,
    TransitiveRedelegation,
    UnknownValidator,
    WorthlessShares,
)

Entry: TypeAlias = UnbondingEntry | RedelegationEntry
SHARES_MAX: Final = 1 << 256  # a Dec: 10^40 times what the whole supply is worth at 1:1

# ------------------------------------------------------------------------------ validators


def validator_of(state: Readable, operator: bytes) -> Validator | None:
    return state.get(VALIDATOR + operator)


def require_validator(state: Readable, operator: bytes) -> Validator:
    """Raises: UnknownValidator."""
    found = validator_of(state, operator)
    if found is None:
        raise UnknownValidator(f"operator {account(operator)}")
    return found


def require_settled(validator: Validator) -> None:
    """That no slash of it is under way: what it is worth is not known until then, and nobody leaves before it.

    Raises: SlashWaiting.
    """
    if validator.slashes_waiting:
        raise SlashWaiting(f"operator {account(validator.operator)}: {validator.slashes_waiting} not done yet")


def put_validator(state: State, before: Validator | None, after: Validator | None) -> None:
    """Write it, and where it stands in the index by power: the jailed and the powerless do not."""
    old, new = _index_key(before), _index_key(after)
    if old != new:
        if old is not None:
            state.set(old, None)
        if new is not None:
            state.set(new, MARK)
    validator = after or before
    assert validator is not None
    state.set(VALIDATOR + validator.operator, after)


def _index_key(validator: Validator | None) -> bytes | None:
    if validator is None or validator.jailed or not validator.power:
        return None
    return power_key(validator.power, validator.operator)


def pool_of_status(status: int) -> bytes:
    return BONDED_POOL if status == BONDED else NOT_BONDED_POOL


def jail(state: State, validator: Validator, now: Now, *, reset: bool = False) -> Validator:
    """Out of the set at the end of this block. reset: its misses are punished and forgotten."""
    assert not validator.jailed, validator
    after = validator._replace(jailed=True)
    put_validator(state, validator, after)
    signing.stop_counting(state, validator.address, now.height, reset=reset)
    state.emit(Event.of("jail", validator=account(validator.operator), address=consensus(validator.address)))
    return after


def remove_validator(state: State, validator: Validator) -> None:
    """One that is unbonded and has no shares left."""
    assert validator.status == UNBONDED, validator
    assert not validator.shares, validator
    assert not validator.tokens, validator  # the last shares take all tokens with them
    assert not validator.slashes_waiting, validator  # nobody leaves meanwhile, and nothing matures
    distribution.remove_validator(state, validator)
    put_validator(state, validator, None)
    state.set(CONSENSUS_KEY + validator.address, None)
    if state.get(ROTATIONS + validator.operator) is not None:  # nobody answers for its keys any more
        state.set(ROTATIONS + validator.operator, None)


# ------------------------------------------------------------------------------ delegations


def delegation_of(state: Readable, delegator: bytes, operator: bytes) -> Delegation | None:
    return state.get(DELEGATION + delegator + operator)


def put_delegation(state: State, delegator: bytes, operator: bytes, delegation: Delegation | None) -> None:
    change = (delegation is not None) - (delegation_of(state, delegator, operator) is not None)
    state.set(DELEGATION + delegator + operator, delegation)
    state.set(BY_OPERATOR + operator + delegator, MARK if delegation is not None else None)
    if change:
        count = int.from_bytes(state.get(DELEGATES + delegator) or b"", "big") + change
        state.set(DELEGATES + delegator, count.to_bytes(4, "big") if count else None)


def has_stake(state: Readable, address: bytes) -> bool:
    """Whether it delegates to anybody, or operates a validator."""
    return state.get(DELEGATES + address) is not None or validator_of(state, address) is not None


def require_delegation(state: Readable, delegator: bytes, operator: bytes) -> Delegation:
    """Raises: NoDelegation."""
    found = delegation_of(state, delegator, operator)
    if found is None:
        raise NoDelegation(f"of {account(delegator)} to {account(operator)}")
    return found


def delegate(state: State, validator: Validator, *, delegator: bytes, amount: int, now: Now) -> int:
    """Add `amount` to a validator's tokens, which its pool must have got already. Returns the shares, a Dec.

    What the delegation earned so far is paid. Raises: SlashWaiting, WorthlessShares, TinyAmount.
    """
    require_settled(validator)
    operator = validator.operator
    if validator.shares and not validator.tokens:
        raise WorthlessShares("all its tokens were slashed")
    found = delegation_of(state, delegator, operator)
    if found is not None:
        distribution.withdraw(state, validator, delegator, found)
    else:
        distribution.end_period(state, validator)
    shares = validator.shares_of(amount)
    if not shares:
        raise TinyAmount(f"{amount} udchat are worth no share")
    if validator.shares + shares > SHARES_MAX:  # each slash to almost nothing makes the next shares so much cheaper
        raise WorthlessShares("slashes left its shares next to nothing")
    after = validator._replace(tokens=validator.tokens + amount, shares=validator.shares + shares)
    put_validator(state, validator, after)
    owned = shares + (found.shares if found is not None else 0)
    put_delegation(state, delegator, operator, distribution.start(state, after, owned, now))
    return shares


def unbond(state: State, validator: Validator, *, delegator: bytes, shares: int, now: Now) -> int:
    """Take shares off a delegation and their tokens off the validator; returns the tokens, still in its pool.

    What the delegation earned is paid; an operator below its minimum is jailed; an unbonded validator without shares
    is removed. Raises: NoDelegation, NotEnoughShares.
    """
    operator = validator.operator
    found = require_delegation(state, delegator, operator)
    if found.shares < shares:
        raise NotEnoughShares(f"{dec.text(found.shares)} owned, {dec.text(shares)} asked")
    distribution.withdraw(state, validator, delegator, found)
    left = found.shares - shares
    if delegator == operator and not validator.jailed and _below_minimum(validator, left):
        validator = jail(state, validator, now)
    kept = distribution.start(state, validator, left, now) if left else None
    put_delegation(state, delegator, operator, kept)
    remaining = validator.shares - shares
    tokens = validator.tokens_of(shares) // ONE if remaining else validator.tokens
    after = validator._replace(tokens=validator.tokens - tokens, shares=remaining)
    assert after.tokens >= 0, after
    put_validator(state, validator, after)
    if not remaining and after.status == UNBONDED:
        remove_validator(state, after)
    return tokens


def _below_minimum(validator: Validator, shares: int) -> bool:
    return validator.tokens_of(shares) // ONE < validator.min_self_delegation


def shares_to_unbond(validator: Validator, delegation: Delegation, amount: int) -> int:
    """The shares that `amount` udchat stand for. Raises: NotEnoughShares.

    What would be left and is worth less than a unit goes along (#10254: nobody could ever take it out), and of a
    validator without tokens everything does (#10091).
    """
    if not validator.tokens:
        return delegation.shares
    shares = validator.shares_of(amount)
    if shares > delegation.shares:
        worth = validator.tokens_of_trunc(delegation.shares) // ONE
        raise NotEnoughShares(f"{amount} udchat asked, the delegation is worth {worth}")
    if validator.tokens_of_trunc(delegation.shares - shares) < ONE:
        return delegation.shares
    return shares


# ------------------------------------------------------------------------------ unbonding


def undelegate(state: State, *, delegator: bytes, operator: bytes, amount: int, now: Now) -> tuple[int, int]:
    """(tokens, when they are paid out, ns). Always a full period, whatever the validator's status.

    Raises: UnknownValidator, SlashWaiting, NoDelegation, NotEnoughShares, TooManyUnbondings.
    """
    validator = require_validator(state, operator)
    require_settled(validator)
    delegation = require_delegation(state, delegator, operator)
    params = staking_of(state)
    waiting = state.get(UNBONDINGS + operator + delegator)
    if waiting is not None and len(waiting.entries) >= params.entries_max:
        raise TooManyUnbondings(f"{len(waiting.entries)} wait, allowed: {params.entries_max}")
    shares = shares_to_unbond(validator, delegation, amount)
    tokens = unbond(state, validator, delegator=delegator, shares=shares, now=now)
    completion = now.time_ns + params.unbonding_s * NS_PER_S
    if not tokens:
        return 0, completion
    if validator.status == BONDED:
        bank.pay_out(state, pool=BONDED_POOL, recipient=NOT_BONDED_POOL, amount=tokens)
    entry = UnbondingEntry(now.height, completion, tokens, tokens)
    entries = waiting.entries if waiting is not None else ()
    put_unbonding(state, operator, delegator, _merged(entries, entry))
    UNBONDING_QUEUE.push(state, completion, operator + delegator)
    return tokens, completion


def _merged(entries: tuple[UnbondingEntry, ...], new: UnbondingEntry) -> tuple[UnbondingEntry, ...]:
    """With `new`; one of the same height and time takes it in."""
    for position, old in enumerate(entries):
        if old[:2] == new[:2]:
            both = old._replace(
                initial_balance=old.initial_balance + new.initial_balance, balance=old.balance + new.balance
            )
            return (*entries[:position], both, *entries[position + 1 :])
    return (*entries, new)


def put_unbonding(state: State, operator: bytes, delegator: bytes, entries: tuple[UnbondingEntry, ...]) -> None:
    key = UNBONDINGS + operator + delegator
    before = state.get(key)
    _mark_heights(state, UNBONDINGS_BEGUN + operator, delegator, before.entries if before is not None else (), entries)
    state.set(key, Unbonding(entries) if entries else None)
    state.set(BY_DELEGATOR + delegator + operator, MARK if entries else None)


def _mark_heights(state: State, prefix: bytes, rest: bytes, before: Sequence[Entry], after: Sequence[Entry]) -> None:
    """Where a slash finds what began at a height: prefix ‖ height ‖ rest."""
    were = {entry.creation_height for entry in before}
    are = {entry.creation_height for entry in after}
    for height in sorted(were ^ are):
        state.set(prefix + height_bytes(height) + rest, MARK if height in are else None)


def complete_unbonding(state: State, operator: bytes, delegator: bytes, now: Now) -> int:
    """Pay what is due of an unbonding; returns the udchat paid."""
    waiting = state.get(UNBONDINGS + operator + delegator)
    if waiting is None:
        return 0
    due = [entry for entry in waiting.entries if entry.completion_ns <= now.time_ns]
    if due:
        rest = tuple(entry for entry in waiting.entries if entry.completion_ns > now.time_ns)
        put_unbonding(state, operator, delegator, rest)
    paid = sum(entry.balance for entry in due)
    bank.pay_out(state, pool=NOT_BONDED_POOL, recipient=delegator, amount=paid)
    if due:
        of = {"validator": account(operator), "delegator": account(delegator)}
        state.emit(Event.of("complete_unbonding", amount=coins(paid), **of))
    return paid


# ------------------------------------------------------------------------------ redelegation


def redelegate(
    state: State, *, delegator: bytes, source: bytes, destination: bytes, amount: int, now: Now
) -> tuple[int, int]:
    """(tokens moved, until when slashes of the source reach them, ns; 0: they do not).

    Raises: UnknownValidator, SlashWaiting, NoDelegation, NotEnoughShares, TransitiveRedelegation,
    TooManyRedelegations, TinyAmount, WorthlessShares.
    """
    validator = require_validator(state, source)
    require_settled(validator)
    require_validator(state, destination)
    delegation = require_delegation(state, delegator, source)
    if state.get(RECEIVING + delegator + source) is not None:
        raise TransitiveRedelegation("tokens that were redelegated to the source may still be slashed elsewhere")
    params = staking_of(state)
    waiting = state.get(REDELEGATIONS + source + delegator + destination)
    if waiting is not None and len(waiting.entries) >= params.entries_max:
        raise TooManyRedelegations(f"{len(waiting.entries)} wait, allowed: {params.entries_max}")
    shares = shares_to_unbond(validator, delegation, amount)
    tokens = unbond(state, validator, delegator=delegator, shares=shares, now=now)
    if not tokens:
        raise TinyAmount("it is worth less than 1 udchat")
    target = require_validator(state, destination)
    pools = pool_of_status(validator.status), pool_of_status(target.status)
    if pools[0] != pools[1]:
        bank.pay_out(state, pool=pools[0], recipient=pools[1], amount=tokens)
    got = delegate(state, target, delegator=delegator, amount=tokens, now=now)
    if validator.status == UNBONDED:
        return tokens, 0
    height, completion = now.height, now.time_ns + params.unbonding_s * NS_PER_S
    if validator.status == UNBONDING:
        height, completion = validator.unbonding_height, validator.unbonding_time_ns
    entry = RedelegationEntry(height, completion, tokens, got)
    entries = (*(waiting.entries if waiting is not None else ()), entry)
    _put_redelegation(state, source, delegator, destination, entries)
    REDELEGATION_QUEUE.push(state, completion, source + delegator + destination)
    return tokens, completion


def _put_redelegation(
    state: State, source: bytes, delegator: bytes, destination: bytes, entries: tuple[RedelegationEntry, ...]
) -> None:
    key = REDELEGATIONS + source + delegator + destination
    found = state.get(key)
    before = found.entries if found is not None else ()
    _mark_heights(state, REDELEGATIONS_BEGUN + source, delegator + destination, before, entries)
    state.set(key, Redelegation(entries) if entries else None)
    state.set(BY_MOVER + delegator + destination + source, MARK if entries else None)
    receiving = RECEIVING + delegator + destination
    count = int.from_bytes(state.get(receiving) or b"", "big") + len(entries) - len(before)
    assert count >= 0, (delegator.hex(), destination.hex())
    state.set(receiving, count.to_bytes(4, "big") if count else None)


def complete_redelegation(state: State, source: bytes, delegator: bytes, destination: bytes, now: Now) -> None:
    """Forget what slashes of the source no longer reach."""
    waiting = state.get(REDELEGATIONS + source + delegator + destination)
    if waiting is None:
        return
    rest = tuple(entry for entry in waiting.entries if entry.completion_ns > now.time_ns)
    if len(rest) < len(waiting.entries):
        _put_redelegation(state, source, delegator, destination, rest)
        done = sum(entry.initial_balance for entry in waiting.entries) - sum(entry.initial_balance for entry in rest)
        state.emit(
            Event.of(
                "complete_redelegation", amount=coins(done), delegator=account(delegator),
                source_validator=account(source), destination_validator=account(destination),
            )
        )  # fmt: skip
