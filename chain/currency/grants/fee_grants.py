"""Fee grants: an account pays the fees of another's transactions, within limits that it set and signed.

A transaction names its fee granter, which does not sign it; the grant is the signature. The ante part takes the fee
from the granter's account and off the grant, whatever becomes of the messages. A grant goes at once when it is spent or
revoked, together with its place in the queue of those that expire (a place left behind would end the next grant too
early), and at the end of the first block at its expiry. One of an earlier epoch of its granter is void. Admission
counts what waits against grant and granter alike.
Source: Cosmos SDK v0.50, x/feegrant/README.md; what went wrong there: its issues 9439, 10563, 10704, 20057.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from chain.currency.ledger.records import ACCOUNT, EPOCHS, Account
from chain.currency.ledger.stake_records import MARK, Now
from chain.currency.rewards import distribution
from chain.currency.staking.queues import TIME_BYTES, TimeQueue
from chain.kernel.branch import Branch, Decoders, Key, Readable, RecordKind, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, coins, some, time_text
from chain.tx import gas
from chain.tx.codec import height_bytes
from chain.tx.envelope.tx import SignerEntry, Tx
from chain.tx.errors import (
    ExpiryPassed,
    FeeGrantExceeded,
    FeeGrantExists,
    FeeGrantKind,
    GranteeRefused,
    NoFeeGrant,
    UnknownAccount,
)
from chain.tx.messages import kinds_of
from chain.tx.messages.grants import GrantFees, RevokeFeeGrant
from consensus.formats.units import NS_PER_S
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import state_pb2 as pb

GRANTS_PER_SLICE: Final = 100


class FeeGrant(NamedTuple):
    """left: udchat in all. period_left: of the period that ends at period_end_ns. kinds: names; none: all.

    epoch: the granter's.
    """

    left: int
    expiry_ns: int
    period_s: int = 0
    period_limit: int = 0
    period_left: int = 0
    period_end_ns: int = 0
    kinds: tuple[str, ...] = ()
    epoch: int = 0

    def at(self, time_ns: int) -> FeeGrant:
        """In the period of that time."""
        if not self.period_s or time_ns < self.period_end_ns:
            return self
        period_ns = self.period_s * NS_PER_S
        gone = (time_ns - self.period_end_ns) // period_ns + 1
        return self._replace(period_left=self.period_limit, period_end_ns=self.period_end_ns + gone * period_ns)

    @property
    def available(self) -> int:
        """udchat, in the period as it stands."""
        return min(self.left, self.period_left) if self.period_s else self.left

    def without(self, fee: int) -> FeeGrant | None:
        """fee: available. None: it is spent."""
        if fee >= self.left:
            return None
        return self._replace(left=self.left - fee, period_left=self.period_left - fee if self.period_s else 0)

    def encode(self) -> bytes:
        return pb.FeeGrant(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> FeeGrant:
        r = pb.FeeGrant.FromString(stored)
        return FeeGrant(
            r.left, r.expiry_ns, r.period_s, r.period_limit, r.period_left, r.period_end_ns, tuple(r.kinds), r.epoch
        )  # fmt: skip


FEE_GRANT: Final = Key.of(b"ug", FeeGrant)  # ‖ granter ‖ grantee
EXPIRING: Final = Key.of(b"Ug", bytes)  # side: ‖ expiry ‖ granter ‖ grantee
BY_GRANTEE: Final = Key.of(b"Uf", bytes)  # side: ‖ grantee ‖ granter
QUEUE: Final = TimeQueue(EXPIRING)
DECODERS: Final[Decoders] = decoders_of(FEE_GRANT)
FEE_GRANTS: Final = RecordKind(FEE_GRANT, pb.FeeGrant, "the fee grant")


def is_void(state: Readable, granter: bytes, grant: FeeGrant) -> bool:
    return grant.epoch != EPOCHS.of(state, granter)


def spend(state: State, tx: Tx, time_ns: int) -> None:
    """Take the fee of `tx` off the grant that it names. Raises: NoFeeGrant, FeeGrantKind, FeeGrantExceeded."""
    granter, grantee = tx.fee_granter, tx.payer
    key = FEE_GRANT + granter + grantee
    grant = state.get(key)
    if grant is None or grant.expiry_ns <= time_ns:
        raise NoFeeGrant(f"of {account(granter)} to {account(grantee)}")
    if is_void(state, granter, grant):
        raise NoFeeGrant(f"of {account(granter)} to {account(grantee)}: from before the granter was recovered")
    if grant.kinds:
        for message in tx.messages:
            for kind, _ in kinds_of(message):
                if kind.name not in grant.kinds:
                    raise FeeGrantKind(f"{kind.name}; allowed: {', '.join(grant.kinds)}")
    grant = grant.at(time_ns)
    if tx.fee > grant.available:
        raise FeeGrantExceeded(f"{tx.fee} udchat, left: {grant.available} udchat")
    state.emit(partial(_used, granter, grantee, tx.fee))
    after = grant.without(tx.fee)
    if after is None:
        _end(state, granter, grantee, grant, "spent")
    else:
        state.set(key, after)


def _used(granter: bytes, grantee: bytes, fee: int) -> Event:
    return Event.of("use_fee_grant", granter=account(granter), grantee=account(grantee), amount=coins(fee))


def _end(state: State, granter: bytes, grantee: bytes, grant: FeeGrant, why: str) -> None:
    state.set(FEE_GRANT + granter + grantee, None)
    state.set(BY_GRANTEE + grantee + granter, None)
    QUEUE.remove(state, grant.expiry_ns, granter + grantee)
    state.emit(Event.of("end_fee_grant", granter=account(granter), grantee=account(grantee), reason=why))


# ------------------------------------------------------------------------------ messages


def grant_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself."""

    def grant_fees(ctx: Context, message: GrantFees) -> Leg:
        branch = ctx.branch
        granter, grantee, limit, expiry_ns, period_s, period_limit, kinds = message
        if grantee in refused:
            raise GranteeRefused(account(grantee))
        if expiry_ns <= ctx.time_ns:
            raise ExpiryPassed(f"{time_text(expiry_ns)}; this block: {time_text(ctx.time_ns)}")
        if branch.get(ACCOUNT + granter) is None:  # it may have signed as one of a bundle
            raise UnknownAccount("the granter's")
        before = branch.get(FEE_GRANT + granter + grantee)
        if before is not None:
            void = is_void(branch, granter, before)
            if before.expiry_ns > ctx.time_ns and not void:
                raise FeeGrantExists(f"of {account(granter)} to {account(grantee)}")
            _end(branch, granter, grantee, before, "void" if void else "expired")
        if branch.get(ACCOUNT + grantee) is None:
            ctx.new_leaf()
            branch.set(ACCOUNT + grantee, Account(grantee, 0))  # so that it can sign
        period_end_ns = ctx.time_ns + period_s * NS_PER_S if period_s else 0
        epoch = EPOCHS.of(branch, granter)
        grant = FeeGrant(limit, expiry_ns, period_s, period_limit, period_limit, period_end_ns, kinds, epoch)
        branch.set(FEE_GRANT + granter + grantee, grant)
        branch.set(BY_GRANTEE + grantee + granter, MARK)
        QUEUE.push(branch, expiry_ns, granter + grantee)
        told = {"granter": account(granter), "grantee": account(grantee), "amount": coins(limit)}
        branch.emit(Event.of("grant_fees", **told, expiry_time=time_text(expiry_ns)))
        return Leg("grant_fees", limit, grantee)

    return grant_fees


