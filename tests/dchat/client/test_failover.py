"""A client of several nodes: who is away, behind, of another chain, or lies is left for the next; nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
import pytest
import pytest_asyncio

from chain.tx.envelope.tx import decode
from chain.tx.messages import Payment
from consensus.mempool.admission.errors import CODESPACE, Refusal
from consensus.state.cursors import Cursor
from crypto.hash import sha256
from dchat.client import client as client_module
from dchat.client import wallet
from dchat.client.client import Client, NodeUnreachable
from dchat.client.proved import Proved
from dchat.client.verify import ProofFailed, Trust, Verifier
from dchat.client.wallet import Session, TxExpired, TxRefused, Undecided
from dchat.devnet.leases import free_ports
from proto.dchat.v1 import service_pb2 as pb
from tests.support.node.lying import Fault, Honest, Lie, LyingDoor, lying_door, says, twists
from tests.support.node.running import Running, running_node, until

DCHAT = 1_000_000
GONE = "127.0.0.1:1"  # nothing listens there


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running_node(tmp_path_factory.mktemp("chain")) as found:
        yield found


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.network]


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is slow to say where it stands is not one that is away."""
    for name in ("LOOK_S", "COMPARE_S"):
        monkeypatch.setattr(client_module, name, 60.0)


def session_of(client: Client, running: Running, name: str = "alice") -> Session:
    verifier = Verifier(client, Trust.of_genesis(running.node.genesis), chain_id=running.network.chain_id)
    return Session(client, running.account(name).wallet, proved=Proved(verifier))


def payment(running: Running, amount: int) -> Payment:
    return Payment(running.account("alice").address, running.account("bob").address, amount)


async def bobs(running: Running) -> int:
    async with running.client() as client:
        return (await client.account(running.account("bob").address)).account.balance


def catches_up(answer: pb.GetStatusResponse) -> None:
    answer.catching_up = True


def is_elsewhere(answer: pb.GetStatusResponse) -> None:
    answer.chain_id = "another-chain"


def has_more(answer: pb.GetAccountResponse) -> None:
    answer.account.balance += 1


def breaks_signature(answer: pb.GetCommitResponse) -> None:
    commit = answer.light_block.signed_header.commit
    commit.signatures[0].signature = bytes(64)


async def stuck(request: Any, honest: Honest) -> Any:
    raise Fault(grpc.StatusCode.UNAVAILABLE, "gone")


async def never(request: Any, honest: Honest) -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("lies", "why"),
    [
        pytest.param({"GetStatus": twists(catches_up)}, "is catching up", id="catches up"),
        pytest.param({"GetStatus": stuck}, "gone", id="away"),
        pytest.param({"GetStatus": twists(is_elsewhere)}, "another chain", id="of another chain"),
    ],
)
async def test_a_node_that_cannot_be_used_is_left(running: Running, lies: dict[str, Lie], why: str) -> None:
    async with lying_door(running.grpc, **lies) as door, Client([door.address, running.grpc]) as client:
        client.chain_id = running.network.chain_id
        assert (await client.params()).json
        assert client.address == running.grpc
        assert client.route is not None
        assert why.rsplit(maxsplit=1)[-1] in client.route.reasons[door.address]


async def test_where_all_are_away_each_is_named() -> None:
    other = f"127.0.0.1:{free_ports(1)[0].grpc}"
    async with Client([GONE, other]) as client:
        with pytest.raises(NodeUnreachable) as caught:
            await client.status()
    assert f"none of 2 nodes can be used: {GONE}: " in str(caught.value)
    assert other in str(caught.value)


@pytest.mark.parametrize("addresses", [[], [GONE, GONE], [f"h:{port}" for port in range(1, 34)]])
async def test_how_many_nodes_may_be_named(addresses: list[str]) -> None:
    with pytest.raises(ValueError, match="allowed: 1 to 32, each once"):
        Client(addresses)


async def test_a_node_that_goes_away_is_left_in_the_middle(running: Running) -> None:
    async with lying_door(running.grpc) as door, Client([door.address, running.grpc]) as client:
        before = await client.status()
        assert client.address == door.address
        await door.stop()
        assert (await client.status()).latest_block_height >= before.latest_block_height
        assert client.address == running.grpc


