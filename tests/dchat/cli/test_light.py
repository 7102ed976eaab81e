"""`dchat light follow` and `dchat light proxy` over a node of ours: what is believed, what is refused, what is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from chain.state.roots import CURRENCY
from chain.tx.messages import Payment
from consensus.documents.json import evidence_from_json, signed_header_from_json
from consensus.types.evidence import Evidence
from consensus.types.light import LightBlock
from crypto.hash import sha256
from dchat.cli.light.proxy import Proxy
from dchat.cli.light.session import LightSession, session_of
from dchat.cli.main import dchat
from dchat.cli.terminal.base import Exit, Refusal
from dchat.client.client import Client
from dchat.client.light_provider import DoorProvider
from dchat.client.wallet import Outcome, Session
from dchat.config import Config
from dchat.home.home import Home, load_validator_key
from light.errors import ProviderFailed
from proto.dchat.v1 import service_pb2 as pb
from tests.support.light.chains import sign
from tests.support.node.running import Running, running_node

DCHAT = 1_000_000


@dataclass
class Followed:
    """A node with a payment in a block, and the command as it is typed."""

    running: Running
    paid: Outcome
    node: str
    genesis: Path

    async def dchat(self, *arguments: object) -> Result:
        line = ["light", *map(str, arguments), "--genesis", str(self.genesis)]
        return await asyncio.to_thread(
            CliRunner().invoke, dchat, line, prog_name="dchat", env={"DCHAT_NODE": self.node}
        )

    def options(self, **how: Any) -> dict[str, Any]:
        return {
            "trust": None, "genesis_file": self.genesis, "primary": self.node, "witnesses": (self.node,),
            "sequential": False, "trust_level": (1, 3), "trusting_period": 0, "clock_drift": 10**10, "store": None,
        } | how  # fmt: skip


@pytest.fixture
async def followed(tmp_path: Path) -> AsyncIterator[Followed]:
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            alice, bob = running.account("alice"), running.account("bob")
            paid = await Session(client, alice.wallet).send([Payment(alice.address, bob.address, DCHAT)])
            await client.wait_for_height(paid.height + 2)
            home = running.network.home_of(running.network.nodes[0])
            yield Followed(running, paid, client.address, home / "config" / "genesis.json")


async def test_follow_tells_what_it_verified_and_goes_on_from_its_store(followed: Followed, tmp_path: Path) -> None:
    store = tmp_path / "light"
    done = await followed.dchat("follow", "--to", 3, "--witness", followed.node, "--store", store)
    assert done.exit_code == 0, done.output
    first, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert (first["height"], last["height"], last["witnesses"]) == (1, 3, 1)
    assert last["chain_id"] == followed.running.network.chain_id
    again = await followed.dchat("follow", "--once", "--store", store)
    assert json.loads(again.stdout.splitlines()[-1])["height"] >= followed.paid.height + 2
    each = await followed.dchat("follow", "--to", 4, "--sequential")
    assert [json.loads(line)["height"] for line in each.stdout.splitlines()] == [1, 2, 3, 4]


async def test_follow_refuses_with_the_code_of_what_it_is(followed: Followed) -> None:
    for options, code, says in (
        (("--to", 3, "--once"), Exit.USAGE, "one of them"),
        (("--to", 10**6), Exit.FAILED, "is not there yet: the latest is "),
        (("--to", 3, "--trust-level", "1/4"), Exit.USAGE, "allowed: 1/3 to 1"),
        (("--to", 3, "--trust-level", "half"), Exit.USAGE, "is no fraction"),
        (("--to", 3, "--trusting-period", "168"), Exit.USAGE, "'168' of what? Say a unit: 168s, or 168h"),
        (("--to", 3, "--trusting-period", "1ms"), Exit.PROOF, "the trusting period of 0 s"),
        (("--to", 3, "--trust", f"2:{'00' * 32}"), Exit.PROOF, "trusted is 0000"),
        (("--to", 3, "--primary", "127.0.0.1:1"), Exit.UNREACHABLE, "did not answer"),
        (("--to", 3, "--primary", "http://127.0.0.1:1"), Exit.UNREACHABLE, "did not answer commit"),
        (("--to", 3, "--primary", "nonsense"), Exit.USAGE, "expected HOST:PORT"),
        (("--to", 3, *("--witness", "127.0.0.1:1") * 17), Exit.USAGE, "--witness 17 times; allowed: 16"),
        (("--to", 3, "--witness", "127.0.0.1:1"), Exit.PROOF, "no witness confirmed header 3"),
    ):
        refused = await followed.dchat("follow", *options)
        assert (refused.exit_code, says in refused.output) == (code, True), refused.output


class Liar(DoorProvider):
    """Tells of one height another header, signed by the only validator there is."""

    def __init__(self, client: Client, lie: LightBlock) -> None:
        super().__init__(client)
        self._lie = lie

    @property
    def name(self) -> str:
        return "the liar"

    async def light_block(self, height: int) -> LightBlock:
        return self._lie if height == self._lie.height else await super().light_block(height)

    async def report(self, evidence: Evidence) -> None:
        raise ProviderFailed(self.name, "takes none")


async def test_an_attack_ends_it_and_the_node_keeps_the_evidence(followed: Followed, tmp_path: Path) -> None:
    store = tmp_path / "light"
    home = Home.of(followed.running.network.home_of(followed.running.network.nodes[0]), Config())
    key = load_validator_key(home)
    async with followed.running.client() as client:
        real = await DoorProvider(client).light_block(followed.paid.height)
        lie = sign(replace(real.header, app_hash=sha256(b"rich")), real.validators, {key.pub_key.address: key})
        with pytest.raises(Refusal, match=r"an attack: header .* evidence handed to 127") as caught:
            async with session_of(followed.options(store=store)) as session:
                session.light.primary = Liar(client, lie)
                await session.light.verify_at(lie.height)
        assert caught.value.exit_code == Exit.PROOF
        ours, mirrored = sorted(store.glob("evidence-*.json"))
        assert evidence_of(ours).accused == (key.pub_key.address,)
        for file, code, says in ((ours, 0, '"is_new": false'), (mirrored, Exit.FAILED, "is our own block")):
            line = ["tx", "evidence", str(file), "--node", followed.node]
            told = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
            assert (told.exit_code, says in told.output) == (code, True), told.output


def evidence_of(file: Path) -> Evidence:
    return evidence_from_json(json.loads(file.read_text()), file.name)


@dataclass
class Asked:
    """A proxy that listens, and its session."""

    url: str
    session: LightSession
    http: aiohttp.ClientSession

    async def rpc(self, method: str, **params: Any) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        async with self.http.post(self.url, json=body) as answer:
            assert answer.status == 200, method  # what a handler refuses, too
            told: dict[str, Any] = await answer.json()
            assert told["id"] == 7
            return told

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, Any], str]:
        async with self.http.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.json(), answer.headers.get("X-Verified-By", "")


@pytest.fixture
async def asked(followed: Followed) -> AsyncIterator[Asked]:
    async with session_of(followed.options()) as session, aiohttp.ClientSession() as http:
        proxy = await Proxy.of(session)
        port = await proxy.start("127.0.0.1", 0)
        try:
            yield Asked(f"http://127.0.0.1:{port}", session, http)
        finally:
            await proxy.stop()


async def test_the_proxy_answers_cometbft_calls_from_verified_headers(followed: Followed, asked: Asked) -> None:
    height = followed.paid.height
    status = (await asked.rpc("status"))["result"]
    assert status["node_info"]["network"] == followed.running.network.chain_id
    assert int(status["sync_info"]["latest_block_height"]) >= height + 2
    commit = (await asked.rpc("commit", height=str(height)))["result"]["signed_header"]
    signed = signed_header_from_json(commit, "commit")
    signed.validate(followed.running.network.chain_id)
    assert (await asked.rpc("header", height=height))["result"]["header"] == commit["header"]
    told = (await asked.rpc("validators", height=str(height), per_page="1"))["result"]
    assert (told["block_height"], told["count"], told["total"]) == (str(height), "1", "1")
    block = (await asked.rpc("block", height=str(height)))["result"]
    assert block["block_id"]["hash"] == signed.header.hash.hex().upper()
    assert len(block["block"]["data"]["txs"]) == 1
    code, by_uri, _ = await asked.get(f"/commit?height={height}")
    assert (code, by_uri["result"]["signed_header"]) == (200, commit)
    assert (await asked.rpc("health"))["result"] == {}
    async with asked.http.post(asked.url, data=rb'{"method": "health", "id": "half \ud800"}') as answer:
        assert (answer.status, await answer.text()) == (200, r'{"jsonrpc":"2.0","id":"half \ud800","result":{}}')


async def test_the_proxy_proves_state_and_refuses_what_has_no_proof(followed: Followed, asked: Asked) -> None:
    bob = followed.running.account("bob").address
    key = (b"a" + bob).hex()
    for prefix in ("", "0x"):
        answer = (await asked.rpc("abci_query", path=f"/store/{CURRENCY}/key", data=prefix + key))["result"]["response"]
        assert (answer["log"], [op["type"] for op in answer["proofOps"]["ops"]]) == (
            "exists",
            ["ics23:smt", "ics23:simple"],
        )
    absent = (await asked.rpc("abci_query", path=f"/store/{CURRENCY}/key", data=(b"a" + bytes(20)).hex()))["result"]
    assert (absent["response"]["log"], absent["response"]["value"]) == ("does not exist", None)
    for method, params, says in (
        ("net_info", {}, "cannot be verified here: ask the node itself; verified are abci_query, block, commit"),
        ("broadcast_tx_sync", {"tx": "AA=="}, "cannot be verified here"),
        ("abci_query", {"path": "/app/version"}, "verified are /store/NAME/key: bridge, chat, currency"),
        ("abci_query", {"path": "/store/chat/key", "data": ""}, "has 0 bytes"),
        ("abci_query", {"path": "/store/chat/key", "data": "xy"}, "is no hex"),
        ("commit", {"height": "-1"}, "allowed: 1 to"),
        ("commit", {"height": "9999999"}, "must be less than or equal to the current blockchain height "),
        ("commit", {"height": [1]}, "allowed: 1 to"),
        ("validators", {"height": "2", "page": "2"}, "page should be within [1, 1] range, given 2"),
    ):
        assert says in (await asked.rpc(method, **params))["error"]["data"], method
    for body in (b"x", b"[]", b'{"method":1}', b'{"method":"status","params":[1]}', b"[" * 60_000):
        async with asked.http.post(asked.url, data=body) as answer:
            assert "error" in await answer.json()
    async with asked.http.post(asked.url, data=b" " * 70_000) as answer:
        assert answer.status == 413


@pytest.mark.parametrize(
    ("path", "code", "message", "says"),
    [
        ("/commit?height=9999999", 500, "Internal error", "height 9999999 must be less than or equal to the current "),
        ("/block?height=9999999", 500, "Internal error", "height 9999999 must be less than or equal to the current "),
        ("/commit?height=x", 500, "Invalid params", "allowed: 1 to"),
        ("/net_info", 404, "Method not found", "cannot be verified here"),
    ],
)
async def test_the_proxy_refuses_as_cometbft_does(asked: Asked, path: str, code: int, message: str, says: str) -> None:
    status, told, _ = await asked.get(path)
    assert (status, told["error"]["message"]) == (code, message)
    assert told["error"]["data"].startswith(says) or says in told["error"]["data"]


async def test_the_proxy_answers_v1_reads_with_the_header_that_proves_them(followed: Followed, asked: Asked) -> None:
    bob = followed.running.account("bob")
    for path, status, holds in (
        (f"/v1/accounts/{bob.address_text}", 200, '"balance"'),
        (f"/v1/accounts/{bytes(20).hex()}", 200, '"proof"'),
        ("/v1/identities/by-name/nobody", 200, '"proof"'),
        ("/v1/channels/by-name/cellar", 200, '"proof"'),
        (f"/v1/bundles/{'00' * 32}", 200, '"proof"'),
        (f"/v1/records/currency/61{bob.address.hex()}", 200, '"value"'),
        (f"/v1/channels/{'00' * 20}/messages", 200, '"channel_proof"'),
        (f"/v1/channels/{'00' * 20}/messages/0", 200, '"channel_proof"'),
        (f"/v1/txs/{followed.paid.hash.hex()}?decoded=true", 200, '"result_proof"'),
        ("/v1/blocks/2", 200, '"block_id"'),
        ("/v1/blocks/2/commit", 200, '"light_block"'),
        ("/v1/blocks/2/validators", 200, '"voting_power"'),
        (f"/v1/guardians/{bob.address_text}", 200, '"proof"'),
        (f"/v1/identities/{bob.address_text}/profile", 200, '"proof"'),
        (f"/v1/proposals/1/votes/{bob.address_text}", 200, '"proof"'),
        (f"/v1/guardians/{bob.address_text}?key=00", 400, "stands in the path already"),
        (f"/v1/accounts/{bob.address_text}?address=00", 400, "stands in the path already"),
        ("/v1/params", 501, "GET /v1/params has no proof: ask the node itself"),
        ("/v1/invariants", 501, "has no proof"),
        ("/v1/accounts/nobody", 400, "address"),
        ("/v1/channels/00/messages", 400, "channel_id has 1 bytes"),
        (f"/v1/accounts/{bob.address_text}?height=9999999", 404, "height 9999999"),
        (f"/v1/txs/{'00' * 32}", 404, "is in no block"),
    ):
        code, told, by = await asked.get(path)
        assert (code, holds in json.dumps(told)) == (status, True), (path, code, told)
        assert bool(by) == (status == 200), path
    code, told, by = await asked.get("/v1/blocks/2")
    assert by == f"2:{told['block_id']['hash'].upper()}"
    code, same, _ = await asked.get(f"/v1/blocks/by-hash/{told['block_id']['hash']}")
    assert (code, same) == (200, told)
    assert (await asked.get("/v1/blocks/2", Host="evil.example"))[0] == 403
    assert (await asked.get("/v1/blocks/2", Host="localhost:1"))[0] == 200
    code, told, _ = await asked.get("/v1/nothing/at/all")
    assert code == 404


async def test_when_the_primary_is_gone_another_node_is_asked_for_state_too(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is said is proved: whose word it is does not matter."""
    bob, gone = followed.running.account("bob"), "127.0.0.1:1"
    key = (b"a" + bob.address).hex()
    monkeypatch.setattr("dchat.client.client.DEADLINE_S", 1.0)
    async with session_of(followed.options(primary=gone, witnesses=(followed.node, followed.node))) as session:
        proxy = await Proxy.of(session)
        port = await proxy.start("127.0.0.1", 0)
        try:
            async with aiohttp.ClientSession() as http:
                asked = Asked(f"http://127.0.0.1:{port}", session, http)
                for path in (f"/v1/accounts/{bob.address_text}", "/v1/blocks/2", f"/v1/txs/{followed.paid.hash.hex()}"):
                    code, told, by = await asked.get(path)
                    assert (code, bool(by)) == (200, True), told
                found = await asked.rpc("abci_query", path=f"/store/{CURRENCY}/key", data=key)
                assert found["result"]["response"]["log"] == "exists"
                assert (await asked.rpc("block", height="2"))["result"]["block"]["header"]["height"] == "2"
        finally:
            await proxy.stop()
    only = followed.options(primary=followed.node, witnesses=())
    async with session_of(only) as session:
        session.light.primary, session.nodes = session.nodes[0], (DoorProvider(Client(gone)),)
        proxy = await Proxy.of(session)
        port = await proxy.start("127.0.0.1", 0)
        async with aiohttp.ClientSession() as http:
            code, told, _ = await Asked(f"http://127.0.0.1:{port}", session, http).get(
                f"/v1/accounts/{bob.address_text}"
            )
        await proxy.stop()
        assert (code, gone in told["error"]) == (504, True), told


