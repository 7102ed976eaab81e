"""The whole network on this machine: four real processes with --fast, signed transactions, real sockets and disks.

    python -m benchmarks.network [--senders 4000] [--accounts N] [--mix payments|posts|bundles|mixed] [--json FILE]
    python -m benchmarks.network --overload            three times saturation for two minutes
    python -m benchmarks.network --memory 300000       memory and disk after so many

One run measures, in this order: the floors of Ed25519, alone and in batches; empty blocks; saturation by a closed loop;
then an open loop at several rates (shares of saturation, and 500 a second), each with p50 and p95 from the time that a
transaction was due, CPU a transaction and validator, the engine's stages, ticks of the event loop within 3 ms, and
queries meanwhile. Posts: also when a subscriber of another node saw them. The senders are accounts of the genesis, and
all is signed by all cores before the clock starts. Quote CPU and ratios: machines differ and are shared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from benchmarks.load import picture, queries, watch
from benchmarks.load.arrivals import Outcome, run_closed, run_open, watched
from benchmarks.load.stock import MIXES, Crowd, Stock, prepare, setup
from crypto import native
from dchat.client.client import Client
from dchat.devnet.live import Load, empty_interval, quantile
from dchat.devnet.load import Sent, send_all
from dchat.devnet.network import Pace
from dchat.home import identity
from tests.campaigns.harness import CampaignFailed, Testnet, run_campaign, say, until

SHARES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)  # of saturation
FIXED_RATE: Final = 500.0
WARM_UP: Final = 2_000
QUERIED: Final = 50  # accounts
OVER: Final = 3  # times saturation
MEMORY_STEPS: Final = 5
SETUP_S: Final = 300.0


class Bench:
    """A network that is up, with its crowd."""

    def __init__(self, net: Testnet, stock: Stock) -> None:
        self.net, self.stock = net, stock
        self.doors = [net.grpc(node.index) for node in net.nodes]
        self.http = [f"{net.network.host}:{node.ports.http}" for node in net.nodes]
        self.pids = {node.name: net.pid(node.index) for node in net.nodes}

    @property
    def _all(self) -> dict[str, int]:
        return self.pids | {"load": os.getpid()}

    async def begin(self) -> None:
        """The first blocks, and what the crowd needs before it can chat."""

        async def is_up() -> bool:
            return min([await self.net.height(node.index) for node in self.net.nodes]) >= 5

        await until("the first blocks", is_up, timeout_s=120)
        if not self.stock.crowd.chats:
            return
        maker = identity.load(self.net.home / self.net.network.accounts["alice"]).wallet
        async with Client(self.doors[0]) as client, watched(self.doors[0]) as sight:
            for txs in setup(self.stock.crowd, maker):
                sent = Sent()
                async with asyncio.timeout(SETUP_S):
                    await send_all(client, txs, sent)
                if sent.refused or await sight.wait_for(list(sent.times)):
                    raise CampaignFailed(f"the crowd could not be set up: {dict(sent.refused)}")

    async def closed(self, count: int) -> tuple[Load, dict[str, Any]]:
        before = watch.sample(self.http)
        load = await run_closed(self.doors, self.stock, count, pids=self._all)
        return load, self._row(load, before, watch.sample(self.http))

    async def open(self, rate: float, seconds: float, query_rate: float) -> dict[str, Any]:
        before, asking = watch.sample(self.http), None
        if query_rate:
            asked = [self.stock.crowd.wallet(number).address for number in range(QUERIED)]
            asking = queries.start(self.doors[-1], query_rate, seconds, asked)
        posts = self.stock.crowd.mix == "posts"
        out = await run_open(self.doors, self.stock, rate=rate, seconds=seconds, pids=self._all, posts=posts)
        row = {"rate": round(rate)} | self._row(out.load, before, watch.sample(self.http))
        if out.seen:
            seen = {name: round(quantile(out.seen, share), 3) for name, share in (("p50_s", 0.5), ("p95_s", 0.95))}
            row["seen_by_a_subscriber_elsewhere"] = seen | {"posts": len(out.seen)}
        if asking is not None:
            row["queries"] = await queries.answer(asking)
        return row

    def _row(self, load: Load, before: list[watch.Sample], after: list[watch.Sample]) -> dict[str, Any]:
        used = [load.cpu[name] for name in self.pids]
        return {
            "load": load.row(),
            "cpu_us_per_tx_and_validator": round(1e6 * sum(used) / len(used) / max(1, load.committed)),
            "txs_a_block": round(load.committed / max(1, len(load.blocks)), 1),
            "ticks_within_3_ms": watch.ticks_within_3_ms(before, after),
            "stages": watch.stages(before, after, load.committed),
            "copies": watch.copies(before, after),
        }

    def memory(self) -> dict[str, float]:
        """Of the largest validator, MB."""
        homes = self.net.homes
        return {
            "rss_mb": round(max(map(watch.rss_bytes, self.pids.values())) / 1e6, 1),
            "disk_mb": round(max(map(watch.disk_bytes, homes)) / 1e6, 1),
        }


async def saturate(bench: Bench, arguments: argparse.Namespace, result: dict[str, Any]) -> float:
    """Warm up, then as fast as they are taken. Returns how many are committed a second."""
    await bench.closed(WARM_UP)
    load, row = await bench.closed(int(arguments.seconds * arguments.guess))
    result["saturated"] = row
    say(f"saturated: {brief(row)}")
    return load.committed / load.seconds


async def measure_curve(bench: Bench, arguments: argparse.Namespace, result: dict[str, Any]) -> None:
    result["empty_blocks_fast"] = await empty_interval(bench.doors[0], min(10.0, arguments.seconds))
    say(f"empty blocks: {result['empty_blocks_fast']}")
    most = await saturate(bench, arguments, result)
    rates = arguments.rates or sorted({*(round(share * most) for share in SHARES), FIXED_RATE})
    result["curve"] = []
    for rate in rates:
        bench.stock.fill(int(rate * arguments.seconds))  # nothing, unless the guess was too low
        row = await bench.open(rate, arguments.seconds, arguments.queries)
        row["share_of_saturation"] = round(rate / most, 2)
        result["curve"].append(row)
        say(f"at {rate:g} a second: {brief(row)}")
    half = min(result["curve"], key=lambda row: abs(row["rate"] - most / 2))
    cost = result["saturated"]["cpu_us_per_tx_and_validator"]
    result["cpu_at_half_load_ratio"] = round(half["cpu_us_per_tx_and_validator"] / cost, 2)


async def measure_overload(bench: Bench, arguments: argparse.Namespace, result: dict[str, Any]) -> None:
    most = await saturate(bench, arguments, result)
    bench.stock.fill(int(1.1 * most * arguments.overload_seconds))
    seen: list[float] = []

    async def look() -> None:
        while True:
            seen.append(max(map(watch.rss_bytes, bench.pids.values())) / 1e6)
            await asyncio.sleep(1)

    looking = asyncio.create_task(look())
    out: Outcome = await run_open(
        bench.doors, bench.stock, rate=OVER * most, seconds=arguments.overload_seconds, pids=bench.pids,
        keeps_trying=False,
    )  # fmt: skip
    looking.cancel()
    row = out.load.row()
    quarter = max(1, len(seen) // 4)
    result["overload"] = {
        "offered_a_second": round(out.offered / arguments.overload_seconds), "load": row,
        "committed_share_of_saturation": round(row["per_second"] / most, 3),
        "admitted": len(out.admitted), "admitted_and_lost": out.load.lost,
        "rss_mb": {"first quarter": round(max(seen[:quarter]), 1), "last quarter": round(max(seen[-quarter:]), 1)},
    }  # fmt: skip
    say(f"overload: {json.dumps(result['overload'])}")


async def measure_memory(bench: Bench, arguments: argparse.Namespace, result: dict[str, Any]) -> None:
    await bench.closed(WARM_UP)
    done, rows = 0, [{"txs": 0} | bench.memory()]
    for _ in range(MEMORY_STEPS):
        count = arguments.memory // MEMORY_STEPS
        bench.stock.fill(count)
        load, _ = await bench.closed(count)
        done += load.committed
        rows.append({"txs": done} | bench.memory())
        say(f"memory: {json.dumps(rows[-1])}")
    grown = rows[-1]["disk_mb"] - rows[0]["disk_mb"]
    late = rows[-1]["rss_mb"] - rows[1]["rss_mb"], rows[-1]["txs"] - rows[1]["txs"]
    result["memory"] = {
        "rows": rows, "disk_bytes_a_tx": round(1e6 * grown / max(1, done)),
        "rss_bytes_a_tx_after_the_first_step": round(1e6 * late[0] / max(1, late[1]), 1),
    }  # fmt: skip


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "native": native.state(), "validators": arguments.validators, "mix": arguments.mix,
        "senders": arguments.senders, "accounts": max(arguments.accounts, arguments.senders),
        "timeout_propose_ms": arguments.timeout_propose,
    }  # fmt: skip
    first = watch.floors()
    crowd = Crowd(str(time.time_ns()), arguments.senders, arguments.mix)
    with tempfile.TemporaryDirectory(prefix="dchat-bench-") as folder:
        home = Path(folder) / "net"
        pace = replace(Pace.fast(), timeout_propose=arguments.timeout_propose)
        prepare(home, crowd, validators=arguments.validators, accounts=arguments.accounts, pace=pace)
        stock, began = Stock(crowd, arguments.validators), time.monotonic()
        stock.fill(arguments.memory // MEMORY_STEPS if arguments.memory else planned(arguments))
        say(f"signed {len(stock)} in {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        with Testnet(home) as net:
            bench = Bench(net, stock)
            await bench.begin()
            result["up_after_s"] = round(time.monotonic() - began, 1)
            if arguments.overload:
                await measure_overload(bench, arguments, result)
            elif arguments.memory:
                await measure_memory(bench, arguments, result)
            else:
                await measure_curve(bench, arguments, result)
            result["at_the_end"] = bench.memory()
            result["agreeing_heights"] = await net.check_agreement()
    last = watch.floors()  # before and after: the machine may be shared
    result["ed25519_floor_us"] = {
        name: None if value is None else round((value + (last[name] or value)) / 2, 1) for name, value in first.items()
    }
    return result


def planned(arguments: argparse.Namespace) -> int:
    """How many are signed before the network is there."""
    full = arguments.seconds * arguments.guess
    rates = sum(arguments.rates) if arguments.rates else sum(SHARES) * arguments.guess + FIXED_RATE
    more = 1.1 * arguments.guess * arguments.overload_seconds if arguments.overload else rates * arguments.seconds
    return int(WARM_UP + full + more)


def brief(row: dict[str, Any]) -> str:
    load = row["load"]
    text = (
        f"{load['per_second']:g} a second, p50 {load['p50_s']} p95 {load['p95_s']} s, "
        f"{row['cpu_us_per_tx_and_validator']} us a payment and validator, {row['txs_a_block']} a block, "
        f"{row['ticks_within_3_ms']:.1%} of ticks within 3 ms"
    )
    if "seen_by_a_subscriber_elsewhere" in row:
        text += f", seen elsewhere p95 {row['seen_by_a_subscriber_elsewhere']['p95_s']} s"
    if row.get("queries"):
        text += f", queries p95 {row['queries']['p95_ms']} ms"
    if load["admitted_but_not_committed"] or load["refused"]:
        text += f"; not committed {load['admitted_but_not_committed']}, refused {load['refused']}"
    return text


def show(result: dict[str, Any]) -> None:
    floor = result["ed25519_floor_us"]
    batched = "-" if floor["batched"] is None else f"{floor['batched']} us"
    say(f"Ed25519, the floor: {floor['alone']} us alone, {batched} in batches")
    if "curve" not in result:
        return
    half = min(result["curve"], key=lambda row: abs(row["share_of_saturation"] - 0.5))
    full = result["saturated"]
    floors = full["cpu_us_per_tx_and_validator"] / floor["alone"]
    say(f"a payment at saturation: {floors:.1f} floors; at half load {result['cpu_at_half_load_ratio']} times that")
    say(f"{'stage':<18} {'saturated':>22} {'half load':>22}")
    for stage in watch.STAGES:
        cells = [f"{row['ms_a_run']:>8.2f} ms {row['us_a_payment']:>8.1f} us" for row in
                 (full["stages"][stage], half["stages"][stage])]  # fmt: skip
        say(f"{stage:<18} {cells[0]:>22} {cells[1]:>22}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each part")
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--senders", type=int, default=4_000)
    parser.add_argument("--accounts", type=int, default=0, help="in the genesis; at least the senders")
    parser.add_argument("--mix", choices=MIXES, default="payments")
    parser.add_argument("--guess", type=float, default=2_000.0, help="transactions a second to prepare")
    parser.add_argument("--rates", type=lambda text: [float(one) for one in text.split(",")], help="a second: 250,500")
    parser.add_argument(
        "--timeout-propose", type=int, default=Pace().timeout_propose, metavar="MS",
        help="the genesis gives blocks the gas of a third of it; that of --fast is 500, for 650 payments",
    )  # fmt: skip
    parser.add_argument("--queries", type=float, default=50.0, help="of accounts a second meanwhile")
    parser.add_argument("--overload", action="store_true", help="three times saturation, instead of the curve")
    parser.add_argument("--overload-seconds", type=float, default=120.0)
    parser.add_argument("--memory", type=int, default=0, help="so many transactions, instead of the curve")
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--svg", type=Path, help="also draw the curve here")
    arguments = parser.parse_args()
    result = run_campaign(measure(arguments))
    show(result)
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    if arguments.svg and "curve" in result:
        arguments.svg.write_text(picture.of_result(result))
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
