"""Channels and their messages."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.fields import check_address, check_channel, check_text
from chain.tx.messages.kinds import CHAT, Kind
from proto.dchat.v1 import tx_pb2 as pb

CHANNEL_NAME_BYTES_MAX: Final = 64
TOPIC_BYTES_MAX: Final = 256


class CreateChannel(NamedTuple):
    creator: bytes
    name: str
    join_price: int  # udchat
    topic: str


class JoinChannel(NamedTuple):
    member: bytes
    channel_id: bytes


class PostMessage(NamedTuple):
    author: bytes
    channel_id: bytes
    content: bytes
    reply_to: int  # index + 1; 0: none


ChatMessage: TypeAlias = CreateChannel | JoinChannel | PostMessage


def create_channel(m: pb.CreateChannel) -> CreateChannel:
    check_address("create_channel.creator", m.creator)
    name = m.name
    if not 1 <= len(name) <= CHANNEL_NAME_BYTES_MAX or any(not " " <= char <= "~" for char in name):
        raise InvalidField(f"create_channel.name: 1 to {CHANNEL_NAME_BYTES_MAX} characters of printable ASCII")
    if name[0] == " " or name[-1] == " ":
        raise InvalidField("create_channel.name: starts or ends with a space")
    check_text("create_channel.topic", m.topic, TOPIC_BYTES_MAX)
    return CreateChannel(m.creator, name, m.join_price, m.topic)


def join_channel(m: pb.JoinChannel) -> JoinChannel:
    check_address("join_channel.member", m.member)
    check_channel("join_channel", m.channel_id)
    return JoinChannel(m.member, m.channel_id)


def post_message(m: pb.PostMessage) -> PostMessage:
    check_address("post_message.author", m.author)
    check_channel("post_message", m.channel_id)
    if not m.content:
        raise InvalidField("post_message.content: empty")
    return PostMessage(m.author, m.channel_id, m.content, m.reply_to)


KINDS: Final = (
    Kind("create_channel", create_channel, CreateChannel, CHAT, gas.GAS_MESSAGE + 2 * gas.GAS_STAYS),
    Kind("join_channel", join_channel, JoinChannel, CHAT, gas.GAS_MESSAGE + gas.GAS_STAYS),
    Kind("post_message", post_message, PostMessage, CHAT, gas.GAS_POST),
)
