"""The chat machine: identities with an allowance, and what its rooms have: channels, messages.

Deterministic, without I/O. Reads and writes its own store alone: it never needs the currency machine to execute. What
is paid for (registration, allowance, priced channels) crosses through the bridge, which calls what is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chain.chat.channels import burners, due, pots
from chain.chat.channels import machine as channels
from chain.chat.identities import devices, names
from chain.chat.identities import machine as identities
from chain.chat.ledger.records import (
    IDENTITY,
    IDENTITY_NAME,
    PARAMS,
    Allowance,
    ChatParams,
    Identity,
    require_identity,
    require_living,
    require_of_this_life,
)
from chain.chat.messages import machine as messages
from chain.chat.messages import posts
from chain.chat.messages.records import STATE
from chain.chat.reputation import machine as reputation
from chain.chat.reputation.scores import period_of
from chain.kernel.auth import Sequences, advance, authorise, rotated
from chain.kernel.branch import SIDE_CHAT, TAG_CHAT, Decoders, Readable, Scan, State, decoders_of
from chain.kernel.context import Context, Handler
from chain.kernel.event_text import Event, account, time_text
from chain.kernel.marks import ReplayMarks
from chain.kernel.modules import BlockContext
from chain.tx import gas
from chain.tx.envelope.tx import Tx
from chain.tx.errors import AmountOverflow, IdentityExists, NameTaken, Unauthorised
from consensus.formats.units import NS_PER_S

NO_SEQUENCES: Final[Sequences] = ()
WORKS: Final = {**channels.WORKS, **posts.WORKS, **reputation.WORKS, **burners.WORKS}
MARKS: Final = ReplayMarks(TAG_CHAT, SIDE_CHAT)
DECODERS: Final[Decoders] = {
    **decoders_of(IDENTITY, PARAMS),
    **channels.DECODERS,
    **decoders_of(STATE),
    **identities.DECODERS,
    **reputation.DECODERS,
    **MARKS.decoders,
}


# ------------------------------------------------------------------------------ ante: allowance instead of a fee


def ante(ctx: Context, tx: Tx) -> None:
    """Authorise every signer, mark the replay, take the allowance.

    A device key of the identity may stand in for its policy; a channel that is named pays in its place.
    Raises: UnknownIdentity, IdentityExpired, OfAnEarlierLife, policy, device and sequence errors, Replayed,
    ExpiryTooFar, AllowanceExhausted, those of `pots.spend`.
    """
    branch = ctx.branch
    params = branch.get(PARAMS)
    if tx.unordered:
        MARKS.check(branch, tx, height=ctx.height, blocks_max=params.unordered_expiry_blocks_max)
    for index, entry in enumerate(tx.signers):
        identity = require_identity(branch, entry.address)
        if identity.expiry_ns:
            require_living(identity, ctx.time_ns)
        if tx.unordered:
            require_of_this_life(identity, tx, params.unordered_expiry_blocks_max)
        try:
            policy = authorise(tx, index, identity.policy)
        except Unauthorised:
            policy = devices.acting(ctx, tx, index, identity)
        sequences = identity.sequences if tx.unordered else advance(entry, identity.sequences, policy)
        allowance = identity.allowance
        if index == tx.fee_payer:
            if tx.fee_granter:
                pots.spend(ctx, tx, params)
            else:
                allowance = params.take(identity, tx, ctx.time_ns)
        branch.set(IDENTITY + entry.address, identity.with_use(sequences, allowance))
    if tx.unordered:
        MARKS.add(branch, tx)


# ------------------------------------------------------------------------------ what the bridge calls


def register(
    ctx: Context, *, address: bytes, name: str, display: str, policy: bytes, allowance: Allowance, lifetime_s: int = 0
) -> None:
    """Create an identity. lifetime_s: of a burner; 0: it lasts. Raises: IdentityExists, NameTaken, NameLooksAlike."""
    branch = ctx.branch
    if branch.get(IDENTITY + address) is not None:
        raise IdentityExists(account(address))
    if branch.get(IDENTITY_NAME + name.encode()) is not None:
        raise NameTaken(name)
    names.take(branch, name)
    branch.set(IDENTITY_NAME + name.encode(), address)
    expiry_ns, sequences = 0, NO_SEQUENCES
    told = {"address": account(address), "name": name}
    if lifetime_s:
        expiry_ns, sequences = ctx.time_ns + lifetime_s * NS_PER_S, burners.first_sequences(ctx.height)
        due.wait(branch, expiry_ns, due.IDENTITY, address)
        told["until"] = time_text(expiry_ns)
    identity = Identity(
        address, name, display, policy, sequences, allowance, ctx.height, expiry_ns,
        before_height=burners.last_end(branch, address, ctx.height),
        created_day=0 if lifetime_s else period_of(ctx.time_ns),
    )  # fmt: skip
    branch.set(IDENTITY + address, identity)
    branch.emit(Event.of("register_identity", **told))


def add_bought(ctx: Context, address: bytes, *, messages: int, size: int) -> None:
    """Raises: UnknownIdentity, AmountOverflow."""
    identity = require_identity(ctx.branch, address)
    allowance = identity.allowance.with_bought(messages, size)
    if not allowance.fits():
        raise AmountOverflow("the identity's allowance")
    ctx.branch.set(IDENTITY + address, identity.with_use(identity.sequences, allowance))


def set_locked(state: State, address: bytes, locked: int) -> None:
    """udchat for which the identity, if there is one, is lent more in every period."""
    identity = state.get(IDENTITY + address)
    if identity is not None and not identity.expiry_ns:  # a burner is lent nothing
        has = identity.allowance
        lent = Allowance(has.messages, has.size, locked, has.use)
        state.set(IDENTITY + address, identity.with_use(identity.sequences, lent))


def rotate(state: State, address: bytes, *, before: bytes, after: bytes) -> None:
    """Change an identity's key policy, where there is one."""
    found = state.get(IDENTITY + address)
    if found is not None:
        sequences = rotated(found.sequences, before=before, after=after)
        state.set(IDENTITY + address, found.with_policy(after, sequences))
        devices.revoke_all(state, address)


# ------------------------------------------------------------------------------ blocks


def end_block(state: State, scan: Scan, height: int, block_gas_max: int) -> Iterator[None]:
    """Remove expired replay marks: as many as a block can add."""
    return MARKS.prune(state, scan, height=height, budget=gas.most_of(gas.GAS_LEAST_TX, block_gas_max))


def work_off(ctx: BlockContext) -> Iterator[None]:
    """Carry out what waited for its time."""
    return due.work_off(ctx, WORKS)


def genesis(state: State, params: ChatParams) -> None:
    state.set(PARAMS, params)


def handlers() -> dict[type[Any], Handler]:
    return {
        **channels.handlers(),
        **messages.handlers(),
        **posts.handlers(),
        **identities.handlers(),
        **reputation.handlers(),
    }


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    yield from channels.invariants(state, scan)
    yield from messages.invariants(state, scan)
    yield from posts.invariants(state, scan)
    yield from identities.invariants(state, scan)
    yield from burners.invariants(state, scan)
    yield from reputation.invariants(state, scan)
    named: dict[bytes, str] = {identity.address: identity.name for _, identity in scan(IDENTITY)}
    taken = {address: key[len(IDENTITY_NAME) :].decode() for key, address in scan(IDENTITY_NAME)}
    yield "chat: names and identities agree", taken == named, f"{len(taken)} names, {len(named)} identities"
    unread = MARKS.disagreeing(state, scan)
    yield "chat: replay marks agree with their leaves", not unread, f"{len(unread)} do not"
