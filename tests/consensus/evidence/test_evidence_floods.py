"""Evidence as an attacker sends it: copies, junk of one key, what nobody can judge, old offences told again."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.channels.peer_messages import EVIDENCE_CHANNEL
from consensus.evidence import pool as evidence_pool
from consensus.evidence.pool import ITEMS_PER_JOB, PER_VALIDATOR_MAX, EvidencePool
from consensus.evidence.reactor import INLINE_BYTES_MAX, LARGE_WEIGHT_MAX, WAITING_MAX, EvidenceReactor
from consensus.formats.errors import EvidenceUnverifiable, EvidenceUnwanted, InvalidEvidence, InvalidLightBlock
from consensus.formats.wire import int_field, message_field
from consensus.p2p.conn.base import PeerFault
from consensus.system import aside
from consensus.system.clock import InlineWorkers, ThreadWorkers
from consensus.types.commit import CommitSig
from consensus.types.evidence import (
    DuplicateVoteEvidence,
    Evidence,
    decode_evidence_list,
    encode_evidence_list,
    evidence_from_proto,
)
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.params import ConsensusParams, EvidenceParams
from consensus.types.vote import PRECOMMIT, Vote
from crypto.hash import sha256
from storage.memory import MemoryStore
from tests.support.counts import counted
from tests.support.engine.bench import FAST
from tests.support.engine.bench import until as bench_until
from tests.support.engine.driver import make_bench
from tests.support.gossip.evidence import (
    CHAIN,
    GOOD,
    KEYS,
    PARAMS,
    SECOND_NS,
    SET,
    Stored,
    evidence,
    pool_at,
    run,
    state,
    vote,
)
from tests.support.gossip.network import FakeHost, FakeNetwork, FakePeer, ManualClock

CHANNELS = frozenset({EVIDENCE_CHANNEL})


def at_round(round: int, *, height: int = 5, key: int = 0) -> DuplicateVoteEvidence:
    votes = vote(height, b"a", key=key, round=round), vote(height, b"b", key=key, round=round)
    return DuplicateVoteEvidence.from_votes(*votes, validators=SET, time_ns=height * SECOND_NS)


def precommits(height: int = 5, **unsigned: Any) -> DuplicateVoteEvidence:
    """Two precommits; unsigned: fields of the first that its signature does not cover."""
    signed = []
    for name in (b"a", b"b"):
        address = KEYS[0].pub_key.address
        block_id = BlockID(sha256(name), PartSetHeader(1, sha256(name)))
        one = Vote(PRECOMMIT, height, 0, block_id, 7, address, SET.index_of(address) or 0)
        signed.append(one.signed(KEYS[0].sign(one.sign_bytes(CHAIN))))
    signed.sort(key=lambda one: one.block_id.key())
    signed[0] = replace(signed[0], **unsigned)
    return DuplicateVoteEvidence(*signed, SET.total_power, 10, height * SECOND_NS)


copies = st.one_of(
    st.builds(
        lambda a, b: replace(
            GOOD, vote_a=replace(GOOD.vote_a, validator_index=a), vote_b=replace(GOOD.vote_b, validator_index=b)
        ),
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**31 - 1),
    ),
    st.sampled_from([b"a", b"b", b"c", b"d"]).map(
        lambda other: DuplicateVoteEvidence.from_votes(
            vote(5, b"x"), vote(5, other), validators=SET, time_ns=5 * SECOND_NS
        )
    ),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(copies, min_size=1, max_size=20))
def test_one_equivocation_is_one_piece_whatever_its_copies_say(items: list[DuplicateVoteEvidence]) -> None:
    """tendermint#4675: an index that nobody signed made 10,000 pieces of one offence."""
    pool = pool_at(6)
    for item in items:
        pool.add(item)
    (kept,), _ = pool.pending(-1)
    assert kept == kept.canonical(SET)
    run(pool.check([kept], state(6)))
    pool.update(state(7), [kept])
    assert not any(pool.add(item) for item in items)
    assert pool.size == 0


