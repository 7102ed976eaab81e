"""The doors of a node while it joins by a snapshot: how far it is, and nothing else.

HTTP, metrics and gRPC at the addresses of the node, with their limits: /health, /ready, /status, /peers, /metrics and
GetStatus tell the progress; whatever else is asked is told to come later (503, UNAVAILABLE). They close before the node
opens its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn, Protocol

import grpc
from aiohttp import web
from google.protobuf import descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from prometheus_client.core import Metric

from consensus.formats.units import NS_PER_S
from consensus.p2p.switch import Switch
from consensus.statesync.progress import WORDS, Progress
from consensus.statesync.syncer import StateSyncMetrics
from consensus.system.tasks import Faults
from dchat.config import Config
from dchat.doors.certificates import DoorCertificates
from dchat.doors.grpc.door import SERVICES
from dchat.doors.grpc.server import GrpcServer
from dchat.doors.http.listener import Answer, HttpListener, answer_of
from dchat.doors.http.views import Me, peer_json
from dchat.doors.metrics.exposition import Registry, gauge, memory_bytes, plain_counters
from dchat.doors.reads import handles
from dchat.doors.reads.errors import NotServing
from dchat.doors.reads.limits import RateLimit
from dchat.home.home import Home
from dchat.home.version import build_version
from proto.dchat.v1 import service_pb2 as pb

GAUGES = frozenset({"stage", "height", "chunks", "chunks_applied", "chunks_resumed"})
Listening = Callable[[str, str, str], AbstractContextManager[None]]  # what, at which address, by which option
STEP = "joining"  # in place of a step of consensus


class Told(Protocol):
    """What doors tell that serve nothing of this chain's state."""

    @property
    def faults(self) -> Faults: ...
    @property
    def is_ready(self) -> bool: ...
    def health(self) -> dict[str, Any]: ...
    def ready(self) -> dict[str, Any]: ...
    def peers(self) -> dict[str, Any]: ...
    def status(self) -> dict[str, Any]: ...
    def status_proto(self) -> pb.GetStatusResponse: ...
    def later(self) -> NotServing:
        """Why whatever else is asked is not answered."""
        ...

    def collect(self) -> Iterator[Metric]: ...


@dataclass(kw_only=True)
class JoinViews:
    """What is told. progress, metrics: of the state sync, once it has begun."""

    me: Me
    switch: Switch
    progress: Callable[[], Progress] = Progress
    metrics: Callable[[], StateSyncMetrics] = StateSyncMetrics
    faults: Faults = field(default_factory=Faults)
    is_ready: bool = False

    @property
    def uptime_s(self) -> int:
        return (time.monotonic_ns() - self.me.started_monotonic_ns) // NS_PER_S

    def health(self) -> dict[str, Any]:
        """Alive. Whether it gets on is told by /ready."""
        return {
            "status": "ok", "version": build_version(), "timestamp": int(time.time()), "height": 0,
            "height_age_seconds": self.uptime_s, "state_sync": progress_json(self.progress()),
        }  # fmt: skip

    def ready(self) -> dict[str, Any]:
        told = self.progress()
        return {
            "ready": False, "connected_peers": len(self.switch.peers), "reason": told.sentence,
            "state_sync": progress_json(told),
        }  # fmt: skip

    def peers(self) -> dict[str, Any]:
        peers = [peer_json(peer) for peer in self.switch.peer_statuses()]
        return {"peer_count": len(peers), "peers": peers}

    def status(self) -> dict[str, Any]:
        """The keys that a running node tells and that say something of one without blocks, in their order."""
        told, me = self.progress(), self.me
        return {
            "version": build_version(), "chain_id": me.chain_id, "moniker": me.moniker, "node_id": me.node_id,
            "validator_address": me.validator_address.hex().upper(), "voting_power": 0, "latest_block_height": 0,
            "latest_block_hash": "", "latest_block_time": None, "latest_app_hash": "", "catching_up": True,
            "sync_progress": 0.0, **self.peers(), "mempool_size": 0, "queue_size": 0, "committed_transactions": 0,
            "uptime_seconds": self.uptime_s, "earliest_block_height": 0, "consensus_height": 0, "consensus_round": 0,
            "consensus_step": STEP, "state_sync": progress_json(told),
        }  # fmt: skip

    def status_proto(self) -> pb.GetStatusResponse:
        me, told = self.me, self.progress()
        return pb.GetStatusResponse(
            version=build_version(), chain_id=me.chain_id, moniker=me.moniker, node_id=me.node_id,
            validator_address=me.validator_address, catching_up=True, peer_count=len(self.switch.peers),
            uptime_seconds=self.uptime_s, consensus_step=STEP,
            state_sync=pb.StateSyncStatus(
                phase=WORDS[told.stage], snapshot_height=told.height, chunks=told.chunks,
                chunks_applied=told.chunks_applied, bytes_fetched=told.bytes_fetched,
                bytes_per_second=told.bytes_per_s, peers=told.peers, waits_for=told.waits_for,
            ),
        )  # fmt: skip

    def later(self) -> NotServing:
        return NotServing(f"this node joins by a snapshot and serves nothing yet: {self.progress().sentence}")

    def collect(self) -> Iterator[Metric]:
        told = self.progress()
        yield from plain_counters("dchat_state_sync", "State sync", self.metrics(), gauges=GAUGES)
        yield gauge(
            "dchat_state_sync_bytes_per_second", "Bytes a second of chunks that came, lately.", told.bytes_per_s
        )
        yield gauge("dchat_state_sync_peers", "Peers that have the snapshot at hand.", told.peers)
        yield gauge("dchat_state_sync_waits", "1 while it waits for something; /ready says what.", bool(told.waits_for))
        yield gauge("dchat_network_connected_peers", "Peers that are connected.", len(self.switch.peers))
        yield gauge("dchat_memory_usage_bytes", "Resident memory of the process.", memory_bytes())


