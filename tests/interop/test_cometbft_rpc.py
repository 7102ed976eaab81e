"""Our JSON-RPC door beside a real CometBFT node's: every method has the same keys in the same order, and values of the
same kinds and forms; and what is refused, by URI and by POST, is refused with the same code, status and words.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.interop.cometbft import VERSION
from tests.support.interop.rows import row
from tests.support.rpc.calling import Told, base64_of, call, get, payment_of, post, request
from tests.support.rpc.shapes import differences
from tests.support.rpc.two_nodes import LOOSE, LOOSE_OF_EVENTS, OPEN, OPEN_OF_EVENTS, START_S, settled, two_nodes

pytestmark = [pytest.mark.go, pytest.mark.network]

# What is asked of both. Heights are such that both have them.
METHODS: list[tuple[str, dict[str, Any]]] = [
    ("health", {}), ("status", {}), ("net_info", {}), ("blockchain", {}),
    ("blockchain", {"minHeight": "1", "maxHeight": "2"}), ("header", {"height": "2"}), ("header", {}),
    ("block", {"height": "1"}), ("block", {"height": "2"}), ("block", {}),
    ("block_by_hash", {"hash": base64_of(bytes(32))}),
    ("header_by_hash", {"hash": "00"}), ("block_results", {"height": "2"}), ("commit", {"height": "1"}), ("commit", {}),
    ("validators", {"height": "2"}), ("validators", {"page": "1", "per_page": "1"}), ("consensus_params", {}),
    ("consensus_params", {"height": "1"}), ("consensus_state", {}), ("dump_consensus_state", {}), ("genesis", {}),
    ("genesis_chunked", {"chunk": "0"}), ("unconfirmed_txs", {"limit": "5"}), ("num_unconfirmed_txs", {}),
    ("block_search", {"query": "block.height > 1 AND block.height < 4", "per_page": "1", "order_by": "asc"}),
    ("block_search", {"query": "block.height = 0"}), ("tx_search", {"query": "tx.height = 1"}),
    ("abci_info", {}), ("abci_query", {"path": "/nothing", "data": "00"}), ("check_tx", {"tx": "AA=="}),
]  # fmt: skip

REFUSED_GET = [
    "block?height=0x2", "block?height=0", "block?height=1000000000", "block?height=-1", "block?height=abc",
    "block?height=1.5", "commit?height=1000000000", "validators?page=7", "validators?page=0", "blockchain?minHeight=-1",
    "blockchain?minHeight=1000000000", "genesis_chunked?chunk=5", "tx?hash=0x00", 'tx?hash="a"&prove=maybe',
    "subscribe?query=1", "unsubscribe_all", "websocket", "nothing", "block/", "broadcast_evidence",
    "header_by_hash?hash=0xabc", "tx_search?query=%22a%22", "tx_search", 'tx_search?query="a=1"&page=2',
    'tx_search?query="a=1"&order_by="up"', "tx_search?query=%22tx.hash='x'%22", "tx_search?query=%22tx.hash='abc'%22",
    'block_search?query="a OR b"', 'block_search?query="a=1"&page=0',
]  # fmt: skip

REFUSED_POST: list[Any] = [
    b"{", b"[", b"[]", b"null", b"1", b"{}", b"[null]", b'{"id": true}', b'{"id": {}, "method": "health"}',
    b'{"id": 1.9, "method": "health"}', b'{"id": "", "method": "health"}', b'{"method": "health"}',
    b'{"id": null, "method": "health"}', b'{"id": 9007199254740993, "method": "health"}', b'{"id": 1, "method": 5}',
    b'{"jsonrpc": 2, "id": 1, "method": "health"}', b'{"id": 1, "method": "health", "params": null}',
    b'{"id": 1, "method": "health", "params": [1]}', b'{"id": 1, "method": "health", "params": 5}',
    b'{"id": 1, "method": "block"}', b'{"id": 1, "method": "nothing"}',
    b'{"id": 1, "method": "subscribe", "params": {}}',
    request("block", {"height": 1}, id=1), request("block", [], id=1), request("block", ["1", "2"], id=1),
    request("block", {"height": "01"}, id=1), request("block", {"height": ""}, id=1),
    request("block", {"height": "1", "more": 5}, id=1), request("block", {"height": None}, id=1),
    request("block", {"height": "99999999999999999999"}, id=1), request("block_by_hash", {"hash": "AA"}, id=1),
    request("header_by_hash", {"hash": "zz"}, id=1), request("tx", {"hash": "AA==", "prove": "yes"}, id=1),
    [request("health", id=number) for number in range(11)], [request("health", id=number) for number in range(2)],
    [request("health", id=1), request("nothing", id=2)], [request("health", id=1), {"method": "health"}],
    [request("health", id=1), {"id": 2, "method": "block"}], [request("health", id=1), 5],
    b'{"id": 1, "method": "health", "params": {}}' + b" " * 1_000_000,
]  # fmt: skip


def core_of(told: Told) -> Any:
    """What must be the same: status, caching, ids, codes; of data its kind; of results that there is one."""
    documents = told.document if isinstance(told.document, list) else [told.document]
    fields = [
        None if one is None else {**one, "result": "result" in one, "error": {**one.get("error", {}), "data": None}}
        for one in documents
    ]
    return told.status, told.headers.get("Cache-Control"), isinstance(told.document, list), fields


def words_of(told: Told) -> list[str]:
    """What is said of errors, as far as it is the reference's own and not its JSON library's."""
    documents = told.document if isinstance(told.document, list) else [told.document]
    data = [one["error"].get("data", "") for one in documents if one and "error" in one]
    theirs = ("json", "JSON", "invalid char", "unmarshal")
    own_height = re.compile(r"(height|max height) [0-9]+$")
    return [own_height.sub("the tip", text) for text in data if not any(word in text for word in theirs)]


async def test_every_answer_has_their_shape(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (http, theirs, ours, one):
        found: list[str] = []

        def compare(what: str, method: str, their: Any, our: Any) -> None:
            told = differences(their, our, loose=LOOSE)
            found.extend(f"{what}: {line}" for line in told if not any(word in line for word in OPEN.get(method, ())))

        for method, params in METHODS:
            asked = request(method, params, id=1)
            told = await settled(post, http, theirs, asked), await post(http, ours, asked)
            compare(f"{method} {params}", method, told[0].result, told[1].result)
        # What a transaction brings.
        tx = await payment_of(one)
        for method, raws in (
            ("broadcast_tx_commit", (b"a=1", tx)),
            ("broadcast_tx_sync", (b"b=1", await payment_of(one, sender="carol"))),
        ):
            given = [{"tx": base64_of(raw)} for raw in raws]
            their, our = [
                await call(http, url, method, **params) for url, params in zip((theirs, ours), given, strict=True)
            ]
            compare(method, method, their, our)
            if method == "broadcast_tx_commit":
                hashes = [base64_of(bytes.fromhex(told["hash"])) for told in (their, our)]
                for prove in (False, True):
                    wanted = [request("tx", {"hash": hash, "prove": prove}) for hash in hashes]
                    both = (
                        await settled(post, http, theirs, wanted[0], not_yet="not found"),
                        await post(http, ours, wanted[1]),
                    )
                    compare(f"tx prove={prove}", "tx", both[0].result, both[1].result)
                    queries = [f"tx.hash='{told['hash']}'" for told in (their, our)]
                    found_by = [
                        await call(http, url, "tx_search", query=query, prove=prove)
                        for url, query in zip((theirs, ours), queries, strict=True)
                    ]
                    compare(f"tx_search prove={prove}", "tx_search", *found_by)
        assert found == []
    methods = {method for method, _ in METHODS}
    row(
        "CometBFT",
        VERSION,
        "its JSON-RPC beside ours: keys, their order, kinds of values",
        f"{len(methods)} methods and those that broadcast alike",
    )


async def test_what_is_refused_is_refused_as_they_refuse_it(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (http, theirs, ours, _):
        found: list[str] = []
        asked = [(path, await settled(get, http, theirs, path), await get(http, ours, path)) for path in REFUSED_GET]
        asked += [
            (str(body)[:80], await settled(post, http, theirs, body), await post(http, ours, body))
            for body in REFUSED_POST
        ]
        for what, their, our in asked:
            if core_of(their) != core_of(our):
                found.append(
                    f"{what}: theirs {core_of(their)} {their.text[:200]}; ours {core_of(our)} {our.text[:200]}"
                )
            elif words_of(their) != words_of(our):
                found.append(f"{what}: theirs says {words_of(their)}, ours {words_of(our)}")
            if ("X-Server-Time" in their.headers) != ("X-Server-Time" in our.headers):
                found.append(f"{what}: X-Server-Time")
        assert not found, "\n".join(found)
    row(
        "CometBFT",
        VERSION,
        "its JSON-RPC beside ours: what is refused, by URI and by POST",
        f"{len(asked)} refusals alike in code, status and words",
    )


# ------------------------------------------------------------------------------------------------------- WebSocket

KINDS = (
    "NewBlock", "NewBlockHeader", "NewBlockEvents", "Tx", "Vote", "NewRound", "NewRoundStep", "CompleteProposal",
    "Polka", "ValidBlock", "Lock",
)  # fmt: skip
ASKED_OVER_SOCKET: list[Any] = [
    b"{", b"[]", b"5", b'{"id": true}', b"[" + b'{"id": 1, "method": "health", "params": {}}' + b"]",
    b'{"id": 1, "method": "block"}', request("health", id=1), request("nothing", id=1),
    request("block", {"height": 5}, id=1), request("block", {"height": "0"}, id=1),
    request("subscribe", {"query": "tm.event = 'NoSuchKind'"}, id=1),
    request("subscribe", {"query": "tm.event='NoSuchKind'"}, id=1),
    request("subscribe", {"query": "malformed query"}, id=1),
    request("subscribe", {}, id=1), request("subscribe", ["tm.event = 'Other'"], id=1),
    request("subscribe", {"query": "a.b = '" + "x" * 512 + "'"}, id=1),
    request("unsubscribe", {"query": "tm.event = 'Unknown'"}, id=1),
    request("unsubscribe", {"query": "tm.event = 'NoSuchKind'"}, id=1), request("unsubscribe_all", {}, id=1),
    request("unsubscribe_all", {}, id=1), *(request("subscribe", {"query": f"a.b = '{n}'"}, id=1) for n in range(6)),
    b'{"id": 1, "method": "subscribe"}',
]  # fmt: skip


async def one_of_each(http: aiohttp.ClientSession, url: str, raw: bytes) -> dict[str, Any]:
    """The first event of each kind, a transaction of `raw` among them."""
    found: dict[str, Any] = {}

    async def hear(kinds: tuple[str, ...]) -> None:
        async with http.ws_connect(f"{url}/websocket") as ws:
            for kind in kinds:
                await ws.send_json(request("subscribe", {"query": f"tm.event = '{kind}'"}, id=kind))
            if "Tx" in kinds:
                await ws.send_json(request("broadcast_tx_sync", {"tx": base64_of(raw)}, id="sent"))
            while not found.keys() >= set(kinds):
                told = await ws.receive_json()
                if told["id"] in kinds and told["result"]:
                    found.setdefault(told["id"], told["result"])

    async with asyncio.timeout(START_S):
        await asyncio.gather(*(hear(KINDS[start : start + 4]) for start in range(0, len(KINDS), 4)))
    return found


async def test_events_have_their_shape(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (http, theirs, ours, one):
        their, our = await asyncio.gather(
            one_of_each(http, theirs, b"c=1"), one_of_each(http, ours, await payment_of(one))
        )
        found = [
            f"{kind}: {line}"
            for kind in KINDS
            for line in differences(their[kind], our[kind], loose=LOOSE_OF_EVENTS)
            if not line.startswith(OPEN_OF_EVENTS)
        ]
        assert found == []
        assert list(our["Tx"]["data"]["value"]["TxResult"]) == list(their["Tx"]["data"]["value"]["TxResult"])
    row("CometBFT", VERSION, "its WebSocket events beside ours", f"{len(KINDS)} kinds alike in keys, kinds and forms")


async def test_what_is_asked_over_a_socket_is_answered_as_they_answer_it(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (http, theirs, ours, _):
        answers: list[list[Any]] = []
        for url in (theirs, ours):
            said = []
            async with http.ws_connect(f"{url}/websocket") as ws:
                for body in ASKED_OVER_SOCKET:
                    await (ws.send_str(body.decode()) if isinstance(body, bytes) else ws.send_json(body))
                    said.append(await ws.receive_json(timeout=START_S))
            answers.append(said)
        found = []
        for body, their, our in zip(ASKED_OVER_SOCKET, *answers, strict=True):
            told = [Told(200, {}, document, str(document)) for document in (their, our)]
            if core_of(told[0]) != core_of(told[1]) or words_of(told[0]) != words_of(told[1]):
                found.append(f"{body}: theirs {their}, ours {our}")
        assert not found, "\n".join(found)
    result = f"{len(ASKED_OVER_SOCKET)} answers alike in id, code and words"
    row("CometBFT", VERSION, "its WebSocket beside ours: what is asked, subscribed and refused", result)
