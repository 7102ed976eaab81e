"""docs/metrics.md, made of the code: `python -m dchat.doors.metrics.page` writes it; a test says when it is stale.

What a metric means is said once, where it is measured: as the text of `gauge`, `counter`, `labelled` or a histogram,
and for plain counters in meanings.py. The page is read off there, without a node; the alerts off
deploy/monitoring/alert-rules.yaml.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector

from dchat.doors.metrics.meanings import MEANINGS

PACKAGE: Final = Path(__file__).parents[2]
PAGE: Final = Path("docs/metrics.md")
RULES: Final = Path("deploy/monitoring/alert-rules.yaml")
MAKERS: Final = {
    "gauge": "gauge", "GaugeMetricFamily": "gauge", "counter": "counter", "CounterMetricFamily": "counter",
    "Histogram": "histogram",
}  # fmt: skip
UNITS: Final = (
    ("_timestamp_seconds", "seconds since 1970"), ("_seconds", "seconds"), ("_bytes", "bytes"), ("_ns", "nanoseconds"),
    ("_ratio", "0 to 1"), ("_days", "days"), ("_per_second", "a second"), ("_stake_amount", "DCHAT"),
    ("_bytes_per_block", "bytes"), ("_height", "height"),
)  # fmt: skip
TITLES: Final = {
    "chain": "The chain", "validator": "This node's validator", "consensus": "Consensus", "upgrade": "Upgrades",
    "network": "Peers", "gossip": "Blocks and votes on their way", "mempool": "Waiting transactions",
    "tx": "Transactions on their way", "block": "Catching up by blocks", "state": "Joining by a snapshot",
    "backfill": "Headers below a snapshot", "snapshots": "Snapshots", "grpc": "The gRPC door", "door": "All doors",
    "rpc": "The JSON-RPC door", "search": "Searches", "sql": "SQL", "disk": "Disk", "database": "Databases",
    "storage": "What is kept", "pruning": "Pruning", "trail": "Memory of how blocks were executed", "backup": "Backups",
    "abci": "Another application (ABCI)", "memory": "Memory", "loop": "The event loop", "gc": "The garbage collector",
    "part": "Parts of the node", "parts": "Parts of the node", "clock": "The clock", "signer": "The signer",
    "process": "The process", "admin": "Administrative calls", "tracing": "Tracing",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Row:
    """name: as it is read, a counter's with `_total`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


def rows() -> list[Row]:
    """Every metric that a node may tell."""
    found = [Row(name, "counter" if name.endswith("_total") else "gauge", (), text) for name, text in MEANINGS.items()]
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "metrics.exposition" in source or "prometheus_client" in source:
            found += _in(ast.parse(source))
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    found += [_read(one.name, one.type, (), one.documentation) for one in registry.collect()]
    return sorted(set(found))


def _in(module: ast.Module) -> Iterator[Row]:
    """Of the calls that make a metric with its name and meaning spelled out."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        maker, given = node.func.id, list(node.args)
        has_labels = maker == "labelled" and bool(given)
        if has_labels and isinstance(kind := given.pop(0), ast.Name):
            maker = kind.id
        texts = [one.value for one in given[:2] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if maker not in MAKERS or len(texts) != 2:
            continue
        labels: tuple[str, ...] = ()
        if has_labels and len(given) > 2:
            labels = tuple(ast.literal_eval(given[2]))
        yield _read(texts[0], MAKERS[maker], labels, texts[1])


def _read(name: str, kind: str, labels: tuple[str, ...], text: str) -> Row:
    return Row(f"{name.removesuffix('_total')}_total" if kind == "counter" else name, kind, labels, text)


def alerts(rules: str) -> dict[str, list[str]]:
    """Which alerts look at a metric, by its name."""
    parts = re.split(r"^ +- alert: (\w+)$", rules, flags=re.MULTILINE)
    found: dict[str, list[str]] = {}
    for alert, text in zip(parts[1::2], parts[2::2], strict=True):
        expression = re.search(r"^ +expr: (.*?)^ +(?:for|labels):", text, re.MULTILINE | re.DOTALL)
        for name in sorted(set(re.findall(r"\b(?:dchat|process)_[a-z0-9_]+", expression[1] if expression else ""))):
            found.setdefault(name, []).append(alert)
    return found


def unit(row: Row) -> str:
    name = row.name.removesuffix("_total")
    return next((word for ending, word in UNITS if name.endswith(ending)), "")


def page(rules: str) -> str:
    used = alerts(rules)
    lines = [
        "# Metrics",
        "",
        "Made of the code by `python -m dchat.doors.metrics.page`; do not edit.",
        "",
        "A node tells these at `/metrics` of its HTTP door and of its metrics port (`[observability] metrics_port`),",
        "in Prometheus' text format. A counter counts since the start of the process; a histogram has `_bucket`,",
        "`_sum` and `_count`. What is not known, or does not apply, is absent rather than 0. The alerts are those of",
        "`deploy/monitoring/alert-rules.yaml`; what to do about each says [runbooks.md](operators/runbooks.md).",
    ]
    title = ""
    for row in sorted(rows(), key=lambda row: (title_of(row), row)):
        if title_of(row) != title:
            title = title_of(row)
            lines += ["", f"## {title}", "", "| metric | type | labels | unit | meaning | alerts |", "|" + "---|" * 6]
        labels = ", ".join(f"`{label}`" for label in row.labels)
        named = ", ".join(f"[{one}](operators/runbooks.md#{one.lower()})" for one in used.get(row.name, ()))
        lines.append(f"| `{row.name}` | {row.kind} | {labels} | {unit(row)} | {row.text} | {named} |")
    return "\n".join(lines) + "\n"


def title_of(row: Row) -> str:
    first = row.name.removeprefix("dchat_").split("_")[0]
    return TITLES.get(first, "Others")


if __name__ == "__main__":
    PAGE.write_text(page(RULES.read_text(encoding="utf-8")), encoding="utf-8")
