"""tendermint-rs against our JSON-RPC door: every call that its client for CometBFT 0.38 offers, by HTTP and over
WebSocket, and its light client's verifier on our headers, one by one, in one step, and tampered with.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chain.currency.ledger.records import ACCOUNT
from chain.state.proofs import verify
from chain.tx.messages import Payment
from consensus.abci.interface import ProofOp
from crypto.bech32 import encode_address
from crypto.hash import sha256
from dchat.client.wallet import Session
from tests.support.interop.rows import row
from tests.support.interop.tools import build, built, copied, found
from tests.support.node.evidence import two_votes
from tests.support.node.running import Running, running_node
from tests.support.rpc.calling import base64_of

pytestmark = pytest.mark.network

PROGRAM = Path(__file__).parent / "programs" / "tendermint_rs"
CRATE = "tendermint-rpc"
RUN_TIMEOUT_S = 90
LIES = ["another app hash", "another header's signatures", "a later time"]


def program() -> tuple[str, str]:
    """(its path, the client's version)"""
    cargo, folder = found("cargo", f"install Rust to build with {CRATE}"), copied(PROGRAM, "tendermint_rs")
    path = folder / "target" / "debug" / "calls"
    built(path, [cargo, "build", "--quiet"], folder=folder)
    return str(path), build([cargo, "pkgid", CRATE], folder=folder).rpartition("@")[2].rpartition("#")[2]


async def run(path: str, rpc: str, asked: dict[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        path, rpc, rpc.replace("http", "ws") + "/websocket", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(RUN_TIMEOUT_S):
            out, err = await process.communicate(json.dumps(asked).encode())
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()[-3_000:]
    told: dict[str, Any] = json.loads(out)
    return told


async def test_every_call_is_answered_and_headers_verify(tmp_path: Path) -> None:
    path, version = await asyncio.to_thread(program)
    async with running_node(tmp_path / "net") as running, running.client() as client:
        alice, bob = running.account("alice"), running.account("bob").address
        session = Session(client, alice.wallet)
        paid = await session.send([Payment(alice.address, bob, 1_000)])
        txs = [await session.build([Payment(alice.address, bob, amount)]) for amount in range(1, 6)]
        await client.wait_for_height(max(paid.height + 3, 12))
        key = (ACCOUNT + bob)[1:]  # without the store's letter
        asked = {
            "key": key.hex(), "paid": paid.hash.hex().upper(), "paidAt": paid.height,
            "sender": encode_address(alice.address),
            "txs": [base64_of(tx) for tx in txs], "evidence": two_votes(running, 2).encode_wrapped().hex(),
        }  # fmt: skip
        told = await run(path, running.rpc, asked)

        assert told["mode"] == "v0.38", "by the version that the node says it speaks another dialect to it"
        for calls in (told["http"], told["websocket"]):
            blocks(calls, running, paid.height)
            of_the_node(calls, running)
            state(calls, running, key)
            assert calls["tx"]["root"] == calls["tx"]["data_hash"]
            assert (calls["tx"]["code"], sha256(bytes.fromhex(calls["tx"]["tx"]))) == (0, paid.hash)
            assert calls["tx_search"] == [1, [paid.hash.hex().upper()]]
        sent(told["http"], txs)
        first, unknown = told["refused"]
        assert "must be less than or equal to the current blockchain height" in first
        assert f"tx ({'00' * 32}) not found" in unknown
        last = told["verified"]
        assert told["light"] == {"one_by_one": last - 1, "in_one_step": True, "refused": LIES}
    row(
        "tendermint-rs", version, "its client for 0.38: every call that it offers, by HTTP and over WebSocket",
        f"{len(told['http'])} calls by HTTP, {len(told['websocket'])} over WebSocket: decoded, and true; "
        "consensus_state while no votes are in it (it does not know 0.38's extension in them)",
    )  # fmt: skip
    row(
        "tendermint-rs", version, "its light client's verifier on our headers",
        f"verified to height {last}, one by one and in one step; {len(LIES)} lies refused",
    )  # fmt: skip


def blocks(calls: dict[str, Any], running: Running, height: int) -> None:
    store = running.node.views.answers.blocks
    block, meta = store.load_block(height), store.load_meta(height)
    assert block is not None
    assert meta is not None
    hash = meta.block_id.hash.hex().upper()
    assert calls["block"] == {"hash": hash, "computed": hash, "txs": [tx.hex() for tx in block.txs]}
    assert [calls[name] for name in ("block_by_hash", "header", "header_by_hash")] == [True] * 3
    assert calls["commit"] == [True, hash]
    assert calls["blockchain"] == [str(one) for one in range(height, 0, -1)][:20]
    assert calls["block_search"] == [4, [str(height + 2), str(height + 3)]]
    following = store.load_meta(height + 1)
    assert following is not None
    assert calls["block_results"] == {"codes": [0], "app_hash": following.header.app_hash.hex()}
    for name in ("latest_block", "latest_block_results", "latest_commit", "latest_consensus_params", "abci_info"):
        assert int(calls[name]) >= height, name


def of_the_node(calls: dict[str, Any], running: Running) -> None:
    state, chain_id = running.node.views.driver.state, running.network.chain_id
    validator = state.validators[0]
    one = [1, validator.address.hex().upper(), validator.voting_power]
    assert [calls[name] for name in ("validators", "validators (all)", "validators (a page)")] == [one] * 3
    assert (calls["genesis"], calls["genesis_chunked_stream"]) == ([chain_id, 1], chain_id)
    assert (calls["net_info"], calls["health"]) == ([True, 0], True)
    assert calls["status"]["node_info"]["network"] == chain_id
    height = calls["consensus_state"]
    assert height.isdecimal() or "expected 6 parts to a consensus state vote summary, but got 7" in height
    assert int(calls["consensus_params"]) > 0


def state(calls: dict[str, Any], running: Running, key: bytes) -> None:
    """With its proof, held against the header of the height after."""
    answer = calls["abci_query"]
    following = running.node.views.answers.blocks.load_meta(int(answer["height"]) + 1)
    assert following is not None
    ops = tuple(ProofOp(kind, bytes.fromhex(name), bytes.fromhex(data)) for kind, name, data in answer["ops"])
    verify(ops, following.header.app_hash, store="currency", key=key, value=bytes.fromhex(answer["value"]))


def sent(calls: dict[str, Any], txs: list[bytes]) -> None:
    ids = [sha256(tx).hex().upper() for tx in txs]
    assert calls["broadcast_tx_async"] == [0, ids[0]]
    assert calls["broadcast_tx_sync"] == [0, ids[1]]
    assert calls["broadcast_tx_commit"][:3] == [0, 0, ids[2]]
    heard, heights = calls["subscribe"]
    assert heard == [tx.hex() for tx in txs[3:]]
    assert heights == list(range(heights[0], heights[0] + 3))
    assert len(calls["broadcast_evidence"]) == 64
