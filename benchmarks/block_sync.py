"""Block sync: a fresh node fetches a chain of full blocks from peers over loopback, beside the floor of the same run.

    python -m benchmarks.block_sync [--blocks 200] [--payments 500] [--senders 200] [--peers 2] [--runs 3]

A chain of four validators is made by the product's executor (and kept in the folder, to be used again). Full nodes'
processes serve it, a fresh node's process syncs it: real processes, p2p, LevelDB and syncs. Printed: blocks and
payments a second from the first block applied to the last, CPU of a payment, and the rate at which the two cores verify
the same signatures, by libsodium, in two threads and in two processes, just before and after. What each stage of a
payment takes is measured in this process, one thread. Quote ratios: machines differ and are shared.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.state.store import Stores
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import Payment
from consensus.abci.interface import SignatureCheck
from consensus.channels.peer_messages import BlockResponse
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor, save_decided
from consensus.execution.handshake import handshake
from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.node_key import NodeKey
from consensus.state.state import State
from consensus.state.validation import make_block
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.sync.fetched import decode_fetched, prove
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.system.failpoints import no_fail_point
from consensus.system.files import write_new
from consensus.types.block import Block, BlockBounds, Commit
from consensus.types.commit import FLAG_COMMIT, CommitSig
from consensus.types.vote import PRECOMMIT, Vote
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey, ed25519_verify
from dchat.app.app import DchatApplication
from dchat.config import Config
from dchat.devnet import processes
from dchat.devnet.live import CLOCK_TICKS, cpu_s
from dchat.devnet.network import Network, NodeEntry, Pace, Ports, node_config
from dchat.home.home import Home, load_genesis, make_keys, write_genesis
from dchat.node.runtime import DATABASES, Databases
from genesis.build import build_genesis, stake_of
from tests.campaigns.harness import be_quiet, say
from tests.support.engine.kvapp import ListPool

CHAIN_ID = "block-sync"
KEYS = [Ed25519PrivKey.from_seed(sha256(b"block sync validator %d" % index)) for index in range(4)]
NODES = 3  # two that serve, and one that has nothing yet
POLL_S = 0.05
FLOOR_CHECKS = 8_000
STAGE_BLOCKS = 20
PORTS_FROM = 21_700
TIMEOUT_S = 120.0


# ------------------------------------------------------------------------------------------------ the chain


def payments_of(wallets: Sequence[Wallet]) -> Iterator[bytes]:
    """Without end, from each account in turn to another."""
    for sequence in itertools.count():
        for at, wallet in enumerate(wallets):
            message = Payment(wallet.address, wallets[at - 1].address, 1 + sequence % 1_000)
            seat = Seat(wallet, sequence, with_policy=sequence == 0)
            yield build_tx(chain_id=CHAIN_ID, messages=[message], seats=[seat], gas_price=100_000)


def make_homes(folder: Path, wallets: Sequence[Wallet], *, blocks: int) -> None:
    """None of them is a validator's: those are asleep."""
    document = build_genesis(
        chain_id=CHAIN_ID,
        time_ns=time.time_ns() - (blocks + 86_400) * NS_PER_S,
        stakes=[
            stake_of(wallets[index].address, key.pub_key.bytes, 1_000_000, moniker=f"validator{index}")
            for index, key in enumerate(KEYS)
        ],
        balances={wallet.address: 10**15 for wallet in wallets},
    )
    for index in range(1, NODES + 1):
        home = Home.of(folder / f"node{index}")
        make_keys(home)
        write_genesis(home, document.dumps())


def network_of(folder: Path) -> Network:
    nodes = []
    for index in range(1, NODES + 1):
        home = Home.of(folder / f"node{index}")
        ports = Ports.after(PORTS_FROM, index)
        nodes.append(NodeEntry(index, home.root.name, home.root.name, NodeKey.load(home.node_key).id, "", ports))
    return Network(folder, CHAIN_ID, "127.0.0.1", tuple(nodes), {})


def write_configs(network: Network, peers: int) -> None:
    """Of the node that syncs, with as many peers, and of these, which know nobody."""
    fresh = network.nodes[-1]
    for node in (*network.nodes[:peers], fresh):
        known = network.nodes[:peers] if node is fresh else ()
        told = node_config(Network(network.folder, CHAIN_ID, network.host, (node, *known), {}), node, Pace())
        home = Home.of(network.folder / node.home)
        home.config_file.unlink(missing_ok=True)
        write_new(home.config_file, told.replace("[p2p]", "[p2p]\npex = false\nallow_duplicate_ip = true"))


def commit_of(state: State, block: Block) -> Commit:
    keys = {key.pub_key.address: key for key in KEYS}
    time_ns, slots = block.header.time_ns + NS_PER_S, []
    for validator in state.validators:
        vote = Vote(PRECOMMIT, block.height, 0, block.block_id, time_ns, validator.address)
        signature = keys[validator.address].sign(vote.sign_bytes(CHAIN_ID))
        slots.append(CommitSig(FLAG_COMMIT, validator.address, time_ns, signature))
    return Commit(block.height, 0, block.block_id, tuple(slots))


