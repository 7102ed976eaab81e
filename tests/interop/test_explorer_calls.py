"""What explorers ask, page by page, of our node and of a real CometBFT node: by URI and by POST, with a subscription to
new blocks beside it. Answers have one shape at both, and at each node they tell of one chain.

The list is what explorers of Cosmos chains show and therefore ask (ping.pub, Big Dipper with its indexer, Mintscan): a
front page, a block, a transaction, an account, validators and their uptime, consensus live, and an indexer that begins.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from crypto.bech32 import encode_address
from tests.support.interop.cometbft import VERSION
from tests.support.interop.rows import row
from tests.support.node.running import until
from tests.support.rpc.calling import base64_of, call, get, payment_of, post, request
from tests.support.rpc.shapes import differences
from tests.support.rpc.two_nodes import LOOSE, LOOSE_OF_EVENTS, OPEN, OPEN_OF_EVENTS, settled, two_nodes

pytestmark = [pytest.mark.go, pytest.mark.network]

Params = Mapping[str, Any]  # a name of `World`'s in a string of its own stands for the value
HEARD_S = 60

PAGES: dict[str, list[tuple[str, Params]]] = {
    "the front page": [
        ("health", {}), ("status", {}), ("net_info", {}), ("abci_info", {}), ("block", {}), ("num_unconfirmed_txs", {}),
        ("blockchain", {"minHeight": 1, "maxHeight": "height"}), ("validators", {"page": 1, "per_page": 100}),
        ("tx_search", {"query": "tx.height>0", "page": 1, "per_page": 10, "order_by": "desc"}),
    ],
    "a block": [
        ("block", {"height": "height"}), ("block_by_hash", {"hash": "block_hash"}), ("header", {"height": "height"}),
        ("block_results", {"height": "height"}), ("commit", {"height": "height"}),
        ("validators", {"height": "height", "page": 1, "per_page": 100}),
        ("tx_search", {"query": "of_height", "prove": False, "page": 1, "per_page": 30, "order_by": "asc"}),
    ],
    "a transaction": [
        ("tx", {"hash": "hash", "prove": True}), ("tx_search", {"query": "of_hash"}), ("block", {"height": "height"}),
    ],
    "an account": [
        ("tx_search", {"query": "of_event", "page": 1, "per_page": 5, "order_by": "desc"}),
        ("tx_search", {"query": "of_event", "prove": True, "page": 1, "per_page": 100, "order_by": "asc"}),
        ("abci_query", {"path": "path", "data": b"\x00", "prove": False}),
    ],
    "validators and their uptime": [
        ("validators", {}), ("validators", {"height": 1, "page": 1, "per_page": 1}), ("blockchain", {}),
        ("commit", {}), ("commit", {"height": 2}), ("consensus_params", {}), ("consensus_params", {"height": 1}),
    ],
    "consensus, live": [
        ("consensus_state", {}), ("dump_consensus_state", {}), ("unconfirmed_txs", {"limit": 100}),
    ],
    "an indexer that begins": [
        ("status", {}), ("genesis_chunked", {"chunk": 0}), ("genesis", {}), ("block", {"height": 1}),
        ("block_results", {"height": 1}), ("validators", {"height": 1}),
        ("block_search", {"query": "of_heights", "page": 1, "per_page": 2, "order_by": "asc"}),
    ],
}  # fmt: skip

OF_RESULTS = frozenset({"tx_result.events[].attributes[].value", "tx_result.data"})
IN_LISTS = frozenset(f"txs[].{path}" for path in LOOSE | OF_RESULTS)
IN_BLOCKS = frozenset(f"blocks[].{path}" for path in LOOSE)
ANY_FORM = LOOSE | OF_RESULTS | IN_LISTS | IN_BLOCKS


class Explorer:
    """Of one node. named: what the strings of PAGES stand for there."""

    def __init__(self, http: aiohttp.ClientSession, url: str, named: dict[str, Any]) -> None:
        self._http, self._url, self._named = http, url, named
        self.answers: dict[tuple[str, int], Any] = {}  # by page and place
        self.found: list[str] = []  # what is wrong within this node

    def _value(self, value: Any) -> Any:
        return self._named.get(value, value) if isinstance(value, str) else value

    async def ask(self, page: str, place: int) -> Any:
        """By URI, as a web page, then by POST, as an indexer: both tell the same."""
        method, params = PAGES[page][place]
        values = {name: self._value(value) for name, value in params.items()}
        by_uri = (await settled(get, self._http, self._url, f"{method}?{urlencode(for_uri(values))}")).result
        told = (await settled(post, self._http, self._url, request(method, for_json(values)))).result
        self.found += [
            f"{page}, {method} by URI: {line}"
            for line in differences(told, by_uri, loose=ANY_FORM)
            if is_fixed(method, line)
        ]
        self.answers[page, place] = told
        return told

    def of(self, page: str, method: str) -> Any:
        return self.answers[page, [name for name, _ in PAGES[page]].index(method)]

    def tells_of_one_chain(self) -> None:
        """What one page shows is what the others show of it."""
        block, tx = self.of("a block", "block"), self.of("a transaction", "tx")
        height, hash = self._named["height"], self._named["hash"].hex().upper()
        assert self.of("a block", "block_by_hash") == block == self.of("a transaction", "block")
        assert self.of("a block", "header")["header"] == block["block"]["header"]
        signed = self.of("a block", "commit")["signed_header"]
        assert (signed["header"], signed["commit"]["block_id"]) == (block["block"]["header"], block["block_id"])
        newest = self.of("the front page", "blockchain")["block_metas"][0]
        assert (newest["block_id"], newest["header"]) == (block["block_id"], block["block"]["header"])
        results = self.of("a block", "block_results")
        assert (results["height"], len(results["txs_results"])) == (str(height), len(block["block"]["data"]["txs"]))
        assert (tx["hash"], tx["height"], tx["tx"]) == (hash, str(height), block["block"]["data"]["txs"][tx["index"]])
        assert tx["tx_result"] == results["txs_results"][tx["index"]]
        assert tx["proof"]["root_hash"] == block["block"]["header"]["data_hash"]
        plain = {name: value for name, value in tx.items() if name != "proof"}
        assert self.of("a transaction", "tx_search") == {"txs": [plain], "total_count": "1"}
        assert plain in self.of("a block", "tx_search")["txs"]
        assert plain in self.of("an account", "tx_search")["txs"]
        first, second = [self.answers["validators and their uptime", place]["validators"] for place in (0, 1)]
        assert [one["address"] for one in first] == [one["address"] for one in second]
        assert signed["commit"]["signatures"][0]["validator_address"] == first[0]["address"]
        chunk = self.of("an indexer that begins", "genesis_chunked")
        genesis = self.of("an indexer that begins", "genesis")["genesis"]
        assert (chunk["total"], genesis["chain_id"]) == ("1", block["block"]["header"]["chain_id"])


def for_uri(params: Params) -> dict[str, str]:
    def text(value: Any) -> str:
        if isinstance(value, bytes):
            return f"0x{value.hex()}"
        return f'"{value}"' if isinstance(value, str) else json.dumps(value)

    return {name: text(value) for name, value in params.items()}


def for_json(params: Params) -> dict[str, Any]:
    def plain(name: str, value: Any) -> Any:
        if isinstance(value, bytes):
            return value.hex() if name == "data" else base64_of(value)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    return {name: plain(name, value) for name, value in params.items()}


def is_fixed(method: str, line: str) -> bool:
    """Not of what differs from moment to moment, or from application to application."""
    return not any(word in line for word in OPEN.get(method, ()))


async def known(http: aiohttp.ClientSession, url: str, tx: bytes, event: str, path: str) -> dict[str, Any]:
    """Of a node, once the transaction is in a block: what the pages ask about."""
    sent = await call(http, url, "broadcast_tx_commit", tx=base64_of(tx))
    height = int(sent["height"])
    await until_height(http, url, height + 1)
    block = await call(http, url, "block", height=str(height))
    hash = bytes.fromhex(sent["hash"])
    return {
        "height": height, "hash": hash, "block_hash": bytes.fromhex(block["block_id"]["hash"]), "path": path,
        "of_height": f"tx.height={height}", "of_hash": f"tx.hash='{sent['hash']}'", "of_event": event,
        "of_heights": f"block.height>={height - 2} AND block.height<={height}",
    }  # fmt: skip


async def until_height(http: aiohttp.ClientSession, url: str, least: int) -> None:
    async with asyncio.timeout(HEARD_S):
        while True:
            if int((await call(http, url, "status"))["sync_info"]["latest_block_height"]) >= least:
                return
            await asyncio.sleep(0.05)


async def new_blocks(http: aiohttp.ClientSession, url: str, asked: asyncio.Event) -> list[Any]:
    """What a page that stays open is told, until all was asked and three blocks came."""
    heard: list[Any] = []
    async with asyncio.timeout(HEARD_S), http.ws_connect(f"{url}/websocket") as ws:
        await ws.send_json(request("subscribe", {"query": "tm.event='NewBlock'"}, id=1))
        assert (await ws.receive_json())["result"] == {}
        while not asked.is_set() or len(heard) < 3:
            heard.append((await ws.receive_json())["result"])
    return heard


async def test_pages_are_answered_as_a_cometbft_node_answers_them(tmp_path: Path) -> None:
    async with two_nodes(tmp_path) as (http, theirs, ours, one):
        await until(lambda: one.node.views.answers.height > 2)
        sender = encode_address(one.account("alice").address)
        named = await asyncio.gather(
            known(http, theirs, b"a=1", "app.key='a'", "/key"),
            known(http, ours, await payment_of(one), f"transfer.sender='{sender}'", "/store/currency/key"),
        )
        their, our = [Explorer(http, url, of) for url, of in zip((theirs, ours), named, strict=True)]
        asked = asyncio.Event()
        hearing = [asyncio.create_task(new_blocks(http, url, asked)) for url in (theirs, ours)]
        found: list[str] = []
        for page, calls in PAGES.items():
            for place, (method, _) in enumerate(calls):
                both = await asyncio.gather(their.ask(page, place), our.ask(page, place))
                told = differences(*both, loose=ANY_FORM)
                found += [f"{page}, {method}: {line}" for line in told if is_fixed(method, line)]
        asked.set()
        events = await asyncio.gather(*hearing)
        for side in (their, our):
            side.tells_of_one_chain()
        assert found + their.found + our.found == []
        for heard in events:
            heights = [int(told["data"]["value"]["block"]["header"]["height"]) for told in heard]
            assert heights == list(range(heights[0], heights[0] + len(heights)))
        told = differences(events[0][0], events[1][0], loose=LOOSE_OF_EVENTS)
        assert [line for line in told if not line.startswith(OPEN_OF_EVENTS)] == []
    count = sum(map(len, PAGES.values()))
    row(
        "CometBFT", VERSION, "an explorer's pages at both: answers by URI and POST, new blocks over WebSocket",
        f"{len(PAGES)} pages of {count} calls: of one shape at both, and each node's tell of one chain",
    )  # fmt: skip
