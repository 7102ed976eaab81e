"""Hostile clients of the gRPC door, on real sockets: what each costs is bounded, and others are served on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import grpc
import grpc.aio
import pytest

from dchat.config.models import GrpcSection
from dchat.doors.grpc import guard as grpc_guard
from dchat.doors.grpc import requests as grpc_requests
from dchat.doors.grpc.door import LARGE, MANY_MAX
from dchat.doors.grpc.guard import Guard, Turns, bounds_of
from dchat.doors.grpc.requests import REQUEST_BYTES_MAX
from dchat.doors.metrics.exposition import memory_bytes
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.event_feed import WHERE_MAX, EventFeed
from dchat.doors.reads.limits import share_of
from proto.dchat.v1 import governance_service_pb2, service_pb2, staking_service_pb2
from proto.dchat.v1 import service_pb2 as pb
from tests.support.node.hostile import DATA, END_STREAM, Http2, frame, http2, is_cut, message_start
from tests.support.node.running import Running, running_node, until
from tests.support.patience import PATIENCE_S

MIB = 1 << 20
BROADCAST = "/dchat.v1.TxService/Broadcast"


def guard_of(running: Running) -> Guard:
    door = running.node.doors.grpc
    assert door is not None
    return door.guard


async def pour(client: Http2, *, streams: int, size: int, whole: bool, bytes_max: int, idle_s: float) -> None:
    """Begin `streams` requests of `size` bytes each and send as much of them as the node takes; whole: and end them."""
    left = {}
    for number in range(streams):
        stream = 2 * number + 1
        client.open(stream, BROADCAST)
        client.send(stream, message_start(size))
        left[stream] = size if whole else size - 1
    piece = bytes(16_384)
    last = time.monotonic()
    while not client.is_closed and client.sent < bytes_max and time.monotonic() - last < idle_s:
        for stream, window in list(client.windows.items()):
            step = min(len(piece), left[stream])
            if step and min(window, client.window) >= step:
                client.send(stream, piece[:step])
                left[stream] -= step
                last = time.monotonic()
        client.heard.clear()
        with contextlib.suppress(TimeoutError, OSError):
            await client.writer.drain()
            async with asyncio.timeout(0.05):
                await client.heard.wait()


@contextlib.asynccontextmanager
async def peak() -> AsyncIterator[list[int]]:
    """[bytes of memory that the process grew by at most meanwhile]; this client's own are among them."""
    before, grown = memory_bytes(), [0]

    async def look() -> None:
        while True:
            grown[0] = max(grown[0], memory_bytes() - before)
            await asyncio.sleep(0.01)

    looking = asyncio.create_task(look())
    try:
        yield grown
    finally:
        looking.cancel()


@pytest.mark.parametrize("whole", [False, True])
async def test_many_large_requests_of_one_connection_hold_little(whole: bool, tmp_path: Path) -> None:
    """audit 13, grpc#39803: a request is not read before its turn has come, turns are few, and what was read counts
    against its client until it is answered. Before, unfinished ones took 410 MB."""
    async with running_node(tmp_path) as running, running.client() as client:
        options = running.node.config.grpc
        size = options.message_bytes_max - 100
        await client.status()
        async with peak() as grown, http2(running.ports[0]) as hostile:
            await pour(hostile, streams=100, size=size, whole=whole, bytes_max=500 * MIB, idle_s=0.5)
            assert (await client.status()).latest_block_height > 0  # while all that is open
        assert grown[0] < 100 * MIB, f"{grown[0] >> 20} MiB more, of {hostile.sent >> 20} MiB sent"
        await client.wait_for_height(running.node.views.answers.height + 2)


