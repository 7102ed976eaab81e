"""The simulator: a hundred seeds keep every law, and cores with a planted fault do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import consensus.core.core
import consensus.core.votes
from consensus.core.core import BlockState, Core
from consensus.core.events import CoreConfig, Elapsed, SignProposal, Step, ValueId, Vote, VoteKind
from tests.support.core import laws
from tests.support.core.simulator import Network, Node, Plan, SimulationFailed, simulate

CI_SEEDS = 100
SEEDS_TO_FIND_A_FAULT = 40


@pytest.mark.parametrize("tens", range(CI_SEEDS // 10))
def test_every_law_holds(tens: int) -> None:
    for seed in range(10 * tens, 10 * tens + 10):
        simulate(seed)


def test_a_seed_gives_one_run() -> None:
    runs = [simulate(4_711) for _ in range(2)]
    first, second = [(run.events, run.now_ms, run.judge.decisions, list(run._trace)) for run in runs]
    assert first == second


def test_the_hundred_seeds_have_every_fault() -> None:
    plans = [Plan.of(seed) for seed in range(CI_SEEDS)]
    assert sum(bool(plan.faulty) for plan in plans) > 50
    assert all(3 * sum(plan.powers[i] for i in plan.faulty) < sum(plan.powers) for plan in plans)
    for is_there in (
        lambda plan: plan.crash_every_ms < plan.limit_ms,
        lambda plan: plan.partition_every_ms < plan.limit_ms,
        lambda plan: plan.loss > 0,
        lambda plan: plan.duplication > 0,
        lambda plan: plan.observers,
        lambda plan: not plan.config.create_empty_blocks,
        lambda plan: len(set(plan.powers)) > 1,
    ):
        assert sum(map(bool, map(is_there, plans))) >= 10


class ForgetsItsLock(Core):
    def _prevote_proposal(self) -> bool:
        kept = self.locked_round
        self.locked_round = -1
        try:
            return super()._prevote_proposal()
        finally:
            self.locked_round = kept


class UnlocksOnNil(Core):
    def _polka_for_nil(self) -> bool:
        fired = super()._polka_for_nil()
        if fired:
            self.locked_value, self.locked_round = None, -1
        return fired


class ForgetsItsPrecommits(Core):
    """Its own precommits of before a restart are votes like any other's."""

    def _restore_lock(self, vote: Vote) -> None:
        pass


class BelievesBlocks(Core):
    def block_state(self, value_id: ValueId) -> BlockState:
        state = super().block_state(value_id)
        return BlockState.VALID if state in (BlockState.COMPLETE, BlockState.VALIDATING) else state


class NeverGathers(Core):
    def _seek(self, value: ValueId, round: int, *, is_commit: bool) -> bool:
        return self._seek_validity(value)


class WaitsForProposals(Core):
    def _propose_elapsed(self, event: Elapsed) -> None:
        pass


class PrecommitsWithoutPolka(Core):
    def _polka_for_block(self) -> bool:
        proposal = self.proposal(self.round)
        votes = self.votes(VoteKind.PREVOTE, self.round)
        if self.step is not Step.PREVOTE or proposal is None or not votes.has_two_thirds_any:
            return super()._polka_for_block()
        self.locked_value, self.locked_round = proposal.value_id, self.round
        self._precommit(proposal.value_id, None)
        return True


class ClaimsPolkas(Core):
    def _start_round(self, round: int) -> None:
        super()._start_round(round)
        last = self._out[-1]
        if isinstance(last, SignProposal) and round > 0:
            self._out[-1] = SignProposal(last.height, round, last.value_id, round - 1)


class VotesTwice(Core):
    """It votes again in a round where it voted, when its time-out comes."""

    def _propose_elapsed(self, event: Elapsed) -> None:
        if event.round == self.round and self.step is Step.PREVOTE and self.our_index is not None:
            self._votes.get(VoteKind.PREVOTE, self.round).bitmap &= ~(1 << self.our_index)
            self.step = Step.PROPOSE
        super()._propose_elapsed(event)


def laws_broken_by(make_core: Callable[[CoreConfig], Core]) -> str:
    """The law that the first failing seed names; "" if none fails."""
    for seed in range(SEEDS_TO_FIND_A_FAULT):
        try:
            simulate(seed, make_core)
        except SimulationFailed as error:
            said = str(error)
        else:
            continue
        assert f"replay: scripts/simulate --start {seed} --seeds 1" in said
        return said.splitlines()[0]
    return ""


@pytest.mark.parametrize(
    ("make_core", "law"),
    [
        (ForgetsItsLock, "locks"),
        (UnlocksOnNil, "locks"),
        (ForgetsItsPrecommits, "locks"),
        (BelievesBlocks, "validity"),
        (NeverGathers, "progress"),
        (WaitsForProposals, "progress"),
        (PrecommitsWithoutPolka, "a polka before a precommit"),
        (ClaimsPolkas, "polka of a proposal"),
        (VotesTwice, "asked for once"),
    ],
)
def test_a_planted_fault_is_found(make_core: Callable[[CoreConfig], Core], law: str) -> None:
    assert law in laws_broken_by(make_core)


def test_a_quorum_of_half_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consensus.core.votes, "two_thirds", lambda total: total // 2)
    assert laws_broken_by(Core)


def test_a_restart_without_the_log_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """failure 3: the signer's record alone keeps a node from signing twice, but not to its lock."""
    start = Node.start

    def start_empty(node: Node) -> None:
        node.disk.log, node.disk.synced, node.disk.last_vote = [], 0, None
        start(node)

    monkeypatch.setattr(Node, "start", start_empty)
    assert any(law in laws_broken_by(Core) for law in ("locks", "progress"))


def test_two_decisions_at_a_height_are_found() -> None:
    network = Network(Plan.of(1))
    for value in ("A", "B"):
        network.judge.made(value, 1, valid=True)
        for index in range(len(network.plan.powers)):
            network.judge._signers.setdefault((VoteKind.PRECOMMIT, 1, 0, value), set()).add(index)
    network.judge.decided("n0", 1, 0, "A")
    with pytest.raises(Exception, match=r"agreement: two commits at height 1 \(n0 A, n1 B\)"):
        network.judge.decided("n1", 1, 0, "B")


@pytest.mark.parametrize("seed", [9004, 9030, 9094])
def test_blocks_that_are_forgotten_after_a_round_are_gathered_again(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 2: what memory is saved in long heights costs no network its progress."""
    for module in (consensus.core.core, laws):
        monkeypatch.setattr(module, "BLOCK_ROUNDS_KEPT", 1)
    simulate(seed)
