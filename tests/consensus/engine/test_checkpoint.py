"""A height that takes hundreds of rounds: what its log keeps is bounded, and a restart forgets nothing that counts."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.core.events import Elapsed, Step, VoteKind
from consensus.engine.checkpoint import can_restate, restate_log
from consensus.engine.incoming.inputs import Logged, PartIn, TimedOut, VoteIn, decode_logged, encode_logged
from consensus.engine.replay import Recorded
from consensus.simulation.disk import SimulatedDisk
from consensus.stores.wal import NEW_NAME, READ_BYTES, Wal
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.system.disk import OsDisk
from consensus.types.block import Block
from consensus.types.ids import NIL_BLOCK_ID, BlockID
from consensus.types.parts import PART_BYTES, PartSet
from consensus.types.vote import PRECOMMIT, PREVOTE, Vote
from tests.support.engine.bench import Home, make_node, power_off, until
from tests.support.engine.crashes import SignKey, collect_signatures
from tests.support.engine.driver import PATIENT, Bench, make_bench
from tests.support.engine.memnet import all_votes

FOLDER = Path("/home/data/cs.wal")
BLOCK_BYTES = 2 * PART_BYTES + 1_000
LIMITS = {"head_bytes_max": 300_000, "group_bytes_max": 1_500_000, "restate_bytes_min": 1_000_000}


@dataclass(frozen=True)
class Known:
    """What a restart must not change: where we are, what binds us, and what we hold to go on."""

    round: int
    step: Step
    locked: tuple[int, object]
    valid: tuple[int, object]
    held: frozenset[object]
    own_votes: frozenset[tuple[int, int, bytes]]
    prevotes_of_polkas: tuple[int, ...]

    @staticmethod
    def of(bench: Bench) -> Known:
        core, state = bench.driver.core, bench.driver.round_state
        polkas = [(core.locked_round, core.locked_value), (core.valid_round, core.valid_value)]
        mine = [
            (vote.type, vote.round, vote.signature)
            for votes in all_votes(bench.driver)
            for vote in votes.each()
            if vote.validator_index == bench.ours
        ]
        return Known(
            core.round,
            core.step,
            (core.locked_round, core.locked_value),
            (core.valid_round, core.valid_value),
            frozenset(value for _, value in polkas if isinstance(value, BlockID) and state.blocks.get(value)),
            frozenset(mine),
            tuple(core.votes(VoteKind.PREVOTE, round).bitmap_for(value) for round, value in polkas if round >= 0),
        )


async def restarted(bench: Bench, home: Home, **options: Any) -> Bench:
    """The node on this home, its replay done; the test goes on speaking for the others."""
    ours = next(
        index for index in range(4) if bench.keys[bench.ours].pub_key == bench.genesis.validators[index].pub_key
    )
    node = await make_node(bench.genesis, ours, home, config=PATIENT, **options)
    again = Bench(node, [], bench.genesis)
    await node.driver.start()
    await until(lambda: node.driver._consensus is not None and node.driver.core.height == 1)
    await until(lambda: node.driver._recorded is None or bool(node.fatal))
    await settled(again)
    return again


async def settled(bench: Bench) -> None:
    await bench.settle()
    await until(lambda: not bench.driver._events and not bench.driver._restate_due)
    await bench.settle()


def send_block(bench: Bench, block: Block, round: int, parts_left_out: int = 0) -> None:
    parts = block.part_set()
    for index in range(parts.header.total - parts_left_out):
        part = parts.get(index)
        assert part is not None
        bench.driver.add_part(1, round, part, "peer")


def vote_of_others(bench: Bench, type: int, block_id: BlockID, round: int, count: int) -> None:
    for index in bench.others[:count]:
        bench.driver.add_vote(bench.vote(index, type, block_id, round=round), "peer")


async def play_round(bench: Bench, what: str, tx_bytes: int = 10) -> None:
    """One round of the running height: what comes of its proposal. Ends in the next round.

    lose: nobody else votes for it. lock: a polka, we precommit it. late: a polka after we precommitted nil. part: it
    is never complete. mute: there is none, the time-out votes nil. skip: f+1 are in the next round already.
    """
    core, round = bench.driver.core, bench.driver.core.round
    proposer = bench.validators.proposer(round)
    block_id = None
    if proposer == bench.ours:
        await until(lambda: round in bench.driver.round_state.proposals)
        block_id = bench.driver.round_state.proposals[round].block_id
    elif what != "mute":
        block = bench.block((b"%d=" % round + b"x" * tx_bytes,))
        block_id = block.block_id
        bench.driver.add_proposal(bench.proposal(block_id, by=proposer, round=round), "peer")
        send_block(bench, block, round, parts_left_out=what == "part")
    await settled(bench)
    if core.step is Step.PROPOSE:
        await elapse(bench, Step.PROPOSE)
    if what == "late" and block_id is not None:
        vote_of_others(bench, PREVOTE, block_id, round, 1)
        await settled(bench)
        await elapse(bench, Step.PREVOTE)
    if what in ("lock", "late") and block_id is not None:
        vote_of_others(bench, PREVOTE, block_id, round, 3)
        await settled(bench)
    if what == "skip":
        vote_of_others(bench, PRECOMMIT, NIL_BLOCK_ID, round + 1, 2)
    else:
        await end_round(bench)
    await until(lambda: core.round == round + 1)
    await settled(bench)


async def end_round(bench: Bench) -> None:
    """The others precommit nil, and the time-out comes."""
    vote_of_others(bench, PRECOMMIT, NIL_BLOCK_ID, bench.driver.core.round, 3)
    await settled(bench)
    await elapse(bench, Step.PRECOMMIT)


async def elapse(bench: Bench, step: Step) -> None:
    core = bench.driver.core
    bench.driver._push(TimedOut(Elapsed(step, core.height, core.round), 0))
    await settled(bench)


async def restate_now(bench: Bench) -> None:
    driver = bench.driver
    await restate_log(
        bench.node.wal, driver.core, driver.round_state, driver._intake.used_claims, driver.metrics,
        last_height=0, clock=LoopClock(), workers=InlineWorkers(),
    )  # fmt: skip


def disk_of(bench: Bench) -> SimulatedDisk:
    assert isinstance(bench.node.home.disk, SimulatedDisk)
    return bench.node.home.disk


def left_by(disk: SimulatedDisk, kept_tail_bytes: int = 0) -> Home:
    """A home after a power cut, before the first block: all that there is stands in files."""
    return Home(disk=disk.crashed(kept_tail_bytes))


def log_bytes(disk: SimulatedDisk) -> int:
    return sum(disk.size(FOLDER / name) for name in disk.names(FOLDER))


def replay_bytes(wal: Wal, height: int = 0) -> int:
    tail = wal.records_after(height)
    assert tail is not None
    return tail.byte_size


# ------------------------------------------------------------------------------------------------- many rounds


async def test_two_hundred_rounds_keep_a_bounded_log_and_a_restart_forgets_nothing() -> None:
    """audit 7: the log of an undecided height grew by a block a round, and a restart read all of it."""
    bench = await make_bench(wal_limits=LIMITS)
    plan = {5: "lock", 12: "late"}
    signed: dict[SignKey, set[bytes]] = defaultdict(set)
    most = biggest = 0
    for round in range(200):
        await play_round(bench, plan.get(round % 80, "lose"), BLOCK_BYTES)
        most, biggest = max(most, replay_bytes(bench.node.wal)), max(biggest, log_bytes(disk_of(bench)))
        collect_signatures(bench.node.wal, signed)
        if round in (30, 100, 199):
            before = Known.of(bench)
            assert (before.locked[0], before.valid[0]) == (
                (5, 12) if round < 80 else (85, 92) if round < 160 else (165, 172)
            )
            await power_off(bench.node)
            bench = await restarted(bench, bench.node.home.crash(10**9), wal_limits=LIMITS)
            assert Known.of(bench) == before, round
            assert len(before.held) == 2
    assert bench.driver.core.round == 200
    # a checkpoint holds at most locked, valid and proposed block; then 1 MB and what the last round brought
    assert most < 3 * BLOCK_BYTES + 1_000_000 + 2 * BLOCK_BYTES + 200 * 2 * 300 + 20_000, most
    assert biggest < most + LIMITS["group_bytes_max"] + LIMITS["head_bytes_max"], biggest
    assert all(len(found) == 1 for found in signed.values())
    await decide(bench)
    assert replay_bytes(bench.node.wal, 1) < 2_000


async def test_a_restart_in_each_of_many_rounds_does_not_make_the_log_grow() -> None:
    """What was logged before a restart counts as what is logged after it."""
    bench = await make_bench(wal_limits=LIMITS)
    most = 0
    for _ in range(40):
        await play_round(bench, "lose", BLOCK_BYTES)
        await power_off(bench.node)
        bench = await restarted(bench, bench.node.home.crash(10**9), wal_limits=LIMITS)
        most = max(most, log_bytes(disk_of(bench)))
    assert most < 4_000_000, most
    await bench.driver.stop()


# --------------------------------------------------------------------------------------------- any history

ROUNDS = st.lists(st.sampled_from(["lose", "lock", "late", "part", "mute", "skip"]), min_size=1, max_size=10)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ROUNDS, st.sampled_from(["", "proposal", "parts", "vote", "polka"]), st.integers(1, 3), st.booleans())
def test_after_any_history_a_checkpoint_restores_what_counts(
    rounds: list[str], more: str, times: int, is_heavy: bool
) -> None:
    """The same round, lock, valid value, blocks and votes; then nothing is signed twice, and the height is decided.

    is_heavy: more than a third of the power is ours, and our own votes alone make a replay skip rounds.
    """
    asyncio.run(check_history(rounds, more, times, (20, 10, 10, 10) if is_heavy else None))


async def check_history(rounds: list[str], more: str, times: int, powers: tuple[int, ...] | None) -> None:
    bench = await make_bench(powers=powers)
    for what in rounds:
        await play_round(bench, what)
    await begin_round(bench, more)
    before = Known.of(bench)
    signed: dict[SignKey, set[bytes]] = defaultdict(set)
    for _ in range(times):  # a checkpoint of what a checkpoint restored
        collect_signatures(bench.node.wal, signed)
        await restate_now(bench)
        assert can_restate(bench.driver.core)
        await power_off(bench.node)
        bench = await restarted(bench, bench.node.home.crash())
        assert Known.of(bench) == before
    await try_to_make_it_sign_twice(bench)
    collect_signatures(bench.node.wal, signed)
    assert {key: found for key, found in signed.items() if len(found) > 1} == {}
    if powers is None:  # else the others alone decide nothing
        await decide(bench)
    else:
        await bench.driver.stop()


async def begin_round(bench: Bench, what: str) -> None:
    """Stop in the middle of a round."""
    round = bench.driver.core.round
    proposer = bench.validators.proposer(round)
    if not what or proposer == bench.ours:
        return
    block = bench.block((b"begun=%d" % round,))
    bench.driver.add_proposal(bench.proposal(block.block_id, by=proposer, round=round), "peer")
    if what != "proposal":
        send_block(bench, block, round)
    await settled(bench)
    if what in ("vote", "polka"):
        vote_of_others(bench, PREVOTE, block.block_id, round, 1 if what == "vote" else 3)
        await settled(bench)


async def try_to_make_it_sign_twice(bench: Bench) -> None:
    """Each time-out of this round, and another block than before."""
    round = bench.driver.core.round
    block = bench.block((b"another=1",))
    proposer = bench.validators.proposer(round)
    if proposer != bench.ours:
        bench.driver.add_proposal(bench.proposal(block.block_id, by=proposer, round=round), "peer")
        send_block(bench, block, round)
        await settled(bench)
    for step in (Step.PROPOSE, Step.PREVOTE):
        await elapse(bench, step)
    vote_of_others(bench, PREVOTE, block.block_id, round, 3)
    await settled(bench)


async def decide(bench: Bench) -> None:
    """The valid value is decided without anybody sending its parts again; else any block is."""
    value = bench.driver.core.valid_value
    await end_round(bench)
    round = bench.driver.core.round
    if not isinstance(value, BlockID):
        block = bench.block((b"last=1",))
        value = block.block_id
        vote_of_others(bench, PRECOMMIT, value, round, 3)
        await settled(bench)
        send_block(bench, block, round)
    else:
        vote_of_others(bench, PRECOMMIT, value, round, 3)
    await until(lambda: bench.node.height == 1)
    assert not bench.node.fatal
    await bench.driver.stop()


async def test_what_is_valid_is_proposed_again_after_a_restart_without_its_parts_in_the_log_twice() -> None:
    bench = await make_bench()
    first = next(round for round in range(4) if bench.validators.proposer(round) != bench.ours)
    while bench.driver.core.round < first:
        await play_round(bench, "lose")
    await play_round(bench, "lock", BLOCK_BYTES)
    while bench.driver.core.round == first + 1 or bench.validators.proposer(bench.driver.core.round) == bench.ours:
        await play_round(bench, "lose")
    before = Known.of(bench)
    await restate_now(bench)
    await power_off(bench.node)
    bench = await restarted(bench, bench.node.home.crash())
    assert Known.of(bench) == before
    while bench.validators.proposer(bench.driver.core.round) != bench.ours:
        await play_round(bench, "mute")
    round = bench.driver.core.round
    await until(lambda: round in bench.driver.round_state.proposals)
    said = bench.driver.round_state.proposals[round]
    assert (said.block_id, said.pol_round) == (before.valid[1], before.valid[0])
    await settled(bench)
    assert bench.driver.core.votes(VoteKind.PREVOTE, round).power_for(said.block_id) > 0
    parts = [one.part.index for one in logged_after(bench.node.wal) if isinstance(one, PartIn)]
    assert sorted(parts) == list(range(said.block_id.part_set_header.total))
    await bench.driver.stop()


async def test_what_came_too_late_to_lock_locks_no_more_after_a_restart() -> None:
    """We precommitted nil; then +2/3 prevote a block that we lack; it comes after the restart: valid, not locked."""
    bench = await make_bench()
    await elapse(bench, Step.PROPOSE)
    await elapse(bench, Step.PREVOTE)
    await end_round(bench)
    await elapse(bench, Step.PROPOSE)
    await elapse(bench, Step.PREVOTE)
    block = bench.block((b"late=1",))
    vote_of_others(bench, PREVOTE, block.block_id, 1, 3)
    await settled(bench)
    before = Known.of(bench)
    assert (before.round, before.step, before.valid[0]) == (1, Step.PRECOMMIT, -1)
    await restate_now(bench)
    await power_off(bench.node)
    bench = await restarted(bench, bench.node.home.crash())
    assert Known.of(bench) == before
    send_block(bench, block, 1)
    await until(lambda: bench.driver.core.valid_round == 1)
    assert bench.driver.core.locked_round == -1
    await bench.driver.stop()


async def test_a_polka_with_an_equivocators_vote_in_it_is_restored() -> None:
    """The vote counts because a peer claimed the majority; the checkpoint has it first, and the claim too."""
    bench = await make_bench()
    block = bench.block((b"a=1",))
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    liar = bench.others[2]
    bench.driver.add_vote(bench.vote(liar, PREVOTE, NIL_BLOCK_ID), "peer")
    bench.driver.add_vote(bench.vote(bench.others[0], PREVOTE, block.block_id), "peer")
    await settled(bench)
    bench.driver.add_peer_majority(VoteKind.PREVOTE, 1, 0, block.block_id, "peer")
    bench.driver.add_vote(bench.vote(liar, PREVOTE, block.block_id), "peer")
    await until(lambda: bench.driver.core.locked_round == 0)
    await end_round(bench)
    before = Known.of(bench)
    await restate_now(bench)
    await power_off(bench.node)
    bench = await restarted(bench, bench.node.home.crash())
    assert Known.of(bench) == before
    assert bench.driver.core.votes(VoteKind.PREVOTE, 0).has_majority_for(block.block_id)
    await bench.driver.stop()


def logged_after(wal: Wal) -> Iterator[Logged]:
    tail = wal.records_after(0)
    assert tail is not None
    for record in tail:
        logged = decode_logged(record)
        assert logged is not None
        yield logged


# --------------------------------------------------------------------------------------------------- stops


async def bound_bench(**options: Any) -> Bench:
    """In round 6, locked on the block of one round and with the block of a later one as valid."""
    bench = await make_bench(**options)
    whats = iter(["lock", "late"])
    while bench.driver.core.round < 6:
        ours = bench.validators.proposer(bench.driver.core.round) == bench.ours
        await play_round(bench, "lose" if ours else next(whats, "lose"))
    assert 0 <= bench.driver.core.locked_round < bench.driver.core.valid_round
    return bench


async def test_a_stop_at_each_step_of_a_checkpoint_loses_nothing() -> None:
    """Power off before each action on the disk: either the old records are there or all of the new ones."""
    bench = await bound_bench(wal_limits={"head_bytes_max": 2_000})
    before, disk = Known.of(bench), disk_of(bench)
    actions: list[tuple[str, str, list[Home]]] = []

    def look(action: str, path: Path) -> None:
        actions.append((action, path.name, [left_by(disk), left_by(disk, 10), left_by(disk, 10**9)]))

    disk.hook = look
    await restate_now(bench)
    disk.hook = lambda action, path: None
    actions.append(("after", "", [left_by(disk)]))
    assert {(action, name) for action, name, _ in actions} >= {("write", NEW_NAME), ("sync", NEW_NAME)}
    assert [action for action, _, _ in actions].count("rename") >= 1
    await power_off(bench.node)
    for action, name, homes in actions:
        for left in homes:
            again = await restarted(bench, left)
            assert Known.of(again) == before, (action, name)
            assert NEW_NAME not in left.disk.names(FOLDER)
            await power_off(again.node)


async def test_a_log_cut_at_each_record_behind_a_checkpoint_keeps_the_lock_and_signs_nothing_twice() -> None:
    bench = await bound_bench()
    await restate_now(bench)
    signed: dict[SignKey, set[bytes]] = defaultdict(set)
    for what in ("skip", "lose", "mute"):
        await play_round(bench, what)
    before = Known.of(bench)
    collect_signatures(bench.node.wal, signed)
    await power_off(bench.node)
    size = disk_of(bench).size(FOLDER / "wal")
    head = [offset for offset, _ in bench.node.wal._frames(bench.node.wal._head_number)]
    assert head[-1] == size
    assert len(head) > 12
    for cut in [0, *head]:
        left = left_by(disk_of(bench), 10**9)
        left.disk.truncate(FOLDER / "wal", cut)
        again = await restarted(bench, left)
        after = Known.of(again)
        assert (after.locked, after.valid, after.held) == (before.locked, before.valid, before.held), cut
        assert 6 <= after.round <= before.round
        await try_to_make_it_sign_twice(again)
        both = defaultdict(set, {key: set(found) for key, found in signed.items()})
        collect_signatures(again.node.wal, both)
        assert {key: found for key, found in both.items() if len(found) > 1} == {}, cut
        assert not again.node.fatal
        await power_off(again.node)


def test_a_checkpoint_on_a_real_disk_supersedes_and_goes(tmp_path: Path) -> None:
    limits = {"head_bytes_max": 10_000, "group_bytes_max": 60_000, "restate_bytes_min": 20_000}
    wal = Wal(OsDisk(), tmp_path, now_ns=lambda: 10**18, **limits)
    part = PartSet.from_bytes(b"x" * 3_000).get(0)
    assert part is not None
    (tmp_path / NEW_NAME).write_bytes(b"of a stop")
    for round in range(1, 500):
        wal.append(encode_logged(PartIn(1, round, part, "peer"), 10**18))
        wal.sync()
        if wal.is_long:
            wal.restate(0, [encode_logged(PartIn(1, round, part, ""), 10**18)])
            kept = [one.round for one in logged_after(wal) if isinstance(one, PartIn)]
            assert kept == [round]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 60_000 + 20_000
    kept = [one.round for one in logged_after(wal) if isinstance(one, PartIn)]
    assert kept == list(range(kept[0], 500))
    wal.close()
    (tmp_path / NEW_NAME).write_bytes(b"of a stop")
    again = Wal(OsDisk(), tmp_path, now_ns=lambda: 10**18, **limits)
    assert not (tmp_path / NEW_NAME).exists()
    assert [one.round for one in logged_after(again) if isinstance(one, PartIn)] == kept
    again.end_height(1)
    assert not again.is_long
    again.close()


# -------------------------------------------------------------------------------------------------- memory


def test_a_replay_holds_a_few_records_whatever_the_log_holds(tmp_path: Path) -> None:
    """audit 7: a restart read the whole height into memory, gigabytes after a long halt."""
    wal = Wal(OsDisk(), tmp_path, now_ns=lambda: 10**18)
    part = PartSet.from_bytes(b"x" * PART_BYTES).get(0)
    assert part is not None
    for round in range(600):  # 38 MiB
        wal.append(encode_logged(PartIn(1, round, replace(part), "peer"), 10**18))
        wal.append(encode_logged(VoteIn(Vote(1, 1, round, signature=b"s" * 64), ""), 10**18))
        wal.sync()
    tracemalloc.start()
    tail = wal.take_up(0)
    assert tail is not None
    recorded = Recorded.of(tail, 1)
    rounds = [one.round for one in recorded.inputs() if isinstance(one, PartIn)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rounds == list(range(600))
    assert len(recorded.own_votes) == 600
    assert peak < 4 * READ_BYTES, peak
    wal.close()


def test_records_are_read_whole_across_the_ends_of_what_is_read_at_once() -> None:
    """Frames of every size around the chunk that is read, and a log that is put aside while it is read."""
    disk = SimulatedDisk()
    wal = Wal(disk, FOLDER, now_ns=lambda: 10**18, head_bytes_max=3 * READ_BYTES)
    part = PartSet.from_bytes(b"x" * PART_BYTES).get(0)
    assert part is not None
    sizes = [1 + (7_919 * n) % PART_BYTES for n in range(200)]
    for round, size in enumerate(sizes):
        shown = replace(part, bytes=part.bytes[:size])
        wal.append(encode_logged(PartIn(1, round, shown, "peer"), 10**18))
        wal.sync()
    reading = logged_after(wal)
    seen = [next(reading) for _ in range(150)]
    for round in range(200, 300):
        wal.append(encode_logged(PartIn(1, round, part, "peer"), 10**18))
        wal.sync()
    seen += reading
    assert [(one.round, len(one.part.bytes)) for one in seen if isinstance(one, PartIn)] == list(enumerate(sizes))
