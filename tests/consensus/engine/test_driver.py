"""The driver among peers: what it refuses and whom it blames, what it keeps, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from consensus.core.events import Step, VoteKind
from consensus.engine import own_messages
from consensus.engine.incoming.inbox import PEER_MESSAGES_MAX
from consensus.engine.incoming.inputs import MajorityIn, PartIn, ProposalIn, VoteIn
from consensus.engine.intake import SECONDS_MAX
from consensus.engine.votes import RoundVotes
from consensus.system.clock import LoopClock
from consensus.system.errors import EXIT_CONSENSUS_FAILURE
from consensus.types.block import Block
from consensus.types.ids import NIL_BLOCK_ID, BlockID, PartSetHeader
from consensus.types.parts import PARTS_MAX, PartSet
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, PREVOTE, Vote
from tests.support.engine.bench import SLOW_PROPOSER, Home, StopAt, genesis_of, make_node, until
from tests.support.engine.driver import OTHER, PATIENT, Bench, make_bench, own_votes, restart
from tests.support.engine.memnet import MemoryNetwork


class SlowClock(LoopClock):
    """Set years back once the first height has begun: before it, the node would wait for the genesis time."""

    def __init__(self) -> None:
        self.is_set_back = False

    def now_ns(self) -> int:
        return 10**18 if self.is_set_back else super().now_ns()


async def test_a_proposal_is_voted_on_decided_and_logged_before_it_takes_effect() -> None:
    bench = await make_bench()
    block = bench.block((b"a=1",))
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    assert bench.driver.round_state.wire_step == 4
    for index in bench.others[:2]:
        bench.driver.add_vote(bench.vote(index, PREVOTE, block.block_id), "peer")
    await until(lambda: bench.driver.core.step is Step.PRECOMMIT)
    for index in bench.others[:2]:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, block.block_id), "peer")
    await until(lambda: bench.node.height == 1)
    assert bench.node.app.pairs == {"a": "1"}
    assert own_votes(bench) == [(PREVOTE, block.block_id), (PRECOMMIT, block.block_id)]
    commit = bench.node.executor.blocks.load_seen_commit(1)
    assert commit is not None
    assert sum(slot.is_commit for slot in commit.signatures) == 3
    assert len(bench.logged(ProposalIn)) == 1
    assert len(bench.logged(PartIn)) == 1
    late = bench.vote(bench.others[2], PRECOMMIT, block.block_id)
    bench.driver.add_vote(late, "peer")  # makes the next block's commit complete
    await until(lambda: bench.driver.metrics.votes_late == 1)
    last = bench.driver.round_state.last_commit
    assert last is not None
    assert last.is_full
    assert not bench.faults
    await bench.driver.stop()


async def decide_without_us(bench: Bench, block: Block) -> None:
    """The others' +2/3 precommits, then the block."""
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, block.block_id), "peer")
    await until(lambda: bench.driver.core.commit_round == 0 or bench.node.height == 1)
    bench.send_block(block)
    await until(lambda: bench.node.height == 1)


async def test_what_was_decided_before_we_precommitted_gets_our_precommit_for_the_next_commit() -> None:
    bench = await make_bench()
    block = bench.block((b"a=1",))
    await decide_without_us(bench, block)
    await until(lambda: bench.driver.core.height == 2)
    assert own_votes(bench) == [(PRECOMMIT, block.block_id)]
    last = bench.driver.round_state.last_commit
    assert last is not None
    assert last.is_full
    ours = last.get(bench.ours)
    assert ours is not None
    assert ours.verify(bench.chain_id, bench.keys[bench.ours].pub_key)
    assert ours.timestamp_ns > block.header.time_ns
    assert bench.driver.metrics.own_precommits_late == 1
    second = await restart(bench)  # what was logged of the height before counts again, and binds nothing
    await until(lambda: second.driver.core.height == 2 and not second.driver.metrics.is_catching_up_from_wal)
    assert second.driver.core.locked_round == -1
    last = second.driver.round_state.last_commit
    assert last is not None
    assert last.get(bench.ours) == ours
    await second.driver.stop()


