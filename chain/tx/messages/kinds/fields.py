"""What several messages say alike: addresses, amounts, texts, channels; with the bounds that they share.

Raises, in every function: InvalidField, which names the field.
"""

from __future__ import annotations

from typing import Final

from chain.tx.errors import InvalidField
from crypto.hash import ADDRESS_BYTES, sha256

CHANNEL_ID_BYTES: Final = 20


def channel_id(name: str) -> bytes:
    """20 bytes. Names are unique, so that a channel's id is known before it exists and proved without an index."""
    return sha256(b"dchat/channel" + name.encode("ascii"))[:CHANNEL_ID_BYTES]


def direct_id(one: bytes, other: bytes) -> bytes:
    """20 bytes: the conversation of two accounts, whichever is named first."""
    return sha256(b"dchat/direct" + min(one, other) + max(one, other))[:CHANNEL_ID_BYTES]


def check_address(where: str, value: bytes) -> None:
    if len(value) != ADDRESS_BYTES:
        raise InvalidField(f"{where}: {len(value)} bytes, expected {ADDRESS_BYTES}")


def check_channel(where: str, value: bytes) -> None:
    if len(value) != CHANNEL_ID_BYTES:
        raise InvalidField(f"{where}.channel_id: {len(value)} bytes, expected {CHANNEL_ID_BYTES}")


def check_amount(where: str, amount: int) -> None:
    if not amount:
        raise InvalidField(f"{where}: amount is 0, allowed: 1 and more")


def check_text(where: str, value: str, bytes_max: int) -> None:
    if len(value.encode()) > bytes_max:
        raise InvalidField(f"{where}: above {bytes_max} bytes of UTF-8")


def check_two_accounts(where: str, first: bytes, second: bytes) -> tuple[bytes, bytes]:
    check_address(where, first)
    check_address(where, second)
    if first == second:
        raise InvalidField(f"{where}: both are one account")
    return first, second
