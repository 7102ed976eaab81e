"""The gRPC services over HTTP: every call has a path, answers are the gRPC door's, and OpenAPI says what they are."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.protobuf import descriptor_pool, json_format, timestamp_pb2
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from chain.currency.payments.requests import REQUESTS, request_name
from chain.kernel.branch import RecordKind
from chain.tx.envelope.build import Seat, build_tx
from chain.tx.messages import CreateChannel, Payment, PostMessage, RegisterIdentity, channel_id
from chain.tx.messages.payments import RequestPayment
from crypto.bech32 import encode_address
from dchat.client.wallet import Session
from dchat.doors.grpc.door import COSTS, SERVICES
from dchat.doors.http.door import HttpDoor
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.rest import calls, json_form
from dchat.doors.rest.json_form import fill, fill_text, text_of
from dchat.doors.rest.openapi import document
from dchat.doors.rest.records import RECORDS
from dchat.doors.rest.table import DECODED, HOLDS, LEFT_OUT, PATHS, message_type, path_of, routes_of
from proto.dchat.v1 import governance_pb2, service_pb2, state_pb2, tx_pb2
from tests.support.node.running import Running, running_node, until

ROUTES = routes_of(SERVICES)
RECORD_PARTS = {
    "escrow_id": "ab" * 32, "statement": "ab" * 32, "device": "ab" * 32, "kind": "payment", "reference": "r",
    "channel": "lobby", "index": "0", "epoch": "1", "number": "1", "name": "gold",
}  # fmt: skip
# Calls that list what lies under two accounts, of which a caller names one.
TWO_SIDED = {
    "ListPaymentRequests": "payee", "ListFeeGrants": "granter", "ListAuthorisations": "grantee",
    "ListVestings": "recipient", "ListStandingOrders": "owner",
}  # fmt: skip
SEARCHED = {"SearchTxs": "tx.height>0", "SearchBlocks": "block.height>0"}
PROTO = Path(__file__).parents[3] / "proto" / "dchat" / "v1"


# ------------------------------------------------------------------------------------------------- the lists


def test_every_grpc_method_has_a_path_or_a_reason() -> None:
    """Compared with the schemas' text: a service that no door serves fails here too."""
    declared = set()
    for schema in PROTO.glob("*service.proto"):
        for service, content in re.findall(r"^service (\w+) \{(.*?)^\}", schema.read_text(), re.MULTILINE | re.DOTALL):
            declared |= {f"{service}.{name}" for name in re.findall(r"rpc (\w+)\(", content)}
    served = {f"{route.method.containing_service.name}.{route.method.name}" for route in ROUTES}
    assert served | set(LEFT_OUT) == declared
    assert not served & set(LEFT_OUT)
    assert set(PATHS) <= served, "a row of the table whose call is gone"


def test_what_is_left_out_are_the_streams_alone() -> None:
    pool = descriptor_pool.Default()
    methods = {f"{m.containing_service.name}.{m.name}": m for s in SERVICES for m in pool.FindServiceByName(s).methods}
    assert all(methods[name].server_streaming and reason for name, reason in LEFT_OUT.items())


