"""The JSON-RPC door of a running node: what it answers and refuses, by POST, in batches, by URI; and its limits.

That every answer has a CometBFT node's shape is shown beside one: tests/interop/test_cometbft_rpc.py.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import re
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from consensus.abci.interface import PrepareProposalResponse
from consensus.documents.genesis import parse_genesis
from consensus.documents.json import block_from_json, evidence_json, signed_header_from_json
from crypto.bech32 import encode_address
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from dchat.cli.main import dchat
from dchat.doors.reads.limits import BURST_FACTOR, LOCAL_FACTOR
from dchat.home.home import Home, load_validator_key
from light import LightClient, Root
from light.errors import HeightTooHigh
from light.rpc import RpcProvider
from tests.support.node.evidence import two_votes
from tests.support.node.running import Running, running_node, until
from tests.support.patience import PATIENCE_S
from tests.support.rpc.calling import base64_of, call, get, payment_of, post, request

pytestmark = pytest.mark.network

KEPT = "public, max-age=86400"


def rpc_options(text: str) -> str:
    return f"\n[rpc]\n{text}\n"


async def test_a_chain_is_read_and_what_is_read_verifies(tmp_path: Path) -> None:
    """Blocks, commits and the genesis, by the readers that light clients have; and a payment, with its proof."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        tx = await payment_of(one)
        told = await call(http, one.rpc, "broadcast_tx_commit", tx=base64_of(tx))
        assert (told["check_tx"]["code"], told["tx_result"]["code"]) == (0, 0)
        assert told["hash"] == sha256(tx).hex().upper()
        height = int(told["height"])
        await until(lambda: one.node.views.answers.height > height)

        block_told = await call(http, one.rpc, "block", height=str(height))
        block = block_from_json(block_told["block"], "block")
        assert (block.hash.hex().upper(), block.txs) == (block_told["block_id"]["hash"], (tx,))
        by_hash = await call(http, one.rpc, "block_by_hash", hash=base64_of(block.hash))
        assert by_hash == block_told
        assert (await call(http, one.rpc, "header_by_hash", hash=block.hash.hex())) == {
            "header": block_told["block"]["header"]
        }
        commit = await call(http, one.rpc, "commit", height=str(height))
        signed = signed_header_from_json(commit["signed_header"], "commit")
        signed.validate(one.network.chain_id)
        assert commit["canonical"]
        assert signed.header == block.header
        results = await call(http, one.rpc, "block_results", height=str(height))
        assert results["txs_results"] == [told["tx_result"]]
        proved = await call(http, one.rpc, "tx", hash=base64_of(sha256(tx)), prove=True)
        assert proved["proof"]["root_hash"] == block_told["block"]["header"]["data_hash"]
        assert (proved["height"], proved["tx"], proved["tx_result"]) == (str(height), base64_of(tx), told["tx_result"])

        genesis = (await call(http, one.rpc, "genesis"))["genesis"]
        home = Home.of(one.network.home_of(one.network.nodes[0]))
        assert parse_genesis(json.dumps(genesis)) == parse_genesis(home.genesis.read_bytes())
        status = await call(http, one.rpc, "status")
        assert status["validator_info"]["address"] == load_validator_key(home).pub_key.address.hex().upper()
        assert status["node_info"]["other"]["rpc_address"] == one.rpc.replace("http", "tcp")