@pytest.mark.parametrize(
    "unsigned", [{"validator_index": 1}, {"extension": b"x" * 99, "extension_signature": b"y" * 64}]
)
def test_what_no_signature_covers_is_derived_from_peers_and_not_voted_for_in_blocks(unsigned: dict[str, Any]) -> None:
    """tendermint#4675"""
    pool = pool_at(6)
    assert pool.add(precommits(**unsigned))
    assert pool.all_pending() == [precommits()]
    with pytest.raises(EvidenceUnwanted):
        run(pool_at(6).check([precommits(**unsigned)], state(6)))
    pool.update(state(7), [precommits(**unsigned)])  # +2/3 decided it: it is the same offence
    assert pool.size == 0
    assert not pool.add(precommits())


def test_copies_in_a_block_and_after_it_are_not_voted_for() -> None:
    """tendermint#4675: in one block, and one a block."""
    copy = precommits(validator_index=1)
    with pytest.raises(EvidenceUnwanted, match="not its validator's"):
        run(pool_at(6).check([precommits(), copy], state(6)))
    db = MemoryStore()
    pool_at(6, db).update(state(6), [precommits()])
    again = pool_at(7, db)
    with pytest.raises(EvidenceUnwanted, match="not its validator's"):
        run(again.check([copy], state(7)))
    assert not again.add(copy)


def test_another_pair_of_votes_of_one_offence_is_voted_for_within_its_share_and_not_proposed() -> None:
    """A CometBFT node's pool has a piece for each pair, and proposes all of them for as long as they are not too old:
    honest proposals of its were refused here, one after the other, in a network of both kinds."""
    copies = [
        DuplicateVoteEvidence.from_votes(vote(5, b"a"), vote(5, b"c%d" % n), validators=SET, time_ns=5 * SECOND_NS)
        for n in range(PER_VALIDATOR_MAX)
    ]
    db = MemoryStore()
    pool = pool_at(6, db)
    run(pool.check([GOOD, *copies[1:]], state(6)))
    assert pool.all_pending() == [GOOD]  # the first is proposed by us, too, should that block not be decided
    with pytest.raises(EvidenceUnwanted, match="one too many"):
        run(pool.check([GOOD, *copies], state(6)))
    pool.update(state(6), [GOOD, copies[1]])
    again = pool_at(7, db)
    run(again.check(copies[2:], state(7)))
    assert not again.add(copies[0])
    assert again.size == 0
    with pytest.raises(InvalidEvidence, match="committed before"):
        run(again.check([copies[1]], state(7)))


def test_an_old_key_fills_its_own_share_only() -> None:
    """audit 14: 10,000 pieces of junk by one key left no room for the real one."""
    pool = pool_at(6)
    for round in range(500):
        pool.add(at_round(round))
    assert pool.size == PER_VALIDATOR_MAX
    real = at_round(0, height=6, key=1)
    assert pool.add(real)
    one, _ = pool.pending(2 * len(encode_evidence_list([GOOD])) + 8)
    assert real in one  # in turn: not behind all that is older


def test_what_is_reported_by_one_validator_does_not_crowd_out_another() -> None:
    """audit 14"""
    source: Any = Stored(4)
    pool = EvidencePool(MemoryStore(), source, source)
    for round in range(2_000):
        pool.report_conflicting_votes(vote(5, b"a", round=round), vote(5, b"b", round=round))
    pool.report_conflicting_votes(vote(5, b"a", key=1), vote(5, b"b", key=1))
    source.height = 5
    pool.update(state(5), ())
    assert {item.accused[0] for item in pool.all_pending()} == {key.pub_key.address for key in KEYS[:2]}


@settings(max_examples=counted(40, whole=100), deadline=None)
@given(st.integers(0, 5_000))
def test_pending_never_gives_more_than_fits(bytes_max: int) -> None:
    """cometbft#5984"""
    pool = pool_at(9)
    for key in range(4):
        for height in (5, 6):
            pool.add(evidence(height, key=key))
    chosen, size = pool.pending(bytes_max)
    assert size == len(encode_evidence_list(chosen)) <= bytes_max
    left = [item for item in pool.all_pending() if item not in chosen]
    assert all(size + len(encode_evidence_list([item])) > bytes_max for item in left)


