"""Cost of messages between two switches over loopback: messages a second, and CPU per message and direction.

    python benchmarks/p2p_messages.py [--size 200] [--count 50000] [--json]

Both switches run in this process, so the CPU time of one message is that of sending plus that of receiving, kernel
included. `paced` sends one message and waits for its echo (a vote that travels alone); `queued` keeps the queue full.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable

import structlog
import uvloop

from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.base import ChannelDescriptor, Peer
from consensus.p2p.conn.budget import BudgetConfig
from consensus.p2p.conn.connection import ConnectionConfig
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.switch import Switch

CHANNEL = ChannelDescriptor(0x22, "vote", 7, 100, 1_048_576)


class Endpoint:
    """A reactor that counts, and calls back on each message and when there is room."""

    channels = (CHANNEL,)

    def __init__(self) -> None:
        self.on_message: Callable[[Peer, bytes], None] = lambda peer, message: None
        self.on_room: Callable[[], None] = lambda: None
        self.added = asyncio.Event()

    def add_peer(self, peer: Peer) -> None:
        self.added.set()

    def remove_peer(self, peer: Peer, reason: str) -> None: ...

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        self.on_message(peer, message)

    def writable(self, channel_id: int, peer: Peer) -> None:
        self.on_room()


def make(name: str, key: NodeKey, other: NodeKey) -> tuple[Switch, Endpoint]:
    """other: whom its operator names, as validators name each other; strangers would be held to their budget."""
    config = SwitchConfig(
        listen_address="127.0.0.1:0",
        unconditional_peer_ids=frozenset({other.id}),
        connection=ConnectionConfig(send_rate=0, receive_rate=0),
        budget=BudgetConfig(cpu_percent=100),
        redial_first_s=0.05,
    )
    info = NodeInfo(key.id, "", "bench", "0.1.0", b"", name)
    switch, endpoint = Switch(config, node_key=key, node_info=info), Endpoint()
    switch.add_reactor(endpoint)
    return switch, endpoint


async def queued(peer: Peer, sender: Endpoint, receiver: Endpoint, message: bytes, count: int) -> None:
    done = asyncio.get_running_loop().create_future()
    sent = received = 0

    def fill() -> None:
        nonlocal sent
        while sent < count and peer.try_send(CHANNEL.id, message):
            sent += 1

    def count_one(_: Peer, __: bytes) -> None:
        nonlocal received
        received += 1
        if received == count:
            done.set_result(None)

    sender.on_room, receiver.on_message = fill, count_one
    fill()
    await done


async def paced(peer: Peer, sender: Endpoint, receiver: Endpoint, message: bytes, count: int) -> None:
    done = asyncio.get_running_loop().create_future()
    left = count

    def echoed(_: Peer, __: bytes) -> None:
        nonlocal left
        left -= 2
        if left <= 0:
            done.set_result(None)
        else:
            peer.try_send(CHANNEL.id, message)

    def echo(back: Peer, got: bytes) -> None:
        back.try_send(CHANNEL.id, got)

    sender.on_message, receiver.on_message = echoed, echo
    peer.try_send(CHANNEL.id, message)
    await done


async def measure(size: int, count: int) -> list[dict[str, float | str]]:
    keys = NodeKey.generate(), NodeKey.generate()
    (a, sender), (b, receiver) = make("a", *keys), make("b", *reversed(keys))
    await a.start()
    await b.start()
    try:
        peer = await a.dial(parse_address(f"{b.id}@127.0.0.1:{b.listen_port}"))
        await receiver.added.wait()
        rows: list[dict[str, float | str]] = []
        for name, run, n in (("queued", queued, count), ("paced", paced, count // 5)):
            wall, cpu = time.perf_counter(), time.process_time()
            await run(peer, sender, receiver, bytes(size), n)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            rows.append(
                {
                    "mode": name,
                    "size_bytes": size,
                    "messages": n,
                    "messages_per_s": round(n / wall),
                    "cpu_us_send_and_receive": round(cpu / n * 1e6, 1),
                    "latency_us": round(wall / n * 1e6, 1),
                }
            )
        return rows
    finally:
        await a.stop()
        await b.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    rows = uvloop.run(measure(options.size, options.count))
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(" ".join(f"{key}={value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