@pytest.mark.parametrize("said", ["nil in this round", "a prevote of a later round", "it listens", "long ago"])
async def test_no_late_precommit_beside_what_we_said(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor while nothing is signed, nor where its block's successor is long made."""
    config = replace(PATIENT, timeout_prevote_ms=1) if said == "nil in this round" else PATIENT
    bench = await make_bench(config=config, watch_before_signing_ns=10**12 if said == "it listens" else 0)
    block = bench.block((b"a=1",))
    if said == "long ago":
        monkeypatch.setattr(own_messages, "LATE_NS", 0)
    if said == "nil in this round":
        bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
        bench.send_block(block)
        for index, value in zip(bench.others, (OTHER, NIL_BLOCK_ID, block.block_id), strict=True):
            bench.driver.add_vote(bench.vote(index, PREVOTE, value), "peer")
        await until(lambda: bench.driver.core.step is Step.PRECOMMIT)
    if said == "a prevote of a later round":
        for index in bench.others[:2]:
            bench.driver.add_vote(bench.vote(index, PREVOTE, OTHER, round=1), "peer")
        await until(lambda: bench.driver.core.round == 1)
        bench.driver.add_proposal(bench.proposal(block.block_id, by=bench.validators.proposer(1), round=1), "peer")
        bench.send_block(block)
        await until(lambda: bench.driver.core.step is Step.PREVOTE)
    before = own_votes(bench)
    await decide_without_us(bench, block)
    await until(lambda: bench.driver.core.height == 2)
    assert own_votes(bench) == before
    assert bench.driver.metrics.own_precommits_late == 0
    assert not bench.node.fatal
    await bench.driver.stop()


async def test_who_reads_votes_while_our_next_key_is_looked_for_is_shown_no_old_ones_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key that is not in the set is looked for on the disk between two heights. A peer's gossip that read precommits
    then had the old height's kept as the new one's, and the node ended with the next decision."""
    bench = await make_bench()
    block = bench.block((b"a=1",))
    look, seen = bench.driver._own.index_in, []

    async def looked_for(validators: ValidatorSet) -> int | None:
        seen.append(bench.driver.round_state.votes(VoteKind.PRECOMMIT, 0))
        return await look(validators)

    monkeypatch.setattr(bench.driver._own, "index_in", looked_for)
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    for kind in (PREVOTE, PRECOMMIT):
        for index in bench.others[:2]:
            bench.driver.add_vote(bench.vote(index, kind, block.block_id), "peer")
    await until(lambda: bench.driver.core.height == 2)
    assert [len(list(votes.each())) for votes in seen if votes is not None] == [3]
    votes = bench.driver.round_state.votes(VoteKind.PRECOMMIT, 0)
    assert votes is None or not list(votes.each())
    await bench.driver.stop()


async def test_prevote_wait_is_step_five_on_the_wire() -> None:
    bench = await make_bench()
    block = bench.block()
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    for index, block_id in zip(bench.others, (OTHER, BlockID()), strict=False):
        bench.driver.add_vote(bench.vote(index, PREVOTE, block_id), "peer")
    await until(lambda: bench.driver.round_state.wire_step == 5)
    assert bench.driver.round_state.step is Step.PREVOTE
    await bench.driver.stop()


REFUSED: list[Any] = [
    pytest.param(
        lambda b: b.driver.add_vote(replace(b.vote(b.others[0]), signature=b"x" * 64), "peer"), True, id="sig"
    ),
    pytest.param(
        lambda b: b.driver.add_vote(replace(b.vote(b.others[0]), validator_index=b.others[1]), "peer"),
        False,
        id="ASA-2025-002's kin: index of another",
    ),
    pytest.param(
        lambda b: b.driver.add_vote(replace(b.vote(b.others[0]), validator_index=99), "peer"),
        False,
        id="ASA-2024-011: index out of range",
    ),
    pytest.param(lambda b: b.driver.add_vote(replace(b.vote(b.others[0]), type=7), "peer"), False, id="unknown type"),
    pytest.param(lambda b: b.driver.add_vote(b.vote(b.others[0], height=9), "peer"), False, id="height far ahead"),
    pytest.param(
        lambda b: b.driver.add_vote(replace(b.vote(b.others[0], PRECOMMIT), extension_signature=b"s"), "peer"),
        False,
        id="extension where there are none",
    ),
    pytest.param(
        lambda b: b.driver.add_proposal(
            b.proposal(OTHER, by=b.others[-1] if b.others[-1] != b.proposer else b.others[0]), "peer"
        ),
        True,
        id="proposal of another than the proposer",
    ),
    pytest.param(lambda b: b.driver.add_proposal(b.proposal(OTHER, round=5), "peer"), False, id="proposal far ahead"),
    pytest.param(
        lambda b: b.driver.add_proposal(b.proposal(BlockID(b"h" * 32, PartSetHeader(1601, b"p" * 32))), "peer"),
        True,
        id="proposal of more parts than the parameters allow",
    ),
    pytest.param(lambda b: b.send_block(b.block()), False, id="parts that nobody asked for"),
    pytest.param(
        lambda b: b.driver.add_peer_majority(VoteKind.PREVOTE, 1, 99, None, "peer"), False, id="majority far ahead"
    ),
]


@pytest.mark.parametrize(("send", "blamed"), REFUSED)
async def test_what_is_refused_changes_nothing(send: Callable[[Bench], None], blamed: bool) -> None:
    """Nor is it logged; only what no honest peer sends costs the peer."""
    bench = await make_bench()
    before = len(list(bench.node.wal.all_messages()))
    send(bench)
    await bench.settle()
    assert bool(bench.faults) == blamed
    assert bench.driver.core.step is Step.PROPOSE
    assert bench.driver.round_state.votes(VoteKind.PREVOTE, 0) is None
    assert bench.driver.round_state.proposal is None
    assert len(list(bench.node.wal.all_messages())) == before
    assert not bench.node.fatal
    await bench.driver.stop()


async def test_bad_part_of_a_proposed_block_is_refused_and_the_good_one_taken() -> None:
    """ASA-2025-002: a part is proved at its own index."""
    bench = await make_bench()
    block = bench.block(tuple(b"k%d=" % number + b"x" * 50_000 for number in range(4)))
    parts = block.part_set()
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    first, second = parts.get(0), parts.get(1)
    assert first is not None
    assert second is not None
    bench.driver.add_part(1, 0, replace(first, index=1), "peer")
    bench.driver.add_part(1, 0, replace(first, bytes=b"y" * len(first.bytes)), "peer")
    await bench.settle()
    gathered = bench.driver.round_state.parts
    assert gathered is not None
    assert gathered.count == 0
    bench.send_block(block)
    bench.send_block(block)
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    await bench.settle()
    assert bench.driver.metrics.parts_duplicate == parts.header.total
    assert own_votes(bench) == [(PREVOTE, block.block_id)]
    await bench.driver.stop()


@pytest.mark.parametrize("kind", ["no block at all", "another height", "wrong state", "refused by the application"])
async def test_a_proposal_that_cannot_be_accepted_gets_a_nil_vote_with_its_reason(kind: str) -> None:
    """Failure 26."""
    bench = await make_bench()
    good = bench.block((b"a=1",) if kind != "refused by the application" else (b"no key",))
    header = {
        "another height": replace(good.header, height=2),
        "wrong state": replace(good.header, app_hash=b"?"),
    }.get(kind, good.header)
    block = replace(good, header=header)
    parts = PartSet.from_bytes(b"\xff\xff" if kind == "no block at all" else block.encode())
    block_id = BlockID(block.hash, parts.header)
    bench.driver.add_proposal(bench.proposal(block_id), "peer")
    part = parts.get(0)
    assert part is not None
    bench.driver.add_part(1, 0, part, "peer")
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    assert own_votes(bench) == [(PREVOTE, BlockID())]
    assert bench.driver.metrics.nil_votes == {("prevote", "invalid_block"): 1}
    await bench.driver.stop()


async def test_equivocation_is_reported_and_counts_only_once_claimed() -> None:
    bench = await make_bench()
    liar = bench.others[0]
    first, second = bench.vote(liar), bench.vote(liar, block_id=BlockID())
    bench.driver.add_vote(first, "peer")
    bench.driver.add_vote(second, "peer")
    await until(lambda: bool(bench.node.evidence.reported))
    assert bench.node.evidence.reported == [(first, second)]
    votes = bench.driver.round_state.votes(VoteKind.PREVOTE, 0)
    assert votes is not None
    assert not votes.bits_for(None)
    third = bench.others[1]
    bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, None, "peer")
    bench.driver.add_vote(bench.vote(third), "peer")
    bench.driver.add_vote(bench.vote(third, block_id=BlockID()), "peer")
    await until(lambda: len(bench.node.evidence.reported) == 2)
    votes = bench.driver.round_state.votes(VoteKind.PREVOTE, 0)
    assert votes is not None
    assert third in votes.bits_for(None)
    assert third in votes.bits_for(OTHER)
    assert [one.block_id for one in bench.logged(MajorityIn)] == [None]
    bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, OTHER, "peer")
    await until(lambda: bool(bench.faults))  # two claims for one set
    await bench.driver.stop()


async def test_decided_block_that_is_missing_is_gathered_without_a_proposal() -> None:
    """Design section 3: lines 36 and 49 need votes and the block, not the proposal."""
    bench = await make_bench()
    block = bench.block((b"a=1",))
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, block.block_id), "peer")
    await until(lambda: bench.driver.round_state.wire_step == 8)
    state = bench.driver.round_state
    assert state.commit_round == 0
    assert state.parts is not None
    assert (state.parts.header, state.parts.count) == (block.part_set().header, 0)
    bench.send_block(block)
    await until(lambda: bench.node.height == 1)
    assert own_votes(bench) == [(PRECOMMIT, block.block_id)]
    await bench.driver.stop()


async def test_what_is_of_the_next_height_waits_for_it_up_to_a_bound() -> None:
    bench = await make_bench()
    for round in range(1_500):
        bench.driver.add_vote(replace(bench.vote(bench.others[0]), height=2, round=round), "peer")
    await bench.settle()
    await until(lambda: not bench.driver._inbox)
    assert len(bench.driver._inbox._queues["peer"].deferred) == 1_000
    await bench.driver.stop()


async def test_vote_that_was_signed_and_not_logged_is_taken_up_and_nothing_else_is_signed() -> None:
    """The log lost the vote and its cause; the signer's record has it. Abstaining keeps us from a double sign."""
    hasty = replace(PATIENT, timeout_propose_ms=1)
    bench = await make_bench(config=hasty, fail_point=StopAt("vote signed"))
    await until(lambda: bench.driver._consensus is not None and bench.driver._consensus.done())
    assert own_votes(bench) == []
    back = await restart(bench)
    await until(lambda: back.driver.core.step is Step.PROPOSE)
    votes = back.driver.round_state.votes(VoteKind.PREVOTE, 0)
    assert votes is not None
    assert votes.bits_for(None).mask == 1 << back.ours
    block = back.block()
    back.driver.add_proposal(back.proposal(block.block_id), "peer")
    back.send_block(block)
    await until(lambda: back.driver.core.step is Step.PREVOTE)
    assert own_votes(back) == [(PREVOTE, BlockID())]
    await back.driver.stop()


async def test_round_that_a_transaction_began_is_begun_again_by_the_log() -> None:
    calm = replace(PATIENT, create_empty_blocks_interval_ms=60_000)
    bench = await make_bench(config=calm)  # the first height needs a proof block
    block = bench.block()
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, block.block_id), "peer")
    await until(lambda: bench.node.height == 1 and bench.driver.core.step is Step.NEW_ROUND)
    bench.node.pool.add(b"a=1")
    await until(lambda: bench.driver.core.step is Step.PROPOSE)
    bench.node.wal.sync()
    back = await restart(bench, calm)
    assert back.node.pool.size == 0
    await until(lambda: back.driver.core.step is Step.PROPOSE)
    await back.driver.stop()


