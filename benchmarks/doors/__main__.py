"""The pace of blocks with and without readers, minute by minute in turns, of a test network at its own pace.

    python -m benchmarks.doors [--rate 1000] [--seconds 60] [--rounds 2] [--to one|four|both] [--json FILE]
    python -m benchmarks.doors -- --fast          flags of scripts/testnet after the dashes

Four validators are started on this machine. A minute is left alone, in the next requests fall due at the rate: all to
one node, or spread over four; and again. The readers are a process of their own (`mix.py` says what they ask for), with
some subscribers over WebSocket beside them. Intervals are those of the blocks' own times. One line of each way says it:

    doors: to one node: interval 3.021 s undisturbed, 3.029 s loaded, ratio 1.003; ...
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from benchmarks.doors.mix import GRPC, HTTP, RPC
from benchmarks.doors.readers import Plan
from dchat.devnet.live import cpu_s, metrics_of
from dchat.home import identity
from tests.campaigns.harness import ROOT, CampaignFailed, Testnet, folder_of, run_campaign, say, until

ACCOUNTS: Final = 40  # that are asked for; most of them nobody has: that is proved, too
HEIGHT_BEFORE: Final = 5
SETTLE_S: Final = 5.0
READ_S: Final = 30.0
SUBSCRIBERS: Final = 5
PAGE: Final = 100
ONE, FOUR = "one", "four"


class Bench:
    def __init__(self, net: Testnet, arguments: argparse.Namespace) -> None:
        self.net, self.options = net, arguments

    def doors(self, many: int) -> list[dict[str, tuple[str, int]]]:
        host = self.net.network.host
        ports = [node.ports for node in self.net.nodes[:many]]
        return [{HTTP: (host, one.http), RPC: (host, one.rpc), GRPC: (host, one.grpc)} for one in ports]

    async def get(self, path: str) -> Any:
        return await asyncio.to_thread(self.net.get, self.net.nodes[0].index, path, READ_S)

    async def height(self) -> int:
        return await self.net.height(self.net.nodes[0].index)

    async def world(self) -> dict[str, Any]:
        """What there is to be asked for."""
        network = self.net.network
        known = [identity.load(self.net.home / name).address.hex() for name in network.accounts.values()]
        more = [(number + 1).to_bytes(20, "big").hex() for number in range(ACCOUNTS)]
        files = await asyncio.to_thread(explorer_files, network.host, self.net.nodes[0].ports.http)
        return {"height": await self.height(), "accounts": (known + more)[:ACCOUNTS], "files": files}

    async def intervals(self, began: float, ended: float) -> list[float]:
        """Seconds between the blocks whose times lie in between."""
        times: list[float] = []
        highest = 0
        while True:
            asked = f"/v1/blocks?limit={PAGE}" + (f"&max_height={highest}" if highest else "")
            page = (await self.get(asked))["blocks"]
            times += [seconds_of(one["header"]["time"]) for one in page]
            highest = int(page[-1]["header"]["height"]) - 1 if page else 0
            if highest < 1 or times[-1] < began:
                break
        inside = sorted(one for one in times if began <= one <= ended)
        return [later - earlier for earlier, later in pairwise(inside)]

    async def minute(self, many: int | None) -> tuple[list[float], dict[str, Any]]:
        """(intervals, what the readers say). many: nodes that are asked; None: left alone."""
        names = [node.name for node in self.net.nodes]
        pids = [self.net.pid(node.index) for node in self.net.nodes]
        cpu, began, clock = [cpu_s(pid) for pid in pids], time.time(), time.monotonic()
        told: dict[str, Any] = {}
        if many is None:
            await asyncio.sleep(self.options.seconds)
        else:
            told = await readers(
                Plan(self.options.rate, self.options.seconds, self.options.seed, self.doors(many),
                     self.options.subscribers, await self.world())
            )  # fmt: skip
        passed = time.monotonic() - clock
        used = [round((cpu_s(pid) - before) / passed, 3) for pid, before in zip(pids, cpu, strict=True)]
        spent = {"cores": dict(zip(names, used, strict=True))}
        await asyncio.sleep(SETTLE_S)
        return await self.intervals(began, began + self.options.seconds), told | spent

    async def compare(self, many: int) -> dict[str, Any]:
        """Minutes in turns."""
        alone: list[float] = []
        loaded: list[float] = []
        told: list[dict[str, Any]] = []
        quiet: list[dict[str, Any]] = []
        for _ in range(self.options.rounds):
            found, spent = await self.minute(None)
            alone += found
            quiet.append(spent)
            found, spent = await self.minute(many)
            loaded += found
            told.append(spent)
        before, after = statistics.median(alone), statistics.median(loaded)
        kept = {name: value for name, value in metrics_of(self.address(0)).items() if "http_kept" in name}
        return {
            "nodes": many, "blocks_alone": len(alone), "blocks_loaded": len(loaded),
            "interval_alone_s": round(before, 4), "interval_loaded_s": round(after, 4),
            "ratio": round(after / before, 4), "longest_alone_s": round(max(alone), 3),
            "longest_loaded_s": round(max(loaded), 3), "alone": quiet, "readers": told, "kept": kept,
        }  # fmt: skip

    def address(self, place: int) -> str:
        return f"{self.net.network.host}:{self.net.nodes[place].ports.http}"


def explorer_files(host: str, port: int) -> list[tuple[str, str]]:
    """(path, ETag) of what a browser loads with the first page."""

    def load(path: str) -> tuple[str, bytes]:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=30) as answer:
            return str(answer.headers["ETag"]), answer.read()

    tag, page = load("/explorer/")
    names = ["", *re.findall(r'(?:src|href)="(\w[\w/]*\.\w+)"', page.decode())]
    return [("/explorer/", tag), *((f"/explorer/{name}", load(f"/explorer/{name}")[0]) for name in names[1:])]


def seconds_of(text: str) -> float:
    """Of RFC 3339 with nanoseconds."""
    whole, _, part = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{part or 0}")


async def readers(plan: Plan) -> dict[str, Any]:
    """In a process of their own."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.doors.readers", cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, _ = await running.communicate(json.dumps(asdict(plan)).encode())
    finally:
        if running.returncode is None:
            running.kill()
    if running.returncode:
        raise CampaignFailed(f"the readers failed: exit {running.returncode}")
    told: dict[str, Any] = json.loads(output)
    return told


