"""A proposer signs another block for each node: the honest ones lose neither each other nor many copies by it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest

from consensus.channels import peer_messages as m
from consensus.channels.extension import EXTENSION_CHANNEL, ExtensionMessage, HasPart, encode
from consensus.core.events import Step
from consensus.formats.bits import BitArray
from consensus.p2p.conn.budget import BudgetConfig
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.params import BlockParams, ConsensusParams
from consensus.types.parts import PART_BYTES, PARTS_MAX, PartSet
from consensus.types.vote import Proposal
from tests.support.engine.bench import Home, assert_equal_chains, genesis_of, key_of, until
from tests.support.gossip.fakes import ConsensusMesh, ConsensusNode
from tests.support.gossip.loopback import FullNode
from tests.support.gossip.network import FakePeer

STOCK = frozenset({0x20, 0x21, 0x22, 0x23})
OURS = STOCK | {EXTENSION_CHANNEL}
PARTS = 30


def other_proposal(total: int = PARTS, *, height: int = 1) -> Proposal:
    return Proposal(height, 0, -1, BlockID(b"o" * 32, PartSetHeader(total, b"p" * 32)), 0, b"s" * 64)


def proposer(*channels: frozenset[int]) -> tuple[ConsensusNode, list[FakePeer]]:
    """A node that made a block of PARTS parts, and peers whose queues hold all of them."""
    node = ConsensusMesh(4, block_bytes=PARTS * PART_BYTES).nodes[1]
    peers = [FakePeer(letter * 40, own) for letter, own in zip("abc", channels, strict=False)]
    for peer in peers:
        node.extension.add_peer(peer)
        node.reactor.add_peer(peer)
    node.driver.begin(1)
    node.reactor.start()
    return node, peers


def sent(peer: FakePeer) -> Counter[type]:
    return Counter(type(m.decode_consensus(message)) for message in peer.take(0x21))


@pytest.mark.parametrize("channels", [STOCK, OURS])
def test_who_said_another_proposal_is_told_of_ours_once_and_sent_no_parts(channels: frozenset[int]) -> None:
    """audit 22: that it was sent our proposal does not mean that it gathers our parts."""
    node, (peer,) = proposer(channels)
    said = m.ProposalMessage(other_proposal()).encode()
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 1, 0, -1).encode())
    peer.take()
    other = FakePeer("d" * 40, channels)
    node.extension.add_peer(other)
    node.reactor.add_peer(other)
    other.room = 0  # our proposal is not on its way yet
    node.reactor.receive(0x20, other, m.NewRoundStep(1, 0, 3, 0, -1).encode())
    other.room = 1_000
    for _ in range(3):
        node.reactor.receive(0x21, other, said)
    assert sent(other) == {m.ProposalMessage: 1}


@pytest.mark.parametrize("channels", [STOCK, OURS])
def test_who_says_another_proposal_later_is_sent_no_more_parts(channels: frozenset[int]) -> None:
    """audit 22"""
    node, (peer,) = proposer(channels)
    peer.room = 5
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
    before = sent(peer)
    assert before[m.ProposalMessage] == 1
    assert before[m.BlockPart] > 0
    node.reactor.receive(0x21, peer, m.ProposalMessage(other_proposal()).encode())
    peer.room = 1_000
    node.reactor.writable(0x21, peer)
    assert sent(peer) == {}


def test_who_says_nothing_else_is_sent_all_parts_at_once() -> None:
    """Failure 1: the ordinary push waits for no answer."""
    node, (peer,) = proposer(OURS)
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
    assert sent(peer) == {m.ProposalMessage: 1, m.BlockPart: PARTS}


def test_a_part_says_what_its_sender_gathers() -> None:
    """audit 22"""
    node, (peer,) = proposer(STOCK)
    peer.room = 5
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
    sent(peer)
    part = PartSet.from_bytes(b"o" * PARTS * PART_BYTES).get(3)
    assert part is not None
    node.reactor.receive(0x21, peer, m.BlockPart(1, 0, part).encode())
    peer.room = 1_000
    node.reactor.writable(0x21, peer)
    assert sent(peer) == {}


@pytest.mark.parametrize(("height", "total"), [(1, 63), (2, 63), (2, PARTS_MAX)])
def test_a_proposal_is_not_measured_by_another_heights_params(height: int, total: int) -> None:
    """audit 22: who was a block ahead of one that raised block.max_bytes broke the protocol for those behind."""
    node, (peer,) = proposer(OURS)  # its blocks have at most 62 parts
    node.reactor.receive(0x20, peer, m.NewRoundStep(height, 0, 3, 0, height - 2).encode())
    node.reactor.receive(0x21, peer, m.ProposalMessage(other_proposal(total, height=height)).encode())
    assert peer.useless_by_kind == {}


def lost_all(node: ConsensusNode, peer: FakePeer, number: int) -> None:
    """It says once more that it holds no part."""
    header = node.driver.round_state.parts.header  # type: ignore[union-attr]
    if number % 2:
        header = replace(header, hash=b"e" * 32)
    node.reactor.receive(0x20, peer, m.NewValidBlock(1, 0, header, BitArray(PARTS, 0), False).encode())


def exactly_none(node: ConsensusNode, peer: FakePeer, number: int) -> None:
    header = node.driver.round_state.parts.header  # type: ignore[union-attr]
    said = encode(ExtensionMessage(has_parts=(HasPart(1, 0, header, 0, exact=True),)))
    node.extension.receive(EXTENSION_CHANNEL, peer, said)


@pytest.mark.parametrize("again", [lost_all, exactly_none])
def test_who_makes_us_send_a_block_again_and_again_is_charged(again: object) -> None:
    """audit 22: an exact announcement cost nothing, nor did parts of two sets told in turn."""
    node, (peer,) = proposer(OURS)
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
    config = BudgetConfig()
    for number in range(config.useless_max + 2):
        again(node, peer, number)  # type: ignore[operator]
        peer.sent.clear()
        if peer.useless_by_kind.total() > config.useless_max:
            break
    assert peer.useless_by_kind.total() > config.useless_max


async def test_three_nodes_stay_together_while_a_proposer_gives_each_another_block() -> None:
    """audit 22: two such rounds made each ban the others for a minute, and the chain stood."""
    params = ConsensusParams(block=BlockParams(max_bytes=10_485_760, max_gas=-1))
    genesis = genesis_of(4, params=params)
    nodes = [await FullNode.make(genesis, index, Home()) for index in range(3)]
    for index, node in enumerate(nodes):
        await node.join(nodes[:index])
    await asyncio.gather(*(node.begin() for node in nodes))
    liars = [FakePeer("f" * 40, STOCK, room=10**6) for _ in nodes]
    for node, liar in zip(nodes, liars, strict=True):
        node.consensus.add_peer(liar)  # type: ignore[arg-type]
    key, chance, lies = key_of(3), random.Random(21), 0
    told: set[tuple[int, int]] = set()

    def lie() -> bool:
        nonlocal lies
        states = [node.engine.driver.round_state for node in nodes]
        at = {(state.height, state.round) for state in states}
        waits = all(state.step is Step.PROPOSE and state.proposal is None for state in states)
        if len(at) == 1 and not at & told and waits and states[0].proposer_address == key.pub_key.address:
            told.update(at)
            lies += 1
            ((height, round),) = at
            for number, (node, liar) in enumerate(zip(nodes, liars, strict=True)):
                parts = PartSet.from_bytes(chance.randbytes(PARTS * PART_BYTES))
                unsigned = Proposal(height, round, -1, BlockID(bytes([number + 1]) * 32, parts.header), 1)
                proposal = unsigned.signed(key.sign(unsigned.sign_bytes(genesis.chain_id)))
                node.consensus.receive(0x21, liar, m.ProposalMessage(proposal).encode())  # type: ignore[arg-type]
                for index in range(parts.total if node is nodes[-1] else 0):
                    part = m.BlockPart(height, round, parts.get(index))  # type: ignore[arg-type]
                    node.consensus.receive(0x21, liar, part.encode())  # type: ignore[arg-type]
        return lies == 3

    await until(lie, timeout_s=60)
    height = max(node.engine.height for node in nodes) + 2
    await asyncio.gather(*(node.engine.reach(height) for node in nodes))
    assert_equal_chains([node.engine for node in nodes])
    for node in nodes:
        assert len(node.switch.peers) == 2
        assert node.switch.counters["over_budget"] == 0
        charged = {what for what in node.switch.useless_messages if what.startswith("part ")}
        assert not charged
    await asyncio.gather(*(node.stop() for node in nodes))