async def test_votes_are_stamped_after_what_they_build_on_also_when_the_clock_is_behind() -> None:
    """Design section 3: max(now, the voted block's time + 1 ms); for nil after all blocks of the height."""
    clock = SlowClock()
    bench = await make_bench(clock=clock, config=replace(PATIENT, timeout_prevote_ms=1))
    clock.is_set_back = True
    block = bench.block()
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    for index in bench.others[:2]:
        bench.driver.add_vote(bench.vote(index, PREVOTE, OTHER), "peer")
    await until(lambda: bench.driver.core.step is Step.PRECOMMIT)
    first, second = (one.vote for one in bench.logged(VoteIn) if not one.peer_id)
    assert (first.block_id, second.block_id) == (block.block_id, BlockID())
    assert first.timestamp_ns == second.timestamp_ns == block.header.time_ns + 10**6
    await bench.driver.stop()


async def test_execution_of_a_block_that_was_not_decided_is_given_up() -> None:
    bench = await make_bench()
    stuck, good = bench.block((b"a=1",)), bench.block((b"a=2",))
    judge = bench.node.app.process_proposal

    def process_proposal(request: Any) -> Any:
        while request.hash == stuck.hash:
            yield
        return (yield from judge(request))

    bench.node.app.process_proposal = process_proposal  # type: ignore[method-assign]
    bench.driver.add_proposal(bench.proposal(stuck.block_id), "peer")
    bench.send_block(stuck)
    await until(bench.node.executor._app_lock.locked)  # by the execution of the stuck block, not before it
    bench.node.executor._app_lock = asyncio.Lock()  # the next one need not wait for it here
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, good.block_id), "peer")
    await until(lambda: bench.driver.round_state.wire_step == 8)
    bench.send_block(good)
    await until(lambda: bench.node.height == 1)
    assert bench.node.app.pairs == {"a": "2"}
    assert not bench.node.executor._processing
    await bench.driver.stop()


