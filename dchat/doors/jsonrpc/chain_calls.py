"""Calls about blocks: headers, commits, results, validators, parameters, the genesis, transactions by their hash, and
searches of blocks and transactions by what they did.

Reads are `Answers`', in the threads and in the share of the loop that all doors have together; nothing above the last
saved height is told.
Source: CometBFT v0.38, rpc/core/blocks.go, consensus.go, tx.go, net.go.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Final, TypeVar

from consensus.documents.genesis import GenesisDoc
from consensus.documents.json import block_id_json, header_json, params_json, proof_json, validator_json
from consensus.formats.json_text import Json, dumps
from consensus.formats.units import MIB
from consensus.queries.errors import InvalidQuery
from consensus.queries.syntax import QUERY_BYTES_MAX
from consensus.search.pages import Counted
from consensus.search.plan import BLOCKS, TRANSACTIONS, Subject
from crypto.hash import HASH_BYTES, sha256
from dchat.doors.jsonrpc.form import (
    NO_BLOCK_ID,
    Many,
    Raw,
    base64_of,
    block_form,
    commit_form,
    event_form,
    hex_of,
    meta_form,
    param_updates_form,
    result_form,
    updates_form,
    written,
)
from dchat.doors.jsonrpc.params import Arg, Kind
from dchat.doors.jsonrpc.protocol import failed
from dchat.doors.jsonrpc.table import Caching, Call, Kept, Method, chosen_height, page_of, per_page_of, table_of
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import NotThere
from dchat.doors.reads.loop_share import LoopShare
from dchat.doors.reads.reading import Reading
from dchat.doors.reads.search import Searches

METAS_MAX: Final = 20  # of one `blockchain`
CHUNK_BYTES: Final = 16 * MIB  # of the genesis
HEIGHT: Final = Arg("height", Kind.INT64)
PAGES: Final = (Arg("page", Kind.INT), Arg("per_page", Kind.INT))
QUERY: Final = Arg("query", Kind.TEXT, "")
ORDER: Final = Arg("order_by", Kind.TEXT, "")
BLOCK_QUERY_BYTES_MAX: Final = 16_384  # the reference has no limit but a body's
FOUND_BYTES_MAX: Final = 16 * MIB  # of the blocks on one page

TX_ARGS: Final = (Arg("hash", Kind.BYTES, b""), Arg("prove", Kind.BOOL, False))

T = TypeVar("T")


class ChainCalls:
    """table: what it adds to the door's."""

    def __init__(
        self,
        answers: Answers,
        genesis: GenesisDoc,
        *,
        reading: Reading,
        share: LoopShare,
        searches: Searches,
        is_catching_up: Callable[[], bool],
        kept: Kept,
    ) -> None:
        self._answers, self._genesis = answers, genesis
        self._reading, self._share, self._is_catching_up = reading, share, is_catching_up
        self._searches = searches
        self._kept = kept
        self._genesis_text, self._genesis_lock = b"", asyncio.Lock()
        self.table = table_of(
            Method(
                "blockchain",
                self.blockchain,
                (Arg("minHeight", Kind.INT64, 0), Arg("maxHeight", Kind.INT64, 0)),
                Caching.ALWAYS,
                cost=4,
            ),
            Method("genesis", self.genesis, (), Caching.ALWAYS, cost=20),
            Method("genesis_chunked", self.genesis_chunked, (Arg("chunk", Kind.UINT, 0),), Caching.ALWAYS, cost=20),
            Method("header", self.header, (HEIGHT,), Caching.WITH_HEIGHT),
            Method("header_by_hash", self.header_by_hash, (Arg("hash", Kind.HEX, b""),), Caching.ALWAYS),
            Method("block", self.block, (HEIGHT,), Caching.WITH_HEIGHT, cost=4),
            Method("block_by_hash", self.block_by_hash, (Arg("hash", Kind.BYTES, b""),), Caching.ALWAYS, cost=4),
            Method("block_results", self.block_results, (HEIGHT,), Caching.WITH_HEIGHT, cost=4),
            Method("commit", self.commit, (HEIGHT,), Caching.WITH_HEIGHT),
            Method("validators", self.validators, (HEIGHT, *PAGES), Caching.WITH_HEIGHT, cost=2),
            Method("consensus_params", self.consensus_params, (HEIGHT,), Caching.WITH_HEIGHT),
            Method("tx", self.tx, TX_ARGS, Caching.ALWAYS, cost=2),
            Method("tx_search", self.tx_search, (QUERY, Arg("prove", Kind.BOOL, False), *PAGES, ORDER), cost=20),
            Method("block_search", self.block_search, (QUERY, *PAGES, ORDER), cost=20),
        )  # fmt: skip

    async def _read(self, call: Call, work: Callable[[], T]) -> T:
        return await self._reading.run(work, call.client)

    async def _once(
        self, call: Call, key: tuple[Hashable, ...], height: int, make: Callable[[], Awaitable[Json]]
    ) -> Json:
        """What is told of a saved block: as it was written for whoever asked before, or made. None is not kept."""
        if (text := self._kept.get(key, base=self._answers.base)) is not None:
            return Raw(text)
        told = await make()
        return None if told is None else await self._keep(call, key, height, told)

    async def _keep(self, call: Call, key: tuple[Hashable, ...], height: int, told: Json) -> Raw:
        text = (await self._share.drive(written(told), call.client)).decode()
        self._kept.put(key, height, text)
        return Raw(text)

    def _height(self, given: int | None) -> int:
        return chosen_height(given, latest=self._answers.height, base=self._answers.base)

    def _next_height(self, given: int | None) -> int:
        """Of what is known one height ahead of the blocks. Raises RpcError."""
        latest = self._answers.height + (0 if self._is_catching_up() else 1)
        return chosen_height(given, latest=latest, base=self._answers.base)

    # ------------------------------------------------------------------------------------------------------ blocks

    async def blockchain(self, call: Call, given: Mapping[str, Any]) -> Json:
        least, most = given["minHeight"], given["maxHeight"]
        latest, base = self._answers.height, self._answers.base
        if least < 0 or most < 0:
            raise failed("heights must be non-negative")
        most = min(latest, most or latest)
        least = max(base, least or 1, most - METAS_MAX + 1)
        if least > most:
            raise failed(f"min height {least} can't be greater than max height {most}")

        def work() -> list[Json]:
            metas = map(self._answers.blocks.load_meta, range(most, least - 1, -1))
            return [meta_form(meta) for meta in metas if meta is not None]

        return {"last_height": str(latest), "block_metas": await self._read(call, work)}

    async def header(self, call: Call, given: Mapping[str, Any]) -> Json:
        meta = self._answers.blocks.load_meta(self._height(given["height"]))
        return {"header": None if meta is None else header_json(meta.header)}

    async def header_by_hash(self, call: Call, given: Mapping[str, Any]) -> Json:
        height = self._height_of(given["hash"])
        meta = self._answers.blocks.load_meta(height) if height else None
        return {"header": None if meta is None else header_json(meta.header)}

    def _height_of(self, block_hash: bytes) -> int:
        """0: no saved block has this hash."""
        found = self._answers.blocks.height_of_hash(block_hash) if len(block_hash) == HASH_BYTES else None
        return found if found is not None and found <= self._answers.height else 0

    async def block(self, call: Call, given: Mapping[str, Any]) -> Json:
        return await self._block_at(call, self._height(given["height"]))

    async def block_by_hash(self, call: Call, given: Mapping[str, Any]) -> Json:
        return await self._block_at(call, self._height_of(given["hash"]))

    async def _block_at(self, call: Call, height: int) -> Json:
        blocks = self._answers.blocks
        if not height:
            return {"block_id": block_id_json(NO_BLOCK_ID), "block": None}

        async def make() -> Json:
            meta, block = await self._read(call, lambda: (blocks.load_meta(height), blocks.load_block(height)))
            if meta is None or block is None:
                return None  # pruned meanwhile
            return {"block_id": block_id_json(meta.block_id), "block": block_form(block)}

        told = await self._once(call, ("block", height), height, make)
        return {"block_id": block_id_json(NO_BLOCK_ID), "block": None} if told is None else told

    async def commit(self, call: Call, given: Mapping[str, Any]) -> Json:
        height = self._height(given["height"])
        key = ("commit", height)
        if (text := self._kept.get(key, base=self._answers.base)) is not None:
            return Raw(text)
        told = await self._read(call, lambda: self._commit_of(height))
        is_final = told is not None and told["canonical"]  # that of the latest is another one once a block follows
        return await self._keep(call, key, height, told) if is_final else told

    def _commit_of(self, height: int) -> Json:
        """Reads: call it in a thread."""
        blocks = self._answers.blocks
        meta = blocks.load_meta(height) if height else None
        if meta is None:
            return None
        commit = blocks.load_commit(height) if height < self._answers.height else None
        canonical = commit is not None
        if commit is None:
            commit = blocks.load_seen_commit(height)
        signed = {"header": header_json(meta.header), "commit": None if commit is None else commit_form(commit)}
        return {"signed_header": signed, "canonical": canonical}

    async def block_results(self, call: Call, given: Mapping[str, Any]) -> Json:
        height = self._height(given["height"])

        async def make() -> Json:
            stored = await self._share.drive(self._answers.states.stored_in_slices(height), call.client)
            if stored is None:
                raise failed(f"could not find results for height #{height}")
            return {
                "height": str(height),
                "txs_results": Many(map(result_form, stored.tx_results)) if stored.tx_results else None,
                "finalize_block_events": Many(map(event_form, stored.events)) if stored.events else None,
                "validator_updates": updates_form(stored.validator_updates) or None,
                "consensus_param_updates": param_updates_form(stored),
                "app_hash": base64_of(stored.app_hash),
            }

        return await self._once(call, ("block_results", height), height, make)

    async def tx(self, call: Call, given: Mapping[str, Any]) -> Json:
        tx_hash = given["hash"]
        place = self._answers.states.find_tx(tx_hash) if len(tx_hash) == HASH_BYTES else None
        if place is None or place[0] > self._answers.height:
            raise failed(f"tx ({hex_of(tx_hash[: 2 * HASH_BYTES])}) not found")
        try:
            return await self._placed_tx(call, *place, prove=given["prove"])
        except NotThere:  # pruned since its place was read
            raise failed(f"tx ({hex_of(tx_hash)}) not found") from None

    async def _placed_tx(self, call: Call, height: int, index: int, *, prove: bool) -> Json:
        """Raises NotThere."""

        async def make() -> Json:
            return await self._read(call, lambda: self.placed_tx_form(height, index, prove=prove))

        return await self._once(call, ("tx", height, index, prove), height, make)

    def placed_tx_form(self, height: int, index: int, *, prove: bool) -> Json:
        """Of a saved block: as `tx` tells it. Reads: call it in a thread. Raises NotThere."""
        raw, stored = self._answers.txs(height)[index], self._answers.states.load_stored(height)
        if stored is None:
            raise NotThere(f"results of block {height} are not here")
        told = {
            "hash": hex_of(sha256(raw)),
            "height": str(height),
            "index": index,
            "tx_result": result_form(stored.tx_results[index]),
            "tx": base64.b64encode(raw).decode(),
        }
        if prove:
            block = self._answers.load_block(height)
            told["proof"] = {
                "root_hash": hex_of(block.header.data_hash),
                "data": told["tx"],
                "proof": proof_json(block.data.proof(index)),
            }
        return told

    # ---------------------------------------------------------------------------------------------------- searches

    async def tx_search(self, call: Call, given: Mapping[str, Any]) -> Json:
        if not self._searches.is_indexed:
            raise failed("transaction indexing is disabled")
        found = await self._find(call, given, TRANSACTIONS, QUERY_BYTES_MAX, is_descending=False)
        prove = given["prove"]
        txs: list[Json] = []
        for height, index in found.places:
            with contextlib.suppress(NotThere):  # pruned meanwhile
                txs.append(await self._placed_tx(call, height, index, prove=prove))
        return {"txs": Many(txs), "total_count": str(found.total)}

    async def block_search(self, call: Call, given: Mapping[str, Any]) -> Json:
        if not self._searches.is_indexed:
            raise failed("block indexing is disabled")
        found = await self._find(call, given, BLOCKS, BLOCK_QUERY_BYTES_MAX, is_descending=True)
        metas = [self._answers.blocks.load_meta(place.height) for place in found.places]
        if sum(meta.block_size for meta in metas if meta is not None) > FOUND_BYTES_MAX:
            raise failed(f"the blocks of this page have more than {FOUND_BYTES_MAX} bytes: ask for fewer by per_page")
        told = [await self._block_at(call, place.height) for place in found.places]
        return {"blocks": Many(told), "total_count": str(found.total)}

    async def _find(
        self, call: Call, given: Mapping[str, Any], subject: Subject, bytes_max: int, *, is_descending: bool
    ) -> Counted:
        """A page of what is found, and how much there is. Raises RpcError."""
        page, per_page, order = given["page"], per_page_of(given["per_page"]), given["order_by"]
        if order not in ("", "asc", "desc"):
            raise failed("expected order_by to be either `asc` or `desc` or empty")
        try:
            found = await self._searches.find(
                given["query"], subject, skip=(max(1, page or 1) - 1) * per_page, limit=per_page, bytes_max=bytes_max,
                is_descending=order == "desc" if order else is_descending, client=call.client,
            )  # fmt: skip
        except InvalidQuery as error:
            raise failed(str(error)) from None
        page_of(page, per_page, found.total)
        return found

    # ---------------------------------------------------------------------------------------- validators, parameters

    async def validators(self, call: Call, given: Mapping[str, Any]) -> Json:
        height = self._next_height(given["height"])

        async def make() -> Json:
            found = await self._read(call, lambda: self._answers.states.load_validators(height)) if height else None
            if found is None:
                raise failed(f"could not find validator set for height #{height}")
            start, end = page_of(given["page"], given["per_page"], len(found))
            return {
                "block_height": str(height),
                "validators": [validator_json(found[index]) for index in range(start, end)],
                "count": str(end - start),
                "total": str(len(found)),
            }

        return await self._once(call, ("validators", height, given["page"], given["per_page"]), height, make)

    async def consensus_params(self, call: Call, given: Mapping[str, Any]) -> Json:
        height = self._next_height(given["height"])
        found = await self._read(call, lambda: self._answers.states.load_params(height))
        if found is None:
            raise failed(f"could not find consensus params for height #{height}")
        return {"block_height": str(height), "consensus_params": params_json(found)}

    # ----------------------------------------------------------------------------------------------------- genesis

    async def genesis(self, call: Call, given: Mapping[str, Any]) -> Json:
        if len(text := await self._document(call)) > CHUNK_BYTES:
            raise failed("genesis response is large, please use the genesis_chunked API instead")
        return {"genesis": Raw(await self._read(call, text.decode))}

    async def genesis_chunked(self, call: Call, given: Mapping[str, Any]) -> Json:
        text, chunk = await self._document(call), given["chunk"]
        total = -(-len(text) // CHUNK_BYTES)
        if chunk >= total:
            raise failed(f"there are {total - 1} chunks, {chunk} is invalid")
        piece = text[chunk * CHUNK_BYTES : (chunk + 1) * CHUNK_BYTES]
        data = await self._read(call, lambda: f'"{base64.b64encode(piece).decode()}"')
        return {"chunk": str(chunk), "total": str(total), "data": Raw(data)}

    async def _document(self, call: Call) -> bytes:
        """Its JSON: made once, in a thread; an exported chain's is hundreds of megabytes."""
        if not self._genesis_text:
            async with self._genesis_lock:  # not once for each who asks before it is there
                if not self._genesis_text:
                    self._genesis_text = await self._read(call, lambda: genesis_text(self._genesis))
        return self._genesis_text


def genesis_text(genesis: GenesisDoc) -> bytes:
    """Compact. The application's part goes in as it is kept."""
    head = dumps(genesis.without_app_state().to_json()).encode()
    return head if not genesis.app_state else head[:-1] + b',"app_state":' + genesis.app_state + b"}"
