"""A node leaves its home to the next one, in one process: clients end cleanly, and no port refuses meanwhile."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
import pytest
from aiohttp import WSMsgType

from consensus.p2p.conn.node_key import NodeKey
from consensus.system.handed import Handed
from dchat.client.client import Client, ClientError
from dchat.home.home import load_genesis
from dchat.node.runtime import Node
from dchat.signer.choice import node_key_of
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import service_pb2_grpc as rpc
from tests.support.node.running import Running, running_node, until

WHY = "this process hands over to the next one: ask again"
WITHIN_S = 60.0
SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": {"query": "tm.event='NewBlock'"}}


async def next_node(running: Running, handed: Handed) -> Node:
    """On the same home, as the process that takes over opens it."""
    home, config = running.node.home, running.node.config
    key = NodeKey.load(home.node_key)
    return await Node.open(
        home, config, load_genesis(home), node_key=key, validator_key=node_key_of(home, config, key),
        fatal=lambda code, line: running.failures.append((code, line)), handed=handed,
    )  # fmt: skip


async def status_of_stream(running: Running, began: asyncio.Event) -> str:
    """How a stream of blocks that is open ends for its reader."""
    try:
        async with running.client() as client:
            async for _ in client.stream_blocks(0):
                began.set()
    except ClientError as error:
        return f"{error.status}: {error}"
    return "ended without a word"


async def farewell(running: Running, began: asyncio.Event) -> list[str]:
    """What a WebSocket that is subscribed is told at its end."""
    told = []
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{running.rpc}/websocket") as ws:
        await ws.send_json(SUBSCRIBE)
        async for message in ws:
            assert message.type is WSMsgType.TEXT
            told.append(message.data)
            began.set()
    return [line for line in told if "canceled" in line]


async def read_all(stream: Any) -> None:
    while await stream.read() is not grpc.aio.EOF:  # type: ignore[attr-defined]
        pass


async def refusal(client: Client) -> str:
    try:
        await client.status()
    except ClientError as error:
        return error.status
    return ""


async def test_the_next_node_serves_where_the_one_before_did(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        node, ports = running.node, running.ports
        streaming, subscribed = asyncio.Event(), asyncio.Event()
        stream = asyncio.create_task(status_of_stream(running, streaming))
        socket_ = asyncio.create_task(farewell(running, subscribed))
        async with asyncio.timeout(WITHIN_S):
            await streaming.wait()
            await subscribed.wait()
        await node.prepare_to_leave()
        sockets = node.listening()
        assert {one.getsockname()[1] for one in sockets} >= {ports[1], ports[2]}
        assert ports[0] not in {one.getsockname()[1] for one in sockets}  # of gRPC: it is shared instead
        height = node.driver.state.last_block_height
        await node.leave_peers()
        await node.leave(WHY)
        assert await stream == f"UNAVAILABLE: {WHY}" or WHY in await stream
        async with asyncio.timeout(WITHIN_S):
            assert len(await socket_) == 1

        # nobody has the home: gRPC says so, the others wait in their sockets' queues
        with pytest.raises(ClientError) as refused:
            async with running.client() as client:
                await client.status()
        assert refused.value.status == "UNAVAILABLE"
        async with aiohttp.ClientSession() as http:
            waiting = asyncio.create_task(http.get(f"http://127.0.0.1:{ports[1]}/status"))
            handed = Handed(sockets)
            following = await next_node(running, handed)
            try:
                await following.start(at_once=True)
                assert handed.close() == 0  # each was taken
                async with asyncio.timeout(WITHIN_S), await waiting as answer:
                    assert answer.status == 200
                    assert int((await answer.json())["latest_block_height"]) >= height
                await node.stop()  # both listened for gRPC until here
                await until(lambda: following.driver.state.last_block_height > height + 2)
                async with running.client() as client:
                    assert (await client.status()).latest_block_height > height
            finally:
                await following.stop()
        assert running.failures == []


async def test_a_call_that_runs_ends_with_the_reason(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.channel() as channel:
        chain: Any = rpc.ChainServiceStub(channel)  # type: ignore[no-untyped-call]
        stream = chain.StreamBlocks(pb.StreamBlocksRequest(from_height=0))
        reading = asyncio.create_task(read_all(stream))
        await until(lambda: bool(running.node.doors.grpc and running.node.doors.grpc.guard.streams.used))
        await running.node.doors.leave(WHY)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await reading
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert ended.value.details() == WHY
        with pytest.raises(grpc.aio.AioRpcError) as after:
            await chain.GetStatus(pb.GetStatusRequest())
        assert after.value.code() is grpc.StatusCode.UNAVAILABLE
        assert after.value.details() == WHY


async def test_a_request_on_a_kept_connection_is_told_to_ask_again(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{running.ports[1]}/status"
        async with http.get(url) as before:
            assert before.status == 200
        await running.node.doors.http.leave(WHY)
        async with http.get(url) as after:
            assert after.status == 503
            assert (await after.json())["error"] == WHY
            assert after.headers["Retry-After"] == "1"
        with pytest.raises(aiohttp.ClientConnectionError), socket.create_server(("127.0.0.1", 0)):
            await http.get(url)  # nobody was given its socket


async def test_a_client_asks_again_and_is_served(tmp_path: Path) -> None:
    """The same connection: gRPC's own way to connect anew."""
    async with running_node(tmp_path) as running:
        node = running.node
        async with Client(running.grpc) as client:
            await client.status()
            sockets = node.listening()
            await node.leave(WHY)
            following = await next_node(running, Handed(sockets))
            try:
                await following.start(at_once=True)
                await node.stop()
                async with asyncio.timeout(WITHIN_S):
                    while await refusal(client):  # noqa: ASYNC110 - another's connection
                        await asyncio.sleep(0.05)
            finally:
                await following.stop()