async def test_full_inbox_drops_and_counts() -> None:
    bench = await make_bench()
    vote = bench.vote(bench.others[0])
    for _ in range(PEER_MESSAGES_MAX + 10):
        bench.driver.add_vote(vote, "peer")
    assert not bench.driver.has_room("peer")
    assert bench.driver.has_room("another")
    assert bench.driver.metrics.inbox_dropped == 10
    await until(lambda: bench.driver.has_room("peer") and not bench.driver._inbox)
    assert bench.driver.metrics.votes_duplicate == PEER_MESSAGES_MAX - 1
    await bench.driver.stop()


@pytest.mark.parametrize(
    ("break_it", "line"),
    [
        pytest.param(lambda b: setattr(b.node.app, "finalize_block", None), "TypeError", id="the application"),
        pytest.param(lambda b: setattr(b.node.wal, "sync", None), "TypeError", id="the log"),
        pytest.param(lambda b: b.node.home.blocks.close(), "database (memory) is closed", id="the block store"),
        pytest.param(lambda b: b.node.home.state.close(), "database (memory) is closed", id="the state store"),
    ],
)
async def test_failure_ends_the_process_with_a_code_and_a_last_line(
    break_it: Callable[[Bench], None], line: str
) -> None:
    """Failure 19: consensus that cannot go on never leaves a node that looks alive."""
    bench = await make_bench()
    break_it(bench)
    block = bench.block((b"a=1",))
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    for type in (PREVOTE, PRECOMMIT):
        for index in bench.others:
            bench.driver.add_vote(bench.vote(index, type, block.block_id), "peer")
    await until(lambda: bool(bench.node.fatal))
    [(code, last)] = bench.node.fatal
    assert code == EXIT_CONSENSUS_FAILURE
    assert last.startswith("consensus failed at height 1 round 0 step ")
    assert line in last
    assert not bench.driver.is_running
    assert bench.driver.failure is not None
    assert line in " ".join(bench.driver.failure.__notes__)
    bench.driver.add_vote(bench.vote(bench.others[0]), "peer")  # peers are still there: harmless
    await bench.driver.stop()


