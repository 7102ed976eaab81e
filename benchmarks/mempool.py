"""What a transaction costs the mempool and its gossip, by stage, in microseconds of CPU; the application does nothing.

    python -m benchmarks.mempool [--blocks 40] [--txs 800] [--waiting 2000] [--json] [--profile STAGE]

One node with three peers, as in a network of four: of each block's transactions a quarter comes through its doors and
the rest from peers; `waiting` more are in the pool all the time, as they are at saturation. Stages: receive (peers'
messages, until queued), admit (those, until in the pool), doors (submit_many, to the answers), gossip (the windows,
relays and announcements that follow), hear (peers' announcements of what is here), reap (a proposal), update (a block),
and of a pool whose doors are busy, refuse (submit_many, to the answers). Of each stage the cheapest block counts, which
leaves out what else the machine did.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import heapq
import itertools
import json
import logging
import pstats
import random
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final

import structlog
import uvloop

from consensus.abci.interface import CheckTxRequest, CheckTxResponse
from consensus.channels.extension import EXTENSION_CHANNEL, ExtensionMessage, ExtensionReactor, encode
from consensus.channels.peer_messages import MEMPOOL_CHANNEL, encode_txs
from consensus.mempool.admission.entry import Entry, PoolConfig
from consensus.mempool.admission.pace import FLOOR_TXS
from consensus.mempool.pool import Pool
from consensus.mempool.reactor import MempoolReactor
from consensus.state.results import ExecTxResult
from consensus.system.clock import InlineWorkers

PEERS: Final = 3
SENDERS: Final = 200
TX_BYTES: Final = 260  # a payment's
MESSAGE_TXS: Final = 50  # about what a peer's window gathers at saturation
CALL_TXS: Final = 100  # of one submit_many
ON_EACH: Final = {
    "receive": 0.75, "admit": 0.75, "doors": 0.25, "gossip": 1.0, "hear": 1.0, "reap": 0.25, "update": 1.0
}  # fmt: skip


class Nothing:
    """Admits everything; what a transaction says of itself is looked up."""

    def __init__(self) -> None:
        self.facts: dict[bytes, CheckTxResponse] = {}

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        return self.facts[request.tx]

    def identify_tx(self, tx: bytes) -> CheckTxResponse:
        return self.facts[tx]

    def make(self, count: int, *, first: int) -> list[bytes]:
        """Payments of SENDERS accounts in turn."""
        txs = []
        for number in range(first, first + count):
            sender = b"account %012d" % (number % SENDERS)
            tx = (b"payment %d " % number).ljust(TX_BYTES, b"x")
            self.facts[tx] = CheckTxResponse(
                gas_wanted=9_000,
                sender=sender,
                lane="currency",
                replay_id=sha256(b"replay" + tx).digest(),
                touches=(sender, b"account %012d" % ((number + 1) % SENDERS)),
                order_key=b"order of " + sender,
                order=number // SENDERS,
            )
            txs.append(tx)
        return txs


class BenchPeer:
    """Takes all that it is sent."""

    node_info: Any = None
    is_outbound = is_persistent = True
    remote_address = "127.0.0.1:1"
    round_trip_s = 0.0

    def __init__(self, id: str) -> None:
        self.id = id

    def has_channel(self, channel_id: int) -> bool:
        return True

    def try_send(self, channel_id: int, message: bytes) -> bool:
        return True

    def queue_room(self, channel_id: int) -> int:
        return 32

    def queued_bytes(self, channel_id: int) -> int:
        return 0

    def useless(self, what: str, weight: int = 1) -> None: ...

    def useful(self) -> None: ...

    def spend_cpu(self, ns: int) -> None: ...

    def expect(self, channel_id: int, bytes_max: int, within_s: float) -> None: ...


class BenchTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback

    def cancel(self) -> None:
        self.callback = lambda: None


class BenchClock:
    """Reads the time as a node does; timers fire when `pass_time` skips to them."""

    def __init__(self) -> None:
        self._ahead_ns = 0
        self._timers: list[tuple[int, int, BenchTimer]] = []
        self._numbers = itertools.count()

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._ahead_ns

    def work_ns(self) -> int:
        return time.thread_time_ns()

    def wanted_ns(self) -> int:
        return 0

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> BenchTimer:
        timer = BenchTimer(callback)
        heapq.heappush(self._timers, (self.monotonic_ns() + int(delay_s * 1e9), next(self._numbers), timer))
        return timer

    def pass_time(self, seconds: float) -> None:
        self._ahead_ns += int(seconds * 1e9)
        now = self.monotonic_ns()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].callback()


class Stages:
    """The least CPU of this thread, in microseconds a transaction."""

    def __init__(self, profiled: str) -> None:
        self.least: dict[str, float] = {}
        self._profiled, self.profile = profiled, cProfile.Profile()
        self._began = 0

    def begin(self, name: str) -> None:
        if name == self._profiled:
            self.profile.enable()
        self._began = time.thread_time_ns()

    def end(self, name: str, txs: int) -> None:
        took = (time.thread_time_ns() - self._began) / 1e3 / txs
        if name == self._profiled:
            self.profile.disable()
        self.least[name] = min(took, self.least.get(name, took))


class Bench:
    def __init__(self, stages: Stages, *, wait_ms_max: int) -> None:
        """wait_ms_max: the doors are busy when more wait than blocks take in so long, or than FLOOR_TXS."""
        self.app, self.clock, self.stages = Nothing(), BenchClock(), stages
        config = PoolConfig(lanes=("bridge", "chat", "currency"), sender_txs_max=1_000, wait_ms_max=wait_ms_max)
        self.pool = Pool(self.app, self.clock, InlineWorkers(), config)
        self.extension = ExtensionReactor(self.clock)
        self.reactor = MempoolReactor(self.pool, self.extension, self.clock, random.Random(1))
        self.peers = [BenchPeer(f"{number:040x}") for number in range(PEERS)]
        for peer in self.peers:
            self.extension.add_peer(peer)
            self.reactor.add_peer(peer)
        for peer in self.peers:
            others = frozenset(other.id for other in self.peers if other is not peer)
            self.extension.receive(EXTENSION_CHANNEL, peer, encode(ExtensionMessage(neighbours=others)))
        self.pool.set_block_limits(data_bytes_max=4 * 1_048_576, gas_max=100_000_000)
        self.pool.on_admitted(self._admitted)
        self._all_in, self._size_awaited = asyncio.Event(), 0
        self.made = self.height = 0

    def make(self, count: int) -> list[bytes]:
        self.made += count
        return self.app.make(count, first=self.made - count)

    async def from_peers(self, txs: Sequence[bytes]) -> None:
        messages = [encode_txs(txs[at : at + MESSAGE_TXS]) for at in range(0, len(txs), MESSAGE_TXS)]
        stages = self.stages
        stages.begin("receive")
        for number, message in enumerate(messages):
            self.reactor.receive(MEMPOOL_CHANNEL, self.peers[number % PEERS], message)
        stages.end("receive", len(txs))
        stages.begin("admit")
        self._all_in.clear()
        self._size_awaited = self.pool.size + len(txs)
        await self._all_in.wait()
        stages.end("admit", len(txs))

    def _admitted(self, entries: Sequence[Entry]) -> None:
        if self.pool.size == self._size_awaited:
            self._all_in.set()

    async def from_doors(self, txs: Sequence[bytes], stage: str) -> int:
        """How many were admitted."""
        passed = 0
        self.stages.begin(stage)
        for at in range(0, len(txs), CALL_TXS):
            answers = await self.pool.submit_many(txs[at : at + CALL_TXS], client="127.0.0.1")
            passed += sum(not answer.code for answer in answers)
        self.stages.end(stage, len(txs))
        return passed

    def gossip(self, txs: int) -> None:
        self.stages.begin("gossip")
        for _ in range(8):  # blocks 0.8 s apart: what waits is announced to neighbours of who sent it, too
            self.clock.pass_time(0.1)
        self.stages.end("gossip", txs)

    def hear(self, txs: Sequence[bytes]) -> None:
        message = encode(ExtensionMessage(have_txs=tuple(sha256(tx).digest() for tx in txs)))
        self.stages.begin("hear")
        self.extension.receive(EXTENSION_CHANNEL, self.peers[0], message)
        self.stages.end("hear", len(txs))

    def block(self, txs: int) -> None:
        stages = self.stages
        stages.begin("reap")
        reaped = self.pool.reap(bytes_max=txs * (TX_BYTES + 3), gas_max=-1)
        stages.end("reap", txs)
        assert len(reaped) == txs, len(reaped)
        self.height += 1
        results = [ExecTxResult()] * txs
        stages.begin("update")
        self.pool.update(self.height, reaped, results, frozenset())
        stages.end("update", txs)
        for tx in reaped:
            del self.app.facts[tx]

    async def run(self, blocks: int, txs: int) -> None:
        doors = txs // 4
        for _ in range(blocks):
            assert await self.from_doors(self.make(doors), "doors") == doors
            theirs = self.make(txs - doors)
            await self.from_peers(theirs)
            self.gossip(txs)
            self.hear(theirs)
            self.block(txs)

    async def refuse(self, rounds: int) -> None:
        await self.from_doors(self.make(FLOOR_TXS), "filling")
        txs = self.make(CALL_TXS)
        for _ in range(rounds):
            assert await self.from_doors(txs, "refuse") == 0


async def measure(blocks: int, txs: int, waiting: int, profiled: str) -> Stages:
    stages = Stages(profiled)
    bench, busy = Bench(stages, wait_ms_max=60_000), Bench(stages, wait_ms_max=1)
    running = [asyncio.create_task(each.pool.run()) for each in (bench, busy)]
    for each in (bench, busy):
        await each.from_peers(each.make(waiting + txs))
        each.clock.pass_time(0.5)
        each.block(txs)  # now a pace is known
    stages.least.clear()
    await bench.run(blocks, txs)
    await busy.refuse(blocks)
    for task in running:
        task.cancel()
    assert bench.pool.size == waiting, bench.pool.size
    return stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--txs", type=int, default=800, help="in each block")
    parser.add_argument("--waiting", type=int, default=2_000, help="transactions in the pool beside them")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", default="", help="a stage")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    stages = uvloop.run(measure(options.blocks, options.txs, options.waiting, options.profile))
    row = {name: round(stages.least[name], 2) for name in (*ON_EACH, "refuse")}
    row["a transaction and node"] = round(sum(ON_EACH[name] * stages.least[name] for name in ON_EACH), 2)
    if options.json:
        print(json.dumps(row))
    else:
        for name, cost in row.items():
            print(f"{name:24} {cost:6.2f} us")
    if options.profile:
        pstats.Stats(stages.profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
