"""A span, and the ids by which spans of different nodes meet though no message between them carries one.

A transaction's trace id is the first 16 bytes of its hash, a height's those of a hash of chain and height; a span's id
is a hash of trace, node and name. So each node knows every other's ids, and whether a trace is sampled is a function of
its id: all nodes with one sample rate keep the same.
Source: OpenTelemetry specification, "TraceState: Probability Sampling" (the last 7 bytes of the id are the randomness).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8
RANDOM_BYTES: Final = 7
_HEIGHT: Final = b"dchat/trace/height\n"
_SPAN: Final = b"dchat/trace/span\n"


class Kind(IntEnum):
    """As OTLP numbers them."""

    INTERNAL = 1
    SERVER = 2
    CONSUMER = 5


@dataclass(slots=True)
class Span:
    """Times are nanoseconds since 1970. error: why it ended badly; empty: it did not. links: ids of other traces'
    spans."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    start_ns: int
    end_ns: int
    kind: Kind = Kind.INTERNAL
    attributes: dict[str, str | int | bool] = field(default_factory=dict)
    error: str = ""
    links: tuple[tuple[bytes, bytes], ...] = ()


def tx_trace(tx_hash: bytes) -> bytes:
    return tx_hash[:TRACE_ID_BYTES]


def height_trace(chain_id: str, height: int) -> bytes:
    return hashlib.sha256(_HEIGHT + f"{chain_id}\n{height}".encode()).digest()[:TRACE_ID_BYTES]


def span_id(trace_id: bytes, node_id: str, name: str) -> bytes:
    """node_id: empty for the span that all nodes' hang from."""
    return hashlib.sha256(_SPAN + trace_id + f"{node_id}\n{name}".encode()).digest()[:SPAN_ID_BYTES]


class Sampler:
    """rate: the share of traces that are kept, 0 to 1."""

    def __init__(self, rate: float) -> None:
        space = 256**RANDOM_BYTES
        least = min(space, max(0, round((1 - rate) * space)))
        self._none = least == space
        self._least = least.to_bytes(RANDOM_BYTES + 1)[1:]

    def keeps(self, trace_id: bytes) -> bool:
        """trace_id: or a hash that begins with it."""
        return trace_id[TRACE_ID_BYTES - RANDOM_BYTES : TRACE_ID_BYTES] >= self._least and not self._none
