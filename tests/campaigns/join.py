"""Must be shown 2: a fresh node joins a network under load, by block sync from genesis and by state sync.

    scripts/campaign join --heights 5000 --accounts 100000 --seed 1

Four real validators with a genesis of so many accounts come to the height: most of the heights with few payments in
each (that is what makes 5,000 of them in minutes), the last tenth under the full load. Then, while that load goes on, a
new node joins, once by each way, one after the other. Time to caught up is from the start of its process to the first
/ready with 200. Blocks and transactions a second are of what it applied in that time. Beside them the verification
floor: Ed25519 checks a second of two threads of this process with nothing else to do, once before the network is there
and once while it runs under the load; what a join could reach at most is between the two. Quote ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from consensus.p2p.conn.node_key import NodeKey
from consensus.types.header import Header
from crypto.batch import verify_many
from crypto.keys import Ed25519PrivKey
from dchat.client.client import Client
from dchat.client.wallet import Session
from dchat.devnet.leases import free_ports
from dchat.devnet.live import cpu_s, metrics_of
from dchat.devnet.load import Sender, Sent, make_payments, make_senders, send_all
from dchat.devnet.network import NodeEntry, Pace, Ports, make_network, node_config
from dchat.home import identity
from dchat.home.home import Home, make_keys
from tests.campaigns.harness import ROOT, CampaignFailed, Testnet, folder_of, run_campaign, say, until

SENDERS = 100
LOADED_SHARE = 0.1  # of the heights
FLOOR_CHECKS = 4_000  # of each thread
LISTED_MAX = 100  # headers of one call
JOIN_S = 600.0
POLL_S = 0.1
BLOCK_SYNC, STATE_SYNC = "block sync", "state sync"


def checks_a_second(threads: int = 2) -> float:
    """Ed25519 checks of so many threads, as the product makes them; of many keys: a batch of one is half the work."""
    seeds = [n.to_bytes(32, "big") for n in range(FLOOR_CHECKS)]
    items = [(key.pub_key, seed, key.sign(seed)) for seed in seeds for key in [Ed25519PrivKey.from_seed(seed)]]
    with ThreadPoolExecutor(threads) as pool:
        began = time.monotonic()
        for told in pool.map(verify_many, [items] * threads):
            assert all(told)
        return threads * FLOOR_CHECKS / (time.monotonic() - began)


@dataclass
class Loading:
    """Payments at a rate, which may be set anew, through all doors, until it is stopped."""

    net: Testnet
    senders: list[Sender]
    rate: float
    sent: Sent = field(default_factory=Sent)

    async def run(self) -> None:
        clients = [Client(self.net.grpc(node.index)) for node in self.net.nodes]
        try:
            facts = await Session(clients[0], self.senders[0].wallet).facts(refresh=True)
            while True:
                count = max(len(self.senders), int(2 * self.rate))
                txs = make_payments(self.senders, count, chain_id=facts.chain_id, gas_price=facts.gas_price)
                shares = [
                    [tx for n, tx in enumerate(txs) if (n % len(self.senders)) % len(clients) == door]
                    for door in range(len(clients))
                ]
                await asyncio.gather(
                    *(
                        send_all(client, share, self.sent, rate=self.rate / len(clients))
                        for client, share in zip(clients, shares, strict=True)
                    )
                )
        finally:
            for client in clients:
                await client.close()

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.run(), name="load")
        try:
            yield
        finally:
            if task.done():
                task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self.sent.refused:
            raise CampaignFailed(f"payments were refused: {dict(self.sent.refused)}")


async def headers(client: Client, first: int, last: int) -> list[tuple[int, int]]:
    """(height, transactions) of each block."""
    found: list[tuple[int, int]] = []
    while last >= first:
        answer = await client.blocks(max_height=last, limit=min(LISTED_MAX, last - first + 1))
        rows = [(Header.from_proto(block.header).height, block.num_txs) for block in answer.blocks]
        found += [row for row in rows if row[0] >= first]
        last = rows[-1][0] - 1
    return found


def ask(port: int, path: str) -> tuple[int, dict[str, Any]]:
    """(0, {}) when it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, dict(json.load(answer))
    except urllib.error.HTTPError as error:
        return error.code, dict(json.load(error))
    except OSError:
        return 0, {}