@pytest.mark.parametrize(
    "lies",
    [
        pytest.param({"GetAccount": twists(has_more)}, id="a balance that is not proved"),
        pytest.param({"GetCommit": twists(breaks_signature)}, id="a header that is not signed"),
    ],
)
async def test_a_liar_is_asked_nothing_more(running: Running, lies: dict[str, Lie]) -> None:
    async with lying_door(running.grpc, **lies) as door, Client([door.address, running.grpc]) as client:
        proved = session_of(client, running).proved
        assert proved is not None
        bob = running.account("bob").address

        async def ask() -> int:
            answer = await client.account(bob, height=await client.provable_height(), prove=True)
            await proved.account(answer, bob)
            return answer.account.balance

        assert await client.at_each(ask) == await bobs(running)
        assert client.address == running.grpc
        calls = door.calls
        assert not client.leave("for a test", address=running.grpc), "there is nobody else"
        assert await client.at_each(ask) == await bobs(running)
        assert door.calls == calls


async def test_one_node_that_lies_is_an_error(running: Running) -> None:
    async with lying_door(running.grpc, GetAccount=twists(has_more)) as door, Client(door.address) as client:
        proved, bob = session_of(client, running).proved, running.account("bob").address
        assert proved is not None

        async def ask() -> None:
            await proved.account(await client.account(bob, height=await client.provable_height(), prove=True), bob)

        with pytest.raises(ProofFailed):
            await client.at_each(ask)


def admitted(raw_of: LyingDoor) -> Lie:
    async def lie(request: pb.BroadcastRequest, honest: Honest) -> Any:
        return pb.BroadcastResponse(hash=sha256(request.tx))

    return lie


async def says_in_a_block(request: pb.BroadcastRequest, honest: Honest) -> Any:
    return pb.BroadcastResponse(hash=sha256(request.tx), height=2)


async def says_unknown(request: pb.GetTxRequest, honest: Honest) -> Any:
    raise Fault(grpc.StatusCode.NOT_FOUND, "no such transaction")


REFUSED = pb.BroadcastResponse(code=int(Refusal.EXPIRED), codespace=CODESPACE, log="it says so")


@pytest.mark.parametrize(
    "lies",
    [
        pytest.param({"Broadcast": never}, id="it does not answer"),
        pytest.param({"Broadcast": says(REFUSED)}, id="it refuses"),
        pytest.param({"Broadcast": says(REFUSED), "GetTx": says_unknown}, id="it refuses, and knows nothing"),
        pytest.param({"Broadcast": says_in_a_block}, id="it claims a block"),
    ],
)
async def test_what_one_node_keeps_back_goes_to_the_next(
    running: Running, lies: dict[str, Lie], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallet, "EACH_S", 1.5)
    before = await bobs(running)
    async with lying_door(running.grpc, **lies) as door, Client([door.address, running.grpc]) as client:
        outcome = await session_of(client, running).send([payment(running, 3)])
        assert outcome.proved_by > outcome.height > 0
        assert len(door.handed) == 1
        assert decode(door.handed[0]).id == outcome.hash, "the same bytes went to both"
    assert await bobs(running) == before + 3


async def test_what_all_refuse_is_refused(running: Running) -> None:
    before = await bobs(running)
    async with contextlib.AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(lying_door(running.grpc, Broadcast=says(REFUSED))) for _ in "ab"]
        client = await stack.enter_async_context(Client([door.address for door in doors]))
        with pytest.raises(TxRefused, match="it says so"):
            await session_of(client, running).send([payment(running, 5)])
        assert [len(door.handed) for door in doors] == [1, 1]
    assert await bobs(running) == before


@pytest.mark.parametrize("unordered", [False, True], ids=["ordered", "unordered"])
async def test_what_nobody_executes_expires_and_that_is_shown(
    running: Running, unordered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallet, "RESEND_FIRST_S", 0.05)
    busy = pb.BroadcastResponse(code=int(Refusal.FULL), codespace=CODESPACE, log="full")
    async with contextlib.AsyncExitStack() as stack:
        doors = [await stack.enter_async_context(lying_door(running.grpc, Broadcast=says(busy))) for _ in "ab"]
        client = await stack.enter_async_context(Client([door.address for door in doors]))
        with pytest.raises(TxExpired, match="as their headers show") as caught:
            await session_of(client, running).send([payment(running, 7)], unordered=unordered, expiry_blocks=3)
    assert caught.value.is_shown


