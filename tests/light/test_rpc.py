"""CometBFT's JSON-RPC as a provider: the recorded chain, refusals, and servers that are out to harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from consensus.documents.json import evidence_json, signed_header_json, validator_json
from consensus.types.evidence import LightClientAttackEvidence
from consensus.types.light import LightBlock
from light import LightClient, Options, Root
from light.errors import BadAnswer, HeightTooHigh, InvalidOptions, LightError, NoAnswer, NoBlock, ProviderFailed
from light.rpc import RpcProvider
from tests.support.light.chains import make_chain
from tests.support.types.recorded_chain import chain

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers JSON-RPC by POST; what it was asked is in `asked`. answers: by method, over the recorded chain's."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Answer | Any] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "identity"
        asked = await request.json()
        method, params = asked["method"], asked["params"]
        self.asked.append((method, params))
        answer = self.answers.get(method)
        if callable(answer):
            return await answer(request)
        if answer is None:
            answer = recorded(method, params)
        return web.json_response(
            {"jsonrpc": "2.0", "id": asked["id"], **answer}, status=200 + 300 * ("error" in answer)
        )


def recorded(method: str, params: dict[str, Any]) -> dict[str, Any]:
    found = chain().at(int(params.get("height") or chain().latest_height))
    if found is None:
        text = f"height {params['height']} must be less than or equal to the current blockchain height 139"
        return {"error": {"code": -32603, "message": "Internal error", "data": text}}
    if method == "commit":
        return {"result": found.raw["commit"]}
    if method == "validators":
        at = (int(params["page"]) - 1) * int(params["per_page"])
        told = found.raw["validators"]
        return {"result": {**told, "validators": told["validators"][at : at + int(params["per_page"])]}}
    return {"result": {}}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    served = Server()
    app = web.Application()
    app.router.add_post("/", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    served.url = f"http://127.0.0.1:{port}"
    yield served
    await runner.cleanup()


@pytest.mark.parametrize("sequential", [False, True], ids=["skipping", "sequential"])
async def test_the_recorded_chain_is_verified_from_its_first_header_on(server: Server, sequential: bool) -> None:
    """Validators that join, leave and change power, rounds above 0, absent and nil votes: as CometBFT's own client."""
    first, last = chain().at(1), chain().at(139)
    assert first is not None
    assert last is not None
    async with RpcProvider(server.url) as primary, RpcProvider(server.url) as witness:
        client = LightClient(
            Root(1, first.block_id.hash),
            primary,
            [witness],
            options=Options(sequential=sequential),
            now_ns=lambda: last.block.header.time_ns + 1,
        )
        assert (await client.update()).hash == last.block_id.hash
        for height in (138, 70, 2):
            found = chain().at(height)
            assert found is not None
            assert (await client.verify_at(height)).hash == found.block_id.hash
    assert client.chain_id == last.block.header.chain_id


async def test_large_sets_come_in_pages(server: Server) -> None:
    made = make_chain([{f"m{number:03}": 1_000 - number for number in range(230)}] * 2).blocks[1]
    answers = served(made)
    server.answers |= answers
    async with RpcProvider(server.url) as provider:
        assert (await provider.light_block(1)).validators.hash == made.validators.hash
    assert [params["page"] for method, params in server.asked if method == "validators"] == ["1", "2", "3"]


def served(block: LightBlock) -> dict[str, Answer | Any]:
    async def validators(request: web.Request) -> web.Response:
        page = int((await request.json())["params"]["page"])
        members = [validator_json(member) for member in block.validators][100 * page - 100 : 100 * page]
        total = str(len(block.validators))
        return web.json_response({"result": {"validators": members, "count": str(len(members)), "total": total}})

    return {"commit": {"result": {"signed_header": signed_header_json(block.signed_header)}}, "validators": validators}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("height 140 must be less than or equal to the current blockchain height 139", HeightTooHigh),
        ("height 3 is not available, lowest height is 40", NoBlock),
        ("could not find results for height #9", NoAnswer),
        ("\x1b[2J" + "x" * 5_000, NoAnswer),
    ],
)
async def test_what_a_node_refuses_has_its_kind(server: Server, text: str, error: type[LightError]) -> None:
    server.answers["commit"] = {"error": {"code": -32603, "message": "Internal error", "data": text}}
    async with RpcProvider(server.url) as provider:
        with pytest.raises(error) as caught:
            await provider.light_block(9)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


