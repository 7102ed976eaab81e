"""What one client, and all together, may ask of the doors: each limit refuses clearly, and others are served on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import grpc.aio
import pytest

from dchat.client.client import ClientError
from dchat.doors.grpc.door import MANY_MAX
from dchat.doors.reads import limits
from dchat.doors.reads.errors import Busy, Flooding
from dchat.doors.reads.limits import Proxies, RateLimit, Slots
from tests.support.node.running import Running, running_node


class Clock:
    now_ns = 10**9

    def __call__(self) -> int:
        return self.now_ns


def taken(rate: RateLimit, host: str, count: int) -> int:
    """How many of `count` requests were let through."""
    through = 0
    for _ in range(count):
        try:
            rate.take(host)
            through += 1
        except Busy:
            continue
    return through


def test_each_client_has_its_own_rate() -> None:
    clock = Clock()
    rate = RateLimit(10, now_ns=clock)
    assert taken(rate, "192.0.2.1", 100) == 10 * limits.BURST_FACTOR
    assert taken(rate, "192.0.2.2", 5) == 5
    clock.now_ns += 10**9
    assert taken(rate, "192.0.2.1", 100) == 10
    clock.now_ns += 60 * 10**9
    assert taken(rate, "192.0.2.1", 100) == 10 * limits.BURST_FACTOR
    assert rate.refused == 80 + 90 + 80
    with pytest.raises(Busy, match=r"more than 10 requests a second from 192\.0\.2\.1; try later"):
        rate.take("192.0.2.1")


@pytest.mark.parametrize(
    ("host", "forwarded", "asker"),
    [
        pytest.param("192.0.2.9", ["203.0.113.5"], "192.0.2.9", id="no proxy of ours: its word is nobody's"),
        pytest.param("10.0.0.1", ["203.0.113.5"], "203.0.113.5", id="a proxy of ours"),
        pytest.param("::ffff:10.0.0.1", ["203.0.113.5"], "203.0.113.5", id="the same over IPv6"),
        pytest.param("10.0.0.1", ["1.1.1.1, 203.0.113.5"], "203.0.113.5", id="what a client says before it"),
        pytest.param("10.0.0.1", ["1.1.1.1", "203.0.113.5"], "203.0.113.5", id="in a header of its own"),
        pytest.param("10.0.0.1", ["203.0.113.5, 10.0.0.2,10.0.0.3"], "203.0.113.5", id="proxies behind each other"),
        pytest.param("fd00::1", ["[2001:db8::7]:443"], "2001:db8::7", id="IPv6 and a port"),
        pytest.param("10.0.0.1", ["203.0.113.5:1234"], "203.0.113.5", id="a port"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="it says nothing"),
        pytest.param("10.0.0.1", ["203.0.113.5, unknown"], "10.0.0.1", id="it says what is no address"),
        pytest.param("10.0.0.1", ["127.0.0.1"], "10.0.0.1", id="a program on the proxy's machine is none of this one"),
        pytest.param("10.0.0.1", ["10.0.0.2"], "10.0.0.1", id="nobody but proxies"),
        pytest.param("10.0.0.1", ["203.0.113.5," + "10.0.0.2," * 5_000], "10.0.0.1", id="without end"),
    ],
)
def test_who_asks_through_a_proxy(host: str, forwarded: list[str], asker: str) -> None:
    assert Proxies(["10.0.0.0/8", "fd00::1"]).asker(host, forwarded) == asker


@pytest.mark.network
async def test_clients_behind_our_proxy_each_have_their_own(tmp_path: Path) -> None:
    """Audit 71: all of a proxy's clients were one: the first that asked much kept all others out."""
    options = '\n[rate_limit]\nrequests_per_second = 1\ntrusted_proxies = ["127.0.0.1"]\n'
    async with running_node(tmp_path, options=options) as one, aiohttp.ClientSession() as http:
        for door, url in enumerate((f"{one.rpc}/health", f"http://127.0.0.1:{one.ports[1]}/health")):

            async def asked(client: str, url: str = url) -> list[int]:
                found = []
                for _ in range(4):
                    async with http.get(url, headers={"X-Forwarded-For": f"198.51.100.1, {client}"}) as answer:
                        found.append(answer.status)
                return found

            assert 503 in await asked(f"203.0.113.{door}")
            assert (await asked(f"192.0.2.{door}"))[0] == 200