async def test_committed_block_that_is_invalid_here_ends_the_process() -> None:
    bench = await make_bench()
    bench.node.app.refuse = lambda request: True
    block = bench.block((b"a=1",))
    bench.send_block(block)
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, block.block_id), "peer")
    await until(lambda: bench.driver.round_state.wire_step == 8)
    bench.send_block(block)
    await until(lambda: bool(bench.node.fatal))
    assert "which is invalid here" in bench.node.fatal[0][1]
    assert f"precommits for {block.hash.hex()}, which is invalid here (the app" in bench.node.fatal[0][1]
    assert "which is invalid here (the application refused it: " in bench.node.fatal[0][1]
    await bench.driver.stop()


async def test_block_sync_applies_proved_blocks_and_nothing_is_signed_at_their_heights() -> None:
    """Failure 10."""
    genesis = genesis_of(4)
    nodes = [await make_node(genesis, index, Home(), config=SLOW_PROPOSER) for index in range(3)]
    network = MemoryNetwork(nodes)
    await network.start()
    nodes[0].pool.add(b"a=1")
    await network.reach(6)
    await network.stop()
    source = nodes[0].executor.blocks
    late = await make_node(genesis, 3, Home(), config=SLOW_PROPOSER)
    for height in range(1, 6):
        block, parts, commit = source.load_block(height), source.load_parts(height), source.load_commit(height)
        meta = source.load_meta(height)
        assert block is not None
        assert parts is not None
        assert commit is not None
        assert meta is not None
        await late.driver.apply_synced_block(block, meta.block_id, parts, commit)
    assert (late.height, late.app.pairs) == (5, {"a": "1"})
    with pytest.raises(ValueError, match="height is 3, expected 6"):
        third, parts = source.load_block(3), source.load_parts(3)
        assert third is not None
        assert parts is not None
        await late.driver.apply_synced_block(third, third.block_id, parts, commit)
    signer = late.driver._signer
    assert signer is not None
    from consensus.system.errors import SigningRefused

    with pytest.raises(SigningRefused):
        signer.sign_vote(genesis.chain_id, Vote(PREVOTE, 5, 9, OTHER), with_extension=False)
    await late.driver.start()
    assert late.wal.records_after(5) is not None
    await late.driver.stop()


