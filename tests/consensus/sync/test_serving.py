"""Both ends of block sync under peers that are slow, greedy or forgetful: what is read, what is kept, who is blamed."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from consensus.channels import peer_messages as m
from consensus.channels.peer_messages import BLOCK_SYNC_CHANNEL
from consensus.formats.errors import InvalidBlock
from consensus.formats.wire import int_field, message_field
from consensus.p2p.conn.base import PeerFault
from consensus.sync import blocks as sync_blocks
from consensus.sync import serving
from consensus.sync.blocks import SLACK_BYTES, BlockSyncReactor, WrongSoftware
from consensus.sync.fetched import decode_fetched
from consensus.sync.serving import REQUESTS_MAX
from consensus.system import aside
from consensus.types.block import Block, BlockBounds, ExtendedCommit
from crypto.batch import SignatureCache
from governance.actions import BLOCK_RANGES
from tests.support.gossip.network import FakeNetwork, FakePeer, ManualClock
from tests.support.sync.blocks import CHANNELS, Blocks, Sync, chain, sync

__all__ = ["sync"]  # a fixture


class CountedBlocks(Blocks):
    """Counts what is read from it."""

    def __init__(self, blocks: list[Block], base: int = 1) -> None:
        super().__init__(blocks, base)
        self.reads: Counter[int] = Counter()

    def load_block_bytes(self, height: int) -> bytes | None:
        self.reads[height] += 1
        return super().load_block_bytes(height)


class Server:
    """A node with 60 blocks, its peers at the other ends of queues that the test drains."""

    def __init__(self, host: Any = None, *, base: int = 1) -> None:
        self.clock = ManualClock()
        self.blocks = CountedBlocks(chain(60), base)
        host = host or FakeNetwork(self.clock).host("0" * 40)
        store: Any = self.blocks
        driver: Any = None
        self.reactor = BlockSyncReactor(
            driver, store, host, self.clock, verifier=SignatureCache().verify_many
        )  # fmt: skip

    def connect(self, letter: str, *, room: int) -> FakePeer:
        peer = FakePeer(letter * 40, CHANNELS, room=room)
        self.reactor.add_peer(peer)
        peer.take()
        return peer

    def ask(self, peer: FakePeer, *heights: int) -> None:
        for height in heights:
            self.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.BlockRequest(height).encode())

    async def settle(self) -> None:
        for _ in range(1_000):
            self.clock.advance(0)
            await asyncio.sleep(0)
            if self.reactor._server._aside.is_idle:
                return
        raise AssertionError("it does not come to an end")

    async def drain(self, peer: FakePeer) -> list[int]:
        """What it takes now: the blocks' heights; then there is room again."""
        taken = [m.decode_block_sync(message) for message in peer.take()]
        self.reactor.writable(BLOCK_SYNC_CHANNEL, peer)
        await self.settle()
        return [Block.decode(answer.block).height for answer in taken if isinstance(answer, m.BlockResponse)]


async def test_serving() -> None:
    server = Server(base=10)
    peer = server.connect("b", room=10)
    server.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusRequest().encode())
    server.ask(peer, 9, 61, 10)
    await server.settle()
    assert [m.decode_block_sync(message) for message in peer.take()] == [
        m.StatusResponse(60, 10),
        m.NoBlockResponse(9),
        m.NoBlockResponse(61),
        m.BlockResponse(chain(60)[9].encode()),
    ]
    assert server.blocks.reads == {10: 1}  # what is not there is not looked for
    assert server.reactor.metrics.blocks_served == 1


async def test_a_slow_reader_costs_no_reads_that_it_does_not_take() -> None:
    """mintlayer-core#1314: each of its requests cost the loop 9.7 ms, and the blocks queued up."""
    server = Server()
    slow, other = server.connect("a", room=2), server.connect("b", room=10)
    for _ in range(5):
        server.ask(slow, *range(1, 61))
        await server.settle()
    assert sum(server.blocks.reads.values()) <= 3
    assert server.reactor._server.waiting <= REQUESTS_MAX
    assert sum(slow.useless_by_kind.values()) >= 200
    server.ask(other, 60)
    await server.settle()
    assert await server.drain(other) == [60]
    got = []
    for _ in range(60):
        got += await server.drain(slow)
    assert list(dict.fromkeys(got)) == list(
        range(1, 61)
    )  # and in the end it has them all, each read once but the other's
    assert max(server.blocks.reads.values()) <= 2