def raised(height: int, blocks: int) -> Any:
    params = ConsensusParams(evidence=EvidenceParams(max_age_num_blocks=blocks, max_age_duration_ns=blocks * SECOND_NS))
    return replace(state(height), params=params)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("was_committed", [True, False])
def test_an_offence_that_was_too_old_once_never_counts_again(was_committed: bool, restarts: bool) -> None:
    """cosmos-sdk#3205: marks were pruned, then the age was raised, and the old evidence entered again."""
    db = MemoryStore()
    source: Any = Stored(2_100)
    pool = EvidencePool(db, source, source)
    pool.update(state(6), [GOOD] if was_committed else [])
    for height in range(7, 2_100, 50):
        pool.update(state(height), [])
    assert pool.floor == 2_057 - PARAMS.evidence.max_age_num_blocks - 1
    if restarts:
        pool = EvidencePool(db, source, source)
    pool.update(raised(2_100, 5_000), [])
    assert not pool.add(GOOD)
    with pytest.raises(EvidenceUnwanted):
        run(pool.check([GOOD], raised(2_100, 5_000)))
    fresh = evidence(2_090)
    assert pool.add(fresh)  # what never was too old still counts, once
    pool.update(raised(2_100, 5_000), [fresh])
    assert not pool.add(fresh)


# ------------------------------------------------------------------------------------------------------ reactor


class Node:
    """A reactor at a height, and what it logs."""

    def __init__(self, height: int) -> None:
        self.clock = clock = ManualClock()
        self.pool = pool_at(height)
        self.host = FakeHost("0" * 40, FakeNetwork(clock))
        heights: Any = SimpleNamespace(peer_heights={})
        driver: Any = SimpleNamespace(state=state(height))
        self.reactor = EvidenceReactor(
            self.pool, heights=heights, driver=driver, network=self.host, clock=clock, workers=InlineWorkers()
        )

    def connect(self, letter: str) -> FakePeer:
        peer = FakePeer(letter * 40, CHANNELS)
        self.host.links[peer.id] = peer
        self.reactor.add_peer(peer)
        return peer

    def remembered(self) -> int:
        return sum(map(len, self.reactor._known.values())) + len(self.reactor._waiting) + self.pool.size


@pytest.mark.parametrize(
    ("height", "item"),
    [
        pytest.param(4, at_round, id="of a height to come"),
        pytest.param(30, at_round, id="too old"),
        pytest.param(6, at_round, id="one key without end"),
    ],
)
def test_what_is_of_no_use_is_not_remembered_and_counts_against_its_sender(height: int, item: Any) -> None:
    """audit 9: evidence that nobody can judge was remembered, and logged a line each."""
    node = Node(height)
    peer = node.connect("a")
    with structlog.testing.capture_logs() as lines:
        for number in range(300):
            node.reactor.receive(EVIDENCE_CHANNEL, peer, encode_evidence_list([item(number)]))
    assert node.remembered() <= 2 * PER_VALIDATOR_MAX
    assert len(lines) <= 3
    assert sum(peer.useless_by_kind.values()) >= 300 - PER_VALIDATOR_MAX


def test_repeats_of_what_waits_or_was_committed_cost_an_honest_peer_nothing() -> None:
    """audit 9: stock peers send their list again every 10 s."""
    node = Node(6)
    peer = node.connect("a")
    for _ in range(50):
        node.reactor.receive(EVIDENCE_CHANNEL, peer, encode_evidence_list([GOOD]))
    node.pool.update(state(7), [GOOD])
    for _ in range(50):
        node.reactor.receive(EVIDENCE_CHANNEL, peer, encode_evidence_list([GOOD]))
    assert not peer.useless_by_kind


