"""CPU of the engine alone: four validators in one process, messages handed over in memory, real disks.

    python -m benchmarks.engine_memnet [--blocks 200] [--txs 0] [--memory] [--profile]

Prints one JSON line: milliseconds of CPU per block and node, blocks a second, p50 of applying and of signing.
The application is the tests' key-value one, so that the engine's own cost is what shows.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import logging
import pstats
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import structlog
import uvloop

from consensus.system.clock import ThreadWorkers
from consensus.system.disk import OsDisk
from storage.leveldb import LevelStore
from tests.support.engine.bench import FAST, Home, assert_equal_chains, genesis_of, make_node
from tests.support.engine.memnet import MemoryNetwork

VALIDATORS = 4


def home_at(folder: Path) -> Home:
    folder.mkdir()
    stores = [LevelStore(str(folder / name)) for name in ("blocks", "state", "app")]
    return Home(OsDisk(), *stores, data=folder)


async def measure(folder: Path | None, blocks: int, txs: int) -> dict[str, float]:
    genesis = genesis_of(VALIDATORS)
    workers = ThreadWorkers()
    homes = [Home() if folder is None else home_at(folder / str(index)) for index in range(VALIDATORS)]
    config = replace(FAST, timeout_propose_ms=3_000)
    nodes = [await make_node(genesis, i, homes[i], config=config, workers=workers) for i in range(VALIDATORS)]
    network = MemoryNetwork(nodes)
    for number in range(txs * blocks):
        for node in nodes:
            node.pool.txs.append(b"k%d=%d" % (number % 1000, number))
    for node in nodes:
        node.pool.per_block = txs
    await network.start()
    await network.reach(5)
    cpu, wall, first = time.process_time(), time.perf_counter(), nodes[0].height
    await network.reach(first + blocks, timeout_s=600)
    cpu, wall, made = time.process_time() - cpu, time.perf_counter() - wall, nodes[0].height - first
    await network.stop()
    workers.close()
    assert_equal_chains(nodes)
    metrics = nodes[0].driver.metrics
    return {
        "blocks": made,
        "cpu_ms_per_block_and_node": round(cpu * 1e3 / made / VALIDATORS, 2),
        "wall_ms_per_block": round(wall * 1e3 / made, 2),
        "apply_mean_ms": round(metrics.apply.mean_ns / 1e6, 2),
        "sign_mean_ms": round(metrics.sign.mean_ns / 1e6, 2),
        "commit_wait_mean_ms": round(metrics.commit_wait.mean_ns / 1e6, 2),
        "rounds_failed": metrics.rounds_failed,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--txs", type=int, default=0, help="transactions in each block")
    parser.add_argument("--memory", action="store_true", help="no disks")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as folder:
        if options.profile:
            profile.enable()
        work = measure(None if options.memory else Path(folder), options.blocks, options.txs)
        print(json.dumps(uvloop.run(work)))
        if options.profile:
            profile.disable()
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
