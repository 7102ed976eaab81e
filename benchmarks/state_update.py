"""What one block's update of the stores costs per changed key, against how many keys they hold (failure 33).

    python -m benchmarks.state_update [--keys 1000 100000] [--million] [--changes 2000] [--blocks 20] [--json FILE]

Random accounts of one store are changed on LevelDB in a temporary folder, every block committed and synced, old
versions pruned as a node does. `prepare` and `commit` are the calling thread's CPU; `cpu` is the whole process's,
LevelDB's compaction included; `slice` is the longest time between two yields, which is how long the event loop would
be held; `floor` is the hashing alone that an update of this size cannot do without. Gates: at most 60 us of
preparation per key at 10^5 keys, and at most twice that of 10^5 at 10^6.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from chain.state.roots import CURRENCY
from chain.state.store import Pending, Stores
from storage.leveldb import LevelStore

T = TypeVar("T")

GATE_US = 60.0
GATE_KEYS = 100_000
GATE_GROWTH = 2.0
FILL_BLOCK = 20_000
VERSIONS_KEPT = 10


def drive(stores: Stores, version: int, changes: dict[bytes, bytes | None]) -> tuple[Pending, float]:
    """The prepared update, and the longest slice in seconds of this thread."""
    longest = 0.0
    steps = stores.prepare_steps(version, {CURRENCY: changes})
    while True:
        started = time.thread_time()
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value, max(longest, time.thread_time() - started)
        longest = max(longest, time.thread_time() - started)


def measure(keys_held: int, changes: int, blocks: int, folder: Path) -> dict[str, float]:
    dice = random.Random(keys_held)
    stores = Stores(LevelStore(str(folder / str(keys_held))))
    keys = [b"account/" + dice.randbytes(20) for _ in range(keys_held)]
    version = 0
    for at in range(0, keys_held, FILL_BLOCK):
        stores.commit(
            stores.prepare(version, {CURRENCY: {key: dice.randbytes(40) for key in keys[at : at + FILL_BLOCK]}})
        )
        version += 1
    stores.prune(version)
    stores.prepare(version, {})  # what the last of them left to do
    gc.collect()
    gc.freeze()  # as a node does once it has started: a collection over all that it holds would pass for a slice
    changed = min(changes, keys_held)
    prepare_s = commit_s = prune_s = slice_s = 0.0
    bytes_written = 0
    cpu = time.process_time()
    for number in range(version, version + blocks):
        block: dict[bytes, bytes | None] = {key: dice.randbytes(40) for key in dice.sample(keys, changed)}
        (pending, longest), lap = timed(partial(drive, stores, number, block))
        prepare_s += lap
        slice_s = max(slice_s, longest)
        bytes_written += pending.size + sum(len(key) + len(run or b"") for key, run in pending.undo)
        commit_s += timed(partial(stores.commit, pending))[1]
        if number % VERSIONS_KEPT == 0:
            prune_s += timed(partial(stores.prune, number - VERSIONS_KEPT))[1]
    cpu = time.process_time() - cpu
    per_key = 1e6 / (blocks * changed)
    return {
        "keys": keys_held,
        "changed": changed,
        "prepare_us": prepare_s * per_key,
        "commit_us": commit_s * per_key,
        "prune_us": prune_s * per_key,
        "cpu_us": cpu * per_key,
        "bytes": bytes_written / (blocks * changed),
        "slice_ms": slice_s * 1e3,
        "floor_us": floor_us(keys_held, changed),
    }


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` returns, and the seconds of this thread's CPU that it took."""
    started = time.thread_time()
    result = work()
    return result, time.thread_time() - started


def floor_us(keys_held: int, changed: int) -> float:
    """Microseconds of hashing per changed key: three hashes of the leaf, and each touched inner node once."""
    nodes, depth = 0.0, 0
    while 1 << depth < keys_held:
        width = 1 << depth
        nodes += width * (1 - (1 - 1 / width) ** changed) if depth else 1
        depth += 1
    data = bytes(65)
    lap = min(timed(lambda: [sha256(data).digest() for _ in range(20_000)])[1] for _ in range(3)) / 20_000
    return (3 + nodes / changed) * lap * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--million", action="store_true", help="also with 10^6 keys (a minute or two to fill)")
    parser.add_argument("--changes", type=int, default=2_000)
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sizes = [*options.keys, *([1_000_000] if options.million else [])]
    rows = []
    columns = ("keys", "changed", "prepare_us", "commit_us", "prune_us", "cpu_us", "bytes", "slice_ms", "floor_us")
    print(" ".join(f"{name:>10}" for name in columns))
    with tempfile.TemporaryDirectory() as folder:
        for keys_held in sizes:
            row = measure(keys_held, options.changes, options.blocks, Path(folder))
            rows.append(row)
            print(
                " ".join(
                    f"{row[name]:>10.1f}" if isinstance(row[name], float) else f"{row[name]:>10}" for name in columns
                )
            )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    failures = over_the_gates({int(row["keys"]): row["prepare_us"] for row in rows})
    for line in failures:
        print(line, file=sys.stderr)
    return 1 if failures else 0


def over_the_gates(prepare_us: dict[int, float]) -> list[str]:
    """What is slower than allowed, by the keys held."""
    at_gate, at_million = prepare_us.get(GATE_KEYS), prepare_us.get(1_000_000)
    lines = []
    if at_gate is not None and at_gate > GATE_US:
        lines.append(f"{at_gate:.1f} us per changed key at {GATE_KEYS} keys; allowed: {GATE_US}")
    if at_gate is not None and at_million is not None and at_million > at_gate * GATE_GROWTH:
        lines.append(
            f"{at_million:.1f} us per changed key at 10^6 keys, {at_gate:.1f} at 10^5; allowed: {GATE_GROWTH} times"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
