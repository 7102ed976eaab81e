"""Payments, to one and to many."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.fields import check_address, check_amount
from chain.tx.messages.kinds import CURRENCY, Kind
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import tx_pb2 as pb

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


PaymentMessage: TypeAlias = Payment | PayMany


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


KINDS: Final = (
    Kind("payment", payment, Payment, CURRENCY, gas.GAS_MESSAGE),
    Kind(
        "pay_many", pay_many, PayMany, CURRENCY, gas.GAS_MESSAGE, fill_pay_many, lambda message: len(message.outputs),
        gas_each=gas.GAS_OUTPUT, new_gas=0, new_gas_each=gas.GAS_NEW_LEAF,
    ),
)  # fmt: skip
