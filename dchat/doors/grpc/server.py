"""What gRPC doors have in common: a server with bounds, health and reflection, and the services that it is given.

Registered: what it serves, by path, so that another door can serve the very same functions.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer as AsyncHealthServicer  # published as health.aio
from grpc_reflection.v1alpha import reflection

from consensus.p2p.conn.address import parse_listen_address
from consensus.system.errors import traced
from consensus.system.handed import share_port
from dchat.config.models import GrpcSection
from dchat.doors.certificates import Certificates, Pem
from dchat.doors.grpc.connections import GrpcConnections
from dchat.doors.grpc.guard import Guard, open_calls_max
from dchat.doors.grpc.requests import Look, ReadsRequests
from dchat.doors.reads.limits import RateLimit

STREAMS_PER_CONNECTION_MAX = 4_096  # the library ends what is past it by an error that clients do not understand
LOOKAHEAD_BYTES = 16_384  # of a request that nobody has asked for yet
METADATA_BYTES_MAX = 16_384
HANDSHAKE_MS = 5_000  # who connects and says nothing is left
KEEPALIVE_MS = 60_000

log = structlog.get_logger(__name__)


class Health(AsyncHealthServicer):
    """With `List`, which the package declares and does not answer."""

    async def List(  # noqa: N802, RUF100 - gRPC's name
        self, request: health_pb2.HealthListRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthListResponse:
        """Of the server as a whole, and of each service of its own."""
        kind = health_pb2.HealthCheckResponse
        told = {name: kind(status=status) for name, status in sorted(self._server_status.items())}
        return health_pb2.HealthListResponse(statuses=told)


class Registered:
    """Services are added to it as to a server. methods: `/dchat.v1.TxService/Broadcast` -> its handler.

    The library is given handlers by service, not by method: for each method that it knows by itself a task waits for
    calls, and each call, of whichever, would have it wait for all sixty anew.
    """

    def __init__(self) -> None:
        self._by_service: dict[str, dict[str, Any]] = {}
        self.methods: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Generated code brings the same handlers in both ways: they are taken by the other one."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self._by_service[service] = dict(handlers)
        self.methods |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def serve(self, server: Any) -> None:
        """Add all of them to a server."""
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, handlers) for service, handlers in self._by_service.items()]
        )


class GrpcServer:
    """Services are added to `registered`; `start`, then `stop`."""

    def __init__(
        self,
        options: GrpcSection,
        services: Sequence[str],
        *,
        rate: RateLimit,
        tls: Certificates | None = None,
        connections_max: int | None = None,
        costs: Mapping[str, int] | None = None,
        large: Mapping[str, Look] | None = None,
        is_well: bool = True,
    ) -> None:
        """connections_max: fewer than the option says, where there are too few file handles. costs, large: as of
        ReadsRequests. is_well: what the health service says."""
        self._options, self._services, self._tls = options, tuple(services), tls
        self._costs, self._large, self._is_well = costs or {}, large or {}, is_well
        self._connections_max = connections_max or options.connections_max
        self.connections: GrpcConnections | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self.guard = Guard(options, rate, shut=self._shut)
        self._proxies = rate.proxies
        self._server: grpc.aio.Server | None = None
        self._health = Health()
        self.registered = Registered()
        self.methods = self.registered.methods  # by path, for other doors too, whether this one is opened or not
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.registered)  # type: ignore[no-untyped-call]
        self.port = 0
        self.shares_port = False  # with the process that it takes over from, for as long as both are here

    async def start(self) -> int:
        """Listen; returns the port. Raises OSError when it is taken."""
        address = self._options.listen_address
        if not self.shares_port:
            await _check_free(address)
        server = self._server = self._make_server()
        try:
            if self._tls is not None:
                self.port = server.add_secure_port(address, credentials_of(self._tls))
            else:
                self.port = server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"gRPC cannot listen on {address}: {error}") from None
        await server.start()
        self.connections = GrpcConnections(self.port, self._connections_max, self._proxies)
        self._sweeping = asyncio.create_task(self.connections.run(), name="grpc connections")
        self._sweeping.add_done_callback(_tell_end)
        kind = health_pb2.HealthCheckResponse
        for service in ("", *self._services):
            await self._health.set(service, kind.SERVING if self._is_well else kind.NOT_SERVING)
        is_mutual = self._tls is not None and self._tls.asks_clients
        log.info(
            "opened the gRPC door", address=address, port=self.port, tls=self._tls is not None, clients_named=is_mutual
        )
        return self.port

    def _make_server(self) -> grpc.aio.Server:
        server = grpc.aio.server(
            interceptors=[
                ReadsRequests(self.guard, costs=self._costs, guarded=frozenset(self._services), large=self._large)
            ],
            options=server_options(self._options, self._connections_max, shares_port=self.shares_port),
            maximum_concurrent_rpcs=open_calls_max(self._options),
        )
        self.registered.serve(server)
        if self._options.reflection:
            reflection.enable_server_reflection((*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        return server

    async def leave(self, why: str) -> None:
        """Answer each call that it cannot be answered, until `stop`; the next process may listen here meanwhile."""
        self.guard.leave(why)
        if self._server is not None and not share_port(self.port):
            log.warning("the next process cannot listen for gRPC before this one has ended", port=self.port)
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float = 1.0) -> None:
        """Answer no more, let running calls finish for `grace_s`."""
        await self._health.enter_graceful_shutdown()
        if self._server is not None:
            await self._server.stop(grace_s)
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    def _shut(self, peer: str) -> None:
        if self.connections is not None:
            self.connections.shut(peer)


async def _check_free(address: str) -> None:
    """Try to listen as the library would: it says why it cannot in lines of its own. Raises OSError."""
    at = parse_listen_address(address)
    found = await asyncio.get_running_loop().getaddrinfo(
        at.host, at.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    errors: list[OSError] = []
    for family, kind, proto, _, where in found:
        try:
            with socket.socket(family, kind, proto) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind(where)
                trial.listen(1)
        except OSError as error:
            errors.append(error)
    if len(errors) == len(found):
        raise errors[0]


def credentials_of(tls: Certificates) -> grpc.ServerCredentials:
    """Which the library asks for again at each handshake, in a thread of its own."""
    told: list[Pem] = [tls.pem]

    def configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(pem.key, pem.chain)], pem.client_ca)

    def newest() -> Any:
        """A ServerCertificateConfiguration; None: the one that it has."""
        pem = tls.pem
        if pem is told[0]:
            return None
        told[0] = pem
        return configuration(pem)

    return grpc.dynamic_ssl_server_credentials(configuration(told[0]), newest, tls.asks_clients)


def server_options(options: GrpcSection, connections_max: int, *, shares_port: bool = False) -> list[tuple[str, int]]:
    """What the library is told, so that it holds little before our code has a say: `dchat.doors.grpc.guard`."""
    return [
        ("grpc.max_receive_message_length", options.message_bytes_max),
        ("grpc.max_send_message_length", -1),  # a block of the format's limit must fit
        ("grpc.so_reuseport", int(shares_port)),  # else two nodes on one port are a mistake, not a cluster
        ("grpc.max_allowed_incoming_connections", connections_max),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
        ("grpc.http2.lookahead_bytes", LOOKAHEAD_BYTES),
        ("grpc.http2.bdp_probe", 0),  # it raises what is taken ahead by megabytes
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
        ("grpc.http2.settings_timeout", HANDSHAKE_MS),
        ("grpc.max_connection_idle_ms", options.idle_timeout),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),  # who does not answer a ping is gone
        ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
    ]


def _tell_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("connections of the gRPC door are not counted any more", exc_info=traced(error))