def executor_of(databases: Databases) -> BlockExecutor:
    app = DchatApplication(Stores(databases.app))
    blocks, states = BlockStore(databases.blocks), StateStore(databases.state)
    evidence = EvidencePool(databases.state, blocks, states)
    return BlockExecutor(
        app, blocks, states, pool=ListPool(), evidence=evidence, workers=InlineWorkers(), clock=LoopClock(),
        signatures=evidence.signatures,
    )  # fmt: skip


async def make_chain(network: Network, wallets: Sequence[Wallet], *, blocks: int, payments: int) -> None:
    """Executed as proposals are, so that each block is one that validators would vote for; into the first home."""
    home = Home.of(network.folder / network.nodes[0].home)
    databases = Databases.open(home.databases, Config())
    try:
        executor = executor_of(databases)
        state, commit, txs = await handshake(load_genesis(home), executor, software="x"), Commit(), payments_of(wallets)
        for _ in range(blocks):
            proposer = state.validators.proposer_of(0).address
            taken = tuple(itertools.islice(txs, payments))
            block = make_block(state, txs=taken, last_commit=commit, evidence=(), proposer_address=proposer)
            answer = await executor.process(state, block)
            assert answer.accepted, answer.reason
            commit = commit_of(state, block)
            save = save_decided(
                executor.blocks, None, no_fail_point, block=block, parts=block.part_set(), commit=commit, extended=None
            )
            state = await executor.apply(state, block, block.block_id, save=save)
    finally:
        databases.close()


def chain_in(folder: Path, *, blocks: int, payments: int, senders: int) -> Network:
    """Made, or the one of before."""
    place = folder / f"chain-{blocks}-{payments}-{senders}"
    if not (place / "done").exists():
        shutil.rmtree(place, ignore_errors=True)
        wallets = [Wallet.from_seed(sha256(b"block sync %d" % number)) for number in range(senders)]
        make_homes(place, wallets, blocks=blocks)
        network = network_of(place)
        began = time.monotonic()
        asyncio.run(make_chain(network, wallets, blocks=blocks, payments=payments))
        for name in DATABASES:
            source = Home.of(place / network.nodes[0].home).databases / name
            shutil.copytree(source, Home.of(place / network.nodes[1].home).databases / name)
        (place / "done").touch()
        say(f"made {blocks} blocks of {payments} payments in {time.monotonic() - began:.0f} s")
    return network_of(place)


# ------------------------------------------------------------------------------------------------ one sync


@dataclass(frozen=True)
class Run:
    """seconds: from the first block applied to the last but one, which is as far as block sync goes."""

    blocks: int
    payments: int
    seconds: float
    whole_seconds: float  # from the start of the process
    cpu_us: float  # of the node a payment, its children included
    peers_cpu_us: float

    @property
    def per_second(self) -> float:
        return self.payments / self.seconds


def tree_cpu_s(pid: int) -> float:
    """Of a process and of its children, those that ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(int(field) for field in fields[11:15]) / CLOCK_TICKS + sum(cpu_s(int(child)) for child in children)


def sync_once(network: Network, *, blocks: int, payments: int, peers: int) -> Run:
    write_configs(network, peers)
    fresh = network.nodes[-1]
    data = Home.of(network.folder / fresh.home).data
    for name in (*DATABASES, "cs.wal", "snapshots"):
        shutil.rmtree(data / name, ignore_errors=True)
    for node in network.nodes:
        processes.log_file(network, node).unlink(missing_ok=True)
    with ExitStack() as stack:
        serving = []
        for node in network.nodes[:peers]:
            serving.append(processes.start(network, node))
            stack.callback(processes.stop, network, (node,))
        started = time.monotonic()
        pid = processes.start(network, fresh)
        stack.callback(processes.stop, network, (fresh,))
        host = f"{network.host}:{fresh.ports.http}"
        first = await_height(host, 1)
        began_cpu, began_peers = tree_cpu_s(pid), sum(map(cpu_s, serving))
        last = await_height(host, blocks - 1)
        cpu, peers_cpu = tree_cpu_s(pid) - began_cpu, sum(map(cpu_s, serving)) - began_peers
    done = last[1] - first[1]
    return Run(
        done, done * payments, last[0] - first[0], last[0] - started, 1e6 * cpu / (done * payments),
        1e6 * peers_cpu / (done * payments),
    )  # fmt: skip


def await_height(host: str, height: int) -> tuple[float, int]:
    """When it was there, and which height it was. Of /health: /metrics costs the node some milliseconds."""
    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        at = 0
        with suppress(OSError), urllib.request.urlopen(f"http://{host}/health", timeout=5) as answer:
            at = json.loads(answer.read())["height"]
        if at >= height:
            return time.monotonic(), at
        time.sleep(POLL_S)
    raise TimeoutError(f"height {height} was not reached within {TIMEOUT_S:g} s")


# ------------------------------------------------------------------------------------------------ floor and stages


def verify_all(checks: Sequence[SignatureCheck]) -> float:
    """Seconds."""
    began = time.monotonic()
    for check in checks:
        assert ed25519_verify(*check)
    return time.monotonic() - began


def floor_of_threads(checks: Sequence[SignatureCheck]) -> float:
    """Signatures a second, two threads."""
    threads = [threading.Thread(target=verify_all, args=(checks[at::2],)) for at in (0, 1)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(checks) / (time.monotonic() - began)


def floor_of_processes(checks: Sequence[SignatureCheck]) -> float:
    """Signatures a second, two processes: without the interpreter's lock between them."""
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(verify_all, (checks[:10], checks[:10])))
        return sum(len(checks) / 2 / seconds for seconds in pool.map(verify_all, (checks[0::2], checks[1::2])))