def test_evidence_that_came_too_early_is_taken_when_it_comes_again() -> None:
    """celestia-core#2497: what was refused because something was missing is offered again."""
    source: Any = Stored(4)
    pool = EvidencePool(MemoryStore(), source, source)
    with pytest.raises(EvidenceUnverifiable):
        pool.add(GOOD)
    source.height = 5
    pool.update(state(5), [])
    assert pool.add(GOOD)


async def settle(node: Node) -> None:
    for _ in range(1_000):
        node.clock.advance(0)
        await asyncio.sleep(0)
        if node.reactor._judging.is_idle:
            return
    raise AssertionError("it does not come to an end")


async def test_large_messages_wait_one_a_peer_and_are_judged_aside() -> None:
    """audit 14: a light client attack, or a list of many items, was decoded and verified in one go on the loop."""
    node = Node(6)
    peers = [node.connect(chr(ord("a") + number)) for number in range(20)]
    message = encode_evidence_list([at_round(round, key=2) for round in range(9)])
    assert len(message) > INLINE_BYTES_MAX
    for peer in peers:
        for _ in range(3):
            node.reactor.receive(EVIDENCE_CHANNEL, peer, message)
    assert len(node.reactor._waiting) == WAITING_MAX
    assert node.pool.size == 0  # nothing was done in the call
    await settle(node)
    assert node.pool.size == 9
    assert node.host.dropped == []


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\xff" * (INLINE_BYTES_MAX + 1), id="no protobuf"),
        pytest.param(b"\x0a\x00" * INLINE_BYTES_MAX, id="too many items"),
        pytest.param(
            encode_evidence_list([replace(at_round(round), validator_power=99) for round in range(9)]), id="false"
        ),
    ],
)
async def test_false_large_messages_cost_the_peer(message: bytes) -> None:
    node = Node(6)
    peer = node.connect("a")
    node.host._network.disconnect = lambda one, other: None  # type: ignore[method-assign]
    node.reactor.receive(EVIDENCE_CHANNEL, peer, message)
    await settle(node)
    assert [id for id, _, _ in node.host.dropped] == [peer.id]


def of_slots(count: int, *, named: int = 0) -> bytes:
    """An item whose light block has a few validators and `count` signatures of two bytes each; it accuses `named`."""
    commit = int_field(b"\x08", 1) + message_field(b"\x22", b"") * count
    signed = message_field(b"\x0a", b"") + message_field(b"\x12", commit)
    block = message_field(b"\x0a", signed) + message_field(b"\x12", SET.encode())
    attack = message_field(b"\x0a", block) + int_field(b"\x10", 1) + message_field(b"\x1a", b"") * named
    return message_field(b"\x0a", message_field(b"\x12", attack))


