"""Receipts by party and height, and what an auditor asks, through the doors of a running node."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from chain.tx.messages import LANE_BRIDGE, BuyAllowance, Payment, RegisterIdentity
from chain.tx.messages.escrow import OpenEscrow, Require, TimeFrom
from consensus.formats.units import NS_PER_S
from dchat.cli.main import dchat
from dchat.client.client import ClientError
from dchat.client.wallet import Session, TxRefused
from dchat.doors.reads import audit
from proto.dchat.v1 import bridge_service_pb2 as pb
from tests.support.node.running import running_node


async def test_receipts_are_found_by_signer_and_height(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            alice, bob = running.account("alice"), running.account("bob")
            ann, ben = Session(client, alice.wallet), Session(client, bob.wallet)
            heights = [
                (await ann.send([RegisterIdentity(alice.address, "alice", "")])).height,
                (await ben.send([RegisterIdentity(bob.address, "bob", "")])).height,
                (await ann.send([BuyAllowance(alice.address, 10**6)])).height,
            ]
            with pytest.raises(TxRefused) as failed:  # it has a receipt, too
                await ann.send([Require(alice.address, TimeFrom(2**62)), Payment(alice.address, bob.address, 1)])
            heights.append(failed.value.outcome.height)

            async def receipts(**asked: Any) -> pb.ListReceiptsResponse:
                answer: pb.ListReceiptsResponse = await client.call(
                    client.bridge.ListReceipts, pb.ListReceiptsRequest(**asked)
                )
                return answer

            everything = await receipts()
            assert [receipt.height for receipt in everything.receipts] == heights
            assert [receipt.code for receipt in everything.receipts] == [0, 0, 0, 327]
            assert not everything.next
            hers = await receipts(party=alice.address)
            assert [receipt.height for receipt in hers.receipts] == [heights[0], *heights[2:]]
            assert [r.height for r in (await receipts(party=bob.address)).receipts] == [heights[1]]
            between = await receipts(from_height=heights[1], to_height=heights[2])
            assert [receipt.height for receipt in between.receipts] == heights[1:3]
            page, found = await receipts(limit=1), 1
            while page.next:
                page, found = await receipts(limit=1, after=page.next), found + 1
            assert found == len(heights)
            for asked in ({"party": b"short"}, {"after": b"short"}, {"limit": 101}):
                with pytest.raises(ClientError):
                    await receipts(**asked)
            line = ["query", "receipts", "--party", str(running.network.folder / "accounts" / "bob.json")]
            line += ["--home", str(running.network.home_of(running.network.nodes[0]))]
            done = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
            assert [receipt["height"] for receipt in json.loads(done.stdout)["receipts"]] == [heights[1]]


async def test_an_auditor_is_told_of_each_store_and_of_the_books(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client, aiohttp.ClientSession() as http:
            alice, bob = running.account("alice"), running.account("bob")
            session = Session(client, alice.wallet)
            await session.send([RegisterIdentity(alice.address, "alice", "")])
            now = running.node.driver.state.last_block_time_ns
            opening = OpenEscrow(alice.address, bob.address, 7 * 10**5, now + 3_600 * NS_PER_S, (alice.address,), 1)
            sent = await session.send([opening], lane=LANE_BRIDGE)
            paid = await session.send([Payment(alice.address, bob.address, 5)])

            async def status(height: int = 0) -> pb.GetBridgeStatusResponse:
                answer: pb.GetBridgeStatusResponse = await client.call(
                    client.bridge.GetBridgeStatus, pb.GetBridgeStatusRequest(height=height)
                )
                return answer

            told = await status(paid.height)
            assert told.in_step
            assert told.books_agree
            assert (told.held_in_escrows, told.held) == (7 * 10**5, told.held_for_chat + 7 * 10**5)
            assert (told.bundles_executed, told.escrows_opened, told.escrows_open) == (2, 1, 1)
            changed = {store.name: store.changed_height for store in told.stores}
            assert changed["currency"] == paid.height
            assert changed["chat"] < sent.height <= changed["bridge"]
            assert {store.name: store.root for store in told.stores} == {
                store.name: store.recorded_root for store in told.stores
            }
            while await client.provable_height() < paid.height:  # waits for the header that says it
                continue
            above = (await client.commit(paid.height + 1)).light_block.signed_header.header
            assert told.agreed_app_hash == above.app_hash == (await status(paid.height)).agreed_app_hash
            assert (await status()).in_step
            port = running.ports[1]
            async with http.get(f"http://127.0.0.1:{port}/bridge/status") as answer:
                shown = await answer.json()
            assert (shown["in_step"], shown["held"]["books_agree"], shown["held"]["in_escrows"]) == (
                True,
                True,
                7 * 10**5,
            )
            monkeypatch.setattr(audit, "agreed_app_hash", lambda answers, height: bytes(32))
            assert not (await status()).in_step
