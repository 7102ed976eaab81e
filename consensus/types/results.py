"""Results of transactions, and the hash over them that the next header carries.

Source: CometBFT v0.38 data sheet, section 3; field numbers, abci/types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from consensus.types.wire import bytes_field, int_field, message_field, parse
from crypto import merkle
from crypto.hash import sha256
from proto.tendermint.abci import types_pb2 as pb


@dataclass(frozen=True, slots=True)
class EventAttribute:
    key: str
    value: str
    index: bool = True

    def encode(self) -> bytes:
        return (
            bytes_field(b"\x0a", self.key.encode())
            + bytes_field(b"\x12", self.value.encode())
            + int_field(b"\x18", self.index)
        )


@dataclass(frozen=True, slots=True)
class Event:
    type: str
    attributes: tuple[EventAttribute, ...] = ()

    def encode(self) -> bytes:
        pieces = [bytes_field(b"\x0a", self.type.encode())]
        pieces += [message_field(b"\x12", attribute.encode()) for attribute in self.attributes]
        return b"".join(pieces)

    @staticmethod
    def from_proto(message: pb.Event) -> Event:
        return Event(message.type, tuple(EventAttribute(a.key, a.value, a.index) for a in message.attributes))


@dataclass(frozen=True, slots=True)
class ExecTxResult:
    """What executing a transaction gave. Only code, data, gas_wanted and gas_used are the same on every node."""

    code: int = 0
    data: bytes = b""
    log: str = ""
    info: str = ""
    gas_wanted: int = 0
    gas_used: int = 0
    events: tuple[Event, ...] = ()
    codespace: str = ""

    def deterministic_bytes(self) -> bytes:
        """The leaf of last_results_hash; empty when all four are zero."""
        return b"".join(
            (
                int_field(b"\x08", self.code),
                bytes_field(b"\x12", self.data),
                int_field(b"\x28", self.gas_wanted),
                int_field(b"\x30", self.gas_used),
            )
        )

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return b"".join(
            (
                int_field(b"\x08", self.code),
                bytes_field(b"\x12", self.data),
                bytes_field(b"\x1a", self.log.encode()),
                bytes_field(b"\x22", self.info.encode()),
                int_field(b"\x28", self.gas_wanted),
                int_field(b"\x30", self.gas_used),
                *(message_field(b"\x3a", event.encode()) for event in self.events),
                bytes_field(b"\x42", self.codespace.encode()),
            )
        )

    def to_proto(self) -> pb.ExecTxResult:
        return pb.ExecTxResult.FromString(self.encode())

    @staticmethod
    def from_proto(message: pb.ExecTxResult) -> ExecTxResult:
        return ExecTxResult(
            message.code,
            message.data,
            message.log,
            message.info,
            message.gas_wanted,
            message.gas_used,
            tuple(Event.from_proto(event) for event in message.events),
            message.codespace,
        )


@dataclass(frozen=True, slots=True)
class TxResult:
    """A transaction with its place and its result: what an index stores and a subscriber gets."""

    height: int
    index: int
    tx: bytes
    result: ExecTxResult

    @property
    def hash(self) -> bytes:
        return sha256(self.tx)

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return b"".join(
            (
                int_field(b"\x08", self.height),
                int_field(b"\x10", self.index),
                bytes_field(b"\x1a", self.tx),
                message_field(b"\x22", self.result.encode()),
            )
        )

    @staticmethod
    def decode(data: bytes) -> TxResult:
        """Raises Malformed. For bytes that this node stored: no limit but the protobuf library's."""
        message = parse(pb.TxResult, data, bytes_max=2**31 - 1, what="transaction result")
        return TxResult(message.height, message.index, message.tx, ExecTxResult.from_proto(message.result))


def results_hash(results: Iterable[ExecTxResult]) -> bytes:
    """last_results_hash of the next header."""
    return merkle.root([result.deterministic_bytes() for result in results])


def result_proof(results: Iterable[ExecTxResult], index: int) -> merkle.Proof:
    """That result `index` (its `deterministic_bytes`) is under `results_hash`."""
    return merkle.proofs([result.deterministic_bytes() for result in results])[1][index]