async def test_a_lie_is_not_relayed(followed: Followed, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another value than the proved one, another block than the header's, an old state for the latest."""
    bob = followed.running.account("bob")
    honest = Client.call

    async def lie(self: Client, method: Any, request: Any, **how: Any) -> Any:
        answer = await honest(self, method, request, **how)
        if isinstance(answer, pb.GetAccountResponse):
            answer.account.balance += 1
        if isinstance(answer, pb.GetRecordResponse):
            answer.value += b"\x00"
        if isinstance(answer, pb.GetBlockResponse):
            answer.block.data.txs.append(b"forged")
        if isinstance(answer, pb.GetTxResponse):
            answer.log, answer.code = "lie", answer.code
        return answer

    monkeypatch.setattr(Client, "call", lie)
    for path in (
        f"/v1/accounts/{bob.address_text}",
        f"/v1/records/currency/61{bob.address.hex()}",
        "/v1/blocks/2",
    ):
        assert (await asked.get(path))[0] == 502, path
    assert "error" in await asked.rpc("block", height="2")
    key = (b"a" + bob.address).hex()
    refused = await asked.rpc("abci_query", path=f"/store/{CURRENCY}/key", data=key)
    assert "the proof does not hold" in refused["error"]["data"]
    _, told, _ = await asked.get(f"/v1/txs/{followed.paid.hash.hex()}")
    assert told["log"] == ""  # by the node's word alone: left out
