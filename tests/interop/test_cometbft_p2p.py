"""The validators' network against a real CometBFT v0.38.26: both ways of dialling at once.

CometBFT runs its key-value store as the only validator of a genesis of its own with our chain id. It dials one switch
of ours and is dialed by another; both stay connected for 30 s, exchange addresses and round steps, and neither side
drops the other.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from consensus.p2p.addrbook import AddressBook
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.base import ChannelDescriptor, Peer
from consensus.p2p.conn.connection import ConnectionConfig
from consensus.p2p.pex import PexReactor, install
from proto.tendermint.consensus import types_pb2 as consensus_pb2
from tests.support.interop.cometbft import VERSION, CometNode
from tests.support.interop.rows import row
from tests.support.p2p.peers import Node, running, until

pytestmark = [pytest.mark.go, pytest.mark.network]

CHAIN_ID = "dchat-interop-1"
CONNECTED_S = 30.0

CHANNELS = tuple(
    ChannelDescriptor(id, name, priority, queue, size)
    for id, name, priority, queue, size in (
        (0x40, "block sync", 5, 1000, 104_857_605),
        (0x20, "state", 6, 100, 1_048_576),
        (0x21, "data", 10, 100, 1_048_576),
        (0x22, "vote", 7, 100, 1_048_576),
        (0x23, "vote set bits", 1, 2, 1_048_576),
        (0x30, "mempool", 5, 1, 1_048_584),
        (0x38, "evidence", 6, 1, 1_048_576),
        (0x60, "snapshots", 5, 10, 4_000_000),
        (0x61, "chunks", 3, 10, 16_000_000),
        (0x70, "ours", 5, 10, 1_048_576),
    )
)


def say_round_step(peer: Peer) -> None:
    """What a node at its first height says of itself."""
    message = consensus_pb2.Message()
    message.new_round_step.height = 1
    message.new_round_step.step = 1
    message.new_round_step.last_commit_round = -1
    assert peer.try_send(0x20, message.SerializeToString())
    assert not peer.has_channel(0x70)  # that is how we know that it is not one of ours


def heights(node: Node) -> list[int]:
    """The heights of the round steps that the node received."""
    messages = [consensus_pb2.Message.FromString(m) for channel, _, m in node.reactor.received if channel == 0x20]
    return [m.new_round_step.height for m in messages if m.WhichOneof("sum") == "new_round_step"]


def make(name: str, **config: object) -> tuple[Node, AddressBook, PexReactor]:
    connection = ConnectionConfig(ping_interval_s=5, pong_timeout_s=3)  # several rounds of keep-alive within the test
    node = Node(
        name, channels=CHANNELS, network=CHAIN_ID, connection=connection, max_outbound_peers=0,
        genesis_hash=b"\x01" + bytes(32), **config,  # a field of ours, which CometBFT has to pass by
    )  # fmt: skip
    node.reactor.on_add = say_round_step
    book = AddressBook(None, strict=False, clock=node.switch.clock)
    pex = install(node.switch, book)
    assert pex is not None
    return node, book, pex


async def test_both_ways_of_dialling_for_thirty_seconds(tmp_path: Path) -> None:
    comet = await asyncio.to_thread(CometNode, tmp_path / "comet", chain_id=CHAIN_ID)
    called, called_book, called_pex = make("called")
    caller, caller_book, caller_pex = make("caller", persistent_peers=(comet.address,), redial_max_s=0.5)
    heard_of, _, _ = make("heard of")
    async with running(called, caller, heard_of):
        rumour = parse_address(heard_of.address)
        called_book.add(rumour, rumour)
        comet.set_config({"p2p.persistent_peers": called.address})
        async with comet.running():
            nodes = (called, caller)
            try:
                await until(lambda: all(n.switch.is_connected(comet.id) for n in nodes), timeout_s=40)
            except AssertionError:
                raise AssertionError(comet.log[-4000:]) from None
            peers = [n.switch.peers[0] for n in nodes]
            assert [peer.is_outbound for peer in peers] == [False, True]

            loop = asyncio.get_running_loop()
            began = loop.time()
            await until(
                lambda: loop.time() - began >= CONNECTED_S or any(n.reactor.removed for n in nodes),
                timeout_s=CONNECTED_S + 10,
            )
            assert [n.reactor.removed for n in nodes] == [[], []], comet.log[-4000:]
            for node in nodes:
                seen = heights(node)
                assert max(seen) >= min(seen) + 5, seen  # it went on deciding, and told us

            # CometBFT fills its places every 30 s: it dials the node that it only knows from what we told it.
            await until(lambda: heard_of.switch.is_connected(comet.id), timeout_s=20)
            told = {p["node_info"]["id"]: p["is_outbound"] for p in (await comet.rpc("net_info"))["peers"]}
            assert told == {called.id: True, caller.id: False, heard_of.id: True}
            assert called_pex.counters["requests_answered"] >= 1
            assert caller_pex.counters["answers_received"] >= 1
            assert called.id in caller_book  # CometBFT knew it as its persistent peer, and told
            assert [n.switch.peers[0] for n in nodes] == peers
            assert "Stopping peer for error" not in comet.log
    row(
        "CometBFT",
        VERSION,
        "p2p on all its channels, either side dialling, addresses exchanged",
        f"{CONNECTED_S:.0f} s without a drop",
    )
