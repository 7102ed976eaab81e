"""The whole network on this machine: four real processes, signed payments, real sockets and disks.

    python -m benchmarks.network [--seconds 20] [--validators 4] [--json FILE]

One run measures, and prints as a table and as JSON: the interval of empty blocks with --fast; payments committed a
second at saturation, with p50 and p95 from send to commit and CPU seconds per transaction by process; the same at a
fixed rate below saturation; the copies of parts and transactions received; and Ed25519 alone, the floor, in the same
minute. Quote ratios: machines differ and are shared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.load import Commits, Sender, Sent, make_payments, make_senders, send_all
from crypto.batch import verify_many
from crypto.keys import Ed25519PrivKey
from node import identity
from node.client import Client
from node.wallet import Session
from tests.campaigns.harness import Testnet, say, until

SENDERS = 200
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def floor_us(checks: int = 2_000) -> float:
    """Microseconds of one Ed25519 verification, one thread."""
    key = Ed25519PrivKey.from_seed(bytes(32))
    items = [(key.pub_key, n.to_bytes(32, "big"), key.sign(n.to_bytes(32, "big"))) for n in range(checks)]
    runs = []
    for _ in range(5):
        started = time.perf_counter()
        assert all(verify_many(items))
        runs.append((time.perf_counter() - started) / checks * 1e6)
    return statistics.median(runs)


def cpu_s(pid: int) -> float:
    """User and system seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def metrics(net: Testnet, index: int) -> dict[str, float]:
    """A node's metrics without labels' detail: samples of one name are summed."""
    url = f"http://{net.network.host}:{net.network.node(index).ports.http}/metrics"
    found: dict[str, float] = {}
    with urllib.request.urlopen(url, timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if match := re.match(r"(dchat_\w+)(?:\{[^}]*\})? (\S+)$", line):
                found[match[1]] = found.get(match[1], 0.0) + float(match[2])
    return found


def quantile(values: list[float], share: float) -> float:
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


async def empty_interval(net: Testnet, seconds: float) -> dict[str, Any]:
    """Seconds between empty blocks as one node's stream shows them."""
    async with Client(net.grpc(1)) as client:
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


async def run_load(net: Testnet, senders: list[Sender], count: int, *, rate: float, pids: dict[str, int]) -> Load:
    """Send `count` payments through all doors; each sender stays with one door, so that its order holds."""
    clients = [Client(net.grpc(node.index)) for node in net.nodes]
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
        lost = await commits.wait_for(list(sent.times), timeout_s=60)
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


COPIES = {
    "part": ("dchat_gossip_parts_received_total", "dchat_gossip_parts_duplicate_total"),
    "tx": ("dchat_tx_gossip_received_total", "dchat_tx_gossip_duplicates_total"),
}


def copies(before: list[dict[str, float]], after: list[dict[str, float]], kind: str) -> float:
    """Copies received for each one that was new, over all nodes."""
    received, repeated = (sum(a[n] - b[n] for a, b in zip(after, before, strict=True)) for n in COPIES[kind])
    return round(received / (received - repeated), 3) if received > repeated else float("nan")


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "validators": arguments.validators,
        "ed25519_floor_us": round(floor_us(), 1),
    }
    with (
        tempfile.TemporaryDirectory(prefix="dchat-bench-") as folder,
        Testnet(Path(folder) / "net", "--fast", "--validators", str(arguments.validators)) as net,
    ):

        async def is_up() -> bool:
            return min([await net.height(node.index) for node in net.nodes]) >= 5

        await until("the first blocks", is_up, timeout_s=120)
        result["empty_blocks_fast"] = await empty_interval(net, arguments.seconds)
        say(f"empty blocks: {result['empty_blocks_fast']}")
        pids = {f"validator{i}": net.pid(i) for i in range(1, arguments.validators + 1)} | {"load": os.getpid()}
        async with Client(net.grpc(1)) as client:
            source = identity.load(net.home / net.network.accounts["alice"]).wallet
            senders = await make_senders(client, source, SENDERS, label=str(time.time_ns()))
        await run_load(net, senders, 2_000, rate=0, pids=pids)  # warm up: caches, the senders' keys on record
        before = [metrics(net, node.index) for node in net.nodes]
        full = await run_load(net, senders, int(arguments.seconds * arguments.guess), rate=0, pids=pids)
        result["saturated"] = full.row()
        say(f"saturated: {result['saturated']}")
        after = [metrics(net, node.index) for node in net.nodes]
        result["copies_per_part"] = copies(before, after, "part")
        result["copies_per_tx"] = copies(before, after, "tx")
        rate = max(50.0, 0.5 * full.committed / full.seconds)
        half = await run_load(net, senders, int(rate * arguments.seconds / 2), rate=rate, pids=pids)
        result["half_rate"] = {"rate": round(rate)} | half.row()
        result["agreeing_heights"] = await net.check_agreement()
    per_tx = sum(result["saturated"]["cpu_us_per_tx"][f"validator{i}"] for i in range(1, arguments.validators + 1))
    result["cpu_us_per_tx_and_validator"] = round(per_tx / arguments.validators)
    result["floors_per_tx"] = round(result["cpu_us_per_tx_and_validator"] / result["ed25519_floor_us"], 2)
    return result


def show(result: dict[str, Any]) -> None:
    full, half, empty = result["saturated"], result["half_rate"], result["empty_blocks_fast"]
    rows = [
        ("Ed25519 verification, the floor", f"{result['ed25519_floor_us']} us"),
        (
            "empty blocks --fast, mean / median / p95",
            f"{empty['mean_ms']} / {empty['median_ms']} / {empty['p95_ms']} ms",
        ),
        ("payments committed at saturation", f"{full['per_second']} a second"),
        ("  send to commit p50 / p95", f"{full['p50_s']} / {full['p95_s']} s"),
        ("  CPU per payment and validator", f"{result['cpu_us_per_tx_and_validator']} us"),
        ("  CPU per payment of the load", f"{full['cpu_us_per_tx']['load']} us"),
        (f"at {half['rate']} a second: p50 / p95", f"{half['p50_s']} / {half['p95_s']} s"),
        ("copies received per part / per transaction", f"{result['copies_per_part']} / {result['copies_per_tx']}"),
        ("heights compared on all nodes", str(result["agreeing_heights"])),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:<{width}}  {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each part")
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--guess", type=float, default=1_000.0, help="payments a second to prepare")
    parser.add_argument("--json", type=Path, help="also write the result here")
    arguments = parser.parse_args()
    result = asyncio.run(measure(arguments))
    show(result)
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
