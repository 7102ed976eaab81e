"""The inbox: whatever some peers send, the others' messages are taken in their turn, and memory has a bound."""

from __future__ import annotations

import itertools
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.core.events import Step, VoteKind
from consensus.engine.incoming.inbox import (
    INBOX_BYTES_MAX,
    PEER_BYTES_ALWAYS,
    PEER_BYTES_MAX,
    PEER_MESSAGES_MAX,
    SECOND_LANE_TURN,
    Inbox,
    size_of,
)
from consensus.engine.incoming.inputs import MajorityIn, Message, PartIn, VoteIn
from consensus.engine.votes import vote_for
from consensus.system.clock import LoopClock
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PART_BYTES, Part, PartSet
from consensus.types.vote import PRECOMMIT, PREVOTE, Vote
from crypto import merkle
from crypto.hash import HASH_BYTES, sha256
from crypto.keys import SIGNATURE_BYTES_MAX
from tests.support.counts import counted
from tests.support.engine.bench import power_off, until
from tests.support.engine.inbox import flooded_bench

BIG = PartSet.from_bytes(bytes(3 * PART_BYTES))
SMALL = PartSet.from_bytes(b"x")


def vote(peer: str, height: int = 1) -> VoteIn:
    return VoteIn(Vote(PREVOTE, height, 0, BlockID(b"o" * 32, PartSetHeader(1, b"p" * 32)), 1, b"a" * 20, 0), peer)


def part(peer: str, parts: PartSet = SMALL) -> PartIn:
    held = parts.get(0)
    assert held is not None
    return PartIn(1, 0, held, peer)


def take_all(inbox: Inbox) -> list[Message]:
    taken = []
    while (message := inbox.take()) is not None:
        taken.append(message)
    return taken


@pytest.mark.parametrize("flooders", [1, 10, 40])
@pytest.mark.parametrize("flood", [vote, part], ids=["votes", "parts"])
def test_an_honest_vote_waits_for_one_message_of_each_other_peer(flooders: int, flood: Any) -> None:
    """audit 7: ten connections of nonsense filled the one inbox of 2,000, and consensus stood at height 0."""
    inbox = Inbox()
    for number in range(flooders):
        while inbox.put(flood(f"flood{number}"), first=flood is vote):
            pass
    assert inbox.put(vote("honest"), first=True)
    taken = take_all(inbox)
    place = next(index for index, message in enumerate(taken) if message.peer_id == "honest")
    assert place <= (flooders if flood is vote else 0) + 1
    assert inbox.bytes == len(inbox) == inbox.peers == 0


@pytest.mark.parametrize("flooders", [1, 10, 40])
def test_parts_are_served_beside_a_flood_of_votes(flooders: int) -> None:
    """audit 7: going first is no right to go alone."""
    inbox = Inbox()
    for number in range(flooders):
        while inbox.put(vote(f"flood{number}"), first=True):
            pass
    for _ in range(20):
        assert inbox.put(part("honest"), first=False)
    taken = [message.peer_id for message in take_all(inbox)]
    assert [i for i, peer in enumerate(taken) if peer == "honest"][-1] <= 21 * SECOND_LANE_TURN


def test_memory_has_a_bound_per_peer_and_in_total() -> None:
    """audit 7 and 8: and past the total a peer that holds little still gets in."""
    inbox = Inbox()
    for number in range(100):
        peer = f"flood{number}"
        while inbox.put(part(peer, BIG), first=False):
            pass
        assert inbox._queues[peer].bytes <= PEER_BYTES_MAX + PART_BYTES + 1_024
    assert inbox.bytes <= INBOX_BYTES_MAX + 100 * (PEER_BYTES_ALWAYS + PART_BYTES + 1_024)
    assert inbox.put(part("honest", BIG), first=False)
    assert inbox.put(vote("honest"), first=True)


def longest_vote(number: int) -> VoteIn:
    return replace(vote("a"), vote=replace(vote("a").vote, signature=number.to_bytes(SIGNATURE_BYTES_MAX, "big")))


def longest_proof(number: int) -> PartIn:
    aunts = tuple((number * merkle.AUNTS_MAX + aunt).to_bytes(HASH_BYTES, "big") for aunt in range(merkle.AUNTS_MAX))
    known = part("a").part
    return replace(part("a"), part=replace(known, bytes=b"", proof=replace(known.proof, aunts=aunts)))


