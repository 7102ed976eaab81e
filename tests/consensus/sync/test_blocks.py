"""Block sync over a real chain (real hashes, commits and signatures): catching up, and every way to lie."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from consensus.channels import peer_messages as m
from consensus.channels.peer_messages import BLOCK_SYNC_CHANNEL
from consensus.p2p.conn.base import PeerFault
from consensus.sync.asked import REQUESTS_PER_PEER_MAX
from consensus.sync.blocks import AHEAD_MAX, BAN_S, BlockSyncReactor
from consensus.types.block import Block, Data
from crypto.batch import SignatureCache
from tests.support.gossip.network import FakeHost, FakeNetwork, FakePeer, ManualClock
from tests.support.sync.blocks import CHANNELS, KEYS, Blocks, Driver, Sync, chain, genesis, serving, sync

__all__ = ["sync"]


@pytest.mark.parametrize("peers", [1, 3])
async def test_a_node_that_was_away_fetches_each_block_once(sync: Sync, peers: int) -> None:
    blocks = chain(60)
    for _ in range(peers):
        sync.add(blocks)
    assert await sync.run(20) == 59
    assert sync.height == 59  # the last has no successor to prove it: consensus fetches it
    assert sync.reactor.metrics.blocks_received <= 60
    assert all(not host.dropped for host in [sync.host, *sync.peers])


async def test_who_brings_blocks_is_useful(sync: Sync) -> None:
    """audit 7: blocks came out of the share of strangers who bring nothing; forty others could keep a node from
    syncing with them."""
    sync.add(chain(30))
    sync.add(chain(30))
    await sync.run(20)
    assert sync.height == 29
    brought = [peer.useful_messages for peer in sync.host.links.values()]
    assert sum(brought) >= 29
    assert all(brought)


async def test_each_signature_is_verified_once(sync: Sync) -> None:
    """Failure 15: block sync checked signatures three times."""
    sync.add(chain(30))
    await sync.run(20)
    assert len(sync.checked) == 29 * 4
    assert len({check[1] + check[2] for check in sync.checked}) == 29 * 4


@pytest.mark.parametrize("heights", [(0, 0, 0), (1, 0, 1)])
async def test_a_network_that_begins_goes_to_consensus_as_soon_as_peers_have_spoken(
    sync: Sync, heights: tuple[int, ...]
) -> None:
    for height in heights:
        sync.add(chain(2)[:height])
    assert await sync.run(0.6) == 0


async def test_a_sole_validator_does_not_wait() -> None:
    state = genesis(1)
    blocks: Any = Blocks([])
    network: Any = FakeHost("a" * 40, FakeNetwork(ManualClock()))
    driver: Any = Driver(state, blocks, None)
    reactor = BlockSyncReactor(
        driver,
        blocks,
        network,
        ManualClock(),
        verifier=SignatureCache().verify_many,
        our_address=lambda: KEYS[0].pub_key.address,
    )
    assert await asyncio.wait_for(reactor.run(), 1) == 0


async def test_without_peers_a_node_waits_unless_nothing_happens_without_it(sync: Sync) -> None:
    assert await sync.run(30) is None
    alone = Sync()
    alone.driver.state = genesis(3)
    alone.reactor._our_address = lambda: KEYS[0].pub_key.address  # a third of the power
    assert await alone.run(1) == 0


async def test_requests_are_pipelined_and_bounded(sync: Sync) -> None:
    peer = FakePeer("a" * 40, CHANNELS)
    sync.host.links[peer.id] = peer
    sync.reactor.add_peer(peer)
    await sync.run(0.1)
    sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusResponse(10**9, 1).encode())
    await sync.run(0.1)
    asked = [m.decode_block_sync(message) for message in peer.take()]
    heights = [message.height for message in asked if isinstance(message, m.BlockRequest)]
    assert heights == list(range(1, REQUESTS_PER_PEER_MAX + 1))
    assert len(heights) < AHEAD_MAX


# ------------------------------------------------------------------------------------------------------- liars


class Silent(BlockSyncReactor):
    """Claims blocks and serves none."""

    def _serve(self, peer: Any, height: int) -> None:
        pass


class Boaster(BlockSyncReactor):
    """Claims a height that nobody has, serves what there is."""

    def _send_status(self, peer: Any) -> None:
        peer.try_send(BLOCK_SYNC_CHANNEL, m.StatusResponse(10**12, 1).encode())

    def _serve(self, peer: Any, height: int) -> None:
        if self._blocks.load_block_bytes(height) is not None:
            super()._serve(peer, height)


class Denier(BlockSyncReactor):
    """Claims blocks and says that it does not have them."""

    def _serve(self, peer: Any, height: int) -> None:
        peer.try_send(BLOCK_SYNC_CHANNEL, m.NoBlockResponse(height).encode())


def _with_bad_signature(block: Block) -> bytes:
    if block.last_commit is None or not block.last_commit.signatures:
        return block.encode()
    first, *others = block.last_commit.signatures
    commit = replace(block.last_commit, signatures=(replace(first, signature=bytes(64)), *others))
    return replace(block, last_commit=commit).encode()


def _with_other_txs(block: Block) -> bytes:
    data = Data((b"forged",))
    return replace(block, data=data, header=replace(block.header, data_hash=data.hash)).encode()


@pytest.mark.parametrize(
    ("liar", "seconds"),
    [
        pytest.param(Silent, 30, id="silent"),
        pytest.param(Boaster, 30, id="failure 14: a height that nobody has"),
        pytest.param(Denier, 5, id="denies what it claims"),
        pytest.param(serving(_with_bad_signature), 5, id="a commit signature that does not verify"),
        pytest.param(serving(_with_other_txs), 5, id="blocks with other transactions"),
        pytest.param(serving(lambda block: b"\xff\xff"), 5, id="ASA-2024-008: no block"),
        pytest.param(serving(lambda block: b"\x0a\x00"), 5, id="ASA-2024-008: an empty block"),
        pytest.param(serving(lambda block: chain(60)[-1].encode()), 5, id="a block that was not asked for"),
    ],
)
async def test_liars_do_not_keep_a_node_from_the_tip(sync: Sync, liar: type[BlockSyncReactor], seconds: float) -> None:
    blocks = chain(60)
    sync.add(blocks, liar)
    for _ in range(2):
        sync.add(blocks)
    assert await sync.run(seconds) is not None
    assert sync.height >= 59
    assert [block.hash for block in (sync.driver._blocks.blocks[h] for h in range(1, 60))] == [
        block.hash for block in blocks[:59]
    ]
    honest = {host.id for host in sync.peers[1:]}
    if liar not in {Boaster, Denier, Silent}:  # who says nothing false, or is overtaken before its time is over
        assert sync.peers[0].id in sync.banned()
    assert not sync.banned() & honest


async def test_whatever_liars_claim_a_node_where_an_honest_peer_is_goes_on_to_consensus(sync: Sync) -> None:
    """ASA-2025-001, failure 14: many liars, each with a new claim, delay the start by a few seconds at most."""
    sync.add([])
    for _ in range(5):
        sync.add([], Boaster)
    assert await sync.run(7) == 0


async def test_peers_that_pruned_what_we_need_are_not_asked(sync: Sync) -> None:
    """ASA-2025-001: a base above what we need must not stall us."""
    blocks = chain(60)
    sync.add(blocks, base=40)
    sync.add(blocks)
    assert await sync.run(20) == 59
    pruned = sync.peers[0]
    assert pruned.reactors[BLOCK_SYNC_CHANNEL].metrics.blocks_served <= 20


@pytest.mark.parametrize(("height", "base"), [(9, 1), (10, 0)])
async def test_a_peer_that_lowers_its_heights_is_banned(sync: Sync, height: int, base: int) -> None:
    """ASA-2025-001: the peer lowers its height."""
    peer = FakePeer("a" * 40, CHANNELS)
    sync.reactor.add_peer(peer)
    sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusResponse(10, 1).encode())
    sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusResponse(11, 2).encode())
    with pytest.raises(PeerFault, match="lowered") as fault:
        sync.reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusResponse(height, base).encode())
    assert fault.value.ban_s == BAN_S


async def test_a_slow_peer_is_overtaken(sync: Sync) -> None:
    """It gives a block every nine seconds, never too late to be dropped."""

    class Slow(BlockSyncReactor):
        queue = 0

        def _serve(self, peer: Any, height: int) -> None:
            self.queue += 1
            self._clock.call_later(9 * self.queue, lambda: super(Slow, self)._serve(peer, height))

    blocks = chain(60)
    sync.add(blocks, Slow)
    sync.add(blocks)
    assert await sync.run(40) == 59


async def test_a_peer_that_leaves_takes_nothing_along(sync: Sync) -> None:
    blocks = chain(60)
    sync.add(blocks, Silent)
    await sync.run(1)
    sync.network.disconnect(sync.host.id, sync.peers[0].id)
    sync.add(blocks)
    assert await sync.run(5) == 59


async def test_an_unasked_block_while_not_syncing_is_ignored(sync: Sync) -> None:
    reactor = sync.add(chain(60))
    peer = FakePeer("b" * 40, CHANNELS)
    reactor.add_peer(peer)
    reactor.receive(BLOCK_SYNC_CHANNEL, peer, m.BlockResponse(chain(60)[0].encode()).encode())
    assert reactor.metrics.blocks_received == 0


async def test_a_genesis_of_other_validators_is_told_as_what_it_is(sync: Sync) -> None:
    """Before, it looked like peers that break the protocol, for ever: each was banned for its first block."""
    sync.driver.state = genesis(3)
    for _ in range(3):
        sync.add(chain(30))
    assert await sync.run(5) is None
    assert sync.height == 0
    told = sync.reactor.waits_for
    assert told.startswith("peers that began with this node's genesis: the first block of ")
    assert told.endswith(" does not follow from it")


async def test_a_liar_at_the_first_block_is_forgotten_when_another_has_the_right_one(sync: Sync) -> None:
    blocks = chain(30)
    sync.reactor._begun_otherwise.add("ab" * 20)
    sync.add(blocks)
    await sync.run(20)
    assert sync.height == 29
    assert not sync.reactor._begun_otherwise
