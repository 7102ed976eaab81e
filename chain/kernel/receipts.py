"""Receipts: what a transaction did, as the `data` of its result, which the next header's results hash proves.

Codes and numbers, never texts. Source: proto/dchat/v1/state.proto, Receipt.
"""

from __future__ import annotations

from collections.abc import Sequence

from chain.kernel.context import Leg
from chain.tx.codec import bytes_field, message_field, uint32_field, uint_field
from chain.tx.envelope.tx import Tx
from chain.tx.errors import TxError


def encode_receipt(
    tx: Tx, *, height: int, tx_index: int, legs: Sequence[Leg], failure: TxError | None, failed_leg: int, gas_used: int
) -> bytes:
    """failed_leg: index + 1 of the message that could not be executed; 0: none."""
    parts = [b"\x0a\x20", tx.replay_id, uint_field(b"\x10", height), uint32_field(b"\x18", tx_index)]
    if failure is not None:
        parts += (
            uint32_field(b"\x20", failure.code),
            bytes_field(b"\x2a", failure.codespace.encode()),
            uint32_field(b"\x30", failed_leg),
        )
    for leg in legs:
        parts.append(message_field(b"\x3a", _encode_leg(leg)))
    parts += (uint_field(b"\x40", tx.fee), uint_field(b"\x48", gas_used))
    return b"".join(parts)


def _encode_leg(leg: Leg) -> bytes:
    kind, amount, subject, index = leg
    return b"".join(
        (
            bytes_field(b"\x0a", kind.encode()),
            uint_field(b"\x10", amount),
            bytes_field(b"\x1a", subject),
            uint_field(b"\x20", index),
        )
    )
