"""The stream of blocks: in order, without a gap, for readers that are slow, go away, or come back after a restart."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from chain.tx.messages import Payment
from dchat.client.client import Client, ClientError
from dchat.client.wallet import Session
from proto.dchat.v1 import service_pb2 as pb
from tests.support.node.running import Running, running_node


async def read(client: Client, start: int, count: int) -> list[pb.StreamBlocksResponse]:
    """`count` blocks from `start` on; then the reader leaves."""
    blocks: list[pb.StreamBlocksResponse] = []
    async with asyncio.timeout(20):
        async for block in client.stream_blocks(start, with_results=True):
            blocks.append(block)
            if len(blocks) == count:
                break
    return blocks


async def pay(running: Running, client: Client, amounts: range) -> list[bytes]:
    """Payments in as many blocks; their hashes in order."""
    alice, bob = running.account("alice"), running.account("bob")
    session = Session(client, alice.wallet)
    return [(await session.send([Payment(alice.address, bob.address, amount)])).hash for amount in amounts]


def assert_is_the_chain(blocks: list[pb.StreamBlocksResponse], sent: list[bytes]) -> None:
    """Every height from 1 once, each block naming the one before, every transaction once."""
    assert [block.block.header.height for block in blocks] == list(range(1, len(blocks) + 1))
    for before, after in itertools.pairwise(blocks):
        assert after.block.header.last_block_id == before.block_id
        assert after.block.header.app_hash == before.app_hash
    hashes = [result.hash for block in blocks for result in block.results if result.hash in sent]
    assert hashes == sent


async def test_a_reader_that_was_away_loses_nothing(tmp_path: Path) -> None:
    """Failure 12: subscribers dropped, events lost. The height is the cursor, also across a restart of the node."""
    async with running_node(tmp_path) as running, running.client() as client:
        sent = await pay(running, client, range(1, 4))
        seen = await read(client, 1, 3)
        sent += await pay(running, client, range(4, 7))  # while nobody reads
        seen += await read(client, len(seen) + 1, 2)
        watcher = running.client()
        tip = asyncio.create_task(read(watcher, len(seen) + 1, 10**6))
        await client.wait_for_height(len(seen) + 3)
    async with watcher:
        with pytest.raises(ClientError):
            await tip  # the node stopped: said as an error, never as an end
    async with running_node(tmp_path) as running, running.client() as client:
        sent += await pay(running, client, range(7, 9))
        latest = (await client.status()).latest_block_height
        seen += await read(client, len(seen) + 1, latest - len(seen))
        assert_is_the_chain(seen, sent)
        # From the next block on, without a height; and not from what never was.
        (following,) = await read(client, 0, 1)
        assert following.block.header.height > latest
        with pytest.raises(ClientError) as refused:
            await read(client, -1, 1)
        assert refused.value.status == "NOT_FOUND"


async def test_a_slow_reader_is_served_from_disk_and_holds_up_nobody(tmp_path: Path) -> None:
    """Failure 12: nothing is queued for a reader, so none is dropped for being slow."""
    async with running_node(tmp_path) as running, running.client() as client:
        slow = client.stream_blocks(1, with_results=True)
        seen = [await anext(slow)]
        sent = await pay(running, client, range(1, 6))
        quick = await read(client, 1, (await client.status()).latest_block_height)
        async with asyncio.timeout(20):
            while len(seen) < len(quick):
                seen.append(await anext(slow))
        await slow.aclose()
        assert_is_the_chain(quick, sent)
        assert_is_the_chain(seen, sent)
