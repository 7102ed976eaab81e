"""Tallies: quorums, equivocators, what a peer may open. And laws of the core under any inputs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.core.core import CommittedInvalidBlock, Core
from consensus.core.events import (
    BlockComplete,
    BlockValidated,
    Built,
    Effect,
    Elapsed,
    Equivocation,
    Input,
    PeerMajority,
    Proposal,
    SignProposal,
    SignVote,
    Step,
    TxsAvailable,
    ValidateBlock,
    ValueId,
    Vote,
    VoteCounted,
    VoteKind,
    VoteRefused,
)
from consensus.core.votes import (
    ROUNDS_AHEAD_MAX,
    VALIDATOR_ROUNDS_MAX,
    Counted,
    HeightVotes,
    one_third,
    two_thirds,
)
from tests.support.core.driving import (
    CONFIG,
    US,
    H,
    core_after,
    precommit,
    precommits,
    prevote,
    prevotes,
    proposed,
    start,
)
from tests.support.core.laws import Judge, Watch
from tests.support.counts import counted

PREVOTE, PRECOMMIT = VoteKind.PREVOTE, VoteKind.PRECOMMIT


@pytest.mark.parametrize(
    ("total", "quorum", "honest"),
    [(3, 3, 2), (4, 3, 2), (5, 4, 2), (6, 5, 3), (7, 5, 3), (10, 7, 4), (3 * 10**18, 2 * 10**18 + 1, 10**18 + 1)],
)
def test_the_least_power_of_a_quorum(total: int, quorum: int, honest: int) -> None:
    assert two_thirds(total) == quorum - 1
    assert one_third(total) == honest - 1


def claim(value: ValueId | None, peer: str = "p9", round: int = 0) -> PeerMajority:
    return PeerMajority(PREVOTE, H, round, value, peer)


class TestEquivocation:
    def test_it_is_reported_and_not_counted(self) -> None:
        core = core_after([prevote(2, "A")])
        assert core.handle(prevote(2, "B")) == (Equivocation(prevote(2, "A"), prevote(2, "B"), counted=False),)
        votes = core.votes(PREVOTE, 0)
        assert (votes.power, votes.power_for("A"), votes.power_for("B")) == (1, 1, 0)

    def test_it_is_reported_once(self) -> None:
        core = core_after([prevote(2, "A"), prevote(2, "B")])
        for value in ("B", "C", None):
            assert core.handle(prevote(2, value)) == (VoteRefused(prevote(2, value), Counted.KNOWN_CONFLICT.value),)

    def test_it_counts_for_a_value_that_a_peer_claims(self) -> None:
        core = core_after([prevote(2, "A"), prevote(2, "B"), claim("B")])
        effects = core.handle(prevote(2, "B"))
        assert effects == (
            Equivocation(prevote(2, "A"), prevote(2, "B"), counted=True),
            VoteCounted(prevote(2, "B")),
        )
        votes = core.votes(PREVOTE, 0)
        assert (votes.power, votes.power_for("A"), votes.power_for("B")) == (1, 1, 1)
        assert votes.by_validator[2] == prevote(2, "A")
        assert core.handle(prevote(2, "B")) == (VoteRefused(prevote(2, "B"), Counted.REPEAT.value),)

    def test_a_peer_has_one_claim_a_set(self) -> None:
        core = core_after([prevote(2, "A"), claim("C"), claim("B")])
        assert core.handle(prevote(2, "B"))[-1] == Equivocation(prevote(2, "A"), prevote(2, "B"), counted=False)

    def test_a_claim_of_nil_counts_too(self) -> None:
        core = core_after([prevote(2, "A"), claim(None)])
        assert core.handle(prevote(2, None))[-1] == VoteCounted(prevote(2, None))

    def test_a_claim_is_for_its_round_and_kind(self) -> None:
        core = core_after([prevote(2, "A"), precommit(2, "A"), claim("B", round=1)])
        assert not [
            e for v in (prevote(2, "B"), precommit(2, "B")) for e in core.handle(v) if isinstance(e, VoteCounted)
        ]

    def test_a_claim_opens_no_round(self) -> None:
        assert core_after([claim("B", round=7)]).rounds == ()

    def test_the_first_majority_is_final(self) -> None:
        """Where a third and more equivocates anything may happen; the set does not change its mind."""
        core = core_after([*prevotes("A"), claim("B"), *prevotes("B")])
        votes = core.votes(PREVOTE, 0)
        assert (votes.majority, votes.power_for("B")) == ("A", 3)

    def test_different_rounds_and_kinds_are_no_equivocation(self) -> None:
        core = core_after([prevote(2, "A")])
        assert core.handle(prevote(2, "B", 1)) == (VoteCounted(prevote(2, "B", 1)),)
        assert core.handle(precommit(2, None)) == (VoteCounted(precommit(2, None)),)


class TestLimits:
    def test_a_validators_votes_open_two_rounds_beyond_the_next(self) -> None:
        """audit 7: one key opened two rounds under each new peer id, and the height's memory had no bound."""
        core = core_after([])
        asked = [core.handle(prevote(2, None, round, f"p{round}")) for round in (0, 1, 5, 9, 7, 9)]
        kinds = [type(effects[0]) for effects in asked]
        assert kinds == [VoteCounted, VoteCounted, VoteCounted, VoteCounted, VoteRefused, VoteRefused]
        assert asked[4] == (VoteRefused(prevote(2, None, 7, "p7"), Counted.ROUND_REFUSED.value),)
        assert asked[5] == (VoteRefused(prevote(2, None, 9, "p9"), Counted.REPEAT.value),)
        assert core.rounds == (0, 1, 5, 9)

    def test_another_validator_has_its_own_two(self) -> None:
        core = core_after([prevote(2, None, round, "p9") for round in (5, 9)])
        assert core.handle(prevote(3, None, 7, "p9")) == (VoteCounted(prevote(3, None, 7, "p9")),)

    def test_a_round_too_far_ahead_is_refused(self) -> None:
        """audit 7: to find a round's proposer costs as much as the round is high."""
        far = prevote(2, None, ROUNDS_AHEAD_MAX + 1, "p9")
        assert core_after([]).handle(far) == (VoteRefused(far, Counted.ROUND_REFUSED.value),)

    def test_rounds_that_came_near_no_longer_weigh_on_the_validator(self) -> None:
        core = core_after([prevote(2, None, round, "p9") for round in (2, 3)])
        core.handle(prevote(3, None, 3, "p8"))
        assert core.round == 3
        assert [type(core.handle(prevote(2, None, round, "p9"))[0]) for round in (7, 8, 9)] == [
            VoteCounted, VoteCounted, VoteRefused,
        ]  # fmt: skip

    @pytest.mark.parametrize("index", [-1, 4, 10**6])
    def test_an_index_out_of_range_is_refused(self, index: int) -> None:
        """ASA-2024-011."""
        vote = prevote(index, "A", 0, "p9")
        assert core_after([]).handle(vote) == (VoteRefused(vote, Counted.BAD_INDEX.value),)

    def test_a_negative_round_is_refused(self) -> None:
        vote = prevote(2, "A", -1)
        assert core_after([]).handle(vote) == (VoteRefused(vote, Counted.ROUND_REFUSED.value),)

    @pytest.mark.parametrize("height", [H - 1, H + 1])
    def test_a_vote_of_another_height_is_refused(self, height: int) -> None:
        vote = Vote(PRECOMMIT, height, 0, "A", 2, "p2")
        assert core_after([]).handle(vote) == (VoteRefused(vote, Counted.WRONG_HEIGHT.value),)


