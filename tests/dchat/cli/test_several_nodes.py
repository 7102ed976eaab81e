"""`--node`, given several times: one that is away or lies costs a command nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crypto.hash import sha256
from proto.dchat.v1 import service_pb2 as pb
from tests.support.cli.lying_world import World
from tests.support.node.lying import Honest, lying_door, twists
from tests.support.node.running import running_node

pytestmark = pytest.mark.network
GONE = "127.0.0.1:1"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_node(tmp_path / "node") as running, lying_door(running.grpc) as door:
        yield World(running, door)


def is_richer(answer: pb.GetAccountResponse) -> None:
    answer.account.balance += 1


async def says_done(request: pb.BroadcastRequest, honest: Honest) -> pb.BroadcastResponse:
    return pb.BroadcastResponse(hash=sha256(request.tx), height=2)


async def test_commands_go_on_at_the_next_node(world: World) -> None:
    nodes = f"{GONE},{world.door.address},{world.running.grpc}"
    world.door.lies |= {"GetAccount": twists(is_richer)}
    bob = ("query", "account", world.file("bob"))
    assert (await world.dchat(*bob, "--prove", node=world.door.address)).exit_code == 5
    told = await world.dchat(*bob, "--prove", node=nodes)
    assert told.exit_code == 0, told.output
    assert "1000000000000" in told.output
    world.door.lies = {"Broadcast": says_done}
    alice, to = world.file("alice"), world.file("bob")
    paid = await world.dchat("tx", "pay", "--from", alice, "--to", to, "--amount", 1, node=nodes)
    assert paid.exit_code == 0, paid.output
    assert await world.paid() == 1, "the same bytes went to both"
    assert (
        f'"node": "{world.running.grpc}"' in (await world.dchat("status", node=f"{GONE},{world.running.grpc}")).output
    )


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        pytest.param(f"{GONE},{GONE}", "names 2 nodes; allowed: 1 to 32, each once", id="twice"),
        pytest.param(f"{GONE},here", "'here'; expected HOST:PORT", id="no address"),
        pytest.param(f"{GONE},", "''; expected HOST:PORT", id="an end without one"),
        pytest.param(",".join(f"h:{port}" for port in range(1, 34)), "names 33 nodes", id="too many"),
    ],
)
async def test_what_is_no_list_of_nodes_is_said(world: World, nodes: str, says: str) -> None:
    told = await world.dchat("status", node=nodes)
    assert told.exit_code == 2
    assert says in told.output


async def test_where_none_answers_each_is_named(world: World) -> None:
    told = await world.dchat("status", node=f"{GONE},127.0.0.1:2")
    assert told.exit_code == 4
    assert f"none of 2 nodes can be used: {GONE}: " in told.output
    assert "127.0.0.1:2: " in told.output