async def test_requests_that_are_refused_are_not_remembered(tmp_path: Path) -> None:
    """audit 13: before, each stayed in memory until a full garbage collection, which a node seldom makes."""
    async with running_node(tmp_path) as running, running.channel() as channel:
        gc.collect()
        gc.disable()
        try:
            junk = b"\xff" * (running.node.config.grpc.message_bytes_max - 1_000)
            async with peak() as grown:
                for _ in range(60):
                    with pytest.raises(grpc.aio.AioRpcError) as refused:
                        await channel.unary_unary(BROADCAST)(junk, timeout=PATIENCE_S)
                    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        finally:
            gc.enable()
        assert grown[0] < 100 * MIB, f"{grown[0] >> 20} MiB more"


async def test_requests_that_are_being_answered_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """grpc#39803: with requests of the largest size waiting for their answers, the next is told to try later."""
    monkeypatch.setattr(grpc_guard, "REQUESTS_BYTES_MAX", 10 * MIB)
    async with running_node(tmp_path) as running, running.channel() as channel:
        guard = guard_of(running)
        never = asyncio.Event()
        monkeypatch.setattr(running.node.pool, "submit", lambda tx, **_: never.wait())
        request = pb.BroadcastRequest(tx=bytes(4_000_000)).SerializeToString()
        calls = [channel.unary_unary(BROADCAST)(request, timeout=30) for _ in range(8)]
        done, waiting = await asyncio.wait([asyncio.ensure_future(call) for call in calls], timeout=3)
        codes = {error.code() for call in done if isinstance(error := call.exception(), grpc.aio.AioRpcError)}
        assert (len(waiting), codes) == (1, {grpc.StatusCode.RESOURCE_EXHAUSTED})
        assert guard.requests.used <= 10 * MIB
        for call in calls:
            call.cancel()
        await until(lambda: guard.requests.used == 0)


async def test_a_request_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: a deadline for the body; the slot and the turn are given back."""
    monkeypatch.setattr(grpc_guard, "READ_S", 0.2)
    async with running_node(tmp_path) as running:
        guard = guard_of(running)
        async with http2(running.ports[0]) as hostile:
            for stream in (1, 3, 5):
                hostile.open(stream, BROADCAST)
                hostile.send(stream, message_start(1_000) + bytes(10))
            await until(lambda: hostile.ended >= {1, 3, 5})
        assert guard.counts["DEADLINE_EXCEEDED"] == 3
        await until(lambda: guard.open_calls.used == 0)


async def test_a_call_without_a_request_is_the_clients_fault(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        async with http2(running.ports[0]) as hostile:
            hostile.open(1, BROADCAST, ends=True)
            hostile.open(3, BROADCAST)
            hostile.writer.write(frame(DATA, END_STREAM, 3))
            await until(lambda: hostile.ended >= {1, 3})
        assert guard_of(running).counts["INVALID_ARGUMENT"] == 2


async def test_silent_connections_are_left_and_one_client_has_only_its_share(tmp_path: Path) -> None:
    """audit 13: idle connections took all file handles, and LevelDB's with them."""
    options = "connections_max = 40\n"
    async with running_node(tmp_path, grpc=options) as running, running.client() as client:
        door = running.node.doors.grpc
        assert door is not None
        share = share_of(40, "local")
        async with contextlib.AsyncExitStack() as held:
            greedy = []
            for _ in range(60):
                with contextlib.suppress(OSError):
                    greedy.append(await held.enter_async_context(http2(running.ports[0])))
            await until(lambda: sum(one.is_closed for one in greedy) >= len(greedy) - share)
            assert door.connections is not None
            await until(lambda: door.connections is not None and 0 < door.connections.size <= share)
            await client.wait_for_height(running.node.views.answers.height + 2)


