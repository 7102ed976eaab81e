"""Consensus messages without end: what is of no use counts against its sender, and honest peers send next to none."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from consensus.channels import peer_messages as m
from consensus.core.events import VoteKind
from consensus.formats.bits import BitArray
from consensus.gossip.peer_state import CLAIMS_MAX, PART_SETS_MAX, VOTE_SETS_MAX
from consensus.p2p.conn.base import PeerFault
from consensus.p2p.conn.budget import BudgetConfig
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PART_BYTES, PartSet
from consensus.types.vote import Proposal, Vote
from tests.support.gossip.fakes import ConsensusMesh
from tests.support.gossip.network import FakePeer

STOCK = frozenset({0x20, 0x21, 0x22, 0x23})
SOME_ID = BlockID(b"h" * 32, PartSetHeader(1, b"p" * 32))
PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


def vote(height: int, *, address: bytes = b"a" * 20, index: int = 0) -> bytes:
    return m.VoteMessage(Vote(1, height, 0, SOME_ID, 5, address, index, b"s" * 64)).encode()


def part(height: int) -> bytes:
    held = PartSet.from_bytes(b"x").get(0)
    assert held is not None
    return m.BlockPart(height, 0, held).encode()


FLOODS = {
    "HasVote of another height": (0x20, m.HasVote(50, 0, PREVOTE, 1).encode()),
    "a step that is no later one": (0x20, m.NewRoundStep(1, 0, 3, 0, -1).encode()),
    "parts told anew": (0x20, m.NewValidBlock(1, 0, SOME_ID.part_set_header, BitArray(1, 0), False).encode()),
    "claims": (0x20, m.VoteSetMaj23(1, 0, PREVOTE, SOME_ID).encode()),
    "claims of another height": (0x20, m.VoteSetMaj23(9, 0, PREVOTE, SOME_ID).encode()),
    "VoteSetBits": (0x23, m.VoteSetBits(1, 0, PREVOTE, SOME_ID, BitArray(4, 0)).encode()),
    "ProposalPOL": (0x21, m.ProposalPol(1, 0, BitArray(4, 1)).encode()),
    "proposal of another height": (0x21, m.ProposalMessage(Proposal(50, 0, -1, SOME_ID, 5, b"s" * 64)).encode()),
    "part of another height": (0x21, part(50)),
    "vote of another height": (0x22, vote(50)),
    "vote of no validator": (0x22, vote(1)),
    "vote of an index that nobody has": (0x22, vote(1, index=9_999)),
    "a vote on the wrong channel": (0x21, vote(1)),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_counts_against_its_sender(name: str) -> None:
    """audit 7 and 10: each of them cost us as much as it liked, and nobody was blamed."""
    mesh = ConsensusMesh()
    node, peer = mesh.nodes[0], FakePeer("a" * 40, STOCK)
    node.driver.begin(1)
    node.reactor.start()
    node.reactor.add_peer(peer)
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
    channel, message = FLOODS[name]
    for _ in range(1_200):
        node.reactor.receive(channel, peer, message)
        peer.sent.clear()
    assert peer.useless_by_kind.total() > BudgetConfig().useless_max


@pytest.mark.parametrize("ours", [4, 2, 0], ids=["ours", "mixed", "stock"])
@pytest.mark.parametrize("parts", [1, 9])
def test_honest_networks_send_next_to_nothing_of_no_use(ours: int, parts: int) -> None:
    """audit 7: honest peers, ours and stock ones, are never dropped: 60 heights without any pause."""
    mesh = ConsensusMesh(ours=ours, block_bytes=parts * PART_BYTES)
    mesh.network.full_mesh()
    mesh.start()
    began = mesh.clock.monotonic_ns()
    mesh.run_to(60)
    seconds = (mesh.clock.monotonic_ns() - began) / 10**9
    config = BudgetConfig()
    for node in mesh.nodes:
        for peer in node.host.peers:
            assert peer.useless_by_kind.total() <= config.useless_max / 4 + config.useless_per_s * seconds, (
                peer.useless_by_kind
            )


@pytest.mark.parametrize("ours", [4, 2, 0], ids=["ours", "mixed", "stock"])
def test_honest_peers_of_a_height_that_lasts_stay_below_what_is_forgiven(ours: int) -> None:
    """What they say again every two seconds counts, whether the height stands still or its block is not due yet: their
    totals grow for ever, and what is held against them does not."""
    mesh = ConsensusMesh(ours=ours)
    mesh.network.full_mesh()
    for node in mesh.nodes[:2]:
        node.driver.paused = True
    mesh.start()
    config, levels, totals = BudgetConfig(), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for _ in range(600):
        mesh.clock.advance(1)
        for node in mesh.nodes:
            for peer in node.host.peers:
                who, total = (node.host.id, peer.id), peer.useless_by_kind.total()
                levels[who] = max(0, levels[who] + total - totals[who] - config.useless_per_s)
                totals[who] = total
                assert levels[who] <= config.useless_max / 10, peer.useless_by_kind
    if ours == 4:
        assert min(totals.values()) > config.useless_max, "the counts of all time say nothing of a peer's fault"


def test_what_a_peer_can_make_us_remember_is_bounded() -> None:
    """audit 10: every message with every number that a peer may choose, some ten thousand of them."""
    mesh = ConsensusMesh()
    node, peer = mesh.nodes[0], FakePeer("a" * 40, STOCK)
    node.driver.begin(1)
    node.reactor.start()
    node.reactor.add_peer(peer)
    rng, kinds = random.Random(3), Counter[str]()
    for number in range(10_000):
        height, round, kind = rng.choice([1, 1, 2, 9, 2**62]), rng.randrange(2**31), rng.choice([PREVOTE, PRECOMMIT])
        block_id = BlockID(rng.randbytes(32), PartSetHeader(rng.randrange(1, 1_600), rng.randbytes(32)))
        size = block_id.part_set_header.total
        message = rng.choice(
            [
                (0x20, m.HasVote(height, round, kind, rng.randrange(2**31))),
                (0x20, m.NewValidBlock(1, 0, block_id.part_set_header, BitArray(size, 0), False)),
                (0x20, m.VoteSetMaj23(1, round, kind, block_id)),
                (0x23, m.VoteSetBits(1, round, kind, block_id, BitArray(100, 5))),
                (0x21, m.ProposalPol(1, round, BitArray(100, 5))),
                (0x20, m.NewRoundStep(1, number, 3, 0, -1)),
            ]
        )
        channel, decoded = message
        try:
            node.reactor.receive(channel, peer, decoded.encode())  # type: ignore[attr-defined]
        except PeerFault as fault:
            kinds[str(fault)[:20]] += 1
        peer.sent.clear()
    state = node.reactor._peers[peer.id]
    assert len(state._votes) <= VOTE_SETS_MAX
    assert len(state._masks) <= PART_SETS_MAX
    assert len(state.claims) <= CLAIMS_MAX


def test_the_driver_hears_which_peer_left_so_that_it_can_forget() -> None:
    """audit 7: not of one that was replaced by a new connection of the same id."""
    node = ConsensusMesh().nodes[0]
    old, new = FakePeer("a" * 40, STOCK), FakePeer("a" * 40, STOCK)
    node.reactor.add_peer(old)
    node.reactor.add_peer(new)
    node.reactor.remove_peer(old, "replaced")
    assert node.driver.left == []
    node.reactor.remove_peer(new, "gone")
    assert node.driver.left == ["a" * 40]
