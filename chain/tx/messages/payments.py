"""Payments."""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.fields import check_amount
from chain.tx.messages.kinds import CURRENCY, Kind
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import tx_pb2 as pb


class Payment(NamedTuple):
    sender: bytes
    recipient: bytes
    amount: int  # udchat


def payment(m: pb.Payment) -> Payment:
    sender, recipient, amount = m.sender, m.recipient, m.amount
    if len(sender) != ADDRESS_BYTES or len(recipient) != ADDRESS_BYTES:
        raise InvalidField(f"payment: sender and recipient have {ADDRESS_BYTES} bytes")
    check_amount("payment", amount)
    if sender == recipient:
        raise InvalidField("payment: sender and recipient are the same account")
    return Payment(sender, recipient, amount)


KINDS: Final = (Kind("payment", payment, Payment, CURRENCY, gas.GAS_MESSAGE),)
