"""Readers of the doors have a share of the event loop, and what is costly to read is read once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.protobuf import message_factory

from chain.state.view import View
from chain.tx.messages import Payment
from crypto.hash import sha256
from dchat.app.errors import Abandoned
from dchat.app.queries import Queries
from dchat.client.client import ClientError
from dchat.client.wallet import Session
from dchat.doors.http.views import Views
from dchat.doors.reads import loop_share
from dchat.doors.reads import reading as reading_module
from dchat.doors.reads import turns as turns_module
from dchat.doors.reads.costly import COSTLY_PAUSE, COSTLY_WAITING_MAX
from dchat.doors.reads.errors import Busy
from dchat.doors.reads.event_feed import SEARCHED_AT_ONCE, EventFeed, EventFilter
from dchat.doors.reads.limits import LOCAL, share_of
from dchat.doors.reads.loop_share import LoopShare
from dchat.doors.reads.reading import BURST_MS, OVERDUE, SHARE_PERCENT, WAITING_MAX, Reading, uncollected
from proto.dchat.v1 import service_pb2 as pb
from tests.support.node.running import running_node, until
from tests.support.node.telling import telling_chain


class Clock:
    """Time that passes by what slices say they took."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


async def turns_of_the_loop(counted: list[int]) -> None:
    while True:
        counted[0] += 1
        await asyncio.sleep(0)


async def test_200_readers_have_one_slice_in_each_turn_of_the_loop() -> None:
    """audit 13: streams that match nothing each did a slice in one turn: the loop was held 0.3 s."""
    share, counted, in_turn = LoopShare(), [0], dict[int, int]()

    async def read(client: str) -> None:
        for _ in range(5):
            await share.turn(client)
            in_turn[counted[0]] = in_turn.get(counted[0], 0) + 1

    counting = asyncio.create_task(turns_of_the_loop(counted))
    await asyncio.gather(*(read(f"192.0.2.{number}") for number in range(200)))
    counting.cancel()
    assert share.slices == sum(in_turn.values()) == 1_000
    assert max(in_turn.values()) <= 2  # the turn's count is taken anywhere in it
    assert share.waiting == 0


async def test_clients_read_in_turn_however_many_readers_one_has() -> None:
    """audit 13: under one budget, a client with a hundred streams gets as much as a client with one."""
    share, order = LoopShare(), list[str]()

    async def read(client: str, slices: int) -> None:
        for _ in range(slices):
            await share.turn(client)
            order.append(client)

    many = [asyncio.create_task(read("many", 10)) for _ in range(100)]
    await asyncio.sleep(0)  # they have asked; one slice is let in by each turn of the loop
    assert share.waiting > 50
    before = len(order)
    await asyncio.create_task(read("one", 20))
    assert order[before:].count("many") <= 25
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)
    await asyncio.wait_for(share.turn("last"), 5)  # who left blocks nobody


async def test_readers_together_use_no_more_than_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: work, not wishes: after the burst, a slice waits until the loop was free for long enough."""
    clock = Clock()
    share = LoopShare(now_ns=clock)
    for _ in range(10):
        await asyncio.wait_for(share.turn("a"), 1)
        share.did(loop_share.BURST_NS // 10 + 1)
    waiting = asyncio.create_task(share.turn("a"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    clock.ns += int(loop_share.BURST_NS / loop_share.SHARE)
    await asyncio.wait_for(waiting, 2)


async def test_events_that_nobody_wants_are_looked_through_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: 200 streams that match nothing, over a chain of full blocks: each new block was looked through by all
    of them in one turn of the loop. What they want could be in each block, so that each must be looked through.
    """
    counted, begun = [0], Counter[int]()
    real = EventFeed._of_block

    def look(
        self: EventFeed, height: int, first_index: int, wanted: EventFilter
    ) -> Iterator[pb.StreamEventsResponse | None]:
        begun[counted[0]] += 1
        yield from real(self, height, first_index, wanted)

    monkeypatch.setattr(EventFeed, "_of_block", look)
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(2, pairs=200)
        counting = asyncio.create_task(turns_of_the_loop(counted))
        streams = [
            asyncio.create_task(_drain(client.stream_events(from_height=1, types=["pairs"], where=[("count", "1")])))
            for _ in range(60)
        ]
        guard = telling.grpc.guard
        await until(lambda: guard.waits.used >= 60)
        await asyncio.wait_for(telling.make_blocks(2, pairs=200), 20)
        await until(lambda: begun.total() >= 60 * 4, timeout_s=60)
        assert max(begun.values()) <= 2  # the turn's count is taken anywhere in it
        for task in (*streams, counting):
            task.cancel()
        await asyncio.gather(*streams, counting, return_exceptions=True)
        await until(lambda: guard.waits.used == 0)


