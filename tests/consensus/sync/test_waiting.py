"""A node that waits for its peers: whatever the clock and the peers do, it waits with a deadline and does not spin."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.channels import peer_messages as m
from consensus.channels.peer_messages import BLOCK_SYNC_CHANNEL
from consensus.p2p.conn.base import PeerFault
from consensus.sync import blocks as sync_blocks
from consensus.sync.blocks import BlockSyncReactor
from crypto.batch import SignatureCache
from tests.support.counts import counted
from tests.support.gossip.network import FakeHost, FakeNetwork, FakePeer, ManualClock, ManualTimer
from tests.support.sync.blocks import CHANNELS, KEYS, Blocks, Driver, chain, genesis

DAY_S = 86_400
MS = 10**6
TURNS_PER_EVENT_MAX = 40  # an event may bring some blocks to apply; each is a turn


class DriftingClock(ManualClock):
    """Time passes also between two readings, and timers come up to a millisecond early, as uvloop's do."""

    def __init__(self) -> None:
        super().__init__()
        self.drift_ns = 0
        self._early_s = itertools.cycle((0.0, 0.000_13, 0.0, 0.0, 0.000_26, 0.0, 0.0, 0.001))

    def monotonic_ns(self) -> int:
        self._now_ns += self.drift_ns
        return self._now_ns

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> ManualTimer:
        return super().call_later(max(0.0, delay_s - next(self._early_s)), callback)


class Host(FakeHost):
    """Links without an other end."""

    def drop_peer(self, peer: FakePeer, reason: str, *, ban_s: int = 0) -> None:
        self.dropped.append((peer.id, reason, ban_s))
        self.links.pop(peer.id, None)
        for reactor in self.all_reactors:
            reactor.remove_peer(peer, reason)


