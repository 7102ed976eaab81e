"""What tracing costs a node, in microseconds of its loop: for each transaction that comes in, and for each saved block.

    python -m benchmarks.tracing [--txs 1000] [--blocks 40] [--rates 0.01 0.1 1]

Each block's transactions arrive, are admitted, and are in the block that is saved; the collector takes all at once. Of
each figure the cheapest block counts, which leaves out what else the machine did. Encoding for the collector, which is
done beside, is told per span.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

from consensus.core.events import Step
from consensus.execution.metrics import EngineMetrics
from consensus.system.clock import LoopClock
from dchat.tracing.export import Exporter
from dchat.tracing.spans import Sampler, Span
from dchat.tracing.tracer import Tracer, Who

STEPS = (Step.NEW_HEIGHT, Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT, Step.COMMIT)


def measured(rate: float, blocks: int, txs: int) -> tuple[float, float, list[Span]]:
    """Microseconds for a transaction, and for a block; and the spans of the last one."""
    state: Any = SimpleNamespace(height=0, round=0, step=Step.NEW_HEIGHT, parts=SimpleNamespace(is_complete=True))
    made: list[Span] = []
    who = Who(node_id="ab" * 20, chain_id="benchmark", address=b"a" * 20)
    tracer = Tracer(who, Sampler(rate), LoopClock(), state, EngineMetrics(), made.extend)
    per_tx, per_block = [], []
    for height in range(1, blocks + 1):
        made.clear()
        keys = [sha256(b"%d %d" % (height, number)).digest() for number in range(txs)]
        entries: Any = [SimpleNamespace(key=key) for key in keys]
        began = time.perf_counter()
        for key in keys:
            tracer.arrived(key, "cd" * 20)
        tracer.admitted(entries)
        per_tx.append((time.perf_counter() - began) / txs)
        header = SimpleNamespace(proposer_address=b"a" * 20)
        block = SimpleNamespace(height=height, header=header, txs=keys, data=SimpleNamespace(tx_hashes=keys))
        saved: Any = SimpleNamespace(height=height, block=block, commit=SimpleNamespace(round=0))
        began, state.height = time.perf_counter(), height
        for step in STEPS:
            state.step = step
            tracer.steps.step_changed()
        tracer.block_saved(saved)
        per_block.append(time.perf_counter() - began)
    return min(per_tx) * 1e6, min(per_block) * 1e6, made


class _Takes:
    async def send(self, data: bytes) -> bytes:
        return b""

    async def close(self) -> None: ...


def encoding(spans: list[Span]) -> float:
    """Microseconds for a span."""

    async def send() -> float:
        exporter = Exporter(_Takes(), {"service.name": "dchat-validator"}, version="1")
        exporter.offer((spans * 512)[:512])
        began = time.perf_counter()
        await exporter._send_some()
        return (time.perf_counter() - began) / 512 * 1e6

    return min(asyncio.run(send()) for _ in range(5))


def main() -> None:
    parser = argparse.ArgumentParser(description="what tracing costs a node")
    parser.add_argument("--txs", type=int, default=1_000)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    said = parser.parse_args()
    for rate in said.rates:
        per_tx, per_block, spans = measured(rate, said.blocks, said.txs)
        line = f"sample_rate {rate:g}: {per_tx:.3f} us a transaction, {per_block:.0f} us a block of {said.txs}"
        print(f"{line}; {encoding(spans):.1f} us a span for the collector" if spans else line)


if __name__ == "__main__":
    main()
