"""Nodes, recording reactors and waiting, for the tests of the network."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.base import ChannelDescriptor, Peer
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.conn.sockets import Sockets
from consensus.p2p.switch import Switch
from tests.support.patience import PATIENCE_S

NETWORK = "p2p-test"
STATE = ChannelDescriptor(0x20, "state", 6, 100, 1_048_576)
DATA = ChannelDescriptor(0x21, "data", 10, 100, 1_048_576)
VOTE = ChannelDescriptor(0x22, "vote", 7, 100, 1_048_576)
OURS = ChannelDescriptor(0x70, "ours", 5, 100, 1_048_576)


def node_key(name: str) -> NodeKey:
    return NodeKey.from_seed(hashlib.sha256(name.encode()).digest())


def info(name: str, **changes: Any) -> NodeInfo:
    fields: dict[str, Any] = {
        "id": node_key(name).id,
        "listen_address": "tcp://127.0.0.1:26656",
        "network": NETWORK,
        "version": "0.38.26",
        "channels": b"\x20\x21\x22",
        "moniker": name,
    }
    return NodeInfo(**(fields | changes))


class Recorder:
    """A reactor that writes down what it is told."""

    def __init__(self, channels: Sequence[ChannelDescriptor] = (STATE, DATA, VOTE)) -> None:
        self.channels = tuple(channels)
        self.added: list[Peer] = []
        self.removed: list[tuple[str, str]] = []
        self.received: list[tuple[int, str, bytes]] = []
        self.writable_calls: list[tuple[int, str]] = []
        self.on_add: Callable[[Peer], None] = lambda peer: None
        self.on_receive: Callable[[int, Peer, bytes], None] = lambda channel_id, peer, message: None

    def add_peer(self, peer: Peer) -> None:
        self.added.append(peer)
        self.on_add(peer)

    def remove_peer(self, peer: Peer, reason: str) -> None:
        self.removed.append((peer.id, reason))

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        self.received.append((channel_id, peer.id, message))
        self.on_receive(channel_id, peer, message)

    def writable(self, channel_id: int, peer: Peer) -> None:
        self.writable_calls.append((channel_id, peer.id))


class Node:
    """A switch with one recorder."""

    def __init__(
        self,
        name: str,
        *,
        channels: Sequence[ChannelDescriptor] = (STATE, DATA, VOTE),
        sockets: Sockets | None = None,
        network: str = NETWORK,
        genesis_hash: bytes = b"",
        clock: Callable[[], int] | None = None,
        **config: Any,
    ) -> None:
        self.key = node_key(name)
        self.id = self.key.id
        self.reactor = Recorder(channels)
        settings: dict[str, Any] = {
            "listen_address": "127.0.0.1:0",
            "redial_first_s": 0.02,
            "address_book_strict": False,
        }
        kwargs: dict[str, Any] = {}
        if clock is not None:  # simulated: this machine's CPU time, which grows with its load, is none of it
            kwargs = {"clock": clock, "work_ns": lambda: 0, "slice_ns": lambda: 0}
        self.switch = Switch(
            SwitchConfig(**(settings | config)),
            node_key=self.key,
            node_info=info(name, network=network, genesis_hash=genesis_hash),
            sockets=sockets,
            rng=random.Random(name),
            **kwargs,
        )
        self.switch.add_reactor(self.reactor)

    @property
    def address(self) -> str:
        return f"{self.id}@127.0.0.1:{self.switch.listen_port}"


@contextlib.asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    """Start the nodes; stop all of them at the end, also those that the test stopped or started itself."""
    try:
        for node in nodes:
            await node.switch.start()
        yield
    finally:
        for node in nodes:
            await node.switch.stop()


async def until(condition: Callable[[], object], *, timeout_s: float = 10.0, what: str = "") -> None:
    """Wait for a condition without a fixed sleep. Raises AssertionError after `timeout_s` of a virtual loop's time; of
    the clock's, which runs on while a busy machine runs others, not before PATIENCE_S."""
    loop = asyncio.get_running_loop()
    is_virtual = isinstance(loop, VirtualLoop)
    deadline = loop.time() + (timeout_s if is_virtual else max(timeout_s, PATIENCE_S))
    poll_s = min(1.0, timeout_s / 1000) if is_virtual else 0.002
    while not condition():
        assert loop.time() < deadline, f"not within {timeout_s} s: {what or condition}"
        await asyncio.sleep(poll_s)


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, moves its loop's time on."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing is due any more: a deadlock"
        self.loop.now_s += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose hours take no time; for networks in memory."""

    def __init__(self) -> None:
        self.now_s = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s

    def time_ns(self) -> int:
        return 1_700_000_000 * 10**9 + int(self.now_s * 1e9)


async def pass_time(seconds: float) -> None:
    """Let simulated time pass, where a rule is about time. What can be waited for is waited for with `until`."""
    assert isinstance(asyncio.get_running_loop(), VirtualLoop), "in real time poll for a condition"
    await asyncio.sleep(seconds)


def simulate(scenario: Callable[[Callable[[], int]], Coroutine[Any, Any, None]]) -> None:
    """Run `scenario(clock)` in virtual time; whatever reaches the loop's exception handler fails."""
    failures: list[object] = []
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        loop.set_exception_handler(lambda _, context: failures.append(context))
        runner.run(scenario(loop.time_ns))
    assert failures == []
