"""Searches at the doors: found by pages that fit together, refused in words that help, bounded, and off where the node
keeps no index."""

from __future__ import annotations

import re
from typing import Any

import pytest

from consensus.queries.errors import InvalidQuery
from consensus.search.errors import SearchTooWide
from consensus.search.plan import BLOCKS, TRANSACTIONS
from consensus.search.walk import Place
from crypto.hash import sha256
from dchat.client.client import ClientError
from dchat.config.models import IndexSection
from dchat.doors.reads import search
from dchat.doors.reads.errors import NotYet
from dchat.doors.reads.loop_share import LoopShare
from dchat.doors.reads.search import Searches
from proto.dchat.v1 import service_pb2 as pb
from tests.support.node.telling import Telling, telling_chain


def searches(telling: Telling, **options: Any) -> Searches:
    return Searches(telling.answers, LoopShare(), IndexSection(**options))


async def test_transactions_are_found_whole_and_in_order() -> None:
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(3)
        answer = await client.search_txs("pair.key='k3-1'")
        [tx] = answer.txs
        assert (tx.height, tx.index, tx.tx, tx.hash) == (3, 1, b"k3-1=1", sha256(b"k3-1=1"))
        assert tx == await client.tx(tx.hash)
        assert (answer.cursor, answer.from_height, answer.to_height) == ("", 1, 4)
        everything = await client.search_txs("pair EXISTS")
        assert [(tx.height, tx.index) for tx in everything.txs] == [(4, 1), (4, 0), (3, 1), (3, 0), (2, 1), (2, 0)]
        by_hash = await client.search_txs(f"tx.hash='{tx.hash.hex()}'")
        assert list(by_hash.txs) == [tx]


@pytest.mark.parametrize("oldest_first", [True, False])
async def test_pages_fit_together(oldest_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an answer has no room for as many as were asked for."""
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(3, pairs=3)
        whole = await client.search_txs("pair.value CONTAINS ''", oldest_first=oldest_first)
        assert len(whole.txs) == 9
        for limit, bytes_max in ((1, 10**6), (2, 10**6), (4, 10**6), (9, 10**6), (4, 100)):
            monkeypatch.setattr(search, "ANSWER_BYTES_MAX", bytes_max)
            found, cursor = [], ""
            for _ in range(11):
                piece = await client.search_txs(
                    "pair.value CONTAINS ''", oldest_first=oldest_first, limit=limit, after=cursor
                )
                found += piece.txs
                cursor = piece.cursor
                if not cursor:
                    break
            assert found == list(whole.txs)


async def test_blocks_are_found_by_what_they_did_themselves() -> None:
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(3)
        answer = await client.search_blocks("pairs.count > 2 AND block.height <= 4", oldest_first=True)
        assert [meta.header.height for meta in answer.blocks] == [3, 4]
        assert [meta.num_txs for meta in answer.blocks] == [2, 2]
        first = await client.search_blocks("pairs EXISTS", limit=1)
        rest = await client.search_blocks("pairs EXISTS", after=first.cursor)
        assert [meta.header.height for meta in (*first.blocks, *rest.blocks)] == [4, 3, 2, 1]
        assert not (await client.search_blocks("pair.key='k3-1'")).blocks


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (pb.SearchTxsRequest(query=""), "query: offset 0: it ends too early; allowed: TAG = 'TEXT' or NUMBER"),
        (pb.SearchTxsRequest(query="a=1 OR b=2"), "query: offset 4: got tag, wanted AND at 'OR b=2'; allowed: TAG = "),
        (pb.SearchTxsRequest(query="a='ü' b"), "query: offset 7: got tag, wanted AND at 'b'; allowed"),
        (pb.SearchTxsRequest(query="a != 'b'"), "query: offset 2: invalid input ! at offset 3 at \"!= 'b'\"; allowed"),
        (pb.SearchTxsRequest(query="block.height=3"), "block.height is of another search; allowed here: tx.height"),
        (pb.SearchTxsRequest(query="tm.event='Tx' AND a=1"), "tm.event is of subscriptions"),
        (
            pb.SearchTxsRequest(query="a.b='" + "x" * 600 + "'"),
            "query: maximum query length exceeded; allowed: 512 bytes",
        ),
        (pb.SearchTxsRequest(query="a OR b"), "query: offset 2: got tag, wanted"),
        (pb.SearchTxsRequest(query="tx.hash='xy'"), "query: error during searching for a hash in the query"),
        (pb.SearchTxsRequest(query="a EXISTS", limit=101), "limit is 101; allowed: 1 to 100, 0 for 30"),
        (pb.SearchTxsRequest(query="a EXISTS", after="x"), "after: cursor is 'x'; allowed: HEIGHT:INDEX"),
    ],
)
async def test_what_cannot_be_searched_for_is_said(request_: pb.SearchTxsRequest, error: str) -> None:
    async with telling_chain() as telling, telling.client() as client:
        with pytest.raises(ClientError, match=re.escape(error)):
            await client.call(client.txs.SearchTxs, request_)


@pytest.mark.parametrize("tag", ["tx.height", "tx.hash"])
async def test_a_search_for_blocks_refuses_what_is_of_transactions(tag: str) -> None:
    async with telling_chain() as telling, telling.client() as client:
        with pytest.raises(ClientError, match=f"{tag} is of .* search.*; allowed here: block.height"):
            await client.search_blocks(f"{tag}='3'")


async def test_a_node_without_an_index_says_so() -> None:
    async with telling_chain() as telling:
        off = searches(telling, tx_index="null")
        with pytest.raises(NotYet, match="keeps no index of events"):
            await off.txs(pb.SearchTxsRequest(query="a EXISTS"), "local")


async def test_by_number_as_json_rpc_wants_it() -> None:
    async with telling_chain() as telling:
        await telling.make_blocks(3)
        found = await searches(telling).find(
            "pair.key EXISTS", TRANSACTIONS, skip=2, limit=3, is_descending=False, bytes_max=512, client="local"
        )
        assert found == ([Place(3, 0), Place(3, 1), Place(4, 0)], 6)
        blocks = await searches(telling).find(
            "block.height > 1", BLOCKS, skip=0, limit=2, is_descending=True, bytes_max=512, client="local"
        )
        assert blocks == ([Place(4, 0), Place(3, 0)], 3)
        with pytest.raises(InvalidQuery):
            await searches(telling).find(
                "x", BLOCKS, skip=0, limit=2, is_descending=True, bytes_max=512, client="local"
            )  # fmt: skip


async def test_a_search_that_looks_at_too_much_is_cut_and_goes_on() -> None:
    async with telling_chain() as telling:
        await telling.make_blocks(4)
        narrow = searches(telling)
        narrow._work_max = 1
        with pytest.raises(SearchTooWide):
            await narrow.find(
                "pair.key EXISTS", TRANSACTIONS, skip=0, limit=9, is_descending=False, bytes_max=512, client="local"
            )
        found, cursor, asked = [], "", 0
        while asked == 0 or cursor:
            piece = await narrow.txs(pb.SearchTxsRequest(query="pair EXISTS", after=cursor, oldest_first=True), "local")
            found += [(tx.height, tx.index) for tx in piece.txs]
            cursor, asked = piece.cursor, asked + 1
        assert found == [(height, index) for height in range(2, 6) for index in (0, 1)]
        assert asked > 2
        assert narrow.metrics.too_wide == asked, "one by number, and all pages but the last"