@pytest.mark.parametrize(
    ("height", "items", "reads", "dropped"),
    [
        pytest.param(6, [at_round(0, height=900)], 0, 0, id="cannot be judged here"),
        pytest.param(60, [at_round(0)], 0, 0, id="too old"),
        pytest.param(6, [replace(GOOD, validator_power=99)], 1, 1, id="false"),
        pytest.param(6, [replace(at_round(0), timestamp_ns=1)], 0, 1, id="of another time"),
        pytest.param(6, [at_round(0, height=0)], 0, 1, id="of no height"),
        pytest.param(6, [at_round(0)] * 9, 2, 1, id="the same again"),
    ],
)
async def test_what_comes_to_nothing_is_paid_for_and_nothing_behind_it_is_read(
    height: int, items: list[DuplicateVoteEvidence], reads: int, dropped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 9: an item that cannot be judged, before 1 MB of others, had all of them decoded, and cost nothing."""
    node = Node(height)
    node.pool.update(state(height), ())
    peer = node.connect("a")
    bans: list[int] = []
    monkeypatch.setattr(node.reactor._network, "drop_peer", lambda peer, why, ban_s=0: bans.append(ban_s))
    clock = itertools.count(step=1_000)
    monkeypatch.setattr(aside.time, "thread_time_ns", lambda: next(clock))
    read: list[object] = []

    def reading(item: Any) -> Any:
        read.append(item)
        return evidence_from_proto(item)

    monkeypatch.setattr(evidence_pool, "evidence_from_proto", reading)
    message = encode_evidence_list(items) + of_slots(10_000) * 20
    node.reactor.receive(EVIDENCE_CHANNEL, peer, message)
    await settle(node)
    assert len(read) == reads  # those of a height and time of ours
    assert peer.cpu_ns >= 1_000  # the parsing, and the judging where it came to that
    assert (len(bans), all(bans)) == (dropped, True)
    if not dropped:
        assert sum(peer.useless_by_kind.values()) == LARGE_WEIGHT_MAX


async def test_more_signatures_than_validators_are_refused_before_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 9: one light block of a few kB had ten thousand objects made."""

    def never(*_: object) -> None:
        raise AssertionError("a signature was read")

    monkeypatch.setattr(CommitSig, "from_proto", never)
    with pytest.raises(InvalidLightBlock, match=f"10000 signatures of {len(SET)} validators"):
        decode_evidence_list(of_slots(10_000))
    with pytest.raises(InvalidEvidence, match="names 5 validators; 4 signed"):
        decode_evidence_list(of_slots(4, named=5))


def test_pending_evidence_whose_set_is_gone_cannot_be_judged_in_a_block() -> None:
    """audit 9: it was asserted; a proposed block could reach it, and end the process, once blocks are pruned."""
    pool = pool_at(6)
    assert pool.add(GOOD)
    stored: Any = pool._states
    stored.sets_base = 6
    with pytest.raises(EvidenceUnverifiable):
        run(pool.check([GOOD], state(6)))


def test_what_a_block_brings_is_kept_in_one_write_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 9: each new piece in a proposed block was a synced write on the loop, and a look at all for each peer."""
    db = MemoryStore()
    pool = pool_at(6, db)
    told: list[Sequence[Evidence]] = []
    pool.on_added(told.append)
    items = [at_round(round, key=key) for round in range(8) for key in range(4)]
    writes: list[int] = []
    write = db.write

    def counted(batch: Any, *, sync: bool = False) -> None:
        writes.append(len(batch))
        write(batch, sync=sync)

    monkeypatch.setattr(db, "write", counted)
    with pytest.raises(InvalidEvidence, match=r"evidence\[32\]"):
        run(pool.check([*items, replace(at_round(9), validator_power=99)], state(6)))
    assert writes == [32]
    assert [list(items) for items in told] == [items]  # whatever became of that block
    assert pool_at(6, db).size == 32
    source: Any = Stored(4)
    reported = EvidencePool(db, source, source)
    for key in range(4):
        reported.report_conflicting_votes(vote(5, b"a", key=key, round=9), vote(5, b"b", key=key, round=9))
    source.height = 5
    writes.clear()
    reported.update(state(5), ())
    assert writes == [4]


@pytest.mark.parametrize("is_decided_meanwhile", [False, True])
def test_a_block_full_of_one_keys_evidence_is_judged_a_few_pieces_at_a_time(is_decided_meanwhile: bool) -> None:
    """audit 9: 2,600 offences fill a block, and every validator read header and set of each in one turn of the loop."""
    source: Any = Stored(6)
    reads = most = 0
    load_meta = source.load_meta

    def counted(height: int) -> Any:
        nonlocal reads
        reads += 1
        return load_meta(height)

    source.load_meta = counted
    pool = EvidencePool(MemoryStore(), source, source)
    each = range(PER_VALIDATOR_MAX)
    slices = pool.check([at_round(round, key=key) for key in range(4) for round in each], state(6))
    for _ in slices:
        most, reads = max(most, reads), 0
        if is_decided_meanwhile:
            slices.close()
    assert 0 < most <= ITEMS_PER_JOB
    assert reads <= ITEMS_PER_JOB
    assert pool.size == (0 if is_decided_meanwhile else 4 * PER_VALIDATOR_MAX)


async def test_whom_a_block_accuses_is_counted_a_few_pieces_at_a_time_and_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """audit 9: a megabyte of it was counted up in one piece before the first was read, twice: 5 ms of the loop each."""
    looked: set[tuple[bool, bytes]] = set()

    def counted(item: DuplicateVoteEvidence) -> tuple[bytes, ...]:
        looked.add((threading.current_thread() is threading.main_thread(), item.offence))
        return (item.vote_a.validator_address,)

    monkeypatch.setattr(DuplicateVoteEvidence, "accused", property(counted))
    source: Any = Stored(6)
    workers = ThreadWorkers()
    pool = EvidencePool(MemoryStore(), source, source, workers=workers)
    items = [at_round(round, key=key) for key in range(4) for round in range(PER_VALIDATOR_MAX)]
    await pool.judge_ahead(items, state(6))
    assert looked == {(False, item.offence) for item in items}
    most = 0
    looked.clear()
    for _ in pool.check(items, state(6)):
        most = max(most, len(looked))
        looked.clear()
    assert 0 < most <= ITEMS_PER_JOB + 1
    workers.close()


def test_what_is_kept_does_not_wait_for_the_disk_and_is_synced_once() -> None:
    """audit 9: each piece that a peer sent was a synced write on the loop."""
    db = MemoryStore(models_crashes=True)
    pool = pool_at(6, db)
    pool.sync()
    for key in range(3):
        assert pool.add(at_round(0, key=key))
    assert db.unsynced_batches == 3
    pool.sync()
    assert db.unsynced_batches == 0
    pool.update(state(6), [at_round(0, key=0)])
    assert db.unsynced_batches == 1
    pool.sync()
    again = pool_at(6, db.crash())
    assert (again.size, again.knows(at_round(0, key=0))) == (2, True)


async def test_marks_of_committed_evidence_are_on_disk_before_the_state_after_their_block() -> None:
    bench = await make_bench(powers=(100, 1, 1, 1), config=FAST)
    executor, steps = bench.node.executor, list[str]()
    sync, save = executor.evidence.sync, executor.states.save
    executor.evidence.sync = lambda: (steps.append("evidence"), sync())  # type: ignore[method-assign,assignment]
    executor.states.save = lambda after: (steps.append("state"), save(after))  # type: ignore[method-assign,assignment]
    await bench_until(lambda: len(steps) >= 4)
    assert steps[:4] == ["evidence", "state"] * 2
    await bench.driver.stop()


def test_a_block_with_more_of_one_validator_than_a_pool_holds_is_not_voted_for() -> None:
    """audit 14: whose turn it was could fill a megabyte with what another key of its had signed, old offences without
    end: each was read for and verified by all, marked on every disk, and cost nothing."""
    source: Any = Stored(6)
    pool = EvidencePool(MemoryStore(), source, source)
    verified: list[int] = []
    items = [at_round(round) for round in range(500)]
    asyncio.run(pool.judge_ahead(items, state(6)))
    assert len(pool.signatures) == 2 * PER_VALIDATOR_MAX
    source.load_meta = lambda height, load=source.load_meta: verified.append(height) or load(height)
    with pytest.raises(EvidenceUnwanted, match=r"evidence\[10\] is one too many"):
        run(pool.check(items, state(6)))
    assert len(verified) == PER_VALIDATOR_MAX
    for round in range(500):
        pool.add(at_round(round))
    run(pool_at(6).check(pool.pending(-1)[0], state(6)))  # what an honest proposer has is voted for


def test_evidence_that_fits_in_no_block_is_not_even_decoded() -> None:
    node = Node(6)
    peer = node.connect("a")
    size = PARAMS.evidence.max_bytes + INLINE_BYTES_MAX + 1
    node.reactor.receive(EVIDENCE_CHANNEL, peer, bytes(size))
    assert node.remembered() == 0
    assert sum(peer.useless_by_kind.values()) == 1


def test_false_evidence_still_costs_the_connection() -> None:
    node = Node(6)
    with pytest.raises(PeerFault):
        node.reactor.receive(
            EVIDENCE_CHANNEL, node.connect("a"), encode_evidence_list([replace(GOOD, validator_power=99)])
        )
