"""Proposals and votes: the chat machine's part of governance.

A proposal is one leaf, each vote another, so that both can be proved. Votes are of one ballot: an expedited proposal
that turned regular begins a second one, and what was cast before no longer counts. When a proposal opens, closes and
is decided is the bridge's to say: it holds the deposits and counts the stake; the functions it calls are here.
Source: Cosmos SDK v0.50, x/gov/README.md; docs/governance.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from chain.kernel.branch import Key, Readable, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some
from chain.tx.codec import height_bytes
from chain.tx.errors import UnknownProposal, VotingClosed
from chain.tx.messages.governance import (
    OPTION_NAMES,
    WHOLE,
    Action,
    Vote,
    VoteWeighted,
    WeightedOptions,
    read_actions,
    write_actions,
)
from chain.tx.messages.governance import write_options as _write_options
from proto.dchat.v1 import governance_pb2 as pb

DEPOSIT: Final = 1
VOTING: Final = 2
PASSED: Final = 3
REJECTED: Final = 4
FAILED: Final = 5
TALLYING: Final = 6
STATUS_NAMES: Final = {
    DEPOSIT: "deposit",
    VOTING: "voting",
    PASSED: "passed",
    REJECTED: "rejected",
    FAILED: "failed",
    TALLYING: "tallying",
}
DECIDED: Final = frozenset((PASSED, REJECTED, FAILED))


class Result(NamedTuple):
    """udchat of stake for each option, cut; pin_height: the block whose stake counts."""

    yes: int
    abstain: int
    no: int
    no_with_veto: int
    bonded: int
    votes: int
    pin_height: int


class Proposal(NamedTuple):
    id: int
    proposer: bytes
    title: str
    summary: str
    actions: tuple[Action, ...]
    status: int
    expedited: bool
    submit_height: int
    submit_time_ns: int
    deposit_end_time_ns: int
    voting_start_time_ns: int = 0
    voting_end_time_ns: int = 0
    ballot: int = 0
    result: Result | None = None
    failed_code: int = 0
    failed_action: int = 0
    decided_time_ns: int = 0
    votes_until_time_ns: int = 0

    def encode(self) -> bytes:
        fields = self._asdict()
        result, actions = fields.pop("result"), fields.pop("actions")
        record = pb.Proposal(**fields)
        write_actions(record.actions, actions)
        if result is not None:
            record.result.CopyFrom(pb.TallyResult(**result._asdict()))
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Proposal:
        r = pb.Proposal.FromString(stored)
        result = None
        if r.HasField("result"):
            result = Result(*[getattr(r.result, name) for name in Result._fields])
        return Proposal(
            r.id, r.proposer, r.title, r.summary, read_actions(r.actions), int(r.status), r.expedited,
            r.submit_height, r.submit_time_ns, r.deposit_end_time_ns, r.voting_start_time_ns, r.voting_end_time_ns,
            r.ballot, result, r.failed_code, r.failed_action, r.decided_time_ns, r.votes_until_time_ns,
        )  # fmt: skip


class CastVote(NamedTuple):
    options: WeightedOptions
    height: int

    def encode(self) -> bytes:
        record = pb.VoteRecord(height=self.height)
        _write_options(record.options, self.options)
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> CastVote:
        r = pb.VoteRecord.FromString(stored)
        return CastVote(tuple([(int(option.option), option.weight) for option in r.options]), r.height)


PROPOSAL: Final = Key.of(b"co", Proposal)  # ‖ number
VOTE: Final = Key.of(b"cv", CastVote)  # ‖ number ‖ ballot ‖ voter
NEXT: Final = Key.of(b"cx", bytes)  # -> 8 bytes, the next proposal's number
DECODERS: Final = decoders_of(PROPOSAL, VOTE)


def votes_prefix(number: int, ballot: int) -> Key[CastVote | None]:
    return VOTE + height_bytes(number) + bytes((ballot,))


def vote_key(number: int, ballot: int, voter: bytes) -> Key[CastVote | None]:
    return votes_prefix(number, ballot) + voter


def proposal_of(state: Readable, number: int) -> Proposal | None:
    return state.get(PROPOSAL + height_bytes(number))


def require_proposal(state: Readable, number: int) -> Proposal:
    """Raises: UnknownProposal."""
    found = proposal_of(state, number)
    if found is None:
        raise UnknownProposal(f"number {number}")
    return found


# ------------------------------------------------------------------------------ messages


def vote(ctx: Context, message: Vote) -> Leg:
    return _cast(ctx, message.voter, message.proposal_id, ((message.option, WHOLE),))


def vote_weighted(ctx: Context, message: VoteWeighted) -> Leg:
    return _cast(ctx, message.voter, message.proposal_id, message.options)


def _cast(ctx: Context, voter: bytes, number: int, options: WeightedOptions) -> Leg:
    """Whoever may sign may vote, and the last vote counts; what it weighs is found when votes are counted."""
    proposal = require_proposal(ctx.branch, number)
    if proposal.status != VOTING:
        raise VotingClosed(f"proposal {number} is in status {STATUS_NAMES[proposal.status]}")
    ctx.branch.set(vote_key(number, proposal.ballot, voter), CastVote(options, ctx.height))
    chosen = ",".join([f"{OPTION_NAMES[option]}={weight // WHOLE}.{weight % WHOLE:018d}" for option, weight in options])
    ctx.branch.emit(Event.of("proposal_vote", proposal_id=str(number), voter=account(voter), option=chosen))
    return Leg("vote", 0, voter, number)


# ------------------------------------------------------------------------------ what the bridge calls


def next_number(state: Readable) -> int:
    """Of the proposal that comes next."""
    stored = state.get(NEXT)
    return int.from_bytes(stored, "big") if stored else 1


def add_proposal(state: State, proposal: Proposal) -> None:
    """Keep a new one, under the next number."""
    assert proposal.id == next_number(state), proposal.id
    state.set(NEXT, height_bytes(proposal.id + 1))
    put_proposal(state, proposal)


def put_proposal(state: State, proposal: Proposal) -> None:
    state.set(PROPOSAL + height_bytes(proposal.id), proposal)


def delete_proposal(state: State, number: int) -> None:
    state.set(PROPOSAL + height_bytes(number), None)


def handlers() -> dict[type[Any], Handler]:
    return {Vote: vote, VoteWeighted: vote_weighted}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    following = next_number(state)
    proposals: dict[int, Proposal] = {
        int.from_bytes(key[len(PROPOSAL) :], "big"): found for key, found in scan(PROPOSAL)
    }
    wrong = [number for number, found in proposals.items() if found.id != number or number >= following]
    yield "governance: proposals lie under their number", not wrong, f"{len(proposals)} proposals, wrong: {some(wrong)}"
    strange = [
        number
        for number, found in proposals.items()
        if (found.status in DECIDED) != (found.decided_time_ns > 0)
        or (found.status != DEPOSIT) != (found.voting_end_time_ns > 0)
        or (found.status in DECIDED) != (found.result is not None)
    ]
    yield "governance: a proposal's times fit its status", not strange, f"do not: {some(strange)}"
    votes = uneven = 0
    for _, cast in scan(VOTE):
        votes += 1
        names = [option for option, _ in cast.options]
        weights = [weight for _, weight in cast.options]
        uneven += names != sorted(set(names)) or min(weights) <= 0 or sum(weights) != WHOLE
    yield "governance: each vote weighs 1", not uneven, f"{uneven} of {votes} do not"
