"""The chat store's records. Immutable; each encodes to the bytes of its message in proto/dchat/v1/state.proto."""

from __future__ import annotations

from typing import Final

from chain.auth import (
    Sequences,
    encode_sequences,
    read_policy,
    read_sequences,
    sequences_fit,
    waits_between,
)
from chain.branch import Readable
from chain.codec import UINT64_MAX, bytes_field, height_bytes, message_field, uint_field
from chain.errors import AllowanceExhausted
from chain.state.mmr import Range
from chain.tx import Tx
from proto.dchat.v1 import state_pb2 as pb


class Allowance:
    """What an identity may still post: so much in each period of blocks, and beyond that what it bought."""

    __slots__ = (
        "bought_bytes",
        "bought_messages",
        "bytes_per_period",
        "bytes_used",
        "messages_per_period",
        "messages_used",
        "period_start_height",
    )

    def __init__(
        self,
        messages_per_period: int,
        bytes_per_period: int,
        period_start_height: int,
        messages_used: int = 0,
        bytes_used: int = 0,
        bought_messages: int = 0,
        bought_bytes: int = 0,
    ) -> None:
        self.messages_per_period, self.bytes_per_period = messages_per_period, bytes_per_period
        self.period_start_height = period_start_height
        self.messages_used, self.bytes_used = messages_used, bytes_used
        self.bought_messages, self.bought_bytes = bought_messages, bought_bytes

    def refilled(self, height: int, period_blocks: int) -> tuple[int, int, int]:
        """(start of the period that holds `height`, messages and bytes used in it)."""
        start = self.period_start_height
        if height - start < period_blocks:
            return start, self.messages_used, self.bytes_used
        return height - (height - start) % period_blocks, 0, 0

    def spend(self, messages: int, size: int, *, height: int, period_blocks: int) -> Allowance:
        """What is left; the period's share goes first. Raises: AllowanceExhausted."""
        start, messages_used, bytes_used = self.refilled(height, period_blocks)
        messages_free = min(messages, max(0, self.messages_per_period - messages_used))
        bytes_free = min(size, max(0, self.bytes_per_period - bytes_used))
        messages_left = self.bought_messages - (messages - messages_free)
        bytes_left = self.bought_bytes - (size - bytes_free)
        if messages_left < 0 or bytes_left < 0:
            raise AllowanceExhausted(
                f"{max(0, -messages_left)} messages and {max(0, -bytes_left)} bytes short until block "
                f"{start + period_blocks}"
            )
        return Allowance(
            self.messages_per_period, self.bytes_per_period, start, messages_used + messages_free,
            bytes_used + bytes_free, messages_left, bytes_left,
        )  # fmt: skip

    def exhausted(self, height: int, period_blocks: int) -> Allowance:
        """With nothing left for this period."""
        start, _, _ = self.refilled(height, period_blocks)
        messages, size = self.messages_per_period, self.bytes_per_period
        return Allowance(messages, size, start, messages, size)

    def with_bought(self, messages: int, size: int) -> Allowance:
        return Allowance(
            self.messages_per_period, self.bytes_per_period, self.period_start_height, self.messages_used,
            self.bytes_used, self.bought_messages + messages, self.bought_bytes + size,
        )  # fmt: skip

    def fits(self) -> bool:
        every = (
            self.messages_per_period | self.bytes_per_period | self.period_start_height | self.messages_used
            | self.bytes_used | self.bought_messages | self.bought_bytes
        )  # fmt: skip
        return 0 <= every <= UINT64_MAX  # one below 0 makes all of it negative

    def encode(self) -> bytes:
        return b"".join(
            (
                uint_field(b"\x08", self.messages_per_period),
                uint_field(b"\x10", self.bytes_per_period),
                uint_field(b"\x18", self.period_start_height),
                uint_field(b"\x20", self.messages_used),
                uint_field(b"\x28", self.bytes_used),
                uint_field(b"\x30", self.bought_messages),
                uint_field(b"\x38", self.bought_bytes),
            )
        )

    @staticmethod
    def read(a: pb.Allowance) -> Allowance:
        return Allowance(
            a.messages_per_period, a.bytes_per_period, a.period_start_height, a.messages_used, a.bytes_used,
            a.bought_messages, a.bought_bytes,
        )  # fmt: skip


