"""Our application behind a real CometBFT node, over ABCI 2.0, as `dchat abci` serves it: blocks, payments and proofs,
stops of either side at any time, replays, snapshots, and the end at a height that it does not execute.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from consensus.abci.interface import InfoRequest, OfferSnapshotResult
from consensus.abci_socket.address import parse_address
from consensus.abci_socket.codec import ApplyChunk, LoadChunk, OfferSnapshot
from tests.support.engine.abci import wire_to
from tests.support.interop.cometbft import VERSION
from tests.support.interop.our_chain import OurChain
from tests.support.interop.rows import row
from tests.support.interop.served import AbciProcess
from tests.support.node.running import until

pytestmark = [pytest.mark.go, pytest.mark.network]

SNAPSHOTS = "[snapshots]\ninterval = 3\nkeep_recent = 20\n"


async def test_cometbft_runs_our_application_and_either_may_stop(tmp_path: Path) -> None:
    chain = await asyncio.to_thread(OurChain, tmp_path)
    async with chain.app.running():
        async with chain.comet.running(chain.app.address):
            await chain.wait_height(2)
            for amount in (5, 6):
                told = await chain.send(chain.payment(amount))
                assert (told["check_tx"]["code"], told["tx_result"]["code"]) == (0, 0), told
            before = await chain.balance(chain.bob.address)
            again = await chain.send(chain.payment(7))
            assert again["tx_result"]["code"] == 0
            assert await chain.balance(chain.bob.address) == before + 7
            refused = await chain.comet.rpc(f"broadcast_tx_sync?tx=0x{chain.payment(10**18).hex()}")
            assert refused["code"] != 0
            chain._sequence -= 1  # it was not admitted
            unsigned = bytearray(chain.payment(1))
            unsigned[-1] ^= 1
            bad = await chain.comet.rpc(f"broadcast_tx_sync?tx=0x{unsigned.hex()}")
            assert bad["code"] != 0
            chain._sequence -= 1
            last = await chain.height()
        # the node stopped in good order: the same application goes on with the next one
        async with chain.comet.running(chain.app.address):
            await chain.wait_height(last + 2)
            # kill -9 of the application: the engine ends, as it must not go on without
            await chain.app.end(signal.SIGKILL)
            await chain.comet_ended()
        await chain.app.start()
        async with chain.comet.running(chain.app.address):
            last = await chain.wait_height(last + 4)
            assert (await chain.send(chain.payment(8)))["tx_result"]["code"] == 0
            assert chain.comet.process is not None
            chain.comet.process.send_signal(signal.SIGKILL)
            await chain.comet.process.wait()
        async with chain.comet.running(chain.app.address):
            await chain.wait_height(last + 3)
            assert await chain.balance(chain.bob.address) == before + 15
            assert await chain.app.end() == 0
            await chain.comet_ended()
    assert "ended a connection" not in chain.app.log
    row(
        "CometBFT",
        VERSION,
        "its engine runs our application by `dchat abci`: blocks, signed payments, a query's proof, stops of either",
        "balances proved under its headers; kill -9 and SIGTERM of application and engine, each taken up again",
    )


async def test_the_handshake_replays_what_the_application_lacks(tmp_path: Path) -> None:
    chain = await asyncio.to_thread(OurChain, tmp_path)
    copy = tmp_path / "copy"
    async with chain.app.running(), chain.comet.running(chain.app.address):
        await chain.wait_height(2)
        await chain.send(chain.payment(5))
    shutil.copytree(chain.app.home / "data", copy)
    async with chain.app.running(), chain.comet.running(chain.app.address):
        begun = await chain.wait_height(1)
        await chain.send(chain.payment(6))
        await chain.send(chain.payment(7))
        before = await chain.balance(chain.bob.address)
        await chain.wait_height(begun + 5)
    # behind: the application's disk is an older one
    shutil.rmtree(chain.app.home / "data")
    shutil.copytree(copy, chain.app.home / "data")
    async with chain.app.running(), chain.comet.running(chain.app.address):
        at = await chain.wait_height(begun + 5)
        last = await chain.wait_height(at + 2)
        assert await chain.balance(chain.bob.address) == before
    # empty: it gets the genesis, and all blocks
    shutil.rmtree(chain.app.home / "data")
    async with chain.app.running(), chain.comet.running(chain.app.address):
        await chain.wait_height(last + 2)
        assert await chain.balance(chain.bob.address) == before
    # ahead: the engine's state is the one before its last block, which the application has committed
    await asyncio.to_thread(chain.comet.run, "rollback")
    async with chain.app.running(), chain.comet.running(chain.app.address):
        await chain.wait_height(last + 4)
        assert await chain.balance(chain.bob.address) == before
    row(
        "CometBFT",
        VERSION,
        "its handshake with our application that is behind, empty, or one block ahead",
        "it replays what is missing, the app hashes agree, the chain goes on",
    )


async def test_snapshots_over_the_socket(tmp_path: Path) -> None:
    chain = await asyncio.to_thread(OurChain, tmp_path, options=SNAPSHOTS)
    new = AbciProcess(tmp_path / "new")
    async with chain.app.running(), chain.comet.running(chain.app.address):
        await chain.wait_height(2)
        await chain.send(chain.payment(5))
        await until(lambda: "took a snapshot" in chain.app.log, timeout_s=30)
        async with wire_to(parse_address(chain.app.address)) as wire:
            one = (await wire.ask("list_snapshots"))[0]
            assert one.height % 3 == 0
            chunks = [
                await wire.ask("load_snapshot_chunk", LoadChunk(one.height, one.format, n)) for n in range(one.chunks)
            ]
            assert await wire.ask("load_snapshot_chunk", LoadChunk(one.height, one.format, one.chunks)) == b""
        await chain.wait_height(one.height + 1)
        header = (await chain.comet.rpc(f"commit?height={one.height + 1}"))["signed_header"]["header"]
    async with new.running(), wire_to(parse_address(new.address)) as wire:
        offer = OfferSnapshot(one, bytes.fromhex(header["app_hash"]))
        assert await wire.ask("offer_snapshot", offer) is OfferSnapshotResult.ACCEPT
        for number, chunk in enumerate(chunks):
            assert (await wire.ask("apply_snapshot_chunk", ApplyChunk(number, chunk, "peer"))).result.name == "ACCEPT"
        told = await wire.ask("info", InfoRequest("", 0, 0))
        assert (told.last_block_height, told.last_block_app_hash) == (one.height, bytes.fromhex(header["app_hash"]))


async def test_a_height_that_it_does_not_execute_ends_both_with_a_clear_line(tmp_path: Path) -> None:
    chain = await asyncio.to_thread(OurChain, tmp_path)
    await chain.app.start("--halt-height", "4")
    async with chain.comet.running(chain.app.address):
        assert await chain.app.ended() == 0
        await chain.comet_ended()
    assert "halt per configuration height 4" in chain.app.log
    assert "halt per configuration height 4" in chain.comet.log
    async with chain.app.running(), chain.comet.running(chain.app.address):
        await chain.wait_height(6)
