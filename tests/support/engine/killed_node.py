"""A single validator on real disks, as a process of its own that kills itself where it is told.

    python -m tests.support.engine.killed_node FOLDER HEIGHTS [FAIL_POINT PASSAGE] [--retain BLOCKS]

Prints `height app_hash` when it reached HEIGHTS more than it started with.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from consensus.documents.genesis import parse_genesis
from consensus.system.clock import ThreadWorkers
from consensus.system.disk import OsDisk
from storage.leveldb import LevelStore
from tests.support.engine.bench import Home, genesis_of, make_node


def killer(point: str, passage: int) -> object:
    left = passage

    def fail_point(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return fail_point


async def run(folder: Path, heights: int, fail_point: object, retain: int) -> None:
    genesis_path = folder / "genesis.json"
    if not genesis_path.exists():
        genesis_path.write_text(genesis_of(1).dumps())
    stores = [LevelStore(str(folder / name)) for name in ("blocks", "state", "app")]
    home = Home(OsDisk(), *stores, data=folder)
    workers = ThreadWorkers(2)
    options = {"fail_point": fail_point} if fail_point else {}
    node = await make_node(
        parse_genesis(genesis_path.read_text()),
        0,
        home,
        workers=workers,
        retain_blocks=retain,
        **options,  # type: ignore[arg-type]
    )
    start = node.height
    assert node.app.height == node.executor.blocks.height == start
    node.pool.txs = [b"k%d=%d" % (number, number) for number in range(start * 3, start * 3 + 50)]
    node.pool.per_block = 3
    await node.driver.start()
    await node.reach(start + heights)
    await node.driver.stop()
    await node.pruner.stop()
    workers.close()
    sys.stdout.write(f"{node.height} {node.app.app_hash.hex()} {node.driver.state.app_hash.hex()}\n")


if __name__ == "__main__":
    words = sys.argv[1:]
    kept = int(words.pop()) if "--retain" in words else 0
    words = [word for word in words if word != "--retain"]
    point = killer(words[2], int(words[3])) if len(words) > 2 else None
    asyncio.run(run(Path(words[0]), int(words[1]), point, kept))
