"""What is read of running validators beside their doors: stages, ticks of the loop, memory, disk; and the floors."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any, Final

from crypto import native
from crypto.keys import Ed25519PrivKey
from dchat.devnet.live import metrics_of

STAGES: Final = ("proposal_create", "proposal_process", "apply", "commit_wait", "sign", "wal_sync", "block_interval")
COPIES: Final = {
    "part": ("dchat_gossip_parts_received_total", "dchat_gossip_parts_duplicate_total"),
    "transaction": ("dchat_tx_gossip_received_total", "dchat_tx_gossip_duplicates_total"),
}
FLOOR_CHECKS: Final = 2_048
FLOOR_BATCH: Final = 256
FLOOR_RUNS: Final = 5

Sample = dict[str, float]


def floors() -> dict[str, float | None]:
    """Microseconds of one Ed25519 check, alone and in batches, by this thread's CPU clock. None: no batches here."""
    keys = [
        Ed25519PrivKey.from_seed(n.to_bytes(32, "big")) for n in range(FLOOR_BATCH)
    ]  # of one key, a batch is cheaper
    signed = [(keys[n % FLOOR_BATCH], n.to_bytes(32, "big")) for n in range(FLOOR_CHECKS)]
    items = [(key.pub_key, message, key.sign(message)) for key, message in signed]

    def alone() -> bool:
        return all(pub.verify(message, signature) for pub, message, signature in items)

    def batched() -> bool:
        raw = [(pub.bytes, message, signature) for pub, message, signature in items]
        return all(all(native.verify_batch(raw[n : n + FLOOR_BATCH])) for n in range(0, len(raw), FLOOR_BATCH))

    def cost(work: Any) -> float:
        runs = []
        for _ in range(FLOOR_RUNS):
            began = time.thread_time()
            assert work()
            runs.append((time.thread_time() - began) / FLOOR_CHECKS * 1e6)
        return round(statistics.median(runs), 1)

    return {"alone": cost(alone), "batched": cost(batched) if native.is_used() else None}


def sample(addresses: list[str]) -> list[Sample]:
    """The metrics of each node. addresses: of HTTP doors."""
    return [metrics_of(address) for address in addresses]


def _grown(before: list[Sample], after: list[Sample], name: str) -> float:
    return sum(a.get(name, 0.0) - b.get(name, 0.0) for a, b in zip(after, before, strict=True))


def stages(before: list[Sample], after: list[Sample], committed: int) -> dict[str, dict[str, float]]:
    """Of each: milliseconds a run, and microseconds a payment on each validator, by wall time."""
    found = {}
    for stage in STAGES:
        label = f'{{stage="{stage}"}}'
        seconds = _grown(before, after, f"dchat_consensus_stage_seconds_total{label}")
        runs = _grown(before, after, f"dchat_consensus_stage_runs_total{label}")
        found[stage] = {
            "ms_a_run": round(1e3 * seconds / max(1.0, runs), 2),
            "us_a_payment": round(1e6 * seconds / max(1, committed) / len(after), 1),
        }
    return found


def ticks_within_3_ms(before: list[Sample], after: list[Sample]) -> float:
    """The share of the loop's timers that came at most so late."""
    within = _grown(before, after, 'dchat_loop_lag_seconds_bucket{le="0.003"}')
    return round(within / max(1.0, _grown(before, after, "dchat_loop_lag_seconds_count")), 4)


def copies(before: list[Sample], after: list[Sample]) -> dict[str, float | None]:
    """Copies received for each that was new."""
    found: dict[str, float | None] = {}
    for kind, (all_of_them, again) in COPIES.items():
        received, repeated = _grown(before, after, all_of_them), _grown(before, after, again)
        found[kind] = round(received / (received - repeated), 3) if received > repeated else None
    return found


def rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1_024
    return 0


def disk_bytes(folder: Path) -> int:
    """A file that goes while it is looked at counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total
