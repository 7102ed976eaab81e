"""Payments: to one, to many, in denominations of accounts, on request, again and again; and what becomes one's own with
time.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import CURRENCY, Kind
from chain.tx.messages.kinds.fields import check_address, check_amount, check_text
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import tx_pb2 as pb

PERIODS_MAX: Final = 64  # five years by the month
PERIOD_S_MAX: Final = 10 * 366 * 86_400  # ten years
VESTING_S_MAX: Final = 40 * 366 * 86_400  # of all periods: what is promised for longer is promised to nobody
TIME_NS_MAX: Final = (1 << 63) - 1
OUTPUTS_MAX: Final = 64  # a block holds thousands of payments: what many have to get is signed in parts

SUB_BYTES_MAX: Final = 44  # the Cosmos SDK's, so that names pass there
SUB_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")

REFERENCE_BYTES_MAX: Final = 32
REFERENCE_CHARACTERS: Final = SUB_CHARACTERS | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ/")
REQUEST_MEMO_BYTES_MAX: Final = 256

ORDER_UDCHAT_MIN: Final = 10_000  # 0.01 DCHAT: what is paid is worth the work
EVERY_BLOCKS_MIN: Final = 10
EVERY_BLOCKS_MAX: Final = 40_000_000  # a year of blocks, and more
ORDER_TIMES_MAX: Final = 10_000
ORDER_BLOCKS_MAX: Final = 400_000_000  # that an order may look ahead: ten years of blocks, and more
ORDER_MISSES_MAX: Final = 3  # in a row: it ends with the last


class Payment(NamedTuple):
    sender: bytes
    recipient: bytes
    amount: int  # udchat


class Output(NamedTuple):
    recipient: bytes
    amount: int  # udchat


class PayMany(NamedTuple):
    """total: of the outputs."""

    sender: bytes
    outputs: tuple[Output, ...]
    total: int  # udchat


class CreateVesting(NamedTuple):
    """periods: (length in s, udchat)."""

    funder: bytes
    recipient: bytes
    number: int
    amount: int  # udchat
    start_ns: int
    linear: bool
    clawback: bool
    periods: tuple[tuple[int, int], ...]


class ClaimVested(NamedTuple):
    sender: bytes
    recipient: bytes
    funder: bytes
    number: int


class ClawBack(NamedTuple):
    funder: bytes
    recipient: bytes
    number: int


class Denom(NamedTuple):
    """The name of a denomination: unique in its creator's own names, so that nobody can take another's."""

    creator: bytes
    sub: str

    @property
    def key(self) -> bytes:
        """Of its record; of an account's holding, behind the account."""
        return self.creator + self.sub.encode("ascii")


class CreateDenomination(NamedTuple):
    creator: bytes
    sub: str
    supply_max: int = 0  # units; 0: as many as fit
    freezable: bool = False

    @property
    def denom(self) -> Denom:
        return Denom(self.creator, self.sub)


class MintDenomination(NamedTuple):
    owner: bytes
    denom: Denom
    recipient: bytes
    amount: int  # units


class BurnDenomination(NamedTuple):
    holder: bytes
    denom: Denom
    amount: int  # units


class PayDenomination(NamedTuple):
    sender: bytes
    denom: Denom
    recipient: bytes
    amount: int  # units


class FreezeHolding(NamedTuple):
    owner: bytes
    denom: Denom
    holder: bytes
    frozen: bool


class TransferDenomination(NamedTuple):
    """new_owner: empty, nobody."""

    owner: bytes
    denom: Denom
    new_owner: bytes


class RequestPayment(NamedTuple):
    """payer: empty, anybody. denom: None, udchat."""

    payee: bytes
    reference: str
    payer: bytes
    denom: Denom | None
    amount: int
    memo: str
    expiry_ns: int


class FulfilRequest(NamedTuple):
    payer: bytes
    payee: bytes
    reference: str
    denom: Denom | None
    amount: int


