"""Results of transactions, and the hash over them that the next header carries.

Source: CometBFT v0.38, spec/abci/abci++_methods.md, types/results.go, abci/types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from consensus.formats.wire import bytes_field, int_field, message_field, parse
from crypto import merkle
from crypto.hash import sha256
from proto.tendermint.abci import types_pb2 as pb

# Of event types and attribute keys, each encoded once: machines name a few dozen of each.
NAMES_REMEMBERED: Final = 1_024
_new = tuple.__new__  # what a NamedTuple's constructor calls, without its frame: events are made per payment


@lru_cache(NAMES_REMEMBERED)
def _name(name: str) -> bytes:
    """Field 1 of an event (its type) and of an attribute (its key)."""
    return bytes_field(b"\x0a", name.encode())


class EventAttribute(NamedTuple):
    """What an event says, as text. index: whether an indexer is to find the event by it."""

    key: str
    value: str
    index: bool = True  # type: ignore[assignment]  # ABCI's name; hides tuple.index, which nobody calls

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return _name(self.key) + bytes_field(b"\x12", self.value.encode()) + int_field(b"\x18", self.index)


class Event(NamedTuple):
    """Something that a block did, for readers: no part of the app hash, nor of last_results_hash.

    One or two are made per payment, so both kinds are tuples and `encode` has a short way for short attributes.
    """

    type: str
    attributes: tuple[EventAttribute, ...] = ()

    @staticmethod
    def of(type: str, /, **attributes: str) -> Event:
        """An event whose attributes are all indexed, in the order given."""
        made = tuple([_new(EventAttribute, (key, value, True)) for key, value in attributes.items()])
        return _new(Event, (type, made))

    @staticmethod
    def kind(type: str, first: str, second: str, third: str) -> Callable[[str, str, str], Event]:
        """What makes events of three indexed attributes from their values, in half of the time that `of` takes."""

        def make(one: str, two: str, three: str) -> Event:
            attributes = (
                _new(EventAttribute, (first, one, True)),
                _new(EventAttribute, (second, two, True)),
                _new(EventAttribute, (third, three, True)),
            )
            return _new(Event, (type, attributes))

        return make

    def encode(self) -> bytes:
        """Protobuf bytes."""
        out = _name(self.type)
        for attribute in self.attributes:
            name, text, index = attribute
            key, value = _name(name), text.encode()
            size = len(value)
            length = len(key) + size + 4  # 4: the value's tag and length, the flag
            if index and size and length < 0x80:  # so that every length is one byte
                out += b"\x12%c%b\x12%c%b\x18\x01" % (length, key, size, value)
            else:
                out += message_field(b"\x12", attribute.encode())
        return out

    @staticmethod
    def from_proto(message: pb.Event) -> Event:
        made = tuple([_new(EventAttribute, (a.key, a.value, a.index)) for a in message.attributes])
        return _new(Event, (message.type, made))


class ExecTxResult(NamedTuple):
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
        code, data, log, info, gas_wanted, gas_used, events, codespace = self
        out = int_field(b"\x08", code) + bytes_field(b"\x12", data)
        if log or info:
            out += bytes_field(b"\x1a", log.encode()) + bytes_field(b"\x22", info.encode())
        out += int_field(b"\x28", gas_wanted) + int_field(b"\x30", gas_used)
        if events:
            out += b"".join([message_field(b"\x3a", event.encode()) for event in events])
        return out + bytes_field(b"\x42", codespace.encode()) if codespace else out

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
            tuple([Event.from_proto(event) for event in message.events]),
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
