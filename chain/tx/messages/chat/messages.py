"""What is posted to channels, and what becomes of it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.codec import UINT64_MAX, bytes_field, uint_field
from chain.tx.errors import InvalidField
from chain.tx.messages.chat.channels import GAS_TWO
from chain.tx.messages.kinds import CHAT, ROLE_MODERATE, ROLE_POST, Kind
from chain.tx.messages.kinds.fields import check_address, check_channel
from crypto.hash import HASH_BYTES
from proto.dchat.v1 import messages_pb2
from proto.dchat.v1 import tx_pb2 as pb

REACTIONS: Final = (
    "like", "dislike", "love", "laugh", "wow", "sad", "angry", "thanks",
    "yes", "no", "done", "question", "celebrate", "eyes", "fire", "support",
)  # fmt: skip
TTL_S_MAX: Final = 315_360_000  # ten years
TTL_PARTS: Final = gas.GAS_LATER // gas.GAS_NEW_LEAF
ATTACHMENTS_MAX: Final = 8
MEDIA_TYPE_BYTES_MAX: Final = 64


class Attachment(NamedTuple):
    """What is stored elsewhere."""

    sha256: bytes
    size: int
    media_type: str

    def encode(self) -> bytes:
        name = bytes_field(b"\x1a", self.media_type.encode())
        return bytes_field(b"\x0a", self.sha256) + uint_field(b"\x10", self.size) + name


class PostMessage(NamedTuple):
    author: bytes
    channel_id: bytes
    content: bytes
    reply_to: int  # index + 1; 0: none
    ttl_s: int = 0  # 0: it stays
    epoch: int = 0
    content_hash: bytes = b""  # instead of content
    attachments: tuple[Attachment, ...] = ()


class EditMessage(NamedTuple):
    author: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # the field's name; tuple.index is not used
    content: bytes
    epoch: int = 0


class RetractMessage(NamedTuple):
    actor: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]


class React(NamedTuple):
    member: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]
    reaction: int  # its number in REACTIONS, from 1; 0: takes it back


class MarkRead(NamedTuple):
    member: bytes
    channel_id: bytes
    count: int  # type: ignore[assignment]  # how many were read


PostsMessage: TypeAlias = PostMessage | EditMessage | RetractMessage | React | MarkRead


def post_message(m: pb.PostMessage) -> PostMessage:
    check_address("post_message.author", m.author)
    check_channel("post_message", m.channel_id)
    content_hash, ttl_s, attachments = m.content_hash, m.ttl_s, m.attachments
    if bool(m.content) == bool(content_hash):
        raise InvalidField("post_message.content: empty, or there is a content_hash beside it")
    if not ttl_s and not content_hash and not attachments:
        return PostMessage(m.author, m.channel_id, m.content, m.reply_to, 0, m.epoch)
    if ttl_s > TTL_S_MAX:
        raise InvalidField(f"post_message.ttl_s: {ttl_s}, allowed: 0 to {TTL_S_MAX}")
    if len(content_hash) not in (0, HASH_BYTES):
        raise InvalidField(f"post_message.content_hash: {len(content_hash)} bytes, expected {HASH_BYTES}")
    if len(attachments) > ATTACHMENTS_MAX:
        raise InvalidField(f"post_message.attachments: {len(attachments)}, allowed: {ATTACHMENTS_MAX}")
    return PostMessage(
        m.author,
        m.channel_id,
        m.content,
        m.reply_to,
        ttl_s,
        m.epoch,
        content_hash,
        tuple(map(_attachment, attachments)),
    )


def _attachment(m: messages_pb2.Attachment) -> Attachment:
    if len(m.sha256) != HASH_BYTES or not m.size:
        raise InvalidField(f"post_message.attachments: a hash of {HASH_BYTES} bytes and a size are expected")
    if len(m.media_type) > MEDIA_TYPE_BYTES_MAX or any(not " " <= char <= "~" for char in m.media_type):
        raise InvalidField(f"post_message.attachments: media_type has up to {MEDIA_TYPE_BYTES_MAX} printable ASCII")
    return Attachment(m.sha256, m.size, m.media_type)


def fill_post_message(out: Any, message: PostMessage) -> None:
    out.author, out.channel_id, out.content, out.reply_to = message[:4]
    out.ttl_s, out.epoch, out.content_hash = message.ttl_s, message.epoch, message.content_hash
    for attachment in message.attachments:
        out.attachments.add(**attachment._asdict())


def _parts(message: PostMessage) -> int:
    """An attachment is one, a time to live as many as make up for what is done when it is over."""
    return len(message.attachments) + (TTL_PARTS if message.ttl_s else 0)


def _check_index(where: str, actor: bytes, channel_id: bytes, index: int) -> None:
    check_address(where, actor)
    check_channel(where, channel_id)
    if index >= UINT64_MAX:
        raise InvalidField(f"{where}.index: {index}, allowed: 0 to {UINT64_MAX - 1}")


def edit_message(m: messages_pb2.EditMessage) -> EditMessage:
    _check_index("edit_message", m.author, m.channel_id, m.index)
    if not m.content:
        raise InvalidField("edit_message.content: empty")
    return EditMessage(m.author, m.channel_id, m.index, m.content, m.epoch)


def retract_message(m: messages_pb2.RetractMessage) -> RetractMessage:
    _check_index("retract_message", m.actor, m.channel_id, m.index)
    return RetractMessage(m.actor, m.channel_id, m.index)


def react(m: messages_pb2.React) -> React:
    _check_index("react", m.member, m.channel_id, m.index)
    if m.reaction > len(REACTIONS):
        raise InvalidField(f"react.reaction: {m.reaction}, allowed: 0 to {len(REACTIONS)}")
    return React(m.member, m.channel_id, m.index, m.reaction)


def mark_read(m: messages_pb2.MarkRead) -> MarkRead:
    check_address("mark_read.member", m.member)
    check_channel("mark_read", m.channel_id)
    if not m.count:
        raise InvalidField("mark_read.count: 0, allowed: 1 and more")
    return MarkRead(m.member, m.channel_id, m.count)


KINDS: Final = (
    Kind("post_message", post_message, PostMessage, CHAT, gas.GAS_POST, fill_post_message, _parts, gas.GAS_NEW_LEAF,
         role=ROLE_POST),
    Kind("edit_message", edit_message, EditMessage, CHAT, gas.GAS_POST + GAS_TWO + gas.GAS_STAYS, role=ROLE_POST),
    # bodies of up to 16 edits go with it
    Kind(
        "retract_message", retract_message, RetractMessage, CHAT, GAS_TWO + gas.GAS_STAYS + gas.GAS_LATER,
        role=ROLE_MODERATE,  # it may be others' that are retracted
    ),
    Kind("react", react, React, CHAT, GAS_TWO + gas.GAS_STAYS, role=ROLE_POST),
    Kind("mark_read", mark_read, MarkRead, CHAT, gas.GAS_MESSAGE, role=ROLE_POST),
)  # fmt: skip
