"""A real CometBFT node and one of ours, side by side, and in what their answers may differ."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.interop.cometbft import CometNode
from tests.support.node.running import Running, running_node, until
from tests.support.rpc.calling import Told, call

START_S = 60
HEIGHT = 3

# What the application, or whoever runs the node, chooses: strings of any form.
LOOSE = frozenset({
    "node_info.version", "node_info.moniker", "node_info.channels", "node_info.network", "sync_info.latest_app_hash",
    "sync_info.earliest_app_hash", "block_metas[].header.app_hash", "header.app_hash", "block.header.app_hash",
    "signed_header.header.app_hash", "response.data", "response.version", "response.log", "response.value",
    "response.key", "response.codespace", "log", "codespace", "data", "app_hash", "genesis.app_hash",
    "genesis.chain_id", "round_state.proposal_block_hash", "round_state.locked_block_hash",
    "round_state.valid_block_hash", "finalize_block_events[].attributes[].value", "txs_results[].log", "check_tx.log",
    "check_tx.codespace", "tx_result.log", "tx_result.codespace", "tx", "proof.data",
    "round_state.validators.validators[].voting_power", "blocks[].block.header.app_hash", "txs[].tx_result.log",
    "txs[].tx", "txs[].proof.data",
})  # fmt: skip

# What a node has at one moment and not at another, or what its application has not.
OPEN = {
    "dump_consensus_state": ("proposal", "block", "parts"),
    "genesis": ("app_state",),
    "block_results": ("events",),
    "tx_search": ("events", "data"),
}

LOOSE_OF_EVENTS = frozenset({
    "data.value.block.header.app_hash", "data.value.header.app_hash", "data.value.block.header.chain_id",
    "data.value.header.chain_id", "data.value.TxResult.tx", "data.value.TxResult.result.events[].attributes[].value",
    "data.value.TxResult.result.data", "data.value.result_finalize_block.app_hash",
    "data.value.events[].attributes[].value", "data.value.block.data.txs[]",
    "data.value.result_finalize_block.events[].attributes[].value", "data.value.result_finalize_block.tx_results[].log",
    "data.value.result_finalize_block.tx_results[].events[].attributes[].value",
})  # fmt: skip
# What only the application has: events of blocks, gas, results.
OPEN_OF_EVENTS = (
    "data.value.TxResult.result:", "data.value.result_finalize_block:", "events: theirs has", "data.value.TxResult:",
)  # fmt: skip


@contextlib.asynccontextmanager
async def two_nodes(tmp_path: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, str, str, Running]]:
    """(a session, theirs, ours, our node)"""
    node = CometNode(tmp_path / "theirs", chain_id="their-chain")
    node.set_config({"consensus.timeout_commit": "100ms"})
    theirs = f"http://127.0.0.1:{node.rpc_port}"
    async with node.running(), running_node(tmp_path / "ours") as one, aiohttp.ClientSession() as http:
        async with asyncio.timeout(START_S):
            while True:
                with contextlib.suppress(OSError, AssertionError):
                    if int((await call(http, theirs, "status"))["sync_info"]["latest_block_height"]) > HEIGHT:
                        break
                await asyncio.sleep(0.1)
        await until(lambda: one.node.views.answers.height > HEIGHT)
        yield http, theirs, one.rpc, one


async def settled(
    ask: Callable[[aiohttp.ClientSession, str, Any], Awaitable[Told]],
    http: aiohttp.ClientSession,
    theirs: str,
    asked: Any,
    *,
    not_yet: str = "could not find",
) -> Told:
    """What their node says at rest. Asked for the params or the validators after the block that it executes then, it
    finds none (CometBFT v0.38, rpc/core/env.go, latestUncommittedHeight: a height above the last that was saved); and
    a transaction that it told of is in its index a moment later."""
    async with asyncio.timeout(START_S):
        while True:
            told = await ask(http, theirs, asked)
            if not_yet not in told.text:
                return told
            await asyncio.sleep(0.05)
