"""The JSON-RPC door's WebSocket: requests in turn, events of every kind, their bounds, and going on from a cursor.

That events and refusals have a CometBFT node's shape is shown beside one: tests/interop/test_cometbft_rpc.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from consensus.core.events import Elapsed, Step
from consensus.node.commit_watch import FAILURES_MAX, SafeRoundListener
from consensus.state.cursors import INDEX_MAX, Cursor
from consensus.system.tasks import Faults
from crypto.hash import sha256
from dchat.doors.jsonrpc import hub as hub_module
from dchat.doors.jsonrpc import websocket
from dchat.doors.jsonrpc.events import Happening, RoundEvents
from tests.support.node.running import Running, running_node, until
from tests.support.patience import PATIENCE_S
from tests.support.rpc.calling import base64_of, call, payment_of, request

pytestmark = pytest.mark.network


class Client:
    """A socket, and what came over it that is no answer."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws, self.events = ws, list[Any]()

    async def ask(self, method: str, **params: Any) -> Any:
        """The whole reply."""
        asked = request(method, params, id=f"{method} {params}")
        await self.ws.send_json(asked)
        while True:
            told = await self.ws.receive_json(timeout=PATIENCE_S)
            if told["id"] == asked["id"] and "query" not in told.get("result", {}):
                return told
            self.events.append(told)

    async def event(self) -> Any:
        """The next one."""
        if not self.events:
            self.events.append(await self.ws.receive_json(timeout=PATIENCE_S))
        return self.events.pop(0)

    async def error_of(self, method: str, **params: Any) -> str:
        told = await self.ask(method, **params)
        return str(told["error"]["data"])


@contextlib.asynccontextmanager
async def socket_of(one: Running, **options: Any) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{one.rpc}/websocket", **options) as ws:
        yield Client(ws)


def of(kind: str) -> str:
    return f"tm.event = '{kind}'"