async def test_our_light_client_follows_our_chain_through_this_door(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        await until(lambda: one.node.views.answers.height >= 5)
        first = await call(http, one.rpc, "commit", height="1")
        root = Root(1, bytes.fromhex(first["signed_header"]["commit"]["block_id"]["hash"]))
        async with RpcProvider(one.rpc) as primary, RpcProvider(one.rpc) as witness:
            client = LightClient(root, primary, [witness])
            assert (await client.verify_at(4)).height == 4
            assert (await client.update()).height >= 5
            with pytest.raises(HeightTooHigh, match="must be less than or equal to the current blockchain height"):
                await client.verify_at(10**6)
        genesis = one.node.home.genesis
        line = ["light", "follow", "--to", "4", "--primary", one.rpc, "--witness", one.rpc, "--genesis", str(genesis)]
        done = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
        assert (done.exit_code, '"height": 4' in done.output) == (0, True), done.output


async def test_a_state_is_proved_by_the_next_header(tmp_path: Path) -> None:
    """As an SDK chain answers `/store/NAME/key`: with a proof and no height, of what a saved header proves."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        await until(lambda: one.node.views.answers.height >= 3)
        for key, is_there in (("00", True), ("0102", False)):
            told = await call(http, one.rpc, "abci_query", path="/store/chat/key", data=key, prove=True)
            response = told["response"]
            assert (response["code"], response["value"] is not None) == (0, is_there)
            assert [op["type"] for op in response["proofOps"]["ops"]] == ["ics23:smt", "ics23:simple"]
            await call(http, one.rpc, "header", height=str(int(response["height"]) + 1))  # it is there
        plain = (await call(http, one.rpc, "abci_query", path="/store/chat/key", data="00"))["response"]
        assert plain["proofOps"] is None
        for params in ({"path": "/nothing"}, {"path": "/store/chat/key", "height": "1000000000"}):
            refused = (await call(http, one.rpc, "abci_query", **params))["response"]
            assert refused["code"] != 0
            assert refused["log"]


POSTED: list[tuple[str, Any, int, Any]] = [
    ("one", request("health", id=7), 200, {"jsonrpc": "2.0", "id": 7, "result": {}}),
    ("an empty id", request("health", id=""), 200, {"jsonrpc": "2.0", "id": "", "result": {}}),
    ("a fraction", b'{"id": 1.9, "method": "health"}', 200, {"jsonrpc": "2.0", "id": 1, "result": {}}),
    ("a batch of one", [request("health", id=1)], 200, {"jsonrpc": "2.0", "id": 1, "result": {}}),
    ("a batch", [request("health", id=1), {"method": "health"}, request("no", id=2)], 200, [
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 2, "error": {"code": -32601, "message": "Method not found"}},
    ]),
    ("params by place", request("block", ["0"], id=1), 200, {"jsonrpc": "2.0", "id": 1, "error": {
        "code": -32603, "message": "Internal error", "data": "height must be greater than 0, but got 0"}}),
    ("too few by place", request("block", [], id=1), 200, {"jsonrpc": "2.0", "id": 1, "error": {
        "code": -32602, "message": "Invalid params",
        "data": "error converting json params to arguments: expected 1 parameters ([height]), got 0 ([])"}}),
    ("a bare number", request("block", {"height": 1}, id=1), 200, {"jsonrpc": "2.0", "id": 1, "error": {
        "code": -32602, "message": "Invalid params", "data": "error converting json params to arguments: "
        'invalid 64-bit integer encoding "1", expected string'}}),
    ("no params", {"id": 1, "method": "block"}, 500, {"jsonrpc": "2.0", "id": -1, "error": {
        "code": -32603, "message": "Internal error", "data": "reflect: Call with too few input arguments"}}),
    ("eleven", [request("health", id=n) for n in range(11)], 200, {"jsonrpc": "2.0", "error": {
        "code": -32600, "message": "Invalid Request",
        "data": "batch request exceeds maximum (10) allowed number of requests"}}),
    ("too large", b" " * 1_000_001, 400, {"jsonrpc": "2.0", "error": {
        "code": -32600, "message": "Invalid Request",
        "data": "error reading request body: http: request body too large"}}),
    ("notification", {"method": "health"}, 200, None),
    ("no requests", b"[]", 200, None),
]  # fmt: skip


async def test_requests_by_post(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        for what, body, status, document in POSTED:
            told = await post(http, one.rpc, body)
            assert (told.status, told.document) == (status, document), what
        for body in (b"{", b'{"id": true, "method": "health"}', b"[5]", b"5", b"[" * 100_000, b"[" + b"0," * 60_000):
            told = await post(http, one.rpc, body)
            assert (told.status, told.document["error"]["code"], "id" in told.document) == (500, -32700, False)


URIS: list[tuple[str, int, str]] = [
    ("block?height=2", 200, KEPT),
    ('block?height="2"', 200, KEPT),
    ("block", 200, ""),
    ("blockchain?minHeight=1&maxHeight=2", 200, KEPT),
    ("health", 200, ""),
    ("validators?height=2&page=1&per_page=1000", 200, KEPT),
    ("validators?page=2", 500, ""),
    ("block?height=0x2", 500, ""),
    ("block?height=1e3", 500, ""),
    ("tx?hash=0x00", 500, ""),
    ('broadcast_tx_sync?tx="raw%20text"', 200, ""),
    ('abci_query?path="/store/chat/key"&data="a"&prove=false', 200, ""),
    ("abci_query?path=0x2f73746f72652f636861742f6b6579&data=0x61", 200, ""),
    ("nothing", 404, ""),
    ("block/", 404, ""),
    ("", 200, ""),
]


async def test_requests_by_uri(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        await until(lambda: one.node.views.answers.height >= 3)
        for path, status, cached in URIS:
            told = await get(http, one.rpc, path)
            assert (told.status, told.headers.get("Cache-Control", "")) == (status, cached), path
            assert told.headers["X-Server-Time"].isdigit()
            if told.document is not None:
                assert told.document["id"] == -1
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        form = await post(http, one.rpc, b"height=2", "block", headers=kind)
        assert form.result["block"]["header"]["height"] == "2"


async def test_what_the_mempool_says(tmp_path: Path) -> None:
    """Its own refusals are errors in the reference's words, the application's are results; check_tx admits nothing."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        raw = await payment_of(one)
        tx = base64_of(raw)
        for _ in range(2):
            assert (await call(http, one.rpc, "check_tx", tx=tx))["code"] == 0
        assert one.node.pool.size == 0
        assert (await call(http, one.rpc, "broadcast_tx_async", tx=tx))["code"] == 0
        await until(lambda: one.node.views.answers.is_saved(sha256(raw)))
        for method, before in (("broadcast_tx_sync", ""), ("broadcast_tx_commit", "error on broadcastTxCommit: ")):
            told = await post(http, one.rpc, request(method, {"tx": tx}))
            assert told.error == (200, -32603, f"{before}tx already exists in cache")
        too_large = await post(http, one.rpc, request("broadcast_tx_sync", {"tx": base64_of(bytes(70_000))}))
        assert too_large.error[2].startswith("Tx too large. Max size is 65536, but got 70000")
        for method in ("broadcast_tx_sync", "check_tx"):
            told = await call(http, one.rpc, method, tx="AA==")
            assert told["code"] != 0
            assert told["log"]
        committed = await call(http, one.rpc, "broadcast_tx_commit", tx="AA==")
        assert (committed["check_tx"]["code"] != 0, committed["height"]) == (True, "0")
        counted = await call(http, one.rpc, "unconfirmed_txs", limit="1000")
        assert counted == {"n_txs": "0", "total": "0", "total_bytes": "0", "txs": []}


async def test_who_waits_for_a_block_waits_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that no block takes: the wait ends, and its place is free again."""

    def prepare_nothing(*_: object) -> Iterator[None]:
        yield from ()
        return PrepareProposalResponse(())

    monkeypatch.setattr(DchatApplication, "prepare_proposal", prepare_nothing)
    options = rpc_options('timeout_broadcast_tx_commit = "300ms"\nmax_subscription_clients = 1')
    async with running_node(tmp_path, options=options) as one, aiohttp.ClientSession() as http:
        tx, hub = base64_of(await payment_of(one)), one.node.doors.hub
        waiting = asyncio.ensure_future(post(http, one.rpc, request("broadcast_tx_commit", {"tx": tx})))
        await until(lambda: len(hub.held) == 1)
        second = await post(http, one.rpc, request("broadcast_tx_commit", {"tx": tx}))
        assert second.error[2] == "max_subscription_clients 1 reached"
        assert (await waiting).error[2] == "timed out waiting for tx to be included in a block"
        assert len(hub.held) == 0


async def test_evidence_is_taken_as_from_every_door(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        await until(lambda: one.node.views.answers.height >= 3)
        evidence = two_votes(one, 2)
        forged = replace(evidence, vote_b=replace(evidence.vote_b, signature=bytes(64)))
        refused = await post(http, one.rpc, request("broadcast_evidence", {"evidence": evidence_json(forged)}))
        assert refused.error[2].startswith("failed to add evidence: ")
        same = replace(evidence, vote_b=evidence.vote_a)
        refused = await post(http, one.rpc, request("broadcast_evidence", {"evidence": evidence_json(same)}))
        assert refused.error[2].startswith("evidence.ValidateBasic failed: ")
        told = await call(http, one.rpc, "broadcast_evidence", evidence=evidence_json(evidence))
        assert told == {"hash": base64_of(evidence.hash)}
        none = await post(http, one.rpc, request("broadcast_evidence"))
        assert none.error == (200, -32603, "no evidence was provided")


# ------------------------------------------------------------------------------------------------ what protects a node


async def test_a_door_on_loopback_is_not_called_by_a_name_of_somebody_elses(tmp_path: Path) -> None:
    """DNS rebinding: a web page's own name that was turned into this machine's address."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        for host, status in (("localhost:1", 200), ("127.0.0.1", 200), ("evil.example", 403)):
            answer = await get(http, one.rpc, "health", headers={"Host": host})
            assert answer.status == status
            assert status == 200 or "[rpc] allowed_hosts can allow it" in answer.text


async def test_pages_of_other_origins_read_nothing_unless_they_may(tmp_path: Path) -> None:
    options = rpc_options('cors_allowed_origins = ["https://wallet.example", "https://*.good.example"]')
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with running_node(tmp_path, options=options) as one, aiohttp.ClientSession() as http:
        for origin, allowed in (
            ("https://wallet.example", True), ("https://a.good.example", True), ("https://good.example", False),
            ("https://wallet.example.evil", False),
        ):  # fmt: skip
            told = await get(http, one.rpc, "health", headers={"Origin": origin})
            assert told.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)
            async with http.options(one.rpc, headers={"Origin": origin, **asks}) as answer:
                said = tuple(answer.headers.get(f"Access-Control-Allow-{what}") for what in ("Origin", "Methods"))
                assert (answer.status, said) == (204, (origin, "POST") if allowed else (None, None))


