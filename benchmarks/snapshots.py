"""What taking snapshots costs a network under load: the same payments with none and with one after another, in turn.

    python -m benchmarks.snapshots [--seconds 15] [--rounds 3] [--accounts 20000] [--every 10] [--json FILE]

Four real processes with a genesis of so many accounts, so that a snapshot takes as long as it does in real life. Each
round starts them without snapshots, then with one each so many heights (one begins as soon as the one before is done),
and loads them as fast as they take payments. Told: payments a second and CPU a payment, by round, and the ratio of the
medians. Ratios count: machines differ and are shared.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from dchat.client.client import Client
from dchat.devnet.live import metrics_of, run_load
from dchat.devnet.load import make_senders
from dchat.devnet.network import Pace
from dchat.home import identity
from dchat.home.home import Home
from tests.campaigns.harness import Testnet, run_campaign, say
from tests.campaigns.join import prepare

SENDERS = 200
WARM_UP_TXS = 1_000
OFF, ON = "without", "with"


def set_interval(net: Testnet, every: int) -> None:
    for home in net.homes:
        file = Home.of(home).config_file
        file.write_text(re.sub(r"(?m)^interval = \d+$", f"interval = {every}", file.read_text()))


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    rows: dict[str, list[dict[str, Any]]] = {OFF: [], ON: []}
    with tempfile.TemporaryDirectory(prefix="dchat-bench-") as name:
        folder = Path(name) / "net"
        prepare(folder, validators=4, accounts=arguments.accounts, seed=1, interval=0, pace=Pace.fast())
        with Testnet(folder) as net:
            doors = [net.grpc(node.index) for node in net.nodes]
            async with Client(doors[0]) as client:
                source = identity.load(net.home / net.network.accounts["alice"]).wallet
                senders = await make_senders(client, source, SENDERS, label=str(time.time_ns()))
            for number in range(arguments.rounds):
                for what, every in ((OFF, 0), (ON, arguments.every)):
                    net.run("stop")
                    set_interval(net, every)
                    net.run("--detach")
                    pids = {node.name: net.pid(node.index) for node in net.nodes}
                    await run_load(doors, senders, WARM_UP_TXS, rate=0, pids={})
                    load = (
                        await run_load(doors, senders, int(arguments.seconds * arguments.guess), rate=0, pids=pids)
                    ).row()
                    made = sum(
                        metrics_of(f"{net.network.host}:{node.ports.http}").get("dchat_snapshots_made_total", 0.0)
                        for node in net.nodes
                    )
                    cpu = statistics.mean(load["cpu_us_per_tx"].values())
                    row = {"per_second": load["per_second"], "cpu_us_per_tx": round(cpu), "snapshots": int(made)}
                    rows[what].append(row)
                    say(f"round {number + 1}, {what} snapshots: {json.dumps(row)}")
    medians = {
        what: {key: statistics.median(row[key] for row in found) for key in ("per_second", "cpu_us_per_tx")}
        for what, found in rows.items()
    }
    return {
        "rounds": rows, "medians": medians,
        "payments_ratio": round(medians[ON]["per_second"] / medians[OFF]["per_second"], 3),
        "cpu_ratio": round(medians[ON]["cpu_us_per_tx"] / medians[OFF]["cpu_us_per_tx"], 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each load, about")
    parser.add_argument("--guess", type=float, default=400.0, help="payments a second to prepare")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=10, help="heights between two snapshots")
    parser.add_argument("--json", type=Path, help="also write the result here")
    arguments = parser.parse_args()
    result = run_campaign(measure(arguments))
    say(
        f"with snapshots {result['payments_ratio']:.1%} of the payments a second that there are without, "
        f"{result['cpu_ratio']:.1%} of the CPU a payment"
    )
    text = json.dumps(result, indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    say(text)


if __name__ == "__main__":
    main()
