"""Another consensus key for a validator that stays: what it was known by moves to the new one, at once.

Everything that is kept by consensus address (the commit's slots with what accrued in them, signing info with misses,
jail and offences, who is absent, what is watched; elsewhere, which upgrades it is ready for) is renamed in the block
that has the change. The engine learns of it at that block's end, and the old key signs the next block too; so what
comes from the engine by a key that was given up (votes, proposers, evidence as long as it is valid) is read as the key
that the validator has now: `current`.
A key that was given up is remembered for ever, and never taken again.
Source: Cosmos SDK main, docs/architecture/adr-016-validator-consensus-key-rotation.md and x/staking/keeper, which move
the same when the block ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from chain.currency.ledger import bank
from chain.currency.ledger.bank import DISTRIBUTION
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import NS_PER_S, staking_of
from chain.currency.ledger.stake_records import (
    ACTIVE,
    CONSENSUS_KEY,
    RETIRED_KEY,
    ROTATIONS,
    TOLD,
    UNSETTLED,
    VALIDATOR,
    KeyRotation,
    KeyRotations,
    Now,
    Validator,
    consensus_address,
)
from chain.currency.rewards import distribution
from chain.currency.staking import signing, stake
from chain.kernel.branch import Readable, Scan, State
from chain.kernel.context import Context, Leg
from chain.kernel.event_text import Event, account, coins, consensus, some, time_text
from chain.tx.errors import (
    ConsensusKeyRetired,
    ConsensusKeyTaken,
    KeyNotPossessed,
    KeyRotationOff,
    Tombstoned,
    TooManyRotations,
)
from chain.tx.messages.economy import RotateConsensusKey, possession_hash
from chain.tx.messages.kinds.fields import consensus_key_of
from consensus.abci.interface import VoteInfo

KEPT_MAX: Final = 64  # of a validator: eight unbonding times of as many changes as params can allow
_NONE: Final = KeyRotations()
FollowKey: TypeAlias = Callable[[State, bytes, bytes], None]  # the address before, the new key

# ------------------------------------------------------------------------------ who had a key


def rotations_of(state: Readable, operator: bytes) -> tuple[KeyRotation, ...]:
    """The keys that a validator had before, oldest first."""
    return (state.get(ROTATIONS + operator) or _NONE).entries


def current(state: Readable, address: bytes) -> bytes:
    """The consensus address that the validator which had this one has now; any other is returned as it is."""
    operator = state.get(RETIRED_KEY + address)
    validator = None if operator is None else state.get(VALIDATOR + operator)
    if operator is None or validator is None:
        return address
    known = any(one.address == address for one in rotations_of(state, operator))  # else of one that is gone
    return validator.address if known else address


def current_votes(state: Readable, votes: Sequence[VoteInfo]) -> Sequence[VoteInfo]:
    """A commit's members by the keys that they have now. Who has a slot has it by that."""
    known = distribution.slots_of(state).index
    if all(vote.address in known for vote in votes):
        return votes
    return tuple(
        vote if vote.address in known else replace(vote, address=current(state, vote.address)) for vote in votes
    )


def require_free(state: Readable, address: bytes) -> None:
    """That a key can become a validator's. Raises: ConsensusKeyTaken, ConsensusKeyRetired."""
    if state.get(CONSENSUS_KEY + address) is not None:
        raise ConsensusKeyTaken(f"consensus address {consensus(address)}")
    if state.get(RETIRED_KEY + address) is not None:
        raise ConsensusKeyRetired(f"consensus address {consensus(address)}")


# ------------------------------------------------------------------------------ the change


