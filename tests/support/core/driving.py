"""Short names to drive a core by hand: four validators of power 1, of whom we are number 1; round r is proposed by
number r modulo 4, so round 1 is ours. Everything is at height 5 unless it says otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from consensus.core.core import Core
from consensus.core.events import (
    BlockComplete,
    BlockValidated,
    CoreConfig,
    Effect,
    Elapsed,
    Input,
    NilReason,
    Proposal,
    SetTimer,
    SignVote,
    StartHeight,
    Step,
    StepChanged,
    ValueId,
    Vote,
    VoteCounted,
    VoteKind,
)

H = 5
US = 1
CONFIG = CoreConfig(create_empty_blocks_interval_ms=0)


@dataclass(frozen=True, slots=True)
class Four:
    """A validator set whose proposers take turns."""

    powers: tuple[int, ...] = (1, 1, 1, 1)

    def proposer(self, round: int) -> int:
        return round % len(self.powers)


def start(**changes: object) -> StartHeight:
    return replace(StartHeight(H, Four(), US, commit_wait_ms=0), **changes)  # type: ignore[arg-type]


def core_after(given: Iterable[Input], *, config: CoreConfig = CONFIG, begin: StartHeight | None = None) -> Core:
    core = Core(config)
    core.handle(begin or start())
    for event in given:
        core.handle(event)
    return core


def proposal(value: ValueId, round: int = 0, pol_round: int = -1) -> Proposal:
    return Proposal(H, round, value, pol_round)


def complete(value: ValueId) -> BlockComplete:
    return BlockComplete(H, value)


def valid(value: ValueId, is_valid: bool = True) -> BlockValidated:
    return BlockValidated(H, value, is_valid)


def prevote(index: int, value: ValueId | None, round: int = 0, peer: str | None = None) -> Vote:
    return Vote(VoteKind.PREVOTE, H, round, value, index, _peer(index) if peer is None else peer)


def precommit(index: int, value: ValueId | None, round: int = 0, peer: str | None = None) -> Vote:
    return Vote(VoteKind.PRECOMMIT, H, round, value, index, _peer(index) if peer is None else peer)


def _peer(index: int) -> str:
    return "" if index == US else f"p{index}"


def prevotes(value: ValueId | None, round: int = 0, by: tuple[int, ...] = (0, 1, 2)) -> list[Input]:
    return [prevote(index, value, round) for index in by]


def precommits(value: ValueId | None, round: int = 0, by: tuple[int, ...] = (0, 1, 2)) -> list[Input]:
    return [precommit(index, value, round) for index in by]


def block(value: ValueId) -> list[Input]:
    """The block is here and found valid."""
    return [complete(value), valid(value)]


def proposed(value: ValueId, round: int = 0, pol_round: int = -1) -> list[Input]:
    """A proposal and its block, found valid."""
    return [proposal(value, round, pol_round), *block(value)]


def locked(value: ValueId = "A") -> list[Input]:
    """We lock `value` in round 0 and precommit it; two others precommitted nil, so that round 1 is near."""
    return [*proposed(value), *prevotes(value), precommit(US, value), precommit(2, None), precommit(3, None)]


def to_round(round: int) -> list[Input]:
    """Two others are there already (line 55)."""
    return [prevote(2, None, round), prevote(3, None, round)]


def elapsed(step: Step, round: int = 0) -> Elapsed:
    return Elapsed(step, H, round)


def at(step: Step, round: int = 0) -> StepChanged:
    return StepChanged(H, round, step)


def timer(step: Step, after_ms: int, round: int = 0) -> SetTimer:
    return SetTimer(step, H, round, after_ms)


def sign_prevote(value: ValueId | None, reason: NilReason | None = None, round: int = 0) -> SignVote:
    return SignVote(VoteKind.PREVOTE, H, round, value, reason)


def sign_precommit(value: ValueId | None, reason: NilReason | None = None, round: int = 0) -> SignVote:
    return SignVote(VoteKind.PRECOMMIT, H, round, value, reason)


def uncounted(effects: Iterable[Effect]) -> list[Effect]:
    """Without the news that a vote counts."""
    return [effect for effect in effects if not isinstance(effect, VoteCounted)]