async def _drain(stream: object) -> None:
    async for _ in stream:  # type: ignore[attr-defined]
        pass


async def test_streams_have_a_bound_in_all_and_of_one_client(tmp_path: Path) -> None:
    """audit 13: a bounded number, the rest is told to try later."""
    async with running_node(tmp_path, grpc="concurrent_streams_max = 8\n") as running, running.client() as client:
        streams = [client.stream_events(types=["nothing"]) for _ in range(6)]
        reading = [asyncio.create_task(_drain(stream)) for stream in streams]
        door = running.node.doors.grpc
        assert door is not None
        await until(lambda: door.guard.streams.used == 6)
        with pytest.raises(ClientError, match="6 streams at once are the limit of one client; try later"):
            await _drain(client.stream_events(types=["nothing"]))
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


# ------------------------------------------------------------------------------------------------------ costly reads


async def test_what_is_costly_is_read_once_for_all_who_ask_and_never_twice_at_once() -> None:
    """audit 13: GetInvariants ran six times at once after time-outs."""
    reading, lock, most, runs = Reading(), threading.Lock(), [0, 0], [0]
    gate = threading.Event()

    def work(_: Callable[[], bool]) -> str:
        with lock:
            most[0] += 1
            most[1] = max(most[1], most[0])
            runs[0] += 1
        gate.wait(10)
        with lock:
            most[0] -= 1
        return "held"

    askers = [asyncio.create_task(reading.shared(("invariants", number % 2), work, LOCAL)) for number in range(20)]
    await until(lambda: runs[0] == 1)
    gate.set()
    assert await asyncio.gather(*askers) == ["held"] * 20
    assert (most[1], runs[0]) == (1, 2)
    await reading.close()


async def test_what_nobody_waits_for_is_given_up() -> None:
    """audit 13: a time-out of the last asker ends the work, and what had not begun never does."""
    reading, ended, begun = Reading(), threading.Event(), list[str]()

    def slow(is_wanted: Callable[[], bool]) -> None:
        begun.append("slow")
        while is_wanted():
            time.sleep(0.001)
        ended.set()
        raise Abandoned

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await reading.shared("slow", slow, LOCAL)
    second = asyncio.create_task(reading.shared("slow", slow, LOCAL))
    queued = asyncio.create_task(reading.shared("other", lambda _: begun.append("other"), LOCAL))
    await until(ended.is_set)
    queued.cancel()
    second.cancel()
    await asyncio.gather(second, queued, return_exceptions=True)
    assert await reading.shared("third", lambda _: 3, LOCAL) == 3
    assert "other" not in begun
    assert not reading.costly.jobs
    await reading.close()


