"""Two hundred subscribers and five hundred queries a second on one node of four validators, and hostile clients.

    python -m benchmarks.rpc [--seconds 20] [--rounds 3] [--fast] [--without-hostile] [--json FILE]

Four processes of the product with an operator's defaults (one option raised: so many subscribers), and a steady load of
payments through another node. In turn, several times: undisturbed, and with the clients, which are two processes of
their own. Told are the ratio of the medians of the mean intervals between blocks (by the headers' times), the queries'
times from the moment at which each was due, and the CPU of each process: all of them share this machine's cores, and
who has fewer of them measures the machine. Then the node runs anew with a clock around each callback of its loop
(`timed.py`), and hostile queries are asked one kind after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.rpc.hostile import attacked, hostile_calls
from benchmarks.rpc.timed import ask as callbacks_of
from benchmarks.rpc.wire import Http, request_of
from chain.currency.ledger.records import ACCOUNT
from consensus.formats.timestamps import parse_rfc3339
from crypto.bech32 import encode_address
from dchat.client.client import Client
from dchat.client.wallet import Session
from dchat.devnet import processes
from dchat.devnet.live import cpu_s, metrics_of, quantile
from dchat.devnet.load import Sent, make_payments, make_senders, send_all
from dchat.home import identity
from tests.campaigns.harness import CampaignFailed, Testnet, run_campaign, say, until

SENDERS: Final = 100
SETTLE_S: Final = 2.0  # after the clients came, and after they went
HOSTILE_S: Final = 2.0  # of each kind
LOAD_MORE_S: Final = 180.0  # payments beyond the rounds: the hostile queries come with them, too
PAGE: Final = 20  # headers of one `blockchain`
ASKED, OTHER = 1, 2  # the node that is asked, and one that is not
LAG: Final = "dchat_loop_lag_seconds"


def wanted(subscribers: int, addresses: list[str]) -> list[str]:
    """A query for each: half of them for blocks, a quarter each for all transactions and for one account's."""
    of_accounts = [f"tm.event = 'Tx' AND transfer.recipient = '{address}'" for address in addresses]
    kinds = ["tm.event = 'NewBlock'", "tm.event = 'Tx'", "tm.event = 'NewBlockHeader'", ""]
    return [kinds[n % 4] or of_accounts[(n // 4) % len(of_accounts)] for n in range(subscribers)]


@contextlib.contextmanager
def clients(kind: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Such a process, once it is ready; gone in the end."""
    command = [sys.executable, "-m", "benchmarks.rpc.clients", kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(options) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != "ready\n":
            raise CampaignFailed(f"the {kind} did not begin")
        yield process
    finally:
        process.kill()
        process.wait()


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it tells at its end."""
    told, _ = process.communicate(timeout=60)
    return dict(json.loads(told))


class Bench:
    """One network, its load, and what is measured of it."""

    def __init__(self, net: Testnet, arguments: argparse.Namespace) -> None:
        self.net, self.arguments = net, arguments
        self.addresses: list[str] = []
        self.keys: list[str] = []

    def port(self, index: int) -> int:
        return self.net.network.node(index).ports.rpc

    def metrics(self) -> dict[str, float]:
        node = self.net.network.node(ASKED)
        return metrics_of(f"{self.net.network.host}:{node.ports.http}")

    def cpu(self) -> dict[str, float]:
        nodes = {f"validator{node.index}": cpu_s(self.net.pid(node.index)) for node in self.net.nodes}
        return {**nodes, "load": cpu_s(os.getpid())}

    def restart_asked(self, module: str = "dchat") -> None:
        """With room for the subscribers."""
        network = self.net.network
        node = network.node(ASKED)
        processes.stop(network, (node,))
        file = network.home_of(node) / "validator-config.toml"
        option = f"\n[rpc]\nmax_subscription_clients = {self.arguments.subscribers}\n"
        if option not in (text := file.read_text()):
            file.write_text(text + option)
        processes.start(network, node, module=module)

    async def up(self) -> None:
        async def is_up() -> bool:
            heights = [await self.net.height(node.index) for node in self.net.nodes]
            return min(heights) >= max(3, max(heights) - 2)

        await until("all nodes at one height", is_up, timeout_s=120)
        await asyncio.sleep(SETTLE_S)

    async def gaps_ms(self, first: int, last: int) -> list[float]:
        """Between the headers' times of these heights, as another node tells them."""
        http = Http(self.net.network.host, self.port(OTHER))
        await http.open()
        times: dict[int, int] = {}
        for top in range(last, first - 1, -PAGE):
            asked = {"minHeight": str(max(first, top - PAGE + 1)), "maxHeight": str(top)}
            _, text = await http.ask(request_of("blockchain", asked))
            for meta in json.loads(text)["result"]["block_metas"]:
                times[int(meta["header"]["height"])] = parse_rfc3339(meta["header"]["time"])
        http.close()
        return [(times[height] - times[height - 1]) / 1e6 for height in sorted(times) if height - 1 in times]

    async def phase(self, *, loaded: bool) -> dict[str, Any]:
        options = {"host": self.net.network.host, "port": self.port(ASKED)}
        told: dict[str, Any] = {}
        with contextlib.ExitStack() as stack:
            running: dict[str, subprocess.Popen[str]] = {}
            if loaded:
                queries = wanted(self.arguments.subscribers, self.addresses[:10])
                heard = clients("subscribers", **options, wanted=queries)
                running["subscribers"] = await asyncio.to_thread(stack.enter_context, heard)
                asked = clients(
                    "queries", **options, rate=self.arguments.rate, addresses=self.addresses, keys=self.keys
                )
                running["queries"] = await asyncio.to_thread(stack.enter_context, asked)
            await asyncio.sleep(SETTLE_S)
            first, lag, before, began = await self.net.height(OTHER), self.metrics(), self.cpu(), time.monotonic()
            await asyncio.sleep(self.arguments.seconds)
            last, after, seconds = await self.net.height(OTHER), self.cpu(), time.monotonic() - began
            told["loop_ticks"] = ticks(lag, self.metrics())
            told["clients"] = {name: await asyncio.to_thread(ended, one) for name, one in running.items()}
        gaps = await self.gaps_ms(first, last)
        told |= {
            "blocks": len(gaps), "mean_ms": statistics.mean(gaps), "median_ms": statistics.median(gaps),
            "p95_ms": quantile(gaps, 0.95), "cpu_percent": {n: 100 * (after[n] - before[n]) / seconds for n in before},
        }  # fmt: skip
        for name, one in told["clients"].items():
            told["cpu_percent"][name] = 100 * one["cpu_s"] / one["seconds"]
        await asyncio.sleep(SETTLE_S)
        return told

    async def hostile(self) -> list[dict[str, Any]]:
        self.restart_asked("benchmarks.rpc.timed")
        await self.up()
        host, home, pid = self.net.network.host, self.net.network.home_of(self.net.nodes[0]), self.net.pid(ASKED)
        rows = []
        for what in hostile_calls(await self.net.height(ASKED)):
            row = await attacked(host, self.port(ASKED), what, HOSTILE_S, lambda: callbacks_of(pid, home))
            rows.append(row)
            say(line_of(row))
        return rows


def ticks(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """How many of the loop's timers came later than 10 ms, in percent, by its own metric; and the longest of late."""
    count = after[f"{LAG}_count"] - before[f"{LAG}_count"]
    within = {le: after[f'{LAG}_bucket{{le="{le}"}}'] - before[f'{LAG}_bucket{{le="{le}"}}'] for le in ("0.01", "0.05")}
    late = {f"over_{le}_s_percent": 100 * (1 - one / count) for le, one in within.items()}
    return {**late, "recent_max_ms": 1e3 * after["dchat_loop_lag_recent_max_seconds"]}


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    pace = ["--fast"] if arguments.fast else []
    result: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "pace": "--fast" if arguments.fast else "defaults: block_time 3 s, a payment starts a block after 0.2 s",
        "subscribers": arguments.subscribers, "queries_a_second": arguments.rate,
        "payments_a_second": arguments.payments,
    }  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="dchat-rpc-") as folder,
        Testnet(Path(folder) / "net", *pace) as net,
    ):
        bench = Bench(net, arguments)
        bench.restart_asked()
        await bench.up()
        async with Client(net.grpc(OTHER)) as client:
            source = identity.load(net.home / net.network.accounts["alice"]).wallet
            senders = await make_senders(client, source, SENDERS, label=str(time.time_ns()))
            bench.addresses = [encode_address(one.wallet.address) for one in senders]
            bench.keys = [(bytes(ACCOUNT) + one.wallet.address).hex() for one in senders]
            facts = await Session(client, source).facts()
            lasts_s = 2 * arguments.rounds * (arguments.seconds + 4 * SETTLE_S) + LOAD_MORE_S
            count = int(arguments.payments * lasts_s)
            txs = make_payments(senders, count, chain_id=facts.chain_id, gas_price=facts.gas_price)
            load = asyncio.create_task(send_all(client, txs, Sent(), rate=arguments.payments))
            try:
                await asyncio.sleep(SETTLE_S)
                result |= await rounds_of(bench, arguments)
            finally:
                load.cancel()
                await asyncio.gather(load, return_exceptions=True)
        await net.check_agreement()
    return result


async def rounds_of(bench: Bench, arguments: argparse.Namespace) -> dict[str, Any]:
    rounds = []
    for number in range(arguments.rounds):
        one = {name: await bench.phase(loaded=name == "loaded") for name in ("undisturbed", "loaded")}
        rounds.append(one)
        say(f"round {number + 1}: " + ", ".join(f"{name} {told['mean_ms']:.1f} ms" for name, told in one.items()))
    return {"rounds": rounds, "hostile": [] if arguments.without_hostile else await bench.hostile()}


def judged(result: dict[str, Any]) -> dict[str, Any]:
    """The figures that are asked for."""
    rounds = result["rounds"]
    quiet, loaded = ([one[name] for one in rounds] for name in ("undisturbed", "loaded"))
    mean = {name: statistics.median(one["mean_ms"] for one in some) for name, some in
            (("undisturbed", quiet), ("loaded", loaded))}  # fmt: skip
    asked = [one["clients"]["queries"] for one in loaded]
    heard = [one["clients"]["subscribers"] for one in loaded]
    took = {name: [ms for one in asked for ms in one["took_ms"].get(name, [])] for name in asked[0]["took_ms"]}
    every = [ms for some in took.values() for ms in some]
    seconds = sum(one["seconds"] for one in asked)
    cpu = {name: statistics.median(one["cpu_percent"][name] for one in loaded) for name in loaded[0]["cpu_percent"]}
    idle = {name: statistics.median(one["cpu_percent"][name] for one in quiet) for name in quiet[0]["cpu_percent"]}
    return {
        "interval_ms": mean, "interval_ratio": mean["loaded"] / mean["undisturbed"],
        "queries_a_second": len(every) / seconds,
        "query_ms": {name: {"p50": quantile(some, 0.5), "p95": quantile(some, 0.95), "p99": quantile(some, 0.99)}
                     for name, some in {"all": every, **took}.items()},
        "query_p95_ms_by_round": [quantile([ms for some in one["took_ms"].values() for ms in some], 0.95)
                                  for one in asked],
        "wrong": sum(sum(one["wrong"].values()) for one in asked),
        "wrong_first": [text for one in asked for text in list(one["wrong"])[:2]],
        "events_a_second": sum(sum(one["events"].values()) / one["seconds"] for one in heard) / len(heard),
        "subscriptions_ended": [text for one in heard for text in one["ended_early"]],
        "cpu_percent": {"undisturbed": idle, "loaded": cpu},
        "loop_ticks": {name: [one["loop_ticks"] for one in some] for name, some in
                       (("undisturbed", quiet), ("loaded", loaded))},
    }  # fmt: skip


def show(result: dict[str, Any]) -> None:
    told = result["told"]
    mean, cpu = told["interval_ms"], told["cpu_percent"]
    say(f"\npace: {result['pace']}; {result['payments_a_second']:g} payments a second")
    say(f"blocks apart, mean: {mean['undisturbed']:.1f} ms undisturbed, {mean['loaded']:.1f} with "
        f"{result['subscribers']} subscribers and {told['queries_a_second']:.0f} queries a second: "
        f"ratio {told['interval_ratio']:.3f} (asked: up to 1.1)")  # fmt: skip
    say(f"{told['events_a_second']:.0f} events a second; {told['wrong']} queries refused or wrong; "
        f"{len(told['subscriptions_ended'])} subscriptions ended")  # fmt: skip
    for name, one in told["query_ms"].items():
        say(f"  {name:24} p50 {one['p50']:7.1f}  p95 {one['p95']:7.1f}  p99 {one['p99']:7.1f} ms")
    for name in ("undisturbed", "loaded"):
        say(f"CPU, percent of a core, {name}: " + ", ".join(f"{who} {part:.0f}" for who, part in cpu[name].items()))
        late = [
            f"{one['over_0.01_s_percent']:.1f}/{one['over_0.05_s_percent']:.1f}" for one in told["loop_ticks"][name]
        ]
        say(f"  timers of the node's loop over 10 and 50 ms late, percent, by round: {', '.join(late)}")
    for row in result.get("hostile", []):
        say("  " + line_of(row))


def line_of(row: dict[str, Any]) -> str:
    """Of a hostile query."""
    loop, mostly = row["loop"], max(row["outcomes"], key=row["outcomes"].get)
    longest = loop["longest"][0] if loop["longest"] else {"own_ms": 0.0, "name": "nothing over 2 ms"}
    held = f"loop held {longest['own_ms']:5.1f} ms ({longest['name']})"
    collector = f"collector {loop['gc_longest_ms']:.1f} ms (generation {loop['gc_generation']})"
    health = f"health p95 {row['health']['p95_ms']:.1f} ms"
    return f"{row['name']:32} {row['asked']:5} asked; {held}; {collector}; {health}; mostly {mostly}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each part")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--subscribers", type=int, default=200)
    parser.add_argument("--rate", type=float, default=500.0, help="queries a second")
    parser.add_argument("--payments", type=float, default=50.0, help="a second")
    parser.add_argument("--fast", action="store_true", help="no waiting between blocks")
    parser.add_argument("--without-hostile", action="store_true")
    parser.add_argument("--json", type=Path, help="also write all of it here")
    arguments = parser.parse_args()
    result = run_campaign(measure(arguments))
    result["told"] = judged(result)
    show(result)
    for one in result["rounds"]:
        one["loaded"]["clients"]["queries"].pop("took_ms")
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    sys.stdout.write(json.dumps(result["told"]) + "\n")


if __name__ == "__main__":
    main()