@pytest.mark.parametrize("flood", [longest_vote, longest_proof])
def test_what_a_sender_makes_longer_is_counted(flood: Callable[[int], Message]) -> None:
    """audit 8: a vote's signature may have 3,309 bytes and a part's proof a hundred hashes; both counted as 512, so the
    total of 64 MB was a gigabyte."""
    inbox = Inbox()
    tracemalloc.start()
    try:
        for number in range(500):
            assert inbox.put(flood(number), first=False)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held <= 2 * inbox.bytes
    take_all(inbox)
    assert inbox.bytes == 0


def test_what_is_of_the_next_height_waits_in_its_senders_queue() -> None:
    """audit 7: 1,000 deferred messages were one list for all peers."""
    inbox = Inbox()
    for _ in range(2 * PEER_MESSAGES_MAX):
        inbox.defer(vote("flood", height=2))
    assert inbox.defer(vote("honest", height=2))
    assert inbox.take() is None
    assert len(inbox) == 0
    inbox.put(vote("honest"), first=True)
    inbox.start_height()
    taken = take_all(inbox)
    assert Counter(message.peer_id for message in taken) == {"flood": PEER_MESSAGES_MAX, "honest": 2}
    mine = [m.vote.height for m in taken if isinstance(m, VoteIn) and m.peer_id == "honest"]
    assert mine == [2, 1], "what waited goes first"
    assert taken[1].peer_id == "honest" or taken[0].peer_id == "honest"


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("abc")), max_size=80))
def test_what_a_sender_sent_before_a_part_is_taken_before_it(puts: list[tuple[bool, bool, str]]) -> None:
    """audit 7: else the fair inbox would lose parts before their proposal, and blocks that their votes ask for."""
    inbox, taken = Inbox(), list[tuple[str, int, bool]]()

    def take() -> None:
        message = inbox.take()
        if isinstance(message, MajorityIn | PartIn):
            taken.append((message.peer_id, message.round, isinstance(message, MajorityIn)))

    for number, (first, take_one, peer) in enumerate(puts):
        message: Message = (
            MajorityIn(VoteKind.PREVOTE, 1, number, None, peer) if first else replace(part(peer), round=number)
        )
        assert inbox.put(message, first=first)
        if take_one:
            take()
    while inbox:
        take()
    for place, (peer, number, first) in enumerate(taken):
        if not first:
            earlier = {n for n, (is_first, _, who) in enumerate(puts) if is_first and who == peer and n < number}
            assert earlier <= {n for who, n, is_first in taken[:place] if who == peer and is_first}


PUT, TAKE, DEFER, START, FORGET = range(5)


@settings(max_examples=counted(75, whole=300))
@given(
    st.lists(
        st.tuples(
            st.sampled_from([PUT, PUT, PUT, TAKE, TAKE, DEFER, START, FORGET]), st.integers(0, 4), st.integers(0, 2)
        )
    )
)
def test_nothing_is_lost_or_counted_twice(steps: list[tuple[int, int, int]]) -> None:
    """audit 7: whatever the order, each message that was taken in comes out once, in its sender's order by lane."""
    inbox, held, deferred = Inbox(), Counter[str](), Counter[str]()
    for step, peer_number, kind in steps:
        peer = str(peer_number)
        message: Message = (vote(peer), part(peer), MajorityIn(VoteKind.PREVOTE, 1, 0, None, peer))[kind]
        if step == PUT:
            held[peer] += inbox.put(message, first=kind != 1)
        elif step == DEFER:
            deferred[peer] += inbox.defer(message)
        elif step == START:
            inbox.start_height()
            held, deferred = held + deferred, Counter[str]()
        elif step == FORGET:
            inbox.forget(peer)
            held[peer] = deferred[peer] = 0
        elif (taken := inbox.take()) is not None:
            held[taken.peer_id] -= 1
        else:
            assert not +held
        assert len(inbox) == held.total()
        assert inbox.peers == len(+held | +deferred)
    inbox.start_height()
    everything = take_all(inbox)
    assert Counter(message.peer_id for message in everything) == +(held + deferred)
    assert (len(inbox), inbox.bytes, inbox.peers) == (0, 0, 0)
    assert sum(map(size_of, everything)) >= 512 * len(everything)


# ------------------------------------------------------------------------------------------------- in the driver


