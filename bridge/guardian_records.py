"""The bridge store's records of guardians and recoveries. Immutable; proto/dchat/v1/guardians.proto."""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.currency.staking.queues import TimeQueue
from chain.kernel.branch import Decoders, Key, RecordKind, decoders_of
from chain.kernel.items import FailedItems
from chain.tx.codec import bytes_field, message_field, uint32_field, uint_field, varint
from proto.dchat.v1 import guardians_pb2 as pb


class Terms(NamedTuple):
    """guardians: ascending; none: nobody recovers the account. overrule: 0, or so many approvals that no objection ends
    the recovery."""

    guardians: tuple[bytes, ...]
    threshold: int
    delay_s: int
    overrule: int

    def encode(self) -> bytes:
        return b"".join(
            (
                *[message_field(b"\x0a", guardian) for guardian in self.guardians],
                uint32_field(b"\x10", self.threshold),
                uint_field(b"\x18", self.delay_s),
                uint32_field(b"\x20", self.overrule),
            )
        )

    @staticmethod
    def read(m: pb.GuardianTerms) -> Terms:
        return Terms(tuple(m.guardians), m.threshold, m.delay_s, m.overrule)


class Quiet(NamedTuple):
    """A guardian that starts and approves nothing until then."""

    guardian: bytes
    until_ns: int


class Guardians(NamedTuple):
    """pending: what the terms will be, from `pending_ns` on; None: no change waits."""

    terms: Terms
    height: int
    pending: Terms | None = None
    pending_ns: int = 0
    pending_height: int = 0
    quiet: tuple[Quiet, ...] = ()

    def encode(self) -> bytes:
        return b"".join(
            (
                message_field(b"\x0a", self.terms.encode()),
                uint_field(b"\x10", self.height),
                message_field(b"\x1a", self.pending.encode()) if self.pending is not None else b"",
                uint_field(b"\x20", self.pending_ns),
                uint_field(b"\x28", self.pending_height),
                *[
                    message_field(b"\x32", bytes_field(b"\x0a", guardian) + uint_field(b"\x10", until_ns))
                    for guardian, until_ns in self.quiet
                ],
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Guardians:
        r = pb.Guardians.FromString(stored)
        return Guardians(
            Terms.read(r.terms), r.height, Terms.read(r.pending) if r.HasField("pending") else None,
            r.pending_time_ns, r.pending_height, tuple([Quiet(one.guardian, one.until_time_ns) for one in r.quiet]),
        )  # fmt: skip


class Recovery(NamedTuple):
    """policy: canonical. end_ns: when it lapses; once it is agreed on, when it is carried out. agreed_height: since
    when as many guardians approve as the threshold says; 0: they do not. epochs: of the guardians that approve, each
    its own then; none: all 0."""

    id: bytes
    starter: bytes
    policy: bytes
    approvals: tuple[bytes, ...]
    end_ns: int
    agreed_height: int
    epochs: tuple[int, ...] = ()

    @property
    def said(self) -> dict[bytes, int]:
        """Who approved, in order, and in which epoch."""
        return dict(zip(self.approvals, self.epochs or (0,) * len(self.approvals), strict=True))

    def with_word(self, guardian: bytes, epoch: int) -> Recovery:
        said = {**self.said, guardian: epoch}
        return self._replace(approvals=tuple(said), epochs=tuple(said.values()) if any(said.values()) else ())

    def encode(self) -> bytes:
        return b"".join(
            (
                bytes_field(b"\x0a", self.id),
                bytes_field(b"\x12", self.starter),
                bytes_field(b"\x1a", self.policy),
                *[message_field(b"\x22", guardian) for guardian in self.approvals],
                uint_field(b"\x28", self.end_ns),
                uint_field(b"\x30", self.agreed_height),
                bytes_field(b"\x3a", b"".join(map(varint, self.epochs))),
            )
        )

    @staticmethod
    def read(m: pb.Recovery) -> Recovery:
        policy = m.policy.SerializeToString(deterministic=True)
        return Recovery(
            m.id, m.starter, policy, tuple(m.approvals), m.end_time_ns, m.agreed_height, tuple(m.approval_epochs)
        )


class Recoveries(NamedTuple):
    """Of one account: one of each guardian at most, or the one that is agreed on."""

    of: tuple[Recovery, ...]

    def encode(self) -> bytes:
        return b"".join([message_field(b"\x0a", recovery.encode()) for recovery in self.of])

    @staticmethod
    def decode(stored: bytes) -> Recoveries:
        return Recoveries(tuple([Recovery.read(one) for one in pb.Recoveries.FromString(stored).recoveries]))


GUARDIANS: Final = Key.of(b"bh", Guardians)  # ‖ address; absent: it has none
RECOVERIES: Final = Key.of(b"bj", Recoveries)  # ‖ address; absent: none is open
FAILED: Final = FailedItems(b"bJ")  # ‖ queue ‖ item
WAITING: Final = TimeQueue(Key.of(b"BG", bytes), Key.of(b"Bg", bytes))  # side: ‖ time ‖ what ‖ address (‖ starter)
DECODERS: Final[Decoders] = decoders_of(GUARDIANS, RECOVERIES, FAILED.prefix)

GUARDED: Final = RecordKind(GUARDIANS, pb.Guardians, "the record of guardians")
RECOVERING: Final = RecordKind(RECOVERIES, pb.Recoveries, "the record of recoveries")
