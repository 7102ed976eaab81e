"""`dchat benchmark`: what a validator does with a load on this machine, and what each stage of it costs.

A network of its own is made in a temporary folder, on free ports, with the options' defaults, loaded through its gRPC
doors and removed again; no home is touched. The Ed25519 floor is measured before and after, in the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from dchat.cli.local.network_options import duration_option
from dchat.cli.terminal.base import Group, Refusal, echo
from dchat.cli.terminal.later import not_in_this_build
from dchat.client.client import Client, ClientError, NodeUnreachable
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.live import Load, floor_us, metrics_of, run_load
from dchat.devnet.load import Sender, make_senders
from dchat.devnet.network import VALIDATORS_MAX, Network, Pace, make_network
from dchat.devnet.processes import ControlError
from dchat.devnet.stages import FLOOR, PROPOSER_ONLY, measure_stages
from dchat.home import identity, logs

SENDERS = 200
WARM_UP_TXS = 1_000  # caches fill, and the senders' keys get on record
START_TIMEOUT_S = 60.0
POLL_S = 0.1
STAGES = ("proposal_create", "proposal_process", "apply", "commit_wait", "sign", "wal_sync", "block_interval")


@click.group(cls=Group)
def benchmark() -> None:
    """Measure a validator on this machine."""


@benchmark.command("validator")
@click.option("--duration", callback=duration_option, default="60s", show_default=True, help="Of the load, like 60s.")
@click.option(
    "--transaction-rate", type=click.IntRange(1, 100_000), default=500, show_default=True,
    help="Signed payments a second, over all doors.",
)  # fmt: skip
@click.option(
    "--validators",
    type=click.IntRange(1, VALIDATORS_MAX),
    default=1,
    show_default=True,
    help="Processes of the network.",
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the result here."
)
def validator(duration: int, transaction_rate: int, validators: int, json_file: Path | None) -> None:
    """Load a network of validators with signed payments; show rates, latencies and each stage's cost."""
    logs.configure(level="warning", json_lines=False)
    if duration < 1_000:
        raise Refusal("--duration is below 1s: too short to measure anything")
    processes.end_as_by_interrupt()
    try:
        result = asyncio.run(_measure(duration / 1_000, transaction_rate, validators))
    except (ControlError, ClientError, TimeoutError) as error:
        raise Refusal(f"the benchmark did not come to its end: {error}") from None
    _show(result)
    text = json.dumps(result, indent=2) + "\n"
    if json_file is not None:
        json_file.write_text(text)


@benchmark.command("relay", hidden=True)
@click.option("--duration", callback=duration_option, default="60s", show_default=True)
@click.option("--message-rate", type=click.IntRange(1), default=1_000, show_default=True)
def relay(duration: int, message_rate: int) -> None:
    """Measure a relay. Not in this build."""
    raise not_in_this_build("`dchat benchmark relay`")


async def _measure(seconds: float, rate: int, validators: int) -> dict[str, Any]:
    before_us = floor_us()
    with tempfile.TemporaryDirectory(prefix="dchat-benchmark-") as folder:
        echo("measuring the stages one by one")
        stages = await asyncio.to_thread(measure_stages, Path(folder) / "stages")
        network = make_network(
            Path(folder) / "network", validators=validators, chain_id="dchat-benchmark", pace=Pace(),
            ports=free_ports(validators),
        )  # fmt: skip
        echo(f"loading {validators} validator(s) with {rate} payments a second for {seconds:g} s")
        try:
            for node in network.nodes:
                processes.start(network, node)
            load, engine = await _load(network, seconds, rate)
        finally:
            with processes.undisturbed():
                processes.stop(network, network.nodes)
    floor = (before_us + floor_us()) / 2
    used = [cost for name, cost in load.row()["cpu_us_per_tx"].items() if name != "load"]
    return {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "validators": validators,
        "transaction_rate": rate,
        "ed25519_floor_us": round(floor, 1),
        "stages_us_per_tx": {stage: round(cost, 1) for stage, cost in stages.items()},
        "load": load.row(),
        "cpu_us_per_tx_and_validator": round(sum(used) / len(used)),
        "floors_per_tx": round(sum(used) / len(used) / floor, 2),
        "engine_ms": engine,
    }


