"""Options of what watches and administers a node that runs: [api] and [tracing]."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from dchat.config.endpoint import endpoint_of
from dchat.config.options import Section, option


class ApiSection(Section):
    """Who may administer this node while it runs (docs/operators/administer.md). Whoever owns the home does, through
    run/admin.sock; over the HTTP door an API key is needed."""

    admin_keys_file: str = option(
        "config/admin_keys.json",
        "Hashes of the API keys that administer over HTTP, mode 0600; `dchat admin add-key` writes it, and a change "
        "counts from the next call on. Relative to home. Where it is not there, nobody does over HTTP.",
    )


class TracingSection(Section):
    """OpenTelemetry: ways of transactions and steps of heights, sent to a collector by OTLP (docs/tracing.md)."""

    enabled: bool = option(False, "Send spans.")
    exporter: Literal["otlp", "jaeger", "zipkin"] = option(
        "otlp", "otlp; jaeger and zipkin mean OTLP to such a collector, too."
    )
    endpoint: str = option(
        "http://127.0.0.1:4317",
        "The collector: http://HOST:4317 and grpc://HOST:PORT are OTLP over gRPC, other ports of http OTLP over HTTP, "
        "at /v1/traces where no path is said; https and grpcs with TLS. 14268 (Jaeger) and 9411 (Zipkin) mean the same "
        "host's 4318.",
        max_length=512,
    )
    service_name: str = option("dchat-validator", "Name of this process there.", min_length=1, max_length=100)
    sample_rate: float = option(
        0.1,
        "Share of transactions and of heights that are traced, by their ids: nodes with one rate trace the same.",
        ge=0,
        le=1,
    )

    @field_validator("endpoint")
    @classmethod
    def _of_a_collector(cls, value: str) -> str:
        endpoint_of(value)
        return value
