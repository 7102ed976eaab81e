"""The doors against a running node: what they answer, what they refuse, and proofs from a root of trust."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from importlib import metadata
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chain.tx.envelope.build import Seat, build_tx
from chain.tx.messages import CreateChannel, Payment, PayToJoin, PostMessage, RegisterIdentity, Tip, channel_id
from dchat.client.client import Client, ClientError, NotFound
from dchat.client.proved import Proved
from dchat.client.verify import ProofFailed, Trust, Verifier
from dchat.client.wallet import Session, TxRefused, submit
from dchat.doors.reads.answers import Answers
from dchat.home.home import Home, load_genesis
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import service_pb2_grpc as rpc
from tests.support.node.running import Running, running_node, until
from tests.support.patience import PATIENCE_S

DCHAT = 1_000_000
NOBODY = bytes(20)


def trust_of(running: Running) -> Trust:
    return Trust.of_genesis(load_genesis(Home.of(running.network.home_of(running.network.nodes[0]))))


def proved_by(running: Running, client: Client, trust: Trust | None = None) -> Proved:
    return Proved(Verifier(client, trust or trust_of(running), chain_id=running.network.chain_id))


async def test_a_story_of_both_chains_and_the_bridge_is_proved(tmp_path: Path) -> None:
    """Register, open a channel, pay to join it, talk, tip: and every answer is verified from the genesis."""
    async with running_node(tmp_path) as running, running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        hers, his = Session(client, alice.wallet), Session(client, bob.wallet)
        lobby = channel_id("lobby")
        paid = await hers.send([Payment(alice.address, bob.address, 5 * DCHAT)])
        await hers.send([RegisterIdentity(alice.address, "alice", "Alice")])
        await his.send([RegisterIdentity(bob.address, "bob", "Bob")])
        await hers.send([CreateChannel(alice.address, "lobby", 2 * DCHAT, "talk")])
        joined = await his.send([PayToJoin(bob.address, lobby, 3 * DCHAT)])
        for text in (b"hello", b"there"):
            await his.send([PostMessage(bob.address, lobby, text, 0)])
        await hers.send([Tip(alice.address, lobby, 1, DCHAT)])

        proved, at = proved_by(running, client), await client.provable_height()
        tx = await client.tx(paid.hash, prove=True)
        assert (await proved.tx(tx, paid.hash)).light.height == paid.height + 1
        account = await client.account(bob.address, height=at, prove=True)
        await proved.account(account, bob.address)
        assert account.account.balance < 1_000_004 * DCHAT + 1  # +5 -2 +1, less fees
        await proved.account(await client.account(NOBODY, height=at, prove=True), NOBODY)
        named = await client.identity(name="alice", height=at, prove=True)
        await proved.named_identity(named, "alice")
        assert named.identity.address == alice.address
        await proved.named_identity(await client.identity(name="nobody", height=at, prove=True), "nobody")
        channel = await client.channel(name="lobby", height=at, prove=True)
        await proved.channel(channel, lobby)
        assert (channel.channel.member_count, channel.channel.message_count) == (2, 2)
        messages = await client.messages(lobby, height=at, prove=True)
        await proved.messages(messages, lobby, 0)
        assert [message.content for message in messages.messages] == [b"hello", b"there"]
        await proved.message(await client.message(lobby, 1, height=at, prove=True), lobby, 1)
        bundle = await client.bundle(joined.replay_id, height=at, prove=True)
        await proved.bundle(bundle, joined.replay_id)
        assert (bundle.receipt.code, len(bundle.receipt.legs)) == (0, 1)
        assert all(row.holds for row in (await client.invariants()).invariants)


async def test_a_header_that_a_person_names_is_a_root_of_trust_too(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client:
        at = await client.provable_height()
        trusted = (await client.block(at + 1)).block_id.hash
        answer = await client.account(NOBODY, height=at, prove=True)
        await proved_by(running, client, Trust.parse(f"{at + 1}:{trusted.hex()}")).account(answer, NOBODY)
        wrong = Trust.parse(f"{at + 1}:{bytes(32).hex()}")
        with pytest.raises(ProofFailed, match="trusted is 0000"):
            await proved_by(running, client, wrong).account(answer, NOBODY)
        # From a later header back to an earlier one, by the hash of the last block.
        later = await client.block(await client.wait_for_height(at + 4))
        back = Trust.parse(f"{later.block.header.height}:{later.block_id.hash.hex()}")
        await proved_by(running, client, back).account(answer, NOBODY)


def forge_balance(answer: pb.GetAccountResponse) -> None:
    answer.account.balance += 1


def forge_value(answer: pb.GetAccountResponse) -> None:
    answer.account.balance += 1
    answer.proof.value = answer.account.SerializeToString(deterministic=True)


def forge_absence(answer: pb.GetAccountResponse) -> None:
    answer.ClearField("account")
    answer.proof.value = b""


def forge_header(answer: pb.GetAccountResponse) -> None:
    answer.proof.light_block.signed_header.header.app_hash = bytes(32)


def forge_height(answer: pb.GetAccountResponse) -> None:
    answer.proof.height -= 1


def forge_signatures(answer: pb.GetAccountResponse) -> None:
    for slot in answer.proof.light_block.signed_header.commit.signatures:
        slot.signature = bytes(64)


@pytest.mark.parametrize(
    "forge", [forge_balance, forge_value, forge_absence, forge_header, forge_height, forge_signatures]
)
async def test_a_forged_answer_is_found_out(tmp_path: Path, forge: object) -> None:
    """IBC Dragonberry: a forged proof of presence or absence must not pass."""
    assert callable(forge)
    async with running_node(tmp_path) as running, running.client() as client:
        address = running.account("alice").address
        answer = await client.account(address, height=await client.provable_height(), prove=True)
        await proved_by(running, client).account(answer, address)
        forge(answer)
        with pytest.raises(ProofFailed):
            await proved_by(running, client).account(answer, address)


async def test_a_refusal_names_the_rule_and_changes_nothing(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        session = Session(client, alice.wallet)
        before = (await client.account(alice.address)).account.balance
        for payment, options, rule in (
            (Payment(alice.address, bob.address, 10**15), {}, "currency"),
            (Payment(alice.address, bob.address, 1), {"chain_id": "another"}, "tx"),
            (Payment(alice.address, bob.address, 1), {"fee": 0}, "tx"),
        ):
            with pytest.raises(TxRefused) as refused:
                await session.send([payment], **options)
            assert refused.value.outcome.codespace == rule, refused.value
            assert len(refused.value.outcome.log) > 10
            session.forget()
        assert (await client.broadcast(b"\xff" * 40)).code
        assert (await client.account(alice.address)).account.balance == before


async def test_handing_in_twice_is_answered_alike(tmp_path: Path) -> None:
    """Row 22: a client that resends the same bytes never fails for it."""
    async with running_node(tmp_path) as running, running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        tx = await Session(client, alice.wallet).build([Payment(alice.address, bob.address, 1)])
        first, second = await asyncio.gather(submit(client, tx), submit(client, tx))
        assert first.height == second.height > 0
        assert (await submit(client, tx)).height == first.height


async def test_many_are_handed_in_at_once_and_streamed_back(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        session = Session(client, alice.wallet)
        start = running.node.views.answers.height + 1
        txs = [await session.build([Payment(alice.address, bob.address, 1)]) for _ in range(40)]
        answers = await client.broadcast_many([*txs, b"junk"])
        assert [bool(answer.code) for answer in answers] == [False] * 40 + [True]
        seen: list[bytes] = []
        async with asyncio.timeout(10):
            async for block in client.stream_blocks(start, with_results=True):
                assert [result.code for result in block.results] == [0] * len(block.results)
                seen += block.block.data.txs
                if len(seen) == 40:
                    break
        assert seen == txs


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda c: c.tx(bytes(32)), "NOT_FOUND"),
        (lambda c: c.tx(b"short"), "INVALID_ARGUMENT"),
        (lambda c: c.block(10**9), "NOT_FOUND"),
        (lambda c: c.block(-1), "NOT_FOUND"),
        (lambda c: c.blocks(limit=1_000), "INVALID_ARGUMENT"),
        (lambda c: c.account(b"short"), "INVALID_ARGUMENT"),
        (lambda c: c.account(NOBODY, height=10**9, prove=True), "NOT_FOUND"),
        (lambda c: c.account(NOBODY, height=-1), "INVALID_ARGUMENT"),
        (lambda c: c.messages(NOBODY), "NOT_FOUND"),
        (lambda c: c.messages(NOBODY, limit=10_000), "INVALID_ARGUMENT"),
        (lambda c: c.bundle(bytes(32)), "NOT_FOUND"),
        (lambda c: c.validators(10**9), "NOT_FOUND"),
        (lambda c: c.commit(10**9), "NOT_FOUND"),
    ],
)
async def test_questions_that_have_no_answer(tmp_path: Path, call: object, status: str) -> None:
    """Row 13 (a query kills the node): each has a status of its own, and the node goes on."""
    assert callable(call)
    async with running_node(tmp_path) as running, running.client() as client:
        with pytest.raises(ClientError) as refused:
            await call(client)
        assert refused.value.status == status
        assert isinstance(refused.value, NotFound) == (status == "NOT_FOUND")
        await client.wait_for_height(running.node.views.answers.height + 1)


async def test_limits_of_the_grpc_door(tmp_path: Path) -> None:
    """What is too large or too much is refused, and the door goes on."""
    options = (
        "concurrent_requests_max = 1\nconcurrent_waits_max = 1\nmessage_bytes_max = 70000\nrequest_timeout = 300\n"
    )
    network_options = {"grpc": options}
    async with running_node(tmp_path) as running:
        assert running.node.doors.grpc is not None
    # The same home again, with tight limits.
    file = tmp_path / "validator1" / "validator-config.toml"
    file.write_text(file.read_text().replace("[grpc]\n", f"[grpc]\n{network_options['grpc']}"))
    async with running_node(tmp_path) as running, running.client() as client, running.channel() as channel:
        stub = rpc.TxServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Broadcast(pb.BroadcastRequest(tx=bytes(100_000)))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        stream = client.stream_blocks()
        waiting = asyncio.ensure_future(anext(stream))
        door = running.node.doors.grpc
        assert door is not None
        await until(lambda: door.guard.waits.used == 1)
        alice = running.account("alice")
        tx = build_tx(
            chain_id=running.network.chain_id,
            messages=[Payment(alice.address, NOBODY, 1)],
            seats=[Seat(alice.wallet, 0, with_policy=True)],
            gas_price=10**6,
        )
        with pytest.raises(ClientError, match="waits and streams at once are the limit"):
            await client.broadcast(tx, wait_commit=True)
        await waiting
        await stream.aclose()
        await client.status()


async def test_health_and_reflection_are_served(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service="dchat.v1.TxService"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        listed = (await stub.List(health_pb2.HealthListRequest())).statuses
        assert {"", "dchat.v1.TxService"} < {*listed}
        assert {told.status for told in listed.values()} == {health_pb2.HealthCheckResponse.SERVING}
        from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        reflect = reflection_pb2_grpc.ServerReflectionStub(channel)
        async for reply in reflect.ServerReflectionInfo(iter([ask])):
            names = {service.name for service in reply.list_services_response.service}
            assert {"dchat.v1.TxService", "dchat.v1.ChainService", "dchat.v1.StateService"} <= names
            break


STATUS_KEYS = (
    "version chain_id moniker node_id validator_address voting_power latest_block_height latest_block_hash "
    "latest_block_time latest_app_hash chat_root currency_root bridge_root catching_up sync_progress peer_count peers "
    "mempool_size queue_size uptime_seconds"
)
BLOCK_KEYS = "height hash time round proposer_address app_hash num_txs txs_by_chain"
METRICS = (
    "dchat_chain_height dchat_validator_blocks_validated_total dchat_validator_missed_blocks_total "
    "dchat_validator_block_time_seconds_bucket dchat_validator_stake_amount dchat_network_connected_peers "
    'dchat_network_bandwidth_bytes_total{direction="in"} dchat_network_bandwidth_bytes_total{direction="out"} '
    "dchat_memory_usage_bytes dchat_network_partition_detected"
)


async def test_what_the_status_tells_is_read_once_a_block_and_the_build_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 13: each status looked for this build's version in the files of all that is installed, 0.25 ms, and those
    over HTTP read a record for each validator besides, all of it on the loop."""
    read: list[int] = []
    looked: list[str] = []
    upgrade, version = Answers.upgrade, metadata.version

    def counted(answers: Answers, height: int) -> pb.GetUpgradeResponse:
        read.append(height)
        return upgrade(answers, height)

    monkeypatch.setattr(Answers, "upgrade", counted)
    monkeypatch.setattr(metadata, "version", lambda name: looked.append(name) or version(name))
    async with running_node(tmp_path) as running, running.client() as client, aiohttp.ClientSession() as http:
        looked.clear()
        for _ in range(10):
            await client.status()
            async with http.get(f"http://127.0.0.1:{running.ports[1]}/status") as answer:
                told = (await answer.json())["upgrade"]
    assert told["halted"] is None
    assert told["app_version"] > 0
    assert 0 not in read
    assert len(read) == len(set(read))
    assert looked.count("dchat-validator") <= 1


