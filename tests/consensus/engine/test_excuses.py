"""An honest peer is not charged for what somebody else lied about; who sends the same without end is."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from consensus.core.events import VoteKind
from consensus.engine.incoming.excuses import SETS_EXCUSED
from consensus.engine.intake import BAD_PART_WEIGHT
from consensus.engine.votes import vote_for
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PART_BYTES, Part, PartSet
from consensus.types.vote import PREVOTE
from crypto import merkle
from crypto.hash import sha256
from tests.support.engine.bench import until
from tests.support.engine.driver import Bench
from tests.support.engine.inbox import Told, flooded_bench

PARTS = 40


def set_of(seed: int, *, parts: int = PARTS) -> PartSet:
    return PartSet.from_bytes(random.Random(seed).randbytes(parts * PART_BYTES))


def part_of(parts: PartSet, index: int) -> Part:
    part = parts.get(index)
    assert part is not None
    return part


async def send(bench: Bench, parts: PartSet, peer: str, *, round: int = 0) -> None:
    for index in range(parts.total):
        bench.driver.add_part(1, round, part_of(parts, index), peer)
    await until(lambda: not bench.driver._inbox)


async def gathering() -> tuple[Bench, Told, PartSet]:
    """A node that was told of a block, and has none of its parts."""
    bench, told = await flooded_bench()
    ours = set_of(0)
    bench.driver.add_proposal(bench.proposal(BlockID(b"h" * 32, ours.header)), "liar")
    await until(lambda: bench.driver.round_state.proposal is not None)
    return bench, told, ours


async def test_the_parts_of_another_proposal_are_not_their_senders_fault() -> None:
    """audit 22: 160 of them cost 640 of the 1,000 that an honest peer may send to no use."""
    bench, told, ours = await gathering()
    for number in range(3):
        await send(bench, set_of(1 + number), f"honest {number}")
    assert told.useless_by_kind == {}
    assert bench.driver.metrics.parts_refused == 3 * PARTS
    await send(bench, ours, "honest 0")
    assert bench.driver.metrics.parts_refused == 3 * PARTS
    assert told.useful_by_peer == {"honest 0": PARTS}
    await bench.driver.stop()


@pytest.mark.parametrize("round", [0, 7])
async def test_each_of_them_is_excused_once_and_of_few_sets(round: int) -> None:
    """audit 22: a liar has no use of the excuse: what an honest peer does not send twice is charged."""
    bench, told, _ = await gathering()
    for number in range(SETS_EXCUSED):
        await send(bench, set_of(1 + number), "liar", round=round)
    assert told.useless_by_kind == {}
    await send(bench, set_of(1), "liar", round=round)
    assert told.useless_by_kind == {("liar", "part of no block"): PARTS * BAD_PART_WEIGHT}
    await send(bench, set_of(9), "liar")
    assert told.useless_by_kind == {("liar", "part of no block"): 2 * PARTS * BAD_PART_WEIGHT}
    bench.driver.peer_left("liar")
    await bench.driver.stop()


async def test_parts_of_more_than_a_block_holds_are_not_excused() -> None:
    """audit 22"""
    bench, told, _ = await gathering()
    one = part_of(set_of(1), 0)
    total = 2**40
    huge = replace(one, proof=replace(one.proof, total=total, aunts=(b"a" * 32,) * len(merkle.sides(0, total))))
    bench.driver.add_part(1, 0, huge, "liar")
    await until(lambda: not bench.driver._inbox)
    assert told.useless_by_kind == {("liar", "part of no block"): BAD_PART_WEIGHT}
    await bench.driver.stop()


async def test_only_what_we_gather_is_hashed_and_a_forged_part_is_its_senders_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """audit 22: an excused part costs what a duplicate does."""
    hashed: list[int] = []

    def counted(item: bytes) -> bytes:
        hashed.append(len(item))
        return sha256(b"\x00" + item)

    bench, told, ours = await gathering()
    others = set_of(1)
    monkeypatch.setattr(merkle, "leaf_hash", counted)
    await send(bench, others, "honest")
    assert hashed == []
    good = part_of(ours, 0)
    forged = replace(good, bytes=b"x" * PART_BYTES)
    for part, peer in ((forged, "liar"), (good, "honest"), (forged, "liar"), (replace(good, index=1), "liar")):
        bench.driver.add_part(1, 0, part, peer)
    await until(lambda: not bench.driver._inbox)
    assert told.useless_by_kind == {("liar", "part that does not prove itself"): 3 * BAD_PART_WEIGHT}
    assert bench.driver.round_state.part_sets[ours.header].mask == 1
    await bench.driver.stop()


async def test_votes_that_their_validator_signed_several_times_are_not_the_peers_fault() -> None:
    """audit 22: each peer holds one of them, and hands it on to those who hold another."""
    bench, told = await flooded_bench()
    liar = bench.others[0]
    values = [BlockID(sha256(b"%d" % n), PartSetHeader(1, sha256(b"p%d" % n))) for n in range(5)]
    votes = [bench.vote(liar, PREVOTE, value) for value in values]
    signed_again = replace(votes[0], signature=b"s" * 64)
    for number, vote in enumerate([*votes, signed_again]):
        bench.driver.add_vote(vote, f"honest {number}")
    await until(lambda: not bench.driver._inbox)
    assert vote_for(bench.driver.core.votes(VoteKind.PREVOTE, 0), liar, values[0]) is not None
    assert told.useless_by_kind == {}
    for vote in (*votes[2:], signed_again):
        bench.driver.add_vote(vote, "honest 5")
    await until(lambda: not bench.driver._inbox)
    assert sum(told.useless_by_kind.values()) == 4, "the first was signed_again"
    await bench.driver.stop()
