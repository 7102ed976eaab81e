"""Connections that are made before the node's parts exist: no peers to either side until these do."""

from __future__ import annotations

import asyncio
import socket

import pytest

from consensus.p2p.conn.link import HELD_BYTES_MAX, Phase
from consensus.p2p.conn.node_info import NODE_INFO_BYTES_MAX
from consensus.p2p.conn.secret_connection import SecretHandshake
from tests.support.p2p.peers import DATA, STATE, VOTE, Node, Recorder, node_key, running, until

LATER = VOTE


def holder(*addresses: str, **config: object) -> Node:
    return Node("holder", channels=(STATE, DATA), persistent_peers=addresses, **config)


def is_held(node: Node) -> bool:
    return any(link.phase is Phase.HELD for link in node.switch._links)


async def test_who_is_held_becomes_a_peer_once_the_reactors_are_there() -> None:
    near = Node("near")
    async with running(near):
        node, later = holder(near.address), Recorder((LATER,))
        await node.switch.hold()
        try:
            await until(lambda: is_held(node))
            assert node.switch.peers == near.switch.peers == ()
            assert node.switch.listen_port == 0, "who comes waits until there is somebody to serve him"
            node.switch.add_reactor(later)
            await node.switch.start()
            await until(lambda: node.switch.is_connected(near.id) and near.switch.is_connected(node.id))
            assert node.switch.listen_port
            assert LATER.id in near.switch.peers[0].channels
            near.switch.broadcast(LATER.id, b"hello")
            await until(lambda: later.received == [(LATER.id, near.id, b"hello")])
            assert near.switch.counters["handshake_failed"] == 0
            with pytest.raises(AssertionError, match="before the switch runs"):
                node.switch.add_reactor(Recorder(()))
        finally:
            await node.switch.stop()


async def test_who_is_held_too_long_is_dialed_again() -> None:
    near = Node("near", phase_timeout_s=0.1)
    async with running(near):
        node = holder(near.address)
        await node.switch.hold()
        try:
            await until(lambda: near.switch.counters["handshake_failed"] >= 2)
            await node.switch.start()
            await until(lambda: near.switch.is_connected(node.id))
        finally:
            await node.switch.stop()


async def test_stopping_while_held_leaves_nothing_open() -> None:
    near = Node("near")
    async with running(near):
        node = holder(near.address)
        await node.switch.hold()
        await until(lambda: is_held(node))
        await node.switch.stop()
        assert not node.switch._links
        await until(lambda: not near.switch._links)
        assert near.switch.peers == ()
        assert node.reactor.added == []


async def test_a_port_that_is_taken_is_told_as_of_any_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node = holder(listen_address=f"127.0.0.1:{taken.getsockname()[1]}")
        await node.switch.hold()
        with pytest.raises(OSError, match="in use"):
            await node.switch.start()


async def test_who_says_more_than_who_he_is_before_he_knows_us_is_closed() -> None:
    ended = asyncio.Event()

    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handshake = SecretHandshake(node_key("chatty"))
        writer.write(handshake.hello())
        writer.write(handshake.receive_hello((await reader.readexactly(35))[1:]))
        for _ in range(2):
            writer.write(handshake.sealer.seal(b"x" * NODE_INFO_BYTES_MAX))
        while await reader.read(65_536):
            pass
        writer.close()
        ended.set()

    assert HELD_BYTES_MAX < 2 * NODE_INFO_BYTES_MAX
    server = await asyncio.start_server(chatty, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        node = holder(f"{node_key('chatty').id}@127.0.0.1:{port}")
        await node.switch.hold()
        try:
            async with asyncio.timeout(10):
                await ended.wait()
            await until(lambda: node.switch.counters["handshake_failed"] >= 1)
        finally:
            await node.switch.stop()