class Waiting:
    """A node in block sync, turn by turn."""

    def __init__(self, *, power_of_ours: bool = False) -> None:
        self.clock = DriftingClock()
        self.host = Host("0" * 40, FakeNetwork(self.clock))
        blocks: Any = Blocks([])
        verify = SignatureCache().verify_many
        self.driver: Any = Driver(genesis(), blocks, verify)
        ours = KEYS[0].pub_key.address if power_of_ours else b""
        self.reactor = BlockSyncReactor(
            self.driver, blocks, self.host, self.clock, verifier=verify, our_address=lambda: ours
        )  # fmt: skip
        self.host.install(self.reactor)
        self.task: asyncio.Task[int] = asyncio.get_running_loop().create_task(self.reactor.run())
        self.turns = 0
        self._count_turns()

    def _count_turns(self) -> None:
        inner = self.reactor._expire

        def counted(*args: Any) -> None:
            self.turns += 1
            inner(*args)

        self.reactor._expire = counted  # type: ignore[method-assign]

    async def settle(self) -> None:
        """Until it waits or has ended; it must not take turns without end."""
        self.turns = 0
        for _ in range(1_000):
            await asyncio.sleep(0)
            if self.task.done():
                self.task.result()  # raises what ended it
                return
            if any(not waiter.done() for waiter in self.reactor._wake._waiters):
                break
        assert self.turns <= TURNS_PER_EVENT_MAX, f"{self.turns} turns for one event"
        due = self.clock.next_due_ns()
        assert due is not None, "it waits without a deadline"
        assert due - self.clock._now_ns <= sync_blocks.STATUS_EVERY_NS

    def connect(self, name: str) -> FakePeer:
        peer = FakePeer(name * 40, CHANNELS)
        self.host.links[peer.id] = peer
        self.reactor.add_peer(peer)
        return peer

    def leave(self, name: str) -> None:
        peer = self.host.links.pop(name * 40, None)
        if peer is not None:
            self.reactor.remove_peer(peer, "left")

    def hear(self, name: str, message: bytes) -> None:
        peer = self.host.links.get(name * 40)
        if peer is None:
            return
        try:
            self.reactor.receive(BLOCK_SYNC_CHANNEL, peer, message)
        except PeerFault as fault:
            self.host.drop_peer(peer, str(fault))

    async def pass_time(self, seconds: float) -> int:
        """Returns the turns that it took."""
        until, turns = self.clock._now_ns + round(seconds * 10**9), 0
        while self.clock.fire_next(until):
            await self.settle()
            turns += self.turns
            if self.task.done():
                break
        return turns

    async def end(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


NAMES = "abc"
EDGES_S = [0.001, 0.499, 0.5, 1.0, 2.5, 3.0, 5.999, 6.0, 9.999, 10.0, 10.001, 14.999, 15.0, 60.0, 3_600.0]
events = st.one_of(
    st.tuples(st.just("time"), st.sampled_from(EDGES_S)),
    st.tuples(st.just("stand still"), st.sampled_from(EDGES_S)),
    st.tuples(st.just("drift"), st.sampled_from([0, 1_000, 137_003, 20 * MS, 400 * MS])),
    st.tuples(st.just("connect"), st.sampled_from(NAMES)),
    st.tuples(st.just("leave"), st.sampled_from(NAMES)),
    st.tuples(st.just("status"), st.sampled_from(NAMES), st.sampled_from([0, 1, 2, 30, 2**62]), st.integers(0, 3)),
    st.tuples(st.just("refuse"), st.sampled_from(NAMES), st.integers(1, 5)),
    st.tuples(st.just("block"), st.sampled_from(NAMES), st.integers(1, 30)),
    st.tuples(st.just("full"), st.sampled_from(NAMES), st.sampled_from([0, 1, 1_000])),
    st.tuples(st.just("writable"), st.sampled_from(NAMES)),
)


async def play(waiting: Waiting, event: tuple[Any, ...]) -> None:
    match event:
        case "time", seconds:
            await waiting.pass_time(seconds)
        case "stand still", seconds:  # no callback runs, then all that are due
            waiting.clock._now_ns += round(seconds * 10**9)
            await waiting.pass_time(0)
        case "drift", ns:
            waiting.clock.drift_ns = ns
        case "connect", name if name * 40 not in waiting.host.links:
            waiting.connect(name)
        case "leave", name:
            waiting.leave(name)
        case "status", name, height, base:
            waiting.hear(name, m.StatusResponse(height, min(base, height)).encode())
        case "refuse", name, height:
            waiting.hear(name, m.NoBlockResponse(height).encode())
        case "block", name, height:
            waiting.hear(name, m.BlockResponse(chain(30)[height - 1].encode()).encode())
        case "full", name, room if name * 40 in waiting.host.links:
            waiting.host.links[name * 40].room = room
        case "writable", name if name * 40 in waiting.host.links:
            waiting.reactor.writable(BLOCK_SYNC_CHANNEL, waiting.host.links[name * 40])
    await waiting.settle()


@settings(max_examples=counted(50, whole=200), deadline=None)
@given(st.lists(events, max_size=30))
def test_whatever_the_clock_and_the_peers_do_it_waits_with_a_deadline_and_does_not_spin(
    script: list[tuple[Any, ...]],
) -> None:
    """audit 7a"""

    async def run() -> None:
        waiting = Waiting()
        await waiting.settle()
        for event in script:
            if waiting.task.done():
                break
            await play(waiting, event)
        await waiting.end()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("claims", "days"),
    [
        pytest.param([], 10, id="no peers"),
        pytest.param([None], 1, id="a peer that says nothing"),
        pytest.param([(100, 50)], 1, id="the only peer has pruned what is needed"),
        pytest.param([(2**62, 2**61)] * 3, 1, id="peers that claim what nobody has"),
    ],
)
async def test_days_of_waiting_take_a_turn_each_few_seconds(claims: list[tuple[int, int] | None], days: int) -> None:
    """audit 7a: a fresh home whose peers can't be reached died within two minutes."""
    waiting = Waiting()
    waiting.clock.drift_ns = 137_003
    await waiting.settle()
    for name, claim in zip(NAMES, claims, strict=False):
        peer = waiting.connect(name)
        if claim is not None:
            waiting.hear(name, m.StatusResponse(*claim).encode())
        peer.room = 10**9
    turns = await waiting.pass_time(days * DAY_S)
    assert not waiting.task.done()
    assert days * DAY_S // 60 <= turns <= days * DAY_S // 3
    await waiting.end()


async def test_a_machine_that_was_suspended_blames_no_peer() -> None:
    """audit 7a, tendermint#3572: after standing still, what is overdue is our own fault."""
    waiting = Waiting()
    for name in NAMES:
        waiting.connect(name)
        waiting.hear(name, m.StatusResponse(30, 1).encode())
    await waiting.settle()
    waiting.clock._now_ns += 3_600 * 10**9
    await waiting.pass_time(1)
    assert waiting.host.dropped == []
    assert len(waiting.host.links) == 3
    await waiting.end()
