"""All doors of a node: gRPC, HTTP, JSON-RPC and the metrics port, with what they share."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from consensus.abci.interface import CheckTxResponse, InfoRequest, InfoResponse, QueryRequest, QueryResponse
from consensus.documents.genesis import GenesisDoc
from consensus.engine.skew import ClockSkew
from consensus.evidence.pool import EvidencePool
from consensus.formats.units import MIB
from consensus.mempool.journal import Journal
from consensus.node.commit_watch import CommitWatch
from consensus.node.gossip import Gossip
from consensus.p2p.addrbook import AddressBook
from consensus.p2p.conn.address import parse_listen_address
from consensus.system.handed import Handed
from crypto.keys import PubKey
from dchat.app.app import DchatApplication
from dchat.audit.trail import FILE_NAME, Trail
from dchat.autopsy.own import OwnTrails
from dchat.backups.keeper import Keeper
from dchat.config import Config
from dchat.doors.admin.desk import AdminDesk
from dchat.doors.admin.keys import AdminKeys
from dchat.doors.admin.peers import AdminPeers
from dchat.doors.admin.unix_door import UnixDoor
from dchat.doors.certificates import Certificates, DoorCertificates
from dchat.doors.evidence_desk import EvidenceDesk
from dchat.doors.grpc.door import COSTS, SERVICES, GrpcDoor
from dchat.doors.http.described import described
from dchat.doors.http.door import HttpDoor
from dchat.doors.http.views import Views
from dchat.doors.jsonrpc.chain_calls import ChainCalls
from dchat.doors.jsonrpc.door import JsonRpcDoor
from dchat.doors.jsonrpc.hub import Hub
from dchat.doors.jsonrpc.node_calls import NodeCalls
from dchat.doors.jsonrpc.table import Kept
from dchat.doors.jsonrpc.tx_calls import TxCalls
from dchat.doors.jsonrpc.websocket import Sockets
from dchat.doors.metrics.exposition import Registry, plain_counters
from dchat.doors.metrics.loop_lag import LoopLag
from dchat.doors.reads import handles
from dchat.doors.reads.event_feed import EventFeed
from dchat.doors.reads.limits import RateLimit
from dchat.doors.reads.search import Searches
from dchat.doors.rest.calls import Calls, Served
from dchat.home.home import Home
from dchat.home.version import build_version
from dchat.node.errors import CannotListen
from dchat.node.node_metrics import (
    BlockEvents,
    NodeMetrics,
    admin_metrics,
    backup_metrics,
    clock_metrics,
    rpc_metrics,
    state_metrics,
    storage_metrics,
    tracing_metrics,
    trail_metrics,
    why_metrics,
)
from dchat.retention.retention import Retention
from dchat.sql import on_node
from dchat.sql.feed import SqlFeed
from dchat.why.desk import WhyDesk
from proto.dchat.v1 import service_pb2 as pb

if TYPE_CHECKING:  # a node that does not trace never imports it
    from dchat.tracing.on_node import Tracing

log = structlog.get_logger(__name__)

WHY_NOT: Final = {
    errno.EADDRINUSE: "the port is in use, perhaps by another node: stop that program, or choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address: choose one of its own",
    errno.EACCES: "this user may not: ports below 1024 need a privilege; choose another port",
}


@contextlib.contextmanager
def listening(what: str, at: str, option: str) -> Iterator[None]:
    """Raises CannotListen in place of an OSError."""
    try:
        yield
    except OSError as error:
        why = WHY_NOT.get(error.errno or 0) or error.strerror or str(error)
        raise CannotListen(f"cannot listen for {what} at {at}: {why} ({option})") from None


def backfill_status(gossip: Gossip) -> pb.BackfillStatus | None:
    """None: no headers below a restored state are being fetched."""
    told = gossip.backfill.metrics
    if not told.wanted:
        return None
    return pb.BackfillStatus(
        lowest_height=told.lowest, wanted_height=told.wanted, headers=told.headers,
        waits_for=gossip.backfill.waits_for,
    )  # fmt: skip


class Chain(NamedTuple):
    """What the JSON-RPC door tells beside what all doors tell. pub_key: this validator's."""

    genesis: GenesisDoc
    pub_key: Callable[[], PubKey]
    app: DchatApplication


