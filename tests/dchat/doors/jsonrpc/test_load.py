"""What many who ask, and one who asks for much, cost the JSON-RPC door: counted work, never seconds."""

from __future__ import annotations

import gc
import json
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks.rpc.hostile import evidence_of
from consensus.formats.units import MIB
from dchat.doors.jsonrpc import events, params, protocol
from dchat.doors.jsonrpc.hub import TOGETHER_MAX, WOKEN_IN_A_ROW, Hub, Subscription, parsed
from dchat.doors.jsonrpc.params import Arg, Kind, from_json, from_query, head_of
from dchat.doors.jsonrpc.protocol import HOLDERS_MAX, VALUES_MAX, RpcError, read_body
from dchat.doors.jsonrpc.table import KEPT_SHARE, Kept
from dchat.doors.jsonrpc.websocket import SOCKETS_EACH, Sockets
from dchat.doors.metrics.exposition import memory_bytes
from dchat.doors.reads.event_feed import EventFeed
from dchat.doors.reads.loop_share import LoopShare
from dchat.node.node_metrics import rpc_metrics
from tests.support.node.running import running_node, until
from tests.support.patience import PATIENCE_S
from tests.support.rpc.calling import base64_of, call, payment_of, post, request

ONE = (Arg("height", Kind.INT64),)


class Counted(list[Any]):
    """A list that knows how many of its items were looked at."""

    looked_at = 0

    def __iter__(self) -> Any:
        for item in super().__iter__():
            self.looked_at += 1
            yield item


def test_an_error_writes_no_more_of_a_value_than_it_shows() -> None:
    given = Counted([[]] * 24_500)
    with pytest.raises(RpcError) as refused:
        from_json(ONE, {"height": given})
    assert refused.value.data.endswith('encoding "' + "[[], " + "[], " * 14 + '[],", expected string')
    assert given.looked_at < params.SHOWN_CHARS_MAX


def test_of_too_many_params_some_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written = list[Any]()
    monkeypatch.setattr(params, "head_of", lambda value: written.append(value) or head_of(value))
    with pytest.raises(RpcError) as refused:
        from_json(ONE, [0] * 24_500)
    assert "expected 1 parameters ([height]), got 24500 ([[48] [48] [48] " in refused.value.data
    assert len(written) <= 2 * params.SHOWN_CHARS_MAX


