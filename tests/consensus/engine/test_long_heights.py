"""A height of many rounds: blocks that no polka made ours are forgotten, and gathered again where they are wanted."""

from __future__ import annotations

from consensus.core.core import BLOCK_ROUNDS_KEPT
from consensus.core.events import Step, VoteKind
from consensus.privval.own_key import WatchOver
from consensus.types.block import Block
from consensus.types.ids import NIL_BLOCK_ID
from consensus.types.parts import PART_BYTES
from consensus.types.vote import PRECOMMIT, PREVOTE
from tests.support.engine.bench import until
from tests.support.engine.driver import Bench, make_bench

ROUNDS = 30


def send_parts(bench: Bench, block: Block, round: int) -> None:
    parts = block.part_set()
    for index in range(parts.header.total):
        part = parts.get(index)
        assert part is not None
        bench.driver.add_part(1, round, part, "peer")


async def play_rounds(bench: Bench, *, polka_in: int = -1) -> dict[int, Block]:
    """Every proposer proposes another large block; nobody prevotes it, and two others go on to the next round."""
    blocks: dict[int, Block] = {}
    for round in range(ROUNDS):
        await until(lambda at=round: bench.driver.core.round == at)  # type: ignore[misc]
        proposer = bench.validators.proposer(round)
        if proposer != bench.ours:
            block = blocks[round] = bench.block((b"%d=" % round + b"x" * 2 * PART_BYTES,))
            bench.driver.add_proposal(bench.proposal(block.block_id, by=proposer, round=round), "peer")
            send_parts(bench, block, round)
            await until(lambda: bench.driver.core.step in (Step.PREVOTE, Step.PRECOMMIT))
        if round == polka_in:
            for index in bench.others:
                bench.driver.add_vote(bench.vote(index, PREVOTE, blocks[round].block_id, round=round), "peer")
            await until(lambda at=round: bench.driver.core.locked_round == at)  # type: ignore[misc]
        for index in bench.others[:2]:
            bench.driver.add_vote(bench.vote(index, PREVOTE, NIL_BLOCK_ID, round=round + 1), "peer")
    await until(lambda: bench.driver.core.round == ROUNDS)
    return blocks


async def test_what_is_held_of_a_height_of_many_rounds_is_bounded_and_an_old_block_still_decides() -> None:
    """audit 2: each round's block was kept until the height ended, 4 MB and more a round."""
    bench = await make_bench()
    blocks = await play_rounds(bench)
    state = bench.driver.round_state
    assert len(state.part_sets) <= BLOCK_ROUNDS_KEPT + 1
    assert len(state.blocks) <= len(state.part_sets)
    assert set(state._decoded) | set(state.block_ids) <= set(state.part_sets)
    old = blocks[min(blocks)]
    assert old.block_id not in state.blocks
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, old.block_id, round=min(blocks)), "peer")
    await until(lambda: bench.driver.core.step is Step.COMMIT)
    send_parts(bench, old, min(blocks))
    await until(lambda: bench.node.height == 1)
    assert not bench.node.fatal
    await bench.driver.stop()


async def test_a_forgotten_block_that_is_proposed_again_is_gathered_and_voted_for() -> None:
    bench = await make_bench()
    blocks = await play_rounds(bench)
    old, round = blocks[min(blocks)], ROUNDS
    while bench.validators.proposer(round) == bench.ours:
        round += 1
    for index in bench.others[:2]:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, NIL_BLOCK_ID, round=round), "peer")
    await until(lambda: bench.driver.core.round == round)
    again = bench.proposal(old.block_id, by=bench.validators.proposer(round), round=round)
    bench.driver.add_proposal(again, "peer")
    send_parts(bench, old, round)
    await until(lambda: bench.driver.core.votes(VoteKind.PREVOTE, round).power_for(old.block_id) > 0)
    await bench.driver.stop()


async def test_a_locked_block_is_never_forgotten() -> None:
    bench = await make_bench()
    first = next(round for round in range(4) if bench.validators.proposer(round) != bench.ours)
    blocks = await play_rounds(bench, polka_in=first)
    assert bench.driver.core.locked_value == blocks[first].block_id
    assert bench.driver.round_state.blocks[blocks[first].block_id] is not None
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, blocks[first].block_id, round=first), "peer")
    await until(lambda: bench.node.height == 1)
    await bench.driver.stop()


async def test_what_was_put_off_for_many_rounds_is_not_signed_for_a_forgotten_block() -> None:
    """lighthouse#2069: the watch of our key may outlast many rounds of a height."""
    bench = await make_bench(watch_before_signing_ns=3600 * 10**9)
    await play_rounds(bench)
    bench.driver._push(WatchOver())
    await bench.settle()
    await until(lambda: not bench.driver._events)
    assert not bench.node.fatal
    assert bench.driver.is_running
    await bench.driver.stop()