async def test_a_connection_that_says_nothing_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: a deadline for the first bytes too."""
    monkeypatch.setattr("dchat.doors.grpc.server.HANDSHAKE_MS", 300)
    async with running_node(tmp_path) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[0])
        assert await is_cut(reader, within_s=10)
        writer.close()


async def test_answers_that_nobody_reads_are_bounded_and_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13, failure 12: a reader that takes nothing holds its share of bytes, and then loses its connection."""
    monkeypatch.setattr(grpc_guard, "ANSWER_STALL_S", 0.5)
    monkeypatch.setattr(grpc_guard, "ANSWERS_BYTES_MAX", 20_000)
    async with running_node(tmp_path) as running, running.client() as client:
        guard = guard_of(running)
        async with http2(running.ports[0], initial_window=0) as hostile:
            for number in range(400):
                stream = 2 * number + 1
                hostile.open(stream, "/dchat.v1.ChainService/GetStatus")
                hostile.send(stream, message_start(0))
            await until(lambda: guard.counts["RESOURCE_EXHAUSTED"] > 0)
            assert guard.answers.used <= 20_000
            await until(lambda: hostile.is_closed)
        assert guard.cut["an answer was not read in time"] > 0
        await until(lambda: guard.answers.used == 0)
        assert (await client.status()).latest_block_height > 0


async def test_a_stream_that_nobody_reads_is_cut_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """failure 12: nothing is queued for a slow reader, and a stalled one does not hold its place for ever."""
    monkeypatch.setattr(grpc_guard, "STREAM_STALL_S", 0.5)
    async with running_node(tmp_path) as running:
        guard = guard_of(running)
        async with http2(running.ports[0], initial_window=0) as hostile:
            hostile.open(1, "/dchat.v1.ChainService/StreamBlocks")
            request = pb.StreamBlocksRequest(from_height=1).SerializeToString()
            hostile.send(1, message_start(len(request)) + request)
            await until(lambda: hostile.is_closed)
        assert guard.cut["a stream was not read in time"] == 1
        await until(lambda: guard.streams.used == 0)


@pytest.mark.parametrize(
    "path", ["/grpc.health.v1.Health/Check", "/dchat.v1.ChainService/GetStatus", "/of.Nobody/Asks"]
)
async def test_a_client_that_floods_loses_its_connection(path: str, tmp_path: Path) -> None:
    """audit 13: this machine's own programs have a bound as well; health and reflection count too."""
    limit = "\n[rate_limit]\nrequests_per_second = 1\n"
    async with running_node(tmp_path, options=limit) as running:
        running.node.doors.rate._now_ns = lambda: 10**18  # no second passes, however slow the machine
        guard = guard_of(running)
        async with http2(running.ports[0]) as hostile:
            for number in range(400):
                hostile.open(2 * number + 1, path)
                hostile.send(2 * number + 1, message_start(0))
            await until(lambda: hostile.is_closed)
        assert guard.cut["flooding"] > 0
        assert guard.counts["RESOURCE_EXHAUSTED"] > 0
        await until(lambda: guard.open_calls.used == 0)


async def test_reflection_takes_small_questions_and_not_for_ever(tmp_path: Path) -> None:
    """audit 13: a service that is not ours has the same limits."""
    async with running_node(tmp_path) as running, running.channel() as channel:
        path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        call = channel.stream_stream(path)(iter([bytes(5_000)]), timeout=PATIENCE_S)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call.read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        await until(lambda: guard_of(running).streams.used == 0)


# ------------------------------------------------------------------------------------------------------------ turns


async def hold(turns: Turns, client: str, log: list[str], leave: asyncio.Event) -> None:
    try:
        async with turns.hold(client, f"{client}:1"):
            log.append(client)
            await leave.wait()
    except TimeoutError:
        log.append(f"-{client}")


