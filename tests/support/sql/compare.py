"""All that stands in SQL, held against what a node answers: nothing missing, nothing twice, nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from crypto.hash import sha256
from dchat.client.client import Client
from dchat.shown.messages import message_json
from proto.dchat.v1 import tx_pb2
from proto.dchat.v1.state_pb2 import Receipt
from tests.support.sql.server import Server

Rows = list[tuple[Any, ...]]


async def assert_same(client: Client, server: Server, url: str, *, first: int = 1, schema: str = "dchat") -> int:
    """Up to the height that SQL has at this moment, which is returned."""
    with server.at_one_moment(url, schema) as ask:
        return await _assert_same(client, ask, first)


async def _assert_same(client: Client, ask: Callable[[str], Rows], first: int) -> int:
    last = int(ask("SELECT height FROM chain")[0][0])
    assert ask("SELECT first_height, cursor FROM chain") == [(first, f"{last}:4294967295")]
    blocks, transactions, messages = await _told_of_blocks(client, first, last)
    assert ask("SELECT height, hash, time_ns, proposer, transactions, app_hash FROM blocks ORDER BY 1") == blocks
    sorts = "height, tx_index, hash, code, codespace, log, gas_used, lane, messages, receipt"
    assert ask(f"SELECT {sorts} FROM transactions ORDER BY 1, 2") == transactions
    assert ask("SELECT height, tx_index, kind, body FROM messages ORDER BY 1, 2, message_index") == messages
    events, attributes = await _told_of_events(client, first, last)
    assert ask("SELECT height, event_index, tx_index, type, attributes FROM events ORDER BY 1, 2") == events
    assert ask("SELECT height, event_index, key, value FROM event_attributes ORDER BY 1, 2, place") == attributes
    assert ask("SELECT sum(events), sum(transactions) FROM blocks") == [(len(events), len(transactions))]
    return last


async def _told_of_blocks(client: Client, first: int, last: int) -> tuple[Rows, Rows, Rows]:
    blocks: Rows = []
    transactions: Rows = []
    messages: Rows = []
    for height in range(first, last + 1):
        got, results = await client.block(height), await client.block_results(height)
        header, txs = got.block.header, got.block.data.txs
        time_ns = header.time.seconds * 10**9 + header.time.nanos
        proposer = header.proposer_address.hex().upper()
        blocks.append((height, got.block_id.hash.hex(), time_ns, proposer, len(txs), results.app_hash.hex()))
        for index, (raw, result) in enumerate(zip(txs, results.results, strict=True)):
            assert result.hash == sha256(raw)
            body = tx_pb2.TxBody.FromString(tx_pb2.Tx.FromString(raw).body)
            receipt = message_json(Receipt.FromString(result.data)) if result.data else None
            transactions.append((
                height, index, result.hash.hex(), result.code, result.codespace, result.log, result.gas_used,
                {1: "chat", 2: "currency", 3: "bridge"}[body.lane], len(body.messages), receipt,
            ))  # fmt: skip
            for message in body.messages:
                kind = message.WhichOneof("kind")
                assert kind is not None
                told = json.loads(json.dumps(message_json(getattr(message, kind))))
                messages.append((height, index, kind, told))
    return blocks, transactions, messages


async def _told_of_events(client: Client, first: int, last: int) -> tuple[Rows, Rows]:
    events: Rows = []
    attributes: Rows = []
    async for told in client.stream_events(from_height=first, to_height=last):
        if not told.HasField("event"):
            continue
        height, index, event = told.cursor.height, told.cursor.index, told.event
        pairs = [(one.key, one.value) for one in event.attributes]
        assert len(dict(pairs)) == len(pairs), event
        events.append((height, index, told.tx_index if told.tx_hash else None, event.type, dict(pairs)))
        attributes += [(height, index, key, value) for key, value in pairs]
    return events, attributes
