"""Peers' messages on their way to the driver: a queue for each peer, served in turn, so that a flood delays its sender.

Two lanes: proposals, votes of known validators and claims of majorities go first, parts after; of the second at least
every fourth message is one, so that neither lane waits for ever. What is of the next height waits in its
sender's queue until that height begins. Everything is bounded per peer, in messages and bytes, and in bytes over all:
past that total, a peer that holds little still gets in.
Nothing here judges a message; it is never lost for another peer's sake.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final, Protocol

from consensus.core.events import VoteKind
from consensus.engine.incoming.inputs import MajorityIn, Message, PartIn, ProposalIn, VoteIn
from consensus.execution.metrics import EngineMetrics
from consensus.formats.units import KIB, MIB
from consensus.types.ids import BlockID
from consensus.types.parts import Part
from consensus.types.vote import Proposal, Vote

PEER_MESSAGES_MAX: Final = 1_000  # in each lane, and of the next height
PEER_BYTES_MAX: Final = 8 * MIB  # more than a second of parts at the default rate, while a block is applied
INBOX_BYTES_MAX: Final = 64 * MIB
PEER_BYTES_ALWAYS: Final = 512 * KIB  # past the total too: 100 peers hold 50 MB more then
SECOND_LANE_TURN: Final = 4  # one message in so many is of the second lane while both wait
SMALL_BYTES: Final = 512  # what a message takes, about, beside what its sender can make longer
AUNT_BYTES: Final = 80  # of a part's proof: the hash, its object, its place in the tuple


class Charges(Protocol):
    """Whom the driver tells what a peer's message was worth: the reactor, which knows the peers."""

    def useless(self, peer_id: str, what: str, weight: int = 1) -> None: ...

    def useful(self, peer_id: str) -> None:
        """It was the first to bring a vote or a part."""
        ...

    def worked(self, peer_id: str, ns: int) -> None:
        """The driver worked so long for this peer's message."""
        ...


class NoCharges:
    """Before a reactor has joined, and while the log is replayed."""

    def useless(self, peer_id: str, what: str, weight: int = 1) -> None: ...

    def useful(self, peer_id: str) -> None: ...

    def worked(self, peer_id: str, ns: int) -> None: ...


class _Queue:
    __slots__ = ("bytes", "deferred", "first", "first_put", "first_taken", "has_first_turn", "peer_id", "second")

    def __init__(self, peer_id: str) -> None:
        self.peer_id = peer_id
        self.first: deque[Message] = deque()
        self.second: deque[tuple[int, Message]] = deque()  # with what `first_taken` must have reached before
        self.deferred: deque[tuple[bool, Message]] = deque()  # with whether it is of the first lane
        self.first_put = self.first_taken = 0
        self.has_first_turn = False
        self.bytes = 0

    def put(self, message: Message, *, first: bool) -> None:
        if first:
            self.first.append(message)
            self.first_put += 1
        else:
            self.second.append((self.first_put, message))

    def take_first(self) -> Message:
        self.first_taken += 1
        return self.first.popleft()

    def take_second(self) -> Message:
        """A message of the second lane, or the one of the first that goes before it."""
        if self.second[0][0] > self.first_taken:
            return self.take_first()
        return self.second.popleft()[1]

    @property
    def is_empty(self) -> bool:
        return not (self.first or self.second or self.deferred)


