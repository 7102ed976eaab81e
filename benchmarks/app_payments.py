"""What a payment (or a chat message) costs the application, by stage, in microseconds of CPU, signatures apart.

    python benchmarks/app_payments.py [--accounts 2000] [--blocks 5] [--txs 1000] [--posts] [--profile STAGE]
    python benchmarks/app_payments.py --accounts 1000000 --senders 4000 --folder DIR    # LevelDB, kept
    python benchmarks/app_payments.py --trail 100    # what it costs to remember the last blocks' steps
    python benchmarks/app_payments.py --long         # ordinary payments go the long way, as all others do

Stages: decode, admission (check_tx), prepare (the proposer's), process (execution and trees), commit (the batch in
memory, or LevelDB's), recheck. Payments go from each of the senders, in turn, to any account. A folder that has the
accounts already goes on. The Ed25519 floor is measured in the same run, and garbage is collected as in a node.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chain.currency.ledger.records import ACCOUNT
from chain.state.store import Stores
from chain.trail.kept import KeptTrails
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import CreateChannel, JoinChannel, Message, Payment, PostMessage, RegisterIdentity, channel_id
from consensus.abci.interface import (
    BlockRequest,
    CheckTxRequest,
    CheckTxType,
    CommitInfo,
    ExtendedCommitInfo,
    InitChainRequest,
    PrepareProposalRequest,
)
from consensus.types.params import ConsensusParams
from crypto.hash import sha256
from crypto.keys import ed25519_verify
from dchat.app.app import DchatApplication
from dchat.node.process import GC_THRESHOLDS
from genesis.app_state import build_app_state
from storage.leveldb import LevelStore
from storage.memory import MemoryStore

CHAIN_ID = "benchmark"


def application(folder: Path | None, remembered: int, *, goes_long: bool) -> DchatApplication:
    """folder: of its LevelDB; None: in memory. remembered: heights. goes_long: ordinary payments, too."""
    db = LevelStore(str(folder)) if folder else MemoryStore()
    app = DchatApplication(Stores(db), trails=KeptTrails(remembered))
    if goes_long:
        app.modules.short.clear()
    return app


def drain(steps: Any, slices: list[float]) -> Any:
    while True:
        start = time.perf_counter()
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value
        finally:
            slices.append(time.perf_counter() - start)


class Stages:
    def __init__(self, profiled: str) -> None:
        self.seconds: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self._profiled, self.profile = profiled, cProfile.Profile()

    def run(self, name: str, count: int, work: Callable[[], Any]) -> Any:
        if name == self._profiled:
            self.profile.enable()
        start = time.process_time()
        answer = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start
        self.counts[name] = self.counts.get(name, 0) + count
        if name == self._profiled:
            self.profile.disable()
        return answer


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--senders", type=int, default=0, help="accounts that pay; 0: all of them")
    parser.add_argument("--folder", type=Path, help="of a LevelDB; one that has the accounts already goes on")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--warm", type=int, default=0, help="blocks before those that count")
    parser.add_argument("--txs", type=int, default=1_000)
    parser.add_argument("--profile", default="")
    parser.add_argument("--posts", action="store_true", help="chat messages into one channel instead of payments")
    parser.add_argument("--long", action="store_true", help="without the short way through an ordinary payment")
    parser.add_argument("--remember", type=int, default=0, help="heights whose steps are remembered")
    parser.add_argument("--trail", type=int, default=0, help="compare so many heights with none, in --pairs processes")
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args()
    if args.trail:
        words = ["--accounts", str(args.accounts), "--blocks", str(args.blocks), "--txs", str(args.txs)]
        compare_trails(args.trail, args.pairs, words)
        return
    gc.set_threshold(*GC_THRESHOLDS)
    senders = args.senders or args.accounts
    wallets = [Wallet.from_seed(sha256(b"bench" + n.to_bytes(4, "big"))) for n in range(senders)]
    others = [sha256(b"other" + n.to_bytes(4, "big"))[:20] for n in range(args.accounts - senders)]
    app = application(args.folder, args.remember, goes_long=args.long)
    first = app.stores.latest_version + 1
    if first == 0:
        balances = dict.fromkeys([wallet.address for wallet in wallets] + others, 10**12)
        state = json.dumps(build_app_state(balances)).encode()
        app.init_chain(InitChainRequest(0, CHAIN_ID, ConsensusParams(), (), state, 1))
        first = 1
        del balances, state
    if args.posts:
        first = open_channel(app, wallets)
        txs = make_posts(wallets, args.blocks * args.txs)
    else:
        txs = make_payments(app, wallets, others, (args.warm + args.blocks) * args.txs)
    gc.collect()
    gc.freeze()
    started = time.process_time()
    pages = drain(app.stores.warm_steps(), [])  # as a node does
    print(f"pages of the trees that were read before: {pages}, {time.process_time() - started:.1f} s")
    for _ in range(0 if args.posts else args.warm):
        run_block(app, Stages(""), [], first, txs[: args.txs])
        del txs[: args.txs]
        first += 1
    stages, slices = Stages(args.profile), list[float]()
    hits, misses, _ = app.stores.cache_counts()
    for number in range(args.blocks):
        run_block(app, stages, slices, first + number, txs[number * args.txs : (number + 1) * args.txs])
    held = app.stores.cache_counts()
    count = args.blocks * args.txs
    reads = {"hits": (held[0] - hits) / count, "misses": (held[1] - misses) / count, "held_mib": held[2] / (1 << 20)}
    floor = measure_floor(app, txs[:1000])
    per = {name: 1e6 * stages.seconds[name] / stages.counts[name] for name in stages.seconds}
    for name, cost in per.items():
        print(f"{name:20} {cost:8.1f} us a transaction")
    total = sum(cost for name, cost in per.items() if name not in ("prepare", "recheck"))
    print(f"{'total, not proposing':20} {total:8.1f}\n{'ed25519 floor':20} {floor:8.1f}")
    print(
        f"longest slice {1e3 * max(slices):.1f} ms, 99th of 100 {1e3 * sorted(slices)[len(slices) * 99 // 100]:.1f} ms"
    )
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"records and pages remembered: {reads['hits']:.1f} hits and {reads['misses']:.2f} misses a transaction, "
        f"{reads['held_mib']:.0f} MiB; the process {rss_mib:.0f} MiB at most"
    )
    print(json.dumps({**per, "total": total, "floor": floor, **reads, "rss_mib": rss_mib}))
    if args.profile:
        pstats.Stats(stages.profile).sort_stats("tottime").print_stats(25)


def compare_trails(heights: int, pairs: int, words: list[str]) -> None:
    """Runs processes by turns that remember none and so many: what is remembered is the collector's work everywhere in
    a process. Tells the ratio of each pair."""
    ratios: list[float] = []
    for number in range(pairs):
        totals = {}
        for remembered in (0, heights) if number % 2 else (heights, 0):
            command = [sys.executable, __file__, *words, "--remember", str(remembered)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            totals[remembered] = json.loads(done.stdout.splitlines()[-1])["total"]
        ratios.append(totals[heights] / totals[0])
        print(f"{totals[0]:.1f} us without, {totals[heights]:.1f} with: {ratios[-1]:.4f}", flush=True)
    print(json.dumps({"remember": heights, "ratios": [round(one, 4) for one in ratios],
                      "median": round(statistics.median(ratios), 4)}))  # fmt: skip


def make_payments(app: DchatApplication, wallets: list[Wallet], others: list[bytes], count: int) -> list[bytes]:
    """From each sender in turn to any account: all sequences ordered, policy given with the first."""
    dice = random.Random(count)
    found = [app.base.get(ACCOUNT + wallet.address) for wallet in wallets]
    sequences = [account.sequences[0][1] if account is not None and account.sequences else 0 for account in found]
    txs = []
    for number in range(count):
        at = number % len(wallets)
        wallet = wallets[at]
        while True:
            to = dice.randrange(len(wallets) + len(others))
            recipient = wallets[to].address if to < len(wallets) else others[to - len(wallets)]
            if recipient != wallet.address:
                break
        seat = Seat(wallet, sequences[at], with_policy=sequences[at] == 0)
        sequences[at] += 1
        message = Payment(wallet.address, recipient, 1 + number % 1000)
        txs.append(build_tx(chain_id=CHAIN_ID, messages=[message], seats=[seat], gas_price=100_000))
    return txs


def open_channel(app: DchatApplication, wallets: list[Wallet]) -> int:
    """Register everybody and let them join one channel. Returns the next height."""
    room = channel_id("room")
    owner = wallets[0].address
    rounds: list[list[tuple[Wallet, Message, int | None]]] = [
        [(w, RegisterIdentity(w.address, f"name-{n}", ""), None) for n, w in enumerate(wallets)],
        [(wallets[0], CreateChannel(owner, "room", 0, ""), 0)],
        [(w, JoinChannel(w.address, room), 0) for w in wallets[1:]],
    ]
    for height, entries in enumerate(rounds, start=1):
        txs = []
        for wallet, message, sequence in entries:
            seat = Seat(wallet, sequence, with_policy=height == 1)
            txs.append(
                build_tx(chain_id=CHAIN_ID, messages=[message], seats=[seat], gas_price=100_000, expiry_height=50)
            )
        run_block(app, Stages(""), [], height, txs)
    return len(rounds) + 1


def make_posts(wallets: list[Wallet], count: int) -> list[bytes]:
    """A message of 60 bytes from each account in turn."""
    room, txs = channel_id("room"), []
    for number in range(count):
        wallet = wallets[number % len(wallets)]
        seat = Seat(wallet, 1 + number // len(wallets))
        message = PostMessage(wallet.address, room, b"a line of a conversation, number %08d, and some more" % number, 0)
        txs.append(build_tx(chain_id=CHAIN_ID, messages=[message], seats=[seat]))
    return txs


def run_block(app: DchatApplication, stages: Stages, slices: list[float], height: int, txs: list[bytes]) -> None:
    count = len(txs)
    checks = stages.run("decode", count, lambda: app.signature_checks(txs))
    app.remember_verified(checks)
    answers = stages.run("check_tx", count, lambda: [app.check_tx(CheckTxRequest(tx)) for tx in txs])
    assert all(answer.code == 0 for answer in answers), next(a.log for a in answers if a.code)
    request = PrepareProposalRequest(
        1 << 24, tuple(txs), ExtendedCommitInfo(0, ()), (), height, height, bytes(32), bytes(20)
    )
    prepared = stages.run("prepare", count, lambda: drain(app.prepare_proposal(request), slices))
    assert len(prepared.txs) == count
    block = BlockRequest(tuple(txs), CommitInfo(0, ()), (), sha256(str(height).encode()), height, height, b"", b"")
    accepted = stages.run("process", count, lambda: drain(app.process_proposal(block), slices))
    assert accepted.accepted, accepted.reason
    result = stages.run("finalize", count, lambda: drain(app.finalize_block(block), slices))
    assert all(r.code == 0 for r in result.tx_results)
    stages.run("commit", count, app.commit)
    again = txs[: count // 10]
    stages.run("recheck", len(again), lambda: [app.check_tx(CheckTxRequest(tx, CheckTxType.RECHECK)) for tx in again])


def measure_floor(app: DchatApplication, txs: list[bytes]) -> float:
    """Microseconds of one verification."""
    checks = [check for raw in txs for check in app.txs.get(raw).checks()]
    start = time.process_time()
    assert all(ed25519_verify(*check) for check in checks)
    return 1e6 * (time.process_time() - start) / len(checks)


if __name__ == "__main__":
    main()
