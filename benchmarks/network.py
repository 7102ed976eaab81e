"""The whole network on this machine: four real processes, signed payments, real sockets and disks.

    python -m benchmarks.network [--seconds 20] [--validators 4] [--json FILE]

One run measures, and prints as a table and as JSON: the interval of empty blocks with --fast; payments committed a
second at saturation, with p50 and p95 from send to commit and CPU seconds per transaction by process; the same at a
fixed rate below saturation; the copies of parts and transactions received; and Ed25519 alone, the floor, in the same
minute. Quote ratios: machines differ and are shared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dchat.client.client import Client
from dchat.devnet.live import empty_interval, floor_us, metrics_of, run_load
from dchat.devnet.load import make_senders
from dchat.home import identity
from tests.campaigns.harness import Testnet, run_campaign, say, until

SENDERS = 200


COPIES = {
    "part": ("dchat_gossip_parts_received_total", "dchat_gossip_parts_duplicate_total"),
    "tx": ("dchat_tx_gossip_received_total", "dchat_tx_gossip_duplicates_total"),
}


def copies(before: list[dict[str, float]], after: list[dict[str, float]], kind: str) -> float:
    """Copies received for each one that was new, over all nodes."""
    received, repeated = (sum(a[n] - b[n] for a, b in zip(after, before, strict=True)) for n in COPIES[kind])
    return round(received / (received - repeated), 3) if received > repeated else float("nan")


def metrics(net: Testnet, index: int) -> dict[str, float]:
    return metrics_of(f"{net.network.host}:{net.network.node(index).ports.http}")


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "validators": arguments.validators,
    }
    before_load_us = floor_us()
    with (
        tempfile.TemporaryDirectory(prefix="dchat-bench-") as folder,
        Testnet(Path(folder) / "net", "--fast", "--validators", str(arguments.validators)) as net,
    ):

        async def is_up() -> bool:
            return min([await net.height(node.index) for node in net.nodes]) >= 5

        await until("the first blocks", is_up, timeout_s=120)
        result["empty_blocks_fast"] = await empty_interval(net.grpc(1), arguments.seconds)
        say(f"empty blocks: {result['empty_blocks_fast']}")
        doors = [net.grpc(node.index) for node in net.nodes]
        pids = {f"validator{i}": net.pid(i) for i in range(1, arguments.validators + 1)} | {"load": os.getpid()}
        async with Client(net.grpc(1)) as client:
            source = identity.load(net.home / net.network.accounts["alice"]).wallet
            senders = await make_senders(client, source, SENDERS, label=str(time.time_ns()))
        await run_load(doors, senders, 2_000, rate=0, pids=pids)  # warm up: caches, the senders' keys on record
        before = [metrics(net, node.index) for node in net.nodes]
        full = await run_load(doors, senders, int(arguments.seconds * arguments.guess), rate=0, pids=pids)
        result["saturated"] = full.row()
        say(f"saturated: {result['saturated']}")
        after = [metrics(net, node.index) for node in net.nodes]
        result["copies_per_part"] = copies(before, after, "part")
        result["copies_per_tx"] = copies(before, after, "tx")
        rate = max(50.0, 0.5 * full.committed / full.seconds)
        half = await run_load(doors, senders, int(rate * arguments.seconds / 2), rate=rate, pids=pids)
        result["half_rate"] = {"rate": round(rate)} | half.row()
        result["agreeing_heights"] = await net.check_agreement()
        floors = (before_load_us, floor_us())
    result["ed25519_floor_us"] = round(statistics.mean(floors), 1)  # before and after: the machine may be shared
    per_tx = sum(result["saturated"]["cpu_us_per_tx"][f"validator{i}"] for i in range(1, arguments.validators + 1))
    result["cpu_us_per_tx_and_validator"] = round(per_tx / arguments.validators)
    result["floors_per_tx"] = round(result["cpu_us_per_tx_and_validator"] / result["ed25519_floor_us"], 2)
    return result


def show(result: dict[str, Any]) -> None:
    full, half, empty = result["saturated"], result["half_rate"], result["empty_blocks_fast"]
    apart = full["block_interval_s"]
    rows = [
        ("Ed25519 verification, the floor", f"{result['ed25519_floor_us']} us"),
        (
            "empty blocks --fast, mean / median / p95",
            f"{empty['mean_ms']} / {empty['median_ms']} / {empty['p95_ms']} ms",
        ),
        ("payments committed at saturation", f"{full['per_second']} a second"),
        ("  send to commit p50 / p95", f"{full['p50_s']} / {full['p95_s']} s"),
        ("  blocks apart, median / p95 / longest", f"{apart['median']} / {apart['p95']} / {apart['max']} s"),
        (
            "  CPU per payment and validator",
            f"{result['cpu_us_per_tx_and_validator']} us, {result['floors_per_tx']} floors",
        ),
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
    result = run_campaign(measure(arguments))
    show(result)
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
