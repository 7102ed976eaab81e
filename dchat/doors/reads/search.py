"""Searches for the doors: transactions and blocks by the events that they told, page after page.

A search works on the loop in slices of a millisecond, in the readers' common share of it, and looks at `work_max` at
most. Only what is saved, kept and indexed is found. Source: docs/search.md; CometBFT v0.38, rpc/core/tx.go, blocks.go.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from consensus.abci.interface import Slices
from consensus.queries.errors import InvalidQuery, QueryTooLong
from consensus.queries.syntax import AND_NUMBER, QUERY_BYTES_MAX, Condition, parse
from consensus.search.errors import SearchTooWide
from consensus.search.pages import Counted, Page, counted, page
from consensus.search.plan import BLOCKS, TRANSACTIONS, TX_HASH, Subject, plan
from consensus.search.walk import Place, Walk
from consensus.state.cursors import Cursor
from crypto.hash import sha256
from dchat.config.models import IndexSection
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import BadQuestion, NotYet
from dchat.doors.reads.loop_share import LoopShare
from dchat.doors.reads.results import event_protos
from proto.dchat.v1 import service_pb2 as pb
from proto.tendermint.types import types_pb2

FOUND_MAX: Final = 100
FOUND_DEFAULT: Final = 30
SHOWN_CHARS: Final = 32  # of a query that cannot be read, from there on
FORMS: Final = "TAG = 'TEXT' or NUMBER, TAG < <= > >= NUMBER, TAG CONTAINS 'TEXT', TAG EXISTS, with AND between them"
_WHERE: Final = re.compile("offset ([0-9]+): (.*)", re.DOTALL)
ANSWER_BYTES_MAX: Final = 2_097_152  # of a page: what is beyond is on the next one


@dataclass(slots=True)
class SearchMetrics:
    asked: int = 0
    found: int = 0
    work: int = 0  # entries of the index and events that were looked at
    too_wide: int = 0  # refused, or cut


class Searches:
    """What a node finds, by an index that `options` may leave out."""

    def __init__(self, answers: Answers, share: LoopShare, options: IndexSection) -> None:
        self._answers, self._share, self._work_max = answers, share, options.work_max
        self.is_indexed = options.tx_index == "kv"
        self.metrics = SearchMetrics()

    # ---------------------------------------------------------------------------------------- what gRPC asks for

    async def txs(self, request: pb.SearchTxsRequest, client: str) -> pb.SearchTxsResponse:
        """Raises BadQuestion, NotYet."""
        walk, found = await self._page(request, TRANSACTIONS, client)
        answer, last = await self._share.drive(self._told_txs(found.places), client)
        answer.from_height, answer.to_height = walk.low, walk.high
        answer.cursor = _cursor(last or found.cursor)
        return answer

    async def blocks(self, request: pb.SearchBlocksRequest, client: str) -> pb.SearchBlocksResponse:
        """Raises BadQuestion, NotYet."""
        walk, found = await self._page(request, BLOCKS, client)
        answer = pb.SearchBlocksResponse(from_height=walk.low, to_height=walk.high, cursor=_cursor(found.cursor))
        for place in found.places:
            meta = self._answers.blocks.load_meta(place.height)
            if meta is not None:
                answer.blocks.append(types_pb2.BlockMeta.FromString(meta.encode()))
        return answer

    async def _page(
        self, request: pb.SearchTxsRequest | pb.SearchBlocksRequest, subject: Subject, client: str
    ) -> tuple[Walk, Page]:
        if request.limit > FOUND_MAX:
            raise BadQuestion(f"limit is {request.limit}; allowed: 1 to {FOUND_MAX}, 0 for {FOUND_DEFAULT}")
        if not self.is_indexed:
            raise NotYet('this node keeps no index of events ([index] tx_index = "null"): ask another one')
        try:
            after = Place(*Cursor.parse(request.after)) if request.after else None
        except ValueError as error:
            raise BadQuestion(f"after: {error}") from None
        try:
            refuse_misplaced(parse(request.query, bytes_max=QUERY_BYTES_MAX), subject)
            walk = self._walk(request.query, subject, bytes_max=QUERY_BYTES_MAX, as_subscriptions=True)
        except InvalidQuery as error:
            raise BadQuestion(f"query: {in_words(error, request.query)} (docs/search.md)") from None
        slices = page(
            walk, limit=request.limit or FOUND_DEFAULT, after=after, is_descending=not request.oldest_first
        )  # fmt: skip
        found = await self._share.drive(slices, client)
        self._count(walk, len(found.places))
        self.metrics.too_wide += found.is_cut
        return walk, found

    # ------------------------------------------------------------------------------------- what JSON-RPC asks for

    async def find(
        self, query: str, subject: Subject, *, skip: int, limit: int, is_descending: bool, bytes_max: int, client: str
    ) -> Counted:
        """`limit` places behind the first `skip`, and how many there are, by the reference's meaning to the letter.
        Raises InvalidQuery, SearchTooWide."""
        walk = self._walk(query, subject, bytes_max=bytes_max, as_subscriptions=False)
        try:
            slices = counted(walk, skip=skip, limit=limit, is_descending=is_descending)
            found = await self._share.drive(slices, client)
        except SearchTooWide:
            self._count(walk, 0)
            self.metrics.too_wide += 1
            raise
        self._count(walk, len(found.places))
        return found

    def _count(self, walk: Walk, found: int) -> None:
        self.metrics.asked += 1
        self.metrics.work += walk.work
        self.metrics.found += found

    def _walk(self, query: str, subject: Subject, *, bytes_max: int, as_subscriptions: bool) -> Walk:
        answers = self._answers
        made = plan(parse(query, bytes_max=bytes_max), subject, as_subscriptions=as_subscriptions)
        whole, low, high = answers.states.indexed, max(1, answers.base), answers.height
        if made.tx_hash is None:  # a transaction's hash has an index of its own
            low, high = (max(low, whole.first), min(high, whole.last)) if whole is not None else (high + 1, high)
        return Walk(made, answers.blocks, answers.states, low, high, self._work_max)

    # ------------------------------------------------------------------------------------------------ an answer

    def _told_txs(self, places: list[Place]) -> Slices[tuple[pb.SearchTxsResponse, Place | None]]:
        """As many as there is room for, one at least, and the last of them, if that are not all. What was pruned
        meanwhile is left out."""
        answer, size = pb.SearchTxsResponse(), 0
        last: Place | None = None
        for place in places:
            stored = yield from self._answers.states.stored_in_slices(place.height)
            txs = yield from self._answers.txs_in_slices(place.height)
            if stored is None:
                continue
            tx, result = txs[place.tx_index], stored.tx_results[place.tx_index]
            size += len(tx) + result.ByteSize()
            if size > ANSWER_BYTES_MAX and last is not None:
                return answer, last
            last = place
            answer.txs.add(
                hash=sha256(tx), height=place.height, index=place.tx_index, tx=tx, code=result.code,
                codespace=result.codespace, log=result.log, data=result.data, gas_wanted=result.gas_wanted,
                gas_used=result.gas_used, events=event_protos(result.events),
            )  # fmt: skip
            yield
        return answer, None


def in_words(error: InvalidQuery, query: str) -> str:
    """What a person is told: what stands where reading ended, and what may stand there.

    error: in CometBFT's words, which JSON-RPC's clients know.
    """
    if isinstance(error, QueryTooLong):
        return f"{error}; allowed: {error.bytes_max} bytes"
    found = _WHERE.fullmatch(str(error))
    if found is None:
        return f"{error}; allowed: {TX_HASH} = 'HASH', in hex"
    at, why = int(found[1]), found[2]
    rest = query.encode("utf-8", "surrogatepass")[at:].decode("utf-8", "replace")
    why = "it ends too early" if why == "EOF" else why.replace(f"want {AND_NUMBER}", "wanted AND")
    where = f" at {rest[:SHOWN_CHARS]!r}" if rest else ""
    return f"offset {at}: {why}{where}; allowed: {FORMS}"


def refuse_misplaced(conditions: tuple[Condition, ...], subject: Subject) -> None:
    """What is never in the index of `subject`, and would else find nothing without a word. Raises BadQuestion."""
    other = BLOCKS if subject.is_txs else TRANSACTIONS
    for one in conditions:
        if one.tag == other.height_tag:
            raise BadQuestion(f"query: {one.tag} is of another search; allowed here: {subject.height_tag}")
        if one.tag == TX_HASH and not subject.is_txs:
            raise BadQuestion(f"query: {TX_HASH} is of a search for transactions; allowed here: {subject.height_tag}")
        if one.tag == "tm.event":
            raise BadQuestion(
                "query: tm.event is of subscriptions; a search is for transactions or for blocks: leave it out"
            )


def _cursor(place: Place | None) -> str:
    return str(Cursor(*place)) if place is not None else ""
