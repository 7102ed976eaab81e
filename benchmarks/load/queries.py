"""A process that asks a node for accounts at a steady rate and says how long answers took.

    python -m benchmarks.load.queries HOST:PORT RATE SECONDS ADDRESS_HEX...

By a schedule: a question is late when the one before it was. A process of its own: what the load does is not measured.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from dchat.client.client import Client
from dchat.devnet.live import quantile


async def ask(address: str, rate: float, seconds: float, accounts: Sequence[bytes]) -> dict[str, Any]:
    took: list[float] = []
    async with Client(address) as client:
        await client.account(accounts[0])  # connected
        begin = time.monotonic() + 0.05

        async def one(number: int) -> None:
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await client.account(accounts[number % len(accounts)])
            took.append(time.monotonic() - due)

        await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
    return {
        "asked": len(took), "rate": rate, "p50_ms": round(1e3 * quantile(took, 0.5), 2),
        "p95_ms": round(1e3 * quantile(took, 0.95), 2), "max_ms": round(1e3 * max(took), 1),
    }  # fmt: skip


def start(address: str, rate: float, seconds: float, accounts: Sequence[bytes]) -> subprocess.Popen[str]:
    words = [address, str(rate), str(seconds), *(account.hex() for account in accounts)]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load.queries", *words], stdout=subprocess.PIPE, text=True
    )


async def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    text, _ = await asyncio.to_thread(process.communicate)
    return dict(json.loads(text)) if process.returncode == 0 else {}


if __name__ == "__main__":
    node, rate_text, seconds_text, *hexes = sys.argv[1:]
    told = asyncio.run(ask(node, float(rate_text), float(seconds_text), [bytes.fromhex(one) for one in hexes]))
    print(json.dumps(told))
