"""Retention: a node that prunes everything keeps its disk and its pace, over 20,000 blocks of steady load.

A chain of one validator: the product's executor, application and pruning on real LevelDB, every write synced as it is
there; blocks follow each other as fast as they are applied, with payments in each. In windows of blocks, once the first
are pruned: what the databases take, and what a block costs in CPU time of the whole process, pruning and LevelDB's own
thread included, beside the median time of applying one. Neither disk nor CPU time may grow by a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from chain.state.store import Stores
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import Payment
from consensus.documents.genesis import GenesisDoc
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor, save_decided
from consensus.execution.handshake import handshake
from consensus.formats.units import NS_PER_S
from consensus.state.state import State
from consensus.state.validation import make_block
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import InlineWorkers, LoopClock, ThreadWorkers
from consensus.system.failpoints import no_fail_point
from consensus.types.block import Block, Commit
from consensus.types.commit import FLAG_COMMIT, CommitSig
from consensus.types.vote import PRECOMMIT, Vote
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from dchat.app.app import DchatApplication
from dchat.app.genesis_params import with_params
from dchat.config import Config
from dchat.node.process import SWITCH_INTERVAL_S
from dchat.node.runtime import Databases
from dchat.retention.disk_use import DiskUse
from dchat.retention.retention import Policy, Retention, folders_of
from genesis.build import build_genesis, stake_of
from tests.campaigns.harness import CampaignFailed, be_quiet, say
from tests.support.engine.kvapp import ListPool

CHAIN_ID = "retention"
KEY = Ed25519PrivKey.from_seed(sha256(b"retention"))
ACCOUNTS = 40
BLOCK_NS = NS_PER_S  # between two block times
MEASURED_EVERY = 20
GROWTH_MAX = 1.1
WINDOWS = 5  # the first is for what begins


class Window(NamedTuple):
    """disk: mean bytes; disk_high: what one measurement in twenty passes; cpu_ms: of the process, a block; apply_ms:
    the median."""

    until: int
    disk: float
    disk_high: int
    disk_max: int
    cpu_ms: float
    apply_ms: float


@dataclass
class Chain:
    """One validator's, at its own pace. databases: LevelDB's."""

    databases: Databases
    executor: BlockExecutor
    retention: Retention
    pool: ListPool
    state: State
    commit: Commit
    disk: DiskUse
    txs: Iterator[bytes]
    waits: bool = False  # for the pruner: else blocks follow each other whether it keeps up or not

    async def block(self, payments: int) -> int:
        """Make and apply the next one; returns how long applying took, in ns."""
        state = self.state
        self.pool.txs = []
        txs = tuple(next(self.txs) for _ in range(payments))
        proposer = state.validators.proposer_of(0).address
        block = make_block(state, txs=txs, last_commit=self.commit, evidence=(), proposer_address=proposer)
        commit, parts = signed(block), block.part_set()
        save = save_decided(
            self.executor.blocks, None, no_fail_point, block=block, parts=parts, commit=commit, extended=None
        )
        began = time.monotonic_ns()
        self.state = await self.executor.apply(state, block, block.block_id, save=save)
        took = time.monotonic_ns() - began
        self.commit = commit
        self.retention.pruner.block_saved(cast(Any, SimpleNamespace(height=block.height, state=self.state)))
        await asyncio.sleep(0)
        while self.waits and not self.retention.pruner.is_idle:  # noqa: ASYNC110 - plain data of the pruner
            await asyncio.sleep(0)
        return took


def signed(block: Block) -> Commit:
    time_ns = block.header.time_ns + BLOCK_NS
    vote = Vote(PRECOMMIT, block.height, 0, block.block_id, time_ns, KEY.pub_key.address)
    slot = CommitSig(FLAG_COMMIT, KEY.pub_key.address, time_ns, KEY.sign(vote.sign_bytes(CHAIN_ID)))
    return Commit(block.height, 0, block.block_id, (slot,))


def payments_of(wallets: list[Wallet]) -> Iterator[bytes]:
    """Without end, from each account in turn to the next."""
    sequence = 0
    while True:
        for at, wallet in enumerate(wallets):
            message = Payment(wallet.address, wallets[at - 1].address, 1 + sequence % 1_000)
            seat = Seat(wallet, sequence, with_policy=sequence == 0)
            yield build_tx(chain_id=CHAIN_ID, messages=[message], seats=[seat], gas_price=100_000)
        sequence += 1


def genesis_of(wallets: list[Wallet], kept: int) -> GenesisDoc:
    doc = build_genesis(
        chain_id=CHAIN_ID,
        time_ns=time.time_ns(),
        stakes=[stake_of(wallets[0].address, KEY.pub_key.bytes, 1_000_000, moniker="one")],
        balances={wallet.address: 10**15 for wallet in wallets},
    )
    age = {"evidence_age_s_max": str(kept), "evidence_age_blocks_max": str(kept)}
    return with_params(doc, {"staking": {"unbonding_s": str(kept)}, "slashing": age})


async def begin(folder: Path, *, kept: int) -> tuple[Chain, ThreadWorkers]:
    config = Config()
    config.database.pruning = "everything"
    config.database.write_buffer_size = 1  # MB: what waits in its log is not disk that pruning could free
    policy, workers, clock = Policy.of(config), ThreadWorkers(), LoopClock()
    databases = Databases.open(folder, config)
    app = DchatApplication(Stores(databases.app), retain_blocks=policy.blocks)
    blocks, states, pool = BlockStore(databases.blocks), StateStore(databases.state), ListPool()
    evidence = EvidencePool(databases.state, blocks, states)
    inline = InlineWorkers()  # one process has no other work for the loop; a busy machine would hand over late
    executor = BlockExecutor(app, blocks, states, pool=pool, evidence=evidence, workers=inline, clock=clock)
    wallets = [Wallet.from_seed(sha256(b"retention %d" % number)) for number in range(ACCOUNTS)]
    state = await handshake(genesis_of(wallets, kept), executor, software="retention")
    disk = DiskUse({name: path for name, path in folders_of(folder, folder).items() if name != "log"})
    retention = Retention(policy, executor, evidence, app, workers=workers, clock=clock, disk=disk)
    chain = Chain(databases, executor, retention, pool, state, Commit(), disk, payments_of(wallets))
    return chain, workers


async def run(folder: Path, *, blocks: int, payments: int, kept: int, waits: bool = False) -> list[Window]:
    """Raises CampaignFailed: what is not needed stayed, or what is needed went."""
    chain, workers = await begin(folder, kept=kept)
    chain.waits = waits
    windows = []
    for _ in range(WINDOWS):
        windows.append(await one_window(chain, blocks // WINDOWS, payments))
        say(told(windows[-1], chain))
    await chain.retention.pruner.stop()
    store, height = chain.executor.blocks, chain.executor.blocks.height
    metrics = chain.retention.metrics
    chain.databases.close()
    workers.close()
    if metrics.failures or store.base > height - kept or store.base < height - 2 * kept - 100:
        raise CampaignFailed(f"kept from {store.base} at height {height}, {metrics.failures} rounds failed")
    return windows


async def one_window(chain: Chain, blocks: int, payments: int) -> Window:
    sizes, took = [], []
    began = time.process_time()
    for number in range(blocks):
        took.append(await chain.block(payments))
        if number % MEASURED_EVERY == 0:
            chain.disk.measure(at_s=time.monotonic(), height=chain.state.last_block_height)
            sizes.append(chain.disk.total_bytes)
    cpu_ms = (time.process_time() - began) * 1e3 / blocks
    height = chain.state.last_block_height
    high = sorted(sizes)[len(sizes) * 19 // 20]
    return Window(height, statistics.fmean(sizes), high, max(sizes), cpu_ms, statistics.median(took) / 1e6)


def told(window: Window, chain: Chain) -> str:
    sizes = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in chain.disk.sizes.items())
    return (
        f"to height {window.until}: disk {window.disk / 1e6:.1f} MB, mostly below {window.disk_high / 1e6:.1f}, "
        f"at most {window.disk_max / 1e6:.1f} ({sizes}); "
        f"{window.cpu_ms:.2f} ms of CPU a block, applied in {window.apply_ms:.2f} ms; "
        f"from {chain.executor.blocks.base}, states from {chain.retention.status().earliest_state_height}"
    )


def growth(windows: list[Window]) -> dict[str, float]:
    """The last window over the first full one."""
    first, last = windows[1], windows[-1]
    return {
        "disk": last.disk / first.disk,
        "disk_high": last.disk_high / first.disk_high,
        "cpu": last.cpu_ms / first.cpu_ms,
        "applied": last.apply_ms / first.apply_ms,
    }


def main(arguments: argparse.Namespace) -> None:
    be_quiet()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dchat-retention-", dir=arguments.folder) as folder:
        windows = asyncio.run(
            run(Path(folder), blocks=arguments.blocks, payments=arguments.payments, kept=arguments.kept)
        )
    grown = growth(windows)
    shown = ", ".join(f"{name} x{value:.3f}" for name, value in grown.items())
    say(f"{arguments.blocks} blocks of {arguments.payments} payments in {time.monotonic() - began:.0f} s: {shown}")
    bad = [name for name in ("disk", "disk_high", "cpu") if grown[name] > GROWTH_MAX]
    if bad:
        raise CampaignFailed(f"{', '.join(bad)} grew by more than a tenth")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=20_000)
    parser.add_argument("--payments", type=int, default=20, help="in each block")
    parser.add_argument("--kept", type=int, default=1_000, help="blocks and seconds that evidence and stake live")
    parser.add_argument("--folder", help="where the databases are made; default: the temporary folder")
    main(parser.parse_args())