class CancelRequest(NamedTuple):
    payee: bytes
    reference: str


class CreateStandingOrder(NamedTuple):
    """denom: None, udchat. first_height: 0, every_blocks later. times, until_height: 0, the other ends it.

    max_fee: udchat, of a turn's own work; 0: no bound.
    """

    owner: bytes
    reference: str
    recipient: bytes
    denom: Denom | None
    amount: int
    every_blocks: int
    first_height: int = 0
    times: int = 0
    until_height: int = 0
    max_fee: int = 0


class CancelStandingOrder(NamedTuple):
    owner: bytes
    reference: str


PaymentMessage: TypeAlias = (
    Payment | PayMany | CreateVesting | ClaimVested | ClawBack | CreateDenomination | MintDenomination
    | BurnDenomination | PayDenomination | FreezeHolding | TransferDenomination | RequestPayment | FulfilRequest
    | CancelRequest | CreateStandingOrder | CancelStandingOrder
)  # fmt: skip


def payment(m: pb.Payment) -> Payment:
    sender, recipient, amount = m.sender, m.recipient, m.amount
    if len(sender) != ADDRESS_BYTES or len(recipient) != ADDRESS_BYTES:
        raise InvalidField(f"payment: sender and recipient have {ADDRESS_BYTES} bytes")
    check_amount("payment", amount)
    if sender == recipient:
        raise InvalidField("payment: sender and recipient are the same account")
    return Payment(sender, recipient, amount)


def pay_many(m: pb.PayMany) -> PayMany:
    where = "pay_many"
    check_address(f"{where}.sender", m.sender)
    if not 1 <= len(m.outputs) <= OUTPUTS_MAX:
        raise InvalidField(f"{where}.outputs: {len(m.outputs)}, allowed: 1 to {OUTPUTS_MAX}")
    paid = {m.sender}
    for number, output in enumerate(m.outputs):
        check_address(f"{where}.outputs[{number}].recipient", output.recipient)
        check_amount(f"{where}.outputs[{number}]", output.amount)
        if output.recipient in paid:
            raise InvalidField(f"{where}.outputs[{number}]: it is the sender, or is paid twice")
        paid.add(output.recipient)
    total = sum(output.amount for output in m.outputs)
    if total != m.total:  # a sum above 64 bits is none that can be stated
        raise InvalidField(f"{where}.total: {m.total}, the outputs are {total} together")
    return PayMany(m.sender, tuple([Output(output.recipient, output.amount) for output in m.outputs]), total)


def fill_pay_many(out: Any, message: PayMany) -> None:
    out.sender, out.total = message.sender, message.total
    for output in message.outputs:
        out.outputs.add(recipient=output.recipient, amount=output.amount)


def create_vesting(m: pb.CreateVesting) -> CreateVesting:
    where = "create_vesting"
    check_address(f"{where}.funder", m.funder)
    check_address(f"{where}.recipient", m.recipient)
    check_amount(where, m.amount)
    if m.start_ns > TIME_NS_MAX:
        raise InvalidField(f"{where}.start_ns: {m.start_ns}, allowed: {TIME_NS_MAX} at most")
    if not 1 <= len(m.periods) <= PERIODS_MAX:
        raise InvalidField(f"{where}.periods: {len(m.periods)}, allowed: 1 to {PERIODS_MAX}")
    periods = tuple([(period.length_s, period.amount) for period in m.periods])
    check_periods(where, m.amount, periods, linear=m.linear)
    return CreateVesting(m.funder, m.recipient, m.number, m.amount, m.start_ns, m.linear, m.clawback, periods)