async def test_invariants_of_a_running_node_stop_when_the_client_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 13: six calls that time out at the client leave no thread behind that reads the state."""
    scanning = threading.Semaphore(0)
    async with running_node(tmp_path) as running, running.client() as client:
        reads = running.node.views.reading
        with monkeypatch.context() as patched:
            patched.setattr(Queries, "invariants", _endless_invariants(scanning))
            for _ in range(6):
                with pytest.raises(ClientError):
                    await client.call(client.state.GetInvariants, pb.GetInvariantsRequest(), deadline_s=0.2)
            await until(lambda: not reads.costly.jobs)
        assert all(row.holds for row in (await client.invariants()).invariants)
        assert reads.costly.started <= 8


def _endless_invariants(scanning: threading.Semaphore) -> Callable[..., list[tuple[str, bool, str]]]:
    def invariants(self: Queries, height: int, is_wanted: Callable[[], bool]) -> list[tuple[str, bool, str]]:
        scanning.release()
        while is_wanted():
            time.sleep(0.001)
        raise Abandoned

    return invariants


async def test_the_scan_of_the_invariants_asks_whether_it_is_wanted(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        queries = running.node.views.answers.queries
        with pytest.raises(Abandoned):
            queries.invariants(0, lambda: False)
        assert queries.invariants(0)


async def test_no_older_state_is_read_on_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: one client's GetAccount of an older height, which walks through the blocks since, took 20 ms of the
    loop each."""
    async with running_node(tmp_path) as running, running.client() as client:
        await until(lambda: running.node.views.answers.height > 2)
        loop_thread, read_in = threading.get_ident(), list[tuple[str, int]]()
        real, asked = Queries.view, ""

        def view(self: Queries, height: int = 0) -> View:
            read_in.append((asked, threading.get_ident()))
            return real(self, height)

        monkeypatch.setattr(Queries, "view", view)
        methods = pb.DESCRIPTOR.services_by_name["StateService"].methods
        for method in methods:
            fields = {field.name: field for field in method.input_type.fields}
            if "height" not in fields:
                continue
            asked = method.name
            for size in (20, 32):  # of what names a thing, which is by another rule for each method
                request: Any = message_factory.GetMessageClass(method.input_type)(height=1)
                for name, field in fields.items():
                    if field.type == field.TYPE_BYTES:
                        setattr(request, name, bytes(size))
                with contextlib.suppress(ClientError):
                    await client.call(getattr(client.state, asked), request)
        assert {"GetAccount", "GetIdentity", "GetChannel", "GetBundle", "GetMessage"} <= {name for name, _ in read_in}
        assert loop_thread not in {thread for _, thread in read_in}


# ------------------------------------------------------------------------------------------------- blocks over HTTP


async def test_blocks_are_described_without_being_decoded_on_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 20: /chain/latest-block decoded a whole block on the loop, and /chain/blocks a hundred."""
    async with running_node(tmp_path) as running, running.client() as client, aiohttp.ClientSession() as http:
        views: Views = running.node.views
        alice, bob = running.account("alice"), running.account("bob")
        for _ in range(2):  # an empty block is not even read
            await Session(client, alice.wallet).send([Payment(alice.address, bob.address, 1)])
        loop_thread, read_in = threading.get_ident(), list[int]()
        blocks = views.answers.blocks
        real = type(blocks).load_block_bytes

        def load_block_bytes(self: object, height: int) -> bytes | None:
            read_in.append(threading.get_ident())
            return real(self, height)  # type: ignore[arg-type]

        def never(self: object, height: int) -> None:
            raise AssertionError(f"block {height} is decoded")

        monkeypatch.setattr(type(blocks), "load_block_bytes", load_block_bytes)
        monkeypatch.setattr(type(blocks), "load_block", never)
        for path in ("/chain/latest-block", "/chain/blocks?limit=100", "/chain/blocks?limit=100"):
            async with http.get(f"http://127.0.0.1:{running.ports[1]}{path}") as answer:
                assert answer.status == 200, await answer.text()
        assert read_in
        assert loop_thread not in read_in
        monkeypatch.undo()


async def test_who_waits_for_a_transaction_has_no_block_read_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 20: as long as somebody waited for a transaction, each block was decoded on the loop as it was saved."""
    async with telling_chain() as telling:

        def never(self: object, height: int) -> None:
            raise AssertionError(f"block {height} is read")

        for name in ("load_block", "load_block_bytes"):
            monkeypatch.setattr(type(telling.answers.blocks), name, never)
        tx = b"k%d-0=0" % (telling.answers.height + 2)
        future, other = telling.watch.expect(sha256(tx)), telling.watch.expect(bytes(32))
        await telling.make_blocks(1)
        assert not future.done()
        await telling.make_blocks(1)
        assert await asyncio.wait_for(future, 5) is None
        assert (telling.watch.waiting, other.done()) == (1, False)
        telling.watch.forget(bytes(32), other)


async def test_a_page_of_events_of_many_clients_is_fair() -> None:
    """audit 13: pages are under the same share as streams."""
    async with telling_chain() as telling:
        await telling.make_blocks(5, pairs=300)
        feed = EventFeed(telling.answers, telling.watch)
        first = feed.first(None, 1, otherwise=1)
        pages = await asyncio.gather(
            *(feed.page(first, EventFilter.of(["nothing"], []), limit=10, client=f"c{n}") for n in range(50))
        )
        assert {page.has_more for page in pages} == {False}
        assert feed.share.slices >= 50
        assert feed.share.waiting == 0


