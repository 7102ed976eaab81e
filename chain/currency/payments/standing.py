"""Standing orders: an account pays another every so many blocks, until it was paid so often or a height has passed.

Nothing is set aside: each payment is taken from the owner's balance when its turn comes, at the end of a block, and so
is its fee, at the gas price of that block. What cannot be paid is skipped, never made up for, and counted: the next
payment pays the fee of those before it, and three misses in a row, whose work was paid for when the order was made, end
it. So all work is paid for by whose order it is, and none is promised that a balance of later would have to keep. The
next turn is counted from the block that paid: no two payments are nearer than the order says, however long the queue
was. A block looks at a bounded number, a quarter of what its transactions may cost, the longest due first.
An order belongs to the account, not to the keys that signed it; nobody makes one in another's name. One of an earlier
epoch of its owner is void, and ends at its turn. Turns whose work costs more than the owner said are missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from chain.currency.denominations import machine as denominations
from chain.currency.denominations.records import units
from chain.currency.ledger import bank
from chain.currency.ledger.records import ACCOUNT, EPOCHS, PARAMS
from chain.currency.ledger.stake_records import MARK, Now
from chain.currency.staking.queues import TimeQueue
from chain.kernel.branch import Branch, Decoders, Key, Readable, RecordKind, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, coins, some
from chain.kernel.items import FailedItems
from chain.kernel.modules import BlockContext, Step
from chain.tx import gas
from chain.tx.codec import bytes_field, height_bytes, uint32_field, uint_field
from chain.tx.errors import Overspend, RecipientRefused, TxError
from chain.tx.messages.payments import (
    ORDER_BLOCKS_MAX,
    ORDER_MISSES_MAX,
    CancelStandingOrder,
    CreateStandingOrder,
    Denom,
)
from chain.tx.payment_errors import (
    StandingOrderExists,
    StandingOrderHeights,
    StandingOrderTooDear,
    UnknownStandingOrder,
)
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import state_pb2 as pb

GAS_SHARE: Final = 4  # of a block's gas, that much and no more is spent on orders beside it


class StandingOrder(NamedTuple):
    """denom: None, udchat. times, until_height: 0, no bound. paid: how often; misses: since then.

    epoch: the owner's. max_fee: udchat, of a turn's own work; 0: no bound.
    """

    recipient: bytes
    denom: Denom | None
    amount: int
    every_blocks: int
    due_height: int
    times: int
    until_height: int
    paid: int = 0
    misses: int = 0
    epoch: int = 0
    max_fee: int = 0

    @property
    def pays(self) -> str:
        """The amount, for people."""
        return coins(self.amount) if self.denom is None else units(self.amount, self.denom)

    def encode(self) -> bytes:
        creator, sub = self.denom or (b"", "")
        numbers = (self.amount, self.every_blocks, self.due_height, self.times, self.until_height, self.paid)
        tags = (b"\x20", b"\x28", b"\x30", b"\x38", b"\x40", b"\x48")
        texts = zip((b"\x0a", b"\x12", b"\x1a"), (self.recipient, creator, sub.encode("ascii")), strict=True)
        fields = [bytes_field(tag, value) for tag, value in texts]
        fields += [uint_field(tag, value) for tag, value in zip(tags, numbers, strict=True)]
        late = (uint32_field(b"\x50", self.misses), uint_field(b"\x58", self.epoch), uint_field(b"\x60", self.max_fee))
        return b"".join((*fields, *late))

    @staticmethod
    def decode(stored: bytes) -> StandingOrder:
        r = pb.StandingOrder.FromString(stored)
        denom = Denom(r.denom_creator, r.denom_sub) if r.denom_creator else None
        return StandingOrder(
            r.recipient, denom, r.amount, r.every_blocks, r.due_height, r.times, r.until_height, r.paid, r.misses,
            r.epoch, r.max_fee,
        )  # fmt: skip


ORDER: Final = Key.of(b"uO", StandingOrder)  # ‖ owner ‖ reference
BY_RECIPIENT: Final = Key.of(b"UP", bytes)  # side: ‖ recipient ‖ owner ‖ reference
DUE: Final = Key.of(b"UO", bytes)  # side: ‖ height ‖ owner ‖ reference
QUEUE: Final = TimeQueue(DUE)  # its times are heights
FAILED: Final = FailedItems(b"uP")  # ‖ queue ‖ item
DECODERS: Final[Decoders] = decoders_of(ORDER, FAILED.prefix)
ORDERS: Final = RecordKind(ORDER, pb.StandingOrder, "the standing order")


def order_name(owner: bytes, reference: str) -> bytes:
    """Behind the prefix of its record's key."""
    return owner + reference.encode("ascii")


