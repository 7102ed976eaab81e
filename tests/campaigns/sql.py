"""Writing into SQL under load: what it costs the node, and that no kill leaves a gap or writes anything twice.

First the same load on one validator without SQL and with it, in turn: CPU time of the node a payment, medians, and the
ratio; that of the process that writes; how far SQL is behind at the end. Then payments go on while, at random moments,
the node, the process that writes or the server is killed. At the end all that stands in SQL is held against the node's
own answers. Skipped aloud where there is no PostgreSQL server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from dchat.client.client import Client, ClientError
from dchat.client.wallet import Session
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.load import Sent, make_payments, make_senders, send_all
from dchat.devnet.network import Network, make_network
from dchat.home import identity
from tests.campaigns.harness import CampaignFailed, be_quiet, folder_of, run_campaign, say, until
from tests.support.node.running import QUICK, running_node
from tests.support.sql.compare import assert_same
from tests.support.sql.processes import worker_of
from tests.support.sql.server import Server, sql_server

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """node_us, worker_us: CPU time a payment."""

    payments: int
    node_us: float
    worker_us: float
    lag: int


class Node:
    """One validator of its own, as a process."""

    def __init__(self, folder: Path, url: str) -> None:
        """url: empty: it writes into no SQL."""
        self.network: Network = make_network(folder, validators=1, pace=QUICK, ports=free_ports(1))
        (self.entry,) = self.network.nodes
        if url:
            file = self.network.home_of(self.entry) / "validator-config.toml"
            file.write_text(f'{file.read_text()}\n[sql]\nconnection = "{url}"\n')
        self.pid = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.entry.ports.grpc}"

    async def start(self) -> None:
        self.pid = await asyncio.to_thread(processes.start, self.network, self.entry)
        await until("the node's first answer", self._answers, timeout_s=60)

    async def _answers(self) -> bool:
        try:
            async with Client(self.address) as client:
                return (await client.status()).latest_block_height > 0
        except ClientError:
            return False

    async def end(self, number: int) -> None:
        os.kill(self.pid, number)
        with contextlib.suppress(ChildProcessError):
            await asyncio.to_thread(os.waitpid, self.pid, 0)  # only then its databases are free

    async def lag(self) -> int:
        """-1: it does not answer, or does not know how far SQL is."""
        try:
            async with Client(self.address) as client:
                told = await client.status()
        except ClientError:
            return -1
        return told.sql.lag if told.sql.height else -1


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


async def load(node: Node, seconds: float, rate: float) -> int:
    """Payments through the node's door; returns how many were admitted."""
    purse = identity.load(node.network.folder / node.network.accounts["carol"]).wallet
    async with Client(node.address) as client:
        senders = await make_senders(client, purse, 40, label=str(time.time_ns()))
        facts = await Session(client, purse).facts()
        sent = Sent()
        txs = make_payments(senders, int(seconds * rate), chain_id=facts.chain_id, gas_price=facts.gas_price)
        await send_all(client, txs, sent, rate=rate)
        while (await client.status()).mempool_size:  # noqa: ASYNC110 - asked through the door
            await asyncio.sleep(0.1)
    return sent.admitted


async def cost_of(folder: Path, url: str, arguments: argparse.Namespace) -> Cost:
    node = Node(folder, url)
    await node.start()
    try:
        if url:
            await until("SQL is written to", lambda: _is(node, lambda lag: lag >= 0), timeout_s=60)
        worker = worker_of(node.pid)
        before = cpu_s(node.pid), cpu_s(worker) if worker else 0.0
        payments = await load(node, arguments.seconds, arguments.rate)
        node_s, lag = cpu_s(node.pid), await node.lag()  # what comes then is longer with SQL, and no part of the load
        if url:
            await until("SQL has caught up", lambda: _is(node, lambda lag: 0 <= lag <= 1), timeout_s=120)
        after = node_s, cpu_s(worker) if worker else 0.0
        node_us, worker_us = ((b - a) / payments * 1e6 for a, b in zip(before, after, strict=True))
        return Cost(payments, node_us, worker_us, lag)
    finally:
        await node.end(signal.SIGTERM)


async def _is(node: Node, condition: Callable[[int], bool]) -> bool:
    return condition(await node.lag())


async def compare_costs(folder: Path, server: Server, arguments: argparse.Namespace) -> None:
    found: dict[bool, list[Cost]] = {False: [], True: []}
    for number in range(2 * arguments.rounds):
        with_sql = bool(number % 2)
        url = server.new_database(f"cost_{number}") if with_sql else ""
        cost = await cost_of(folder / f"cost{number}", url, arguments)
        found[with_sql].append(cost)
        say(
            f"  {'with' if with_sql else 'without'} SQL: {cost.payments} payments, node {cost.node_us:.0f} us each"
            + (f", process that writes {cost.worker_us:.0f} us, {cost.lag} blocks behind at the end" * with_sql)
        )
    without, with_it = (statistics.median(cost.node_us for cost in found[kind]) for kind in (False, True))
    writing = statistics.median(cost.worker_us for cost in found[True])
    say(
        f"CPU of the node a payment, medians of {arguments.rounds}: {without:.0f} us without SQL, {with_it:.0f} with, "
        f"ratio {with_it / without:.3f}; of the process that writes {writing:.0f} us"
    )


async def kill_at_random(folder: Path, server: Server, arguments: argparse.Namespace, rng: random.Random) -> None:
    url = server.new_database("kills")
    node = Node(folder / "kills", url)
    await node.start()
    counts = {"node": 0, "worker": 0, "server": 0}
    admitted = 0
    for _ in range(arguments.kills):
        victim = rng.choice(list(counts))
        counts[victim] += 1
        loading = asyncio.ensure_future(load(node, 2.0, arguments.rate))
        await asyncio.sleep(rng.uniform(0.3, 3.0))
        if victim == "node":
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            await node.end(signal.SIGKILL)
            await node.start()
            continue
        if victim == "worker" and (worker := worker_of(node.pid)) is not None:
            os.kill(worker, signal.SIGKILL)
        if victim == "server":
            await asyncio.to_thread(server.stop, "immediate")
            await asyncio.sleep(rng.uniform(0, 2))
            await asyncio.to_thread(server.start)
        admitted += await loading
    await until("SQL has caught up", lambda: _is(node, lambda lag: 0 <= lag <= 1), timeout_s=240)
    await node.end(signal.SIGTERM)
    async with running_node(folder / "kills") as running, running.client() as client:
        height = await assert_same(client, server, url)
    ((payments,),) = server.ask(url, "SELECT count(*) FROM payments")
    say(f"killed: {counts}; {height} blocks with {payments} transfers in SQL are what the node answers, each once")
    if payments < admitted:
        raise CampaignFailed(f"{admitted} payments were admitted and none lost, and SQL has {payments}")


async def main(arguments: argparse.Namespace) -> None:
    be_quiet()
    say(f"seed {arguments.seed}")
    with sql_server() as server, folder_of("sql") as folder:
        await compare_costs(folder, server, arguments)
        await kill_at_random(folder, server, arguments, random.Random(arguments.seed))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs without and with SQL")
    parser.add_argument("--seconds", type=float, default=20.0, help="of load in each")
    parser.add_argument("--rate", type=float, default=300.0, help="payments a second")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    try:
        run_campaign(main(parser.parse_args()))
    except pytest.skip.Exception as skipped:
        say(f"SKIPPED: {skipped}")
