"""Where a collector is, as the option says it: OTLP over gRPC, or as protobuf over HTTP.

`http://HOST:4317` is gRPC, its usual port, as is `grpc://HOST:PORT`; any other is HTTP, to `/v1/traces` where no path
is said. What Jaeger and Zipkin spoke before they had OTLP (ports 14268 and 9411) means the same host's OTLP over HTTP,
on 4318.
Source: OpenTelemetry specification, OTLP Exporter; docs of Jaeger 1.35 and later, which takes OTLP by itself.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from dchat.shown.text import value_without_userinfo

GRPC_PORT: Final = 4317
HTTP_PORT: Final = 4318
PATH: Final = "/v1/traces"
SCHEMES: Final = ("http", "https", "grpc", "grpcs")
OLD: Final = {14268: "/api/traces", 9411: "/api/v2/spans"}
ALLOWED: Final = (
    "allowed: like http://10.0.0.9:4317 (OTLP over gRPC) or http://10.0.0.9:4318 (OTLP over HTTP), or https"
)


class Endpoint(NamedTuple):
    """is_grpc: `target` is host:port; else a URL. is_moved: it was an old protocol's, and means OTLP beside it."""

    target: str
    is_grpc: bool
    is_tls: bool
    is_moved: bool = False


def endpoint_of(text: str) -> Endpoint:
    """Raises ValueError."""
    told = repr(value_without_userinfo(text))
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise ValueError(f"{told} is no address of a collector; {ALLOWED}") from None
    if parts.scheme not in SCHEMES or not host or parts.query or "@" in parts.netloc or not text.isprintable():
        raise ValueError(f"{told} is no address of a collector; {ALLOWED}")
    shown = f"[{host}]" if ":" in host else host
    is_tls = parts.scheme in ("https", "grpcs")
    if (port == GRPC_PORT or parts.scheme.startswith("grpc")) and parts.path in ("", "/"):
        return Endpoint(f"{shown}:{port or GRPC_PORT}", is_grpc=True, is_tls=is_tls)
    if parts.scheme.startswith("grpc"):
        raise ValueError(f"{told}: a collector has no path over gRPC; {ALLOWED}")
    if port in OLD and parts.path in ("", "/", OLD[port]):
        return Endpoint(f"{parts.scheme}://{shown}:{HTTP_PORT}{PATH}", is_grpc=False, is_tls=is_tls, is_moved=True)
    path = parts.path if parts.path not in ("", "/") else PATH
    return Endpoint(f"{parts.scheme}://{shown}:{port or HTTP_PORT}{path}", is_grpc=False, is_tls=is_tls)