def check_periods(where: str, amount: int, periods: tuple[tuple[int, int], ...], *, linear: bool) -> None:
    """SDK Barberry: periods that were not what they said froze what they held. Raises: InvalidField."""
    if linear and len(periods) != 1:
        raise InvalidField(f"{where}.periods: {len(periods)}, a linear one has 1")
    for number, (length_s, part) in enumerate(periods):
        if not 1 <= length_s <= PERIOD_S_MAX:
            raise InvalidField(f"{where}.periods[{number}].length_s: {length_s}, allowed: 1 to {PERIOD_S_MAX}")
        check_amount(f"{where}.periods[{number}]", part)
    if sum(length_s for length_s, _ in periods) > VESTING_S_MAX:
        raise InvalidField(f"{where}.periods: above {VESTING_S_MAX} s together")
    if (total := sum(part for _, part in periods)) != amount:
        raise InvalidField(f"{where}.amount: {amount}, the periods are {total} together")


def fill_create_vesting(out: Any, message: CreateVesting) -> None:
    out.funder, out.recipient, out.number, out.amount = message[:4]
    out.start_ns, out.linear, out.clawback = message[4:7]
    for length_s, part in message.periods:
        out.periods.add(length_s=length_s, amount=part)


def claim_vested(m: pb.ClaimVested) -> ClaimVested:
    for name in ("sender", "recipient", "funder"):
        check_address(f"claim_vested.{name}", getattr(m, name))
    return ClaimVested(m.sender, m.recipient, m.funder, m.number)


def claw_back(m: pb.ClawBack) -> ClawBack:
    check_address("claw_back.funder", m.funder)
    check_address("claw_back.recipient", m.recipient)
    return ClawBack(m.funder, m.recipient, m.number)


def create_denomination(m: pb.CreateDenomination) -> CreateDenomination:
    check_address("create_denomination.creator", m.creator)
    check_sub("create_denomination.sub", m.sub)
    return CreateDenomination(m.creator, m.sub, m.supply_max, m.freezable)


def mint_denomination(m: pb.MintDenomination) -> MintDenomination:
    where = "mint_denomination"
    check_address(f"{where}.owner", m.owner)
    check_address(f"{where}.recipient", m.recipient)
    check_amount(where, m.amount)
    return MintDenomination(m.owner, read_denom(where, m.denom), m.recipient, m.amount)


def burn_denomination(m: pb.BurnDenomination) -> BurnDenomination:
    check_address("burn_denomination.holder", m.holder)
    check_amount("burn_denomination", m.amount)
    return BurnDenomination(m.holder, read_denom("burn_denomination", m.denom), m.amount)


def pay_denomination(m: pb.PayDenomination) -> PayDenomination:
    where = "pay_denomination"
    check_address(f"{where}.sender", m.sender)
    check_address(f"{where}.recipient", m.recipient)
    check_amount(where, m.amount)
    if m.sender == m.recipient:
        raise InvalidField(f"{where}: sender and recipient are the same account")
    return PayDenomination(m.sender, read_denom(where, m.denom), m.recipient, m.amount)


def freeze_holding(m: pb.FreezeHolding) -> FreezeHolding:
    check_address("freeze_holding.owner", m.owner)
    check_address("freeze_holding.holder", m.holder)
    return FreezeHolding(m.owner, read_denom("freeze_holding", m.denom), m.holder, m.frozen)


def transfer_denomination(m: pb.TransferDenomination) -> TransferDenomination:
    where = "transfer_denomination"
    check_address(f"{where}.owner", m.owner)
    if m.new_owner:
        check_address(f"{where}.new_owner", m.new_owner)
    if m.new_owner == m.owner:
        raise InvalidField(f"{where}: it is its owner already")
    return TransferDenomination(m.owner, read_denom(where, m.denom), m.new_owner)


