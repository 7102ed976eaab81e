"""The core's tally, read as signed votes: what is handed on of a validator that signed two, and what a commit has."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import consensus.engine
import consensus.gossip
from consensus.core.events import VoteKind
from consensus.core.votes import Counted, HeightVotes
from consensus.engine.votes import RoundVotes, counted_as, vote_for
from consensus.types.commit import FLAG_NIL
from consensus.types.ids import NIL_BLOCK_ID
from consensus.types.vote import Vote
from tests.support.types.builders import Signers, block_id

SIGNERS = Signers.of(1, 1, 1, 1)
BLOCK, OTHER = block_id("block"), block_id("other")


def count(votes: HeightVotes, vote: Vote) -> Counted:
    return votes.add(counted_as(vote, "peer"), vote.round)


@pytest.mark.parametrize("liar_is_last", [False, True], ids=["before the majority", "after it"])
def test_of_two_votes_the_one_for_the_majority_is_handed_on(liar_is_last: bool) -> None:
    """A peer that lacks a commit can make it of what it is sent; evidence has both, and so has a checkpoint."""
    tally = HeightVotes((1, 1, 1, 1))
    tally.claim(VoteKind.PRECOMMIT, 0, "peer", BLOCK, 0)
    lie, truth = SIGNERS.vote(0, OTHER), SIGNERS.vote(0, BLOCK)
    honest = [SIGNERS.vote(index, BLOCK) for index in (1, 2)]
    late = SIGNERS.vote(3, BLOCK)
    assert count(tally, lie) is Counted.NEW
    votes = RoundVotes(tally.get(VoteKind.PRECOMMIT, 0), 0)
    assert (votes.get(0), votes.has_majority) == (lie, False)
    for vote in [*honest, *([late, truth] if liar_is_last else [truth])]:
        assert count(tally, vote) in (Counted.NEW, Counted.SECOND)
    assert (votes.majority, votes.get(0)) == (BLOCK, truth)
    assert [votes.get(index) for index in (1, 2)] == honest
    assert list(votes.each())[-1] == lie  # counted in this order, a replay has the majority first
    commit = votes.commit(1)
    assert commit.block_id == BLOCK
    assert commit.signatures[0].signature == truth.signature


def test_what_is_read_is_what_was_signed() -> None:
    tally = HeightVotes((5, 3, 2))
    nil = SIGNERS.vote(1, NIL_BLOCK_ID)
    assert count(tally, nil) is count(tally, SIGNERS.vote(2, BLOCK)) is Counted.NEW
    of_round = tally.get(VoteKind.PRECOMMIT, 0)
    votes = RoundVotes(of_round, 0)
    assert (votes.size, votes.mask, votes.power, votes.bits.mask, votes.is_full) == (3, 0b110, 5, 0b110, False)
    assert (votes.bits_for(None).mask, votes.bits_for(BLOCK).mask, votes.bits_for(OTHER).mask) == (0b10, 0b100, 0)
    assert votes.get(1) is vote_for(of_round, 1, None) is nil
    assert votes.get(0) is votes.get(-1) is votes.get(3) is vote_for(of_round, 1, BLOCK) is None


def test_late_precommits_join_those_that_decided() -> None:
    tally = HeightVotes((1, 1, 1, 1))
    for index in range(3):
        count(tally, SIGNERS.vote(index, BLOCK))
    last = RoundVotes(tally.get(VoteKind.PRECOMMIT, 0), 0)
    assert last.commit(1).signatures[3].is_absent
    last.add_late(SIGNERS.vote(3, NIL_BLOCK_ID))
    assert last.is_full
    assert last.commit(1).signatures[3].block_id_flag == FLAG_NIL


def test_votes_are_counted_in_the_core_alone() -> None:
    """A second sum of powers over votes can differ from the first: then a commit lacks what the core decided on."""
    rooms = [Path(room.__file__ or "").parent for room in (consensus.engine, consensus.gossip)]
    asked = [
        f"{path.name}: {name.name}"
        for path in sorted(path for room in rooms for path in room.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "consensus.core.votes"
        for name in node.names
        if name.name == "two_thirds"
    ]
    assert asked == []
