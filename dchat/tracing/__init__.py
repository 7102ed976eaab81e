"""OpenTelemetry: a transaction's way and a height's steps as spans, sent to a collector by OTLP (docs/tracing.md).

Not imported by a node that does not trace."""

__all__ = ["export", "on_node", "spans", "tracer"]
