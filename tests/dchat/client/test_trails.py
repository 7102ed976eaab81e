"""A peer that lies about its blocks: refused with a plain word, within bounds, and never believed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

import dchat.client.trails as trails_module
from chain.tx.messages import Payment
from dchat.autopsy.errors import AutopsyError
from dchat.autopsy.search import examine
from dchat.client.client import Client
from dchat.client.trails import Peer
from dchat.client.wallet import Session
from proto.dchat.v1 import trail_service_pb2 as pb
from tests.support.node.lying import LyingDoor, lying_door, says, twists
from tests.support.node.running import Running, running_node

HASH = b"h" * 32
ENDLESS = pb.ListTrailWritesResponse(has_more=True)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Running, LyingDoor, int]]:
    with capture_logs():
        async with running_node(tmp_path) as running, lying_door(running.grpc) as door:
            async with running.client() as client:
                wallet = running.account("alice").wallet
                made = await Session(client, wallet).send([Payment(wallet.address, b"\x01" * 20, 5)])
                await client.wait_for_height(made.height + 2)
            yield running, door, made.height


async def test_an_honest_peer_is_understood(world: tuple[Running, LyingDoor, int]) -> None:
    running, door, height = world
    async with Client(running.grpc) as client, Client(door.address) as same:
        peer = Peer(client)
        lowest, highest = await peer.bounds()
        assert lowest == 1
        assert highest >= height
        trail = await peer.steps(height)
        assert (len(trail.steps), trail.again) == (3, False)
        assert (await peer.head(height)).app_hash == trail.app_hash
        writes = await peer.writes(trail, 1)
        assert b"ua" + b"\x01" * 20 in writes
        assert not trail.steps[1].writes
        assert (await examine([peer, Peer(same, "same")])).height is None
        with pytest.raises(AutopsyError, match="no block 1000000 was executed here: this node has 1 to"):
            await peer.steps(1_000_000)
    assert running.node.views.reading.costly.started == 2, "one was made and one refused; pages are not made anew"
    trails = running.node.doors.trails
    remembered, again = trails.remembered(height), trails.again(height)
    assert again.again
    assert remembered == again, "what is not remembered is executed again, and comes to the same"


def _swap_hash(answer: Any) -> None:
    answer.trail.app_hash = HASH[1:]


LIES: dict[str, tuple[str, Any]] = {
    "no heights": ("ListTrails", says(pb.ListTrailsResponse())),
    "heights that cannot be": ("ListTrails", says(pb.ListTrailsResponse(lowest=9, highest=3))),
    "another height": ("ListTrails", twists(lambda answer: answer.trails[0].__setattr__("height", 5_000))),
    "many heights": ("ListTrails", twists(lambda answer: answer.trails.extend(list(answer.trails) * 50))),
    "no steps": ("ListTrailSteps", twists(lambda answer: answer.ClearField("steps"))),
    "steps without an end": ("ListTrailSteps", twists(lambda answer: answer.__setattr__("count", 1 << 31))),
    "a short hash": ("ListTrailSteps", twists(_swap_hash)),
    "writes with the steps": ("ListTrailSteps", twists(lambda answer: answer.steps[0].writes.add(key=b"ua"))),
    "no writes": ("ListTrailWrites", says(pb.ListTrailWritesResponse())),
    "writes without an end": ("ListTrailWrites", says(ENDLESS)),
    "other writes": ("ListTrailWrites", twists(lambda answer: answer.writes[0].__setattr__("value", b"0"))),
    "the same page again": ("ListTrailWrites", twists(lambda answer: answer.__setattr__("has_more", True))),
    "too much": ("ListTrailWrites", says(pb.ListTrailWritesResponse(writes=[pb.TrailWrite(key=bytes(20 << 20))]))),
}


async def test_lies_are_refused(world: tuple[Running, LyingDoor, int]) -> None:
    _, door, height = world
    believed = []
    async with Client(door.address, answer_bytes_max=8 << 20) as client:
        peer = Peer(client)
        for lie, (method, how) in LIES.items():
            door.lies = {method: how}
            try:
                await peer.bounds()
                await peer.head(height)
                await peer.writes(await peer.steps(height), 1)
                believed.append(lie)
            except AutopsyError:
                continue
    assert believed == []


async def _one_more_write(request: Any, honest: Any) -> pb.ListTrailWritesResponse:
    """Ascending, of the largest size, without an end."""
    number = int.from_bytes(request.after[2:], "big") + 1
    return pb.ListTrailWritesResponse(
        writes=[pb.TrailWrite(key=b"ua" + number.to_bytes(20, "big"), value=bytes(65_536))], has_more=True
    )


async def _one_more_step(request: Any, honest: Any) -> pb.ListTrailStepsResponse:
    first = request.from_step == 0
    request.from_step = 0
    answer: pb.ListTrailStepsResponse = await honest()
    step = pb.TrailStep()
    step.CopyFrom(answer.steps[0 if first else 1])
    del answer.steps[:]
    answer.steps.append(step)
    answer.count = 1_000_000
    return answer


async def test_pages_without_an_end_take_no_memory_and_no_days(
    world: tuple[Running, LyingDoor, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of writes of 64 KiB a million were allowed, and a page might have one."""
    _, door, height = world
    monkeypatch.setattr(trails_module, "WRITES_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(trails_module, "PAGES_MAX", 40)
    async with Client(door.address, answer_bytes_max=8 << 20) as client:
        peer = Peer(client)
        trail = await peer.steps(height)
        door.lies = {"ListTrailWrites": _one_more_write, "ListTrailSteps": _one_more_step}
        with pytest.raises(AutopsyError, match="more than 1048576 bytes of writes"):
            await peer.writes(trail, 1)
        monkeypatch.setattr(trails_module, "WRITES_BYTES_MAX", 1 << 40)
        with pytest.raises(AutopsyError, match="no end after 40 pages"):
            await peer.writes(trail, 1)
        with pytest.raises(AutopsyError, match="no end after 40 pages"):
            await peer.steps(height)


async def test_questions_that_are_none(world: tuple[Running, LyingDoor, int]) -> None:
    running, _, height = world
    asked: list[tuple[Callable[..., Any], Any, str]]
    async with Client(running.grpc) as client:
        trails = client.trails
        asked = [
            (trails.ListTrails, pb.ListTrailsRequest(limit=101), "limit is 101; allowed: 1 to 100"),
            (trails.ListTrails, pb.ListTrailsRequest(from_height=-1), "from_height is -1; this node has 1 to"),
            (trails.ListTrailSteps, pb.ListTrailStepsRequest(height=height, limit=2_001), "allowed: 1 to 2000"),
            (trails.ListTrailSteps, pb.ListTrailStepsRequest(height=-5), "no block -5 was executed here"),
            (
                trails.ListTrailWrites,
                pb.ListTrailWritesRequest(height=height, step=3),
                "has the steps 0 to 2, and no 3",
            ),
            (
                trails.ListTrailWrites,
                pb.ListTrailWritesRequest(height=height, step=1, after=bytes(1_025)),
                "after has 1025 bytes",
            ),
        ]
        for method, request, said in asked:
            with pytest.raises(Exception, match=said):
                await client.call(method, request)
        beyond = await client.call(trails.ListTrailSteps, pb.ListTrailStepsRequest(height=height, from_step=99))
        assert (beyond.count, len(beyond.steps)) == (3, 0)