class Identity:
    """policy: canonical KeyPolicy. What else it holds is bounded by what a registration may say."""

    __slots__ = ("address", "allowance", "created_height", "display", "name", "policy", "sequences")

    def __init__(
        self,
        address: bytes,
        name: str,
        display: str,
        policy: bytes,
        sequences: Sequences,
        allowance: Allowance,
        created_height: int,
    ) -> None:
        self.address, self.name, self.display, self.policy = address, name, display, policy
        self.sequences, self.allowance, self.created_height = sequences, allowance, created_height

    def fits(self) -> bool:
        return 0 <= self.created_height <= UINT64_MAX and self.allowance.fits() and sequences_fit(self.sequences)

    def with_use(self, sequences: Sequences, allowance: Allowance) -> Identity:
        return Identity(
            self.address, self.name, self.display, self.policy, sequences, allowance, self.created_height
        )  # fmt: skip

    def encode(self) -> bytes:
        return b"".join(
            (
                bytes_field(b"\x0a", self.address),
                bytes_field(b"\x12", self.name.encode()),
                bytes_field(b"\x1a", self.display.encode()),
                bytes_field(b"\x22", self.policy),
                encode_sequences(b"\x2a", self.sequences),
                message_field(b"\x32", self.allowance.encode()),
                uint_field(b"\x38", self.created_height),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Identity:
        record = pb.Identity.FromString(stored)
        policy = read_policy(record)
        assert policy is not None, "an identity has a policy"
        return Identity(
            record.address, record.name, record.display, policy, read_sequences(record),
            Allowance.read(record.allowance), record.created_height,
        )  # fmt: skip


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


class ChatParams:
    __slots__ = ("allowance_period_blocks", "message_bytes_max", "unordered_expiry_blocks_max")

    def __init__(self, allowance_period_blocks: int, message_bytes_max: int, unordered_expiry_blocks_max: int) -> None:
        assert allowance_period_blocks > 0, allowance_period_blocks  # it divides (SDK 2025-003)
        self.allowance_period_blocks, self.message_bytes_max = allowance_period_blocks, message_bytes_max
        self.unordered_expiry_blocks_max = unordered_expiry_blocks_max

    def encode(self) -> bytes:
        return b"".join(
            (
                uint_field(b"\x08", self.allowance_period_blocks),
                uint_field(b"\x10", self.message_bytes_max),
                uint_field(b"\x18", self.unordered_expiry_blocks_max),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> ChatParams:
        r = pb.ChatParams.FromString(stored)
        return ChatParams(r.allowance_period_blocks, r.message_bytes_max, r.unordered_expiry_blocks_max)


class PendingIdentity:
    """What admitted transactions will take from an identity."""

    __slots__ = ("allowances", "policy", "sequences")

    def __init__(self) -> None:
        self.policy = b""
        self.sequences: Sequences = ()
        self.allowances: tuple[int, int] = (0, 0)

    def add(self, before: Identity, after: Identity, tx: Tx) -> tuple[int, int]:
        self.policy, self.sequences = after.policy, after.sequences
        messages, size = charge_of(tx) if tx.payer == after.address else (0, 0)
        self.allowances = (self.allowances[0] + messages, self.allowances[1] + size)
        return messages, size

    def release(self, cost: tuple[int, int]) -> None:
        self.allowances = (self.allowances[0] - cost[0], self.allowances[1] - cost[1])

    def agrees(self, committed: Identity, ordered: int, height: int, base: Readable) -> bool:
        params: ChatParams = base.get(PARAMS)
        try:
            committed.allowance.spend(*self.allowances, height=height, period_blocks=params.allowance_period_blocks)
        except AllowanceExhausted:
            return False
        if committed.policy != self.policy:
            return False
        return waits_between(committed.sequences, self.sequences) == ordered

    def apply(self, committed: Identity, height: int, base: Readable) -> Identity:
        params: ChatParams = base.get(PARAMS)
        period_blocks = params.allowance_period_blocks
        messages, size = self.allowances
        try:
            left = committed.allowance.spend(messages, size, height=height, period_blocks=period_blocks)
        except AllowanceExhausted:
            left = committed.allowance.exhausted(height, period_blocks)
        return committed.with_use(self.sequences or committed.sequences, left)


GAS_PER_ALLOWANCE_BYTE: Final = 100  # the chat lane pays for gas in bytes: so that a high limit is not free


def charge_of(tx: Tx) -> tuple[int, int]:
    """(messages, bytes) of allowance that a chat transaction takes, whatever becomes of it."""
    return len(tx.messages), max(len(tx.raw), -(-tx.gas_limit // GAS_PER_ALLOWANCE_BYTE))


IDENTITY: Final = b"ci"  # ‖ address
IDENTITY_NAME: Final = b"cn"  # ‖ name -> address
CHANNEL: Final = b"cc"  # ‖ channel id
MEMBER: Final = b"cm"  # ‖ channel id ‖ address -> Membership
PARAMS: Final = b"cp"
MESSAGE: Final = b"Cm"  # side: ‖ channel id ‖ index -> ChatMessage
NODE: Final = b"Cn"  # side: ‖ channel id ‖ name of an inner node of the mountain range -> its hash


def member_key(channel_id: bytes, address: bytes) -> bytes:
    return MEMBER + channel_id + address


def message_key(channel_id: bytes, index: int) -> bytes:
    return MESSAGE + channel_id + height_bytes(index)
