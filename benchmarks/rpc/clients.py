"""The clients of one node's JSON-RPC door, in processes of their own: `queries` and `subscribers`.

    python -m benchmarks.rpc.clients queries|subscribers

Their options are the first line of standard input, as JSON. They say `ready` on standard output, work until their input
ends, and tell then, as one line of JSON, what came.
Queries are an open loop: each has its moment, and its time is counted from there, whatever is late.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import resource
import sys
import time
from collections import Counter, defaultdict, deque
from typing import Any, Final

from benchmarks.rpc.wire import Http, Socket, request_of
from crypto.hash import sha256

CONNECTIONS: Final = 24
FACTS_S: Final = 1.0  # between two looks at the chain's tip
NEWEST: Final = 20  # blocks that most ask for
OF_NEWEST: Final = 0.75  # of those who ask for a block; others ask for any
TXS_KEPT: Final = 500
LAST_S: Final = 5.0  # for what is not answered yet at the end

# what explorers, wallets and monitors ask for: method, and parts in a hundred
MIX: Final = {
    "status": 25, "block": 15, "block_results": 10, "tx": 15, "commit": 10, "validators": 5, "abci_query": 10,
    "abci_query with a proof": 5, "tx_search": 5,
}  # fmt: skip


class Facts:
    """What there is to ask for."""

    def __init__(self, http: Http, addresses: list[str], keys: list[str]) -> None:
        self._http, self.addresses, self.keys = http, addresses, keys
        self.height = 0
        self.txs: deque[str] = deque(maxlen=TXS_KEPT)

    async def look(self) -> None:
        _, text = await self._http.ask(request_of("block", {}))
        block = json.loads(text)["result"]["block"]
        self.height = int(block["header"]["height"])
        self.txs.extend(sha256(base64.b64decode(tx)).hex() for tx in block["data"]["txs"])

    async def follow(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(FACTS_S)

    def request(self, name: str, chance: random.Random) -> bytes:
        back = NEWEST if chance.random() < OF_NEWEST else self.height
        recent = str(max(1, self.height - chance.randrange(back)))
        if name in ("block", "block_results", "commit", "validators"):
            return request_of(name, {"height": recent})
        if name == "tx":
            if not self.txs:
                return request_of("status", {})
            tx_hash = base64.b64encode(bytes.fromhex(chance.choice(self.txs))).decode()
            return request_of("tx", {"hash": tx_hash, "prove": False})
        if name == "tx_search":
            query = f"transfer.recipient='{chance.choice(self.addresses)}'"
            return request_of(name, {"query": query, "per_page": "10", "order_by": "desc"})
        if name.startswith("abci_query"):
            asked = {"path": "/store/currency/key", "data": chance.choice(self.keys), "prove": name != "abci_query"}
            return request_of("abci_query", asked)
        return request_of(name, {})


async def queries(host: str, port: int, rate: float, addresses: list[str], keys: list[str]) -> dict[str, Any]:
    chance = random.Random(11)
    names = [name for name, share in MIX.items() for _ in range(share)]
    idle: asyncio.LifoQueue[Http] = asyncio.LifoQueue()
    facts = Facts(await opened(Http(host, port)), addresses, keys)
    for _ in range(CONNECTIONS):
        idle.put_nowait(await opened(Http(host, port)))
    await facts.look()
    took_ms: dict[str, list[float]] = defaultdict(list)
    wrong: Counter[str] = Counter()
    sizes: Counter[str] = Counter()

    async def one(name: str, due: float) -> None:
        http = await idle.get()
        try:
            status, text = await http.ask(facts.request(name, chance))
        except (OSError, EOFError) as error:
            wrong[f"{name}: {type(error).__name__}"] += 1
            http = await opened(Http(host, port))
        else:
            took_ms[name].append((time.monotonic() - due) * 1e3)
            sizes[name] += len(text)
            if status != 200 or b'"error":' in text[:200]:
                wrong[f"{name}: {status} {text[:160].decode(errors='replace')}"] += 1
        idle.put_nowait(http)

    ended = when_input_ends()
    following = asyncio.create_task(facts.follow())
    tasks: set[asyncio.Task[None]] = set()
    due = began = time.monotonic()
    while not ended.is_set():
        due += 1 / rate
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(chance.choice(names), due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    seconds = time.monotonic() - began
    late = len(tasks)
    if tasks:
        await asyncio.wait(tasks, timeout=LAST_S)
    following.cancel()
    return {
        "seconds": seconds, "took_ms": took_ms, "wrong": wrong, "bytes": sizes, "unanswered_at_the_end": late,
        "cpu_s": own_cpu_s(),
    }  # fmt: skip


async def subscribers(host: str, port: int, wanted: list[str]) -> dict[str, Any]:
    """wanted: a query for each of them."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    ended_early: Counter[str] = Counter()

    async def listen(socket: Socket, query: str) -> None:
        try:
            while True:
                text = await socket.next()
                counts[query] += 1
                sizes[query] += len(text)
                if text.startswith(b'{"jsonrpc":"2.0","id":1,"error"'):
                    ended_early[text[:200].decode(errors="replace")] += 1
        except (OSError, EOFError) as error:
            ended_early[type(error).__name__] += 1

    sockets = []
    for query in wanted:
        socket = Socket(host, port)
        await socket.open()
        socket.send(request_of("subscribe", {"query": query}))
        if b'"result":{}' not in (told := await socket.next()):
            raise OSError(told[:300])
        sockets.append(socket)
    ended = when_input_ends()
    tasks = [asyncio.create_task(listen(socket, query)) for socket, query in zip(sockets, wanted, strict=True)]
    began, before = time.monotonic(), own_cpu_s()
    await ended.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "seconds": time.monotonic() - began, "events": counts, "bytes": sizes, "ended_early": ended_early,
        "cpu_s": own_cpu_s() - before,
    }  # fmt: skip


async def opened(http: Http) -> Http:
    await http.open()
    return http


def own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def when_input_ends() -> asyncio.Event:
    """Says `ready`; set when standard input is at its end."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)  # nothing comes there but its end
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    return ended


def main() -> None:
    kind, options = sys.argv[1], json.loads(sys.stdin.readline())
    result = asyncio.run(queries(**options) if kind == "queries" else subscribers(**options))
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
