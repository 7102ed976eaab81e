"""What a gRPC server serves, by path: so that another door can serve the very same functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Registered:
    """Services are added to it as to a server. methods: `/dchat.v1.TxService/Broadcast` -> its handler."""

    def __init__(self) -> None:
        self._handlers: list[Any] = []
        self._by_service: dict[str, Mapping[str, Any]] = {}
        self.methods: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self._by_service[service] = handlers
        self.methods |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def serve(self, server: Any) -> None:
        """Add all of them to a server."""
        server.add_generic_rpc_handlers(self._handlers)
        for service, handlers in self._by_service.items():
            server.add_registered_method_handlers(service, handlers)
