"""The JSON-RPC door over an engine whose application is somebody else's: all of CometBFT's methods.

What it tells is of blocks, votes, peers and the mempool, or is asked of the application (`abci_info`, `abci_query`,
`check_tx`). Nothing of it reads dchat's own state.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, NoReturn, cast

from consensus.abci.interface import (
    CheckTxRequest,
    CheckTxResponse,
    InfoRequest,
    InfoResponse,
    QueryRequest,
    QueryResponse,
)
from consensus.abci_socket.client import AbciClient
from consensus.documents.genesis import GenesisDoc
from consensus.node.node import Node
from consensus.p2p.conn.address import parse_listen_address
from crypto.keys import PubKey
from dchat.app.queries import Queries
from dchat.config import Config
from dchat.doors.certificates import Certificates
from dchat.doors.evidence_desk import EvidenceDesk
from dchat.doors.http.views import Me, Thresholds, Views
from dchat.doors.jsonrpc.chain_calls import ChainCalls
from dchat.doors.jsonrpc.door import JsonRpcDoor
from dchat.doors.jsonrpc.hub import Hub
from dchat.doors.jsonrpc.node_calls import NodeCalls
from dchat.doors.jsonrpc.table import Kept
from dchat.doors.jsonrpc.tx_calls import TxCalls
from dchat.doors.jsonrpc.websocket import Sockets
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import NotServing
from dchat.doors.reads.event_feed import EventFeed
from dchat.doors.reads.limits import RateLimit, Slots
from dchat.doors.reads.search import Searches
from dchat.node.runtime import SUBSCRIBERS, tell_subscribers

QUESTIONS_MAX: Final = 64  # that the application has not answered; of a client its share


class _NotOurs:
    """Stands where dchat's own queries do."""

    def __init__(self, why: NotServing) -> None:
        self._why = why

    def __getattr__(self, name: str) -> NoReturn:
        raise self._why


class Questions:
    """What strangers ask the application. Each keeps its place until that answers, whoever still waits: an application
    that is slow, or hangs, has no more of them to answer, and the loop and the readers' threads go on."""

    def __init__(self, client: AbciClient) -> None:
        self._client, self.places = client, Slots("questions to the application", QUESTIONS_MAX)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def info(self, request: InfoRequest, client: str) -> InfoResponse:
        told: InfoResponse = await self._ask("info", request, client)
        return told

    async def query(self, request: QueryRequest, client: str) -> QueryResponse:
        found: QueryResponse = await self._ask("query", request, client)
        return found

    async def check(self, tx: bytes, client: str) -> CheckTxResponse:
        checked: CheckTxResponse = await self._ask("check_tx", CheckTxRequest(tx), client)
        return checked

    async def _ask(self, method: str, value: Any, client: str) -> Any:
        """Raises Busy, ApplicationGone, ApplicationFailed."""
        self.places.take(client)
        task = asyncio.get_running_loop().create_task(self._client.later(method, value), name=f"question of {client}")
        self._tasks.add(task)

        def over(task: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            self.places.give(client)
            if not task.cancelled():
                task.exception()  # who asked may have left

        task.add_done_callback(over)
        return await asyncio.shield(task)


class RpcDoor:
    """`start`, then `stop`."""

    def __init__(
        self, config: Config, node: Node, client: AbciClient, genesis: GenesisDoc, me: Me, key: PubKey,
        *, why: NotServing, tls: Certificates | None,
    ) -> None:  # fmt: skip
        """why: what is answered where dchat's own state is asked for."""
        engine, options = node.engine, config.rpc
        answers = Answers(engine.blocks, engine.states, cast(Queries, _NotOurs(why)))
        views = Views(
            me=me, answers=answers, driver=engine.driver, pool=engine.pool, switch=engine.switch, faults=node.faults,
            is_catching_up=engine.gossip.is_catching_up, sync_target=engine.gossip.highest_peer,
            thresholds=Thresholds(config.observability.unhealthy_after),
        )  # fmt: skip
        self._config, self._node, self._views = config, node, views
        hub = self._hub = Hub(
            answers, EventFeed(answers, node.commits, views.share), node.commits, views.reading,
            clients_max=options.max_subscription_clients, each_max=options.max_subscriptions_per_client,
            buffer_max=options.subscription_buffer_size,
        )  # fmt: skip
        of_chain = ChainCalls(
            answers, genesis, reading=views.reading, share=views.share, is_catching_up=views.is_catching_up,
            searches=Searches(answers, views.share, config.index), kept=Kept(),
        )  # fmt: skip
        asked = Questions(client)
        of_node = NodeCalls(
            views, lambda: key, info=asked.info, query=asked.query, peer_states=engine.gossip.consensus.peer_states
        )
        of_txs = TxCalls(
            answers, engine.pool, node.commits, EvidenceDesk(engine.evidence, views.reading), reading=views.reading,
            check=asked.check, place=hub.place,
            commit_timeout_ms=options.timeout_broadcast_tx_commit,
        )  # fmt: skip
        table: dict[str, Any] = {**of_chain.table, **of_node.table, **of_txs.table, **hub.table}
        limits = config.rate_limit
        self._door = JsonRpcDoor(
            options, table, node.faults, rate=RateLimit.of(limits), tls=tls,
            share=views.share, reading=views.reading, sockets=Sockets(hub),
        )  # fmt: skip

    async def start(self) -> None:
        """Raises OSError, BadAddress."""
        at = parse_listen_address(self._config.network.rpc_listen_address)
        await self._door.start(at.host, at.port)
        tell_subscribers(self._node.engine.driver, self._hub, self._node.faults)
        self._node.watch(SUBSCRIBERS, self._hub.run)

    async def stop(self) -> None:
        await self._door.stop()
        await self._views.reading.close()
