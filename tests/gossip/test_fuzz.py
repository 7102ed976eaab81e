"""Bytes of any kind on each channel cost at most the peer that sent them."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.channels import peer_messages as m
from consensus.channels.extension import EXTENSION_CHANNEL, ExtensionMessage, HasPart, HasVotes, encode
from consensus.core.events import VoteKind
from consensus.evidence.reactor import EvidenceReactor
from consensus.formats.bits import BitArray
from consensus.formats.errors import InvalidData
from consensus.p2p.conn.base import PeerFault
from consensus.sync.blocks import BlockSyncReactor
from consensus.system.clock import InlineWorkers
from consensus.types.evidence import encode_evidence_list
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.parts import PartSet
from consensus.types.vote import Proposal, Vote
from crypto.batch import verify_many
from proto.tendermint.consensus import types_pb2 as pb
from tests.gossip.fakes import ConsensusMesh, validators
from tests.gossip.support import FakePeer, ManualClock
from tests.gossip.test_evidence import GOOD, pool_at, state
from tests.sync.test_blocks import Blocks, chain, commit_for, genesis

CHANNELS = frozenset({0x20, 0x21, 0x22, 0x23, 0x38, 0x40, EXTENSION_CHANNEL})
ID = BlockID(b"h" * 32, PartSetHeader(2, b"p" * 32))
PART = PartSet.from_bytes(b"x" * 70_000).get(1)
assert PART is not None

SEEDS: dict[int, list[bytes]] = {
    0x20: [
        m.NewRoundStep(2, 1, 3, 4, 0).encode(),
        m.NewValidBlock(1, 0, ID.part_set_header, BitArray(2, 3), True).encode(),
        m.HasVote(1, 0, VoteKind.PREVOTE, 3).encode(),
        m.VoteSetMaj23(1, 0, VoteKind.PRECOMMIT, ID).encode(),
    ],
    0x21: [
        m.ProposalMessage(Proposal(1, 0, -1, ID, 5, b"s" * 64)).encode(),
        m.ProposalPol(1, 0, BitArray(4, 5)).encode(),
        m.BlockPart(1, 0, PART).encode(),
    ],
    0x22: [m.VoteMessage(Vote(1, 1, 0, ID, 5, b"a" * 20, 2, b"s" * 64)).encode()],
    0x23: [m.VoteSetBits(1, 0, VoteKind.PREVOTE, ID, BitArray(4, 9)).encode()],
    0x38: [encode_evidence_list([GOOD])],
    0x40: [
        m.StatusResponse(9, 1).encode(),
        m.BlockRequest(3).encode(),
        m.NoBlockResponse(3).encode(),
        m.BlockResponse(chain(60)[3].encode(), b"\x08\x04").encode(),
    ],
    EXTENSION_CHANNEL: [
        encode(
            ExtensionMessage(
                (HasPart(1, 0, ID.part_set_header, 3, True),),
                (HasVotes(1, 0, VoteKind.PREVOTE, 5, True),),
                (b"t" * 32,),
                (b"w" * 32,),
                frozenset({"ab" * 20}),
            )
        )
    ],
}


def reactors() -> dict[int, Any]:
    mesh = ConsensusMesh(4)
    node = mesh.nodes[0]
    mesh.start(0)
    blocks: Any = Blocks(chain(60)[:20])
    driver: Any = SimpleNamespace(state=genesis())
    sync = BlockSyncReactor(driver, blocks, node.host, mesh.clock, verifier=verify_many)
    sync.metrics.syncing = True
    heights: Any = SimpleNamespace(peer_heights={})
    evidence_driver: Any = SimpleNamespace(state=state(6))
    evidence = EvidenceReactor(pool_at(6), heights, evidence_driver, node.host, ManualClock(), InlineWorkers())
    return {
        **dict.fromkeys((32, 33, 34, 35), node.reactor),
        0x38: evidence,
        0x40: sync,
        EXTENSION_CHANNEL: node.extension,
    }


@st.composite
def hostile(draw: st.DrawFn) -> tuple[int, bytes]:
    """A channel, and bytes: random, or of a good message with some of them changed, cut or repeated."""
    channel = draw(st.sampled_from(sorted(SEEDS)))
    if draw(st.booleans()):
        return channel, draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from([seed for seeds in SEEDS.values() for seed in seeds])))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, min(len(data), 400) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        data = data[: draw(st.integers(0, len(data)))]
    return channel, bytes(data) * draw(st.integers(1, 2))


@settings(max_examples=40, deadline=None)
@given(st.lists(hostile(), min_size=1, max_size=20))
def test_hostile_bytes_cost_at_most_the_peer(stream: list[tuple[int, bytes]]) -> None:
    targets = reactors()
    peer = FakePeer("a" * 40, CHANNELS)
    for reactor in dict.fromkeys(targets.values()):
        reactor.add_peer(peer)
    for channel, data in stream:
        with contextlib.suppress(PeerFault):
            targets[channel].receive(channel, peer, data)


@pytest.mark.parametrize("channel", sorted(SEEDS))
def test_the_seeds_are_good(channel: int) -> None:
    peer, targets = FakePeer("a" * 40, CHANNELS), reactors()
    targets[channel].add_peer(peer)
    for data in SEEDS[channel]:
        if data[:1] == b"\x1a" and channel == 0x40:
            continue  # a block that was not asked for costs the peer
        targets[channel].receive(channel, peer, data)


def test_a_parts_index_is_bounded_before_it_becomes_a_bit() -> None:
    message = pb.Message()
    part = message.block_part.part
    part.index, part.bytes = 2**32 - 1, b"x"
    part.proof.total, part.proof.index, part.proof.leaf_hash = 2**33, 2**32 - 1, bytes(32)
    message.block_part.height = 1
    with pytest.raises(InvalidData):
        m.decode_consensus(message.SerializeToString())


def test_evidence_with_a_key_that_is_none_costs_the_peer() -> None:
    block = chain(60)[3]
    light = LightBlock(SignedHeader(block.header, commit_for(genesis(), block)), validators(4))
    data = m.message_field(b"\x0a", m.message_field(b"\x12", m.message_field(b"\x0a", light.encode()) + b"\x10\x01"))
    reactor = reactors()[0x38]
    with pytest.raises(PeerFault):
        reactor.receive(0x38, FakePeer("a" * 40, CHANNELS), data)
    key = validators(4)[0].pub_key.bytes
    with pytest.raises(PeerFault):
        reactor.receive(
            0x38, FakePeer("a" * 40, CHANNELS), data.replace(b"\x0a\x20" + key, b"\x0a\x1f" + key[:31] + b"\x00")
        )