def line_of(row: dict[str, Any], rate: float) -> str:
    readers = row["readers"]
    where = "one node" if row["nodes"] == 1 else f"{row['nodes']} nodes"
    first = [max(one["cores"].values()) for one in readers]
    return (
        f"doors: to {where}: interval {row['interval_alone_s']:.3f} s undisturbed, {row['interval_loaded_s']:.3f} s "
        f"loaded, ratio {row['ratio']:.3f}; {rate:g} a second asked for, "
        f"{statistics.mean(one['a_second'] for one in readers):.0f} answered, "
        f"{sum(one['errors'] for one in readers)} errors; "
        f"p50 {statistics.median(one['p50_ms'] for one in readers):.1f} ms, "
        f"p95 {statistics.median(one['p95_ms'] for one in readers):.1f} ms; "
        f"the busiest node {statistics.mean(first):.2f} of a core"
    )


async def measure(net: Testnet, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    bench = Bench(net, arguments)

    async def is_up() -> bool:
        return await bench.height() >= HEIGHT_BEFORE

    await until("the first blocks", is_up, timeout_s=120)
    ways = {ONE: [1], FOUR: [len(net.nodes)], "both": [1, len(net.nodes)]}[arguments.to]
    rows = []
    for many in ways:
        rows.append(await bench.compare(many))
        say(line_of(rows[-1], arguments.rate))
    return rows


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.doors", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=1_000.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each minute")
    parser.add_argument("--rounds", type=int, default=2, help="minutes of each kind")
    parser.add_argument("--to", choices=(ONE, FOUR, "both"), default="both")
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--subscribers", type=int, default=SUBSCRIBERS)
    parser.add_argument("--json", type=Path, help="all figures, to a file")
    parser.add_argument("flags", nargs="*", help="of scripts/testnet, after --")
    arguments = parser.parse_args(words)
    with folder_of("doors") as folder, Testnet(folder / "net", *arguments.flags) as net:
        rows = run_campaign(measure(net, arguments))
    for row in rows:
        for one in row["readers"]:
            if one["errors"]:
                say(f"errors: {one['errors_by_kind']}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
