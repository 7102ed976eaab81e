"""The records of channels and their members. Immutable; each encodes to its message in proto/dchat/v1/state.proto."""

from __future__ import annotations

from typing import Final

from chain.kernel.branch import Key, RecordKind
from chain.state.mmr import Range
from chain.tx.codec import UINT64_MAX, bytes_field, message_field, uint_field
from proto.dchat.v1 import state_pb2 as pb


class Channel:
    """range: of its messages, each as its canonical ChatMessage."""

    __slots__ = ("created_height", "id", "join_price", "member_count", "name", "owner", "range", "topic")

    def __init__(
        self,
        id: bytes,
        name: str,
        topic: str,
        owner: bytes,
        join_price: int,
        member_count: int,
        range: Range,
        created_height: int,
    ) -> None:
        self.id, self.name, self.topic, self.owner, self.join_price = id, name, topic, owner, join_price
        self.member_count, self.range, self.created_height = member_count, range, created_height

    def fits(self) -> bool:
        return 0 <= self.join_price | self.member_count | self.range.count | self.created_height <= UINT64_MAX

    def changed(self, *, member_count: int, range: Range) -> Channel:
        return Channel(
            self.id, self.name, self.topic, self.owner, self.join_price, member_count, range, self.created_height
        )  # fmt: skip

    def encode(self) -> bytes:
        return b"".join(
            (
                bytes_field(b"\x0a", self.id),
                bytes_field(b"\x12", self.name.encode()),
                bytes_field(b"\x1a", self.topic.encode()),
                bytes_field(b"\x22", self.owner),
                uint_field(b"\x28", self.join_price),
                uint_field(b"\x30", self.member_count),
                uint_field(b"\x38", self.range.count),
                *[message_field(b"\x42", peak) for peak in self.range.peaks],
                uint_field(b"\x48", self.created_height),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Channel:
        record = pb.Channel.FromString(stored)
        return Channel(
            record.id, record.name, record.topic, record.owner, record.join_price, record.member_count,
            Range(record.message_count, tuple(record.peaks)), record.created_height,
        )  # fmt: skip


CHANNEL: Final = Key.of(b"cc", Channel)  # ‖ channel id
MEMBER: Final = Key.of(b"cm", bytes)  # ‖ channel id ‖ address -> Membership

MEMBERS: Final = RecordKind(MEMBER, pb.Membership, "the membership")


def member_key(channel_id: bytes, address: bytes) -> Key[bytes | None]:
    return MEMBER + channel_id + address