def blocks_of(network: Network, first: int, count: int) -> list[bytes]:
    databases = Databases.open(Home.of(network.folder / network.nodes[1].home).databases, Config())
    try:
        store = BlockStore(databases.blocks)
        return [data for height in range(first, first + count) if (data := store.load_block_bytes(height))]
    finally:
        databases.close()


def checks_of(raw_blocks: Sequence[bytes]) -> list[SignatureCheck]:
    app = DchatApplication(Stores(Databases.open(Path(), memory_config()).app))
    return [check for raw in raw_blocks for check in app.signature_checks(Block.decode(raw).data.txs)][:FLOOR_CHECKS]


def memory_config() -> Config:
    config = Config()
    config.database.backend = "memory"
    return config


def stages(network: Network, folder: Path, *, payments: int) -> dict[str, float]:
    """Microseconds of CPU a payment, one thread."""
    spent: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        spent[name] = spent.get(name, 0.0) + time.process_time() - began

    async def run() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        databases = Databases.open(folder, Config())
        executor = executor_of(databases)
        home = Home.of(network.folder / network.nodes[0].home)
        state = await handshake(load_genesis(home), executor, software="x")
        app = executor.app
        assert isinstance(app, DchatApplication)
        for raw, following in itertools.pairwise(blocks_of(network, 1, STAGE_BLOCKS + 1)):
            bounds = BlockBounds(state.params.evidence.max_bytes, len(KEYS), 1)
            with timed("block: decode, hash, parts"):
                fetched = decode_fetched("", BlockResponse(raw, b""), bounds)
            block = fetched.block
            with timed("transactions: decode"):
                checks = app.signature_checks(block.data.txs)
            with timed("signatures"):
                verify_all(checks)
            with timed("signatures: remember"):
                app.remember_verified(checks)
            second = decode_fetched("", BlockResponse(following, b""), bounds)
            with timed("commit: signatures, and what it says"):
                commit = prove(state, fetched, second, executor.signatures.verify_many)
                await executor.check(state, block, is_decided=True)
            save = save_decided(
                executor.blocks, None, no_fail_point, block=block, parts=fetched.parts, commit=commit, extended=None
            )
            with timed("save block"):
                save()
            with timed("execute, trees, results, commit, state"):
                state = await executor.apply(state, block, block.block_id)
        databases.close()

    asyncio.run(run())
    return {name: 1e6 * seconds / (STAGE_BLOCKS * payments) for name, seconds in spent.items()}


# ------------------------------------------------------------------------------------------------ the program


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    blocks, payments, peers = arguments.blocks, arguments.payments, arguments.peers
    network = chain_in(folder, blocks=blocks, payments=payments, senders=arguments.senders)
    checks = checks_of(blocks_of(network, 2, 1 + FLOOR_CHECKS // payments))
    rows = []
    for _ in range(arguments.runs):
        before = floor_of_threads(checks), floor_of_processes(checks)
        run = sync_once(network, blocks=blocks, payments=payments, peers=peers)
        after = floor_of_threads(checks), floor_of_processes(checks)
        floor = max(statistics.fmean(pair) for pair in zip(before, after, strict=True))
        rows.append({
            "payments_a_second": round(run.per_second),
            "blocks_a_second": round(run.blocks / run.seconds, 1),
            "seconds": round(run.seconds, 2),
            "from_start_seconds": round(run.whole_seconds, 2),
            "cpu_us_a_payment": round(run.cpu_us, 1),
            "peers_cpu_us_a_payment": round(run.peers_cpu_us, 1),
            "floor_two_threads": round(statistics.fmean((before[0], after[0]))),
            "floor_two_processes": round(statistics.fmean((before[1], after[1]))),
            "share_of_floor": round(run.per_second / floor, 3),
        })  # fmt: skip
        say(", ".join(f"{name} {value}" for name, value in rows[-1].items()))
    middle = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    told = {name: round(value, 1) for name, value in stages(network, folder / "stages", payments=payments).items()}
    return {"chain": vars(arguments) | {"folder": None}, "median": middle, "runs": rows, "stages_us": told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--payments", type=int, default=500, help="in each block")
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--peers", type=int, default=2, choices=(1, 2))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the chain is kept; default: a temporary one")
    arguments = parser.parse_args()
    be_quiet()
    with tempfile.TemporaryDirectory(prefix="dchat-block-sync-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = measure(arguments, folder)
    for name, value in result["stages_us"].items():
        say(f"{name:<40} {value:7.1f} us a payment")
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
