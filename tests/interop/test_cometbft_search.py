"""Searches beside a real CometBFT node's: of the same events the same transactions and blocks are found, counted, and
told on the same pages; and what cannot be asked is refused in the same words.

The events are those that its key-value store tells: two of type `app` for each transaction, of which one attribute is
not for the index.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from consensus.abci.interface import FinalizeBlockResponse
from consensus.queries.errors import InvalidQuery
from consensus.queries.syntax import parse
from consensus.search.pages import counted
from consensus.search.plan import BLOCKS, TRANSACTIONS, Subject, plan
from consensus.search.walk import Walk
from consensus.state.results import Event, EventAttribute, ExecTxResult
from consensus.stores.event_index import entries_of
from consensus.stores.state_store import StateStore, encode_response
from storage.memory import MemoryStore
from tests.support.chain.harness import drain
from tests.support.interop.cometbft import VERSION, CometNode
from tests.support.interop.rows import row
from tests.support.rpc.calling import base64_of, call, post, request

pytestmark = [pytest.mark.go, pytest.mark.network]

START_S = 60
PAGE = 2
TXS = (b"a=1", b"b=10", b"c=2.5", b"a=bb", b"dd=3x", b"e=a")

FOUND = [
    "app.key='a'", "app.key='bb'", "app.key = 1", "app.key='1'", "app.key = 10", "app.key='nothing'",
    "app.key='a' AND app.creator='Cosmoshi Netowoko'", "app.key='1' AND app.creator='Cosmoshi Netowoko'",
    "app.key='a' AND app.key='1'", "app.index_key EXISTS", "app.noindex_key EXISTS",
    "app.noindex_key='index is working'", "app.key CONTAINS 'b'", "app.key CONTAINS 'b' AND app.creator='Cosmoshi'",
    "app.key > 1", "app.key >= 1 AND app.key < 10", "app.key <= 2.5", "app.key > 2.4 AND app.key < 2.6",
    "app.key > 1 AND app.key='10'", "app.key > DATE 2020-01-01", "tm.event='Tx'", "tx.height > 0",
    "tx.height > 1000000", "tx.height={first}", "tx.height='{first}'", "tx.height>={first} AND tx.height<{last}",
    "tx.height={first} AND tx.height>0",
    "tx.height={first} AND tx.height={last}", "tx.height>={last} AND app.key='a'", "tx.height={first} AND app.key='a'",
    "tx.height<={first} AND app.index_key EXISTS", "app.key='a' AND tx.height > {first}", "nothing.at EXISTS",
    "tx.hash='{hash}'", "tx.hash='{hash}' AND app.key='nothing'", "tx.hash='00'",
]  # fmt: skip

OF_BLOCKS = [
    "block.height={first}", "block.height>{first} AND block.height<={last}", "block.height=1000000", "app.key='a'",
    "block.height={first} AND block.height={last}", "block.height={first} AND block.height<3", "nothing.at EXISTS",
]  # fmt: skip

REFUSED = [
    "", "app.key", "app.key=", "app.key=b", "app.key>'5'", "a=1 OR b=2", "(a=1)", "a != 1", "a CONTAINS 1", "a >= -3",
    "AND a=1", "a=1 AND", "a=1.2.3", "1=a", "größe=x", "x='" + "y" * 600 + "'",
]  # fmt: skip


class Ours:
    """What their blocks did, as our stores have it."""

    def __init__(self) -> None:
        self.states, self.last = StateStore(MemoryStore()), 0
        self.txs: dict[int, int] = {}  # by height

    def load_meta(self, height: int) -> Any:
        return _Meta(self.txs[height]) if height in self.txs else None

    def add(self, height: int, told: Any, hashes: list[bytes]) -> None:
        results = tuple(ExecTxResult(events=_events(result["events"])) for result in told["txs_results"] or ())
        answer = FinalizeBlockResponse(results, b"\1", events=_events(told["finalize_block_events"]))
        entries = entries_of(height, answer)
        self.states.save_response(height, drain(encode_response(answer)), hashes, entries)
        self.last, self.txs[height] = height, len(results)

    def find(self, query: str, subject: Subject, *, skip: int, is_descending: bool) -> Any:
        made = plan(parse(query), subject)
        walk = Walk(made, self, self.states, 1, self.last, 10**6)  # type: ignore[arg-type]
        return drain(counted(walk, skip=skip, limit=PAGE, is_descending=is_descending))


class _Meta:
    def __init__(self, num_txs: int) -> None:
        self.num_txs = num_txs


def _events(told: Any) -> tuple[Event, ...]:
    return tuple(
        Event(
            one["type"], tuple(EventAttribute(a["key"], a["value"], a.get("index", False)) for a in one["attributes"])
        )
        for one in told or ()
    )


@contextlib.asynccontextmanager
async def their_chain(tmp_path: Path) -> Any:
    """(a session, their door's URL, our copy of what its blocks did, heights of the first and last transaction)"""
    node = CometNode(tmp_path / "theirs", chain_id="their-chain")
    node.set_config({"consensus.timeout_commit": "50ms"})
    url = f"http://127.0.0.1:{node.rpc_port}"
    async with node.running(), aiohttp.ClientSession() as http:
        async with asyncio.timeout(START_S):
            while True:
                with contextlib.suppress(OSError, AssertionError):
                    if int((await call(http, url, "status"))["sync_info"]["latest_block_height"]) > 1:
                        break
                await asyncio.sleep(0.1)
        told = [await call(http, url, "broadcast_tx_commit", tx=base64_of(tx)) for tx in TXS]
        heights = [int(one["height"]) for one in told]
        ours = Ours()
        for height in range(1, heights[-1] + 1):
            block = await call(http, url, "block", height=str(height))
            here = [one["hash"] for one in told if int(one["height"]) == height]
            assert len(here) == len(block["block"]["data"]["txs"]), "nobody else sends"
            ours.add(
                height, await call(http, url, "block_results", height=str(height)), [bytes.fromhex(one) for one in here]
            )
        names = {"first": heights[0], "last": heights[-1], "hash": told[1]["hash"]}
        # All is in their index once the last is: it is written behind the block.
        async with asyncio.timeout(START_S):
            while True:
                if (await _search(http, url, "tx_search", "app.key='e'"))["total_count"] == "1":
                    break
                await asyncio.sleep(0.05)
        yield http, url, ours, names


async def _search(http: aiohttp.ClientSession, url: str, method: str, query: str, **params: Any) -> Any:
    return await call(http, url, method, query=query, **params)


async def test_the_same_is_found(tmp_path: Path) -> None:
    async with their_chain(tmp_path) as (http, url, ours, names):
        wrong: list[str] = []
        for order in ("asc", "desc"):
            for text in FOUND:
                query = text.format_map(names)
                if "tx.height > 0" in query or ("block" in query and ">" in query):
                    query += f" AND tx.height <= {names['last']}"  # they make blocks meanwhile
                for page in (1, 2):
                    told = (await post(
                        http, url, request("tx_search", {
                            "query": query, "per_page": str(PAGE), "page": str(page), "order_by": order
                        }),
                    )).document  # fmt: skip
                    mine = ours.find(query, TRANSACTIONS, skip=(page - 1) * PAGE, is_descending=order == "desc")
                    if "error" in told:  # there is no such page
                        if page == 1 or mine.total > PAGE:
                            wrong.append(f"{query} {order} {page}: theirs {told['error']}, ours {mine}")
                        continue
                    their = [(int(tx["height"]), tx["index"]) for tx in told["result"]["txs"]]
                    if (their, told["result"]["total_count"]) != (mine.places, str(mine.total)):
                        wrong.append(
                            f"{query} {order} {page}: theirs {their} of {told['result']['total_count']}, {mine}"
                        )
        for text in OF_BLOCKS:
            query = text.format_map(names)
            told = await _search(http, url, "block_search", query, per_page=str(PAGE))
            mine = ours.find(query, BLOCKS, skip=0, is_descending=True)
            heights = [int(one["block"]["header"]["height"]) for one in told["blocks"]]
            if (heights, told["total_count"]) != ([place.height for place in mine.places], str(mine.total)):
                wrong.append(f"{query}: theirs {heights} of {told['total_count']}, ours {mine}")
        assert not wrong, "\n".join(wrong)
        asked = (
            f"{len(FOUND)} queries for transactions in both orders, by pages, and {len(OF_BLOCKS)} for blocks, alike"
        )
        row("CometBFT", VERSION, "tx_search and block_search beside our index of the same events", asked)


async def test_the_same_is_refused(tmp_path: Path) -> None:
    async with their_chain(tmp_path) as (http, url, _, _):
        for query in REFUSED:
            told = (await post(http, url, request("tx_search", {"query": query}))).error
            with pytest.raises(InvalidQuery) as refused:
                parse(query)
            assert told[2] == str(refused.value), query
        row("CometBFT", VERSION, "queries that cannot be read", f"{len(REFUSED)} refused in the same words")