def rotate_consensus_key(follow_key: FollowKey, ctx: Context, message: RotateConsensusKey) -> Leg:
    """follow_key: moves what other modules keep by the address before to the new key.

    Raises: UnknownValidator, KeyRotationOff, TooManyRotations, Tombstoned, ConsensusKeyTaken, ConsensusKeyRetired,
    KeyNotPossessed, Overspend."""
    state, now, params = ctx.branch, Now(ctx.height, ctx.time_ns), staking_of(ctx.branch)
    before = stake.require_validator(state, message.operator)
    if not params.key_rotations_max:
        raise KeyRotationOff("staking.key_rotations_max is 0")
    _check_pace(state, before, now)
    info = signing.info_of(state, before.address)
    if info is not None and info.tombstoned:
        raise Tombstoned(f"consensus address {consensus(before.address)}")
    address = consensus_address(message.consensus_key)
    require_free(state, address)
    if signing.info_of(state, address) is not None:  # of a validator that is gone
        raise ConsensusKeyRetired(f"consensus address {consensus(address)}")
    digest = possession_hash(ctx.chain_id, message.operator)
    if not consensus_key_of(message.consensus_key).verify(digest, message.possession):
        raise KeyNotPossessed(f"consensus address {consensus(address)}, operator {account(message.operator)}")
    fee = params.key_rotation_fee
    bank.move(state, sender=message.operator, recipient=DISTRIBUTION, amount=fee)
    distribution.add_to_pool(state, fee * ONE)
    _rotate(state, before, before._replace(consensus_key=message.consensus_key), now)
    follow_key(state, before.address, message.consensus_key)
    state.emit(
        Event.of(
            "rotate_consensus_key", validator=account(message.operator), retired_address=consensus(before.address),
            consensus_address=consensus(address), fee=coins(fee),
        )
    )  # fmt: skip
    return Leg("rotate_consensus_key", fee, message.operator)


def _check_pace(state: Readable, validator: Validator, now: Now) -> None:
    """Raises: TooManyRotations."""
    params = staking_of(state)
    period_ns = params.unbonding_s * NS_PER_S
    recent = (state.get(ROTATIONS + validator.operator) or _NONE).since(now.time_ns - period_ns)
    if len(recent) >= params.key_rotations_max:
        most = params.key_rotations_max
        again = time_text(recent[-most].time_ns + period_ns)
        raise TooManyRotations(f"{len(recent)} in {params.unbonding_s} s, allowed: {most}; again from {again}")


def _rotate(state: State, before: Validator, after: Validator, now: Now) -> None:
    operator, old, new = before.operator, before.address, after.address
    members = state.get(ACTIVE)
    if members is not None and any(member == operator for member, _ in members.members):
        state.set(TOLD + operator, state.get(TOLD + operator) or before)  # of two changes in a block, the first one's
    stake.put_validator(state, before, after)
    state.set(CONSENSUS_KEY + old, None)
    state.set(CONSENSUS_KEY + new, operator)
    state.set(RETIRED_KEY + old, operator)
    kept = (*rotations_of(state, operator), KeyRotation(old, now.height, now.time_ns))
    state.set(ROTATIONS + operator, KeyRotations(kept[-KEPT_MAX:]))
    signing.rename(state, old, new)
    distribution.rename_member(state, old, new)


# ------------------------------------------------------------------------------ what must hold


def invariants(state: Readable, scan: Scan, validators: dict[bytes, Validator]) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    retired: dict[bytes, Any] = {key[len(RETIRED_KEY) :]: operator for key, operator in scan(RETIRED_KEY)}
    slots = distribution.slots_of(state).index
    used = [
        address.hex()
        for address in retired
        if state.get(CONSENSUS_KEY + address) is not None
        or signing.info_of(state, address) is not None
        or address in slots
    ]
    yield "staking: keys that were given up are nobody's", not used, f"still used: {some(used)}"
    wrong = []
    for key, record in scan(ROTATIONS):
        operator, entries = key[len(ROTATIONS) :], record.entries
        ordered = list(entries) == sorted(entries, key=lambda one: (one.height, one.time_ns))
        mine = all(retired.get(one.address) == operator for one in entries)
        if operator not in validators or not entries or not ordered or not mine or len(entries) > KEPT_MAX:
            wrong.append(operator.hex())
    yield "staking: validators answer for the keys that they had", not wrong, f"these do not: {some(wrong)}"
    waiting = {key[len(TOLD) :]: told for key, told in scan(TOLD)}
    members = state.get(ACTIVE)
    active = {operator for operator, _ in members.members} if members is not None else set()
    others = [
        operator.hex()
        for operator, told in waiting.items()
        if operator not in active or told.operator != operator or retired.get(told.address) != operator
    ]
    yield "staking: who waits to be told is of the set, by a key that it gave up", not others, f"not: {some(others)}"
    settled = state.get(UNSETTLED) is None
    yield "staking: the engine was told of every new key", not waiting or not settled, f"{len(waiting)} wait"
