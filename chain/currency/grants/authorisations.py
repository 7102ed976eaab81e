"""Authorisations: an account lets another act in its name, by messages of a kind, up to an amount, for a time.

The grantee sends an `exec` that carries the granter's messages; each runs as if the granter had sent it, after the
authorisation of its kind was found and what it spends was taken off. All of a transaction is done or nothing is, so
that what fails takes nothing off. A grantee cannot let others do it, nor change what it may: such kinds are not let at
all (chain.tx.messages.grants). One that is spent or revoked goes at once, with its place in the queue of those
that expire. One of an earlier epoch of its granter is void, and stays until then or until another has its place.
Source: Cosmos SDK v0.50, x/authz/README.md; what went wrong there: issues 20146, 25822, and Elderflower.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from chain.currency.ledger.records import ACCOUNT, EPOCHS
from chain.currency.ledger.stake_records import MARK, Now
from chain.currency.staking.queues import TIME_BYTES, TimeQueue
from chain.kernel.branch import Branch, Decoders, Key, Readable, RecordKind, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, coins, some, time_text
from chain.tx import gas
from chain.tx.codec import height_bytes
from chain.tx.errors import (
    AuthorisationExceeded,
    AuthorisationExists,
    ExpiryPassed,
    GranteeRefused,
    NoAuthorisation,
    RecipientNotAuthorised,
)
from chain.tx.messages.grants import INNER, INNER_OF, SPENDING, Authorise, Exec, RevokeAuthorisation
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import state_pb2 as pb

PER_SLICE: Final = 100


class Authorisation(NamedTuple):
    """left: udchat, of kinds that spend. recipients: of payments; none: anybody. epoch: the granter's."""

    left: int
    expiry_ns: int
    recipients: tuple[bytes, ...] = ()
    epoch: int = 0

    def encode(self) -> bytes:
        return pb.Authorisation(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Authorisation:
        r = pb.Authorisation.FromString(stored)
        return Authorisation(r.left, r.expiry_ns, tuple(r.recipients), r.epoch)


AUTHORISATION: Final = Key.of(b"uz", Authorisation)  # ‖ granter ‖ grantee ‖ kind
EXPIRING: Final = Key.of(b"Uz", bytes)  # side: ‖ expiry ‖ granter ‖ grantee ‖ kind
BY_GRANTEE: Final = Key.of(b"Ua", bytes)  # side: ‖ grantee ‖ granter ‖ kind
QUEUE: Final = TimeQueue(EXPIRING)
DECODERS: Final[Decoders] = decoders_of(AUTHORISATION)
AUTHORISATIONS: Final = RecordKind(AUTHORISATION, pb.Authorisation, "the authorisation")


def name_of(granter: bytes, grantee: bytes, kind: str) -> bytes:
    """Under which an authorisation lies."""
    return granter + grantee + kind.encode()


def by_grantee(name: bytes) -> bytes:
    """Under which it is found; of that, the name."""
    return name[ADDRESS_BYTES : 2 * ADDRESS_BYTES] + name[:ADDRESS_BYTES] + name[2 * ADDRESS_BYTES :]


def is_void(state: Readable, name: bytes, found: Authorisation) -> bool:
    return found.epoch != EPOCHS.of(state, name[:ADDRESS_BYTES])


def _told(name: bytes) -> dict[str, str]:
    granter, grantee = name[:ADDRESS_BYTES], name[ADDRESS_BYTES : 2 * ADDRESS_BYTES]
    return {"granter": account(granter), "grantee": account(grantee), "kind": name[2 * ADDRESS_BYTES :].decode()}


def _end(state: State, name: bytes, found: Authorisation, why: str) -> None:
    state.set(AUTHORISATION + name, None)
    state.set(BY_GRANTEE + by_grantee(name), None)
    QUEUE.remove(state, found.expiry_ns, name)
    state.emit(Event.of("end_authorisation", **_told(name), reason=why))


def _spend(ctx: Context, name: bytes, kind: str, message: Any) -> None:
    """Raises: NoAuthorisation, RecipientNotAuthorised, AuthorisationExceeded."""
    branch = ctx.branch
    found = branch.get(AUTHORISATION + name)
    if found is None or found.expiry_ns <= ctx.time_ns:
        raise NoAuthorisation(f"for {kind}")
    if is_void(branch, name, found):
        raise NoAuthorisation(f"for {kind}: it was given before the account was recovered")
    if kind not in SPENDING:
        return
    if found.recipients and message.recipient not in found.recipients:
        raise RecipientNotAuthorised(account(message.recipient))
    amount = message.amount
    if amount > found.left:
        raise AuthorisationExceeded(f"{amount} udchat, left: {found.left} udchat")
    if amount == found.left:
        _end(branch, name, found, "spent")
    else:
        branch.set(AUTHORISATION + name, found._replace(left=found.left - amount))


# ------------------------------------------------------------------------------ messages


def authorise_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself."""

    def authorise(ctx: Context, message: Authorise) -> Leg:
        branch = ctx.branch
        granter, grantee, kind, expiry_ns, limit, recipients = message
        if grantee in refused:
            raise GranteeRefused(account(grantee))
        if expiry_ns <= ctx.time_ns:
            raise ExpiryPassed(f"{time_text(expiry_ns)}; this block: {time_text(ctx.time_ns)}")
        name = name_of(granter, grantee, kind)
        before = branch.get(AUTHORISATION + name)
        if before is not None:
            void = is_void(branch, name, before)
            if before.expiry_ns > ctx.time_ns and not void:
                raise AuthorisationExists(f"of {account(grantee)} for {kind}")
            _end(branch, name, before, "void" if void else "expired")
        made = Authorisation(limit, expiry_ns, recipients, EPOCHS.of(branch, granter))
        branch.set(AUTHORISATION + name, made)
        branch.set(BY_GRANTEE + by_grantee(name), MARK)
        QUEUE.push(branch, expiry_ns, name)
        branch.emit(Event.of("authorise", **_told(name), amount=coins(limit), expiry_time=time_text(expiry_ns)))
        return Leg("authorise", limit, grantee)

    return authorise


def revoke(ctx: Context, message: RevokeAuthorisation) -> Leg:
    name = name_of(*message)
    found = ctx.branch.get(AUTHORISATION + name)
    if found is None:
        raise NoAuthorisation(f"for {message.kind}")
    _end(ctx.branch, name, found, "revoked")
    return Leg("revoke_authorisation", 0, message.grantee)


def exec_handler(run: Mapping[type[Any], Handler]) -> Handler:
    """run: the handlers of all machines, of which INNER's are asked."""

    def exec_(ctx: Context, message: Exec) -> Leg:
        grantee, granter, messages = message
        amount = 0
        for inner in messages:
            kind = INNER_OF[type(inner)].name
            _spend(ctx, name_of(granter, grantee, kind), kind, inner)
            ctx.others.add(ACCOUNT + granter)  # what waits of the granter's own may find less than it counted on
            run[type(inner)](ctx, inner)
            if kind in SPENDING:  # within the supply, since none of it comes back meanwhile: a receipt holds the sum
                amount += inner.amount
        told = {"grantee": account(grantee), "granter": account(granter), "messages": str(len(messages))}
        ctx.branch.emit(Event.of("exec", **told))
        return Leg("exec", amount, granter, len(messages))

    return exec_


def handlers(refused: frozenset[bytes], run: Mapping[type[Any], Handler]) -> dict[type[Any], Handler]:
    return {
        Authorise: authorise_handler(refused),
        RevokeAuthorisation: revoke,
        Exec: exec_handler(run),
    }


# ------------------------------------------------------------------------------ blocks


def end_block(branch: Branch, scan: Scan, now: Now, block_gas_max: int) -> Iterator[None]:
    """Remove what has expired, oldest first: as many as a block can add. Nothing of it can fail."""
    items_max = gas.most_of(gas.GAS_STAYS + gas.GAS_LATER, block_gas_max)
    for number, due in enumerate(QUEUE.take_due(branch, scan, now.time_ns, items_max), start=1):
        name = due[TIME_BYTES:]
        found = branch.get(AUTHORISATION + name)
        if found is not None:
            _end(branch, name, found, "expired")
        if number % PER_SLICE == 0:
            yield


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    queued = {key[len(EXPIRING) :] for key, _ in scan(EXPIRING)}
    named = {key[len(BY_GRANTEE) :] for key, _ in scan(BY_GRANTEE)}
    wrong = []
    count = 0
    for key, found in scan(AUTHORISATION):
        name = key[len(AUTHORISATION) :]
        kind = name[2 * ADDRESS_BYTES :].decode()
        count += 1
        place = height_bytes(found.expiry_ns) + name
        placed = place in queued and by_grantee(name) in named
        if not placed or kind not in INNER or bool(found.left) != (kind in SPENDING):
            wrong.append(name.hex())
        queued.discard(place)
        named.discard(by_grantee(name))
    left = [place.hex() for place in sorted(queued | named)]
    yield "currency: authorisations have something left, their time and grantee", not wrong, f"{count}, {some(wrong)}"
    yield "currency: no place in queue or index without its authorisation", not left, some(left)
    yield QUEUE.invariant("authorisations", state, scan)