def is_void(state: Readable, name: bytes, order: StandingOrder) -> bool:
    return order.epoch != EPOCHS.of(state, name[:ADDRESS_BYTES])


def _said(name: bytes) -> dict[str, str]:
    return {"owner": account(name[:ADDRESS_BYTES]), "reference": name[ADDRESS_BYTES:].decode("ascii")}


def _end(state: State, name: bytes, order: StandingOrder, why: str) -> None:
    """Its place in the queue is gone, or goes with the caller."""
    state.set(ORDER + name, None)
    state.set(BY_RECIPIENT + order.recipient + name, None)
    state.emit(Event.of("end_standing_order", **_said(name), reason=why, paid=str(order.paid)))


def _take_out(state: State, name: bytes, order: StandingOrder, why: str) -> None:
    """End it before its turn."""
    _end(state, name, order, why)
    QUEUE.remove(state, order.due_height, name)
    failed = FAILED.prefix + DUE + height_bytes(order.due_height) + name
    if state.get(failed) is not None:
        state.set(failed, None)


# ------------------------------------------------------------------------------ messages


def create_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself."""

    def create(ctx: Context, message: CreateStandingOrder) -> Leg:
        branch = ctx.branch
        owner, reference, recipient, denom, amount, every, first, times, until, max_fee = message
        name = order_name(owner, reference)
        if recipient in refused:
            raise RecipientRefused(account(recipient))
        due = first or ctx.height + every
        last = ctx.height + ORDER_BLOCKS_MAX
        if not ctx.height < due <= (until or last) <= last:
            raise StandingOrderHeights(f"first {due}, until {until or 'paid'}; this block: {ctx.height}")
        if (before := branch.get(ORDER + name)) is not None:
            if not is_void(branch, name, before):
                raise StandingOrderExists(reference)
            _take_out(branch, name, before, "void")
        if denom is not None:
            denominations.require(branch, denom)
            denominations.pay_for_holding(ctx, denom, recipient)
        elif branch.get(ACCOUNT + recipient) is None:
            ctx.new_leaf()
        epoch = EPOCHS.of(branch, owner)
        order = StandingOrder(recipient, denom, amount, every, due, times, until, epoch=epoch, max_fee=max_fee)
        branch.set(ORDER + name, order)
        branch.set(BY_RECIPIENT + recipient + name, MARK)
        QUEUE.push(branch, due, name)
        told = {"recipient": account(recipient), "amount": order.pays, "every_blocks": str(every)}
        ends = {"times": str(times), "until_height": str(until), "max_fee": coins(max_fee)}
        branch.emit(Event.of("create_standing_order", **_said(name), **told, due_height=str(due), **ends))
        return Leg("create_standing_order", amount, name)

    return create


def cancel(ctx: Context, message: CancelStandingOrder) -> Leg:
    branch, name = ctx.branch, order_name(*message)
    order = branch.get(ORDER + name)
    if order is None:
        raise UnknownStandingOrder(message.reference)
    _take_out(branch, name, order, "cancelled")
    return Leg("cancel_standing_order", 0, name)


def handlers(refused: frozenset[bytes]) -> dict[type[Any], Handler]:
    return {CreateStandingOrder: create_handler(refused), CancelStandingOrder: cancel}


# ------------------------------------------------------------------------------ blocks


def end_block(refused: frozenset[bytes]) -> Step:
    """Pay what is due. refused: accounts of the chain itself."""

    def pay_due(ctx: BlockContext) -> Iterator[None]:
        branch, height, others = ctx.branch, ctx.height, ctx.others
        if ctx.upgraded:  # other code may cure what broke
            for _, item, _ in FAILED.take_back(branch, ctx.scan):
                QUEUE.put_back(branch, item)

        def work(name: bytes, above: Branch) -> None:
            others.add(ACCOUNT + name[:ADDRESS_BYTES])  # what waits of the owner's may find less than it counted on
            _run(name, above, height, refused)

        items_max = gas.most_of(gas.GAS_ORDER, ctx.block_gas_max // GAS_SHARE)
        yield from QUEUE.work_off(branch, ctx.scan, Now(height, height), FAILED, work, items_max=items_max)

    return pay_due


def _run(name: bytes, state: State, height: int, refused: frozenset[bytes]) -> None:
    order = state.get(ORDER + name)
    assert order is not None, "whoever ends it takes its place in the queue"
    if order.until_height and height > order.until_height:  # it waited for so long
        _end(state, name, order, "over")
        return
    if is_void(state, name, order):
        _end(state, name, order, "void")
        return
    owner, work = name[:ADDRESS_BYTES], state.get(PARAMS).min_fee(gas.GAS_ORDER)
    fee = work * (order.misses + 1)
    try:
        if order.max_fee and work > order.max_fee:
            raise StandingOrderTooDear(f"{work} udchat, allowed: {order.max_fee} udchat")
        _pay(state, owner, order, fee, refused)
    except TxError as error:
        order = order._replace(misses=order.misses + 1)
        why = {"codespace": error.codespace, "code": str(error.code), "misses": str(order.misses)}
        state.emit(Event.of("miss_standing_order", **_said(name), **why))
        if order.misses == ORDER_MISSES_MAX:
            _end(state, name, order, "missed")
            return
    else:
        order = order._replace(paid=order.paid + 1, misses=0)
        state.emit(partial(_told, name, order, fee))
    due = height + order.every_blocks
    if (order.paid == order.times and order.times) or (order.until_height and due > order.until_height):
        _end(state, name, order, "done")
        return
    state.set(ORDER + name, order._replace(due_height=due))
    QUEUE.push(state, due, name)


def _told(name: bytes, order: StandingOrder, fee: int) -> Event:
    told = {"recipient": account(order.recipient), "amount": order.pays, "fee": coins(fee), "paid": str(order.paid)}
    return Event.of("pay_standing_order", **_said(name), **told)


def _pay(state: State, owner: bytes, order: StandingOrder, fee: int, refused: frozenset[bytes]) -> None:
    """All of it, or nothing. Raises: RecipientRefused, UnknownAccount, Overspend, those of denominations."""
    if order.recipient in refused:
        raise RecipientRefused(account(order.recipient))
    taken = fee if order.denom is not None else fee + order.amount
    held = bank.held(state, owner)
    if held < taken:
        raise Overspend(f"balance {held} udchat, needed {taken} udchat")
    if order.denom is not None:
        denominations.move(state, order.denom, sender=owner, recipient=order.recipient, amount=order.amount)
    else:
        bank.move(state, sender=owner, recipient=order.recipient, amount=order.amount)
    bank.pay_fee(state, owner, fee)


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    queued = {key[len(DUE) :] for key, _ in scan(DUE)}
    queued |= {key[len(FAILED.prefix) + len(DUE) :] for key, _ in scan(FAILED.prefix)}
    named = {key[len(BY_RECIPIENT) :] for key, _ in scan(BY_RECIPIENT)}
    wrong = []
    count = 0
    for key, order in scan(ORDER):
        name = key[len(ORDER) :]
        count += 1
        place, found_by = height_bytes(order.due_height) + name, order.recipient + name
        ends = order.paid < order.times if order.times else order.due_height <= order.until_height
        if place not in queued or found_by not in named or not ends or order.misses >= ORDER_MISSES_MAX:
            wrong.append(name.hex())
        queued.discard(place)
        named.discard(found_by)
    left = [place.hex() for place in sorted(queued | named)]
    yield "currency: standing orders have their turn and their recipient", not wrong, f"{count}, {some(wrong)} wrong"
    yield "currency: no turn and no place in the index without its standing order", not left, some(left)
    yield FAILED.invariant("standing orders", scan)
    yield QUEUE.invariant("standing orders", state, scan)