async def test_turns_go_round_and_a_slow_one_has_little_time_while_others_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: four that send nothing must not keep others from being read."""
    monkeypatch.setattr(grpc_guard, "READ_S", 30.0)
    monkeypatch.setattr(grpc_guard, "CONTENDED_READ_S", 0.1)
    turns, log, never = Turns(4), list[str](), asyncio.Event()
    slow = [asyncio.create_task(hold(turns, f"192.0.2.{number}", log, never)) for number in range(4)]
    await until(lambda: len(log) == 4)
    leave = asyncio.Event()
    leave.set()
    quick = [asyncio.create_task(hold(turns, client, log, leave)) for client in ("a", "a", "a", "b")]
    await asyncio.gather(*slow, *quick)
    assert sorted(log[4:8]) != sorted(["a", "a", "a", "b"]) or log.index("b") < len(log) - 1  # b is not last of all
    assert sorted(entry for entry in log if entry.startswith("-")) == [f"-192.0.2.{number}" for number in range(4)]
    assert turns._reading.total() == 0
    assert not turns._waiting


async def test_who_gives_up_waiting_leaves_no_trace() -> None:
    turns, log, never = Turns(1), list[str](), asyncio.Event()
    first = asyncio.create_task(hold(turns, "a", log, never))
    await until(lambda: log == ["a"])
    waiting = [asyncio.create_task(hold(turns, "b", log, never)) for _ in range(3)]
    await until(lambda: len(turns._waiting.get(("b", "b:1"), ())) == 3)
    for task in (*waiting, first):
        task.cancel()
    await asyncio.gather(first, *waiting, return_exceptions=True)
    assert turns._reading.total() == 0
    assert not turns._waiting
    leave = asyncio.Event()
    leave.set()
    await hold(turns, "c", log, leave)
    assert log[-1] == "c"


@pytest.mark.parametrize("size", [65_536, 4 * MIB, 16 * MIB, 100 * MIB])
def test_the_bounds_hold_for_any_size_of_a_request(size: int) -> None:
    """audit 13: what is stated in the docs follows from the options."""
    bounds = bounds_of(GrpcSection(message_bytes_max=size))
    assert bounds.reading <= max(32 * MIB, 4 * size)
    assert bounds.requests == max(32 * MIB, size)


METHODS = [
    f"/{service.full_name}/{method.name}"
    for file in (service_pb2, staking_service_pb2, governance_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]


async def test_no_question_is_parsed_that_is_larger_than_questions_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 13: two million conditions in one request for a stream held the loop for 1.4 s, without a key or a coin."""
    parsed: list[int] = []
    async with running_node(tmp_path) as running, grpc.aio.insecure_channel(running.grpc) as channel:
        monkeypatch.setattr(grpc_requests._Method, "_parsed", lambda self, data: parsed.append(len(data)))
        for path in METHODS:
            if path in LARGE:
                continue
            call = channel.unary_stream(path)(b"\x22\x00" * (REQUEST_BYTES_MAX // 2 + 1), timeout=PATIENCE_S)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                assert [item async for item in call] == []
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, path
            assert f"allowed of this method: {REQUEST_BYTES_MAX}" in str(caught.value.details()), path
    assert parsed == []


async def test_what_stands_in_a_request_is_counted_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 13"""
    async with running_node(tmp_path) as running, grpc.aio.insecure_channel(running.grpc) as channel:
        parsed: list[int] = []
        monkeypatch.setattr(grpc_requests._Method, "_parsed", lambda self, data: parsed.append(len(data)))
        for path, request, says in (
            ("/dchat.v1.TxService/BroadcastMany", b"\x0a\x00" * 2_000_000, f"more than {MANY_MAX} transactions"),
            ("/dchat.v1.TxService/BroadcastMany", b"\x7a\x00" * 2_000_000, "fields beside those that are known"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(path)(request, timeout=PATIENCE_S)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert says in str(caught.value.details())
        assert parsed == []


async def test_conditions_are_counted_before_one_is_read() -> None:
    class Conditions(list[object]):
        def __iter__(self) -> Iterator[object]:
            raise AssertionError("one was read")

    feed = EventFeed(SimpleNamespace(height=1, base=1), SimpleNamespace())  # type: ignore[arg-type]
    request = SimpleNamespace(where=Conditions([0] * (WHERE_MAX + 1)), types=[])
    with pytest.raises(BadQuestion, match=f"where has {WHERE_MAX + 1} entries"):
        await anext(feed.stream(request))  # type: ignore[arg-type]
