"""What several messages say alike: addresses, amounts, texts, channels; with the bounds that they share.

Raises, in every function: InvalidField, which names the field.
"""

from __future__ import annotations

from typing import Final

from chain.tx.errors import InvalidField
from crypto.errors import InvalidKey
from crypto.hash import ADDRESS_BYTES, sha256
from crypto.keys import ED25519, KEY_TYPES, KeyType, PubKey
from crypto.mldsa import ML_DSA_65

CHANNEL_ID_BYTES: Final = 20

# Of a validator's consensus key, which messages and records have as bytes alone: by their number. Which of them a chain
# takes says its parameter validator.pub_key_types (`Tx.key_types`).
CONSENSUS_KEY_TYPES: Final = {KEY_TYPES[name].key_bytes: KEY_TYPES[name] for name in (ED25519, ML_DSA_65)}


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


def check_consensus_key(where: str, key: bytes, signature: bytes, *, signed: str) -> None:
    """That the key has a type, and the signature that type's length. signed: the name of the signature's field."""
    kind = CONSENSUS_KEY_TYPES.get(len(key))
    if kind is None:
        sizes = " or ".join(f"{kind.key_bytes} ({kind.name})" for kind in CONSENSUS_KEY_TYPES.values())
        raise InvalidField(f"{where}.consensus_key: {len(key)} bytes, expected {sizes}")
    if len(signature) != kind.signature_bytes:
        raise InvalidField(f"{where}.{signed}: {len(signature)} bytes, expected {kind.signature_bytes}")


def consensus_key_type(key: bytes) -> KeyType | None:
    """None: of no type that a validator may have."""
    return CONSENSUS_KEY_TYPES.get(len(key))


def consensus_key_of(key: bytes) -> PubKey:
    """Raises InvalidKey: of no type that a validator may have, or of one that this machine has no library for."""
    kind = CONSENSUS_KEY_TYPES.get(len(key))
    if kind is None:
        sizes = " or ".join(f"{kind.key_bytes} ({kind.name})" for kind in CONSENSUS_KEY_TYPES.values())
        raise InvalidKey(f"{len(key)} bytes, expected {sizes}")
    return kind.pub_key(key)


def check_text(where: str, value: str, bytes_max: int) -> None:
    if len(value.encode()) > bytes_max:
        raise InvalidField(f"{where}: above {bytes_max} bytes of UTF-8")


def check_two_accounts(where: str, first: bytes, second: bytes) -> tuple[bytes, bytes]:
    check_address(where, first)
    check_address(where, second)
    if first == second:
        raise InvalidField(f"{where}: both are one account")
    return first, second
