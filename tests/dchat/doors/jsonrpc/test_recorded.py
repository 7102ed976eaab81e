"""Requests and answers that tendermint-rs recorded from a CometBFT v0.38 node: each request is asked of ours, and the
answers are compared in structure, kinds and forms; errors also in their words.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from consensus.p2p.conn.node_key import NodeKey
from dchat.config import load
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home.home import Home, load_genesis, load_validator_key
from dchat.node.runtime import Node
from tests.support.node.running import QUICK, running_node, until
from tests.support.patience import PATIENCE_S
from tests.support.rpc.calling import base64_of, call, payment_of, post
from tests.support.rpc.shapes import differences

pytestmark = pytest.mark.network

RECORDED = Path(__file__).parents[3] / "data" / "rpc_v0_38"
WITHOUT_ANSWER = {"block_by_hash": "block_at_height_1", "commit_at_height_10": ""}  # whose answers were not recorded

# What has no recorded request.
ASKED = {
    "block_at_height_1": ("block", {"height": "1"}),
    "blockchain_from_1_to_10": ("blockchain", {"minHeight": "1", "maxHeight": "10"}),
    "status": ("status", {}),
    "abci_info": ("abci_info", {}),
}
# Strings that an application or an operator chooses.
LOOSE = frozenset({
    "block.header.app_hash", "block_metas[].header.app_hash", "node_info.moniker", "node_info.network",
    "node_info.version", "sync_info.earliest_app_hash", "sync_info.latest_app_hash", "response.data",
    "response.version",
    "response.log", "response.codespace", "response.value", "genesis.app_hash", "genesis.validators[].name",
    "check_tx.log", "check_tx.codespace", "log", "codespace", "data.value.block.header.app_hash",
    "tx_result.events[].attributes[].value", "tx_result.log", "data.value.TxResult.tx", "listeners[]",
    "data.value.TxResult.result.events[].attributes[].value", "genesis.validators[].address",
})  # fmt: skip
# What only our application has, or the recorded node's early version lacks.
OPEN = (
    "genesis: theirs has", "genesis.app_state", "data.value.result_finalize_block:", "events: theirs has",
    "data.value.TxResult.result:", "data.value.TxResult:", "genesis.consensus_params: theirs",
)  # fmt: skip


def answer_of(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def shape_of(their: Any, our: Any) -> list[str]:
    assert ("result" in their) == ("result" in our), our
    if "error" in their:
        return [] if their["error"] == our["error"] else [f"theirs {their['error']}, ours {our['error']}"]
    found = differences(their["result"], our["result"], loose=LOOSE, is_ordered=False)
    return [line for line in found if not line.startswith(OPEN)]


async def test_each_recorded_request_is_answered_in_the_recorded_shape(tmp_path: Path) -> None:
    asked = {path.stem: json.loads(path.read_text()) for path in sorted((RECORDED / "outgoing").glob("*.json"))}
    asked |= {name: {"id": 1, "method": method, "params": given} for name, (method, given) in ASKED.items()}
    checked: list[str] = []
    wrong: list[str] = []
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        await until(lambda: one.node.views.answers.height > 10, timeout_s=60)
        senders = iter(("alice", "bob", "carol", "dave"))
        for name, recorded_request in asked.items():
            if name.startswith("subscribe"):
                continue
            request = dict(recorded_request)
            if request["method"].startswith("broadcast"):  # the key-value store's own means nothing here
                request["params"] = {"tx": base64_of(await payment_of(one, sender=next(senders)))}
            our = (await post(http, one.rpc, request)).document
            assert our["id"] == request["id"]
            if recorded := WITHOUT_ANSWER.get(name, name):
                their = answer_of(recorded)
                if name == "block_by_hash":  # of a block that is not here
                    assert our["result"] == {"block_id": {"hash": "", "parts": {"total": 0, "hash": ""}}, "block": None}
                else:
                    wrong += [f"{name}: {line}" for line in shape_of(their, our)]
            else:
                assert set(our["result"]) == {"signed_header", "canonical"}
            checked.append(name)
    assert wrong == []
    assert len(checked) == 19


async def test_recorded_events_have_the_shape_of_ours(tmp_path: Path) -> None:
    async with (
        running_node(tmp_path) as one,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{one.rpc}/websocket") as ws,
    ):
        for name in ("subscribe_malformed", "subscribe_newblock", "subscribe_txs"):
            request = json.loads((RECORDED / "outgoing" / f"{name}.json").read_text())
            await ws.send_json(request)
            our = await ws.receive_json(timeout=PATIENCE_S)
            while our["id"] != request["id"]:
                our = await ws.receive_json(timeout=PATIENCE_S)
            assert ("error" in our) == (name == "subscribe_malformed")
            assert our.get("result", {}) == {}
        await ws.send_json(
            {"id": 1, "method": "broadcast_tx_async", "params": {"tx": base64_of(await payment_of(one))}}
        )
        found: dict[str, Any] = {}
        while len(found) < 2:
            told = await ws.receive_json(timeout=PATIENCE_S)
            if told["id"] != 1:
                found[told["result"]["events"]["tm.event"][0]] = told
    wrong = []
    for name in sorted(path.stem for path in RECORDED.glob("subscribe_*_?.json")):
        their = answer_of(name)
        if "events" not in their["result"]:
            continue  # an answer to what was sent
        (kind,) = their["result"]["events"]["tm.event"]
        wrong += [f"{name}: {line}" for line in shape_of(their, found[kind])]
    assert wrong == []


async def test_what_is_told_of_peers_has_the_recorded_shape(tmp_path: Path) -> None:
    """Of two nodes: what a CometBFT node said of another, recorded for this test."""
    network = make_network(tmp_path, validators=2, pace=QUICK, ports=free_ports(2))
    async with contextlib.AsyncExitStack() as stack:
        for entry in network.nodes:
            root = network.home_of(entry)
            config = load(root / "validator-config.toml", environment={}).config
            home = Home.of(root, config)
            node = await Node.open(
                home, config, load_genesis(home), node_key=NodeKey.load(home.node_key),
                validator_key=load_validator_key(home), fatal=lambda code, line: None,
            )  # fmt: skip
            await node.start()
            stack.push_async_callback(node.stop)
        await until(lambda: node.views.answers.height >= 2, timeout_s=60)
        url = f"http://127.0.0.1:{network.nodes[1].ports.rpc}"
        async with aiohttp.ClientSession() as http:
            peers, state = [await call(http, url, method) for method in ("net_info", "dump_consensus_state")]
    their_peers, their_state = json.loads((RECORDED.parent / "recorded" / "two-nodes" / "peers.json").read_text())
    loose = frozenset({"peers[].node_info.network"})
    assert list(differences(their_peers, peers, loose=loose)) == []
    assert list(differences(their_state["peers"], state["peers"])) == []
    assert (len(peers["peers"]), len(state["peers"])) == (1, 1)
