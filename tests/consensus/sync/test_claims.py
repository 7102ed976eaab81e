"""Claimed heights: what a few peers invent moves neither the target, nor readiness, nor the end of block sync."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.channels import peer_messages as m
from consensus.channels.peer_messages import BLOCK_SYNC_CHANNEL
from consensus.node.gossip import Gossip
from consensus.sync.blocks import BlockSyncReactor
from consensus.sync.claims import Claim, believed_height
from crypto.batch import SignatureCache
from tests.support.gossip.network import FakeHost, FakeNetwork, FakePeer, ManualClock
from tests.support.sync.blocks import CHANNELS, Blocks, Sync, chain, sync

__all__ = ["sync"]  # a fixture

SECOND_NS = 10**9


@pytest.mark.parametrize(
    ("chosen", "others", "want"),
    [
        pytest.param([], [], 0, id="nobody said anything"),
        pytest.param([7], [], 7, id="one"),
        pytest.param([7, 2**62], [], 7, id="of two the lower"),
        pytest.param([7, 8, 2**62], [], 8, id="the one in the middle"),
        pytest.param([7], [2**62] * 40, 7, id="whom we chose, not who came to us"),
        pytest.param([], [6, 7, 7, 2**62, 2**62], 7, id="no peer of our choice"),
        pytest.param([0, 0, 0], [2**62], 0, id="a network that begins"),
    ],
)
def test_which_height_is_believed(chosen: list[int], others: list[int], want: int) -> None:
    """audit 12"""
    claims = [Claim(height, is_chosen=True) for height in chosen]
    claims += [Claim(height, is_chosen=False) for height in others]
    assert believed_height(claims) == want


@given(st.lists(st.integers(0, 2**63), min_size=1), st.data())
def test_fewer_than_half_cannot_move_it_past_the_honest(honest: list[int], data: st.DataObject) -> None:
    liars = data.draw(st.lists(st.integers(0, 2**63), max_size=len(honest) - 1))
    claims = [Claim(height, is_chosen=True) for height in [*honest, *liars]]
    assert min(honest) <= believed_height(claims) <= max(honest)


class Peers:
    """A node in consensus at height 100, its last block `age_s` old, and what peers say on both channels."""

    def __init__(self, age_s: float) -> None:
        clock = ManualClock()
        self.host = FakeHost("0" * 40, FakeNetwork(clock))
        state = SimpleNamespace(
            last_block_height=100, next_height=101, last_block_time_ns=clock.now_ns() - round(age_s * SECOND_NS)
        )
        driver: Any = SimpleNamespace(state=state)
        blocks: Any = Blocks([])
        self.sync = BlockSyncReactor(driver, blocks, self.host, clock, verifier=SignatureCache().verify_many)
        self.running: dict[str, tuple[int, int, int]] = {}
        consensus: Any = SimpleNamespace(peer_heights=self.running)
        none: Any = None
        self.gossip = Gossip(
            driver=driver, extension=none, consensus=consensus, mempool=none, evidence=none, sync=self.sync,
            snapshots=none, backfill=none, network=self.host, clock=clock, fatal=lambda code, line: None,
        )  # fmt: skip
        self.gossip.begun.set()

    def connect(self, height: int, *, is_chosen: bool, says_step: bool = True) -> None:
        peer = FakePeer(f"{len(self.host.links):040x}", CHANNELS)
        peer.is_outbound = peer.is_persistent = is_chosen
        self.host.links[peer.id] = peer
        self.sync.add_peer(peer)
        self.sync.receive(BLOCK_SYNC_CHANNEL, peer, m.StatusResponse(height, 1).encode())
        if says_step:
            self.running[peer.id] = (height + 1, 0, 1)


@pytest.mark.parametrize("says_step", [True, False])
@pytest.mark.parametrize(
    ("age_s", "honest", "liars", "chosen_liars", "want"),
    [
        pytest.param(1, 3, 1, False, False, id="one liar"),
        pytest.param(3_600, 3, 1, False, False, id="one liar, and the chain stands"),
        pytest.param(3_600, 3, 2, True, False, id="two that we dialled"),
        pytest.param(1, 1, 40, False, False, id="forty connections of a liar"),
        pytest.param(3_600, 1, 40, False, False, id="forty of them, and the chain stands"),
        pytest.param(1, 0, 40, False, False, id="nobody but liars: the last block is young"),
        pytest.param(3_600, 0, 3, True, True, id="all say that we are behind, and our last block is old"),
    ],
)
def test_a_claimed_height_does_not_withhold_readiness(
    says_step: bool, age_s: float, honest: int, liars: int, chosen_liars: bool, want: bool
) -> None:
    """audit 12: one peer with a height of 2^62 made every node `catching up`."""
    peers = Peers(age_s)
    for _ in range(honest):
        peers.connect(100, is_chosen=True, says_step=says_step)
    for _ in range(liars):
        peers.connect(2**62, is_chosen=chosen_liars, says_step=says_step)
    assert peers.gossip.is_catching_up() == want
    assert (peers.gossip.highest_peer() > 102) == want


async def test_a_liar_that_serves_each_block_as_it_is_made_does_not_keep_a_node_in_block_sync(sync: Sync) -> None:
    """audit 12: it claims 2^62 and delivers; a node that follows it would never vote again."""

    class Relay(BlockSyncReactor):
        """Has a new block each second, as the whole network does, and says that there are many more."""

        def _send_status(self, peer: Any) -> None:
            peer.try_send(BLOCK_SYNC_CHANNEL, m.StatusResponse(2**62, 1).encode())

        def _serve(self, peer: Any, height: int) -> None:
            since = (self._clock.now_ns() - 1_700_000_000 * SECOND_NS) // SECOND_NS
            delay_s = max(0, height - since)
            later = super()._serve
            self._clock.call_later(delay_s, lambda: later(peer, height))

    for _ in range(5):
        sync.add(chain(60), Relay)
    sync.add([])  # who is where we were
    assert await asyncio.wait_for(sync.run(20), 10) is not None
    assert sync.height < 30