def request_payment(m: pb.RequestPayment) -> RequestPayment:
    where = "request_payment"
    check_address(f"{where}.payee", m.payee)
    check_reference(where, m.reference)
    if m.payer:
        check_address(f"{where}.payer", m.payer)
    if m.payer == m.payee:
        raise InvalidField(f"{where}: payer and payee are the same account")
    check_amount(where, m.amount)
    check_text(f"{where}.memo", m.memo, REQUEST_MEMO_BYTES_MAX)
    if not 1 <= m.expiry_ns <= TIME_NS_MAX:
        raise InvalidField(f"{where}.expiry_ns: {m.expiry_ns}, allowed: 1 to {TIME_NS_MAX}")
    denom = read_denom(where, m.denom) if m.HasField("denom") else None
    return RequestPayment(m.payee, m.reference, m.payer, denom, m.amount, m.memo, m.expiry_ns)


def fulfil_request(m: pb.FulfilRequest) -> FulfilRequest:
    where = "fulfil_request"
    check_address(f"{where}.payer", m.payer)
    check_address(f"{where}.payee", m.payee)
    check_reference(where, m.reference)
    check_amount(where, m.amount)
    denom = read_denom(where, m.denom) if m.HasField("denom") else None
    return FulfilRequest(m.payer, m.payee, m.reference, denom, m.amount)


def cancel_request(m: pb.CancelRequest) -> CancelRequest:
    check_address("cancel_request.payee", m.payee)
    check_reference("cancel_request", m.reference)
    return CancelRequest(m.payee, m.reference)


def create_standing_order(m: pb.CreateStandingOrder) -> CreateStandingOrder:
    where = "create_standing_order"
    check_address(f"{where}.owner", m.owner)
    check_reference(where, m.reference)
    check_address(f"{where}.recipient", m.recipient)
    if m.owner == m.recipient:
        raise InvalidField(f"{where}: owner and recipient are the same account")
    denom = read_denom(where, m.denom) if m.HasField("denom") else None
    check_amount(where, m.amount)
    if denom is None and m.amount < ORDER_UDCHAT_MIN:
        raise InvalidField(f"{where}.amount: {m.amount} udchat, allowed: {ORDER_UDCHAT_MIN} and more")
    every, times, until = m.every_blocks, m.times, m.until_height
    if not EVERY_BLOCKS_MIN <= every <= EVERY_BLOCKS_MAX:
        raise InvalidField(f"{where}.every_blocks: {every}, allowed: {EVERY_BLOCKS_MIN} to {EVERY_BLOCKS_MAX}")
    if times > ORDER_TIMES_MAX or every * times > ORDER_BLOCKS_MAX:
        raise InvalidField(f"{where}.times: {times}, allowed: {min(ORDER_TIMES_MAX, ORDER_BLOCKS_MAX // every)}")
    if not times and not until:
        raise InvalidField(f"{where}: times or until_height ends it; neither is given")
    return CreateStandingOrder(
        m.owner, m.reference, m.recipient, denom, m.amount, every, m.first_height, times, until, m.max_fee
    )  # fmt: skip


def cancel_standing_order(m: pb.CancelStandingOrder) -> CancelStandingOrder:
    check_address("cancel_standing_order.owner", m.owner)
    check_reference("cancel_standing_order", m.reference)
    return CancelStandingOrder(m.owner, m.reference)


def check_reference(where: str, reference: str) -> None:
    """Raises InvalidField."""
    if not 1 <= len(reference) <= REFERENCE_BYTES_MAX or not REFERENCE_CHARACTERS.issuperset(reference):
        raise InvalidField(f"{where}.reference: 1 to {REFERENCE_BYTES_MAX} of A-Z a-z 0-9 . _ - /")


def read_denom(where: str, m: pb.Denom) -> Denom:
    """Raises InvalidField."""
    check_address(f"{where}.denom.creator", m.creator)
    check_sub(f"{where}.denom.sub", m.sub)
    return Denom(m.creator, m.sub)


def check_sub(where: str, sub: str) -> None:
    """Raises InvalidField."""
    if not 1 <= len(sub) <= SUB_BYTES_MAX or not SUB_CHARACTERS.issuperset(sub):
        raise InvalidField(f"{where}: 1 to {SUB_BYTES_MAX} of a-z 0-9 . _ -")


