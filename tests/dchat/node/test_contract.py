"""The operator contract, letter by letter: commands, flags, endpoints and their keys, metrics, services.

Configuration keys and environment names are in test_config.py. What is written here was promised to operators: a name
may be added, none may change.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import click
import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from prometheus_client.parser import text_string_to_metric_families

from chain.tx.messages import Payment
from dchat.cli.local.testnet_control import ACTIONS, control
from dchat.cli.main import dchat
from dchat.client.wallet import Session
from tests.support.node.running import running_node, until
from tests.support.patience import PATIENCE_S

COMMANDS = {
    "keygen": "--output --burner",
    "identity verify": "--file",
    "init": "--home",
    "testnet": "--validators --block-time --fast",
    "validator": "--config --identity --chain-id --listen --rpc-listen --data-dir --bootstrap --stake --log-level "
    "--json-logs --pruning --validate --dry-run --hsm --pkcs11-library --pkcs11-slot --pkcs11-pin-file --kms-key-id "
    "--aws-region --replay-from-genesis --genesis-file --upgrade-name --upgrade-height --upgrade-binary",
    "validator recover": "",
    "health": "--url",
    "status": "",
    "tx": "",
    "query account": "--prove --trust",
    "query identity": "--prove --trust",
    "query channel": "--prove --trust",
    "query message": "--prove --trust",
    "query bundle": "--prove --trust",
    "query tx": "--prove --trust",
    "query events": "--type --where --from-height --after --follow --limit",
    "query block-results": "",
    "version": "",
    "database prune": "--older-than --dry-run --db-path",
    "network": "",
    "benchmark validator": "--duration --transaction-rate",
    "benchmark relay": "--duration --message-rate",
    "relay": "",
    "user": "",
}

STATUS = (
    "version chain_id moniker node_id validator_address voting_power latest_block_height latest_block_hash "
    "latest_block_time latest_app_hash chat_root currency_root bridge_root catching_up sync_progress peer_count peers "
    "mempool_size queue_size uptime_seconds"
)
BLOCK = "height hash time round proposer_address app_hash num_txs txs_by_chain"
ENDPOINTS = {
    "/health": "status version timestamp",
    "/ready": "ready connected_peers",
    "/status": STATUS,
    "/peers": "peer_count peers",
    "/chain/latest-block": f"{BLOCK} txs",
    "/chain/blocks": "blocks",
    "/chain/blocks?limit=10": "blocks",
    "/chain/block-results": "height app_hash txs events validator_updates",
    "/chain/events?limit=1": "events cursor has_more",
    "/chain/consensus-status": "height round step proposer votes all_agree",
    "/bridge/status": "chat currency in_step totals bundles",
}
METRICS = {
    "dchat_chain_height": "gauge",
    "dchat_validator_blocks_validated_total": "counter",
    "dchat_validator_missed_blocks_total": "counter",
    "dchat_validator_block_time_seconds": "histogram",
    "dchat_validator_stake_amount": "gauge",
    "dchat_network_connected_peers": "gauge",
    "dchat_network_bandwidth_bytes_total": "counter",
    "dchat_memory_usage_bytes": "gauge",
    "dchat_network_partition_detected": "gauge",
}
SERVICES = {
    "dchat.v1.TxService": "Broadcast BroadcastMany GetTx Simulate",
    "dchat.v1.ChainService": "GetStatus GetBlock ListBlocks GetCommit GetValidators StreamBlocks GetBlockResults "
    "StreamEvents",
    "dchat.v1.StateService": "GetAccount GetIdentity GetChannel GetMessage GetBundle",
}


def flags(command: click.Command) -> set[str]:
    return {flag for option in command.params for flag in option.opts}


@pytest.mark.parametrize("path", COMMANDS)
def test_command(path: str) -> None:
    command: click.Command = dchat
    for name in path.split():
        assert isinstance(command, click.Group), path
        found = command.get_command(click.Context(command), name)
        assert found is not None, path
        command = found
    assert set(COMMANDS[path].split()) <= flags(command)
    assert "--version" in flags(dchat)


def test_script_of_test_networks() -> None:
    assert {"run", "status", "stop", "logs", "kill", "start"} == set(ACTIONS)
    assert {"--detach", "--home", "--validators", "--block-time", "--fast"} <= flags(control)


async def test_endpoints_and_metrics(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client, aiohttp.ClientSession() as http:
        alice, bob = running.account("alice"), running.account("bob")
        sent = await Session(client, alice.wallet).send([Payment(alice.address, bob.address, 1)])
        _, http_port, metrics_port = running.ports
        answers = {}
        for path, keys in ENDPOINTS.items():
            async with http.get(f"http://127.0.0.1:{http_port}{path}") as answer:
                assert (answer.status, answer.content_type) == (200, "application/json"), path
                answers[path] = await answer.json()
            assert set(keys.split()) <= answers[path].keys(), path
        status: dict[str, Any] = answers["/status"]
        assert (status["validator_address"], status["node_id"]) == (
            running.node.driver.state.validators[0].address.hex().upper(),
            running.network.nodes[0].node_id,
        )
        assert len(bytes.fromhex(status["chat_root"])) == len(bytes.fromhex(status["latest_app_hash"])) == 32
        blocks = answers["/chain/blocks"]["blocks"]
        assert 1 <= len(blocks) <= 10
        heights = [block["height"] for block in blocks]
        assert heights == list(range(heights[0], heights[0] - len(heights), -1))
        assert all(set(BLOCK.split()) <= block.keys() for block in blocks)
        assert next(block for block in blocks if block["height"] == sent.height)["txs_by_chain"]["currency"] == 1
        for port in (http_port, metrics_port):
            async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                families = list(text_string_to_metric_families(await answer.text()))
            # The parser takes a counter's `_total` off its family's name.
            types = {f.name + "_total" * (f.type == "counter"): f.type for f in families}
            assert {name: types.get(name) for name in METRICS} == METRICS
            assert {types.get(f"dchat_block_sync_{name}") for name in ("syncing", "highest_claim")} == {"gauge"}
            directions = {
                sample.labels["direction"]
                for family in families
                for sample in family.samples
                if sample.name == "dchat_network_bandwidth_bytes_total"
            }
            assert directions == {"in", "out"}


async def test_a_client_that_knows_only_the_address_can_ask(tmp_path: Path) -> None:
    """As grpcurl does: services and messages are learnt by reflection, and a call is made with them."""
    async with running_node(tmp_path) as running:

        def ask() -> dict[str, Any]:
            with grpc.insecure_channel(running.grpc) as channel:
                database = ProtoReflectionDescriptorDatabase(channel)
                assert {*SERVICES, "grpc.health.v1.Health"} <= set(database.get_services())
                pool = DescriptorPool(database)
                for name, methods in SERVICES.items():
                    service = pool.FindServiceByName(name)
                    assert set(methods.split()) <= {method.name for method in service.methods}
                method = pool.FindMethodByName("dchat.v1.ChainService.GetStatus")
                request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
                call = channel.unary_unary(
                    "/dchat.v1.ChainService/GetStatus",
                    request_serializer=request.SerializeToString,
                    response_deserializer=response.FromString,
                )
                answer = call(request(), timeout=PATIENCE_S)
                return {field.name: value for field, value in answer.ListFields()}

        told = await asyncio.to_thread(ask)
        assert told["chain_id"] == running.network.chain_id
        assert told["latest_block_height"] >= 1
        json.dumps(told["moniker"])


async def test_doors_serve_nothing_above_the_last_saved_height(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block and the application's state are on disk a step before the engine's state: nobody may see them yet."""
    async with running_node(tmp_path) as running, running.client() as client, aiohttp.ClientSession() as http:
        await client.wait_for_height(6)
        states = running.node.views.answers.states
        tip = states.load()
        assert tip is not None
        # Held back: as if every later state were not saved yet, while blocks and application go on.
        monkeypatch.setattr(type(states), "load", lambda _: tip)
        await until(lambda: running.node.driver.state.last_block_height >= tip.last_block_height + 2)
        saved, above = tip.last_block_height, tip.last_block_height + 1
        base = f"http://127.0.0.1:{running.ports[1]}"

        async def get(path: str) -> Any:
            async with http.get(base + path) as answer:
                assert answer.status == 200, path
                return await answer.json()

        status = await get("/status")
        assert status["latest_block_height"] == saved
        assert status["latest_block_hash"] == tip.last_block_id.hash.hex().upper()
        assert status["latest_app_hash"] == tip.app_hash.hex().upper()
        assert (await get("/health"))["height"] == saved
        assert (await get("/chain/latest-block"))["height"] == saved
        assert (await get("/chain/blocks"))["blocks"][0]["height"] == saved
        assert (await get("/bridge/status"))["chat"]["height"] == saved
        alice = running.account("alice").address
        hidden = await asyncio.gather(
            client.block(above),
            client.commit(above),
            client.account(alice, height=above),
            client.account(alice, height=saved, prove=True),  # the header that proves it is not saved
            client.params(above),
            client.invariants(above),
            client.block(block_hash=running.node.driver.state.last_block_id.hash),
            return_exceptions=True,
        )
        assert [getattr(error, "status", error) for error in hidden] == ["NOT_FOUND"] * len(hidden)
        assert (await client.account(alice)).height == saved
        assert (await client.blocks(max_height=above)).blocks[0].header.height == saved