def progress_json(told: Progress) -> dict[str, Any]:
    figures = asdict(told)
    del figures["stage"]
    return {"phase": WORDS[told.stage], "snapshot_height": figures.pop("height"), **figures}


class JoinDoors:
    """`start` opens all or none; `stop` closes what is open."""

    def __init__(self, home: Home, config: Config, views: Told) -> None:
        self._config, self._views = config, views
        rate = RateLimit.of(config.rate_limit)
        share = handles.share_out(config, handles.raise_limit())
        registry = Registry()
        registry.add(views.collect)
        tls = DoorCertificates.of(home.root, config)
        self._metrics_tls = tls.metrics
        self._http = HttpListener(config.http, registry, views.faults, rate=rate, tls=tls.http, handles=share)
        self._grpc: GrpcServer | None = None
        if config.grpc.enabled:
            self._grpc = GrpcServer(
                config.grpc, SERVICES, rate=rate, connections_max=share.grpc, is_well=False,
                tls=tls.grpc,
            )  # fmt: skip
            for service in SERVICES:
                self._grpc.registered.add_registered_method_handlers(service, self._methods(service))

    async def start(self, listening: Listening) -> None:
        """listening: around each, turns an OSError into what is told. Raises what that raises."""
        options, http, views = self._config.observability, self._config.http, self._views
        plain: dict[str, Answer] = {
            "/health": lambda _: answer_of(True, views.health()),
            "/ready": lambda _: answer_of(views.is_ready, views.ready()),
            "/status": lambda _: web.json_response(views.status()),
            "/peers": lambda _: web.json_response(views.peers()),
            "/metrics": self._http.metrics,
        }
        routes = {("GET", path): answer for path, answer in plain.items()}
        routes |= {(verb, "/{path:.*}"): self._later for verb in ("GET", "POST")}
        try:
            if self._grpc is not None:
                with listening("gRPC", self._config.grpc.listen_address, "[grpc] listen_address"):
                    await self._grpc.start()
            with listening("HTTP", f"{http.host}:{options.health_port}", "[observability] health_port, [http] host"):
                await self._http.open(routes, http.host, options.health_port)
            if options.metrics_enabled:
                at = f"{options.metrics_host}:{options.metrics_port}"
                with listening("metrics", at, "[observability] metrics_port, metrics_host"):
                    await self._http.start_metrics(options.metrics_host, options.metrics_port, tls=self._metrics_tls)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await self._http.stop()
        if self._grpc is not None:
            await self._grpc.stop(0.2)

    def _later(self, _: web.Request) -> NoReturn:
        raise self._views.later()

    def _methods(self, service: str) -> dict[str, Any]:
        """Each of a service's methods, as the schema has them."""
        described = descriptor_pool.Default().FindServiceByName(service)
        return {one.name: self._method(f"/{service}/{one.name}", one) for one in described.methods}

    def _method(self, path: str, described: Any) -> Any:
        async def answer(request: Any, context: Any) -> Any:
            assert self._grpc is not None
            return await self._grpc.guard.call(context, lambda: self._answer(path))

        async def stream(request: Any, context: Any) -> Any:
            await answer(request, context)
            yield

        read = GetMessageClass(described.input_type).FromString
        write = GetMessageClass(described.output_type).SerializeToString
        make = (
            grpc.unary_stream_rpc_method_handler if described.server_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(stream if described.server_streaming else answer, read, write)

    async def _answer(self, path: str) -> pb.GetStatusResponse | pb.GetUpgradeResponse:
        match path:
            case "/dchat.v1.ChainService/GetStatus":
                return self._views.status_proto()
            case "/dchat.v1.StateService/GetUpgrade":  # `dchat status` asks for it, too
                return pb.GetUpgradeResponse(software=build_version())
        raise self._views.later()
