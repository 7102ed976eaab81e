"""Requests for payment: a payee asks, a payer fulfils it whole or leaves it.

A request takes nothing and binds nobody; what it costs is paid by who makes it, so that asking many people who do not
want it is dear, and being asked is free. It is found by its payee's own reference. Who fulfils it states what he pays:
a request that was cancelled and made anew for more fails instead. It goes when it is fulfilled or cancelled, with its
places in the index and the queue, and at the end of the first block at its expiry; from that time on nobody fulfils it,
though it may wait for its end in a long queue.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from chain.currency.denominations import machine as denominations
from chain.currency.denominations.records import units
from chain.currency.ledger.bank import move
from chain.currency.ledger.records import ACCOUNT
from chain.currency.ledger.stake_records import MARK, Now
from chain.currency.staking.queues import TIME_BYTES, TimeQueue
from chain.kernel.branch import Branch, Decoders, Key, Readable, RecordKind, Scan, State, decoders_of
from chain.kernel.context import Context, Leg
from chain.kernel.event_text import Event, account, coins, some, time_text
from chain.tx import gas
from chain.tx.codec import height_bytes
from chain.tx.errors import ExpiryPassed
from chain.tx.messages.payments import CancelRequest, Denom, FulfilRequest, RequestPayment
from chain.tx.payment_errors import (
    NotRequestsPayer,
    RequestDiffers,
    RequestExists,
    RequestExpired,
    RequestTooLong,
    UnknownRequest,
)
from consensus.formats.units import NS_PER_S
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import state_pb2 as pb

WAIT_NS_MAX: Final = 366 * 86_400 * NS_PER_S  # what waits has an end: a year, and a leap day
REQUESTS_PER_SLICE: Final = 100


class PaymentRequest(NamedTuple):
    """payer: empty, anybody. denom: None, udchat."""

    payer: bytes
    denom: Denom | None
    amount: int
    memo: str
    expiry_ns: int

    @property
    def asked(self) -> str:
        """The amount, for people."""
        return coins(self.amount) if self.denom is None else units(self.amount, self.denom)

    def encode(self) -> bytes:
        creator, sub = self.denom or (b"", "")
        record = pb.PaymentRequest(
            payer=self.payer, denom_creator=creator, denom_sub=sub, amount=self.amount, memo=self.memo,
            expiry_ns=self.expiry_ns,
        )  # fmt: skip
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> PaymentRequest:
        r = pb.PaymentRequest.FromString(stored)
        denom = Denom(r.denom_creator, r.denom_sub) if r.denom_creator else None
        return PaymentRequest(r.payer, denom, r.amount, r.memo, r.expiry_ns)


REQUEST: Final = Key.of(b"uj", PaymentRequest)  # ‖ payee ‖ reference
BY_PAYER: Final = Key.of(b"Uj", bytes)  # side: ‖ payer ‖ payee ‖ reference, of those that name one
EXPIRING: Final = Key.of(b"Ut", bytes)  # side: ‖ expiry ‖ payee ‖ reference
QUEUE: Final = TimeQueue(EXPIRING)
DECODERS: Final[Decoders] = decoders_of(REQUEST)
REQUESTS: Final = RecordKind(REQUEST, pb.PaymentRequest, "the request for payment")


def request_name(payee: bytes, reference: str) -> bytes:
    """Behind the prefix of its record's key."""
    return payee + reference.encode("ascii")


def _end(state: State, name: bytes, request: PaymentRequest, why: str) -> None:
    state.set(REQUEST + name, None)
    QUEUE.remove(state, request.expiry_ns, name)
    if request.payer:
        state.set(BY_PAYER + request.payer + name, None)
    state.emit(Event.of("end_payment_request", **_said(name), reason=why))


def _said(name: bytes) -> dict[str, str]:
    return {"payee": account(name[:ADDRESS_BYTES]), "reference": name[ADDRESS_BYTES:].decode("ascii")}


# ------------------------------------------------------------------------------ messages