@dataclass
class Joiner:
    """A home beside the network's, of a node that is no validator."""

    net: Testnet
    folder: Path
    ports: Ports
    way: str

    def make(self, trust: str) -> None:
        home, network = Home.of(self.folder), self.net.network
        self.folder.mkdir()
        make_keys(home)
        identity.generate().save(home.identity)
        home.genesis.write_bytes(Home.of(self.net.homes[0]).genesis.read_bytes())
        entry = NodeEntry(99, self.way, str(self.folder), NodeKey.load(home.node_key).id, "", self.ports)
        text = node_config(replace(network, nodes=(*network.nodes, entry)), entry, Pace.fast())
        if self.way == STATE_SYNC:
            text += f'\n[state_sync]\nenable = true\ntrust = "{trust}"\ndiscovery_time = 1\n'
        home.config_file.write_text(text)

    @contextlib.contextmanager
    def running(self) -> Any:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        words = [sys.executable, "-m", "dchat", "--home", str(self.folder), "validator"]
        with (self.folder / "validator.log").open("w") as out:
            process = subprocess.Popen(words, stdout=out, stderr=out, env=environment)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    async def until_ready(self, process: subprocess.Popen[bytes], told: dict[str, Any]) -> float:
        """Seconds; what the doors said on the way goes to `told`. Raises CampaignFailed."""
        began, reasons = time.monotonic(), dict[str, None]()

        async def is_ready() -> bool:
            if process.poll() is not None:
                raise CampaignFailed(f"the node that joins ended: {self.tail()}")
            code, answer = await asyncio.to_thread(ask, self.ports.http, "/ready")
            if (progress := answer.get("state_sync")) is not None:
                told.setdefault("phases", {}).setdefault(progress["phase"], round(time.monotonic() - began, 1))
            elif answer and "restored_s" not in told:
                told["restored_s"] = time.monotonic() - began
            if reason := answer.get("reason"):
                reasons[reason] = None
            return code == 200

        await until(f"{self.way}: caught up", is_ready, timeout_s=JOIN_S, poll_s=POLL_S)
        seconds = time.monotonic() - began
        told["reasons"] = list(reasons)
        if self.way == STATE_SYNC:
            told |= self.restored()
        return seconds

    def restored(self) -> dict[str, int]:
        """As its log says. Raises CampaignFailed: it was not restored from a snapshot."""
        line = r'event="restored a snapshot" height=(\d+) chunks=(\d+) fetched=\d+ bytes=(\d+) '
        found = re.search(line, (self.folder / "validator.log").read_text())
        if found is None:
            raise CampaignFailed(f"it joined without a snapshot: {self.tail()}")
        return dict(zip(("snapshot_height", "chunks", "bytes"), map(int, found.groups()), strict=True))

    def tail(self) -> str:
        return (self.folder / "validator.log").read_text()[-2_000:]


