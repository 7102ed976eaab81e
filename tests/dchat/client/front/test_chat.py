"""The client as a programmer meets it, against a chain of one validator, and liars in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from chain.tx.messages import KIND_OF, Message
from consensus.state.cursors import Cursor
from dchat.client import (
    AskFailed,
    ClientError,
    Dchat,
    Event,
    Identity,
    KeepFailed,
    NodeUnreachable,
    NotFound,
    Outcome,
    OutOfOrder,
    ProofFailed,
    Trust,
    TxExpired,
    TxRefused,
    Undecided,
    address_of,
    channel_of,
    connect,
    load_identity,
    messages,
    new_identity,
    parse_amount,
    shared_account,
)
from dchat.client.front import make_blocking
from proto.dchat.v1 import service_pb2 as pb
from tests.support.node.lying import lying_door, twists
from tests.support.node.running import Running, running_node

DCHAT = 1_000_000
pytestmark = pytest.mark.network


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running_node(tmp_path_factory.mktemp("chain")) as found:
        yield found


def as_(running: Running, name: str = "alice", *nodes: str) -> Dchat:
    genesis = running.network.home_of(running.network.nodes[0]) / "config" / "genesis.json"
    file = running.network.folder / running.network.accounts[name]
    return connect([*nodes, running.grpc], trust=genesis, identity=file)


def test_every_kind_of_message_is_there() -> None:
    assert all(getattr(messages, kind.__name__) is kind for kind in KIND_OF)
    assert all(hasattr(messages, name) for name in messages.__all__)
    with pytest.raises(AttributeError, match="no message is called Bribe"):
        messages.Bribe  # noqa: B018


def test_errors_are_one_tree() -> None:
    for kind in (ClientError, KeepFailed, NodeUnreachable, NotFound, OutOfOrder, ProofFailed, TxExpired, TxRefused):
        assert issubclass(kind, AskFailed)
    assert issubclass(Undecided, NodeUnreachable)


def test_who_and_how_much_is_said_in_words(tmp_path: Path) -> None:
    somebody = new_identity()
    somebody.save(tmp_path / "somebody.json")
    read: Identity = load_identity(tmp_path / "somebody.json")
    assert address_of(read.address_text) == address_of(read.address) == somebody.address
    assert [parse_amount(text) for text in ("5", "5.25 DCHAT", "7udchat")] == [5 * DCHAT, 5_250_000, 7]
    with pytest.raises(ValueError, match="an account has 20 bytes, got 3"):
        address_of(b"abc")


def test_the_blocking_face_is_what_is_made_of_the_other() -> None:
    assert make_blocking.made() == make_blocking.TARGET.read_text(), "python -m dchat.client.front.make_blocking"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        pytest.param({}, "where does trust begin", id="no trust"),
        pytest.param({"trust": "genesis", "believe_nodes_of": "c"}, "neither HEIGHT:HASH nor a genesis", id="no file"),
        pytest.param({"trust": Trust.parse(f"7:{'ab' * 32}"), "believe_nodes_of": "c"}, "where does", id="both"),
        pytest.param({"believe_nodes_of": "c", "nodes": []}, "0 nodes are named", id="no node"),
        pytest.param({"believe_nodes_of": "c", "nodes": "localhost"}, "expected HOST:PORT, of", id="no port"),
        pytest.param({"believe_nodes_of": "c", "nodes": ["http://node:26670"]}, "expected HOST:PORT, of", id="a URL"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_asked(how: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        connect(**how)


@pytest.mark.asyncio(loop_scope="module")
async def test_who_only_reads_signs_nothing() -> None:
    async with connect(believe_nodes_of="somewhere") as chat:
        for asked in (chat.send(), chat.pay(bytes(20), 1), chat.balance()):
            with pytest.raises(ValueError, match="identity"):
                await asked


@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_paid_is_there_at_once(running: Running) -> None:
    """A state is never read that is older than what was done, though none is waited for."""
    async with as_(running) as chat, as_(running, "bob") as bob:
        before = await bob.balance()
        for number in range(1, 4):
            done = await chat.pay(bob.me_text, "2 DCHAT", memo=f"number {number}")
            assert done.proved_by > done.height > 0
            assert await chat.balance(bob.me) == before + 2 * DCHAT * number
        assert await chat.account(bytes(20)) is None
        assert (await chat.header(1)).height == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_refused_and_what_is_not_there(running: Running) -> None:
    async with as_(running) as chat:
        with pytest.raises(TxRefused, match="has less than this takes"):
            await chat.pay(bytes(range(20)), "900000000 DCHAT")
        with pytest.raises(ValueError, match="is no amount"):
            await chat.pay(bytes(20), "much")
        with pytest.raises(ValueError, match="is no amount"):
            await chat.pay(bytes(20), cast(int, 5.5))
        with pytest.raises(ValueError, match=r"is no account's address"):
            await chat.pay("bob", 1)
        with pytest.raises(NotFound):
            await chat.tx("00" * 32)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_liar_in_front_is_left_by_reads_and_posts(running: Running) -> None:
    def forges(answer: pb.ListMessagesResponse) -> None:
        for message in answer.messages:
            message.content = b"forged"

    async with lying_door(running.grpc, ListMessages=twists(forges)) as door, as_(running) as plain:
        await plain.register("posting-alice")
        await plain.create_channel("lobby", topic="all")
        for number in range(3):
            await plain.post("lobby", f"line {number}")
        async with as_(running, "alice", door.address) as chat:
            found = []
            async with aclosing(chat.posts("lobby", 1)) as posts:
                async for message in posts:
                    found.append((message.index, message.content))
                    if len(found) == 2:
                        await plain.post("lobby", "line 3", reply_to=2)
                    if len(found) == 3:
                        break
            assert found == [(1, b"line 1"), (2, b"line 2"), (3, b"line 3")]
            assert chat.node == running.grpc
        said = await plain.channel("lobby")
        assert said is not None
        assert said.message_count == 4
        assert await plain.messages("lobby", 9) == []
        assert await plain.channel("nowhere") is None
        assert channel_of("lobby") == channel_of(channel_of("lobby").hex())


@pytest.mark.asyncio(loop_scope="module")
async def test_many_in_flight_go_in_order(running: Running) -> None:
    async with as_(running, "carol") as chat:
        to = new_identity().address
        many: list[list[Message]] = [[messages.Payment(chat.me, to, number)] for number in range(1, 31)]
        done = [one for one in await chat.send_all(many, at_once=16) if isinstance(one, Outcome)]
        places = [(one.height, one.index) for one in done]
        assert places == sorted(places)
        assert len(places) == 30
        assert await chat.balance(to) == sum(range(1, 31))


@pytest.mark.asyncio(loop_scope="module")
async def test_many_in_any_order_do_not_wait_for_one_that_fails(running: Running) -> None:
    async with as_(running, "carol") as chat:
        to = new_identity().address
        many: list[list[Message]] = [[messages.Payment(chat.me, to, number)] for number in range(1, 11)]
        many.insert(3, [messages.Payment(chat.me, to, 10**15)])  # more than she has
        done = await chat.send_all(many, ordered=False)
        assert [number for number, one in enumerate(done) if isinstance(one, AskFailed)] == [3]
        assert await chat.balance(to) == sum(range(1, 11))


@pytest.mark.asyncio(loop_scope="module")
async def test_events_go_on_behind_a_cursor(running: Running) -> None:
    async with as_(running, "dave") as chat:
        to = new_identity()
        sent = [await chat.pay(to.address_text, amount) for amount in (7, 8, 9)]
        where = {"recipient": to.address_text}
        seen: list[str] = []
        cursor: Cursor | str = "0:0"
        for _ in sent:  # as a program that is started anew each time
            async with aclosing(chat.events("transfer", where=where, after=str(cursor))) as events:
                event = await anext(events)
            assert isinstance(event, Event)
            cursor = event.cursor
            seen.append(event.attributes["amount"])
            assert (await chat.tx(event.tx_hash)).proved_by
        assert seen == ["7udchat", "8udchat", "9udchat"]
        assert event.height == sent[-1].height
        async with aclosing(chat.events("no such", from_height=1, to_height=2, progress=True)) as events:
            assert [told.type for told in [one async for one in events]] == [""]


@pytest.mark.asyncio(loop_scope="module")
async def test_kept_is_sent_once(running: Running, tmp_path: Path) -> None:
    file, to = tmp_path / "tx", new_identity().address
    async with as_(running) as chat:
        first = await chat.pay(to, 5, keep=file)
        assert await chat.pay(to, 5, keep=file) == first
        assert await chat.balance(to) == 5
        with pytest.raises(KeepFailed, match="holds another transaction"):
            await chat.pay(to, 6, keep=file)
        with pytest.raises(KeepFailed, match="nothing was handed in"):
            await chat.pay(to, 6, keep=tmp_path / "no" / "folder")
        assert await chat.balance(to) == 5


@pytest.mark.asyncio(loop_scope="module")
async def test_several_keys_sign_and_anybody_hands_in(running: Running) -> None:
    holders = [new_identity() for _ in range(3)]
    board = shared_account(2, *holders)
    async with as_(running) as chat:
        await chat.pay(board.address, "3 DCHAT")
        to = new_identity().address
        done = await chat.send_by(board, holders[:2], messages.Payment(board.address, to, DCHAT))
        assert done.proved_by
        assert await chat.balance(to) == DCHAT
        tx = await chat.sign(messages.Payment(chat.me, to, 1))
        trial = await chat.simulate(messages.Payment(chat.me, to, 1))
        assert not trial.code
        assert trial.gas_used
    genesis = running.node.genesis
    async with connect(running.grpc, trust=Trust.of_genesis(genesis)) as nobody:
        assert (await nobody.hand_in(tx.raw)).hash == tx.id
        assert await nobody.balance(to) == DCHAT + 1


@pytest.mark.asyncio(loop_scope="module")
async def test_what_expired_before_it_was_handed_in_takes_no_sequence(running: Running) -> None:
    """The next one waited for it, and was refused."""
    async with as_(running, "carol") as chat:
        to = new_identity().address
        late = await chat.sign(messages.Payment(chat.me, to, 1), expiry_blocks=2)
        await chat.client.wait_for_height(late.expiry_height + 2)
        with pytest.raises(TxExpired):
            await chat.hand_in(late)
        async with asyncio.timeout(20):
            await chat.pay(to, 5)
        assert await chat.balance(to) == 5


@pytest.mark.asyncio(loop_scope="module")
async def test_a_node_of_ones_own_is_believed(running: Running) -> None:
    async with connect(
        running.grpc, believe_nodes_of=running.network.chain_id, identity=running.account("bob")
    ) as chat:
        done = await chat.pay(new_identity().address, 1)
        assert done.height
        assert not done.proved_by
        assert await chat.balance() > 0
        admitted = await chat.send(messages.Payment(chat.me, bytes(range(20)), 1), wait="admission")
        assert not admitted.height
        with pytest.raises(ValueError, match="nothing is verified"):
            await chat.header(1)


@pytest.mark.asyncio(loop_scope="module")
async def test_used_at_once_from_many_tasks(running: Running) -> None:
    async with as_(running, "dave") as chat:
        to = new_identity().address
        async with asyncio.TaskGroup() as tasks:
            for number in range(1, 9):
                tasks.create_task(chat.pay(to, number, memo=str(number)))
        assert await chat.balance(to) == sum(range(1, 9))