def revoke(ctx: Context, message: RevokeFeeGrant) -> Leg:
    granter, grantee = message
    grant = ctx.branch.get(FEE_GRANT + granter + grantee)
    if grant is None:
        raise NoFeeGrant(f"of {account(granter)} to {account(grantee)}")
    _end(ctx.branch, granter, grantee, grant, "revoked")
    return Leg("revoke_fee_grant", 0, grantee)


def handlers(refused: frozenset[bytes]) -> dict[type[Any], Handler]:
    return {GrantFees: grant_handler(refused), RevokeFeeGrant: revoke}


# ------------------------------------------------------------------------------ blocks


def end_block(branch: Branch, scan: Scan, now: Now, block_gas_max: int) -> Iterator[None]:
    """Remove what has expired, oldest first: as many as a block can add. Nothing of it can fail."""
    items_max = gas.most_of(gas.GAS_STAYS + gas.GAS_LATER, block_gas_max)
    for number, due in enumerate(QUEUE.take_due(branch, scan, now.time_ns, items_max), start=1):
        pair = due[TIME_BYTES:]
        granter, grantee = pair[:ADDRESS_BYTES], pair[ADDRESS_BYTES:]
        grant = branch.get(FEE_GRANT + pair)
        if grant is not None:
            _end(branch, granter, grantee, grant, "expired")
        if number % GRANTS_PER_SLICE == 0:
            yield


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    queued = {key[len(EXPIRING) :] for key, _ in scan(EXPIRING)}
    named = {key[len(BY_GRANTEE) :] for key, _ in scan(BY_GRANTEE)}
    wrong = []
    count = 0
    for key, grant in scan(FEE_GRANT):
        pair = key[len(FEE_GRANT) :]
        count += 1
        place, found_by = height_bytes(grant.expiry_ns) + pair, pair[ADDRESS_BYTES:] + pair[:ADDRESS_BYTES]
        sound = grant.left > 0 and 0 <= grant.period_left <= grant.period_limit
        sound = sound and state.get(ACCOUNT + pair[:ADDRESS_BYTES]) is not None
        if place not in queued or found_by not in named or not sound:
            wrong.append(pair.hex())
        queued.discard(place)
        named.discard(found_by)
    left = [place.hex() for place in sorted(queued | named)]
    yield "currency: fee grants have something left, their time and grantee", not wrong, f"{count}, {some(wrong)}"
    yield "currency: no place in queue or index without its fee grant", not left, some(left)
    yield QUEUE.invariant("fee grants", state, scan)


# ------------------------------------------------------------------------------ admission


class PendingGrant:
    """What admitted transactions will take from a grant."""

    __slots__ = ("kinds", "spent")

    def __init__(self) -> None:
        self.spent = 0
        self.kinds: tuple[str, ...] = ()

    def add(self, before: FeeGrant, after: FeeGrant | None, tx: Tx) -> int:
        self.spent += tx.fee
        self.kinds = before.kinds
        return tx.fee

    def release(self, cost: int) -> None:
        self.spent -= cost

    def rewind(self, entry: SignerEntry) -> None:
        """It has no sequences."""

    def reach(self, other: PendingGrant) -> None:
        """It has no sequences."""

    def agrees(self, committed: FeeGrant, ordered: int, height: int, base: Readable) -> bool:
        time_ns = last_time_ns(base)
        if committed.kinds != self.kinds or committed.expiry_ns <= time_ns:
            return False
        return committed.at(time_ns).available >= self.spent

    def apply(self, committed: FeeGrant, height: int, base: Readable) -> FeeGrant | None:
        now = committed.at(last_time_ns(base))
        return now.without(min(self.spent, now.available))


def last_time_ns(base: Readable) -> int:
    """The last block's time: what admission goes by, which knows of no later one."""
    return distribution.pulse_of(base).last_time_ns
