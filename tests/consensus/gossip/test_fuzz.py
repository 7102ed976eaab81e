"""Bytes of any kind on each channel cost at most the peer that sent them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.channels import peer_messages as m
from consensus.formats.errors import InvalidData
from consensus.p2p.conn.base import PeerFault
from consensus.types.light import LightBlock, SignedHeader
from proto.tendermint.consensus import types_pb2 as pb
from tests.support.gossip.fakes import validators
from tests.support.gossip.fuzz import CHANNELS, PART, SEEDS, reactors
from tests.support.gossip.network import FakePeer
from tests.support.sync.blocks import chain, commit_for, genesis

assert PART is not None


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
