"""Honest payments at a low rate through every door: `python -m tests.campaigns.hostile.load SPEC.json`.

Begins and ends as the attacker's process does. One account a door, so that each door's share can be told apart.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from dchat.client.client import Client, ClientError
from dchat.client.wallet import Session
from dchat.devnet.load import Sender
from dchat.home import identity
from tests.campaigns.hostile.attacker import say, standard_input

ANSWER_TIMEOUT_S = 3.0


async def pay(
    door: str, address: str, account: Path, every_s: float, count: Counter[str], slowest: dict[str, float]
) -> None:
    wallet = identity.load(account).wallet
    async with Client(address) as client:
        sender: Sender | None = None
        due = time.monotonic()
        while True:
            due = max(due + every_s, time.monotonic() - every_s)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    if sender is None:
                        facts = await Session(client, wallet).facts()
                        sender = await Sender.of(client, wallet)
                    tx = sender.pay(b"\x01" * 20, 1, chain_id=facts.chain_id, gas_price=facts.gas_price)
                    answer = await client.broadcast(tx)
            except (ClientError, TimeoutError) as error:
                count[f"{door}: {type(error).__name__}"] += 1
                sender = None
                continue
            finally:
                slowest[door] = max(slowest.get(door, 0.0), time.monotonic() - began)
            if answer.code:
                count[f"{door}: refused: {answer.log[:60]}"] += 1
                sender = None
            else:
                count[f"{door}: admitted"] += 1


async def run(spec: dict[str, Any], ended: asyncio.Task[bytes]) -> dict[str, Any]:
    count: Counter[str] = Counter()
    slowest: dict[str, float] = {}
    doors = spec["doors"]  # name, gRPC address, identity file
    every_s = len(doors) / spec["rate"]
    works = [
        asyncio.create_task(pay(name, address, Path(account), every_s, count, slowest))
        for name, address, account in doors
    ]
    done, _ = await asyncio.wait({ended, *works}, return_when=asyncio.FIRST_COMPLETED)
    error = "".join(repr(task.exception()) for task in done if task is not ended)
    if error:
        await ended
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"count": dict(count), "slowest": slowest, "cpu_s": usage.ru_utime + usage.ru_stime, "error": error}


async def serve(specs: list[dict[str, Any]]) -> None:
    reader = await standard_input()
    say("ready")
    for spec in specs:
        if await reader.read(1):
            say(json.dumps(await run(spec, asyncio.create_task(reader.read(1)))))


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))
