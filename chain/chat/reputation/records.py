"""The records of reputation and reports. Immutable; each encodes to its message in proto/dchat/v1/reputation.proto."""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.kernel.branch import Key, RecordKind
from chain.tx.codec import UINT64_MAX, bytes_field, height_bytes, message_field, uint32_field, uint_field
from chain.tx.messages.kinds.fields import CHANNEL_ID_BYTES
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import reputation_pb2 as pb


class Reputation(NamedTuple):
    """score: as it was in `period`. share: what one act on another's score is worth in it; acted: on whom, in it."""

    score: int
    period: int
    share: int = 0
    acted: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        return b"".join(
            (
                uint_field(b"\x08", self.score),
                uint_field(b"\x10", self.period),
                uint_field(b"\x18", self.share),
                *[message_field(b"\x22", one) for one in self.acted],
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Reputation:
        r = pb.Reputation.FromString(stored)
        return Reputation(r.score, r.period, r.share, tuple(r.acted))


class ReportedBy(NamedTuple):
    reporter: bytes
    weight: int
    reason: int

    def encode(self) -> bytes:
        return (
            bytes_field(b"\x0a", self.reporter) + uint_field(b"\x10", self.weight) + uint32_field(b"\x18", self.reason)
        )


class Report(NamedTuple):
    """subject: whom it is about. by: the heaviest reporters. verdict: 0 while it is open."""

    subject: bytes
    end_ns: int
    by: tuple[ReportedBy, ...]
    verdict: int = 0
    resolved_by: bytes = b""

    @property
    def weight(self) -> int:
        return sum([one.weight for one in self.by])

    def encode(self) -> bytes:
        return b"".join(
            (
                bytes_field(b"\x0a", self.subject),
                uint_field(b"\x10", self.weight),
                uint_field(b"\x18", self.end_ns),
                *[message_field(b"\x22", one.encode()) for one in self.by],
                uint32_field(b"\x28", self.verdict),
                bytes_field(b"\x32", self.resolved_by),
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Report:
        r = pb.Report.FromString(stored)
        by = tuple([ReportedBy(one.reporter, one.score, one.reason) for one in r.by])
        return Report(r.about, r.end_ns, by, r.verdict, r.resolved_by)


REPUTATION: Final = Key.of(b"ch", Reputation)  # ‖ address
REPORT: Final = Key.of(b"cs", Report)  # ‖ channel id ‖ what it is about
BY_WEIGHT: Final = Key.of(b"Cs", bytes)  # side: ‖ channel id ‖ 2^64 - 1 - weight ‖ what it is about; of open reports

REPUTATIONS: Final = RecordKind(REPUTATION, pb.Reputation, "the reputation")
REPORTS: Final = RecordKind(REPORT, pb.Report, "the report")

OF_MESSAGE: Final = b"m"  # ‖ index
OF_MEMBER: Final = b"u"  # ‖ address
WEIGHT_BYTES: Final = 8


def about_message(channel_id: bytes, index: int) -> bytes:
    """What stands behind the prefix of a report's key."""
    return channel_id + OF_MESSAGE + height_bytes(index)


def about_member(channel_id: bytes, member: bytes) -> bytes:
    return channel_id + OF_MEMBER + member


def place_of(about: bytes) -> tuple[int, bytes]:
    """(index, member) of what stands behind the channel's id: one of them says something."""
    kind, named = about[:1], about[1:]
    if kind == OF_MEMBER:
        assert len(named) == ADDRESS_BYTES, about
        return 0, named
    return int.from_bytes(named, "big"), b""


def by_weight(about: bytes, weight: int) -> Key[bytes | None]:
    """about: channel id and what stands behind it."""
    at = (UINT64_MAX - weight).to_bytes(WEIGHT_BYTES, "big")
    return BY_WEIGHT + about[:CHANNEL_ID_BYTES] + at + about[CHANNEL_ID_BYTES:]
