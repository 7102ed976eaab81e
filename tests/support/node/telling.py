"""A chain of the engine's key-value application, which tells of events, behind the product's own doors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from consensus.core.events import CoreConfig
from consensus.node.commit_watch import CommitWatch
from consensus.state.cursors import Cursor
from consensus.state.results import Event
from crypto.hash import sha256
from dchat.client.client import Client
from dchat.config.models import GrpcSection, HttpSection, IndexSection
from dchat.doors.grpc.door import GrpcDoor
from dchat.doors.http.door import HttpDoor
from dchat.doors.http.views import Thresholds, Views
from dchat.doors.metrics.exposition import Registry
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.event_feed import EventFeed
from dchat.doors.reads.limits import RateLimit
from dchat.doors.reads.search import Searches
from proto.dchat.v1 import service_pb2 as pb
from tests.support.engine.bench import FAST, Home, Node, genesis_of, make_node
from tests.support.engine.kvapp import KeyValueApp

ON_DEMAND = CoreConfig(
    timeout_propose_ms=FAST.timeout_propose_ms, timeout_commit_ms=0, create_empty_blocks_interval_ms=3_600_000
)  # a block when a transaction waits, and no other
UNUSED: Any = None  # what the doors' other answers come from


class SteadyApp(KeyValueApp):
    """Its app hash never changes, so that no empty block follows to prove it: blocks are those that a test makes."""

    @staticmethod
    def hash_of(pairs: dict[str, str]) -> bytes:
        return bytes(32)


Told = tuple[Cursor, bytes, Event]  # cursor, the transaction's hash or nothing, event


@dataclass
class Telling:
    chain: Node
    answers: Answers
    watch: CommitWatch
    grpc: GrpcDoor
    http_port: int

    def client(self) -> Client:
        return Client(f"127.0.0.1:{self.grpc.port}")

    async def make_blocks(self, blocks: int, *, pairs: int = 2) -> None:
        """Each with as many transactions, keys counted through."""
        for _ in range(blocks):
            height = self.chain.height + 1
            self.chain.pool.txs = [b"k%d-%d=%d" % (height, number, number) for number in range(pairs)]
            self.chain.pool._tell()
            await self.chain.reach(height)

    def saved(self) -> list[Told]:
        """Every event that is on disk, from the lowest block kept, counted here by hand."""
        found: list[Told] = []
        for height in range(self.answers.base, self.answers.height + 1):
            block, response = self.answers.load_block(height), self.answers.states.load_response(height)
            assert response is not None
            placed = [
                (sha256(tx), event)
                for tx, result in zip(block.txs, response.tx_results, strict=True)
                for event in result.events
            ]
            placed += [(b"", event) for event in response.events]
            found += [(Cursor(height, index), tx_hash, event) for index, (tx_hash, event) in enumerate(placed)]
        return found

    async def get(self, path: str, status: int = 200) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            document: dict[str, Any] = await answer.json()
            assert answer.status == status, document
            return document


def told(message: pb.StreamEventsResponse) -> Told:
    attributes = {attribute.key: attribute.value for attribute in message.event.attributes}
    cursor = Cursor(message.cursor.height, message.cursor.index)
    return cursor, message.tx_hash, Event.of(message.event.type, **attributes)


async def read(client: Client, count: int, **asked: Any) -> list[Told]:
    """`count` events; then the reader leaves."""
    found: list[Told] = []
    async with asyncio.timeout(20), contextlib.aclosing(client.stream_events(**asked)) as stream:
        async for message in stream:
            if message.HasField("event"):
                found.append(told(message))
                if len(found) == count:
                    break
    return found


async def read_all(client: Client, **asked: Any) -> tuple[list[Told], list[Cursor]]:
    """Until the stream ends: events, and the cursors of messages without one."""
    found: list[Told] = []
    progress: list[Cursor] = []
    async with asyncio.timeout(20):
        async for message in client.stream_events(**asked):
            if message.HasField("event"):
                found.append(told(message))
            else:
                progress.append(Cursor(message.cursor.height, message.cursor.index))
    return found, progress


@contextlib.asynccontextmanager
async def telling_chain(*, home: Home | None = None, retain_blocks: int = 0) -> AsyncIterator[Telling]:
    """Made new, with an empty block, or taken up from a home that stopped."""
    home = home or Home()
    app = SteadyApp(home.app, retain_blocks=retain_blocks)
    chain = await make_node(genesis_of(1), 0, home, config=ON_DEMAND, app=app)
    answers = Answers(chain.executor.blocks, chain.executor.states, UNUSED)
    watch = CommitWatch(answers.is_saved)
    chain.driver.add_saved_listener(watch)
    events, rate = EventFeed(answers, watch), RateLimit(0)
    grpc = GrpcDoor(
        GrpcSection(listen_address="127.0.0.1:0"),
        rate=rate,
        answers=answers,
        pool=UNUSED,
        watch=watch,
        events=events,
        evidence=UNUSED,
        journal=UNUSED,
        status=lambda: pb.GetStatusResponse(latest_block_height=answers.height, earliest_block_height=answers.base),
        upgrade=UNUSED,
        trails=UNUSED,
        searches=Searches(answers, events.share, IndexSection()),
    )
    views = Views(
        me=UNUSED, answers=answers, driver=chain.driver, pool=UNUSED, switch=UNUSED,
        is_catching_up=lambda: False, sync_target=lambda: 0, thresholds=Thresholds(0),
    )  # fmt: skip
    http = HttpDoor(HttpSection(), views, events, Registry(), rate=rate, tls=None)
    await chain.driver.start()
    await chain.reach(1)
    await grpc.start()
    try:
        yield Telling(chain, answers, watch, grpc, await http.start("127.0.0.1", 0))
    finally:
        await grpc.stop(0.0)
        await http.stop()
        await chain.driver.stop()
