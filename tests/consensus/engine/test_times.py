"""Times that others choose, and clocks that are wrong: neither ends a node, nor makes it part from the others."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.events import Step
from consensus.engine.incoming.inputs import VoteIn
from consensus.engine.own_messages import vote_time
from consensus.formats.timestamps import TIME_NS_MAX, ZERO_TIME_NS, encode_timestamp
from consensus.formats.units import NS_PER_S
from consensus.system.clock import LoopClock
from consensus.types.ids import BlockID
from consensus.types.vote import PRECOMMIT, PREVOTE, Vote
from tests.support.engine.bench import FAST, Home, Node, genesis_of, make_node, until
from tests.support.engine.driver import PATIENT, Bench, make_bench, restart
from tests.support.engine.memnet import MemoryNetwork

HOUR_NS = 3_600 * NS_PER_S


def own(bench: Bench) -> list[Vote]:
    return [one.vote for one in bench.logged(VoteIn) if not one.peer_id]


@pytest.mark.parametrize(
    "time_ns",
    [
        pytest.param(TIME_NS_MAX, id="the last instant"),
        pytest.param(TIME_NS_MAX - 1_000_000, id="one that 1 ms still fits behind"),
        pytest.param(TIME_NS_MAX - 999_999, id="one that 1 ms does not fit behind"),
        pytest.param(253_370_764_800 * NS_PER_S, id="9999"),
        pytest.param(2**63, id="past 64 bits of nanoseconds"),
        pytest.param(ZERO_TIME_NS, id="year 1"),
    ],
)
async def test_a_nil_vote_does_not_take_its_time_from_a_block_that_is_only_proposed(time_ns: int) -> None:
    """audit 2: a proposed time crashed every honest node, again at each restart, or moved the median to year 9999."""
    bench = await make_bench(config=replace(PATIENT, timeout_prevote_ms=1))
    good = bench.block()
    block = replace(good, header=replace(good.header, time_ns=time_ns))
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    await until(lambda: bench.driver.core.step is Step.PREVOTE or bool(bench.node.fatal))
    for index in bench.others[:2]:
        bench.driver.add_vote(bench.vote(index), "peer")  # for another block: no polka, so nil again
    await until(lambda: bench.driver.core.step is Step.PRECOMMIT or bool(bench.node.fatal))
    assert not bench.node.fatal
    assert [(vote.type, vote.is_nil) for vote in own(bench)] == [(PREVOTE, True), (PRECOMMIT, True)]
    assert all(abs(vote.timestamp_ns - time.time_ns()) < HOUR_NS for vote in own(bench))
    back = await restart(bench)
    await until(lambda: back.driver.core.step is Step.PRECOMMIT or bool(back.node.fatal))
    assert not back.node.fatal
    await back.driver.stop()


@given(st.integers(-(2**80), 2**80), st.lists(st.integers(ZERO_TIME_NS, TIME_NS_MAX), min_size=1))
def test_a_votes_time_can_always_be_written(now_ns: int, built_on_ns: list[int]) -> None:
    """audit 2: whatever our clock and the blocks say."""
    chosen = vote_time(now_ns, built_on_ns)
    assert encode_timestamp(chosen) is not None
    assert chosen > max(built_on_ns) or chosen == TIME_NS_MAX


class Skewed(LoopClock):
    def __init__(self, off_ns: int) -> None:
        self._off_ns = off_ns

    def now_ns(self) -> int:
        return super().now_ns() + self._off_ns


@pytest.mark.parametrize(
    "hours",
    [
        pytest.param((0, 0, 0, -1), id="one is behind"),
        pytest.param((0, 0, 0, 24), id="one is ahead"),
        pytest.param((0, 0, -1, -3), id="half of them are behind"),
        pytest.param((-2, 5, -300_000, 1_000_000), id="none agrees with another"),
    ],
)
async def test_validators_whose_clocks_disagree_make_one_chain(hours: tuple[int, ...]) -> None:
    """audit 4: a block of the others was judged invalid, then decided: exit 70, again at each restart."""
    genesis = genesis_of(4)
    nodes = [
        await make_node(genesis, index, Home(), config=FAST, clock=Skewed(off * HOUR_NS))
        for index, off in enumerate(hours)
    ]
    network = MemoryNetwork(nodes)
    await network.start()
    await network.reach(5)
    assert not any(node.fatal for node in nodes)
    assert all(not node.driver.metrics.nil_votes.get(("prevote", "invalid_block")) for node in nodes)
    await network.stop()


async def catching_up(node: Node, network: MemoryNetwork) -> None:
    await until(lambda: node.height >= network.nodes[0].height - 1 or bool(node.fatal))


async def test_a_node_whose_clock_is_behind_follows_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 4, by the blocks of others alone: it is an observer, who can only agree or stop."""
    genesis = genesis_of(1)
    home = Home()
    nodes = [
        await make_node(genesis, 0, Home(), config=replace(FAST, timeout_commit_ms=20)),
        await make_node(genesis, None, home, config=FAST, clock=Skewed(-24 * HOUR_NS)),
    ]
    network = MemoryNetwork(nodes)
    await network.start()
    await network.reach(3)
    await nodes[1].driver.stop()
    network.replace(1, await make_node(genesis, None, home, config=FAST, clock=Skewed(-48 * HOUR_NS)))
    await nodes[1].driver.start()
    await nodes[0].reach(6)
    await catching_up(nodes[1], network)
    assert not nodes[1].fatal
    await network.stop()


