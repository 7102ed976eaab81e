"""What counts of a running height, said once more: a checkpoint of its log.

A height that takes many rounds logs about a block a round. When its log is long (wal.py), what a replay needs is
written behind another EndHeight of the height before, as records that any replay reads:

1. our own votes of all rounds: whatever else is left out, what we said stands, and our last precommit is the lock;
2. by our own claim (VoteSetMaj23 from nobody) the locked and the valid value, each with the parts of its block;
3. the time-outs that begin round 0 and end the round before ours: with them a replay is in our round, whatever
   happened in between;
4. the votes of the round before, and of the rounds that locked block and valid value have their polka in;
5. of our round and later ones the proposals with their parts, the time-outs that we had, the votes, and the parts of
   a block that +2/3 prevoted;
6. late precommits of the height before.

What is left out: blocks that no polka made ours, and votes of others in rounds long past. Peers do not need them from
us, and a lock never depended on them. Nothing is said for others that they did not sign; 2 is ours, and we checked it.
What memory keeps of old rounds (core.py, BLOCK_ROUNDS_KEPT) is more.
Source: CometBFT v0.38 has no such thing; its time-outs of later rounds count, too (consensus/state.go, handleTimeout).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import structlog

from consensus.core.core import VOTING, Core
from consensus.core.events import Elapsed, Step, VoteKind
from consensus.engine.incoming.inputs import Logged, MajorityIn, PartIn, ProposalIn, TimedOut, VoteIn, encode_logged
from consensus.engine.round_state import HeightState
from consensus.execution.metrics import EngineMetrics
from consensus.stores.wal import Wal
from consensus.system.clock import Clock, Workers
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import Vote

RESTATED: Final = "restated"  # from whom others' messages are then; no peer has this id, and it is not empty as ours

log = structlog.get_logger(__name__)


def can_restate(core: Core) -> bool:
    """Round 0 logs no more than two blocks, and a decision in sight no more than its own."""
    return core.round > 0 and core.step in VOTING


def restated(core: Core, state: HeightState, claims: Iterable[MajorityIn]) -> Iterator[Logged]:
    """The checkpoint's records. claims: those of peers that made votes count.

    Between two inputs only, when all that we signed came back to the core. Nothing may change before the last is taken.
    """
    assert can_restate(core), (core.round, core.step)
    height, round, used = core.height, core.round, list(claims)
    given: set[PartSetHeader] = set()

    def votes_of(rounds: Iterable[int]) -> Iterator[Logged]:
        for of_round in rounds:
            yield from (claim for claim in used if claim.round == of_round)
            for vote in _votes(state, of_round):
                if vote.validator_index != core.our_index:
                    yield VoteIn(vote, RESTATED)

    def parts_of(header: PartSetHeader) -> Iterator[Logged]:
        parts = state.part_sets.get(header)
        if parts is None or header in given:
            return
        given.add(header)
        for index in range(header.total):
            if (part := parts.get(index)) is not None:
                yield PartIn(height, round, part, RESTATED)

    for of_round in core.rounds:
        yield from (VoteIn(vote, "") for vote in _votes(state, of_round) if vote.validator_index == core.our_index)
    polkas = {core.locked_round: core.locked_value, core.valid_round: core.valid_value}
    for of_round, value in sorted(polkas.items(), key=lambda polka: polka[0]):
        if isinstance(value, BlockID):
            yield MajorityIn(VoteKind.PREVOTE, height, of_round, value, "")
            yield from parts_of(value.part_set_header)
    for step, over in ((Step.NEW_ROUND, 0), (Step.NEW_HEIGHT, 0), (Step.PRECOMMIT, round - 1)):
        yield TimedOut(Elapsed(step, height, over), 0)
    yield from votes_of(sorted({past for past in (*polkas, round - 1) if 0 <= past < round}))
    for proposal in [said for of_round, said in sorted(state.proposals.items()) if of_round >= round]:
        is_ours = core.validators.proposer(proposal.round) == core.our_index
        yield ProposalIn(proposal, "" if is_ours else RESTATED)
        yield from parts_of(proposal.block_id.part_set_header)
    if core.step is not Step.PROPOSE:
        yield TimedOut(Elapsed(Step.PROPOSE, height, round), 0)
    if core.step is Step.PRECOMMIT:
        yield TimedOut(Elapsed(Step.PREVOTE, height, round), 0)
    yield from votes_of(of_round for of_round in core.rounds if of_round >= round)
    if (gathered := state.gathering.get(round)) is not None:
        yield from parts_of(gathered)
    if state.last_commit is not None:
        yield from (VoteIn(vote, RESTATED) for vote in state.last_commit.each())


def _votes(state: HeightState, round: int) -> Iterator[Vote]:
    for kind in VoteKind:
        votes = state.votes(kind, round)
        if votes is not None:
            yield from votes.each()


async def restate_log(
    wal: Wal,
    core: Core,
    state: HeightState,
    claims: Iterable[MajorityIn],
    metrics: EngineMetrics,
    *,
    last_height: int,
    clock: Clock,
    workers: Workers,
) -> None:
    """Make a replay of the running height begin here, if it may. last_height: the one before, as the log knows it."""
    if not can_restate(core):
        return

    def work() -> int:
        now_ns = clock.now_ns()
        return wal.restate(last_height, (encode_logged(one, now_ns) for one in restated(core, state, claims)))

    size = await workers.run(work)  # blocks: too much to write on the loop
    metrics.wal_restated += 1
    log.info("restated a long height in the log", height=core.height, round=core.round, bytes=size)