@pytest.mark.network
async def test_grpc_clients_behind_our_proxy_each_have_their_own(tmp_path: Path) -> None:
    """All calls of a proxy were one client's at this door, whatever the option named."""
    options = '\n[rate_limit]\nrequests_per_second = 1\ntrusted_proxies = ["127.0.0.1"]\n'
    async with running_node(tmp_path, options=options) as one, one.channel() as channel:
        ask = channel.unary_unary("/dchat.v1.ChainService/GetStatus")

        async def once(client: str) -> str:
            try:
                await ask(b"", metadata=(("x-forwarded-for", f"198.51.100.1, {client}"),))
                return "OK"
            except grpc.aio.AioRpcError as error:
                return error.code().name

        async def asked(client: str, times: int) -> list[str]:
            return await asyncio.gather(*(once(client) for _ in range(times)))

        told = await asked("203.0.113.9", 40)
        assert set(told) == {"OK", "RESOURCE_EXHAUSTED"}
        assert told.count("OK") < 20, "two at once, and one a second"
        assert (await asked("192.0.2.9", 1)) == ["OK"]
        assert (await asked("2001:db8::1", 1)) == ["OK"]
        long = "192.0.2.77, " * 500 + "192.0.2.10"
        assert (await asked(long, 1)) == ["OK"], "what is said is read from its end, as far as there may be proxies"
        assert one.node.doors.grpc is not None
        assert one.node.doors.grpc.guard.cut["flooding"] > 0, "it floods, and the connection of others stays"


@pytest.mark.network
async def test_who_is_no_proxy_says_nothing_of_itself_to_grpc(tmp_path: Path) -> None:
    options = '\n[rate_limit]\nrequests_per_second = 1\ntrusted_proxies = ["10.0.0.1"]\n'
    async with running_node(tmp_path, options=options) as one, one.channel() as channel:
        ask = channel.unary_unary("/dchat.v1.ChainService/GetStatus")
        for _ in range(20):  # this machine has fifty at once: a stranger would have two, and raise here
            await ask(b"", metadata=(("x-forwarded-for", "203.0.113.9"),))
        assert one.node.doors.rate.refused == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "unix", ""])
def test_programs_on_this_machine_have_more_and_not_without_end(host: str) -> None:
    """audit 13: loopback was exempt from every limit."""
    assert taken(RateLimit(1, now_ns=Clock()), host, 500) == limits.LOCAL_FACTOR * limits.BURST_FACTOR


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no address", "unknown"),
    ],
)
def test_whom_an_address_counts_to(host: str, client: str) -> None:
    """audit 13: a host has all addresses of its /64, and each would have limits of its own."""
    assert limits.client_of(host) == client
    assert limits.client_of(client) == client


def test_costly_requests_count_as_several_and_who_goes_on_floods() -> None:
    clock = Clock()
    rate = RateLimit(10, now_ns=clock)
    rate.take("192.0.2.1", cost=10)
    rate.take("192.0.2.1", cost=1_000)  # never more than a second's worth
    for _ in range(10 * limits.BURST_FACTOR):
        with pytest.raises(Busy) as refused:
            rate.take("192.0.2.1")
        assert type(refused.value) is Busy
    with pytest.raises(Flooding):
        rate.take("192.0.2.1")
    for _ in range(100):  # three times as fast as it may: no pause between makes it forgotten
        clock.now_ns += 10**8
        rate.take("192.0.2.1")
        for _ in range(2):
            with pytest.raises(Flooding):
                rate.take("192.0.2.1")
    clock.now_ns += 3 * 10**9
    for _ in range(10 * limits.BURST_FACTOR):
        rate.take("192.0.2.1")  # who waits is welcome again
    with pytest.raises(Busy) as refused:
        rate.take("192.0.2.1")
    assert type(refused.value) is Busy