def test_late_precommits_are_counted_after_the_decision() -> None:
    """So that the next block's last commit has them."""
    core = core_after([*proposed("A"), *prevotes("A"), *precommits("A")])
    assert core.is_decided
    assert core.handle(precommit(3, "A")) == (VoteCounted(precommit(3, "A")),)
    assert core.votes(PRECOMMIT, 0).bitmap_for("A") == 0b1111


def test_what_was_signed_comes_back_unseen() -> None:
    """Opaque like a value: it may be anything, and changes neither what a vote is nor what is asked for."""
    first, second = (replace(prevote(2, value), signed=object()) for value in ("A", "B"))
    core = core_after([first])
    assert core.votes(PREVOTE, 0).by_validator[2].signed is first.signed
    (told,) = core.handle(second)
    assert isinstance(told, Equivocation)
    assert (told.first.signed, told.second.signed) == (first.signed, second.signed)
    assert told == Equivocation(prevote(2, "A"), prevote(2, "B"), counted=False)


def test_what_the_engine_reads() -> None:
    core = core_after([prevote(0, "A"), prevote(2, None), precommit(2, "A", 1), prevote(2, "A", 1)])
    votes = core.votes(PREVOTE, 0)
    assert (votes.bitmap, votes.bitmap_for("A"), votes.bitmap_for(None), votes.bitmap_for("B")) == (
        0b101,
        0b1,
        0b100,
        0,
    )
    assert (votes.power, votes.has_two_thirds_any, votes.has_majority) == (2, False, False)
    assert (core.rounds, core.round_power(0), core.round_power(1), core.round_power(2)) == ((0, 1), 2, 1, 0)
    assert core.votes(PREVOTE, 3).bitmap == 0
    assert core.total_power == 4


VALUES = st.sampled_from(["A", "B", "C", None])
BLOCKS = st.sampled_from(["A", "B", "C"])
ROUNDS = st.integers(0, 3)
KINDS = st.sampled_from([PREVOTE, PRECOMMIT])
PEERS = st.sampled_from(["p0", "p2", "p3"])