class Inbox:
    """`put` and `take` cost the same whatever waits. len: what waits and is not of the next height."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._first_turns: deque[_Queue] = deque()  # each queue whose first lane is not empty, once
        self._second_turns: deque[_Queue] = deque()
        self._firsts_in_row = 0
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    @property
    def bytes(self) -> int:
        return self._bytes

    @property
    def peers(self) -> int:
        """Peers of whom something waits."""
        return len(self._queues)

    def has_room(self, peer_id: str) -> bool:
        """Whether one more message of this peer would be taken."""
        queue = self._queues.get(peer_id)
        if queue is None:
            return True
        waiting = max(len(queue.first), len(queue.second))
        if waiting >= PEER_MESSAGES_MAX or queue.bytes >= PEER_BYTES_MAX:
            return False
        return self._bytes < INBOX_BYTES_MAX or queue.bytes < PEER_BYTES_ALWAYS

    def put(self, message: Message, *, first: bool) -> bool:
        """Queue it; `first`: in the first lane. False: its peer has no room."""
        if not self.has_room(message.peer_id):
            return False
        queue = self._queue(message)
        queue.put(message, first=first)
        self._count += 1
        self._give_turn(queue, first=first)
        return True

    def take(self) -> Message | None:
        """The next message, or None."""
        if not self._count:
            return None
        while self._first_turns and not self._first_turns[0].first:  # its last one went with a part's turn
            self._first_turns.popleft().has_first_turn = False
        second_due = self._firsts_in_row >= SECOND_LANE_TURN - 1 and self._second_turns
        if self._first_turns and not second_due:
            self._firsts_in_row += 1
            queue = self._first_turns.popleft()
            message = queue.take_first()
            queue.has_first_turn = bool(queue.first)
            if queue.first:
                self._first_turns.append(queue)
        else:
            self._firsts_in_row = 0
            queue = self._second_turns.popleft()
            message = queue.take_second()
            if queue.second:
                self._second_turns.append(queue)
        self._count -= 1
        self._left(queue, message)
        return message

    def waiting_votes(self, peer_id: str, most: int) -> Iterator[Vote]:
        """Those of this peer that are next of its first lane; they stay."""
        queue = self._queues.get(peer_id)
        if queue is not None:
            for message in islice(queue.first, most):
                if isinstance(message, VoteIn):
                    yield message.vote

    def _give_turn(self, queue: _Queue, *, first: bool) -> None:
        """After a message has entered one of its lanes."""
        if not first:
            if len(queue.second) == 1:
                self._second_turns.append(queue)
        elif not queue.has_first_turn:
            queue.has_first_turn = True
            self._first_turns.append(queue)

    def defer(self, message: Message) -> bool:
        """Keep a message of the next height, in its order, for `start_height`. False: its peer has no room."""
        if not self.has_room(message.peer_id):
            return False
        queue = self._queue(message)
        if len(queue.deferred) >= PEER_MESSAGES_MAX:
            return False
        queue.deferred.append((not isinstance(message, PartIn), message))
        return True

    def start_height(self) -> None:
        """What waited for this height goes before what came after it."""
        for queue in self._queues.values():
            waited = [*queue.deferred, *_in_order(queue)]
            self._count += len(queue.deferred)
            queue.first.clear()
            queue.second.clear()
            queue.deferred.clear()
            queue.first_put = queue.first_taken = 0
            for first, message in waited:
                queue.put(message, first=first)
        self._first_turns = deque(queue for queue in self._queues.values() if queue.first)
        self._second_turns = deque(queue for queue in self._queues.values() if queue.second)
        for queue in self._queues.values():
            queue.has_first_turn = bool(queue.first)

    def forget(self, peer_id: str) -> None:
        """Drop what waits of a peer that broke the protocol, or left."""
        queue = self._queues.pop(peer_id, None)
        if queue is None:
            return
        self._bytes -= queue.bytes
        self._count -= len(queue.first) + len(queue.second)
        if queue.has_first_turn:
            self._first_turns.remove(queue)
        if queue.second:
            self._second_turns.remove(queue)

    def _queue(self, message: Message) -> _Queue:
        """The queue that is about to hold the message, which is counted in."""
        queue = self._queues.get(message.peer_id)
        if queue is None:
            queue = self._queues[message.peer_id] = _Queue(message.peer_id)
        size = size_of(message)
        queue.bytes += size
        self._bytes += size
        return queue

    def _left(self, queue: _Queue, message: Message) -> None:
        size = size_of(message)
        queue.bytes -= size
        self._bytes -= size
        if queue.is_empty:
            del self._queues[queue.peer_id]
            if queue.has_first_turn:
                self._first_turns.remove(queue)


def _in_order(queue: _Queue) -> Iterator[tuple[bool, Message]]:
    """What waits in both lanes as it may be put again: (whether it is of the first lane, message)."""
    number, second = queue.first_taken, deque(queue.second)
    for message in queue.first:
        while second and second[0][0] <= number:
            yield False, second.popleft()[1]
        yield True, message
        number += 1
    for _, message in second:
        yield False, message


def size_of(message: Message) -> int:
    """What it takes in memory, about."""
    match message:
        case PartIn():
            return SMALL_BYTES + len(message.part.bytes) + AUNT_BYTES * len(message.part.proof.aunts)
        case VoteIn():
            vote = message.vote
            return SMALL_BYTES + len(vote.signature) + len(vote.extension) + len(vote.extension_signature)
        case ProposalIn():
            return SMALL_BYTES + len(message.proposal.signature)
        case MajorityIn():
            return SMALL_BYTES


class Entrance:
    """Where peers' messages enter: the part of interfaces.Driver that a driver inherits."""

    def __init__(self, metrics: EngineMetrics) -> None:
        self.metrics = metrics
        self._inbox = Inbox()
        self._charges: Charges = NoCharges()
        self._wake = asyncio.Event()
        self._is_running = False

    def has_room(self, peer_id: str) -> bool:
        return self._inbox.has_room(peer_id)

    def charge_peers(self, charges: Charges) -> None:
        self._charges = charges

    def add_proposal(self, proposal: Proposal, peer_id: str) -> None:
        self._put(ProposalIn(proposal, peer_id), first=True)

    def add_part(self, height: int, round: int, part: Part, peer_id: str) -> None:
        self._put(PartIn(height, round, part, peer_id))

    def add_vote(self, vote: Vote, peer_id: str, *, first: bool = True) -> None:
        self._put(VoteIn(vote, peer_id), first=first)

    def add_peer_majority(
        self, kind: VoteKind, height: int, round: int, block_id: BlockID | None, peer_id: str
    ) -> None:
        self._put(
            MajorityIn(kind, height, round, block_id, peer_id), first=True
        )  # before the votes that it makes count

    def _put(self, message: Message, *, first: bool = False) -> None:
        """From a peer. Where its queue is full the message is lost: gossip sends again what is still missing."""
        assert message.peer_id, "only the driver itself makes messages of its own"
        if not self._is_running or not self._inbox.put(message, first=first):
            self.metrics.inbox_dropped += 1
            return
        self._wake.set()

    def _useful(self, peer_id: str) -> None:
        if peer_id:
            self._charges.useful(peer_id)

    def _useless(self, peer_id: str, what: str, weight: int) -> None:
        if peer_id:
            self._charges.useless(peer_id, what, weight)
