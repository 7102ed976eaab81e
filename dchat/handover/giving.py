"""The process that runs on a home hands it over: it waits for a good moment, leaves, and stays until the next runs.

A good moment is right after a block, when the proposal after the next is ours: that one holds the commit of the height
in which nobody is here, so the next process need only be here before the others give up waiting for its proposal, and
has its own precommit in it. Else one where the next proposal is another's, and nothing hastens the next block.
It has closed its log and its record of signatures and let the home's lock go before it says `yours`: at no moment do
two hold the lock, so at no moment could two sign. Where the next one does not run then, it begins again in its place.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import structlog

from consensus.engine.interfaces import SavedBlock
from consensus.state.state import State
from dchat.handover.words import (
    ANSWER_S,
    ASKED,
    LINE_BYTES_MAX,
    OTHER_WORDS,
    RUNNING,
    RUNNING_S,
    VERSIONS,
    WAIT_S,
    read_line,
    send,
)
from dchat.home.home import Home
from dchat.home.sockets import PATH_BYTES_MAX, fits, own_socket, remove_socket

FLAG: Final = "--takeover"
NEXT, AFTER_NEXT = 1, 2  # heights from the one that was saved just now
TURNS_AHEAD: Final = 12  # heights in which our turn to propose is looked for, and waited for
QUIET_MAX: Final = 8  # blocks that are waited for one after which nothing hastens the next
PROPOSALS_MAX: Final = 8  # and beyond for a height whose proposal is another's
LINGER_S: Final = 0.02  # our precommit leaves: the others need not wait for it

log = structlog.get_logger(__name__)


class HandOver:
    """`asked`: the connection to answer on, once it was told to end for a hand-over; version: as the other speaks."""

    def __init__(
        self,
        home: Home,
        *,
        our_turns: Callable[[], Collection[int]],
        is_hasty: Callable[[SavedBlock], bool],
        prepare: Callable[[], Awaitable[None]],
        end: Callable[[], None],
    ) -> None:
        """our_turns: which of the TURNS_AHEAD heights from here on have a first proposal of ours (NEXT, ...).
        is_hasty: whether something hastens the block after this one. prepare: what makes the next process's opening
        short, while this one goes on. end: stop, as by a signal."""
        self._home, self._our_turns, self._is_hasty = home, our_turns, is_hasty
        self._prepare, self._end = prepare, end
        self._server: asyncio.Server | None = None
        self._waiting: socket.socket | None = None
        self._is_prepared, self._seen = False, 0
        self._timer: asyncio.TimerHandle | None = None
        self.asked: socket.socket | None = None
        self.version = VERSIONS[0]
        self.height = self.left_ns = 0

    async def open(self) -> None:
        """Listen. Where that cannot be it is said, and nobody can take over."""
        path = self._home.takeover
        if not fits(path):
            log.warning("no process can take over: the home's path is too long", path=str(path), allowed=PATH_BYTES_MAX)
            return
        try:
            made = own_socket(path)
            self._server = await asyncio.start_unix_server(self._accept, sock=made, limit=LINE_BYTES_MAX)
        except OSError as error:
            log.warning("no process can take over", reason=str(error))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
            remove_socket(self._home.takeover)
        if self._waiting is not None and self.asked is None:
            send(self._waiting, b"no it stops\n")
            self._waiting.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                line = await reader.readline()
        except (TimeoutError, ValueError, OSError):
            line = b""
        connection = socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno()))
        connection.settimeout(ANSWER_S)
        writer.close()  # what it says from here on, and its end, are read from the duplicate
        found = ASKED.fullmatch(line)
        if found is None or int(found[1]) not in VERSIONS or self._waiting is not None:
            is_known = found is not None and int(found[1]) in VERSIONS
            send(connection, b"no another process asks already\n" if is_known else OTHER_WORDS)
            connection.close()
            return
        self.version = int(found[1])
        self._waiting, self._is_prepared, self._seen = connection, False, 0
        send(connection, b"wait %d\n" % self.height)
        log.info("a process asks to take over: hands over after a block")
        self._timer = asyncio.get_running_loop().call_later(WAIT_S, self._give_up, connection)
        try:
            await self._prepare()
        except Exception as error:  # then the opening takes longer
            log.warning("could not prepare to hand over", error=repr(error))
        self._is_prepared = True

    def _give_up(self, waiting: socket.socket) -> None:
        if self._waiting is waiting and self.asked is None:
            self._waiting = None
            send(waiting, b"no there was no block for %d s\n" % WAIT_S)
            waiting.close()

    def block_saved(self, saved: SavedBlock) -> None:
        self.height = saved.height
        if self._waiting is None or self.asked is not None or not self._is_prepared:
            return
        if _has_left(self._waiting):
            log.info("the process that asked to take over has ended: goes on")
            self._waiting.close()
            self._waiting = None
            return
        self._seen += 1
        if self._is_good_moment(saved):
            self.asked = self._waiting
            asyncio.get_running_loop().call_later(LINGER_S, self._leave)

    def _is_good_moment(self, saved: SavedBlock) -> bool:
        """Or, after so many blocks, one that has to do."""
        turns = self._our_turns()
        if AFTER_NEXT in turns:
            return True
        if max(turns, default=0) > AFTER_NEXT and self._seen <= TURNS_AHEAD:
            return False
        if self._seen <= QUIET_MAX and self._is_hasty(saved):
            return False
        return NEXT not in turns or self._seen > QUIET_MAX + PROPOSALS_MAX

    def _leave(self) -> None:
        self.left_ns = time.monotonic_ns()
        self._end()

    def say_leaves(self, sockets: Sequence[socket.socket]) -> None:
        """Before anything is closed. sockets: on which this process listens; they are closed here, and open there."""
        assert self.asked is not None
        if self.version > 1:
            send(self.asked, b"leaves %d\n" % self.height, sockets)
        for one in sockets:
            one.close()

    def say_no(self, why: str) -> None:
        assert self.asked is not None
        send(self.asked, b"no %b\n" % why.encode()[: LINE_BYTES_MAX - 4])
        self.asked.close()

    async def give(self) -> bool:
        """All is closed and free: tell the new process, and wait until it takes part. False: it does not."""
        return await asyncio.to_thread(self._give)

    def _give(self) -> bool:
        assert self.asked is not None
        with self.asked as connection:
            try:
                connection.settimeout(RUNNING_S)
                connection.sendall(b"yours %d %d\n" % (self.height, self.left_ns))
                return read_line(connection) == RUNNING
            except OSError:
                return False


def turns_of(address: bytes, state: State) -> set[int]:
    """Which of the TURNS_AHEAD heights after `state` have a first proposal of this validator, as things stand."""
    validators, found = state.validators, set()
    for turn in range(NEXT, TURNS_AHEAD + 1) if address in state.next_validators else ():
        if turn > NEXT:
            validators = state.next_validators if turn == AFTER_NEXT else validators.increment()
        if validators.proposer_of(0).address == address:
            found.add(turn)
    return found


def begin_again() -> None:
    """This process anew, as it was started; its number stays."""
    log.error("the process that took over does not run: begins again in its own place")
    words = [word for word in sys.orig_argv[1:] if word != FLAG]  # it would ask itself
    os.execv(sys.executable, [sys.executable, *words])


def _has_left(connection: socket.socket) -> bool:
    """It has nothing to say while it waits: whatever can be read is its end, or no taker."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass
    finally:
        connection.settimeout(ANSWER_S)
    return True
