"""Reading governance at one saved version: proposals, votes, deposits, and how a vote stands.

Every answer is of one height. Calls are bounded: lists by their limit, a count by its units.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final, NamedTuple

from chain.chat import ballots as chat
from chain.chat.ballots import DECIDED, DEPOSIT, FAILED, PASSED, PROPOSAL, VOTING, Proposal, Result
from chain.currency.ledger.dec import ONE
from chain.kernel.branch import Base
from chain.state.roots import CHAT
from chain.tx.codec import height_bytes
from consensus.formats.units import MIB
from crypto.hash import ADDRESS_BYTES
from dchat.app.errors import Abandoned
from dchat.app.queries import Found, Queries
from governance import records
from governance.actions import governance_params_of
from governance.pinned_stake import Stake
from governance.tally import Count, Tally, Verdict, judge

PROPOSALS_SCANNED_MAX: Final = 1_000  # of one call that filters by status; it says where to go on
PROPOSALS_BYTES_MAX: Final = MIB  # of those that it looked at: some 20 ms
TALLY_UNITS: Final = 60_000  # of counting for one call: about half a second, in a thread


class Standing(NamedTuple):
    """How a proposal's vote stands. is_complete: every vote and validator is in it; verdict: by what is in it."""

    height: int
    status: int
    result: Result
    is_complete: bool
    verdict: Verdict


class GovernanceQueries:
    """height: 0 is the latest. Raises, in every call: VersionUnavailable."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def proposal(self, number: int, *, height: int = 0, with_proof: bool = False) -> Found:
        """A dchat.v1.Proposal."""
        return self._queries.get(CHAT, PROPOSAL[1:] + height_bytes(number), height=height, with_proof=with_proof)

    def held(self, number: int, *, height: int = 0) -> int:
        """The deposits that are held for it, udchat."""
        return records.held_for(self._base(height), number)

    def proposals(self, *, after: int = 0, limit: int, status: int = 0, height: int = 0) -> tuple[list[bytes], int]:
        """Encoded proposals by number, above `after`; and the number to go on after, 0 when there are no more.

        status: 0 is any.
        """
        found: list[bytes] = []
        last = size = 0
        pairs = self._queries.view(height).scan(CHAT, PROPOSAL[1:], PROPOSAL[1:] + height_bytes(after + 1))
        for scanned, (_, stored) in enumerate(pairs):
            if len(found) == limit or scanned == PROPOSALS_SCANNED_MAX or size >= PROPOSALS_BYTES_MAX:
                return found, last
            size += len(stored)
            proposal = chat.Proposal.decode(stored)
            last = proposal.id
            if status in (0, proposal.status):
                found.append(stored)
        return found, 0

    def vote(self, number: int, voter: bytes, *, height: int = 0, with_proof: bool = False) -> Found:
        """A dchat.v1.VoteRecord, of the ballot that is open or was the last."""
        view = self._queries.view(height)
        proposal = chat.proposal_of(self._queries.base_of(view), number)
        key = chat.vote_key(number, proposal.ballot if proposal is not None else 0, voter)
        return self._queries.read(view, CHAT, key[1:], with_proof=with_proof)

    def votes(self, number: int, *, after: bytes = b"", limit: int, height: int = 0) -> list[tuple[bytes, bytes]]:
        """(voter, encoded VoteRecord) by voter, above `after`."""
        base = self._base(height)
        proposal = chat.proposal_of(base, number)
        if proposal is None:
            return []
        prefix = chat.votes_prefix(number, proposal.ballot)
        return _some(base, prefix, after, limit)

    def deposits(self, number: int, *, after: bytes = b"", limit: int, height: int = 0) -> list[tuple[bytes, bytes]]:
        """(depositor, encoded Deposit) by depositor, above `after`."""
        return _some(self._base(height), records.DEPOSITS + height_bytes(number), after, limit)

    def standing(
        self, number: int, *, height: int = 0, is_wanted: Callable[[], bool] = lambda: True
    ) -> Standing | None:
        """None: no such proposal. Counts the votes as they are while voting is open: call it in a thread.

        is_wanted: asked at each step of the count. Raises Abandoned when it says no.
        """
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        proposal = chat.proposal_of(base, number)
        if proposal is None:
            return None
        params = governance_params_of(base)
        if proposal.status in DECIDED:
            assert proposal.result is not None
            verdict = judge(_tally_of(proposal, proposal.result), params, expedited=proposal.expedited)
            verdict = verdict._replace(passes=proposal.status in (PASSED, FAILED))
            return Standing(view.version, proposal.status, proposal.result, True, verdict)
        tally, is_complete = Tally(number, view.version, proposal.ballot), False
        if proposal.status == VOTING:
            tally, is_complete = _count_now(base, tally, is_wanted)
        elif proposal.status != DEPOSIT:
            tally = base.get(records.TALLY + height_bytes(number)) or tally
        verdict = judge(tally, params, expedited=proposal.expedited)
        return Standing(view.version, proposal.status, tally.result, is_complete, verdict)

    def _base(self, height: int) -> Base:
        return self._queries.base_of(self._queries.view(height))


def _some(base: Base, prefix: bytes, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    start = prefix + after + b"\x00" if after else b""
    found: list[tuple[bytes, bytes]] = []
    for key, record in base.scan(prefix, start):
        found.append((key[-ADDRESS_BYTES:], record.encode()))
        if len(found) == limit:
            break
    return found


def _count_now(base: Base, tally: Tally, is_wanted: Callable[[], bool]) -> tuple[Tally, bool]:
    deducted: defaultdict[bytes, int] = defaultdict(int)
    count = Count(tally, Stake(base.get, base.scan), base.get, base.scan, deducted)
    for _ in count.advance(TALLY_UNITS):
        if not is_wanted():
            raise Abandoned
    return count.tally, count.is_done


def _tally_of(proposal: Proposal, result: Result) -> Tally:
    """As far as whole udchat say it."""
    yes, abstain, no, no_with_veto = (amount * ONE for amount in result[:4])
    return Tally(
        proposal.id, result.pin_height, proposal.ballot, yes=yes, abstain=abstain, no=no, no_with_veto=no_with_veto,
        voted=yes + abstain + no + no_with_veto, bonded=result.bonded, votes=result.votes,
    )  # fmt: skip