def fill_denominated(out: Any, message: Any) -> None:
    """The generated message's fields, with the denomination as one of them."""
    for name, value in zip(message._fields, message, strict=True):
        if type(value) is Denom:
            out.denom.creator, out.denom.sub = value
        elif value is not None:
            setattr(out, name, value)


KINDS: Final = (
    Kind("payment", payment, Payment, CURRENCY, gas.GAS_MESSAGE),
    Kind(
        "pay_many", pay_many, PayMany, CURRENCY, gas.GAS_MESSAGE, fill_pay_many, lambda message: len(message.outputs),
        gas_each=gas.GAS_OUTPUT, new_gas=0, new_gas_each=gas.GAS_NEW_LEAF,
    ),
    Kind(  # it stays for as long as nobody claims it
        "create_vesting", create_vesting, CreateVesting, CURRENCY, 2 * gas.GAS_MESSAGE + gas.GAS_STAYS,
        fill_create_vesting, lambda message: len(message.periods), gas_each=gas.GAS_PERIOD,
    ),
    Kind("claim_vested", claim_vested, ClaimVested, CURRENCY, 3 * gas.GAS_MESSAGE),
    Kind("claw_back", claw_back, ClawBack, CURRENCY, 4 * gas.GAS_MESSAGE),
    Kind(  # its record and its name stay, whatever becomes of its units
        "create_denomination", create_denomination, CreateDenomination, CURRENCY, gas.GAS_MESSAGE + gas.GAS_STAYS,
        new_gas=0,
    ),
    Kind(
        "mint_denomination", mint_denomination, MintDenomination, CURRENCY, 2 * gas.GAS_MESSAGE, fill_denominated,
        new_gas=gas.GAS_STAYS,
    ),
    Kind(
        "burn_denomination", burn_denomination, BurnDenomination, CURRENCY, 3 * gas.GAS_MESSAGE, fill_denominated,
        new_gas=0,
    ),
    Kind(
        "pay_denomination", pay_denomination, PayDenomination, CURRENCY, 2 * gas.GAS_MESSAGE, fill_denominated,
        new_gas=gas.GAS_STAYS,
    ),
    Kind("freeze_holding", freeze_holding, FreezeHolding, CURRENCY, 2 * gas.GAS_MESSAGE, fill_denominated, new_gas=0),
    Kind(
        "transfer_denomination", transfer_denomination, TransferDenomination, CURRENCY, gas.GAS_MESSAGE,
        fill_denominated, new_gas=0,
    ),
    Kind(  # it may stay for a year, is found by its payer, and ends by itself
        "request_payment", request_payment, RequestPayment, CURRENCY,
        gas.GAS_MESSAGE + gas.GAS_STAYS + gas.GAS_LATER, fill_denominated, new_gas=0,
    ),
    Kind(
        "fulfil_request", fulfil_request, FulfilRequest, CURRENCY, 4 * gas.GAS_MESSAGE, fill_denominated,
        new_gas=gas.GAS_STAYS,
    ),
    Kind("cancel_request", cancel_request, CancelRequest, CURRENCY, 2 * gas.GAS_MESSAGE, new_gas=0),
    Kind(  # a payment costs a fee of its own; what is missed last, and then ends it, is paid for here
        "create_standing_order", create_standing_order, CreateStandingOrder, CURRENCY,
        gas.GAS_MESSAGE + gas.GAS_STAYS + ORDER_MISSES_MAX * gas.GAS_ORDER, fill_denominated, new_gas=gas.GAS_STAYS,
    ),
    Kind(
        "cancel_standing_order", cancel_standing_order, CancelStandingOrder, CURRENCY, 2 * gas.GAS_MESSAGE, new_gas=0,
    ),
)  # fmt: skip