class Doors:
    """`start` opens all or none; `stop` closes what is open."""

    def __init__(
        self, home: Home, config: Config, views: Views, *, watch: CommitWatch, gossip: Gossip, journal: Journal,
        evidence: EvidencePool, block_events: BlockEvents, retention: Retention, trails: OwnTrails,
        skew: ClockSkew, feed: SqlFeed | None, keeper: Keeper | None, chain: Chain, why: WhyDesk,
        book: AddressBook, tracing: Tracing | None,
    ) -> None:  # fmt: skip
        self._config, self._views, self.trails = config, views, trails
        self.rate = rate = RateLimit.of(config.rate_limit)
        registry = self.registry = Registry()
        share = handles.share_out(config, found := handles.raise_limit())
        log.info("shared out file handles", handles=found, **share._asdict())
        events = EventFeed(views.answers, watch, views.share)
        desk = EvidenceDesk(evidence, views.reading)
        self._searches = Searches(views.answers, views.share, config.index)
        tls = DoorCertificates.of(home.root, config)
        grpc = GrpcDoor(
            config.grpc,
            rate=rate,
            answers=views.answers,
            pool=views.pool,
            watch=watch,
            events=events,
            evidence=desk,
            journal=journal,
            status=views.status_proto,
            upgrade=views.upgrade_proto,
            trails=trails,
            searches=self._searches,
            tls=tls.grpc,
            connections_max=share.grpc,
            reading=views.reading,
        )
        self.grpc = grpc if config.grpc.enabled else None  # else only its functions are there, for HTTP
        served = Served(grpc.methods, SERVICES, COSTS, grpc.guard.requests, grpc.guard.answers)
        calls = Calls(served, rate, views.reading, version=build_version(), described=described())
        self._metrics_tls = tls.metrics
        keys = AdminKeys(home.root / Path(config.api.admin_keys_file).expanduser())
        self.admin = AdminDesk(Trail(home.root / FILE_NAME), keys, AdminPeers(views.switch, book))
        self.admin_socket = UnixDoor(home.admin_socket, self.admin)
        self.http = HttpDoor(
            config.http, views, events, registry, rate=rate, tls=tls.http, handles=share, calls=calls, why=why,
            more=self.admin.handlers(), more_costs=self.admin.costs,
        )  # fmt: skip
        self.hub = Hub(
            views.answers, events, watch, views.reading, clients_max=config.rpc.max_subscription_clients,
            each_max=config.rpc.max_subscriptions_per_client, buffer_max=config.rpc.subscription_buffer_size,
        )  # fmt: skip
        self.sockets = Sockets(self.hub)
        self.kept = Kept()
        self.rpc: JsonRpcDoor | None = None
        if config.network.rpc_listen_address:
            self.rpc = self._rpc_door(chain, watch, desk, gossip, tls=tls.rpc, connections_max=share.rpc)
            registry.add(partial(rpc_metrics, self.rpc, self.hub, self.sockets, self.kept))
        self.metrics = NodeMetrics(registry, views, gossip, self, block_events=block_events)
        registry.add(partial(storage_metrics, retention, config.database.min_free * MIB))
        registry.add(partial(clock_metrics, skew))
        registry.add(partial(trail_metrics, trails))
        registry.add(partial(state_metrics, chain.app.stores))
        registry.add(partial(why_metrics, why))
        registry.add(partial(admin_metrics, self.admin))
        registry.add(partial(on_node.metrics_of, feed))
        registry.add(partial(plain_counters, "dchat_search", "Searches by events", self._searches.metrics))
        if keeper is not None:
            registry.add(partial(backup_metrics, keeper))
        self.tracing = tracing
        if tracing is not None:
            registry.add(partial(tracing_metrics, tracing))
        self.lag = LoopLag(registry)

    def _rpc_door(
        self, chain: Chain, watch: CommitWatch, desk: EvidenceDesk, gossip: Gossip, *, tls: Certificates | None,
        connections_max: int,
    ) -> JsonRpcDoor:  # fmt: skip
        """The door and its methods: a room of calls each has a table."""
        views, options = self._views, self._config.rpc
        of_chain = ChainCalls(
            views.answers, chain.genesis, reading=views.reading, share=views.share, searches=self._searches,
            is_catching_up=views.is_catching_up, kept=self.kept,
        )  # fmt: skip
        app = chain.app

        async def info(request: InfoRequest, client: str) -> InfoResponse:
            return app.info(request)

        async def query(request: QueryRequest, client: str) -> QueryResponse:
            return await views.reading.run(lambda: app.query(request), client)

        async def check(tx: bytes, client: str) -> CheckTxResponse:
            return app.try_tx(tx)

        of_node = NodeCalls(views, chain.pub_key, info=info, query=query, peer_states=gossip.consensus.peer_states)
        of_txs = TxCalls(
            views.answers, views.pool, watch, desk, reading=views.reading, check=check,
            place=self.hub.place, commit_timeout_ms=options.timeout_broadcast_tx_commit,
        )  # fmt: skip
        table = {**of_chain.table, **of_node.table, **of_txs.table, **self.hub.table}
        return JsonRpcDoor(
            options, table, views.faults, rate=self.rate, tls=tls, share=views.share, reading=views.reading,
            connections_max=connections_max, sockets=self.sockets,
        )  # fmt: skip

    async def start(self) -> None:
        """Raises CannotListen."""
        options, http = self._config.observability, self._config.http
        try:
            if self.grpc is not None:
                with listening("gRPC", self._config.grpc.listen_address, "[grpc] listen_address"):
                    await self.grpc.start()
            with listening("HTTP", f"{http.host}:{options.health_port}", "[observability] health_port, [http] host"):
                await self.http.start(http.host, options.health_port)
            if self.rpc is not None:
                text = self._config.network.rpc_listen_address
                with listening("JSON-RPC", text, "[network] rpc_listen_address"):
                    at_rpc = parse_listen_address(text)
                    await self.rpc.start(at_rpc.host, at_rpc.port)
            await self.admin_socket.start()
            if options.metrics_enabled:
                at = f"{options.metrics_host}:{options.metrics_port}"
                with listening("metrics", at, "[observability] metrics_port, metrics_host"):
                    await self.http.start_metrics(options.metrics_host, options.metrics_port, tls=self._metrics_tls)
        except BaseException:
            await self.stop()
            raise

    def take_from(self, handed: Handed) -> None:
        """Before `start`: listen where the process before this one does."""
        self.http.gate.handed = self.http.metrics_gate.handed = handed
        if self.rpc is not None:
            self.rpc.gate.handed = handed
        if self.grpc is not None:
            self.grpc.shares_port = True

    async def leave(self, why: str) -> None:
        """Nothing is answered, and nothing read, from here on: the databases may be closed. Who asks for gRPC is told
        why until `stop`; who asks for the others waits for whoever has their sockets."""
        leaving = [self.http.leave(why), self.admin_socket.stop()]
        if self.rpc is not None:
            leaving.append(self.rpc.leave(why))
        if self.grpc is not None:
            leaving.append(self.grpc.leave(why))
        await asyncio.gather(*leaving)
        await self._views.reading.close()

    async def stop(self) -> None:
        """All at once: none waits for another's clients."""
        closing = [self.http.stop(), self.admin_socket.stop()]
        if self.rpc is not None:
            closing.append(self.rpc.stop())
        if self.grpc is not None:
            closing.append(self.grpc.stop())
        await asyncio.gather(*closing)
        await self._views.reading.close()
