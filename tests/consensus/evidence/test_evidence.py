"""The life of evidence: reported, verified, gossiped, proposed, committed, expired; and every way to lie with it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from consensus.channels.peer_messages import CONSENSUS_MESSAGE_BYTES_MAX, EVIDENCE_CHANNEL
from consensus.evidence.pool import COMMITTED, FLOOR_KEY, PENDING, EvidencePool, evidence_key
from consensus.evidence.reactor import EvidenceReactor
from consensus.formats.errors import EvidenceUnverifiable, InvalidEvidence
from consensus.p2p.conn.base import PeerFault
from consensus.system.clock import InlineWorkers
from consensus.types.evidence import DuplicateVoteEvidence, encode_evidence_list
from storage.memory import MemoryStore
from tests.support.gossip.evidence import GOOD, SECOND_NS, SET, Stored, evidence, pool_at, run, state, vote
from tests.support.gossip.network import FakeHost, FakeNetwork, FakePeer, ManualClock


def test_conflicting_votes_become_evidence_once_their_height_is_applied() -> None:
    source: Any = Stored(4)
    pool = EvidencePool(MemoryStore(), source, source)
    pool.report_conflicting_votes(vote(5, b"b"), vote(5, None))
    pool.update(state(4), ())
    assert pool.pending(-1) == ([], 0)
    source.height = 5
    pool.update(state(5), ())
    (item,), size = pool.pending(-1)
    assert isinstance(item, DuplicateVoteEvidence)
    assert item.vote_a.is_nil
    assert (item.timestamp_ns, item.validator_power, item.total_voting_power) == (5 * SECOND_NS, 10, SET.total_power)
    assert size == len(encode_evidence_list([item]))
    run(pool.check([item], state(5)))


def test_a_late_report_becomes_evidence_at_once_and_repeats_do_nothing() -> None:
    pool = pool_at(9)
    for _ in range(3):
        pool.report_conflicting_votes(vote(5, b"a"), vote(5, b"b"))
        pool.report_conflicting_votes(vote(5, b"b"), vote(5, b"a"))
    assert pool.size == 1


def test_the_life_of_evidence_survives_restarts() -> None:
    db = MemoryStore()
    item = evidence(5)
    assert pool_at(6, db).add(item)
    pool = pool_at(6, db)
    assert pool.all_pending() == [item]
    assert not pool.add(item)
    assert db.get(evidence_key(PENDING, item)) == item.encode_wrapped()
    pool.update(state(7), [item])
    assert (pool.size, db.get(evidence_key(PENDING, item))) == (0, None)
    again = pool_at(7, db)
    assert not again.add(item)
    with pytest.raises(InvalidEvidence, match="committed before"):
        run(again.check([item], state(7)))
    again.update(state(7), [item])  # a replay of the same block changes nothing
    assert db.get(evidence_key(COMMITTED, item)) is not None


def test_proposals_take_the_oldest_first_within_the_limit() -> None:
    pool = pool_at(9)
    items = [evidence(height, key=key) for height in (7, 5, 6) for key in (0, 1)]
    for item in items:
        pool.add(item)
    want = sorted(items, key=lambda item: (item.height, item.hash))
    assert pool.pending(-1)[0] == want
    limit = len(encode_evidence_list(want[:3]))
    assert pool.pending(limit) == (want[:3], limit)
    assert pool.pending(limit - 1)[0] == want[:2]
    assert pool.pending(0) == ([], 0)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        pytest.param(replace(GOOD, vote_a=GOOD.vote_b, vote_b=GOOD.vote_a), "below vote_b", id="order of votes"),
        pytest.param(replace(GOOD, timestamp_ns=6 * SECOND_NS), "time is", id="another time"),
        pytest.param(replace(GOOD, total_voting_power=1), "total_voting_power", id="another total"),
        pytest.param(replace(GOOD, validator_power=99), "validator_power", id="another power"),
        pytest.param(
            replace(GOOD, vote_b=replace(GOOD.vote_b, signature=bytes(64))), "does not verify", id="bad signature"
        ),
        pytest.param(replace(GOOD, vote_b=vote(5, b"a", key=1)), "votes", id="votes of two validators"),
    ],
)
def test_false_evidence_is_refused_from_peers_and_in_blocks(bad: DuplicateVoteEvidence, says: str) -> None:
    pool = pool_at(6)
    with pytest.raises(InvalidEvidence, match=says):
        pool.add(bad)
    with pytest.raises(InvalidEvidence, match=says):
        run(pool.check([bad], state(6)))
    assert pool.size == 0


def test_evidence_twice_in_a_block_is_refused() -> None:
    with pytest.raises(InvalidEvidence, match="twice"):
        run(pool_at(6).check([GOOD, GOOD], state(6)))


def test_evidence_of_a_refused_block_is_kept_for_the_next() -> None:
    pool = pool_at(6)
    run(pool.check([GOOD], state(6)))
    assert pool.all_pending() == [GOOD]


@pytest.mark.parametrize("age", [0, 1, 10, 20, 21, 22, 40])
@pytest.mark.parametrize("pruned", [0, 1, 10, 20, 21, 40])
@pytest.mark.parametrize("sets_pruned", [False, True])
def test_each_age_and_prune_depth_has_an_answer(age: int, pruned: int, sets_pruned: bool) -> None:
    """Failure 20: evidence panics after sync. kept: how many heights below the tip are stored."""
    height = 50
    base = height - pruned
    item = evidence(height - age)
    pool = pool_at(height, base=base, sets_base=base if sets_pruned else 1)
    stored, expired = age <= pruned, age > 20
    if expired:
        assert not pool.add(item)
    elif stored:
        assert pool.add(item)
    else:
        with pytest.raises(EvidenceUnverifiable):
            pool.add(item)
    fresh = pool_at(height, base=base, sets_base=base if sets_pruned else 1)
    if stored and not expired:
        run(fresh.check([item], state(height)))
    else:
        with pytest.raises(InvalidEvidence if expired else EvidenceUnverifiable):
            run(fresh.check([item], state(height)))
    reporting = pool_at(height, base=base, sets_base=base if sets_pruned else 1)
    reporting.report_conflicting_votes(item.vote_a, item.vote_b)
    assert reporting.size == int(stored and not expired)


def test_expired_evidence_is_forgotten_and_its_mark_in_time() -> None:
    db = MemoryStore()
    pool = pool_at(6, db)
    pool.add(evidence(5))
    pool.add(evidence(6))
    pool.update(state(25), [])
    assert pool.size == 2
    pool.update(state(26), [])
    assert [item.height for item in pool.all_pending()] == [6]
    pool.update(state(26), [evidence(6)])
    pool.update(state(2_000), [])
    assert [key for key, _ in db.scan()] == [FLOOR_KEY]


def test_evidence_of_a_height_to_come_is_no_lie() -> None:
    with pytest.raises(EvidenceUnverifiable):
        pool_at(4).add(evidence(5))


# ------------------------------------------------------------------------------------------------------ reactor


def reactor_at(height: int) -> tuple[EvidencePool, EvidenceReactor, dict[str, tuple[int, int, int]], ManualClock]:
    pool, clock = pool_at(height), ManualClock()
    heights: dict[str, tuple[int, int, int]] = {}
    host = FakeHost("0" * 40, FakeNetwork(clock))
    reactor = EvidenceReactor(
        pool, heights=SimpleNamespace(peer_heights=heights), driver=SimpleNamespace(state=state(height)),
        network=host, clock=clock, workers=InlineWorkers(),
    )  # fmt: skip
    return pool, reactor, heights, clock


PEER = "a" * 40


@pytest.mark.parametrize(("peer_height", "sent"), [(0, 0), (5, 0), (6, 1), (25, 1), (26, 0)])
def test_a_peer_gets_evidence_that_it_can_judge(peer_height: int, sent: int) -> None:
    pool, reactor, heights, _ = reactor_at(6)
    peer = FakePeer(PEER, frozenset({EVIDENCE_CHANNEL}))
    reactor.add_peer(peer)
    heights[PEER] = (peer_height, 0, 1)
    pool.add(GOOD)
    assert len(peer.take()) == sent


def test_evidence_waits_for_the_peers_height_and_is_repeated_while_pending() -> None:
    pool, reactor, heights, clock = reactor_at(6)
    peer = FakePeer(PEER, frozenset({EVIDENCE_CHANNEL}))
    reactor.add_peer(peer)
    pool.add(GOOD)
    heights[PEER] = (6, 0, 1)
    reactor.peer_advanced(PEER)
    reactor.peer_advanced(PEER)
    assert peer.take() == [encode_evidence_list([GOOD])]
    clock.advance(10)
    assert len(peer.take()) == 1
    pool.update(state(7), [GOOD])
    clock.advance(30)
    assert peer.take() == []
    assert clock.next_due_ns() is None


def test_a_full_queue_is_filled_again() -> None:
    pool, reactor, heights, _ = reactor_at(6)
    peer = FakePeer(PEER, frozenset({EVIDENCE_CHANNEL}), room=1)
    reactor.add_peer(peer)
    heights[PEER] = (6, 0, 1)
    for key in range(3):
        pool.add(evidence(5, key=key))
    got = []
    while messages := peer.take():
        got += messages
        reactor.writable(EVIDENCE_CHANNEL, peer)
    assert len(got) == 3


def test_received_evidence_is_kept_and_not_sent_back() -> None:
    pool, reactor, heights, _ = reactor_at(6)
    peer, other = (FakePeer(letter * 40, frozenset({EVIDENCE_CHANNEL})) for letter in "ab")
    for each in (peer, other):
        heights[each.id] = (7, 0, 1)
        reactor.add_peer(each)
    reactor.receive(EVIDENCE_CHANNEL, peer, encode_evidence_list([GOOD]))
    assert pool.all_pending() == [GOOD]
    assert (len(peer.take()), len(other.take())) == (0, 1)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"\xff", id="no protobuf"),
        pytest.param(b"", id="empty"),
        pytest.param(encode_evidence_list([replace(GOOD, validator_power=99)]), id="false"),
        pytest.param(b"\x0a\x00" * 65, id="too many"),
        pytest.param(b"\x0a\x00", id="an item of no kind"),
        pytest.param(b"\x0a\x02\x0a\x00", id="an item without votes"),
    ],
)
def test_evidence_messages_that_cost_the_peer(message: bytes) -> None:
    _, reactor, _, _ = reactor_at(6)
    with pytest.raises(PeerFault):
        reactor.receive(EVIDENCE_CHANNEL, FakePeer(PEER, frozenset({EVIDENCE_CHANNEL})), message)


def test_evidence_that_we_cannot_judge_costs_nobody_the_connection() -> None:
    pool, reactor, _, _ = reactor_at(4)
    reactor.receive(EVIDENCE_CHANNEL, FakePeer(PEER, frozenset({EVIDENCE_CHANNEL})), encode_evidence_list([GOOD]))
    assert pool.size == 0


def test_evidence_larger_than_a_message_is_not_gossiped_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 9: a block may carry more than a message holds; a peer drops who sends it, and an honest node would."""
    pool, reactor, heights, _ = reactor_at(9)
    large, small = evidence(5), evidence(6)
    monkeypatch.setattr(
        "consensus.evidence.reactor.encode_evidence_list",
        lambda items: b"x" * (CONSENSUS_MESSAGE_BYTES_MAX + 1) if items == [large] else encode_evidence_list(items),
    )
    peer = FakePeer(PEER, frozenset({EVIDENCE_CHANNEL}))
    reactor.add_peer(peer)
    heights[PEER] = (9, 0, 1)
    pool.add(large)
    pool.add(small)
    assert peer.take() == [encode_evidence_list([small])]
