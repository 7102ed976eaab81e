"""Options of what watches and administers a node that runs: [api] and [tracing]."""

from __future__ import annotations

from typing import Literal

from dchat.config.options import Section, option


class ApiSection(Section):
    """Who may administer this node while it runs (docs/operators/administer.md). Whoever owns the home does, through
    data/admin.sock; over the HTTP door an API key is needed."""

    admin_keys_file: str = option(
        "config/admin_keys.json",
        "Hashes of the API keys that administer over HTTP, mode 0600; `dchat admin add-key` writes it, and a change "
        "counts from the next call on. Relative to home. Where it is not there, nobody does over HTTP.",
    )


class TracingSection(Section):
    """OpenTelemetry. Accepted; this build does not trace."""

    enabled: bool = option(False, "Send spans.", scope="later")
    exporter: Literal["otlp", "jaeger", "zipkin"] = option(
        "otlp", "otlp; jaeger and zipkin mean OTLP to such a collector.", scope="later"
    )
    endpoint: str = option("http://127.0.0.1:4317", "The collector.", scope="later")
    service_name: str = option("dchat-validator", "Name of this process there.", scope="later")
    sample_rate: float = option(0.1, "Share of blocks traced.", scope="later", ge=0, le=1)