def withhold(bench: Bench, reason: list[str]) -> None:
    """What the evidence pool says of a block whose old header is not stored here."""
    judge: Any = bench.node.executor.validate

    async def validate(state: Any, block: Any) -> Any:
        return replace(await judge(state, block), withheld=reason[0])

    bench.node.executor.validate = validate  # type: ignore[method-assign]


async def test_what_only_this_node_cannot_judge_is_a_nil_vote_that_is_asked_again_and_never_a_stop() -> None:
    """audit 4: a reason of this node's own is not remembered as "invalid"; +2/3 of the others overrule it."""
    bench = await make_bench(config=replace(PATIENT, timeout_prevote_ms=1, timeout_precommit_ms=1))
    reason = ["its evidence is of a height that is not stored here"]
    withhold(bench, reason)
    block = bench.block((b"a=1",))
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    assert bench.driver.metrics.nil_votes == {("prevote", "withheld"): 1}
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PREVOTE, BlockID()), "peer")
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, BlockID()), "peer")
    await until(lambda: bench.driver.core.round == 1)
    proposer = bench.validators.proposer(1)
    assert proposer != bench.ours, "the bench's node has no turn in round 1"
    reason[0] = ""
    bench.driver.add_proposal(bench.proposal(block.block_id, by=proposer, round=1), "peer")
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    assert [(vote.round, vote.is_nil) for vote in own(bench) if vote.type == PREVOTE] == [(0, True), (1, False)]
    await bench.driver.stop()


async def test_a_withheld_block_that_the_others_decided_is_taken() -> None:
    """audit 4: with a polka it is precommitted, with +2/3 precommits committed."""
    bench = await make_bench()
    withhold(bench, ["not here"])
    block = bench.block((b"a=1",))
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    await until(lambda: bench.driver.core.step is Step.PREVOTE)
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PREVOTE, block.block_id), "peer")
    await until(lambda: bench.driver.core.step is Step.PRECOMMIT)
    assert [vote.is_nil for vote in own(bench)] == [True, False]
    for index in bench.others[:2]:
        bench.driver.add_vote(bench.vote(index, PRECOMMIT, block.block_id), "peer")
    await until(lambda: bench.node.height == 1)
    assert not bench.node.fatal
    await bench.driver.stop()
