"""What `dchat doctor` judges: figures of running nodes against the baseline that operators are promised.

Pure, of what the nodes' HTTP doors told. What a node does not tell, or tells in another form, is not known: that is
said, and is no failure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any, Final

from consensus.formats.units import MIB

RPC_P95_MS: Final = 100.0
CALM_S: Final = 3.0
CALM_SLACK: Final = 1.15  # rounds take their time beside the wait
WAITING_TX_S: Final = 1.0
CORE_PERCENT: Final = 50.0
MEMORY_BYTES: Final = 1_200 * 10**6
IOPS: Final = 100.0
PEERS: Final = 3
DISK_FREE_PERCENT: Final = 20.0
CLOCK_S: Final = 10.0
FIGURE_MAX: Final = 1e18  # of a node that tells the truth none comes near
BLOCKS_LEAST: Final = 4  # between which calm intervals are looked for

OK, BAD, UNKNOWN = "pass", "fail", "unknown"


@dataclass(frozen=True)
class Seen:
    """One node. answers: by path. metrics: at the first and at the last look. requests_ms: how long answers took."""

    url: str
    answers: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {})
    window_s: float = 0.0
    requests_ms: Sequence[float] = ()
    iops: float | None = None  # of the whole disk of its home, where that is here
    error: str = ""

    @property
    def name(self) -> str:
        return str(self.status.get("moniker") or self.url)

    @property
    def status(self) -> Mapping[str, Any]:
        return _table(self.answers.get("/status"))

    def gauge(self, name: str) -> float | None:
        return _finite(self.metrics[1].get(name))

    def rate(self, name: str) -> float | None:
        """A second, of a counter."""
        first, last = (one.get(name) for one in self.metrics)
        return None if first is None or last is None or self.window_s <= 0 else _finite((last - first) / self.window_s)


@dataclass(frozen=True)
class Line:
    """verdict: pass, fail or unknown. do: what to do, where it does not pass."""

    check: str
    node: str
    figure: str
    baseline: str
    verdict: str
    do: str = ""


def _line(check: str, node: str, figure: str, baseline: str, *, good: bool, do: str) -> Line:
    return Line(check, node, figure, baseline, OK if good else BAD, "" if good else do)


def lines_of(nodes: Sequence[Seen], *, waiting_tx_s: float | None = None) -> Iterator[Line]:
    """Every line of the baseline, by node. waiting_tx_s: from send to block, where that was tried."""
    for node in nodes:
        if node.error:
            do = "start it, or see with which exit code it ended: docs/operators/runbooks.md#dchatvalidatordown"
            yield Line("answers", node.url, node.error, "answers", BAD, do)
    there = [node for node in nodes if not node.error]
    for node in there:
        yield _ready(node)
        yield _rpc(node)
        yield _pace(node)
        yield _peers(node)
        yield _core(node)
        yield _memory(node)
        yield _io(node)
        yield _disk(node)
        yield _clock(node)
        yield _votes(node)
    if there:
        yield _agree(there, len(nodes))
        yield _waiting(there, waiting_tx_s)
        figure = "not measured: it would load this chain"
        do = "`dchat benchmark validator --transaction-rate 1000` measures it on a network of its own"
        yield Line("capacity", "network", figure, "1000 messages a second", UNKNOWN, do)


def percentile95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _judged(check: str, node: Seen, value: float | None, figure: str, baseline: str, *, good: bool, do: str) -> Line:
    if value is None:
        return Line(check, node.name, "it does not tell", baseline, UNKNOWN, "")
    return _line(check, node.name, figure, baseline, good=good, do=do)


def _ready(node: Seen) -> Line:
    told = _table(node.answers.get("/ready"))
    is_ready = told.get("ready") is True
    reason = str(told.get("reason", "it does not tell"))
    do = "`dchat validator recover` says what it waits for"
    return _line("ready", node.name, "yes" if is_ready else reason, "yes", good=is_ready, do=do)


def _rpc(node: Seen) -> Line:
    value = percentile95(node.requests_ms) if node.requests_ms else None
    figure = "" if value is None else f"p95 {value:.0f} ms of {len(node.requests_ms)}"
    do = "is the machine overloaded (core), or far away? docs/operators/runbooks.md#dchatcpuhigh"
    return _judged("RPC", node, value, figure, f"p95 under {RPC_P95_MS:.0f} ms", good=(value or 0) < RPC_P95_MS, do=do)


def _pace(node: Seen) -> Line:
    """Between blocks without transactions: those wait for block_time."""
    baseline = f"each {CALM_S:g} s when calm"
    calm = calm_intervals(_table(node.answers.get("/chain/blocks")).get("blocks"))
    if len(calm) < BLOCKS_LEAST:
        told = f"{len(calm)} calm blocks among the last: too few to say"
        return Line("blocks", node.name, told, baseline, UNKNOWN, "")
    value = median(calm)
    do = "who votes late or not at all? `dchat validator recover`, and `dchat why` on each validator"
    return _judged("blocks", node, value, f"each {value:.2f} s", baseline, good=value <= CALM_S * CALM_SLACK, do=do)


def calm_intervals(blocks: Any) -> list[float]:
    """Seconds between blocks without transactions that follow each other, of what /chain/blocks tells."""
    if not isinstance(blocks, list):
        return []
    rows = sorted((row for row in blocks if isinstance(row, dict)), key=lambda row: _number(row.get("height")))
    found = []
    for before, after in pairwise(rows):
        times = [_time(row.get("time")) for row in (before, after)]
        is_next = _number(after.get("height")) == _number(before.get("height")) + 1
        if is_next and None not in times and not _txs(after) and not _txs(before):
            found.append((times[1] or 0.0) - (times[0] or 0.0))
    return found


def _txs(row: Mapping[str, Any]) -> float:
    return _number(row.get("num_txs"))


def _finite(value: float | None) -> float | None:
    """None: it is no figure."""
    return value if value is not None and abs(value) < FIGURE_MAX else None


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63
    return float(value) if is_number else -1.0


def _time(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(text)[:26].rstrip("Z") + "+00:00").timestamp()
    except ValueError:
        return None


def _peers(node: Seen) -> Line:
    value = node.gauge("dchat_network_connected_peers")
    validators = node.gauge("dchat_consensus_validators") or 0
    wanted = int(min(PEERS, max(0, validators - 1)))
    do = "docs/operators/runbooks.md#dchatpeerslow"
    return _judged("peers", node, value, f"{value or 0:.0f}", f"{wanted} at least", good=(value or 0) >= wanted, do=do)


def _core(node: Seen) -> Line:
    value = node.rate("process_cpu_seconds_total")
    figure = "" if value is None else f"{100 * value:.0f} % of a core in {node.window_s:.0f} s"
    good = 100 * (value or 0) <= CORE_PERCENT
    do = "docs/operators/runbooks.md#dchatcpuhigh"
    return _judged("core", node, value, figure, f"{CORE_PERCENT:.0f} % at most", good=good, do=do)


def _memory(node: Seen) -> Line:
    value = node.gauge("dchat_memory_usage_bytes")
    do = "docs/operators/runbooks.md#dchatmemoryhigh"
    figure = f"{(value or 0) / MIB:.0f} MiB"
    return _judged("memory", node, value, figure, "1.2 GB at most", good=(value or 0) <= MEMORY_BYTES, do=do)


def _io(node: Seen) -> Line:
    if node.iops is None:
        told = "not measured: its disk is not on this machine"
        return Line("disk, IOPS", node.name, told, "under 100 when calm", UNKNOWN)
    figure = f"{node.iops:.0f} of the whole disk"
    if node.iops < IOPS:
        return Line("disk, IOPS", node.name, figure, "under 100 when calm", OK)
    do = "other programs use the disk too: `pidstat -d` shows who; `dchat why` says whether it costs votes"
    return Line("disk, IOPS", node.name, figure, "under 100 when calm", UNKNOWN, do)


def _disk(node: Seen) -> Line:
    free, size = node.gauge("dchat_disk_free_bytes"), node.gauge("dchat_disk_size_bytes")
    value = None if free is None or not size else 100 * free / size
    do = "docs/operators/runbooks.md#dchatdisklow"
    figure, good = f"{value or 0:.0f} % free", (value or 0) >= DISK_FREE_PERCENT
    return _judged("disk, room", node, value, figure, "20 % free at least", good=good, do=do)


def _clock(node: Seen) -> Line:
    value = node.gauge("dchat_clock_skew_seconds")
    figure = f"{value or 0:+.2f} s from the others"
    do = "docs/operators/runbooks.md#dchatclockskew"
    return _judged("clock", node, value, figure, f"within {CLOCK_S:.0f} s", good=abs(value or 0) <= CLOCK_S, do=do)


def _votes(node: Seen) -> Line:
    """Of the last blocks, as the node itself counts them; a node without a vote has none to miss."""
    if not node.gauge("dchat_validator_voting_power"):
        jailed = bool(node.gauge("dchat_validator_jailed"))
        figure = "jailed" if jailed else "no validator"
        do = "docs/operators/runbooks.md#dchatjailed" if jailed else ""
        return Line("votes", node.name, figure, "in every block", BAD if jailed else UNKNOWN, do)
    missed = node.rate("dchat_validator_missed_blocks_total")
    count = round((missed or 0) * node.window_s)
    do = "`dchat why` there says why"
    return _judged("votes", node, missed, f"missed {count} in {node.window_s:.0f} s", "missed 0", good=not count, do=do)


def _agree(nodes: Sequence[Seen], asked: int) -> Line:
    """Of those that answer: on the highest block that all tell."""
    if len(nodes) == 1:
        figure = f"one node {'asked' if asked == 1 else 'answers'}: nothing to compare"
        return Line("agreement", "network", figure, "all alike", UNKNOWN, "name more: --url again, or --network")
    blocks = [_hashes(node) for node in nodes]
    common = set.intersection(*(set(one) for one in blocks)) if blocks else set()
    baseline = f"{len(nodes)} of {len(nodes)}"
    if not common:
        return Line("agreement", "network", "no height that all tell", baseline, UNKNOWN, "ask again in some seconds")
    height = max(common)
    told = [one[height] for one in blocks]
    most = max(told.count(value) for value in told)
    do = "docs/operators/runbooks.md#dchatapphashmismatch"
    figure = f"{most} of {len(nodes)} at height {height:.0f}"
    return _line("agreement", "network", figure, baseline, good=most == len(nodes), do=do)


def _hashes(node: Seen) -> dict[float, tuple[str, str]]:
    rows = _table(node.answers.get("/chain/blocks")).get("blocks")
    rows = rows if isinstance(rows, list) else []
    return {
        _number(row.get("height")): (str(row.get("hash")), str(row.get("app_hash")))
        for row in rows
        if isinstance(row, dict)
    }


def _waiting(nodes: Sequence[Seen], seconds: float | None) -> Line:
    baseline = f"in a block within {WAITING_TX_S:g} s"
    if seconds is None:
        do = "--from IDENTITY times a payment of one udchat to a validator's operator, and pays its fee"
        return Line("a waiting transaction", "network", "not measured", baseline, UNKNOWN, do)
    do = "is a height late (`dchat validator recover`)? what do validators wait for ([consensus] gather_wait)?"
    good = seconds <= WAITING_TX_S
    return _line("a waiting transaction", "network", f"{seconds:.2f} s", baseline, good=good, do=do)
