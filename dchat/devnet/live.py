"""What running validators do with a load: rates, latencies, CPU seconds by process, intervals of blocks, the floor.

Everything is seen from outside: through the doors, and in /proc. Quote ratios to the floor: machines differ, and are
shared.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from crypto.keys import Ed25519PrivKey
from dchat.client.client import Client
from dchat.client.wallet import Session
from dchat.devnet.load import Commits, Sender, Sent, make_payments, send_all

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
FLOOR_RUNS = 5
COMMIT_TIMEOUT_S = 60.0  # after the last was sent


def floor_us(checks: int = 2_000) -> float:
    """Microseconds of one Ed25519 verification by itself, one thread. Only batches of the native part cost less."""
    key = Ed25519PrivKey.from_seed(bytes(32))
    items = [(key.pub_key, n.to_bytes(32, "big"), key.sign(n.to_bytes(32, "big"))) for n in range(checks)]
    runs = []
    for _ in range(FLOOR_RUNS):
        started = time.thread_time()
        assert all(key.verify(message, signature) for key, message, signature in items)
        runs.append((time.thread_time() - started) / checks * 1e6)
    return statistics.median(runs)


def cpu_s(pid: int) -> float:
    """User and system seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def metrics_of(address: str) -> dict[str, float]:
    """What a node's HTTP door (host:port) says at /metrics: by name, labels summed, and by name with labels."""
    found: dict[str, float] = {}
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if match := re.match(r"(dchat_\w+)(\{[^}]*\})? (\S+)$", line):
                name, labels, value = match[1], match[2], float(match[3])
                found[name] = found.get(name, 0.0) + value
                if labels:
                    found[name + labels] = value
    return found


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


@dataclass
class Load:
    """One measured load."""

    committed: int
    seconds: float
    latencies: list[float]
    cpu: dict[str, float]  # process -> CPU seconds during it
    blocks: list[tuple[float, int]]  # (when, transactions) of those with transactions
    retries: int
    refused: dict[str, int]
    lost: int

    def intervals(self) -> dict[str, float]:
        """Of blocks that follow one another, while there was load."""
        gaps = [after - before for (before, _), (after, _) in pairwise(self.blocks)]
        return {
            "median": round(quantile(gaps, 0.5), 3),
            "p95": round(quantile(gaps, 0.95), 3),
            "max": round(max(gaps, default=float("nan")), 3),
        }

    def row(self) -> dict[str, Any]:
        return {
            "committed": self.committed,
            "seconds": round(self.seconds, 2),
            "per_second": round(self.committed / self.seconds, 1),
            "p50_s": round(quantile(self.latencies, 0.5), 3),
            "p95_s": round(quantile(self.latencies, 0.95), 3),
            "blocks": len(self.blocks),
            "block_interval_s": self.intervals(),
            "block_txs_max": max((txs for _, txs in self.blocks), default=0),
            "cpu_us_per_tx": {name: round(1e6 * used / max(1, self.committed)) for name, used in self.cpu.items()},
            "told_to_try_later": self.retries,
            "refused": self.refused,
            "admitted_but_not_committed": self.lost,
        }


async def empty_interval(address: str, seconds: float) -> dict[str, Any]:
    """Seconds between blocks as one node's stream shows them, while nothing is sent."""
    async with Client(address) as client:
        commits = Commits(client)
        follower = asyncio.create_task(commits.follow())
        await asyncio.sleep(seconds)
        follower.cancel()
    gaps = [b[0] - a[0] for a, b in pairwise(commits.blocks)]
    return {
        "blocks": len(gaps),
        "mean_ms": round(1e3 * sum(gaps) / max(1, len(gaps)), 1),
        "median_ms": round(1e3 * quantile(gaps, 0.5), 1),
        "p95_ms": round(1e3 * quantile(gaps, 0.95), 1),
    }


async def run_load(
    addresses: Sequence[str], senders: list[Sender], count: int, *, rate: float, pids: dict[str, int]
) -> Load:
    """Send `count` payments through all doors; each sender stays with one door, so that its order holds.

    addresses: gRPC, host:port. rate: a second, over all doors; 0: as fast as they are taken.
    """
    clients = [Client(address) for address in addresses]
    try:
        facts = await Session(clients[0], senders[0].wallet).facts(refresh=True)
        txs = make_payments(senders, count, chain_id=facts.chain_id, gas_price=facts.gas_price)
        shares = [
            [tx for n, tx in enumerate(txs) if (n % len(senders)) % len(clients) == door]
            for door in range(len(clients))
        ]
        commits = Commits(clients[0])
        follower = asyncio.create_task(commits.follow())
        height = (await clients[0].status()).latest_block_height
        await clients[0].wait_for_height(height + 2)  # the stream is live
        before = {name: cpu_s(pid) for name, pid in pids.items()}
        sent = Sent()
        started = time.monotonic()
        await asyncio.gather(
            *(
                send_all(client, share, sent, rate=rate / len(clients))
                for client, share in zip(clients, shares, strict=True)
            )
        )
        lost = await commits.wait_for(list(sent.times), timeout_s=COMMIT_TIMEOUT_S)
        follower.cancel()
        last = max((commits.seen[h] for h in sent.times if h in commits.seen), default=started)
        after = {name: cpu_s(pid) for name, pid in pids.items()}
    finally:
        for client in clients:
            await client.close()
    done = [h for h in sent.times if h in commits.seen]
    return Load(
        committed=len(done),
        seconds=last - started,
        latencies=[commits.seen[h] - sent.times[h] for h in done],
        cpu={name: after[name] - before[name] for name in pids},
        blocks=[(when, txs) for when, _, txs in commits.blocks if started <= when <= last and txs],
        retries=sent.retries,
        refused=dict(sent.refused),
        lost=len(lost),
    )