async def test_http_answers_have_the_contracts_keys(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client, aiohttp.ClientSession() as http:
        alice, bob = running.account("alice"), running.account("bob")
        sent = await Session(client, alice.wallet).send([Payment(alice.address, bob.address, 1)])
        base = f"http://127.0.0.1:{running.ports[1]}"

        async def get(path: str, status: int = 200) -> dict[str, object]:
            async with http.get(base + path) as answer:
                assert answer.status == status, path
                document: dict[str, object] = await answer.json()
                return document

        health = await get("/health")
        assert (health["status"], type(health["version"]), type(health["timestamp"])) == ("ok", str, int)
        assert await get("/ready") == {"ready": True, "connected_peers": 0}
        status = await get("/status")
        assert set(STATUS_KEYS.split()) <= status.keys()
        assert (status["chain_id"], status["voting_power"], status["sync_progress"]) == ("dchat-testnet", 1_000, 1.0)
        assert await get("/peers") == {"peer_count": 0, "peers": []}
        assert {*BLOCK_KEYS.split(), "txs"} <= (await get("/chain/latest-block")).keys()
        blocks = (await get("/chain/blocks?limit=100"))["blocks"]
        assert isinstance(blocks, list)
        assert [block["height"] for block in blocks] == list(range(blocks[0]["height"], 0, -1))
        ours = next(block for block in blocks if block["height"] == sent.height)
        assert set(BLOCK_KEYS.split()) <= ours.keys()
        assert (ours["num_txs"], ours["txs_by_chain"]) == (1, {"chat": 0, "currency": 1, "bridge": 0})
        consensus = await get("/chain/consensus-status")
        assert {"height", "round", "step", "proposer", "votes", "all_agree"} <= consensus.keys()
        assert consensus["all_agree"] is True
        bridge = await get("/bridge/status")
        assert bridge["in_step"] is True
        assert {"chat", "currency", "bridge", "totals", "bundles"} <= bridge.keys()
        assert "limit is '0'" in str((await get("/chain/blocks?limit=0", 400))["error"])
        assert "error" in await get("/nothing", 404)
        for url in (base, f"http://127.0.0.1:{running.ports[2]}"):
            async with http.get(f"{url}/metrics") as answer:
                page = await answer.text()
            assert [name for name in METRICS.split() if f"\n{name}" not in page] == []


async def test_a_failed_consensus_is_told_by_health_and_ends_the_process(tmp_path: Path) -> None:
    """Row 19: consensus dies and the node looks alive."""
    async with running_node(tmp_path) as running, aiohttp.ClientSession() as http:
        running.node.driver._fail(RuntimeError("the disk is gone"))
        code, line = running.failures[0]
        assert code > 0
        assert "the disk is gone" in line
        for path in ("health", "ready"):
            async with http.get(f"http://127.0.0.1:{running.ports[1]}/{path}") as answer:
                assert answer.status == 503
                assert "consensus failed" in json.dumps(await answer.json())


async def test_a_node_takes_up_where_it_stopped(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        sent = await Session(client, alice.wallet).send([Payment(alice.address, bob.address, 1)])
    async with running_node(tmp_path) as running, running.client() as client:
        await client.wait_for_height(sent.height + 2)
        assert (await client.tx(sent.hash)).height == sent.height
        assert running.failures == []


async def send_raw(port: int, data: bytes) -> None:
    """Bytes to a port, whatever it says; closed after at most a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError, TimeoutError):
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(0.1):
            await reader.read(1_024)
    writer.close()


async def test_random_bytes_at_every_door_stop_nothing(tmp_path: Path) -> None:
    """Row 13: whatever comes in, the node answers others and makes blocks."""
    chance = random.Random(11)
    async with running_node(tmp_path) as running, running.client() as client, running.channel() as channel:
        ports = running.network.nodes[0].ports
        for port in (ports.grpc, ports.http, ports.metrics, ports.p2p):
            junk = [chance.randbytes(chance.randrange(1, 4_000)) for _ in range(12)]
            junk += [
                b"GET /status HTTP/1.1\r\n" + b"a: b\r\n" * 2_000,
                b"GET " + b"/" * 20_000,
                b"PRI * HTTP/2.0\r\n\r\n",
            ]
            await asyncio.gather(*(send_raw(port, data) for data in junk))
        calls = [channel.unary_unary(f"/dchat.v1.{name}") for name in ("TxService/Broadcast", "StateService/GetTx")]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError):
                await call(chance.randbytes(300), timeout=PATIENCE_S)
        answers = await client.broadcast_many([chance.randbytes(chance.randrange(1, 600)) for _ in range(200)])
        assert all(answer.code and answer.log for answer in answers)
        await client.wait_for_height(running.node.views.answers.height + 3)
        assert running.failures == []