async def test_costly_readings_take_a_small_part_of_a_core_however_often_they_are_asked_for() -> None:
    """audit 13: invariants asked for again and again took half of the pace of a busy machine."""
    reading = Reading()
    began: list[float] = []
    took: list[float] = []

    def work(_: object) -> None:
        began.append(time.monotonic())
        at = time.thread_time()
        while time.thread_time() - at < 0.02:
            pass
        took.append(time.thread_time() - at)

    try:
        for number in range(4):
            await reading.shared(number, work, LOCAL)
        for before, after, cost in zip(began, began[1:], took, strict=False):
            assert after - before >= cost * COSTLY_PAUSE
    finally:
        await reading.close()


async def test_reads_in_threads_take_a_part_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: eight clients who asked for lists of blocks without a pause cost a third of the pace of blocks."""
    time_s, work_ns = [0.0], [0]
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        time_s[0] += seconds
        await real_sleep(0)

    def work() -> None:
        time_s[0] += 0.01
        work_ns[0] += 10_000_000

    monkeypatch.setattr("dchat.doors.reads.reading.asyncio.sleep", sleep)
    reading = Reading(time_s=lambda: time_s[0], work_ns=lambda: work_ns[0])
    for _ in range(BURST_MS // 10):
        await reading.run(work, "a")
    assert time_s[0] == pytest.approx(BURST_MS / 1_000), "a few at once wait for nothing"
    for _ in range(1_000):
        await reading.run(work, "a")
    assert work_ns[0] / 1e9 <= SHARE_PERCENT / 100 * time_s[0] + BURST_MS / 1_000 + 0.02
    with pytest.raises(ZeroDivisionError):
        await reading.run(lambda: 1 / 0, "a")  # what fails is told, and charged
    await reading.close()


async def test_who_asks_for_little_does_not_wait_behind_who_asks_for_much() -> None:
    """audit 13: 64 calls of one client were answered before another client's first, each time."""
    reading, order = Reading(), list[str]()
    begin = threading.Event()

    def work(name: str) -> None:
        begin.wait(10)
        order.append(name)

    greedy = [asyncio.create_task(reading.run(partial(work, "greedy"), "greedy")) for _ in range(64)]
    await asyncio.sleep(0)
    modest = []
    for _ in range(3):
        modest.append(asyncio.create_task(reading.run(partial(work, "modest"), "modest")))
        await asyncio.sleep(0)
    reading._turns.use.add("greedy", 1_000_000)
    begin.set()
    await asyncio.gather(*modest, *greedy)
    assert order.index("modest") <= reading_threads()
    assert max(index for index, name in enumerate(order) if name == "modest") <= 2 * reading_threads() + 3
    await reading.close()


def reading_threads() -> int:
    return reading_module.THREADS


async def test_who_asks_for_few_costly_readings_does_not_wait_behind_who_asks_for_many() -> None:
    """audit 13: GetInvariants of one client at ever other heights came before another client's GetTally."""
    reading, order, begin = Reading(), list[str](), threading.Event()

    def work(name: str, _: Callable[[], bool]) -> None:
        begin.wait(10)
        order.append(name)

    many = 6
    greedy = [asyncio.create_task(reading.shared(n, partial(work, f"greedy {n}"), "192.0.2.1")) for n in range(many)]
    await until(lambda: reading.costly.started == 1)
    modest = [asyncio.create_task(reading.shared("tally", partial(work, "modest"), "192.0.2.2"))]
    # what somebody else waits for too is read when it is the turn of either
    modest.append(asyncio.create_task(reading.shared(many - 1, partial(work, "never"), "192.0.2.3")))
    await asyncio.sleep(0)
    begin.set()
    await asyncio.gather(*modest, *greedy)
    assert order[0] == "greedy 0"
    assert sorted(order[1:3]) == [f"greedy {many - 1}", "modest"]
    assert len(order) == many + 1
    await reading.close()