async def _load(network: Network, seconds: float, rate: int) -> tuple[Load, dict[str, Any]]:
    """The load, and how long the engine's stages took a block meanwhile, on the first node."""
    doors = [f"{network.host}:{node.ports.grpc}" for node in network.nodes]
    http = f"{network.host}:{network.nodes[0].ports.http}"
    senders = await _senders(network, doors[0])
    pids = {node.name: processes.running_pid(network, node) for node in network.nodes}
    known = {name: pid for name, pid in pids.items() if pid is not None} | {"load": os.getpid()}
    await run_load(doors, senders, WARM_UP_TXS, rate=0, pids={})
    before = await asyncio.to_thread(metrics_of, http)
    load = await run_load(doors, senders, max(1, round(rate * seconds)), rate=rate, pids=known)
    after = await asyncio.to_thread(metrics_of, http)
    return load, {stage: row for stage in STAGES if (row := _stage(stage, before, after))}


async def _senders(network: Network, door: str) -> list[Sender]:
    """Funded accounts, once the network answers. Raises ClientError, TimeoutError."""
    async with Client(door) as client:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _makes_blocks(client):  # noqa: ASYNC110 - another process' state
                await asyncio.sleep(POLL_S)
        source = identity.load(network.folder / network.accounts["alice"]).wallet
        return await make_senders(client, source, SENDERS, label=str(time.time_ns()))


async def _makes_blocks(client: Client) -> bool:
    try:
        return (await client.status()).latest_block_height >= 2
    except NodeUnreachable:  # its doors are not open yet
        return False


def _stage(stage: str, before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Runs, and milliseconds a run; empty when the stage did not run."""

    def grown(what: str) -> float:
        key = f'dchat_consensus_stage_{what}_total{{stage="{stage}"}}'
        return after.get(key, 0.0) - before.get(key, 0.0)

    runs = grown("runs")
    return {"runs": runs, "mean": round(1e3 * grown("seconds") / runs, 2)} if runs else {}


def _show(result: dict[str, Any]) -> None:
    floor, load = result["ed25519_floor_us"], result["load"]
    rows = [(stage, f"{cost:.1f} us", f"{cost / floor:.2f}") for stage, cost in result["stages_us_per_tx"].items()]
    total = sum(cost for stage, cost in result["stages_us_per_tx"].items() if stage != PROPOSER_ONLY)
    used = result["cpu_us_per_tx_and_validator"]
    _table(
        [
            ("stage, CPU a payment", "cost", "floors"),
            *rows,
            ("sum, not proposing", f"{total:.1f} us", f"{total / floor:.2f}"),
            ("a validator under this load, all in all", f"{used} us", f"{result['floors_per_tx']:.2f}"),
        ]
    )
    echo()
    apart = load["block_interval_s"]
    _table(
        [
            (FLOOR, f"{floor} us"),
            ("payments committed", f"{load['per_second']} a second of {result['transaction_rate']} sent"),
            ("send to commit, p50 / p95", f"{load['p50_s']} / {load['p95_s']} s"),
            ("blocks apart, median / p95 / longest", f"{apart['median']} / {apart['p95']} / {apart['max']} s"),
            ("told to try later", str(load["told_to_try_later"])),
            ("refused, or admitted and lost", f"{sum(load['refused'].values())}, {load['admitted_but_not_committed']}"),
            *((f"engine: {stage}", f"{row['mean']} ms") for stage, row in result["engine_ms"].items()),
        ]
    )


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for first, *rest in rows:
        echo("  ".join([f"{first:<{widths[0]}}", *(f"{cell:>{w}}" for cell, w in zip(rest, widths[1:], strict=True))]))
