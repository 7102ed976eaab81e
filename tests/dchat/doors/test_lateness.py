"""When /ready says that a block is late: by the chain's pace, whatever that is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from consensus.core.events import CoreConfig, Step, Vote, VoteKind
from consensus.core.votes import HeightVotes
from consensus.engine.round_state import HeightState
from consensus.types.block import BlockBounds
from dchat.doors.http.lateness import Standing, rounds_s, why_no_block
from dchat.doors.http.views import Thresholds, Views
from tests.support.engine.bench import FAST, Home, genesis_of, make_node, until
from tests.support.node.telling import SteadyApp

SHIPPED = CoreConfig()
ON_DEMAND = replace(SHIPPED, create_empty_blocks=False)
SLOW_BLOCKS = replace(SHIPPED, create_empty_blocks_interval_ms=3_600_000)
HURRIED = replace(FAST, create_empty_blocks_interval_ms=0)
ALL, TWO, NONE = 4, 2, 0


async def rounds_of(voted: int, round: int = 0) -> HeightState:
    """Height 7 of four validators, of which `voted` prevoted in its round."""
    validators = (await make_node(genesis_of(4), None, Home())).driver.state.validators
    votes = HeightVotes(validators.powers)
    for index in range(voted):
        votes.add(Vote(VoteKind.PREVOTE, 7, round, None, index), round)
    state = HeightState(votes.get)
    state.start(7, validators, None, BlockBounds(0, 0))
    state.round = round
    return state


@pytest.mark.parametrize(
    ("config", "voted", "age_s", "running_s", "want"),
    [
        pytest.param(SHIPPED, ALL, 3, 0.5, None, id="a block is being made"),
        pytest.param(SHIPPED, NONE, 3, None, None, id="it waits for block_time"),
        pytest.param(SHIPPED, TWO, 12, 9, None, id="two of four, for one round's time-outs"),
        pytest.param(SHIPPED, TWO, 14, 11, "votes of 2 of 4 validators, with 20 of 40 voting power", id="and longer"),
        pytest.param(SHIPPED, ALL, 14, 11, None, id="all vote, and the round decided nothing"),
        pytest.param(SHIPPED, ALL, 23, 20, "height 7 is in round 0", id="nor did three"),
        pytest.param(SHIPPED, NONE, 14, None, "no block for 14 s", id="no height began when it was time"),
        pytest.param(ON_DEMAND, NONE, 86_400, None, None, id="nobody pays: no block is due"),
        pytest.param(ON_DEMAND, TWO, 86_400, 11, "no block for 86400 s: height 7 has votes of 2 of 4", id="one waits"),
        pytest.param(SLOW_BLOCKS, NONE, 3_000, None, None, id="a block an hour"),
        pytest.param(SLOW_BLOCKS, NONE, 3_611, None, "no block for 3611 s", id="an hour is over"),
        pytest.param(HURRIED, NONE, 9, 9, None, id="time-outs of milliseconds: a loaded machine has seconds"),
        pytest.param(HURRIED, NONE, 11, 11, "votes of 0 of 4", id="and not more"),
    ],
)  # fmt: skip
async def test_a_block_is_late(
    config: CoreConfig, voted: int, age_s: float, running_s: float | None, want: str | None
) -> None:
    said = why_no_block(await rounds_of(voted), config, age_s=age_s, running_s=running_s, limit_s=300)
    assert said is None if want is None else said is not None and want in said


async def test_votes_of_the_round_before_count_while_a_new_one_begins() -> None:
    rounds = await rounds_of(ALL, round=1)
    rounds.round = 2
    assert why_no_block(rounds, SHIPPED, age_s=14, running_s=11, limit_s=300) is None


async def test_the_option_bounds_what_long_time_outs_allow() -> None:
    slow = replace(SHIPPED, timeout_propose_ms=600_000)
    assert rounds_s(slow, 3) > 1_800
    assert why_no_block(await rounds_of(ALL), slow, age_s=21, running_s=21, limit_s=20) is not None


def test_the_log_says_that_no_block_comes_now_and_then_again_and_that_they_come_again() -> None:
    now_s, why = 0.0, ""
    standing = Standing(lambda: why or None, lambda: 6, now=lambda: now_s)
    with capture_logs() as lines:
        for now_s in range(1_000):
            why = "votes of 2 of 4" if 100 <= now_s < 900 else "a moment" if now_s < 5 else ""
            standing.look()
    told = [(line["event"], line.get("for_s", line.get("stood_s"))) for line in lines]
    assert told == [
        *(("no block comes", seconds) for seconds in (10, 70, 190, 430)), ("blocks come again", 800),
    ]  # fmt: skip
    assert {line["why"] for line in lines[:-1]} == {"votes of 2 of 4"}
    assert {line["height"] for line in lines} == {6}


async def test_the_engine_says_since_when_a_height_runs() -> None:
    """One of four begins, and hears nobody. Without empty blocks nothing begins until a transaction waits."""
    alone = await make_node(genesis_of(4), 0, Home(), config=FAST)
    home = Home()
    calm_config = replace(FAST, create_empty_blocks=False)
    calm = await make_node(genesis_of(1), 0, home, config=calm_config, app=SteadyApp(home.app))
    try:
        await alone.driver.start()
        await calm.driver.start()
        await until(lambda: alone.driver.metrics.began_ns > 0)
        began_ns = alone.driver.metrics.began_ns
        await calm.reach(1)
        await until(lambda: calm.driver.round_state.step is Step.NEW_ROUND)
        assert calm.driver.metrics.began_ns == 0
        calm.pool.txs = [b"a=1"]
        calm.pool._tell()
        await calm.reach(2)
        assert alone.driver.metrics.began_ns == began_ns
    finally:
        await alone.driver.stop()
        await calm.driver.stop()


@pytest.mark.parametrize(
    ("target", "said"),
    [(0, "catching up: at height 2, waits for peers"), (9, "catching up: at height 2 of 9, waits for peers")],
)
def test_no_height_is_told_of_a_network_that_nobody_tells_of(target: int, said: str) -> None:
    """It was `at height 2 of 0` where there was no peer."""
    unused: Any = None
    answers: Any = SimpleNamespace(height=2)
    driver: Any = SimpleNamespace(failure=None, halted=None)
    switch: Any = SimpleNamespace(peers=[], foreign_chains="")
    views = Views(
        me=unused, answers=answers, driver=driver, pool=unused, switch=switch, is_catching_up=lambda: True,
        sync_target=lambda: target, sync_waits_for=lambda: "peers", thresholds=Thresholds(30),
    )  # fmt: skip
    assert views.ready() == (False, {"ready": False, "connected_peers": 0, "reason": said})
