"""Payments, to one and to many; and what becomes an account's own with time."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.fields import check_address, check_amount
from chain.tx.messages.kinds import CURRENCY, Kind
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import tx_pb2 as pb

PERIODS_MAX: Final = 64  # five years by the month
PERIOD_S_MAX: Final = 10 * 366 * 86_400  # ten years
VESTING_S_MAX: Final = 40 * 366 * 86_400  # of all periods: what is promised for longer is promised to nobody
TIME_NS_MAX: Final = (1 << 63) - 1
OUTPUTS_MAX: Final = 64  # a block holds thousands of payments: what many have to get is signed in parts


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


PaymentMessage: TypeAlias = Payment | PayMany | CreateVesting | ClaimVested | ClawBack


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
    Kind("claim_vested", claim_vested, ClaimVested, CURRENCY, 2 * gas.GAS_MESSAGE),
    Kind("claw_back", claw_back, ClawBack, CURRENCY, 3 * gas.GAS_MESSAGE),
)  # fmt: skip
