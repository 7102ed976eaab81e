"""Algorithm 1 of arXiv:1807.04938, line by line: what was, what comes in, what is asked for. See driving.py."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from consensus.core.core import BlockState, CommittedInvalidBlock
from consensus.core.events import (
    BuildBlock,
    Built,
    Decide,
    Effect,
    GatherBlock,
    Input,
    NilReason,
    PolkaSeen,
    SignProposal,
    StartHeight,
    Step,
    TxsAvailable,
    ValidateBlock,
    ValidValueSet,
    VoteKind,
)
from tests.support.core.driving import (
    US,
    Four,
    H,
    at,
    block,
    complete,
    core_after,
    elapsed,
    locked,
    precommit,
    precommits,
    prevote,
    prevotes,
    proposal,
    proposed,
    sign_precommit,
    sign_prevote,
    start,
    timer,
    to_round,
    uncounted,
    valid,
)

PROPOSE, PREVOTE, PRECOMMIT, COMMIT = Step.PROPOSE, Step.PREVOTE, Step.PRECOMMIT, Step.COMMIT
Row = tuple[list[Input], Input, list[Effect]]


def case(name: str, given: list[Input], when: Input, then: list[Effect]) -> object:
    return pytest.param(given, when, then, id=name)


def run(given: list[Input], when: Input, then: list[Effect]) -> None:
    assert uncounted(core_after(given).handle(when)) == then


@pytest.mark.parametrize(
    ("begin", "then"),
    [
        pytest.param(start(), [timer(PROPOSE, 3_000)], id="lines 10-13, 21: round 0 of another's: wait for it"),
        pytest.param(
            start(our_index=0), [timer(PROPOSE, 3_000), BuildBlock(H, 0)], id="lines 14-18: round 0 of ours: build"
        ),
        pytest.param(start(our_index=None), [timer(PROPOSE, 3_000)], id="line 21: an observer waits"),
    ],
)
def test_start_of_a_height(begin: StartHeight, then: list[Effect]) -> None:
    core = core_after([], begin=start(height=H - 1))
    assert list(core.handle(begin)) == [at(Step.NEW_HEIGHT), at(PROPOSE), *then]


@pytest.mark.parametrize(
    ("given", "when", "then"),
    [
        case(
            "line 18: no valid value: build",
            [prevote(2, None, 1)],
            prevote(3, None, 1),
            [at(PROPOSE, 1), timer(PROPOSE, 3_500, 1), BuildBlock(H, 1)],
        ),
        case("line 19: what was built is proposed", to_round(1), Built(H, 1, "B"), [SignProposal(H, 1, "B", -1)]),
        case("line 19: built too late", [*to_round(1), elapsed(PROPOSE, 1)], Built(H, 1, "B"), []),
        case("line 19: built for a round that is past", to_round(2), Built(H, 1, "B"), []),
        case("line 19: built twice", [*to_round(1), Built(H, 1, "B")], Built(H, 1, "C"), []),
        case("line 19: built without being asked", [*locked(), *to_round(1)], Built(H, 1, "B"), []),
        case(
            "line 19: our proposal of before a restart stands", [*to_round(1), proposal("O", 1)], Built(H, 1, "B"), []
        ),
        case(
            "lines 15-16: the valid value is proposed again with its round",
            [*locked(), prevote(2, None, 1)],
            prevote(3, None, 1),
            [at(PROPOSE, 1), timer(PROPOSE, 3_500, 1), SignProposal(H, 1, "A", 0)],
        ),
        case(
            "lines 22-24: our own proposal comes back, built is valid",
            [*to_round(1), Built(H, 1, "B")],
            proposal("B", 1),
            [sign_prevote("B", None, 1), at(PREVOTE, 1)],
        ),
    ],
)
def test_proposing(given: list[Input], when: Input, then: list[Effect]) -> None:
    run(given, when, then)


@pytest.mark.parametrize(
    ("given", "when", "then"),
    [
        case("line 22: a proposal without its block waits", [], proposal("A"), []),
        case("line 22: complete: is it valid?", [proposal("A")], complete("A"), [ValidateBlock(H, "A")]),
        case("line 22: the block came first", [complete("A")], proposal("A"), [ValidateBlock(H, "A")]),
        case("line 22: asked once", [proposal("A"), complete("A")], complete("A"), []),
        case("line 22: a block that nobody proposed is not validated", [], complete("A"), []),
        case(
            "lines 23-24: valid, no lock: prevote it",
            [proposal("A"), complete("A")],
            valid("A"),
            [sign_prevote("A"), at(PREVOTE)],
        ),
        case(
            "lines 23, 26: invalid: nil",
            [proposal("A"), complete("A")],
            valid("A", False),
            [sign_prevote(None, NilReason.INVALID_BLOCK), at(PREVOTE)],
        ),
        case(
            "lines 23-24: locked on it: prevote it",
            [*locked(), *to_round(2)],
            proposal("A", 2),
            [sign_prevote("A", None, 2), at(PREVOTE, 2)],
        ),
        case(
            "lines 23, 26: locked on another: nil",
            [*locked(), *to_round(2)],
            proposal("B", 2),
            [sign_prevote(None, NilReason.LOCKED_ON_ANOTHER, 2), at(PREVOTE, 2)],
        ),
        case("line 22: only while step = propose", [elapsed(PROPOSE), proposal("A"), complete("A")], valid("A"), []),
        case("line 22: the first proposal of a round counts", [proposal("A"), proposal("B")], complete("B"), []),
        case("line 22: of a past round", to_round(2), proposal("A", 0), []),
        case("line 22: a polka round that is not before it", [proposal("A", 0, 0)], complete("A"), []),
    ],
)
def test_prevote_for_a_fresh_proposal(given: list[Input], when: Input, then: list[Effect]) -> None:
    run(given, when, then)


POLKA_B1 = prevotes("B", 1, by=(0, 2, 3))
LOCK_A1 = [*prevotes("A", 1, by=(0, 2, 3)), *proposed("A", 1)]  # the first votes take us to round 1


@pytest.mark.parametrize(
    ("given", "when", "then"),
    [
        case(
            "lines 28-30: no lock, the polka comes last",
            [*POLKA_B1[:2], *to_round(2), *proposed("B", 2, 1)],
            POLKA_B1[2],
            [PolkaSeen(H, 1, "B"), sign_prevote("B", None, 2), at(PREVOTE, 2)],
        ),
        case(
            "lines 29-30: locked in an earlier round than the polka",
            [*locked(), *POLKA_B1, *to_round(2), proposal("B", 2, 1), complete("B")],
            valid("B"),
            [sign_prevote("B", None, 2), at(PREVOTE, 2)],
        ),
        case(
            "lines 29-30: locked on it, and later than the polka",
            [*prevotes("A", 0, by=(0, 2, 3)), *LOCK_A1, *to_round(2)],
            proposal("A", 2, 0),
            [sign_prevote("A", None, 2), at(PREVOTE, 2)],
        ),
        case(
            "lines 29, 32: locked on another, and later than the polka",
            [*prevotes("B", 0, by=(0, 2, 3)), *LOCK_A1, *to_round(2)],
            proposal("B", 2, 0),
            [sign_prevote(None, NilReason.LOCKED_ON_ANOTHER, 2), at(PREVOTE, 2)],
        ),
        case(
            "lines 29, 32: invalid",
            [*POLKA_B1, *to_round(2), proposal("B", 2, 1), complete("B")],
            valid("B", False),
            [sign_prevote(None, NilReason.INVALID_BLOCK, 2), at(PREVOTE, 2)],
        ),
        case("line 28: without the polka it waits", [*to_round(2), proposal("B", 2, 1), complete("B")], valid("B"), []),
        case("line 28: a polka for another waits", [*LOCK_A1, *to_round(2), *block("B")], proposal("B", 2, 1), []),
        case("line 28: not in another step", [*POLKA_B1, *to_round(2), elapsed(PROPOSE, 2), *block("B")],
             proposal("B", 2, 1), []),
    ],
)  # fmt: skip
def test_prevote_for_a_proposal_with_a_polka(given: list[Input], when: Input, then: list[Effect]) -> None:
    run(given, when, then)


@pytest.mark.parametrize(
    ("given", "when", "then"),
    [
        case(
            "lines 34-35: 2f+1 for anything",
            [*proposed("A"), prevote(0, "A"), prevote(US, "A")],
            prevote(2, None),
            [timer(PREVOTE, 1_000)],
        ),
        case(
            "lines 34-35: it grows with the round",
            [*to_round(2), elapsed(PROPOSE, 2)],
            prevote(0, "A", 2),
            [timer(PREVOTE, 2_000, 2)],
        ),
        case("line 34: once", [*proposed("A"), prevote(0, "A"), *prevotes(None, by=(US, 2))], prevote(3, "B"), []),
        case("line 34: not while step = propose", prevotes(None, by=(0, 2)), prevote(3, "A"), []),
        case(
            "line 34: it is due when we prevote",
            [*prevotes(None, by=(0, 2)), prevote(3, "A")],
            elapsed(PROPOSE),
            [sign_prevote(None, NilReason.NO_PROPOSAL), at(PREVOTE), timer(PREVOTE, 1_000)],
        ),
    ],
)
def test_waiting_for_prevotes(given: list[Input], when: Input, then: list[Effect]) -> None:
    run(given, when, then)


LOCKS_A = [ValidValueSet(H, 0, "A"), sign_precommit("A"), at(PRECOMMIT)]


@pytest.mark.parametrize(
    ("given", "when", "then"),
    [
        case(
            "lines 36-43, step prevote: lock, precommit, valid value",
            [*proposed("A"), *prevotes("A", by=(0, 1))],
            prevote(2, "A"),
            [PolkaSeen(H, 0, "A"), *LOCKS_A],
        ),
        case(
            "lines 36, 42-43, step precommit: valid value only",
            [*proposed("A"), *prevotes("A", by=(0, 1)), prevote(3, None), elapsed(PREVOTE)],
            prevote(2, "A"),
            [PolkaSeen(H, 0, "A"), ValidValueSet(H, 0, "A")],
        ),
        case("line 36: once a round", [*proposed("A"), *prevotes("A")], prevote(3, "A"), []),
        case("line 36: not while step = propose", [complete("A"), valid("A"), *prevotes("A", by=(0, 2))],
             prevote(3, "A"), [PolkaSeen(H, 0, "A")]),
        case(
            "line 36: in step propose it is due when we prevote, without the proposal message",
            [*block("A"), *prevotes("A", by=(0, 2, 3))],
            elapsed(PROPOSE),
            [sign_prevote(None, NilReason.NO_PROPOSAL), at(PREVOTE), *LOCKS_A],
        ),
        case(
            "line 36: another block than the proposed one, however obtained",
            [*proposed("B"), *prevotes("A", by=(0, 2, 3)), complete("A")],
            valid("A"),
            LOCKS_A,
        ),
        case(
            "line 36: a polka for a block that we lack: gather it",
            [elapsed(PROPOSE), *prevotes("A", by=(0, 2))],
            prevote(3, "A"),
            [PolkaSeen(H, 0, "A"), timer(PREVOTE, 1_000), GatherBlock(H, 0, "A", False)],
        ),
        case("line 36: gathered once", [elapsed(PROPOSE), *prevotes("A", by=(0, 2, 3))], prevote(US, None), []),
        case(
            "line 36: gathered: is it valid?",
            [elapsed(PROPOSE), *prevotes("A", by=(0, 2, 3))],
            complete("A"),
            [ValidateBlock(H, "A")],
        ),
        case("line 36: not for a past round", [*prevotes("A", by=(0, 2)), *to_round(1)], prevote(3, "A"),
             [PolkaSeen(H, 0, "A")]),
        case(
            "lines 44-46: 2f+1 nil: precommit nil",
            [*proposed("A"), *prevotes(None, by=(0, 2))],
            prevote(3, None),
            [PolkaSeen(H, 0, None), sign_precommit(None, NilReason.POLKA_FOR_NIL), at(PRECOMMIT)],
        ),
        case("line 44: not while step = propose", prevotes(None, by=(0, 2)), prevote(3, None), [PolkaSeen(H, 0, None)]),
    ],
)  # fmt: skip
def test_polkas(given: list[Input], when: Input, then: list[Effect]) -> None:
    run(given, when, then)


def test_line_44_keeps_the_lock() -> None:
    """CometBFT unlocks on a polka for nil; the paper does not."""
    core = core_after([*locked(), *to_round(1), elapsed(PROPOSE, 1), *prevotes(None, 1, by=(0, US))])
    assert core.step is PRECOMMIT
    assert (core.locked_value, core.locked_round, core.valid_value, core.valid_round) == ("A", 0, "A", 0)


@pytest.mark.parametrize(
    ("given", "when", "then"),
    [
        case("lines 47-48: for anything", precommits(None, by=(0, 2)), precommit(3, "A"), [timer(PRECOMMIT, 1_000)]),
        case("lines 47-48: for nil", precommits(None, by=(0, 2)), precommit(3, None), [timer(PRECOMMIT, 1_000)]),
        case("line 47: once", [*precommits(None, by=(0, 2)), precommit(3, "A")], precommit(US, None), []),
        case(
            "lines 47-48: it grows with the round",
            [*to_round(3), *precommits(None, 3, by=(0, 2))],
            precommit(3, "A", 3),
            [timer(PRECOMMIT, 2_500, 3)],
        ),
        case(
            "lines 49-51: 2f+1 precommits, the block is here",
            [*proposed("A"), *precommits("A", by=(0, 2))],
            precommit(3, "A"),
            [at(COMMIT), Decide(H, 0, "A")],
        ),
        case(
            "lines 49-51: of a round that is past",
            [*proposed("A"), *precommits("A", by=(0, 2)), *to_round(2)],
            precommit(3, "A"),
            [at(COMMIT, 2), Decide(H, 0, "A")],
        ),
        case(
            "lines 49-51: of a later round, without its proposal",
            [*proposed("A"), precommit(2, "A", 1), precommit(3, "A", 1)],
            precommit(0, "A", 1),
            [at(COMMIT, 1), Decide(H, 1, "A")],
        ),
        case(
            "line 49: the block is missing: gather it",
            precommits("A", by=(0, 2)),
            precommit(3, "A"),
            [at(COMMIT), GatherBlock(H, 0, "A", True)],
        ),
        case("line 50: gathered: is it valid?", precommits("A", by=(0, 2, 3)), complete("A"), [ValidateBlock(H, "A")]),
        case(
            "lines 50-51: gathered and valid",
            [*precommits("A", by=(0, 2, 3)), complete("A")],
            valid("A"),
            [Decide(H, 0, "A")],
        ),
        case("line 49: while we gather nothing is voted for", precommits("A", by=(0, 2, 3)), elapsed(PROPOSE), []),
        case("line 49: while we gather no round begins", precommits("A", by=(0, 2, 3)), elapsed(PRECOMMIT), []),
        case("line 49: while we gather no round is skipped to", [*precommits("A", by=(0, 2, 3)), prevote(2, None, 4)],
             prevote(3, None, 4), []),
        case(
            "lines 50-51: what we built too late is here, and others decided it: our key runs twice, or lost its log",
            [*to_round(1), *precommits("B", 1, by=(0, 2, 3))],
            Built(H, 1, "B"),
            [Decide(H, 1, "B")],
        ),
        case("line 51: decided once", [*proposed("A"), *precommits("A")], valid("A"), []),
    ],
)  # fmt: skip
def test_precommits_and_decisions(given: list[Input], when: Input, then: list[Effect]) -> None:
    run(given, when, then)


def test_line_50_a_committed_block_that_is_invalid_stops_the_node() -> None:
    core = core_after([*precommits("A", by=(0, 2, 3)), complete("A")])
    with pytest.raises(CommittedInvalidBlock, match="height 5: round 0 has"):
        core.handle(valid("A", False))


def test_line_49_one_vote_may_decide_a_later_round() -> None:
    """Where a validator has more than two thirds of the power, no f+1 of others took us to its round before."""
    core = core_after(block("A"), begin=start(validators=Four(powers=(1, 1, 10, 1))))
    assert uncounted(core.handle(precommit(2, "A", 3))) == [at(COMMIT, 3), Decide(H, 3, "A")]


def test_line_49_the_first_decision_stands() -> None:
    """Two quorums mean that a third and more lies: what was decided first is gathered."""
    core = core_after([*precommits("A", by=(0, 2, 3)), *precommits("B", 1, by=(0, 2, 3))])
    assert (core.commit_value, core.commit_round) == ("A", 0)


def test_line_49_while_we_gather_no_other_block_is_validated() -> None:
    core = core_after([proposal("B"), *precommits("A", by=(0, 2, 3))])
    assert core.handle(complete("B")) == ()


def test_proposals_of_past_and_far_rounds_are_not_kept() -> None:
    core = core_after([*to_round(2), proposal("A", 1), proposal("B", 3), proposal("C", 4)])
    assert [core.proposal(round) for round in range(5)] == [None, None, None, proposal("B", 3), None]
    core.handle(prevote(0, None, 4))  # somebody is there
    core.handle(proposal("C", 4))
    assert core.proposal(4) == proposal("C", 4)


def test_lines_52_to_54_nothing_is_left_of_the_last_height() -> None:
    core = core_after([*proposed("A"), *prevotes("A"), *precommits("A")])
    assert (core.is_decided, core.commit_value, core.commit_round) == (True, "A", 0)
    core.handle(start(height=H + 1))
    assert (core.height, core.round, core.step, core.is_decided) == (H + 1, 0, PROPOSE, False)
    assert (core.locked_value, core.locked_round, core.valid_value, core.valid_round) == (None, -1, None, -1)
    assert (core.rounds, core.commit_round, core.proposal(0)) == ((), -1, None)
    assert core.block_state("A") is BlockState.MISSING


@pytest.mark.parametrize(
    ("given", "when", "then"),
    [
        case("line 55: f are not enough", [], prevote(2, None, 3), []),
        case("line 55: one validator twice is not enough", [prevote(2, None, 3)], precommit(2, "A", 3), []),
        case(
            "lines 55-56: f+1 of a later round, kinds together",
            [precommit(2, "A", 3)],
            prevote(3, None, 3),
            [at(PROPOSE, 3), timer(PROPOSE, 4_500, 3)],
        ),
        case("line 55: of two different later rounds", [prevote(2, None, 3)], prevote(3, None, 2), []),
        case("line 55: not of a past round", [*to_round(3), prevote(2, None, 1)], prevote(3, None, 1), []),
        case(
            "lines 55, 22: a proposal that waits for its round is used",
            [proposal("B", 1), *block("B"), precommit(2, None, 1)],
            precommit(3, None, 1),
            [at(PROPOSE, 1), timer(PROPOSE, 3_500, 1), sign_prevote("B", None, 1), at(PREVOTE, 1)],
        ),
    ],
)
def test_round_skip(given: list[Input], when: Input, then: list[Effect]) -> None:
    run(given, when, then)


NIL = [at(PREVOTE)]


@pytest.mark.parametrize(
    ("given", "when", "then"),
    [
        case("lines 57-60: no proposal", [], elapsed(PROPOSE), [sign_prevote(None, NilReason.NO_PROPOSAL), *NIL]),
        case(
            "lines 57-60: parts are missing",
            [proposal("A")],
            elapsed(PROPOSE),
            [sign_prevote(None, NilReason.INCOMPLETE_BLOCK), *NIL],
        ),
        case(
            "lines 57-60: the polka is missing",
            [*to_round(2), *proposed("B", 2, 1)],
            elapsed(PROPOSE, 2),
            [sign_prevote(None, NilReason.POL_MISSING, 2), at(PREVOTE, 2)],
        ),
        case(
            "lines 57-60: the polka is missing, and it would not help",
            [*to_round(2), proposal("B", 2, 1), complete("B"), valid("B", False)],
            elapsed(PROPOSE, 2),
            [sign_prevote(None, NilReason.INVALID_BLOCK, 2), at(PREVOTE, 2)],
        ),
        case("line 57: a validation that runs suspends it", [proposal("A"), complete("A")], elapsed(PROPOSE), []),
        case(
            "line 57: suspended until the block is found valid",
            [proposal("A"), complete("A"), elapsed(PROPOSE)],
            valid("A"),
            [sign_prevote("A"), at(PREVOTE)],
        ),
        case(
            "line 57: suspended until the block is found invalid",
            [proposal("A"), complete("A"), elapsed(PROPOSE)],
            valid("A", False),
            [sign_prevote(None, NilReason.INVALID_BLOCK), at(PREVOTE)],
        ),
        case("line 57: of another round", to_round(2), elapsed(PROPOSE, 1), []),
        case("line 57: not in another step", [elapsed(PROPOSE)], elapsed(PROPOSE), []),
        case(
            "lines 61-64: no polka",
            [elapsed(PROPOSE)],
            elapsed(PREVOTE),
            [sign_precommit(None, NilReason.NO_POLKA), at(PRECOMMIT)],
        ),
        case(
            "lines 61-64: a polka for a block that we lack",
            [elapsed(PROPOSE), *prevotes("A", by=(0, 2, 3))],
            elapsed(PREVOTE),
            [sign_precommit(None, NilReason.POLKA_FOR_MISSING_BLOCK), at(PRECOMMIT)],
        ),
        case(
            "lines 61-64: a polka for a block whose validation runs",
            [elapsed(PROPOSE), *prevotes("A", by=(0, 2, 3)), complete("A")],
            elapsed(PREVOTE),
            [sign_precommit(None, NilReason.BLOCK_NOT_VALIDATED), at(PRECOMMIT)],
        ),
        case(
            "lines 61-64: a polka for an invalid block",
            [elapsed(PROPOSE), *prevotes("A", by=(0, 2, 3)), complete("A"), valid("A", False)],
            elapsed(PREVOTE),
            [sign_precommit(None, NilReason.INVALID_BLOCK), at(PRECOMMIT)],
        ),
        case("line 61: not in another step", [], elapsed(PREVOTE), []),
        case("line 61: of another round", [*to_round(2), elapsed(PROPOSE, 2)], elapsed(PREVOTE, 1), []),
        case(
            "lines 65-67: the next round",
            to_round(2),
            elapsed(PRECOMMIT, 2),
            [at(PROPOSE, 3), timer(PROPOSE, 4_500, 3)],
        ),
        case("line 65: of another round", to_round(2), elapsed(PRECOMMIT, 1), []),
    ],
)
def test_time_outs(given: list[Input], when: Input, then: list[Effect]) -> None:
    """failure 26: every nil vote says why."""
    run(given, when, then)


@pytest.mark.parametrize("event", [proposal("A"), complete("A"), valid("A"), elapsed(PROPOSE), TxsAvailable(H)])
@pytest.mark.parametrize("height", [H - 1, H + 1])
def test_inputs_of_other_heights_have_no_effect(event: Input, height: int) -> None:
    core = core_after([], begin=StartHeight(height, Four(), US, commit_wait_ms=0))
    assert core.handle(event) == ()


def test_an_observer_takes_every_step_and_signs_nothing() -> None:
    core = core_after([], begin=start(our_index=None))
    effects = [e for event in [*proposed("A"), *prevotes("A"), *precommits("A")] for e in core.handle(event)]
    assert uncounted(effects) == [
        ValidateBlock(H, "A"), at(PREVOTE), PolkaSeen(H, 0, "A"), ValidValueSet(H, 0, "A"), at(PRECOMMIT),
        at(COMMIT), Decide(H, 0, "A"),
    ]  # fmt: skip


def test_nil_reasons_are_kept_for_whoever_asks() -> None:
    core = core_after([elapsed(PROPOSE), elapsed(PREVOTE)])
    assert core.nil_reason(VoteKind.PREVOTE, 0) is NilReason.NO_PROPOSAL
    assert core.nil_reason(VoteKind.PRECOMMIT, 0) is NilReason.NO_POLKA
    assert core.nil_reason(VoteKind.PREVOTE, 1) is None


class TestRestart:
    """failure 3 and the lock: the log is replayed, in another order perhaps, and some of it is lost."""

    def test_our_own_precommit_restores_lock_and_valid_value(self) -> None:
        core = core_after([precommit(US, "A")])
        assert (core.locked_value, core.locked_round, core.valid_value, core.valid_round) == ("A", 0, "A", 0)

    def test_a_nil_precommit_restores_nothing(self) -> None:
        core = core_after([*locked(), precommit(US, None, 1)])
        assert (core.locked_value, core.locked_round) == ("A", 0)

    def test_anothers_precommit_locks_nobody(self) -> None:
        assert core_after([precommit(2, "A")]).locked_round == -1

    def test_a_polka_below_the_restored_lock_does_not_replace_it(self) -> None:
        core = core_after([precommit(US, "A", 3), *proposed("B"), *prevotes("B")])
        assert (core.locked_value, core.locked_round, core.step) == ("A", 3, PREVOTE)

    def test_the_valid_value_is_gathered_where_its_block_was_lost(self) -> None:
        core = core_after([precommit(US, "A")])
        assert GatherBlock(H, 0, "A", False) not in core.handle(elapsed(PROPOSE))  # asked for before
        assert GatherBlock(H, 2, "A", False) in [e for event in to_round(2) for e in core.handle(event)]

    def test_a_lost_valid_value_is_not_proposed(self) -> None:
        core = core_after([precommit(US, "A"), prevote(2, None, 1)])
        assert BuildBlock(H, 1) in core.handle(prevote(3, None, 1))

    def test_a_round_in_which_we_precommitted_is_not_proposed_for_again(self) -> None:
        core = core_after([*block("A"), precommit(US, "A", 1)])
        assert uncounted(core.handle(prevote(3, None, 1))) == [at(PROPOSE, 1), timer(PROPOSE, 3_500, 1)]

    def test_an_equivocators_vote_in_the_polka_of_our_lock_counts_again(self) -> None:
        core = core_after([precommit(US, "A"), prevote(0, "A"), prevote(US, "A"), prevote(3, None)])
        assert PolkaSeen(H, 0, "A") in core.handle(prevote(3, "A"))

    def test_no_signature_is_asked_for_where_our_vote_is_known(self) -> None:
        core = core_after([prevote(US, "A")])
        assert list(core.handle(elapsed(PROPOSE))) == [at(PREVOTE)]


SOURCE = Path(__file__).parents[3] / "consensus" / "core"


def test_the_core_can_be_read_beside_the_paper() -> None:
    """Under 1,000 lines, no function over 70."""
    sources = {path.name: path.read_text() for path in sorted(SOURCE.glob("*.py"))}
    assert {"core.py", "events.py", "votes.py"} <= set(sources)
    assert sum(len(text.splitlines()) for text in sources.values()) < 1_000
    for name, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 70, f"{name}: {node.name} has {length} lines"
