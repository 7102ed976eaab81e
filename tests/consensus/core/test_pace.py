"""When round 0 begins: empty blocks on, off or after an interval; transactions, proof blocks, what others do.
Source: CometBFT v0.38, consensus configuration (create_empty_blocks, create_empty_blocks_interval, timeout_commit)."""

from __future__ import annotations

import pytest

from consensus.core.core import Core
from consensus.core.events import CoreConfig, Effect, Input, Step, TxsAvailable
from tests.support.core.driving import (
    H,
    at,
    elapsed,
    precommit,
    prevote,
    proposal,
    start,
    timer,
    uncounted,
)

EMPTY_AT_ONCE = CoreConfig(timeout_commit_ms=100, create_empty_blocks_interval_ms=0)
EMPTY_LATER = CoreConfig(timeout_commit_ms=100, create_empty_blocks_interval_ms=3_000)
NEVER_EMPTY = CoreConfig(timeout_commit_ms=100, create_empty_blocks=False)
TXS = TxsAvailable(H)
COMMIT_WAIT_OVER = elapsed(Step.NEW_HEIGHT)
INTERVAL_OVER = elapsed(Step.NEW_ROUND)
BEGINS: list[Effect] = [at(Step.PROPOSE), timer(Step.PROPOSE, 3_000)]
WAITS: list[Effect] = [at(Step.NEW_ROUND)]
COMMIT_TIMER, INTERVAL_TIMER = timer(Step.NEW_HEIGHT, 100), timer(Step.NEW_ROUND, 3_000)


@pytest.mark.parametrize(
    ("config", "wait_ms", "then"),
    [
        pytest.param(EMPTY_AT_ONCE, None, [COMMIT_TIMER], id="the configured wait"),
        pytest.param(EMPTY_AT_ONCE, 40, [timer(Step.NEW_HEIGHT, 40)], id="what is left of it"),
        pytest.param(EMPTY_AT_ONCE, 0, BEGINS, id="nothing is left: begin"),
        pytest.param(EMPTY_LATER, None, [INTERVAL_TIMER, COMMIT_TIMER], id="the interval counts from here on"),
        pytest.param(EMPTY_LATER, 0, [INTERVAL_TIMER, *WAITS], id="nothing is left, nothing to put into a block"),
        pytest.param(NEVER_EMPTY, None, [COMMIT_TIMER], id="without empty blocks there is no interval"),
        pytest.param(NEVER_EMPTY, 0, WAITS, id="without empty blocks: wait"),
    ],
)
def test_start_of_a_height(config: CoreConfig, wait_ms: int | None, then: list[Effect]) -> None:
    assert list(Core(config).handle(start(commit_wait_ms=wait_ms))) == [at(Step.NEW_HEIGHT), *then]


@pytest.mark.parametrize(
    ("config", "needs_proof", "given", "when", "then"),
    [
        pytest.param(EMPTY_AT_ONCE, False, [], COMMIT_WAIT_OVER, BEGINS, id="on: after the commit wait"),
        pytest.param(EMPTY_AT_ONCE, False, [], TXS, [], id="on: a transaction does not shorten the commit wait"),
        pytest.param(EMPTY_LATER, False, [], COMMIT_WAIT_OVER, WAITS, id="interval: wait"),
        pytest.param(EMPTY_LATER, False, [COMMIT_WAIT_OVER], INTERVAL_OVER, BEGINS, id="interval: over"),
        pytest.param(EMPTY_LATER, False, [INTERVAL_OVER], COMMIT_WAIT_OVER, BEGINS, id="interval: over already"),
        pytest.param(EMPTY_LATER, False, [COMMIT_WAIT_OVER], TXS, BEGINS, id="interval: a transaction begins it"),
        pytest.param(EMPTY_LATER, False, [TXS], COMMIT_WAIT_OVER, BEGINS, id="interval: a transaction waited"),
        pytest.param(EMPTY_LATER, False, [COMMIT_WAIT_OVER, TXS], INTERVAL_OVER, [], id="interval: begun already"),
        pytest.param(EMPTY_LATER, True, [], COMMIT_WAIT_OVER, BEGINS, id="interval: a proof block does not wait"),
        pytest.param(NEVER_EMPTY, False, [], COMMIT_WAIT_OVER, WAITS, id="off: wait"),
        pytest.param(NEVER_EMPTY, False, [COMMIT_WAIT_OVER], TXS, BEGINS, id="off: a transaction begins it"),
        pytest.param(NEVER_EMPTY, True, [], COMMIT_WAIT_OVER, BEGINS, id="off: a proof block does not wait"),
        pytest.param(NEVER_EMPTY, True, [], TXS, [], id="off: a proof block keeps to the commit wait"),
        pytest.param(NEVER_EMPTY, False, [], proposal("A"), BEGINS, id="another's proposal ends the commit wait"),
        pytest.param(NEVER_EMPTY, False, [COMMIT_WAIT_OVER], proposal("A"), BEGINS, id="off: a proposal begins it"),
        pytest.param(NEVER_EMPTY, False, [prevote(2, None)], prevote(3, None), BEGINS, id="line 55: f+1 are in it"),
        pytest.param(NEVER_EMPTY, False, [], prevote(2, None), [], id="line 55: f are not enough"),
        pytest.param(
            NEVER_EMPTY, False, [COMMIT_WAIT_OVER, precommit(2, None, 1)], precommit(3, None, 1),
            [at(Step.PROPOSE, 1), timer(Step.PROPOSE, 3_500, 1)], id="line 55: f+1 are in round 1",
        ),
        pytest.param(NEVER_EMPTY, False, [COMMIT_WAIT_OVER], COMMIT_WAIT_OVER, [], id="the commit wait ends once"),
        pytest.param(NEVER_EMPTY, False, [], elapsed(Step.PROPOSE), [], id="no time-out of a round before it"),
        pytest.param(NEVER_EMPTY, False, [], elapsed(Step.PRECOMMIT), [], id="line 65: no round before round 0"),
    ],
)  # fmt: skip
def test_the_wait(config: CoreConfig, needs_proof: bool, given: list[Input], when: Input, then: list[Effect]) -> None:
    core = Core(config)
    core.handle(start(our_index=2, commit_wait_ms=None, needs_proof_block=needs_proof))
    for event in given:
        core.handle(event)
    assert uncounted(core.handle(when)) == then


def test_what_came_during_the_commit_wait_is_used() -> None:
    core = Core(NEVER_EMPTY)
    core.handle(start(commit_wait_ms=None))
    assert uncounted(core.handle(prevote(2, "A"))) == []
    effects = core.handle(proposal("A"))
    assert list(effects) == BEGINS
    assert core.votes(prevote(2, "A").kind, 0).power_for("A") == 1