async def test_claims_of_majorities_fill_no_log() -> None:
    """audit 7: whoever comes back under ever new ids may claim for ever; logged is the claim that made a vote count."""
    bench = await make_bench()
    for number in range(300):
        claimed = BlockID(b"%032d" % number, PartSetHeader(1, b"p" * 32))
        bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, claimed, f"peer{number}")
    bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, OTHER, "honest")
    liar = bench.others[0]
    for block_id in (BlockID(), OTHER):
        bench.driver.add_vote(bench.vote(liar, PREVOTE, block_id), "honest")
    await until(lambda: bool(bench.node.evidence.reported))
    votes = bench.driver.round_state.votes(VoteKind.PREVOTE, 0)
    assert votes is not None
    assert liar in votes.bits_for(OTHER)
    assert [claim.block_id for claim in bench.logged(MajorityIn)] == [OTHER]
    bench.node.wal.sync()
    back = await restart(bench)
    await until(lambda: back.driver.core.step is Step.PROPOSE)
    votes = back.driver.round_state.votes(VoteKind.PREVOTE, 0)
    assert votes is not None
    assert liar in votes.bits_for(OTHER)  # also after a restart
    await back.driver.stop()


async def test_what_peers_that_left_claimed_is_forgotten_but_for_what_made_a_vote_count() -> None:
    """audit 7: ids cost nothing. Claims, and what waits for the next height, were kept of each that ever came."""
    bench = await make_bench()
    liar = bench.others[0]
    bench.driver.add_vote(bench.vote(liar), "honest")
    for number in range(100):
        peer, claimed = f"peer{number}", BlockID(b"%032d" % number, PartSetHeader(1, b"p" * 32))
        bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, claimed, peer)
        bench.driver.add_vote(bench.vote(liar, block_id=claimed), peer)
        bench.driver.add_vote(replace(bench.vote(liar), height=2), peer)
        await until(lambda: not bench.driver._inbox)
        bench.driver.peer_left(peer)
    intake, inbox = bench.driver._intake, bench.driver._inbox
    votes = bench.driver.round_state.votes(VoteKind.PREVOTE, 0)
    assert votes is not None
    assert isinstance(votes, RoundVotes)
    assert len([vote for vote in votes.each() if vote.validator_index == liar]) == 1 + SECONDS_MAX
    assert len(intake._claims) == len(intake._claimed) == len(bench.logged(MajorityIn)) == SECONDS_MAX
    assert (inbox.peers, inbox.bytes) == (0, 0)
    wanted = BlockID(b"w" * 32, PartSetHeader(1, b"p" * 32))
    bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, wanted, "honest")
    for index in (bench.others[1], bench.others[2], liar):
        bench.driver.add_vote(bench.vote(index, block_id=wanted), "honest")
    await until(lambda: bench.driver.core.votes(VoteKind.PREVOTE, 0).has_majority)  # +2/3 need the liar's
    await bench.driver.stop()


async def test_the_same_claim_of_another_peer_outlives_the_first_ones_leaving() -> None:
    bench = await make_bench()
    liar = bench.others[0]
    for peer in ("first", "second"):
        bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, None, peer)
    await until(lambda: not bench.driver._inbox)
    bench.driver.peer_left("first")
    for block_id in (OTHER, BlockID()):
        bench.driver.add_vote(bench.vote(liar, block_id=block_id), "second")
    await until(lambda: bool(bench.driver.core.votes(VoteKind.PREVOTE, 0).power_for(None)))
    await bench.driver.stop()


@pytest.mark.parametrize("type", [PREVOTE, PRECOMMIT])
async def test_votes_for_a_block_of_impossible_size_never_count(type: int) -> None:
    """audit 2: with +2/3 of them, opening its part set ended the process."""
    bench = await make_bench()
    huge = BlockID(b"h" * 32, PartSetHeader(PARTS_MAX + 1, b"p" * 32))
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, type, huge), "peer")
    await until(lambda: bench.driver.metrics.votes_refused == 3)
    assert bench.driver.is_running
    assert not bench.driver.core.votes(VoteKind(type), 0).power
    await bench.driver.stop()
