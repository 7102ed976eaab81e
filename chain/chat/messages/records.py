"""The records of messages, beside the tree: each as it was posted, and the inner nodes of its channel's range."""

from __future__ import annotations

from typing import Final

from chain.kernel.branch import Key
from chain.tx.codec import bytes_field, height_bytes, uint_field


def encode_message(
    *, channel_id: bytes, index: int, author: bytes, content: bytes, reply_to: int, height: int, time_ns: int
) -> bytes:
    """Canonical ChatMessage: what a leaf of the mountain range is the hash of."""
    return b"".join(
        (
            bytes_field(b"\x0a", channel_id),
            uint_field(b"\x10", index),
            bytes_field(b"\x1a", author),
            bytes_field(b"\x22", content),
            uint_field(b"\x28", reply_to),
            uint_field(b"\x30", height),
            uint_field(b"\x38", time_ns),
        )
    )


MESSAGE: Final = Key.of(b"Cm", bytes)  # side: ‖ channel id ‖ index -> ChatMessage
NODE: Final = Key.of(b"Cn", bytes)  # side: ‖ channel id ‖ name of an inner node of the mountain range -> its hash


def message_key(channel_id: bytes, index: int) -> Key[bytes | None]:
    return MESSAGE + channel_id + height_bytes(index)