async def join(joiner: Joiner, client: Client, trust: str) -> dict[str, Any]:
    """One join, measured."""
    net = joiner.net
    joiner.make(trust)
    pids = {node.name: net.pid(node.index) for node in net.nodes} | {"load": os.getpid()}
    before, began = {name: cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
    told: dict[str, Any] = {}
    with joiner.running() as process:
        seconds = await joiner.until_ready(process, told)
        used = {name: cpu_s(pid) - before[name] for name, pid in pids.items()} | {"joiner": cpu_s(process.pid)}
        height = ask(joiner.ports.http, "/status")[1]["latest_block_height"]
        metrics = metrics_of(f"127.0.0.1:{joiner.ports.http}")
        await same_chain(joiner, client)
    first = told.get("snapshot_height", 0) + 1
    rows = await headers(client, first, height)
    done_in = seconds - (told.get("restored_s", 0.0) if joiner.way == STATE_SYNC else 0.0)
    txs = sum(count for _, count in rows)
    received = int(metrics['dchat_network_bandwidth_bytes_total{direction="in"}'] + told.get("bytes", 0))
    result = {
        "way": joiner.way, "caught_up_s": round(seconds, 1), "height": height, "blocks": len(rows), "transactions": txs,
        "blocks_per_s": round(len(rows) / done_in, 1), "transactions_per_s": round(txs / done_in, 1), "bytes": received,
        "cpu_share": {name: round(value / (time.monotonic() - began), 2) for name, value in used.items()},
    }  # fmt: skip
    if joiner.way == STATE_SYNC:
        result |= {
            "snapshot_height": told["snapshot_height"], "chunks": told["chunks"], "snapshot_bytes": told["bytes"],
            "restored_s": round(told["restored_s"], 1), "phases_began_s": told["phases"],
        }  # fmt: skip
    say(json.dumps(result))
    return result


async def same_chain(joiner: Joiner, client: Client) -> None:
    """That it has what the validators have, and goes on with them. Raises CampaignFailed."""
    seen = (await client.status()).latest_block_height

    async def follows() -> bool:
        return int(ask(joiner.ports.http, "/status")[1].get("latest_block_height", 0)) > seen

    await until(f"{joiner.way}: a block more", follows, timeout_s=60)
    async with Client(f"127.0.0.1:{joiner.ports.grpc}") as own:
        height = (await own.status()).latest_block_height
        await client.wait_for_height(height)
        ours, theirs = [(await one.commit(height)).light_block.signed_header.header for one in (own, client)]
    if ours != theirs:
        raise CampaignFailed(f"{joiner.way}: header {height} is another than the validators have")


async def bring_to(net: Testnet, height: int, deadline: float) -> None:
    async def is_there() -> bool:
        if time.monotonic() > deadline:
            raise CampaignFailed(f"height {await net.height(1)} of {height} when the time for it was over")
        return await net.height(1) >= height

    await until(f"height {height}", is_there, timeout_s=JOIN_S * 2, poll_s=0.2)


def prepare(folder: Path, *, validators: int, accounts: int, seed: int, interval: int, pace: Pace) -> None:
    """Homes and genesis."""
    rng = random.Random(seed)
    more = {rng.randbytes(20): 1 + rng.randrange(10**9) for _ in range(accounts)}
    network = make_network(folder, validators=validators, pace=pace, ports=free_ports(validators), more_balances=more)
    for node in network.nodes:
        with Home.of(network.home_of(node)).config_file.open("a") as file:
            file.write(f"\n[snapshots]\ninterval = {interval}\nkeep_recent = 3\n")


async def run(
    folder: Path, *, heights: int, accounts: int, seed: int, validators: int = 4, calm: float = 20.0,
    rate: float = 150.0, minutes: float = 9.0, pace: Pace | None = None,
) -> dict[str, Any]:  # fmt: skip
    """minutes: for coming to the height. pace: by default as --fast."""
    result: dict[str, Any] = {"heights": heights, "accounts": accounts, "validators": validators, "rate": rate}
    result["floor_alone_per_s"] = round(checks_a_second())
    prepare(
        folder / "net",
        validators=validators,
        accounts=accounts,
        seed=seed,
        interval=max(8, heights // 10),
        pace=pace or Pace.fast(),
    )
    began = time.monotonic()
    with Testnet(folder / "net") as net:
        async with Client(net.grpc(1)) as client:
            source = identity.load(net.home / net.network.accounts["alice"]).wallet
            senders = await make_senders(client, source, SENDERS, label=f"join {seed}")
            funded, deadline = await net.height(1), began + 60 * minutes

            async def all_know_them() -> bool:
                return min([await net.height(node.index) for node in net.nodes]) >= funded

            await until("every validator has the senders", all_know_them, timeout_s=JOIN_S)  # some began later
            loading = Loading(net, senders, calm)
            async with loading.going_on():
                await bring_to(net, int(heights * (1 - LOADED_SHARE)), deadline)
                say(f"height {await net.height(1)} after {time.monotonic() - began:.0f} s, {calm:g} payments a second")
                loading.rate = rate
                await bring_to(net, heights, deadline)
                result["height_after_s"] = round(time.monotonic() - began)
                say(f"height {await net.height(1)} after {time.monotonic() - began:.0f} s, {rate:g} payments a second")
                result["floor_under_load_per_s"] = round(await asyncio.to_thread(checks_a_second))
                commit = await client.commit(2)
                trust = f"2:{Header.from_proto(commit.light_block.signed_header.header).hash.hex()}"
                (folder / "joiners").mkdir()
                for way in (STATE_SYNC, BLOCK_SYNC):
                    joiner = Joiner(net, folder / "joiners" / way.replace(" ", "-"), free_ports(1)[0], way)
                    result[way] = await join(joiner, client, trust)
            result["agreeing_heights"] = await net.check_agreement()
    return result


def show(result: dict[str, Any]) -> None:
    say(f"genesis of {result['accounts']} accounts; height {result['heights']} after {result['height_after_s']} s")
    alone, loaded = result["floor_alone_per_s"], result["floor_under_load_per_s"]
    say(f"Ed25519 checks a second, two threads: {alone} alone, {loaded} beside the network under load")
    for way in (BLOCK_SYNC, STATE_SYNC):
        told = result[way]
        say(
            f"{way}: caught up at height {told['height']} after {told['caught_up_s']} s; {told['blocks']} blocks with "
            f"{told['transactions']} transactions, {told['blocks_per_s']} and {told['transactions_per_s']} a second "
            f"({told['transactions_per_s'] / loaded:.0%} of the floor beside it), {told['bytes']} bytes; CPU shares "
            f"{told['cpu_share']}"
        )
    told = result[STATE_SYNC]
    say(
        f"  of the state sync: snapshot of height {told['snapshot_height']}, {told['chunks']} chunks, "
        f"{told['snapshot_bytes']} bytes; restored after {told['restored_s']} s; phases began {told['phases_began_s']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heights", type=int, default=5_000)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calm", type=float, default=20.0, help="payments a second while most heights are made")
    parser.add_argument("--rate", type=float, default=150.0, help="payments a second in the last tenth and after")
    parser.add_argument("--minutes", type=float, default=9.0, help="for coming to the height")
    parser.add_argument("--json", type=Path, help="also write the result here")
    said = parser.parse_args()
    with folder_of("join") as folder:
        work = run(
            folder, heights=said.heights, accounts=said.accounts, seed=said.seed, calm=said.calm, rate=said.rate,
            minutes=said.minutes,
        )  # fmt: skip
        result = run_campaign(work)
    show(result)
    text = json.dumps(result, indent=2)
    if said.json:
        said.json.write_text(text + "\n")
    say(text)


if __name__ == "__main__":
    main()