@pytest.mark.parametrize(
    "value", ["short", "l" * 10_000, 'a"b' * 100, 1, None, True, [], [1, [2, {"a": "b"}]], {"a": [1] * 100}]
)
def test_the_head_of_a_value_is_that_of_its_text(value: Any) -> None:
    assert head_of(value) == json.dumps(value)[: params.SHOWN_CHARS_MAX]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" + "1," * VALUES_MAX + "1]", f"more than {VALUES_MAX} values"),
        ("[" + "[]," * HOLDERS_MAX + "1]", f"more than {HOLDERS_MAX} lists and objects"),
        ("{" + '"a":{},' * HOLDERS_MAX + '"a":1}', f"more than {HOLDERS_MAX} lists and objects"),
        ("[" * (HOLDERS_MAX + 1), f"more than {HOLDERS_MAX} lists and objects"),
    ],
)
def test_json_has_so_many_values_in_a_body_or_a_field(text: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (params, protocol):
        monkeypatch.setattr(module, "loads", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(RpcError, match=why):
        from_query((Arg("evidence", Kind.EVIDENCE),), lambda name: text)
    with pytest.raises(RpcError, match=why):
        read_body(text.encode())


def test_evidence_of_a_whole_body_may_be_read() -> None:
    body = evidence_of(4_000)
    assert len(body) < 1_000_000
    assert isinstance(read_body(body), dict)


@pytest.mark.network
async def test_large_arguments_are_made_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, read = list[str](), params.evidence_from_json

    def evidence_from_json(value: Any, where: str) -> Any:
        threads.append(threading.current_thread().name)
        return read(value, where)

    monkeypatch.setattr(params, "evidence_from_json", evidence_from_json)
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        body = json.loads(evidence_of(200))
        assert "evidence" in (await post(http, one.rpc, body)).error[2]
        form = {"evidence": json.dumps(body["params"]["evidence"])}
        async with http.post(f"{one.rpc}/broadcast_evidence", data=form) as answer:
            assert "evidence" in (await answer.json())["error"]["data"]
        async with http.ws_connect(f"{one.rpc}/websocket") as ws:
            await ws.send_json(body)
            assert "evidence" in (await ws.receive_json(timeout=PATIENCE_S))["error"]["data"]
    assert len(threads) == 3
    assert all(name.startswith("reads") for name in threads), threads


@pytest.mark.network
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"health","params":[%b]}', id="refused for its params"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"block","params":{"height":[%b]}}', id="refused for one"),
        pytest.param(b'{"jsonrpc":"2.0","id":[%b],"method":"health"}', id="no request"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"health","params":[%b', id="no JSON"),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"method":"none","params":[%b]}', id="no method"),
    ],
)
async def test_nothing_of_a_large_body_is_left_for_the_collector(
    tmp_path: Path, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty bodies of 12,400 lists brought a collection of all that is young, on whatever thread."""
    left, enabled, loads, thresholds = list[int](), list[bool](), protocol.loads, gc.get_threshold()

    def read(*given: Any, **named: Any) -> Any:
        enabled.append(gc.isenabled())
        return loads(*given, **named)

    monkeypatch.setattr(protocol, "loads", read)
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        door = one.node.doors.rpc
        assert door is not None
        run, lists = door._reading.run, b",".join([b"[]"] * 12_400)

        async def counted(work: Any, client: str) -> Any:
            def and_count() -> Any:
                before = gc.get_count()[0]
                found = work()
                left.append(gc.get_count()[0] - before)
                return found

            return await run(and_count, client)

        door._reading.run = counted  # type: ignore[method-assign]
        gc.set_threshold(1_000_000)  # none begins meanwhile, which would put the count to nothing
        try:
            for _ in range(3):
                told = await post(http, one.rpc, body % lists)
                assert "error" in told.document
        finally:
            gc.set_threshold(*thresholds)
        assert (enabled, gc.isenabled()) == ([False] * 3, True)
        assert len(left) == 3
        assert max(left) < 6_000, left  # objects of whatever kind, the node's own among them


# --------------------------------------------------------------------------------------------- what is written once


def test_what_is_kept_has_a_bound_and_goes_by_use() -> None:
    kept = Kept(16_000)
    for height in range(1, 40):
        kept.put(("block", height), height, "x" * 900)
        kept.get(("block", 1), base=1)  # is asked for again and again
        assert kept.held_bytes <= 16_000
    assert kept.get(("block", 1), base=1) == "x" * 900
    assert kept.get(("block", 2), base=1) is None
    assert kept.get(("block", 39), base=40) is None  # pruned
    kept.put(("block", 50), 50, "x" * (16_000 // KEPT_SHARE))  # with what Python adds it is more than its part
    assert kept.get(("block", 50), base=1) is None
    before = kept.held_bytes
    kept.put(("block", 39), 39, "y" * 900)  # in place of what was there
    assert (kept.held_bytes, kept.get(("block", 39), base=1)) == (before, "y" * 900)


@pytest.mark.network
async def test_a_saved_block_is_written_once_and_told_to_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        paid = await call(http, one.rpc, "broadcast_tx_commit", tx=base64_of(await payment_of(one)))
        height = paid["height"]
        await until(lambda: one.node.views.answers.height > int(height))
        tx_hash = base64_of(bytes.fromhex(paid["hash"]))
        block_hash = base64_of(bytes.fromhex((await call(http, one.rpc, "block", height=height))["block_id"]["hash"]))
        asked: list[tuple[str, dict[str, Any]]] = [
            ("block", {"height": height}), ("block_by_hash", {"hash": block_hash}),
            ("block_results", {"height": height}), ("commit", {"height": height}), ("validators", {"height": height}),
            ("tx", {"hash": tx_hash}), ("tx", {"hash": tx_hash, "prove": True}),
            ("tx_search", {"query": f"tx.height={height}"}),
        ]  # fmt: skip
        first = [await call(http, one.rpc, method, **given) for method, given in asked]
        assert first[0] == first[1]
        assert first[7]["txs"] == [first[5]]
        misses = one.node.doors.kept.misses

        def refuse(*_: object) -> None:
            raise AssertionError("it was read again")

        monkeypatch.setattr(type(one.node.views.answers.blocks), "load_block_bytes", refuse)
        again = [await call(http, one.rpc, method, **given) for method, given in asked]
        assert again == first
        assert one.node.doors.kept.misses == misses
        odd = await post(http, one.rpc, request("block", {"height": height}, id='"<\ud800'))
        assert odd.document["id"] == '"<\ud800'
        assert odd.result == first[0]
        door, doors = one.node.doors.rpc, one.node.doors
        assert door is not None
        told = {metric.name: metric.samples for metric in rpc_metrics(door, doors.hub, doors.sockets, doors.kept)}
        assert told["dchat_rpc_kept_misses"][0].value == misses
        assert told["dchat_rpc_kept_hits"][0].value >= len(asked)


@pytest.mark.network
async def test_the_latest_commit_is_not_kept_until_it_is_the_chains(tmp_path: Path) -> None:
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        await until(lambda: one.node.views.answers.height >= 2)
        told = await call(http, one.rpc, "commit")
        height = told["signed_header"]["header"]["height"]
        await until(lambda: one.node.views.answers.height > int(height))
        assert (await call(http, one.rpc, "commit", height=height))["canonical"]


# ------------------------------------------------------------------------------------------------------- subscribers


class Reader:
    """A connection that counts how often it is told that there is more."""

    client = "local"

    def __init__(self, remote: str) -> None:
        self.remote, self.told = remote, 0

    def has_more(self) -> None:
        self.told += 1


def hub_with(readers: list[Reader], query: str) -> tuple[Hub, list[Subscription]]:
    unused: Any = None
    feed = EventFeed(unused, unused, LoopShare())
    hub = Hub(unused, feed, unused, unused, clients_max=len(readers), each_max=1, buffer_max=500)
    made = []
    for reader in readers:
        one = Subscription(reader, query, parsed(query), 1, texts=hub.texts, buffer_max=hub.buffer_max, of_cursor=False)
        hub._live.setdefault("Tx", {}).setdefault(one.query, []).append(one)
        made.append(one)
    return hub, made


async def test_equal_subscriptions_share_the_text_and_are_told_of_a_blocks_events_together() -> None:
    readers = [Reader(f"r{number}") for number in range(2 * WOKEN_IN_A_ROW + 3)]
    hub, made = hub_with(readers, "tm.event = 'Tx'")
    written = list[int]()

    def value(number: int) -> Any:
        written.append(number)
        return {"number": number}

    async def told() -> Any:
        for number in range(50):
            keys = {events.KIND_KEY: ["Tx"]}
            yield events.Happening("Tx", keys, "Tx", lambda number=number: value(number))  # type: ignore[misc]

    await hub._hand_out_block(told())
    assert written == list(range(50))  # each once, for 35 readers
    assert len({id(text) for one in made for _, text in one.waiting}) == 50
    assert {len(one.waiting) for one in made} == {50}
    assert {reader.told for reader in readers} == {-(-50 // TOGETHER_MAX)}


async def test_readers_are_woken_a_few_in_each_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    readers = [Reader(f"r{number}") for number in range(100)]
    hub, _ = hub_with(readers, "tm.event = 'Tx'")
    hub._untold = dict.fromkeys(readers)
    in_a_row = list[int]()
    telling = hub._tell_sinks()
    before = 0
    try:
        while True:
            telling.send(None)
            in_a_row.append(sum(reader.told for reader in readers) - before)
            before += in_a_row[-1]
    except StopIteration:
        pass
    assert sum(in_a_row) == 100
    assert max(in_a_row) <= WOKEN_IN_A_ROW


def test_there_are_places_for_as_many_sockets_as_may_subscribe() -> None:
    """Of 200 subscribers on one machine eight were refused, whatever the option said."""
    hub, _ = hub_with([Reader(f"r{number}") for number in range(400)], "tm.event = 'Tx'")
    places = Sockets(hub).places
    assert places.slots_max == SOCKETS_EACH * 400
    for _ in range(400):
        places.take("local")


BODIES = {
    "a name of 900,000 characters": b'{"jsonrpc":"2.0","id":1,"method":"%s"}' % (b"x" * 900_000),
    "digits": b'{"jsonrpc":"2.0","id":%s,"method":"health"}' % (b"1" * 900_000),
    "lists": b'{"jsonrpc":"2.0","id":1,"method":"health","params":[%s]}' % b",".join([b"[%s]" % (b" " * 60)] * 12_400),
    "values": b'{"jsonrpc":"2.0","id":1,"method":"health","params":[%s]}' % b",".join([b"1"] * 450_000),
    "no JSON": b"[" * 900_000,
}


@pytest.mark.parametrize("name", BODIES)
async def test_nothing_of_a_body_waits_for_the_collector(name: str, tmp_path: Path) -> None:
    """An error that stood among the variables of its own traceback held its body until a collection, which came after
    two hundred of them: half a gigabyte, and 50 ms of the loop to give it back."""
    async with running_node(tmp_path) as one, aiohttp.ClientSession() as http:
        url = one.rpc

        async def send(count: int) -> None:
            for _ in range(count):
                async with http.post(url, data=BODIES[name]) as answer:
                    await answer.read()

        await send(5)
        gc.collect()
        gc.disable()
        try:
            before = memory_bytes()
            await send(60)
            grown = memory_bytes() - before
        finally:
            gc.enable()
        assert grown < 25 * MIB, f"{grown >> 20} MiB more"