async def test_peers_are_served_in_turn() -> None:
    """mintlayer-core#1314"""
    server = Server()
    greedy, modest = server.connect("a", room=100), server.connect("b", room=100)
    order: list[str] = []
    for peer in (greedy, modest):
        peer.deliver = lambda channel, message, id=peer.id: order.append(id[0])  # type: ignore[misc]
    server.ask(greedy, *range(1, 61))
    server.ask(modest, 1, 2, 3)
    await server.settle()
    assert order[:6] == ["a", "b"] * 3


@pytest.mark.parametrize("room", [1, 100])
async def test_what_all_slow_readers_hold_is_bounded_and_who_reads_is_served(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 14: one answer always fits, so forty strangers who took 3 KB a second held forty of the largest blocks."""
    dropped: list[str] = []
    host = SimpleNamespace(drop_peer=lambda peer, reason: dropped.append(peer.id[:1]))
    server = Server(host)
    size = len(m.BlockResponse(chain(60)[9].encode()).encode())
    monkeypatch.setattr(serving, "HELD_BYTES_MAX", 5 * size)
    slow = [server.connect(letter, room=room) for letter in "abcdef0123456789"]
    for peer in slow:
        server.ask(peer, 10, 11, 12)
    await server.settle()

    def held() -> int:
        ready = sum(len(reader.ready or b"") for reader in server.reactor._server._readers.values())
        return ready + sum(peer.queued_bytes(BLOCK_SYNC_CHANNEL) for peer in slow if peer.id[:1] not in dropped)

    assert held() <= 7 * size
    assert dropped == []  # none had the time to show that it is slow
    honest = server.connect("z", room=100)
    server.ask(honest, 20)
    for _ in range(12):
        server.clock.advance(1)
        await server.settle()
        assert held() <= 7 * size
    assert 0 < len(dropped) <= 16
    for _ in range(40):
        if await server.drain(honest) == [20]:
            break
        server.clock.advance(1)
        await server.settle()
    else:
        pytest.fail("the honest one was never served")


async def test_a_store_that_fails_is_asked_once_a_request_and_at_whose_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 8: what a thread did before it failed was free, and its reader had turns without end, all of the loop."""
    server = Server()
    peer, other = server.connect("a", room=10), server.connect("b", room=10)
    clock = itertools.count(step=1_000)
    monkeypatch.setattr(aside.time, "thread_time_ns", lambda: next(clock))

    def fails(height: int) -> bytes | None:
        server.blocks.reads[height] += 1
        raise OSError("injected")

    failures: list[object] = []

    def failed(*_: object, **__: object) -> None:
        failures.append(None)
        assert len(failures) <= 2, "turns without end"

    with monkeypatch.context() as broken:
        broken.setattr(aside, "_limited", SimpleNamespace(error=failed))
        broken.setattr(server.blocks, "load_block_bytes", fails)
        server.ask(peer, 1, 2)
        await server.settle()
    assert (len(failures), server.blocks.reads) == (2, {1: 1, 2: 1})
    assert peer.cpu_ns == 2_000
    server.ask(other, 3)
    await server.settle()
    assert await server.drain(other) == [3]


async def test_an_answer_that_found_no_room_is_not_read_again() -> None:
    server = Server()
    peer = server.connect("a", room=10)
    accept, peer.try_send = peer.try_send, lambda channel, message: False  # type: ignore[method-assign]
    server.ask(peer, 5)
    await server.settle()
    peer.try_send = accept  # type: ignore[method-assign]
    await server.drain(peer)
    assert await server.drain(peer) == [5]
    assert server.blocks.reads == {5: 1}


async def test_a_peer_that_leaves_while_its_block_is_read_is_forgotten() -> None:
    server = Server()
    peer = server.connect("a", room=10)
    server.ask(peer, 1, 2, 3)
    server.reactor.remove_peer(peer, "left")
    await server.settle()
    assert not server.reactor._server.waiting
    assert not server.blocks.reads


async def test_a_liar_that_asked_for_blocks_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 8: whoever was banned for a false block left its requests, the answer that it had not taken, and itself:
    megabytes an identity. The switch tells of its leaving in a later turn."""
    server = Server()
    monkeypatch.setattr(server.reactor, "_network", SimpleNamespace(drop_peer=lambda peer, reason, ban_s: None))
    liars = [server.connect(letter, room=10) for letter in "abcde"]
    for liar in liars:
        server.ask(liar, 1, 2, 3)
        liar.try_send = lambda channel, message: False  # type: ignore[method-assign]
    await server.settle()
    assert len(server.reactor._server._readers) == len(liars)
    for liar in liars:
        server.reactor._drop(liar.id, "it lied")
    for liar in liars:
        server.reactor.remove_peer(liar, "it lied")
    assert server.reactor._server.waiting == 0
    assert server.reactor._server._readers == {}


async def test_statuses_that_nobody_asked_for_count_against_their_sender() -> None:
    """audit 9"""
    server = Server()
    peer = server.connect("a", room=1_000)
    for _ in range(100):
        server.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusResponse(7, 1).encode())
        server.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusRequest().encode())
        server.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.NoBlockResponse(3).encode())
    assert sum(peer.useless_by_kind.values()) == 99 + 99 + 100
    assert len(peer.take()) == 1


# ------------------------------------------------------------------------------------------------- catching up


class Pausing(BlockSyncReactor):
    """Answers each request `delay_s` later."""

    delay_s = 20.0

    def _serve(self, peer: Any, height: int) -> None:
        self._clock.call_later(self.delay_s, lambda: super(Pausing, self)._serve(peer, height))


async def test_slow_honest_peers_are_not_dropped_and_what_comes_late_is_used(sync: Sync) -> None:
    """audit 14: whoever let 10 s pass was banned, all at once where our own way was slow."""
    sync.clock.advance(100_000)  # the chain is old: it is not for its last block's time that syncing ends
    for _ in range(3):
        sync.add(chain(60), Pausing)
    await sync.run(200)
    assert sync.height == 59
    assert sync.host.dropped == []
    assert sync.reactor.metrics.timeouts > 0


async def test_silent_peers_are_asked_once_and_an_honest_one_is_found(sync: Sync) -> None:
    class Silent(BlockSyncReactor):
        def _serve(self, peer: Any, height: int) -> None:
            pass

    for _ in range(10):
        sync.add(chain(60), Silent)
    sync.add(chain(60))
    assert await sync.run(60) == 59
    assert sync.host.dropped == []


async def with_sixty_blocks(sync: Sync) -> FakePeer:
    """A peer that says it has them, and answers nothing."""
    peer = FakePeer("a" * 40, CHANNELS)
    sync.host.links[peer.id] = peer
    sync.reactor.add_peer(peer)
    await sync.run(0.1)
    sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusResponse(60, 1).encode())
    return peer


async def test_a_pruned_peer_is_no_liar(sync: Sync) -> None:
    """It claims block 1, has pruned it when we ask, and serves what it kept: CometBFT's NoBlockResponse."""

    class Pruning(BlockSyncReactor):
        def _send_status(self, peer: Any) -> None:
            peer.try_send(BLOCK_SYNC_CHANNEL, m.StatusResponse(60, 1).encode())

    sync.add(chain(60), Pruning, base=30)
    sync.add(chain(60)[:32])
    assert await sync.run(40) is not None
    assert sync.height >= 59
    assert sync.host.dropped == []
    assert sync.reactor._peers[sync.peers[0].id].pruned < 30


async def test_a_decided_block_that_is_refused_here_ends_the_node_and_blames_no_peer(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node with the wrong software banned every honest peer, again and again, and looked alive."""
    sync.add(chain(60))
    apply = sync.driver.apply_synced_block

    async def refuse(block: Block, *args: Any, **kwargs: Any) -> Any:
        if block.height == 20:
            raise InvalidBlock("app version is 2, expected 1")
        return await apply(block, *args, **kwargs)

    monkeypatch.setattr(sync.driver, "apply_synced_block", refuse)
    with pytest.raises(WrongSoftware, match=r"block 20 .* app version is 2"):
        await sync.run(20)
    sync.task = None
    assert sync.host.dropped == []


async def test_large_blocks_are_decoded_aside(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 14: whole blocks were decoded on the loop, in the call that took them in."""
    decoded: list[str] = []
    real = sync_blocks.decode_fetched

    def noted(peer_id: str, response: m.BlockResponse, bounds: BlockBounds) -> Any:
        decoded.append(peer_id)
        return real(peer_id, response, bounds)

    monkeypatch.setattr(sync_blocks, "decode_fetched", noted)
    monkeypatch.setattr(sync_blocks, "INLINE_BYTES_MAX", 16)
    peer = await with_sixty_blocks(sync)
    await sync.run(0.1)
    for block in chain(60)[:10]:
        sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.BlockResponse(block.encode()).encode())
    assert decoded == []
    await sync.run(0.1)
    assert len(decoded) == 10
    assert sync.height == 9


async def test_more_blocks_than_were_asked_for_are_not_even_decoded(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 14"""
    monkeypatch.setattr(sync_blocks, "INLINE_BYTES_MAX", 16)
    peer = FakePeer("a" * 40, CHANNELS)
    sync.host.links[peer.id] = peer
    sync.reactor.add_peer(peer)
    await sync.run(0.1)
    message = m.BlockResponse(chain(60)[0].encode()).encode()
    with pytest.raises(PeerFault, match="not asked for"):
        sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, message)
    sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusResponse(60, 1).encode())
    await sync.run(0.1)
    asked = len(sync.reactor._peers[peer.id].asked)
    for _ in range(asked):
        sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, message)
    with pytest.raises(PeerFault, match="not asked for"):
        sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, message)


async def test_blocks_that_grow_all_at_once_are_not_all_kept(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 14: what waits for its turn is bounded whatever size the blocks have."""
    monkeypatch.setattr(sync_blocks, "BUFFER_BYTES_MAX", 4_000)
    biggest = 0
    inner = sync.reactor._take_fetched

    def watched(*args: Any) -> None:
        nonlocal biggest
        inner(*args)
        biggest = max(biggest, sync.reactor._buffered_bytes)

    monkeypatch.setattr(sync.reactor, "_take_fetched", watched)
    for _ in range(3):
        sync.add(chain(60))
    assert await sync.run(30) == 59
    bounds = BlockBounds(0, 10)
    held = [decode_fetched("", m.BlockResponse(block.encode()), bounds).held_bytes for block in chain(60)]
    assert biggest <= 2 * 4_000 + 2 * max(held)


FAT = {
    "evidence": b"\x1a" + b"\x0a\x06\x0a\x04\x0a\x00\x12\x00" * 50_000,
    "transactions": b"\x12" + b"\x0a\x00" * 200_000,
    "signatures": b"\x22" + b"\x22\x00" * 200_000,
    "extended signatures": b"",
}


@pytest.mark.parametrize("name", FAT)
async def test_who_answers_with_a_fat_block_is_charged_and_dropped(
    sync: Sync, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 21: a stranger's 46 MB of evidence took a thread 132 s and 3.9 GB, and nobody was charged or blamed."""
    made: list[object] = []
    for kind in (Block, ExtendedCommit):
        monkeypatch.setattr(kind, "from_proto", staticmethod(made.append))
    peer = await with_sixty_blocks(sync)
    await sync.run(0.1)
    header = message_field(b"\x0a", int_field(b"\x18", 1))
    if FAT[name]:
        answer = m.BlockResponse(header + message_field(FAT[name][:1], FAT[name][1:]))
    else:
        monkeypatch.setattr(Block, "from_proto", staticmethod(lambda message: chain(60)[0]))
        answer = m.BlockResponse(header, b"\x22\x00" * 200_000)
    spent = peer.cpu_ns
    sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, answer.encode())
    await sync.run(0.1)
    assert made == []
    assert peer.cpu_ns > spent
    assert [(id, reason.startswith("block sync")) for id, reason, *_ in sync.host.dropped] == [(peer.id, True)]


async def test_a_block_of_another_height_is_told_by_its_header(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 21: it was decoded whole, in a thread, to learn that nobody had asked for it."""
    monkeypatch.setattr(Block, "from_proto", staticmethod(lambda message: pytest.fail("decoded")))
    peer = await with_sixty_blocks(sync)
    await sync.run(0.1)
    other = message_field(b"\x0a", int_field(b"\x18", 1_000)) + message_field(b"\x12", bytes(100_000))
    with pytest.raises(PeerFault, match="block 1000 was not asked for"):
        sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.BlockResponse(other).encode())


async def test_what_waits_to_be_decoded_is_bounded(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 21: each peer could leave twenty of the largest messages there; who did nothing wrong is asked again."""
    monkeypatch.setattr(sync_blocks, "INLINE_BYTES_MAX", 16)
    monkeypatch.setattr(sync_blocks, "BUFFER_BYTES_MAX", 4_000)
    peer = await with_sixty_blocks(sync)
    await sync.run(0.1)
    for height in sorted(sync.reactor._peers[peer.id].asked):
        sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.BlockResponse(chain(60)[height - 1].encode()).encode())
    assert sync.reactor._undecoded_bytes <= 4_000
    await sync.run(0.1)
    assert sync.reactor._undecoded_bytes == 0
    assert sync.host.dropped == []
    assert sync.height > 0


async def test_a_block_under_parameters_that_grew_is_taken(sync: Sync) -> None:
    """audit 21: a block is asked for before the one that raised the limit is applied. A vote from the least to the
    most, and the largest block then, cost every honest peer its connection, and a syncing node stood there."""
    least, most = BLOCK_RANGES["max_bytes"]
    state = sync.driver.state
    block = replace(state.params.block, max_bytes=least)
    sync.driver.state = replace(state, params=replace(state.params, block=block))
    assert sync.reactor._largest() == most + SLACK_BYTES