async def test_one_clients_readings_that_wait_have_a_bound() -> None:
    """audit 13: but for its calls one client's readings that wait had no bound."""
    reading, begin = Reading(), threading.Event()
    client = "192.0.2.1"

    def work(*_: object) -> str:
        begin.wait(10)
        return "read"

    calls: list[tuple[int, Callable[[str], Coroutine[None, None, str]]]] = [
        (share_of(COSTLY_WAITING_MAX, client), lambda client: reading.shared(0, work, client)),
        (share_of(WAITING_MAX, client) + reading_threads(), lambda client: reading.run(work, client)),
    ]
    for allowed, call in calls:
        begin.clear()
        tasks = [asyncio.create_task(call(client)) for _ in range(allowed)]
        await asyncio.sleep(0)
        with pytest.raises(Busy, match=r"that wait are the limit of one client; try later"):
            await call(client)
        tasks.append(asyncio.create_task(call("192.0.2.2")))
        tasks.pop(0).cancel()  # one that is begun waits no more
        begin.set()
        assert set(await asyncio.gather(*tasks)) == {"read"}
        assert await call(client) == "read"
    await reading.close()


async def test_who_leaves_while_it_waits_leaves_no_work_and_no_turn() -> None:
    reading, begin, done = Reading(), threading.Event(), list[str]()
    running = [asyncio.create_task(reading.run(lambda: begin.wait(10), "a")) for _ in range(reading_threads())]
    await asyncio.sleep(0)
    left = [asyncio.create_task(reading.run(lambda: done.append("left"), "b")) for _ in range(5)]
    last = asyncio.create_task(reading.run(lambda: done.append("last"), "b"))
    await asyncio.sleep(0)
    for task in left:
        task.cancel()
    await asyncio.sleep(0)
    assert sum(map(len, reading._turns._waiting.values())) == 1
    begin.set()
    await asyncio.gather(*running, last)
    assert done == ["last"]
    assert not reading._turns._waiting
    await reading.close()


async def test_the_clients_that_are_remembered_are_bounded() -> None:
    reading = Reading()
    for number in range(2 * turns_module.REMEMBERED_MAX):
        await reading.run(lambda: None, str(number))
    assert len(reading._turns.use) <= turns_module.REMEMBERED_MAX
    await reading.close()


@pytest.mark.parametrize("types", [(), ("a",), ("zz",), ("y", "zz"), tuple(f"y{n}" for n in range(16))])
@pytest.mark.parametrize("where", [(), (("k", "v"),), (("k", "w"),)])
def test_a_large_block_is_searched_a_text_at_a_time(types: tuple[str, ...], where: tuple[tuple[str, str], ...]) -> None:
    """audit 13: sixteen types that are nowhere, looked for in megabytes of results in one piece, held the loop."""
    wanted = EventFilter.of(types, where)
    stored = bytes(2 * SEARCHED_AT_ONCE) + b"zz k v"
    answers: list[bool] = []

    def run() -> Iterator[None]:
        answers.append((yield from wanted.searched(stored)))

    steps = len(list(run()))
    assert answers == [wanted.may_be_in(stored)]
    if not where:
        assert steps >= min(len(types), 1)
    if len(types) == 16 and where != (("k", "w"),):
        assert steps >= 16


async def test_a_thread_is_busy_also_where_its_caller_has_left() -> None:
    """audit 13: who asks and leaves at once had more reads begun than there are threads for."""
    reading, begin, begun = Reading(), threading.Event(), list[int]()

    def work(number: int) -> None:
        begun.append(number)
        begin.wait(10)

    for number in range(3 * reading_threads()):
        task = asyncio.create_task(reading.run(partial(work, number), "a"))
        await until(lambda n=number: len(begun) == min(n + 1, reading_threads()))  # type: ignore[misc]
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert len(begun) == reading_threads()
    begin.set()
    await reading.run(lambda: None, "b")
    await reading.close()


def test_readers_without_a_gap_do_not_put_off_a_collection_for_ever() -> None:
    """Two threads that read large bodies in turn kept the collector off for as long as they came; then it held the loop
    for 50 ms."""
    assert gc.isenabled()
    gc.collect()
    threshold = gc.get_threshold()[0]
    with uncollected():
        assert not gc.isenabled()
        kept = [[number] for number in range(OVERDUE * threshold + 1)]
        assert not gc.isenabled()
        with uncollected():
            assert gc.isenabled()
            kept.append([])
            kept.extend([number] for number in range(10))
            assert gc.get_count()[0] < threshold  # it has come
            with uncollected():
                assert not gc.isenabled()
    assert gc.isenabled()
