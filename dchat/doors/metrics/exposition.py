"""Prometheus metrics, collected from the rooms' plain counters at the moment of a scrape.

Names of the operator contract first, then our own. Nothing is counted twice and nothing here is on a hot path, but
for the histogram of block times, which hears of each saved block.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from consensus.system.log_limit import LogLimit
from dchat.doors.metrics.meanings import MEANINGS

BLOCK_TIME_BUCKETS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 2.7, 3, 3.3, 4, 5, 10, 30)
FAMILIES_A_PART = 50
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_limited = LogLimit(structlog.get_logger(__name__), source_name="source")

Sample = tuple[tuple[str, ...], float]


def memory_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE_BYTES


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def labelled(kind: type[Metric], name: str, text: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> Metric:
    family = kind(name, text, labels=labels)  # type: ignore[call-arg]
    for values, value in samples:
        family.add_metric(values, value)  # type: ignore[attr-defined]
    return family


class _Families(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


class Registry:
    """Sources are asked at each scrape; each yields metric families."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._sources: list[Callable[[], Iterator[Metric]]] = []
        self._failures = 0
        self.block_time = Histogram(
            "dchat_validator_block_time_seconds",
            "Time between two blocks, by this node's clock.",
            buckets=BLOCK_TIME_BUCKETS_S,
            registry=self._registry,
        )
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    @property
    def prometheus(self) -> CollectorRegistry:
        """For instruments that keep a distribution."""
        return self._registry

    def add(self, source: Callable[[], Iterator[Metric]]) -> None:
        self._sources.append(source)

    def collect(self) -> Iterator[Metric]:
        """Of all sources; one that fails takes none of the others' away."""
        for source in self._sources:
            try:
                yield from list(source())
            except Exception as error:
                self._failures += 1
                _limited.error("a source of metrics failed; the page lacks it", source.__qualname__, error=repr(error))
        yield counter("dchat_metrics_sources_failed", "Sources that failed while metrics were read.", self._failures)

    def parts(self) -> Iterator[bytes]:
        """The page: all is read at once, before the first part; each part takes a part of a millisecond to write."""
        families = list(self._registry.collect())
        for start in range(0, len(families), FAMILIES_A_PART):
            yield generate_latest(_Families(families[start : start + FAMILIES_A_PART]))

    def render(self) -> tuple[bytes, str]:
        """The page and its content type."""
        return b"".join(self.parts()), CONTENT_TYPE_LATEST


def plain_counters(prefix: str, text: str, counted: Any, *, gauges: frozenset[str] = frozenset()) -> Iterator[Metric]:
    """Every plain number of a dataclass of counters, as `PREFIX_FIELD_total` (gauges: without total). What each means
    says meanings.py; text: what is said of one that is not there."""
    assert is_dataclass(counted)
    for field in fields(counted):
        value = getattr(counted, field.name)
        if isinstance(value, bool | int | float) and not field.name.startswith("_"):
            make, ending = (gauge, "") if field.name in gauges else (counter, "_total")
            name = f"{prefix}_{field.name}"
            meaning = MEANINGS.get(name + ending) or f"{text}: {field.name.replace('_', ' ')}."
            yield make(name, meaning, float(value))
