"""A block's rows, from the bytes that a node stores."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from crypto.bech32 import encode_address
from crypto.hash import sha256
from dchat.sql import rows
from dchat.sql.rows import COLUMNS, BlockRows, Piece, Row
from proto.dchat.v1 import tx_pb2
from proto.tendermint.abci import types_pb2 as abci_pb
from tests.support.sql.chain import ALICE, BOB, app_hash, chain, event, frame, hash_of, payment, result

ALICE_TEXT, BOB_TEXT = encode_address(ALICE), encode_address(BOB)


def all_rows(told: BlockRows) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {name: [] for name, _ in Piece().by_table()}
    for piece in told.pieces():
        for name, of_table in piece.by_table():
            found[name] += of_table
    return found


def test_a_blocks_rows() -> None:
    made = frame(
        7, b"\x01" * 32, txs=[payment(5), payment(6)], results=[result(5), result(6, code=7)],
        events=[event("mint", amount="1udchat")],
    )  # fmt: skip
    told = BlockRows(made.block, made.results)
    time_ns = 1_700_000_007_000_000_007
    time = datetime(2023, 11, 14, 22, 13, 27, tzinfo=UTC)
    assert told.row() == (7, hash_of(made).hex(), time, time_ns, "AA" * 20, 2, 2, 0, len(made.block), app_hash(7).hex())
    assert (told.follows, told.app_hash_before, told.transactions) == ("01" * 32, app_hash(6).hex(), 2)
    found = all_rows(told)
    receipts = [json.loads(row[-1]) for row in found["transactions"]]
    assert [receipt["fee_paid"] for receipt in receipts] == [105, 106]
    assert [row[:-1] for row in found["transactions"]] == [
        (7, 0, sha256(payment(5)).hex(), "currency", ALICE_TEXT, 105, 20_000, 9_000, 0, "", "", "no. 5", 1,
         len(payment(5))),
        (7, 1, sha256(payment(6)).hex(), "currency", ALICE_TEXT, 106, 20_000, 9_000, 7, "", "", "no. 6", 1,
         len(payment(6))),
    ]  # fmt: skip
    assert [(*row[:4], json.loads(row[4])) for row in found["messages"]] == [
        (7, 0, 0, "payment", {"sender": ALICE_TEXT, "recipient": BOB_TEXT, "amount": 5}),
        (7, 1, 0, "payment", {"sender": ALICE_TEXT, "recipient": BOB_TEXT, "amount": 6}),
    ]
    assert [(*row[:4], json.loads(row[4])) for row in found["events"]] == [
        (7, 0, 0, "transfer", {"sender": "alice", "recipient": "bob", "amount": "5udchat"}),
        (7, 1, None, "mint", {"amount": "1udchat"}),
    ]
    assert found["event_attributes"] == [
        (7, 0, 0, "sender", "alice"), (7, 0, 1, "recipient", "bob"), (7, 0, 2, "amount", "5udchat"),
        (7, 1, 0, "amount", "1udchat"),
    ]  # fmt: skip
    for name, of_table in {**found, "blocks": [told.row()]}.items():
        assert {len(row) for row in of_table} == {len(COLUMNS[name])}, name


def test_rows_come_in_pieces_that_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    made = next(chain(1, txs=40))
    told = BlockRows(made.block, made.results)
    whole = all_rows(told)
    monkeypatch.setattr(rows, "PIECE_ROWS", 10)
    assert all_rows(told) == whole
    sizes = [len(piece) for piece in told.pieces()]
    assert len(sizes) > 10
    assert max(sizes) < 20


def odd(*, attributes: list[tuple[str, str]] = [], memo: str = "", log: str = "") -> dict[str, list[Row]]:  # noqa: B006
    body = tx_pb2.TxBody(lane=1, memo=memo, gas_limit=2**64 - 1, fee=2**64 - 1)
    raw = tx_pb2.Tx(body=body.SerializeToString()).SerializeToString()
    told = abci_pb.ExecTxResult(code=1, log=log, data=b"\xff no receipt")
    made = abci_pb.Event(type="odd")
    for key, value in attributes:
        made.attributes.add(key=key, value=value)
    block = frame(1, b"", txs=[raw], results=[told], events=[made])
    return all_rows(BlockRows(block.block, block.results))


def test_what_sql_cannot_hold_is_written_otherwise() -> None:
    """PostgreSQL has no NUL, in text and in JSON; bigint ends at 2**63 - 1."""
    found = odd(attributes=[("a", "x\0y"), ("b", "\\u0000")], memo="m\0", log="l\0")
    (row,) = found["transactions"]
    assert row[3:7] == ("chat", None, 2**64 - 1, 2**63 - 1)
    assert row[10:12] == ("l\ufffd", "m\ufffd")
    assert row[-1] is None
    assert found["event_attributes"] == [(1, 0, 0, "a", "x\ufffdy"), (1, 0, 1, "b", "\\u0000")]
    assert json.loads(found["events"][0][-1]) == {"a": "x\ufffdy", "b": "\\u0000"}


def test_attributes_that_come_twice_and_long_ones() -> None:
    long = "v" * 257
    found = odd(attributes=[("k", "1"), ("k", "2"), ("k", "3"), ("long", long), ("fits", long[:256])])
    assert json.loads(found["events"][0][-1]) == {"k": ["1", "2", "3"], "long": long, "fits": long[:256]}
    assert [row[2:4] for row in found["event_attributes"]] == [(0, "k"), (1, "k"), (2, "k"), (4, "fits")]


def test_what_is_no_transaction_has_a_row_all_the_same() -> None:
    block = frame(1, b"", txs=[b"\xff\xff"], results=[abci_pb.ExecTxResult(code=2)])
    found = all_rows(BlockRows(block.block, block.results))
    assert [row[:5] for row in found["transactions"]] == [(1, 0, sha256(b"\xff\xff").hex(), "unreadable", None)]
    assert found["messages"] == []