async def test_what_expired_in_words_alone_is_found_by_its_proof(running: Running) -> None:
    """A node that says nothing but that the chain is far ahead: the next one shows what became of it."""
    async with lying_door(running.grpc) as door, Client([door.address, running.grpc]) as client:
        session = session_of(client, running)

        async def passes_on_and_is_silent(request: pb.BroadcastRequest, honest: Honest) -> Any:
            outcome = await honest()
            while (await client.status()).latest_block_height <= decode(request.tx).expiry_height:
                await client.wait_for_height(decode(request.tx).expiry_height + 1)
            outcome.height, outcome.code, outcome.codespace = 0, int(Refusal.FULL), CODESPACE
            return outcome

        door.lies |= {"Broadcast": passes_on_and_is_silent, "GetTx": says_unknown}
        outcome = await session.send([payment(running, 11)], expiry_blocks=4)
        assert outcome.proved_by
        assert not outcome.code


async def test_the_deadline_leaves_it_undecided(running: Running) -> None:
    async with lying_door(running.grpc, Broadcast=never) as door, Client(door.address) as client:
        session = session_of(client, running)
        with pytest.raises(Undecided, match="may still be executed"):
            await session.send([payment(running, 13)], within_s=0.5)
        assert session.handed is not None
        door.lies.clear()
        assert (await session.hand_in(session.handed)).proved_by


async def events_of(client: Client, height: int, many: int, **how: Any) -> list[Cursor]:
    found: list[Cursor] = []
    async with aclosing(client.stream_events(from_height=height, **how)) as stream:
        async for told in stream:
            found.append(Cursor(told.cursor.height, told.cursor.index))
            if len(found) == many:
                break
    return found


@pytest.mark.parametrize("silent", [False, True], ids=["ends", "says nothing more"])
async def test_a_stream_goes_on_at_the_next_node(
    running: Running, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a gap, and nothing twice."""
    monkeypatch.setattr(client_module, "STALL_S", 0.3)
    async with lying_door(running.grpc) as first, lying_door(running.grpc) as second, running.client() as plain:
        await plain.wait_for_height(8)
        status = await plain.status()
        for door, many in ((first, 5), (second, 7)):
            door.stream_messages, door.silent = many, silent
            if silent:
                door.lies["GetStatus"] = twists(lambda answer: setattr(answer, "latest_block_height", 1))
        expected = await events_of(plain, 1, 20)
        async with Client([first.address, second.address, running.grpc]) as client:
            assert await events_of(client, 1, 20) == expected
            assert client.address == running.grpc
        for door in (first, second):  # who is silent, and says how far it is
            door.lies.clear()
        async with Client([first.address, second.address, running.grpc]) as client:
            heights = []
            async with aclosing(client.stream_blocks(1)) as blocks:
                async for block in blocks:
                    heights.append(block.block.header.height)
                    if len(heights) == 15:
                        break
        assert heights == list(range(1, 16))
        assert status.latest_block_height >= 8


async def test_a_chain_that_stands_keeps_its_node(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is ahead of a node that says nothing: it is not left."""
    async with lying_door(running.grpc) as door, Client([door.address, running.grpc]) as client:
        assert await client.status()
        assert not await client.leave_if_behind(door.address)
        door.lies["GetStatus"] = twists(lambda answer: setattr(answer, "latest_block_height", 1))
        assert await client.leave_if_behind(door.address)
        assert client.address == running.grpc


async def test_patience_outlasts_a_time_without_any_node(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "AGAIN_S", 0.01)
    async with (
        lying_door(running.grpc) as door,
        Client([door.address, GONE]) as client,
        aclosing(client.stream_blocks(1, patience_s=30)) as blocks,
    ):
        assert (await anext(blocks)).block.header.height == 1
        door.stream_messages = 0  # from the next stream on
        door.cut()
        reading = asyncio.ensure_future(_heights(blocks, 20))
        calls = door.calls
        await until(lambda: door.calls >= calls + 4)  # asked again and again
        door.stream_messages = None
        assert await reading == list(range(2, 22))


async def _heights(blocks: Any, many: int) -> list[int]:
    return [(await anext(blocks)).block.header.height for _ in range(many)]
