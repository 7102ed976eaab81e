"""Two processes about one home, in one: every word that may be said, at every stage, and who goes on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from consensus.engine.interfaces import SavedBlock
from dchat.handover import giving, words
from dchat.handover.giving import HandOver, turns_of
from dchat.handover.takeover import Before, take
from dchat.home.errors import CannotTakeOver
from dchat.home.home import Home
from tests.support.engine.bench import genesis_of
from tests.support.patience import PATIENCE_S


class Runs:
    """What a process that runs does about a hand-over, without a node."""

    def __init__(self, root: Path) -> None:
        self.home = Home.of(root)
        self.home.data.mkdir()
        self.turns: set[int] = set()
        self.hasty = False
        self.prepared = self.failures = 0
        self.ends = asyncio.Event()
        self.handing = HandOver(
            self.home, our_turns=lambda: self.turns, is_hasty=lambda saved: self.hasty, prepare=self.prepare,
            end=self.ends.set,
        )  # fmt: skip

    async def prepare(self) -> None:
        self.prepared += 1
        if self.failures:
            raise OSError("no room")

    async def blocks(self, first: int, last: int) -> None:
        for height in range(first, last + 1):
            self.handing.block_saved(cast(SavedBlock, SimpleNamespace(height=height)))
            await asyncio.sleep(0)

    async def blocks_until_it_leaves(self, first: int = 1) -> int:
        """Returns the height after which it does."""
        async with asyncio.timeout(PATIENCE_S):
            height = first
            while self.handing.asked is None:
                await self.blocks(height, height)
                await asyncio.sleep(0.01)
                height += 1
            await self.ends.wait()
        return self.handing.height


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    made = Runs(tmp_path)
    await made.handing.open()
    yield made
    made.handing.close()


def ask(home: Home, line: bytes) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    connection.connect(str(home.takeover))
    connection.sendall(line)
    return connection


async def said(connection: socket.socket) -> bytes:
    return await asyncio.to_thread(words.read_line, connection)


async def is_ready(runs: Runs) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not runs.prepared:  # noqa: ASYNC110 - plain data
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "line",
    [
        b"takeover 0\n",
        b"takeover 3\n",
        b"takeover 99999\n",
        b"takeover \n",
        b"\n",
        b"x" * 10_000,
        b"GET / HTTP/1.1\r\n",
    ],
)
async def test_what_is_no_question_changes_nothing(runs: Runs, line: bytes) -> None:
    with ask(runs.home, line) as stranger:
        assert await said(stranger) == words.OTHER_WORDS
    await runs.blocks(1, 30)
    assert runs.handing.asked is None
    assert not runs.ends.is_set()


async def test_who_asks_is_given_the_home_and_the_sockets(runs: Runs) -> None:
    taking: asyncio.Future[Before] = asyncio.ensure_future(asyncio.to_thread(lambda: take(runs.home).wait()))
    await is_ready(runs)
    with ask(runs.home, words.ask(2)) as second:
        assert await said(second) == b"no another process asks already\n"
    at = await runs.blocks_until_it_leaves()
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as silent:
        address = listening.getsockname()
        runs.handing.say_leaves([listening.dup(), silent.dup()])
    giving_it = asyncio.ensure_future(runs.handing.give())
    before = await taking
    assert before.left_ns <= before.free_ns
    assert runs.handing.height == at
    (taken,) = before.sockets.take([address])
    assert before.sockets.close() == 0  # what does not listen was closed when it came
    with socket.create_connection(address, timeout=PATIENCE_S):
        assert taken.accept()
    taken.close()
    before.say_running()
    assert await giving_it


async def test_an_older_process_is_asked_in_its_own_words(tmp_path: Path) -> None:
    """Version 1 knows no sockets: `yours` comes at once."""
    home = Home.of(tmp_path)
    home.takeover.parent.mkdir(parents=True)
    heard = []

    def older(server: socket.socket) -> None:
        for _ in range(2):
            connection, _ = server.accept()
            with connection:
                line = words.read_line(connection)
                heard.append(line)
                if line != b"takeover 1\n":
                    connection.sendall(words.OTHER_WORDS)
                    continue
                connection.sendall(b"wait 7\n")
                connection.sendall(b"yours 8 5\n")
                heard.append(words.read_line(connection))

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home.takeover))
        server.listen()
        thread = threading.Thread(target=older, args=(server,))
        thread.start()
        before = await asyncio.to_thread(lambda: take(home).wait())
        before.say_running()
        thread.join(PATIENCE_S)
    assert heard == [b"takeover 2\n", b"takeover 1\n", b"running\n"]
    assert before.left_ns == 5
    assert before.sockets.close() == 0


async def test_a_newer_process_is_handed_over_to_in_the_words_of_version_1(runs: Runs) -> None:
    with ask(runs.home, b"takeover 1\n") as older:
        assert await said(older) == b"wait 0\n"
        await is_ready(runs)
        await runs.blocks_until_it_leaves()
        runs.handing.say_leaves([])
        giving_it = asyncio.ensure_future(runs.handing.give())
        assert words.YOURS.fullmatch(await said(older))
        older.sendall(words.RUNNING)
        assert await giving_it


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        pytest.param([], "it ended", id="it ends unheard"),
        pytest.param([b"no it stops\n"], "it stops", id="it stops"),
        pytest.param([b"wait 5\n"], "it ended", id="it ends while a block is waited for"),
        pytest.param([b"wait 5\n", b"no there was no block for 120 s\n"], "no block", id="no block comes"),
        pytest.param([b"wait 5\n", b"leaves 6\n"], "it ended", id="it ends while it closes"),
        pytest.param([b"wait 5\n", b"leaves 6\n", b"no it did not stop cleanly\n"], "cleanly", id="it cannot close"),
        pytest.param([b"wait 5\n", b"yours 6\n"], "yours 6", id="half a word"),
        pytest.param([b"wait 5\n", b"y" * 5_000], "yyy", id="no end of line"),
        pytest.param([b"z" * 5_000], "zzz", id="other words"),
    ],
)
async def test_nothing_is_taken_from_who_does_not_give(tmp_path: Path, answers: list[bytes], why: str) -> None:
    home = Home.of(tmp_path)
    home.takeover.parent.mkdir(parents=True)

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            words.read_line(connection)
            for line in answers:
                connection.sendall(line)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home.takeover))
        server.listen()
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        with pytest.raises(CannotTakeOver, match=why) as refused:
            await asyncio.to_thread(lambda: take(home).wait())
        thread.join(PATIENCE_S)
    assert len(str(refused.value)) < 2 * words.LINE_BYTES_MAX + len(str(home.root))


async def test_who_leaves_while_it_waits_is_handed_nothing(runs: Runs) -> None:
    with ask(runs.home, words.ask(2)) as leaver:
        assert await said(leaver) == b"wait 0\n"
        await is_ready(runs)
    await runs.blocks(1, 3)
    assert runs.handing.asked is None
    with ask(runs.home, words.ask(2)) as second:  # and the next is heard
        assert await said(second) == b"wait 3\n"


@pytest.mark.parametrize("say", [b"", b"walks\n", b"x" * 5_000])
async def test_where_the_next_does_not_run_that_is_known(runs: Runs, say: bytes) -> None:
    with ask(runs.home, words.ask(2)) as next_one:
        await said(next_one)
        await is_ready(runs)
        await runs.blocks_until_it_leaves()
        runs.handing.say_leaves([])
        giving_it = asyncio.ensure_future(runs.handing.give())
        assert (await said(next_one)).startswith(b"leaves ")
        assert (await said(next_one)).startswith(b"yours ")
        next_one.sendall(say)
    assert not await giving_it


async def test_without_a_block_it_goes_on(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving, "WAIT_S", 0.05)
    with ask(runs.home, words.ask(2)) as one:
        assert (await said(one)).startswith(b"wait ")
        assert b"no block" in await said(one)
    await runs.blocks(1, 30)
    assert not runs.ends.is_set()


async def test_a_preparation_that_fails_only_costs_time(runs: Runs) -> None:
    runs.failures = 1
    with ask(runs.home, words.ask(2)):
        await is_ready(runs)
        assert await runs.blocks_until_it_leaves() > 0


@pytest.mark.parametrize(
    ("is_hasty", "turns", "blocks"),
    [
        pytest.param(False, set(), 1, id="no turn is near, and it is quiet"),
        pytest.param(True, set(), 1 + giving.QUIET_MAX, id="it is never quiet"),
        pytest.param(False, {1}, 1 + giving.QUIET_MAX + giving.PROPOSALS_MAX, id="the next is always ours"),
        pytest.param(True, {2, 6, 10}, 1, id="the proposal after next is ours, whatever is hasty"),
        pytest.param(True, {1, 2, 3}, 1, id="all are ours: alone"),
        pytest.param(False, {3, 7}, 1 + giving.TURNS_AHEAD, id="ours is near, and never comes nearer"),
    ],
)
async def test_a_good_moment_is_waited_for_but_not_for_ever(
    runs: Runs, is_hasty: bool, turns: set[int], blocks: int
) -> None:
    runs.hasty, runs.turns = is_hasty, turns
    with ask(runs.home, words.ask(2)) as one:
        await said(one)
        await is_ready(runs)
        await asyncio.sleep(0)
        await runs.blocks(1, blocks - 1)
        assert runs.handing.asked is None
        await runs.blocks(blocks, blocks)
        assert runs.handing.asked is not None


def test_turns_are_those_that_come() -> None:
    """By the sets of the heights themselves: who proposes in each of them is asked of the state before it."""
    state = genesis_of(4).state()
    coming = []
    for _ in range(giving.TURNS_AHEAD):
        coming.append(state.validators.proposer_of(0).address)
        state = replace(state, validators=state.next_validators, next_validators=state.next_validators.increment())
    state = genesis_of(4).state()
    for address in set(coming):
        assert turns_of(address, state) == {turn for turn, who in enumerate(coming, 1) if who == address}
    assert turns_of(b"x" * 20, state) == set()


async def test_a_path_too_long_is_said_and_nothing_more(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    runs.handing = HandOver(
        Home.of(deep), our_turns=set, is_hasty=lambda saved: False, prepare=runs.prepare, end=runs.ends.set
    )
    await runs.handing.open()
    runs.handing.close()


async def test_the_socket_is_its_owners_alone(runs: Runs) -> None:
    assert runs.home.takeover.stat().st_mode & 0o777 == 0o600
    runs.handing.close()
    assert not runs.home.takeover.exists()


def test_where_nobody_listens_it_is_said(tmp_path: Path) -> None:
    home = Home.of(tmp_path)
    home.takeover.parent.mkdir(parents=True)
    with pytest.raises(CannotTakeOver, match="start without --takeover"):
        take(home)


def test_all_sockets_of_a_line_that_brings_none_are_closed() -> None:
    """A process of the same user may send what it likes: nothing of it stays open here."""
    left, right = socket.socketpair()
    with left, right, socket.create_server(("127.0.0.1", 0)) as listening:
        words.send(left, b"yours 1 2\n", [listening])
        assert words.read_line(right) == b"yours 1 2\n"
        address = listening.getsockname()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(address, timeout=PATIENCE_S):
        pass