def ask(ctx: Context, message: RequestPayment) -> Leg:
    branch = ctx.branch
    name = request_name(message.payee, message.reference)
    expiry_ns = message.expiry_ns
    if expiry_ns <= ctx.time_ns:
        raise ExpiryPassed(f"{time_text(expiry_ns)}; this block: {time_text(ctx.time_ns)}")
    if expiry_ns > ctx.time_ns + WAIT_NS_MAX:
        raise RequestTooLong(f"until {time_text(expiry_ns)}; this block: {time_text(ctx.time_ns)}")
    if message.denom is not None:
        denominations.require(branch, message.denom)
    before = branch.get(REQUEST + name)
    if before is not None:
        if before.expiry_ns > ctx.time_ns:
            raise RequestExists(message.reference)
        _end(branch, name, before, "expired")
    request = PaymentRequest(message.payer, message.denom, message.amount, message.memo, expiry_ns)
    branch.set(REQUEST + name, request)
    if message.payer:
        branch.set(BY_PAYER + message.payer + name, MARK)
    QUEUE.push(branch, expiry_ns, name)
    told = {"payer": account(message.payer) if message.payer else "", "amount": request.asked}
    branch.emit(Event.of("request_payment", **_said(name), **told, expiry_time=time_text(expiry_ns)))
    return Leg("request_payment", message.amount, name)


def fulfil(ctx: Context, message: FulfilRequest) -> Leg:
    branch = ctx.branch
    payer, payee, reference, denom, amount = message
    name = request_name(payee, reference)
    request = branch.get(REQUEST + name)
    if request is None:
        raise UnknownRequest(f"{reference} of {account(payee)}")
    if payer not in (request.payer or payer,) or payer == payee:
        raise NotRequestsPayer(f"{reference} of {account(payee)}")
    if request.expiry_ns <= ctx.time_ns:
        raise RequestExpired(f"{time_text(request.expiry_ns)}; this block: {time_text(ctx.time_ns)}")
    if (request.denom, request.amount) != (denom, amount):
        raise RequestDiffers(f"it asks for {request.asked}")
    if denom is None:
        if branch.get(ACCOUNT + payee) is None:
            ctx.new_leaf()
        move(branch, sender=payer, recipient=payee, amount=amount)
    else:
        denominations.transfer(ctx, denom, sender=payer, recipient=payee, amount=amount)
    _end(branch, name, request, "fulfilled")
    return Leg("fulfil_request", amount, name)


def cancel(ctx: Context, message: CancelRequest) -> Leg:
    name = request_name(message.payee, message.reference)
    request = ctx.branch.get(REQUEST + name)
    if request is None:
        raise UnknownRequest(message.reference)
    _end(ctx.branch, name, request, "cancelled")
    return Leg("cancel_request", 0, name)


def handlers() -> dict[type[Any], Any]:
    return {RequestPayment: ask, FulfilRequest: fulfil, CancelRequest: cancel}


# ------------------------------------------------------------------------------ blocks


def end_block(branch: Branch, scan: Scan, now: Now, block_gas_max: int) -> Iterator[None]:
    """Remove what has expired, oldest first: as many as a block can add. Nothing of it can fail."""
    items_max = gas.most_of(gas.GAS_STAYS + gas.GAS_LATER, block_gas_max)
    for number, due in enumerate(QUEUE.take_due(branch, scan, now.time_ns, items_max), start=1):
        name = due[TIME_BYTES:]
        request = branch.get(REQUEST + name)
        if request is not None:
            _end(branch, name, request, "expired")
        if number % REQUESTS_PER_SLICE == 0:
            yield


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    queued = {key[len(EXPIRING) :] for key, _ in scan(EXPIRING)}
    named = {key[len(BY_PAYER) :] for key, _ in scan(BY_PAYER)}
    wrong = []
    count = 0
    for key, request in scan(REQUEST):
        name = key[len(REQUEST) :]
        count += 1
        place, found_by = height_bytes(request.expiry_ns) + name, request.payer + name
        if place not in queued or (request.payer and found_by not in named) or request.amount <= 0:
            wrong.append(name.hex())
        queued.discard(place)
        named.discard(found_by)
    left = [place.hex() for place in sorted(queued | named)]
    yield "currency: requests for payment have their time and their payer", not wrong, f"{count}, {some(wrong)} wrong"
    yield "currency: no place in queue or index without its request", not left, some(left)
    yield QUEUE.invariant("requests for payment", state, scan)
