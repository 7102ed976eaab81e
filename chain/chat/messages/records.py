"""The records of messages. Beside the tree: each as it was posted, or what is left of it, and its range's inner nodes.

What a leaf of the range is the hash of is a ChatMessage as it was posted. One whose body was forgotten keeps the
leaf's hash instead of it, so that its own place and every other message stay provable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from chain.kernel.branch import Key, RecordKind
from chain.state.mmr import leaf_hash
from chain.tx.codec import UINT32_MAX, UINT64_MAX, bytes_field, height_bytes, message_field, uint32_field, uint_field
from chain.tx.messages.chat import Attachment
from proto.dchat.v1 import messages_pb2
from proto.dchat.v1 import state_pb2 as pb

EXPIRED: Final = 1
RETRACTED: Final = 2
REMOVED: Final = 3
EDITED: Final = 4
FORGOTTEN_NAMES: Final = {EXPIRED: "expired", RETRACTED: "retracted", REMOVED: "removed", EDITED: "edited"}


def encode_message(
    *,
    channel_id: bytes,
    index: int,
    author: bytes,
    content: bytes,
    reply_to: int,
    height: int,
    time_ns: int,
    more: bytes = b"",
) -> bytes:
    """Canonical ChatMessage: what a leaf of the mountain range is the hash of. more: as `encode_more` has it."""
    return b"".join(
        (
            bytes_field(b"\x0a", channel_id),
            uint_field(b"\x10", index),
            bytes_field(b"\x1a", author),
            bytes_field(b"\x22", content),
            uint_field(b"\x28", reply_to),
            uint_field(b"\x30", height),
            uint_field(b"\x38", time_ns),
            more,
        )
    )


def encode_more(
    *, expires_ns: int = 0, epoch: int = 0, content_hash: bytes = b"", attachments: Sequence[Attachment] = (),
    edits: int = 0,
) -> bytes:  # fmt: skip
    """The fields that most messages have none of. edits: index + 1 of the message whose body it is."""
    return b"".join(
        (
            uint_field(b"\x40", expires_ns),
            uint_field(b"\x48", epoch),
            bytes_field(b"\x52", content_hash),
            *[message_field(b"\x5a", attachment.encode()) for attachment in attachments],
            uint_field(b"\x60", edits),
        )
    )


def without_body(item: bytes, why: int) -> bytes | None:
    """What is left of a message whose body is dropped; None: it has none any more."""
    message = pb.ChatMessage.FromString(item)
    if message.forgotten:
        return None
    message.ClearField("content")
    message.ClearField("content_hash")
    message.ClearField("attachments")
    message.leaf_hash, message.forgotten = leaf_hash(item), why
    return message.SerializeToString(deterministic=True)


def provable(item: bytes) -> bytes:
    """Of a stored message what a proof covers: all of it, or, where the body was forgotten, its place and its leaf."""
    m = pb.ChatMessage.FromString(item)
    if not m.forgotten:
        return item
    shown = pb.ChatMessage(channel_id=m.channel_id, index=m.index, leaf_hash=m.leaf_hash, forgotten=m.forgotten)
    return shown.SerializeToString(deterministic=True)


def leaf_of(item: bytes) -> bytes:
    """The hash of a stored message's leaf, whatever is left of it."""
    kept = pb.ChatMessage.FromString(item).leaf_hash
    return kept or leaf_hash(item)


class MessageState(NamedTuple):
    """What became of a message. edits: indices of its later bodies. reactions: how many of each, from the first."""

    edits: tuple[int, ...] = ()
    reactions: tuple[int, ...] = ()
    forgotten: int = 0
    by: bytes = b""
    height: int = 0

    def fits(self) -> bool:
        numbers = (*self.edits, *self.reactions, self.height)
        return all(0 <= number <= UINT64_MAX for number in numbers) and 0 <= self.forgotten <= UINT32_MAX

    def encode(self) -> bytes:
        return b"".join(
            (
                bytes_field(b"\x0a", b"".join([_packed(number) for number in self.edits])),
                bytes_field(b"\x12", b"".join([_packed(number) for number in self.reactions])),
                uint32_field(b"\x18", self.forgotten),
                bytes_field(b"\x22", self.by),
                uint_field(b"\x28", self.height),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> MessageState:
        r = messages_pb2.MessageState.FromString(stored)
        return MessageState(tuple(r.edits), tuple(r.reactions), r.forgotten, r.by, r.height)


def _packed(number: int) -> bytes:
    return uint_field(b"", number) or b"\x00"


MESSAGE: Final = Key.of(b"Cm", bytes)  # side: ‖ channel id ‖ index -> ChatMessage
NODE: Final = Key.of(b"Cn", bytes)  # side: ‖ channel id ‖ name of an inner node of the mountain range -> its hash
STATE: Final = Key.of(b"cw", MessageState)  # ‖ channel id ‖ index; absent: nothing became of it
REACTION: Final = Key.of(b"cj", bytes)  # ‖ channel id ‖ index ‖ member -> its number, one byte

STATES: Final = RecordKind(STATE, messages_pb2.MessageState, "what became of the message")


def message_key(channel_id: bytes, index: int) -> Key[bytes | None]:
    return MESSAGE + channel_id + height_bytes(index)


def state_key(channel_id: bytes, index: int) -> Key[MessageState | None]:
    return STATE + channel_id + height_bytes(index)


def reaction_key(channel_id: bytes, index: int, member: bytes) -> Key[bytes | None]:
    return REACTION + channel_id + height_bytes(index) + member
