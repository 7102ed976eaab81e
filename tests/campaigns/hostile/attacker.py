"""The process of one attack: `python -m tests.campaigns.hostile.attacker SPEC.json`.

SPEC is a list: for each of it the process waits for a byte on standard input, attacks until the next byte (or the end),
and says in one line of JSON what it did and how much CPU that took. It says `ready` first. A process of its own, so
that its CPU and memory are nobody else's.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from tests.campaigns.hostile import attacks
from tests.campaigns.hostile.wire import Target
from tests.campaigns.hostile.world import ATTACKS, Budget, World


async def standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def read_recorded(path: str) -> list[tuple[int, bytes]]:
    if not path or not Path(path).exists():
        return []
    rows = (line.split(" ") for line in Path(path).read_text().splitlines())
    return [(int(channel, 16), bytes.fromhex(message)) for channel, message in rows]


AGAIN_S = 0.1


async def run(spec: dict[str, Any], ended: asyncio.Task[bytes]) -> dict[str, Any]:
    """Attack until `ended`."""
    targets = [Target(**fields) for fields in spec["targets"]]
    world = World(
        targets=targets,
        chain_id=str(spec["chain_id"]),
        rng=random.Random(int(str(spec["seed"]))),
        budget=Budget(int(str(spec["rate"]))),
        args=dict(spec["args"]),  # type: ignore[call-overload]
        recorded=read_recorded(str(spec.get("recorded", ""))),
        validator_home=Path(str(spec["validator_home"])) if spec.get("validator_home") else None,
        sources=tuple(spec.get("sources") or ("",)),  # type: ignore[arg-type]
    )
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    work = asyncio.ensure_future(ATTACKS[str(spec["attack"])](world))
    await asyncio.wait({ended, work}, return_when=asyncio.FIRST_COMPLETED)
    error = ""
    if work.done() and not work.cancelled() and work.exception() is not None:
        error = repr(work.exception())
        await ended
    while not work.done():  # what it awaits may end in the same turn, and the cancellation with it
        work.cancel()
        await asyncio.wait({work}, timeout=AGAIN_S)
    await asyncio.gather(work, return_exceptions=True)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds = time.monotonic() - started
    return {"seconds": seconds, "cpu": cpu_s / seconds, "count": dict(world.count), "error": error}


async def serve(specs: list[dict[str, Any]]) -> None:
    reader = await standard_input()
    say("ready")
    for spec in specs:
        if not await reader.read(1):
            return
        say(json.dumps(await run(spec, asyncio.create_task(reader.read(1)))))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    specs = json.loads(Path(sys.argv[1]).read_text())
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(serve(specs))
    os._exit(0)  # thousands of sockets are the kernel's to close


assert attacks.__all__, "importing them registered them"

if __name__ == "__main__":
    main()