async def test_evidence_is_handed_in_by_post(server: Server) -> None:
    made = make_chain([dict.fromkeys("abcd", 10)] * 3)
    evidence = LightClientAttackEvidence(made.blocks[2], 1, tuple(made.sets[0]), 40, made.blocks[1].header.time_ns)
    async with RpcProvider(server.url) as provider:
        await provider.report(evidence)
        assert server.asked == [("broadcast_evidence", {"evidence": evidence_json(evidence)})]
        server.answers["broadcast_evidence"] = {"error": {"code": -32603, "message": "no", "data": "known"}}
        with pytest.raises(ProviderFailed, match="known"):
            await provider.report(evidence)


# ---------------------------------------------------------------------------------------------- out to harm


def says(body: bytes, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, headers=headers)

    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


async def drips(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def elsewhere(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1:1/")


SLOTS = {"result": {"signed_header": {"header": {"height": "9"}, "commit": {"signatures": [{}] * 10_001}}}}


def page(members: int, total: int) -> Any:
    told = recorded("validators", {"height": "9", "page": "1", "per_page": "100"})["result"]["validators"]
    return {"result": {"validators": (told * members)[:members], "total": str(total)}}


@pytest.mark.parametrize(
    ("method", "answer", "error", "words"),
    [
        pytest.param("commit", endless, BadAnswer, "more than 1000000 bytes", id="an answer without end"),
        pytest.param("commit", drips, NoAnswer, "within 0.15 s", id="a byte now and then"),
        pytest.param("commit", silent, NoAnswer, "within 0.15 s", id="no answer"),
        pytest.param("commit", elsewhere, BadAnswer, "status 302", id="sent elsewhere"),
        pytest.param("commit", says(b"x", **{"X-A": "y" * 20_000}), NoAnswer, "did not answer", id="giant header"),
        pytest.param("commit", says(b"<html>"), BadAnswer, "not JSON", id="a page"),
        pytest.param("commit", says(b"[" * 100_000), BadAnswer, "not JSON|deeper", id="nested deep"),
        pytest.param("commit", says(b"[1]"), BadAnswer, "a list", id="a list"),
        pytest.param("commit", says(b'{"error":{"code":"x"}}'), BadAnswer, "invalid literal", id="a strange error"),
        pytest.param("commit", says(b'{"error":{"code":1e999}}'), BadAnswer, "infinity", id="audit 56: infinite"),
        pytest.param("commit", {"result": {"signed_header": None}}, NoBlock, "no commit", id="nothing"),
        pytest.param(
            "commit", {"result": {"signed_header": {"header": 1, "commit": 2}}}, BadAnswer, "an object", id="numbers"
        ),
        pytest.param(
            "commit", SLOTS, BadAnswer, "10001 signatures", id="too many signatures",
        ),
        pytest.param("validators", page(0, 4), BadAnswer, "has none", id="an empty page"),
        pytest.param("validators", page(4, 10_001), BadAnswer, "total: 10001", id="too many validators"),
        pytest.param("validators", page(101, 400), BadAnswer, "page 1", id="a page that is too long"),
        pytest.param("validators", page(3, 2), BadAnswer, "3 validators of height 9 came of 2", id="more than said"),
        pytest.param("validators", page(3, 400), BadAnswer, "twice|came of", id="the same page without end"),
    ],
)  # fmt: skip
async def test_a_server_out_to_harm_costs_little(
    server: Server, method: str, answer: Any, error: type[LightError], words: str
) -> None:
    server.answers[method] = answer
    async with RpcProvider(server.url, timeout_s=0.15 if error is NoAnswer else 10, answer_bytes_max=10**6) as provider:
        with pytest.raises(error, match=words):
            await provider.light_block(9)
    assert len(server.asked) <= 102


@pytest.mark.parametrize(
    "url", ["", "ftp://a", "http://", "http://a:0", "http://a:99999", "http://a?b=c", "http://" + "a" * 2_000, "a:1"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InvalidOptions, match="expected http://HOST:PORT"):
        RpcProvider(url)


async def test_nobody_there_and_a_password_is_never_said() -> None:
    async with RpcProvider("tcp://user:secret@127.0.0.1:1") as provider:
        assert provider.name == "http://127.0.0.1:1"
        with pytest.raises(NoAnswer, match="did not answer commit") as caught:
            await provider.light_block(1)
    assert "secret" not in str(caught.value)
    assert json.dumps(str(caught.value))