async def test_a_height_is_decided_under_ten_floods() -> None:
    """audit 7: with two connections of nonsense 0.1 s, with ten height 0 after 6 s; nobody was blamed."""
    bench, told = await flooded_bench()
    junk = PartSet.from_bytes(b"junk" * 20_000).get(0)
    assert junk is not None

    def flood() -> bool:
        for number in range(10):
            for _ in range(400):
                bench.driver.add_part(1, 0, junk, f"flood{number}")
        return bench.node.height == 1

    flood()
    block = bench.block((b"a=1",))
    bench.driver.add_proposal(bench.proposal(block.block_id), "honest")
    for index in range(block.part_set().header.total):
        held = block.part_set().get(index)
        assert held is not None
        bench.driver.add_part(1, 0, held, "honest")
    for kind in (PREVOTE, PRECOMMIT):
        for index in bench.others[:2]:
            bench.driver.add_vote(bench.vote(index, kind, block.block_id), "honest")
    assert bench.driver.metrics.parts_refused == 0, "nothing of the flood was taken yet"
    await until(flood)  # it goes on at every turn of the loop
    assert bench.driver.metrics.inbox_dropped > 0, "the flood's own"
    assert told.useless_by_kind["flood3", "part of no block"]
    assert not any(peer == "honest" for peer, _ in told.useless_by_kind)
    assert told.useful_by_peer == {"honest": block.part_set().header.total + 4}
    await bench.driver.stop()


async def test_one_conflict_per_validator_and_round_is_verified_and_logged() -> None:
    """audit 7: 1,500 of 1,500 were, and rotated the height's beginning, with a lock in it, out of the log."""
    bench, told = await flooded_bench()
    liar = bench.others[0]
    values = [BlockID(sha256(b"%d" % n), PartSetHeader(1, sha256(b"p%d" % n))) for n in range(500)]
    for value in values:
        bench.driver.add_vote(bench.vote(liar, PREVOTE, value), "liar")
    await until(lambda: not bench.driver._inbox)
    await bench.settle()
    assert bench.driver.metrics.equivocations == 1
    assert len([one for one in bench.logged(VoteIn) if one.peer_id == "liar"]) == 2
    assert told.useless_by_kind["liar", "vote of a reported equivocator"] == 497, "one may be an honest peer's"
    await bench.driver.stop()


async def test_an_equivocators_vote_counts_once_a_majority_is_claimed_for_it() -> None:
    """audit 7: the guard against conflicts does not keep out the vote that a commit needs (celestia, lagging peers)."""
    bench, _ = await flooded_bench()
    liar = bench.others[0]
    values = [BlockID(sha256(b"%d" % n), PartSetHeader(1, sha256(b"p%d" % n))) for n in range(3)]
    for value in values:
        bench.driver.add_vote(bench.vote(liar, PREVOTE, value), "liar")
    bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, values[2], "honest")
    bench.driver.add_vote(bench.vote(liar, PREVOTE, values[2]), "honest")
    await until(lambda: vote_for(bench.driver.core.votes(VoteKind.PREVOTE, 0), liar, values[2]) is not None)
    await bench.driver.stop()


async def test_useless_votes_and_parts_are_charged_to_their_sender() -> None:
    """audit 7"""
    bench, told = await flooded_bench()
    junk = PartSet.from_bytes(b"junk").get(0)
    assert isinstance(junk, Part)
    for _ in range(2):  # the first may be an honest peer's
        bench.driver.add_part(1, 0, junk, "a")
    bench.driver.add_vote(bench.vote(bench.others[0], round=9), "b")
    bench.driver.add_vote(bench.vote(bench.others[0], round=10), "b")
    bench.driver.add_vote(bench.vote(bench.others[0], round=11), "b")  # a third round that this peer opens
    await until(lambda: not bench.driver._inbox)
    await bench.settle()
    assert told.useless_by_kind == {("a", "part of no block"): 4, ("b", "its validator may not open its round"): 1}
    assert bench.driver.core.step is not Step.COMMIT
    await bench.driver.stop()


class BusyClock(LoopClock):
    """Others have the core: 50 ms pass between two looks, and no work is done."""

    def __init__(self) -> None:
        self._looks = itertools.count(step=50_000_000)

    def monotonic_ns(self) -> int:
        return next(self._looks)

    def work_ns(self) -> int:
        return 0


async def test_a_peer_does_not_pay_for_a_busy_machine() -> None:
    """audit 14, sibling: each vote cost its sender what others took of the core meanwhile, and who brought many was not
    read from for ten seconds."""
    bench, told = await flooded_bench(clock=BusyClock())
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index), "peer")
    await until(lambda: len(told.worked_ns) == len(bench.others))
    assert told.worked_ns == [0] * len(bench.others)
    await power_off(bench.node)
