"""The records of channels and their members. Immutable; each encodes to its message in proto/dchat/v1/."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from chain.chat.ledger.records import UNUSED, Use, use_field
from chain.kernel.branch import Key, RecordKind
from chain.state.mmr import Range
from chain.tx.codec import UINT32_MAX, UINT64_MAX, bytes_field, message_field, uint32_field, uint_field
from chain.tx.messages.chat import MEMBER as ROLE_MEMBER
from chain.tx.messages.chat import OPEN
from proto.dchat.v1 import channels_pb2
from proto.dchat.v1 import state_pb2 as pb


class Settings(NamedTuple):
    """What a channel has beyond the plainest. pinned: indices of messages. epoch: of its key; 0: not encrypted.

    pair: of a conversation of two, both addresses, the lesser first; then there is no owner.
    heir_epoch: the owner's when the channel was offered.
    """

    access: int = OPEN
    period_s: int = 0
    slow_mode_s: int = 0
    join_role: int = ROLE_MEMBER
    archived: bool = False
    heir: bytes = b""
    pinned: tuple[int, ...] = ()
    epoch: int = 0
    pair: bytes = b""
    heir_epoch: int = 0

    def fits(self) -> bool:
        small, large = (
            (self.access, self.slow_mode_s, self.join_role),
            (self.period_s, self.epoch, self.heir_epoch, *self.pinned),
        )
        return all(0 <= n <= UINT32_MAX for n in small) and all(0 <= n <= UINT64_MAX for n in large)

    def encode(self) -> bytes:
        return channels_pb2.ChannelSettings(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def read(s: channels_pb2.ChannelSettings) -> Settings:
        return Settings(
            s.access, s.period_s, s.slow_mode_s, s.join_role, s.archived, s.heir, tuple(s.pinned), s.epoch, s.pair,
            s.heir_epoch,
        )  # fmt: skip


PLAIN: Final = Settings()


class Channel:
    """range: of its messages, each as its canonical ChatMessage. settings: None is PLAIN, which is never kept."""

    __slots__ = ("created_height", "id", "join_price", "member_count", "name", "owner", "range", "settings", "topic")

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
        settings: Settings | None = None,
    ) -> None:
        self.id, self.name, self.topic, self.owner, self.join_price = id, name, topic, owner, join_price
        self.member_count, self.range, self.created_height = member_count, range, created_height
        self.settings = settings

    def fits(self) -> bool:
        if self.settings is not None and not self.settings.fits():
            return False
        return 0 <= self.join_price | self.member_count | self.range.count | self.created_height <= UINT64_MAX

    def changed(self, *, member_count: int, range: Range) -> Channel:
        return Channel(
            self.id, self.name, self.topic, self.owner, self.join_price, member_count, range, self.created_height,
            self.settings,
        )  # fmt: skip

    def edited(self, **fields: Any) -> Channel:
        """With other values of its own fields or of its settings'."""
        mine = {name: fields.pop(name) for name in Channel.__slots__ if name in fields}
        if fields:
            settings = (self.settings or PLAIN)._replace(**fields)
            mine["settings"] = None if settings == PLAIN else settings
        return Channel(**{name: mine.get(name, getattr(self, name)) for name in Channel.__slots__})

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
                message_field(b"\x52", self.settings.encode()) if self.settings is not None else b"",
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Channel:
        record = pb.Channel.FromString(stored)
        return Channel(
            record.id, record.name, record.topic, record.owner, record.join_price, record.member_count,
            Range(record.message_count, tuple(record.peaks)), record.created_height,
            Settings.read(record.settings) if record.HasField("settings") else None,
        )  # fmt: skip


class Membership(NamedTuple):
    """end_ns: when it ends unless it is renewed; 0: never. last_post_ns: kept where there is slow mode.

    read_count: how many messages its member has read. first_epoch: the first whose key its member may be given.
    joined_ns: 0, before it was kept, or with the channel. use: of what the channel's owner set aside.
    """

    joined_height: int
    role: int = ROLE_MEMBER
    end_ns: int = 0
    last_post_ns: int = 0
    read_count: int = 0
    first_epoch: int = 0
    joined_ns: int = 0
    use: Use = UNUSED

    def fits(self) -> bool:
        numbers = self.joined_height | self.end_ns | self.last_post_ns | self.read_count | self.first_epoch
        return 0 <= numbers | self.joined_ns <= UINT64_MAX and 0 <= self.role <= UINT32_MAX and self.use.fits()

    def encode(self) -> bytes:
        return b"".join(
            (
                uint_field(b"\x08", self.joined_height),
                uint32_field(b"\x10", self.role),
                uint_field(b"\x18", self.end_ns),
                uint_field(b"\x20", self.last_post_ns),
                uint_field(b"\x28", self.read_count),
                uint_field(b"\x30", self.first_epoch),
                uint_field(b"\x38", self.joined_ns),
                use_field(b"\x42", self.use),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Membership:
        r = pb.Membership.FromString(stored)
        return Membership(
            r.joined_height, r.role, r.end_ns, r.last_post_ns, r.read_count, r.first_epoch, r.joined_ns,
            Use.read(r.use),
        )  # fmt: skip


class Ban(NamedTuple):
    """until_ns: 0 is until it is lifted."""

    by: bytes
    until_ns: int
    height: int

    def encode(self) -> bytes:
        return channels_pb2.Ban(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Ban:
        r = channels_pb2.Ban.FromString(stored)
        return Ban(r.by, r.until_ns, r.height)


class Invitation(NamedTuple):
    """created_height: of the identity that is invited, so that none which its address has later comes in by it."""

    by: bytes
    until_ns: int
    reads_back: bool
    created_height: int

    def encode(self) -> bytes:
        return channels_pb2.Invitation(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Invitation:
        r = channels_pb2.Invitation.FromString(stored)
        return Invitation(r.by, r.until_ns, r.reads_back, r.created_height)


CHANNEL: Final = Key.of(b"cc", Channel)  # ‖ channel id
MEMBER: Final = Key.of(b"cm", Membership)  # ‖ channel id ‖ address
BAN: Final = Key.of(b"cb", Ban)  # ‖ channel id ‖ address
INVITATION: Final = Key.of(b"cI", Invitation)  # ‖ channel id ‖ address
BY_MEMBER: Final = Key.of(b"CM", bytes)  # side: ‖ address ‖ channel id, of each membership

MEMBERS: Final = RecordKind(MEMBER, pb.Membership, "the membership")
BANS: Final = RecordKind(BAN, channels_pb2.Ban, "the ban")
INVITATIONS: Final = RecordKind(INVITATION, channels_pb2.Invitation, "the invitation")


def member_key(channel_id: bytes, address: bytes) -> Key[Membership | None]:
    return MEMBER + channel_id + address