async def test_events_come_to_who_asked_for_them_under_its_id(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, socket_of(one) as client:
        assert (await client.ask("subscribe", query=of("Tx")))["result"] == {}
        tx = await payment_of(one)
        assert (await client.ask("broadcast_tx_sync", tx=base64_of(tx)))["result"]["code"] == 0
        told = await client.event()
        assert told["id"] == f"subscribe {{'query': \"{of('Tx')}\"}}"
        result = told["result"]
        assert (result["query"], list(result)) == (of("Tx"), ["query", "data", "events"])
        value = result["data"]["value"]["TxResult"]
        assert (result["data"]["type"], value["tx"]) == ("tendermint/event/Tx", base64_of(tx))
        keys = result["events"]
        assert (keys["tm.event"], keys["tx.hash"], keys["tx.height"]) == (
            ["Tx"], [sha256(tx).hex().upper()], [value["height"]],
        )  # fmt: skip
        assert keys["transfer.sender"]
        # Only what its query matches; each condition by any value.
        assert (await client.ask("subscribe", query=f"{of('Tx')} AND transfer.sender = 'nobody'"))["result"] == {}
        assert (await client.ask("subscribe", query="transfer.sender EXISTS AND tx.height > 0"))["result"] == {}
        again = await client.ask("broadcast_tx_sync", tx=base64_of(await payment_of(one, 2)))
        assert again["result"]["code"] == 0, again
        queries = {(await client.event())["result"]["query"] for _ in range(2)}
        assert queries == {of("Tx"), "transfer.sender EXISTS AND tx.height > 0"}
        assert (await client.ask("unsubscribe", query=of("Tx").replace(" ", "")))["result"] == {}
        assert (await client.ask("unsubscribe_all"))["result"] == {}
        assert (len(one.node.doors.hub.held), one.node.doors.hub.by_remote) == (0, {})
        assert not any(one.node.doors.hub.is_wanted(kind) for kind in ("Tx", "NewBlock", "Vote"))


async def test_every_kind_is_told(tmp_path: Path) -> None:
    kinds = ["NewBlock", "NewBlockHeader", "NewBlockEvents", "Vote", "NewRound", "NewRoundStep", "CompleteProposal",
             "Polka", "ValidBlock", "Lock"]  # fmt: skip
    options = "\n[rpc]\nmax_subscriptions_per_client = 20\n"
    async with running_node(tmp_path, options=options) as one, socket_of(one) as client:
        for kind in kinds:
            await client.ask("subscribe", query=of(kind))
        heard: set[str] = set()
        async with asyncio.timeout(PATIENCE_S):
            while heard != set(kinds):
                (kind,) = (await client.event())["result"]["events"]["tm.event"]
                heard.add(kind)


async def test_a_socket_takes_every_call_one_after_the_other(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, socket_of(one) as client:
        tx = await payment_of(one)
        for asked in (request("broadcast_tx_commit", {"tx": base64_of(tx)}, id=1), request("health", id=2)):
            await client.ws.send_bytes(str(asked).replace("'", '"').encode())
        first, second = [await client.ws.receive_json(timeout=PATIENCE_S) for _ in range(2)]
        assert (first["id"], second) == (1, {"jsonrpc": "2.0", "id": 2, "result": {}})
        assert int(first["result"]["height"]) > 0
        assert (await client.ask("status"))["result"]["node_info"]["network"] == one.network.chain_id


async def test_how_many_may_subscribe_and_to_how_much(tmp_path: Path) -> None:
    options = "\n[rpc]\nmax_subscription_clients = 2\nmax_subscriptions_per_client = 2\n"
    async with running_node(tmp_path, options=options) as one, socket_of(one) as client:
        assert await client.error_of("subscribe", query="malformed query") == (
            "failed to parse query: offset 10: got tag, wanted <= operator, >= operator, < operator, > operator, "
            "= operator, CONTAINS operator or EXISTS operator"
        )
        assert await client.error_of("subscribe", query="a.b = '" + "x" * 512 + "'") == "maximum query length exceeded"
        assert await client.error_of("unsubscribe", query=of("Tx")) == "subscription not found"
        assert await client.error_of("unsubscribe_all") == "subscription not found"
        await client.ask("subscribe", query=of("Other"))
        assert await client.error_of("subscribe", query="tm.event='Other'") == "already subscribed"
        await client.ask("subscribe", query=of("Another"))
        assert await client.error_of("subscribe", query=of("Third")) == "max_subscriptions_per_client 2 reached"
        async with socket_of(one) as second, socket_of(one) as third:
            await second.ask("subscribe", query=of("Other"))
            assert await third.error_of("subscribe", query=of("Other")) == "max_subscription_clients 2 reached"
            assert await second.error_of("subscribe", query=of("Another")) == "max_subscription_clients 2 reached"
        await until(lambda: len(one.node.doors.hub.held) == 1)  # who left has no place


# ----------------------------------------------------------------------------------------------- from a cursor on


async def test_a_reader_that_is_cut_again_and_again_loses_nothing(tmp_path: Path) -> None:
    """Payments while it is there, and while it is away; each comes once, in the chain's order."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        sent: list[str] = []

        async def pay(count: int) -> None:
            for _ in range(count):
                tx = await payment_of(one, len(sent) + 1)
                told = await call(http, one.rpc, "broadcast_tx_commit", tx=base64_of(tx))
                assert told["tx_result"]["code"] == 0
                sent.append(told["hash"])

        cursor, heard = "now", list[str]()
        for _ in range(3):
            async with socket_of(one) as client:
                assert (await client.ask("subscribe", query=of("Tx"), after=cursor))["result"] == {}
                paying = asyncio.create_task(pay(2))
                for _ in range(1 + (cursor != "now")):
                    result = (await client.event())["result"]
                    cursor = result["cursor"]
                    heard += result["events"]["tx.hash"]
                await client.ws.close()
                await paying
        async with socket_of(one) as client:
            await client.ask("subscribe", query=of("Tx"), after=cursor)
            while len(heard) < len(sent):
                heard += (await client.event())["result"]["events"]["tx.hash"]
        assert heard == sent


async def test_all_of_a_block_comes_in_the_order_of_cursors(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        tx = await payment_of(one)
        height = int((await call(http, one.rpc, "broadcast_tx_commit", tx=base64_of(tx)))["height"])
        await until(lambda: one.node.views.answers.height > height)
        async with socket_of(one) as client:
            # No kind is named: all that is kept of the block; an earlier cursor begins earlier.
            await client.ask("subscribe", query="tm.event EXISTS", after=str(Cursor.of_end(height - 1)))
            told = [(await client.event())["result"] for _ in range(5)]
        kinds = [result["events"]["tm.event"][0] for result in told]
        assert kinds == ["Tx", "NewBlockEvents", "NewBlockHeader", "NewBlock", kinds[-1]]
        cursors = [Cursor.parse(result["cursor"]) for result in told]
        assert cursors == sorted(cursors)
        assert cursors[-1].height > height
        async with socket_of(one) as client:  # from the middle of the block
            await client.ask("subscribe", query="tm.event EXISTS", after=str(cursors[1]))
            assert (await client.event())["result"]["cursor"] == str(cursors[2])


async def test_what_cannot_be_gone_on_from_is_said(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, socket_of(one) as client:
        assert "is kept nowhere" in await client.error_of("subscribe", query=of("Vote"), after="now")
        assert "allowed: HEIGHT:INDEX" in await client.error_of("subscribe", query=of("Tx"), after="5")
        await until(lambda: one.node.views.answers.height > 3)
        one.node.executor.blocks.raise_base(3)
        assert "is not kept any more" in await client.error_of("subscribe", query=of("Tx"), after="1:0")
        assert len(one.node.doors.hub.held) == 0


# --------------------------------------------------------------------------------------------------------- slow readers


async def test_a_reader_that_is_too_slow_is_told_and_others_are_not_held(tmp_path: Path) -> None:
    options = "\n[rpc]\nsubscription_buffer_size = 100\n"
    async with running_node(tmp_path, options=options) as one, socket_of(one) as slow, socket_of(one) as other:
        hub = one.node.doors.hub
        await slow.ask("subscribe", query=of("Many"))
        await other.ask("subscribe", query=of("NewBlockHeader"))
        text = b'"data":"' + b"x" * 20_000 + b'","events":{}'
        for _ in range(2_000):  # more than sockets and buffers take
            hub.tell(Happening("Many", {"tm.event": ["Many"]}, "Many", lambda: None, text=text))
        await until(lambda: hub.counts["slow"] == 1)
        at = one.node.views.answers.height
        while int((await other.event())["result"]["data"]["value"]["header"]["height"]) <= at:
            pass
        while "error" not in (told := await slow.event()):
            pass
        assert told["error"] == {
            "code": -32000, "message": "Server error",
            "data": "subscription was canceled (reason: internal subscription event buffer is out of capacity)",
        }  # fmt: skip
        assert (await slow.ask("subscribe", query=of("Many")))["result"] == {}  # it may ask again
        assert one.failures == []


async def test_who_is_not_heard_of_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is pinged; one that answers pings stays."""
    monkeypatch.setattr(websocket, "PING_S", 0.1)
    monkeypatch.setattr(websocket, "READ_S", 0.5)
    async with running_node(tmp_path) as one, socket_of(one) as well, socket_of(one, autoping=False) as silent:
        listening = asyncio.create_task(well.ws.receive())  # answers pings meanwhile
        async with asyncio.timeout(PATIENCE_S):
            while (await silent.ws.receive()).type is WSMsgType.PING:
                pass
        assert not listening.done()
        assert len(one.node.doors.sockets.open) == 1
        listening.cancel()


async def test_a_frame_that_is_too_large_closes_it(tmp_path: Path) -> None:
    async with running_node(tmp_path, options="\n[rpc]\nmax_body_bytes = 2048\n") as one, socket_of(one) as client:
        await client.ws.send_str(" " * 4_096)
        assert (await client.ws.receive(timeout=PATIENCE_S)).data == 1009
        await until(lambda: not one.node.doors.sockets.open)


async def test_who_subscribed_is_told_that_the_node_stops(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        ws = await http.ws_connect(f"{one.rpc}/websocket")
        client = Client(ws)
        await client.ask("subscribe", query=of("Other"))
        stopping = asyncio.create_task(one.node.doors.rpc.stop())  # type: ignore[union-attr]
        told = await client.event()
        assert told["error"]["data"] == "subscription was canceled (reason: CometBFT exited)"
        assert (await ws.receive(timeout=PATIENCE_S)).type in (WSMsgType.CLOSE, WSMsgType.CLOSED)
        await stopping


# -------------------------------------------------------------------------------------------------- the running height


class Rounds(SimpleNamespace):
    """A RoundState, and a core, as far as events look at them."""

    def votes(self, kind: int, round: int) -> Any:
        return self.polka


def test_locks_and_time_outs_are_told_as_they_happen() -> None:
    validators = SimpleNamespace(index_of=lambda address: 0)
    rounds = Rounds(height=5, round=0, step=Step.PROPOSE, wire_step=3, proposal=None, parts=None, polka=None,
                    proposer_address=bytes(20), validators=validators)  # fmt: skip
    core = SimpleNamespace(locked_round=-1, locked_value=None)
    told: list[str] = []
    events = RoundEvents(rounds, core, is_wanted=lambda kind: True, tell=lambda one: told.append(one.kind))  # type: ignore[arg-type]

    def step(step: Step, *, round: int, locked: tuple[int, Any] | None = None) -> list[str]:
        told.clear()
        rounds.step, rounds.wire_step, rounds.round = step, int(step), round
        if locked is not None:
            core.locked_round, core.locked_value = locked
            rounds.polka = SimpleNamespace(has_majority=True)
        events.step_changed()
        return [*told]

    assert step(Step.PROPOSE, round=0) == ["NewRoundStep", "NewRound"]
    assert step(Step.PREVOTE, round=0) == ["NewRoundStep"]
    assert step(Step.PRECOMMIT, round=0, locked=(0, "A")) == ["NewRoundStep", "Polka", "Lock"]
    assert step(Step.PROPOSE, round=1) == ["NewRoundStep", "NewRound"]
    assert step(Step.PRECOMMIT, round=1, locked=(1, "A")) == ["NewRoundStep", "Polka", "Relock"]
    assert step(Step.PRECOMMIT, round=2, locked=(2, "B")) == ["NewRoundStep", "NewRound", "Polka", "Lock"]
    told.clear()
    for elapsed in (Elapsed(Step.PRECOMMIT, 5, 2), Elapsed(Step.PRECOMMIT, 5, 1), Elapsed(Step.PROPOSE, 5, 2)):
        events.timed_out(elapsed)
    assert told == ["TimeoutWait"]
    assert step(Step.PROPOSE, round=3) == ["NewRoundStep", "NewRound"]
    events.timed_out(Elapsed(Step.PROPOSE, 5, 3))
    assert told[-1] == "TimeoutPropose"


def test_what_fails_in_telling_the_running_height_reaches_no_consensus() -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    faults = Faults()
    safe = SafeRoundListener("events", SimpleNamespace(step_changed=broken, part_added=broken), faults)  # type: ignore[arg-type]
    safe.step_changed()
    assert list(faults.down) == ["events"]
    for _ in range(2 * FAILURES_MAX):
        safe.part_added(1, 0, 0)
    assert faults.failures["events"] == FAILURES_MAX


def test_no_event_of_a_block_can_have_the_index_of_its_own_messages() -> None:
    assert Cursor(1, 10**6) < Cursor(1, INDEX_MAX - 100_000)


# ---------------------------------------------------------------------------------------------------- what it may cost


async def test_sockets_have_places_and_requests_a_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "SOCKETS_LEAST", 4)  # of this machine three
    monkeypatch.setattr(websocket, "SOCKETS_EACH", 0)
    options = "\n[rate_limit]\nrequests_per_second = 2\n"
    async with running_node(tmp_path, options=options) as one, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(socket_of(one)) for _ in range(3)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await stack.enter_async_context(socket_of(one))
        assert refused.value.status == 503
        told = [await clients[0].ask("block", height=str(n)) for n in range(60)]  # each costs four of 100
        assert "requests a second" in told[-1]["error"]["data"]
        async with asyncio.timeout(PATIENCE_S):  # who goes on regardless is cut
            with contextlib.suppress(ConnectionError, TypeError):
                while True:
                    await clients[0].ask("health")
        await until(lambda: len(one.node.doors.sockets.open) == 2)


async def test_queries_are_asked_in_slices_and_once_for_all_who_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SLICE_NS", 0)
    options = "\n[rpc]\nmax_subscriptions_per_client = 50\n"
    async with running_node(tmp_path, options=options) as one, socket_of(one) as first, socket_of(one) as second:
        for number in range(20):
            await first.ask("subscribe", query=f"tm.event = 'Mine' AND a.b = '{number}'")
        for client in (first, second):
            await client.ask("subscribe", query=of("Mine"))
        hub = one.node.doors.hub
        slices = hub._who_hears(Happening("Mine", {"tm.event": ["Mine"], "a.b": ["7"]}, "Mine", lambda: None))
        steps, found = 0, []
        with contextlib.suppress(StopIteration):
            while True:
                try:
                    next(slices)
                except StopIteration as done:
                    found = done.value
                    raise
                steps += 1
        assert (steps, len(found)) == (1 + 21, 3)
        other = hub._who_hears(Happening("Other", {"tm.event": ["Other"]}, "Other", lambda: None))
        assert len(list(other)) == 1  # no query of another kind is asked