def test_no_two_calls_have_one_path_and_each_path_names_fields() -> None:
    assert len({(route.verb, re.sub(r"\{\w+\}", "{}", route.path)) for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert route.record is not None or set(route.in_path) <= set(route.request.fields_by_name), route.path
        assert route.path.startswith("/v1/")
    changes = {route.method.name for route in ROUTES if route.verb != "GET"}
    assert changes == {name for name in changes if not name.startswith(("Get", "List"))} >= {"Broadcast"}


def test_a_call_without_a_row_has_the_path_of_its_name() -> None:
    assert path_of("GetStakingPools") == "/v1/staking-pools"
    assert path_of("ListDelegations") == "/v1/delegations"
    assert path_of("Simulate") == "/v1/simulate"
    assert path_of("Listen") == "/v1/listen"


# ------------------------------------------------------------------------------------------------- the form

WHOLE = st.one_of(st.integers(0, 2**64 - 1), st.just(0))


@given(
    st.builds(
        tx_pb2.TxBody, chain_id=st.text(max_size=9), lane=st.integers(0, 3), gas_limit=WHOLE, unordered=st.booleans(),
        messages=st.lists(
            st.builds(
                tx_pb2.Message,
                post_message=st.builds(tx_pb2.PostMessage, content=st.binary(max_size=9), reply_to=WHOLE),
            ),
            max_size=3,
        ),
        signers=st.lists(st.builds(tx_pb2.Signer, address=st.binary(max_size=20), sequence=WHOLE), max_size=3),
    )
)  # fmt: skip
def test_what_is_written_is_read_again_and_is_protos_json_but_for_bytes(body: tx_pb2.TxBody) -> None:
    told = json.loads(text_of(body))
    again = tx_pb2.TxBody()
    fill(again, told)
    assert again == body
    theirs = json_format.MessageToDict(
        body, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for where in (told, theirs):
        for message in where["messages"]:
            message["post_message"].pop("content")
        for signer in where["signers"]:
            assert isinstance(signer.pop("address"), str)
            assert isinstance(signer.pop("sequence_key"), str)
    assert told == theirs


def test_times_and_bytes_that_hold_a_message() -> None:
    stamp = timestamp_pb2.Timestamp(seconds=1_700_000_000, nanos=5)
    assert json.loads(text_of(stamp)) == "2023-11-14T22:13:20.000000005Z"
    request = service_pb2.BroadcastRequest()
    body = {"chain_id": "c", "lane": "LANE_CHAT", "messages": [{"payment": {"amount": "5"}}]}
    fill(request, {"tx": {"body": body, "signatures": [{"signer": 1}]}, "wait": "WAIT_COMMIT"})
    tx = tx_pb2.Tx.FromString(request.tx)
    assert tx_pb2.TxBody.FromString(tx.body).messages[0].payment.amount == 5
    assert (tx.signatures[0].signer, request.wait) == (1, service_pb2.WAIT_COMMIT)


BODY, REQUEST, MESSAGE = tx_pb2.TxBody, service_pb2.BroadcastRequest, tx_pb2.Message


@pytest.mark.parametrize(("kind", "told", "why"), [
    pytest.param(BODY, [], "the body: list; allowed: an object", id="no object"),
    pytest.param(BODY, {"cahin_id": "c"}, "there is no field 'cahin_id'; allowed: chain_id, lane", id="unknown field"),
    pytest.param(BODY, {"\ud800": 1}, "there is no field", id="half a character as a name"),
    pytest.param(BODY, {"lane": "\ud800"}, "lane: .* allowed: LANE_UNSPECIFIED", id="half a character as an enum"),
    pytest.param(BODY, {"fee": -1}, "fee: -1; allowed: a whole number from 0 to 18446744073709551615", id="below 0"),
    pytest.param(BODY, {"fee": "18446744073709551616"}, "fee: .*allowed: a whole number", id="above 64 bits"),
    pytest.param(BODY, {"fee": 1.0}, "fee: 1.0; allowed: a whole number", id="no whole number"),
    pytest.param(BODY, {"fee": "٣"}, "fee: .*; allowed: a whole number", id="digits of another script"),
    pytest.param(BODY, {"fee": True}, "fee: True; allowed: a whole number", id="a truth is no number"),
    pytest.param(BODY, {"unordered": "yes"}, "unordered: 'yes'; allowed: true or false", id="no truth"),
    pytest.param(BODY, {"memo": 5}, "memo: 5; allowed: text", id="no text"),
    pytest.param(BODY, {"memo": "\ud800"}, "memo: half a character", id="half a character"),
    pytest.param(BODY, {"lane": "LANE_FAST"}, "lane: 'LANE_FAST'; allowed: LANE_UNSPECIFIED, LANE_CHAT", id="enum"),
    pytest.param(BODY, {"lane": 77}, "lane: 77; allowed: LANE_UNSPECIFIED", id="number of an enum"),
    pytest.param(BODY, {"messages": {}}, "messages: dict; allowed: a list", id="no list"),
    pytest.param(BODY, {"messages": [{"payment": {"amount": "x"}}]}, r"messages\[0\].payment.amount: 'x'", id="inner"),
    pytest.param(BODY, {"gas_limit": 1, "gasLimit": 1}, "gas_limit is given twice", id="twice"),
    pytest.param(MESSAGE, {"payment": {}, "tip": {}}, "tip beside payment; allowed: one of them", id="two of one"),
    pytest.param(REQUEST, {"tx": "0"}, "tx: '0'; allowed: bytes in hex.* or an object: a dchat.v1.Tx", id="odd hex"),
    pytest.param(REQUEST, {"tx": "0 0 "}, "tx: '0 0 '; allowed: bytes in hex", id="spaces in hex"),
    pytest.param(REQUEST, {"tx": "dchat1qq"}, "tx: .*dchat1qq", id="no address"),
])  # fmt: skip
def test_what_is_refused_says_what_is_allowed(kind: type[Message], told: Any, why: str) -> None:
    with pytest.raises(BadQuestion, match=why):
        fill(kind(), told)


def test_objects_within_each_other_end() -> None:
    """No schema recurses today; a nested key policy may: then the depth of what is read is bounded here."""
    told: Any = {}
    for _ in range(calls.BYTES_PER_COST):
        told = {"a": told}
    with pytest.raises(BadQuestion):
        fill(tx_pb2.TxBody(), told)
    with pytest.raises(BadQuestion, match="the body is no JSON"):
        calls.parsed(b"[" * calls.BYTES_PER_COST)


@given(st.binary(max_size=200))
def test_no_body_is_answered_by_a_fault_of_ours(data: bytes) -> None:
    with pytest.raises(BadQuestion):
        fill(governance_pb2.Proposal(), calls.parsed(data))


def test_an_answer_of_many_values_is_refused_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of defaults alone takes two bytes of an answer, and hundreds of JSON."""
    monkeypatch.setattr(json_form, "PARTS_MAX", 1_000)
    many = service_pb2.ListChannelsResponse(channels=[state_pb2.Channel()] * 50)
    text_of(many)
    with pytest.raises(BadQuestion, match="too many values"):
        text_of(service_pb2.ListChannelsResponse(channels=[state_pb2.Channel()] * 500))


def test_what_is_no_message_stays_bytes() -> None:
    """Blocks of another application have transactions that are none of ours."""
    told = service_pb2.GetTxResponse(tx=b"\xff\xff", data=b"\x40\x05")
    assert json.loads(text_of(told, decoded=True))["tx"] == "ffff"
    assert json.loads(text_of(told, decoded=True))["data"]["fee_paid"] == "5"
    assert json.loads(text_of(told))["data"] == "4005"
    for name, holds in HOLDS.items():
        kind, _, field = name.rpartition(".")
        assert message_type(kind).fields_by_name[field].type == json_form.BYTES
        assert message_type(holds)
    assert all(DECODED not in route.request.fields_by_name for route in ROUTES)


@pytest.mark.parametrize("text", ["dchat1", "zz", "0x00", "é", "\u0660\u0660"])
def test_a_path_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadQuestion):
        fill_text(service_pb2.GetAccountRequest(), "address", [text])


# ------------------------------------------------------------------------------------------------- OpenAPI

DOCUMENT = document(ROUTES, version="1")


def references(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        yield from ([told["$ref"]] if "$ref" in told else [])
        told = list(told.values())
    if isinstance(told, list):
        for one in told:
            yield from references(one)


def test_the_document_is_whole() -> None:
    """Its structure; what others say of it stands in test_openapi.py."""
    schemas = DOCUMENT["components"]["schemas"]
    assert {reference.removeprefix("#/components/schemas/") for reference in references(DOCUMENT)} == set(schemas)
    operations = [(path, verb, told) for path, verbs in DOCUMENT["paths"].items() for verb, told in verbs.items()]
    assert len(operations) == len(ROUTES)
    assert len({told["operationId"] for _, _, told in operations}) == len(operations)
    for path, verb, told in operations:
        names = [(one["in"], one["name"]) for one in told.get("parameters", ())]
        assert len(set(names)) == len(names)
        assert re.findall(r"\{(\w+)\}", path) == [name for place, name in names if place == "path"]
        assert all(one["required"] for one in told.get("parameters", ()) if one["in"] == "path")
        assert ("requestBody" in told) == (verb == "post")
        answer = told["responses"]["200"]["content"]["application/json"]["schema"]
        assert answer.get("$ref") or answer["properties"]["value"]["$ref"]
    assert "dchat.v1.Payment" in schemas  # the messages of transactions are in it too


def check(told: Any, schema: dict[str, Any], where: str = "") -> None:
    """As much of JSON Schema as the document uses."""
    if "$ref" in schema:
        check(told, DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]], where)
    elif "anyOf" in schema:
        check(told, schema["anyOf"][isinstance(told, dict)], where)  # plain, or decoded
    elif schema["type"] == "object":
        assert set(told) <= set(schema["properties"]), where
        for name, value in told.items():
            check(value, schema["properties"][name], f"{where}.{name}")
    elif schema["type"] == "array":
        for one in told:
            check(one, schema["items"], where)
    else:
        kinds = {"string": str, "integer": int, "boolean": bool}
        assert type(told) is kinds[schema["type"]], where
        assert re.fullmatch(schema.get("pattern", ".*"), str(told), re.DOTALL), where
        assert told in schema.get("enum", [told]), where


# ------------------------------------------------------------------------------------------------- a node


async def get(http: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    async with http.get(path) as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


async def post(http: aiohttp.ClientSession, path: str, told: Any) -> tuple[int, Any]:
    async with http.post(path, json=told) as answer:
        return answer.status, await answer.json()


def session(running: Running) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"http://127.0.0.1:{running.ports[1]}")


def door_of(running: Running) -> HttpDoor:
    return running.node.doors.http


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_node(tmp_path) as running:
        yield running


async def test_every_path_answers_as_the_document_says(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client, session(running) as http:
        alice, bob = running.account("alice"), running.account("bob")
        hers = Session(client, alice.wallet)
        sent = await hers.send([RegisterIdentity(alice.address, "alice", "Älice")])
        await hers.send([CreateChannel(alice.address, "a b/c", 0, "")])
        posted = await hers.send([PostMessage(alice.address, channel_id("a b/c"), b"hello", 0)])
        validator = (await get(http, "/v1/validators"))[1]["validators"][0]
        known = {
            "hash": posted.hash.hex(), "height": "2", "address": encode_address(alice.address), "name": "alice",
            "channel_id": channel_id("a b/c").hex(), "index": "0", "replay_id": sent.replay_id.hex(), "store": "chat",
            "key": "63", "proposal_id": "1", "voter": bob.address.hex(),
            "member": alice.address.hex(), "delegator": alice.address.hex(),
            "operator": validator["operator"], "consensus_address": validator["consensus_address"],
        }  # fmt: skip
        here = await client.block(2)
        silent = set()
        for route in ROUTES:
            if route.verb != "GET":
                continue
            named = {**known, "hash": here.block_id.hash.hex() if "blocks" in route.path else known["hash"]}
            if route.path.startswith("/v1/channels"):
                named["name"] = "a%20b%2Fc"
            if route.record is not None:
                named |= {part: "ab" * 20 for part in route.in_path if part not in named} | RECORD_PARTS
            path = route.path.format_map(defaultdict(lambda: "00", named))
            if route.method.name in {"ListDelegations", "ListUnbondings", "ListRedelegations"}:
                path += f"?delegator={known['delegator']}"
            for name, field in TWO_SIDED.items():
                path += f"?{field}={known['address']}" if route.method.name == name else ""
            if route.method.name.startswith("Search"):
                path += f"?query={SEARCHED[route.method.name]}"
            status, told = await get(http, path)
            answers = DOCUMENT["paths"][route.path]["get"]["responses"]
            assert str(status) in answers, (path, status, told)
            if status == 200:
                check(told, answers["200"]["content"]["application/json"]["schema"], path)
            else:
                assert set(told) == {"error"}
                silent.add(route.method.name)
        of_this_table = {row.partition(".")[2] for row in PATHS}
        assert silent & of_this_table <= {"GetTally", "ListVotes", "ListDeposits", "GetVote"}, silent  # no proposal
        served = (await get(http, "/openapi.json"))[1]["paths"]
        ours = {path: told for path, told in served.items() if path.startswith("/v1/")}
        assert ours == json.loads(json.dumps(DOCUMENT["paths"]))


async def test_a_record_has_a_path_of_its_own(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client, session(running) as http:
        alice, bob = running.account("alice"), running.account("bob")
        hers = Session(client, alice.wallet)
        await hers.send([RegisterIdentity(alice.address, "alice", "")])
        await hers.send([CreateChannel(alice.address, "lobby", 0, "")])
        await hers.send([RequestPayment(alice.address, "INV/7", bob.address, None, 5, "", time.time_ns() + 10**12)])
        at = await client.provable_height()
        whose = encode_address(alice.address)
        for channel in ("lobby", channel_id("lobby").hex()):
            status, told = await get(http, f"/v1/channels/{channel}/members/{whose}")
            assert (status, "joined_height" in told["value"]) == (200, True), told
        status, told = await get(http, f"/v1/payment-requests/{whose}/INV%2F7?height={at}&prove=true")
        name = request_name(alice.address, "INV/7")
        plain = json.loads(text_of(await client.record(REQUESTS, name, height=at, prove=True)))
        assert (told["value"]["payer"], told["proof"]) == (bob.address.hex(), plain["proof"])
        assert "value" not in (await get(http, f"/v1/payment-requests/{whose}/INV%2F8"))[1]
        for path, says in (
            (f"/v1/guardians/{whose[:-1]}", "address: "),
            ("/v1/guardians/00", "allowed: 40 hex characters, or dchat1..."),
            ("/v1/escrows/00", "escrow_id: '00'; allowed: 64 hex characters"),
            ("/v1/channels/lobby/epochs/x", "epoch: 'x'; allowed: a whole number"),
            (f"/v1/payment-requests/{whose}/%C3%A4", "reference: "),
            (f"/v1/guardians/{whose}?key=00", "key: it stands in the path already"),
        ):
            status, told = await get(http, path)
            assert (status, says in told["error"]) == (400, True), told


def test_every_record_that_is_read_by_its_key_has_a_path() -> None:
    """Compared with the kinds that commands ask for: a new one without a row fails here."""
    kinds = {
        value
        for name in list(sys.modules)
        if name.startswith(("bridge.", "chain.", "governance."))
        for value in vars(sys.modules[name]).values()
        if isinstance(value, RecordKind)
    }
    assert {record.kind for record in RECORDS} == kinds


async def test_answers_are_those_of_the_grpc_door(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client, session(running) as http:
        alice, bob = running.account("alice"), running.account("bob")
        paid = await Session(client, alice.wallet).send([Payment(alice.address, bob.address, 7)])
        at = await client.provable_height()
        for path, over_grpc in (
            (
                f"/v1/accounts/{bob.address.hex()}?height={at}&prove=true",
                client.account(bob.address, height=at, prove=True),
            ),
            (f"/v1/txs/{paid.hash.hex().upper()}?prove=true", client.tx(paid.hash, prove=True)),
            (f"/v1/blocks/{paid.height}", client.block(paid.height)),
            (f"/v1/blocks/{at}/commit", client.commit(at)),
        ):
            status, told = await get(http, path)
            expected = await over_grpc
            assert status == 200, told
            assert told == json.loads(text_of(expected)), path
        payment = {"payment": {"sender": alice.address.hex(), "recipient": bob.address.hex(), "amount": "7"}}
        for form in ("/v1/txs/{hash}", "/v1/blocks/{height}", "/v1/blocks/{height}/results"):
            _, told = await get(http, form.format(hash=paid.hash.hex(), height=paid.height) + "?decoded=true")
            answer = DOCUMENT["paths"][form]["get"]["responses"]["200"]["content"]["application/json"]
            check(told, answer["schema"], form)
            shown = {"kind": "payment", "amount": "7"} if "results" in form else payment
            assert json.dumps(shown)[1:-1] in json.dumps(told), told


async def test_a_transaction_is_handed_in_over_http(tmp_path: Path) -> None:
    """In hex, waited for; as an object that cannot run, refused by the rule that it breaks; twice, and by the batch."""
    async with running_node(tmp_path) as running, running.client() as client, session(running) as http:
        alice, bob = running.account("alice"), running.account("bob")
        raw = [
            build_tx(chain_id=running.network.chain_id, messages=[Payment(alice.address, bob.address, 5)],
                     seats=[Seat(alice.wallet, number, with_policy=True)], gas_price=100_000)
            for number in range(3)
        ]  # fmt: skip
        before = (await client.account(bob.address)).account.balance
        status, told = await post(http, "/v1/txs", {"tx": raw[0].hex(), "wait": "WAIT_COMMIT"})
        assert (status, told["code"], int(told["height"]) > 0) == (200, 0, True), told
        status, told = await post(http, "/v1/txs/batch", {"txs": [raw[1].hex(), raw[2].hex(), "00"]})
        assert (status, [one["code"] for one in told["results"]]) == (200, [0, 0, 1])
        parts = tx_pb2.Tx.FromString(raw[0])
        body = json.loads(text_of(tx_pb2.TxBody.FromString(parts.body)))
        assert body["messages"] == [
            {"payment": {"sender": alice.address.hex(), "recipient": bob.address.hex(), "amount": "5"}}
        ]
        signatures = [json.loads(text_of(one)) for one in parts.signatures]
        status, told = await post(http, "/v1/txs", {"tx": {"body": body, "signatures": signatures}})
        assert told["hash"] == (await get(http, f"/v1/txs/{told['hash']}"))[1]["hash"]  # it is the first one's encoding
        body["memo"] = "changed"
        status, told = await post(http, "/v1/txs", {"tx": {"body": body, "signatures": signatures}})
        assert (status, told["code"], told["codespace"]) == (200, 9, "tx"), told
        async with asyncio.timeout(10):
            while (await client.account(bob.address)).account.balance != before + 15:  # noqa: ASYNC110 - a node's state
                await asyncio.sleep(0.02)


WRONG = (
    ("/v1/accounts/zz", 400, "address: 'zz'; allowed: bytes in hex"),
    ("/v1/accounts/00?heigth=1", 400, "there is no field 'heigth'; allowed: address, height, prove"),
    ("/v1/accounts/00?address=00", 400, "address: it stands in the path already"),
    ("/v1/blocks?limit=1&limit=2", 400, "limit: given 2 times; allowed: once"),
    ("/v1/blocks?limit=-1", 400, "limit: -1; allowed: a whole number from 0 to 4294967295"),
    ("/v1/blocks?limit=101", 400, "101"),
    ("/v1/blocks/999999", 404, "999999"),
    ("/v1/records/nowhere/00", 400, "nowhere"),
    ("/v1/nothing", 404, "there is no such path: GET /openapi.json lists"),
    ("/v1/", 404, "there is no such path: GET /openapi.json lists"),
    ("/v1/chanels", 404, "there is no such path, but /v1/channels: GET /openapi.json lists"),
)


async def test_the_door_says_what_is_there(node: Running) -> None:
    async with session(node) as http:
        status, told = await get(http, "/")
        assert (status, told["api"]) == (200, "/openapi.json")
        assert {"/health", "/status", "/metrics", "/chain/blocks"} <= set(told["paths"])
        for path in told["paths"]:
            assert (await http.get(path)).status != 404, path


async def test_wrong_questions_are_answered(node: Running) -> None:
    async with session(node) as http:
        for path, status, error in WRONG:
            got, told = await get(http, path)
            assert (got, error in told["error"]) == (status, True), (path, told)


async def test_bodies_are_bounded_and_are_json(node: Running) -> None:
    async with session(node) as http:
        for headers, body, status in (
            ({}, b"{}", 415),  # what a web page can send without being asked
            ({"Content-Type": "text/plain"}, b"{}", 415),
            ({"Content-Type": "application/json"}, b"{", 400),
            ({"Content-Type": "application/json"}, b'{"tx": NaN}', 400),
            ({"Content-Type": "application/json"}, b'"' + b"0" * 300_000 + b'"', 413),
            ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, b"\x1f\x8b", 400),
        ):
            async with http.post("/v1/txs", data=body, headers=headers) as answer:
                assert (answer.status, "error" in await answer.json()) == (status, True), (headers, body[:9])
        async with http.post("/v1/txs", json={}, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403
        async with http.post("/v1/accounts/00", json={}) as answer:
            assert answer.status == 405
        largest = "00" * 65_536
        status, told = await post(http, "/v1/txs", {"tx": largest})
        assert (status, told["code"]) == (200, 1), told


async def test_a_call_costs_what_it_costs_over_grpc(node: Running) -> None:
    door = door_of(node)
    for route in ROUTES:
        assert door._costs[route.verb, route.path] == COSTS.get(route.call, 1)
    taken: list[int] = []
    plain = door._rate.take
    door._rate.take = lambda host, *, cost=1: taken.append(cost) or plain(host, cost=cost)  # type: ignore[func-returns-value,method-assign]
    try:
        async with session(node) as http:
            await get(http, "/v1/invariants")
            async with http.head("/v1/invariants") as answer:
                assert answer.status == 200
            await post(http, "/v1/txs", {"tx": "00" * 65_536})
    finally:
        door._rate.take = plain  # type: ignore[method-assign]
    assert taken == [50, 50, 1, 2]  # of its 131,072 characters two more
    await until(lambda: not door.slots.used)
    assert door._calls is not None
    assert (door._calls._served.requests.used, door._calls._served.answers.used) == (0, 0)


async def test_it_is_served_where_grpc_is_not_opened(tmp_path: Path) -> None:
    async with running_node(tmp_path, grpc="enabled = false\n") as running, session(running) as http:
        assert running.node.doors.grpc is None
        assert (await get(http, "/v1/status"))[1]["chain_id"] == running.network.chain_id


async def test_slow_bodies_cost_their_sender_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that was announced and does not come holds a slot for its deadline, of its client's own."""
    monkeypatch.setattr(calls, "BODY_S", 0.3)
    async with running_node(tmp_path, http="concurrent_requests_max = 4\n") as running, session(running) as http:
        door, port = door_of(running), running.ports[1]
        head = "POST /v1/txs HTTP/1.1\r\nHost: [::1]\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n"
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(6)]
        for _, writer in pairs:
            writer.write(head.encode())
        await until(lambda: door.slots.refused >= 3)
        assert door.slots.used == 3  # of four, this machine's share
        answers = [await reader.readuntil(b"}") for reader, _ in pairs]
        assert sum(b"did not come within" in answer for answer in answers) == 3
        assert sum(b"try later" in answer for answer in answers) == 3
        for _, writer in pairs:
            writer.close()
        assert (await get(http, "/v1/status"))[0] == 200
