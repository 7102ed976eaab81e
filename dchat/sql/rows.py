"""The rows of a block, from its bytes and those of its results as a node stores them. Pure.

What the tables mean says schema_1.sql. JSON is as the commands show it (dchat/shown). PostgreSQL has no NUL in its
texts: one that a chain carries is written as U+FFFD.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from google.protobuf.message import DecodeError

from chain.tx.messages import LANE_NAMES
from consensus.state.cursors import OF_BLOCK, in_order
from consensus.types.header import Header
from crypto.bech32 import encode_address
from crypto.hash import ADDRESS_BYTES, sha256
from dchat.shown.messages import message_json
from proto.dchat.v1 import state_pb2, tx_pb2
from proto.tendermint.abci import types_pb2 as abci_pb
from proto.tendermint.types import block_pb2

Row: TypeAlias = tuple[Any, ...]

PIECE_ROWS: Final = 4_000  # that are held at once, about: some MB
VALUE_CHARACTERS_MAX: Final = 256  # of an attribute that is found by its value: as a filter of events may have
NUL, IN_PLACE_OF_NUL = "\0", "\ufffd"
NUL_IN_JSON: Final = "\\u0000"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
UNREADABLE: Final = "unreadable"

COLUMNS: Final = {
    "blocks": (
        "height", "hash", "time", "time_ns", "proposer", "transactions", "events", "evidence", "bytes", "app_hash",
    ),
    "transactions": (
        "height", "tx_index", "hash", "lane", "sender", "fee_udchat", "gas_limit", "gas_used", "code", "codespace",
        "log", "memo", "messages", "bytes", "receipt",
    ),
    "messages": ("height", "tx_index", "message_index", "kind", "body"),
    "events": ("height", "event_index", "tx_index", "type", "attributes"),
    "event_attributes": ("height", "event_index", "place", "key", "value"),
}  # fmt: skip


@dataclass(slots=True)
class Piece:
    """Rows of a part of a block, by their table."""

    transactions: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    event_attributes: list[Row] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self.by_table())

    def by_table(self) -> list[tuple[str, list[Row]]]:
        return [
            (name, getattr(self, name)) for name in ("transactions", "messages", "events", "event_attributes")
        ]  # fmt: skip


class BlockRows:
    """A block with what it did. Raises DecodeError, InvalidData: the bytes are no block, or no results."""

    def __init__(self, block: bytes, results: bytes) -> None:
        self._block, self._size = block_pb2.Block.FromString(block), len(block)
        self._results = abci_pb.ResponseFinalizeBlock.FromString(results)
        self.header = Header.from_proto(self._block.header)
        self.height, self.hash = self.header.height, self.header.hash.hex()
        self.follows = self.header.last_block_id.hash.hex()
        self.app_hash_before, self.app_hash = self.header.app_hash.hex(), self._results.app_hash.hex()
        self.transactions = len(self._block.data.txs)

    def row(self) -> Row:
        """Of the table `blocks`."""
        time_ns = self.header.time_ns
        events = len(self._results.events) + sum(len(result.events) for result in self._results.tx_results)
        return (
            self.height, self.hash, EPOCH + timedelta(microseconds=time_ns // 1_000), time_ns,
            self.header.proposer_address.hex().upper(), self.transactions, events,
            len(self._block.evidence.evidence), self._size, self.app_hash,
        )  # fmt: skip

    def pieces(self) -> Iterator[Piece]:
        """All other rows, about PIECE_ROWS at once."""
        piece = Piece()
        for index, (raw, result) in enumerate(zip(self._block.data.txs, self._results.tx_results, strict=True)):
            _add_tx(piece, self.height, index, raw, result)
            if len(piece.transactions) + len(piece.messages) >= PIECE_ROWS:
                yield piece
                piece = Piece()
        of_txs = (result.events for result in self._results.tx_results)
        for index, tx_index, event in in_order(of_txs, self._results.events):
            _add_event(piece, self.height, index, tx_index, event)
            if len(piece.event_attributes) >= PIECE_ROWS:
                yield piece
                piece = Piece()
        if len(piece):
            yield piece


def _add_tx(piece: Piece, height: int, index: int, raw: bytes, result: abci_pb.ExecTxResult) -> None:
    body = _body_of(raw)
    lane = LANE_NAMES.get(body.lane, UNREADABLE)
    sender = body.signers[body.fee_payer].address if body.fee_payer < len(body.signers) else b""
    piece.transactions.append((
        height, index, sha256(raw).hex(), lane, encode_address(sender) if len(sender) == ADDRESS_BYTES else None,
        body.fee, min(body.gas_limit, 2**63 - 1), result.gas_used, result.code, _text(result.codespace),
        _text(result.log), _text(body.memo), len(body.messages), len(raw), _receipt(result.data),
    ))  # fmt: skip
    for number, message in enumerate(body.messages):
        kind = message.WhichOneof("kind")
        told = {} if kind is None else message_json(getattr(message, kind))
        piece.messages.append((height, index, number, kind or UNREADABLE, _json(told)))


def _body_of(raw: bytes) -> tx_pb2.TxBody:
    """Empty of what is no transaction: validators let none of these into a block."""
    try:
        return tx_pb2.TxBody.FromString(tx_pb2.Tx.FromString(raw).body)
    except DecodeError:
        return tx_pb2.TxBody()


def _receipt(data: bytes) -> str | None:
    if not data:
        return None
    try:
        return _json(message_json(state_pb2.Receipt.FromString(data)))
    except DecodeError:
        return None


def _add_event(piece: Piece, height: int, index: int, tx_index: int, event: abci_pb.Event) -> None:
    told: dict[str, Any] = {}
    for place, attribute in enumerate(event.attributes):
        key, value = attribute.key, attribute.value
        if key not in told:
            told[key] = value
        elif isinstance(told[key], list):
            told[key].append(value)
        else:
            told[key] = [told[key], value]
        if len(key) <= VALUE_CHARACTERS_MAX and len(value) <= VALUE_CHARACTERS_MAX:
            piece.event_attributes.append((height, index, place, _text(key), _text(value)))
    of_tx = None if tx_index == OF_BLOCK else tx_index
    piece.events.append((height, index, of_tx, _text(event.type), _json(told)))


def _text(text: str) -> str:
    return text.replace(NUL, IN_PLACE_OF_NUL) if NUL in text else text


def _json(told: Any) -> str:
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(_without_nul(told), ensure_ascii=False) if NUL_IN_JSON in text else text


def _without_nul(told: Any) -> Any:
    if isinstance(told, str):
        return _text(told)
    if isinstance(told, list):
        return [_without_nul(one) for one in told]
    if isinstance(told, dict):
        return {_text(key): _without_nul(one) for key, one in told.items()}
    return told