@settings(max_examples=counted(40, whole=150), deadline=None)
@given(
    powers=st.lists(st.integers(1, 10), min_size=1, max_size=6).map(tuple),
    steps=st.lists(st.tuples(st.integers(0, 5), VALUES, ROUNDS, PEERS, st.booleans()), max_size=60),
)
def test_tallies_agree_with_a_plain_count(
    powers: tuple[int, ...], steps: list[tuple[int, ValueId | None, int, str, bool]]
) -> None:
    votes = HeightVotes(powers)
    first: dict[tuple[int, int], ValueId | None] = {}
    counted: dict[tuple[int, ValueId | None], set[int]] = {}
    for index, value, round, peer, is_claim in steps:
        if is_claim:
            votes.claim(PREVOTE, round, peer, value, 0)
        elif votes.add(Vote(PREVOTE, H, round, value, index, peer), 0) in (Counted.NEW, Counted.SECOND):
            first.setdefault((round, index), value)
            counted.setdefault((round, value), set()).add(index)
    for round in range(4):
        found = votes.get(PREVOTE, round)
        here = {index for at, index in first if at == round}
        assert found.bitmap == sum(1 << index for index in here)
        assert found.power == sum(powers[index] for index in here) == votes.round_power(round)
        for value in ("A", "B", "C", None):
            voters = counted.get((round, value), set())
            assert found.bitmap_for(value) == sum(1 << index for index in voters)
            kept = found.by_value[value].votes if voters else {}
            assert {index: vote.value_id for index, vote in kept.items()} == dict.fromkeys(voters, value)
            assert found.power_for(value) == sum(powers[index] for index in voters)
        winners = [v for v in ("A", "B", "C", None) if 3 * found.power_for(v) > 2 * sum(powers)]
        assert found.has_majority == bool(winners)
        assert not winners or found.majority in winners
        assert not winners or found.for_majority is found.by_value[found.majority].votes
    beyond = [round for round in votes.rounds if round > 1]
    assert len(beyond) <= 3 * VALIDATOR_ROUNDS_MAX


INPUTS: st.SearchStrategy[Input] = st.one_of(
    st.builds(Vote, KINDS, st.just(H), ROUNDS, VALUES, st.sampled_from([0, 2, 3]), PEERS),
    st.builds(Vote, KINDS, st.just(H), ROUNDS, st.just("A"), st.sampled_from([0, 2, 3]), PEERS),
    st.builds(Proposal, st.just(H), ROUNDS, BLOCKS, st.integers(-1, 2)),
    st.builds(BlockComplete, st.just(H), BLOCKS),
    st.builds(Elapsed, st.sampled_from(Step), st.just(H), ROUNDS),
    st.builds(PeerMajority, KINDS, st.just(H), ROUNDS, VALUES, PEERS),
    st.builds(Built, st.just(H), ROUNDS, st.just("D")),
    st.just(TxsAvailable(H)),
)


class Driven:
    """A core whose requests are answered at once or later, and held to the laws of one core (laws.Watch)."""

    def __init__(self) -> None:
        self.core = Core(CONFIG)
        self.watch = Watch("n1", Judge((1, 1, 1, 1), frozenset({0, 1, 2, 3})))
        self.watch._judge.proposed = lambda node, effect: None  # type: ignore[method-assign]
        self.waiting: list[ValueId] = []
        self.locks: list[tuple[int, ValueId]] = []
        self.effects: list[Effect] = []

    def give(self, event: Input) -> None:
        """Our own votes and proposals come back after all effects were carried out, in order."""
        queue = [event]
        while queue:
            for effect in self.core.handle(queue.pop(0)):
                self.effects.append(effect)
                self.watch.see(effect)
                match effect:
                    case ValidateBlock():
                        self.waiting.append(effect.value_id)
                    case SignProposal():
                        assert effect.pol_round < effect.round
                        queue.append(Proposal(H, effect.round, effect.value_id, effect.pol_round))
                    case SignVote():
                        self._check(effect)
                        queue.append(Vote(effect.kind, H, effect.round, effect.value_id, US))

    def _check(self, effect: SignVote) -> None:
        value = effect.value_id
        if value is None:
            return
        assert value != "C", "C is invalid"
        if effect.kind is PRECOMMIT:
            assert self.core.votes(PREVOTE, effect.round).has_majority_for(value)
            self.locks.append((effect.round, value))
        elif self.locks and self.locks[-1][1] != value:
            newer = range(self.locks[-1][0] + 1, effect.round)
            assert any(self.core.votes(PREVOTE, round).has_majority_for(value) for round in newer)


@settings(max_examples=counted(75, whole=300), deadline=None)
@given(st.lists(st.tuples(INPUTS, st.booleans()), max_size=70))
def test_no_inputs_make_a_core_break_its_laws(steps: list[tuple[Input, bool]]) -> None:
    """Votes of three others who may all lie: one vote a round, no vote against a lock, rising steps, no repeats; and
    a second core with the same inputs asks for the same."""
    runs = []
    for _ in range(2):
        driven = Driven()
        driven.give(start())
        try:
            for event, answers in steps:
                driven.give(event)
                while answers and driven.waiting:
                    value = driven.waiting.pop()
                    driven.give(BlockValidated(H, value, value != "C"))
        except CommittedInvalidBlock:
            pass  # all three signed for C: the node stops
        runs.append(driven.effects)
    assert runs[0] == runs[1]