def test_no_client_has_all_slots() -> None:
    slots = Slots("calls", 8)
    for _ in range(2):
        slots.take("192.0.2.1")
    with pytest.raises(Busy, match="2 calls at once are the limit of one client; try later"):
        slots.take("192.0.2.1")
    for _ in range(6):
        slots.take()
    with pytest.raises(Busy, match="8 calls at once are the limit; try later"):
        slots.take("192.0.2.2")
    slots.give("192.0.2.1")
    slots.take("192.0.2.2")


def test_room_is_for_bytes_and_one_thing_of_any_size_passes() -> None:
    room = limits.Room("requests", 100)
    room.take("192.0.2.1", 90)  # alone
    with pytest.raises(Busy, match="100 bytes of requests at once are the limit, 25 of one client"):
        room.take("192.0.2.1", 1)
    with pytest.raises(Busy):
        room.take("192.0.2.2", 20)
    room.give("192.0.2.1", 90)
    room.take("192.0.2.2", 500)
    room.give("192.0.2.2", 500)
    assert (room.used, room.refused, dict(room._by_client)) == (0, 2, {})


def test_no_rate_is_no_limit() -> None:
    assert taken(RateLimit(0), "192.0.2.1", 500) == 500


def test_remembered_clients_are_bounded_and_the_longest_silent_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure 13: addresses are cheap, and must not fill the memory."""
    monkeypatch.setattr(limits, "CLIENTS_MAX", 3)
    rate = RateLimit(1, now_ns=Clock())
    for number in range(10):
        taken(rate, f"192.0.2.{number}", 5)
    assert list(rate._buckets) == ["192.0.2.7", "192.0.2.8", "192.0.2.9"]


def test_slots_are_given_back_whatever_happens() -> None:
    slots = Slots("calls", 1)
    with pytest.raises(ZeroDivisionError), slots.hold():
        with pytest.raises(Busy, match="1 calls at once are the limit; try later"), slots.hold():
            pass
        raise ZeroDivisionError
    with slots.hold():
        assert (slots.used, slots.refused) == (1, 1)
    assert slots.used == 0


async def get(running: Running, path: str, **options: object) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{running.ports[1]}{path}"
        async with http.get(url, **options) as answer:  # type: ignore[arg-type]
            return answer.status, await answer.text()


async def test_limits_of_the_http_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure 13: too many at once, too long, too slow: each has its status, and the next is served."""
    async with running_node(tmp_path) as running:
        door = running.node.doors.http
        monkeypatch.setattr(door.slots, "used", door.slots.slots_max)
        status, text = await get(running, "/status")
        assert (status, "at once are the limit; try later" in text) == (503, True)
        monkeypatch.setattr(door.slots, "used", 0)
        assert (await get(running, "/chain/blocks?limit=" + "9" * 9_000))[0] == 400
        for limit in ("0", "101", "-1", "²", "x", ""):
            status, text = await get(running, "/chain/blocks", params={"limit": limit})
            assert (status, "allowed: 1 to 100" in text) == (400, True), limit

        async def never(limit: int) -> dict[str, object]:
            await asyncio.Event().wait()
            return {}

        monkeypatch.setattr(type(running.node.views), "blocks", lambda _, limit, client: never(limit))
        monkeypatch.setattr(door, "_options", door._options.model_copy(update={"request_timeout": 50}))
        status, text = await get(running, "/chain/blocks")
        assert (status, "no answer in time" in text) == (504, True)
        assert (await get(running, "/status"))[0] == 200


async def test_many_transactions_at_once_are_bounded(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client:
        with pytest.raises(ClientError, match=f"allowed: {MANY_MAX}"):
            await client.broadcast_many([b""] * (MANY_MAX + 1))


async def test_channels_are_listed_from_where_the_page_begins(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client:
        assert list((await client.channels(after=b"\xff" * 40)).channels) == []
        with pytest.raises(ClientError, match="allowed: 1 to 100"):
            await client.channels(limit=101)