async def test_it_speaks_tls_where_the_other_doors_do(tmp_path: Path) -> None:
    key, certificate = self_signed("127.0.0.1")
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "cert.pem").write_bytes(certificate)
    files = f'cert_file = "{tmp_path / "cert.pem"}"\nkey_file = "{tmp_path / "key.pem"}"'
    context = ssl.create_default_context(cadata=certificate.decode())
    async with running_node(tmp_path / "node", options=f"\n[tls]\n{files}\n") as one, aiohttp.ClientSession() as http:
        url = one.rpc.replace("http", "https")
        assert (await get(http, url, "health", ssl=context)).result == {}
        async with http.ws_connect(f"{url}/websocket", ssl=context) as ws:
            await ws.send_json(request("health", id=1))
            assert (await ws.receive_json(timeout=PATIENCE_S))["result"] == {}


def self_signed(address: str) -> tuple[bytes, bytes]:
    """A key and a certificate for an address, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, made.public_bytes(serialization.Encoding.PEM)


async def test_what_is_asked_too_fast_is_refused_and_then_cut(tmp_path: Path) -> None:
    """By what calls cost, in the same measure as at the other doors."""
    options = "\n[rate_limit]\nrequests_per_second = 1\n"
    async with running_node(tmp_path, options=options) as one, aiohttp.ClientSession() as http:
        burst = BURST_FACTOR * LOCAL_FACTOR
        statuses = [(await get(http, one.rpc, "block?height=1")).status for _ in range(burst)]
        assert statuses.count(200) < burst // 2  # each costs four
        assert 503 in statuses
        batch = [request("block", {"height": "1"}, id=number) for number in range(10)]
        told = await post(http, one.rpc, batch)
        assert told.status == 503 or all("error" in reply for reply in told.document)


async def test_a_header_without_an_end_is_cut(tmp_path: Path) -> None:
    async with running_node(tmp_path, options=rpc_options("max_header_bytes = 8192\nidle_timeout = 500")) as one:
        port = one.network.nodes[0].ports.rpc
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /broadcast_tx_sync?tx=0x" + b"00" * 10_000)
        async with asyncio.timeout(10):
            assert (await reader.read()).split()[1] == b"431"
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        async with asyncio.timeout(10):
            await reader.read()  # to its end
        writer.close()


async def test_an_empty_address_keeps_it_closed(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one:
        assert one.node.doors.rpc is not None
    text = (config_of(one)).read_text()
    config_of(one).write_text(re.sub(r'rpc_listen_address = ".*"', 'rpc_listen_address = ""', text))
    async with running_node(tmp_path) as one:
        assert one.node.doors.rpc is None
        assert one.node.switch.node_info.rpc_address == ""


def config_of(one: Running) -> Path:
    return one.network.home_of(one.network.nodes[0]) / "validator-config.toml"


async def test_it_is_counted(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        await call(http, one.rpc, "health")
        await get(http, one.rpc, "block?height=0")
        await post(http, one.rpc, request("nothing"))
        async with http.get(f"http://127.0.0.1:{one.ports[2]}/metrics") as answer:
            text = await answer.text()
        for line in (
            'dchat_rpc_calls_total{method="health",outcome="ok"} 1.0',
            'dchat_rpc_calls_total{method="block",outcome="-32603"} 1.0',
            'dchat_rpc_calls_total{method="unknown",outcome="-32601"} 1.0',
            'dchat_door_connections{door="rpc"} 1.0',
            "dchat_rpc_subscriptions 0.0",
        ):
            assert line in text, line


async def test_what_was_done_is_found(tmp_path: Path) -> None:
    """By who paid, by heights, by pages; each as `tx` tells it, with its proof."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        sent = [
            await call(http, one.rpc, "broadcast_tx_commit", tx=base64_of(await payment_of(one, amount)))
            for amount in (1, 2, 3)
        ]
        query = f"transfer.sender='{encode_address(one.account('alice').address)}'"
        found = await call(http, one.rpc, "tx_search", query=query, prove=True)
        assert [tx["hash"] for tx in found["txs"]] == [told["hash"] for told in sent]
        assert found["total_count"] == "3"
        for tx in found["txs"]:
            assert tx == await call(http, one.rpc, "tx", hash=base64_of(bytes.fromhex(tx["hash"])), prove=True)
        second = {"query": query, "per_page": "1", "page": "2", "order_by": "desc"}
        page = await call(http, one.rpc, "tx_search", **second)
        assert ([tx["hash"] for tx in page["txs"]], page["total_count"]) == ([sent[1]["hash"]], "3")
        height = sent[0]["height"]
        blocks = await call(http, one.rpc, "block_search", query=f"block.height = {height}")
        assert blocks == {"blocks": [await call(http, one.rpc, "block", height=height)], "total_count": "1"}
        past = await post(http, one.rpc, request("tx_search", {"query": query, "page": "2"}))
        assert past.error == (200, -32603, "page should be within [1, 1] range, given 2")


async def test_without_an_index_nothing_is_searched(tmp_path: Path) -> None:
    async with running_node(tmp_path, options='\n[index]\ntx_index = "null"\n') as one, aiohttp.ClientSession() as http:
        for method, what in (("tx_search", "transaction"), ("block_search", "block")):
            refused = await post(http, one.rpc, request(method, {"query": "a.b=1"}))
            assert refused.error == (200, -32603, f"{what} indexing is disabled")
        told = await call(http, one.rpc, "broadcast_tx_commit", tx=base64_of(await payment_of(one)))
        assert (await call(http, one.rpc, "tx", hash=base64_of(bytes.fromhex(told["hash"]))))["height"] == told[
            "height"
        ]
