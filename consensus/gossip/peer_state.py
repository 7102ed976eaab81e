"""What is known of one peer: where it is, and which parts and votes it holds.

Knowledge grows from what the peer says, from what it sends, and from what is sent to it; it shrinks only when the
peer says exactly what it has. Bitmaps are integers, bit i for index i; their number and length are bounded, since
peers write them.
Source: CometBFT v0.38, consensus/reactor.go (PeerState).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from consensus.channels.peer_messages import NewRoundStep, NewValidBlock, ProposalPol
from consensus.core.events import VoteKind
from consensus.formats.bits import BITS_MAX
from consensus.p2p.conn.base import Peer
from consensus.system.clock import Timer
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import Proposal, Vote

VoteSetKey: TypeAlias = tuple[int, VoteKind, int]  # height, kind, round

VOTE_SETS_MAX: Final = 128  # per peer: both kinds of 64 rounds; what is beyond is not remembered
PART_SETS_MAX: Final = 8  # per peer and height
VOTE_COPY: Final = 1  # as dear as an announcement, of which a height needs two or three: few are let be
PART_COPY: Final = 192
COPIES_MAX: Final = 256
COPIES_MANY: Final = 64
COPIES_FORGIVEN: Final = 4  # in each height
DISTANCE_HEIGHTS: Final = 3  # until a distance that both measure is what both go by
CLAIMS_MAX: Final = 128  # majorities that a peer may claim in one height


class PeerState:
    """height 0: the peer has not said where it is. wake_ns: when it is to be looked at again (0: no timer)."""

    __slots__ = (
        "_ahead",
        "_ahead_mask",
        "_copies",
        "_copies_at",
        "_copies_from",
        "_masks",
        "_votes",
        "claims",
        "has_ours",
        "header",
        "height",
        "is_ours",
        "last_commit_round",
        "number",
        "peer",
        "pol_round",
        "read_due_ns",
        "round",
        "said",
        "step",
        "timer",
        "told_ns",
        "wake_ns",
        "wants_parts",
        "word_ns",
    )

    def __init__(self, peer: Peer, *, is_ours: bool, number: int) -> None:
        self.peer, self.is_ours, self.number = peer, is_ours, number
        self.height = self.round = self.step = 0
        self.word_ns = 0  # how long its own word of what reached it elsewhere may take, after the same reached us
        self.told_ns = 0  # by when it has told what it held as it came into `height`
        self.last_commit_round = -1
        self.has_ours = False  # it was sent our proposal of its round
        self.said: PartSetHeader | None = None  # of the proposal that it sent itself
        self.pol_round = -1
        self.header: PartSetHeader | None = None  # of the parts that it gathers
        self.wants_parts = False  # it said itself which of them it lacks
        self.claims: dict[VoteSetKey, BlockID] = {}
        self.timer: Timer | None = None
        self.wake_ns = 0
        self._copies = self._copies_at = 0  # that it sent of late, as of our height `_copies_at`
        self._copies_from = 0  # our height from which on they count
        self.read_due_ns = 0  # a height that it is in is not read from disk before
        self._ahead: Proposal | None = None  # of the height after `height`, sent before it was there
        self._ahead_mask = 0  # of its parts, that were sent
        self._masks: dict[PartSetHeader, int] = {}
        self._votes: dict[VoteSetKey, int] = {}

    def sent_copy(self, height: int, weight: int) -> None:
        """It sent what we held already; height: ours; weight: VOTE_COPY or PART_COPY."""
        if height < self._copies_from:
            return
        self._copies, self._copies_at = min(self._copies_left(height) + weight, COPIES_MAX), height

    def distance_changed(self, height: int) -> None:
        """It learns about now how far we are, as we do: what it sent before, or is on its way, tells nothing of it."""
        self._copies, self._copies_from = 0, height + DISTANCE_HEIGHTS

    def sends_copies(self, height: int) -> bool:
        """Whether it did so of late, with a part, or with more than four votes a height: it is told too late."""
        return self._copies_left(height) > COPIES_MANY

    def _copies_left(self, height: int) -> int:
        return max(0, self._copies - COPIES_FORGIVEN * (height - self._copies_at))

    # -------------------------------------------------------------------------------------------- where it is

    def apply_step(self, message: NewRoundStep) -> bool:
        """Take over a later height, round or step. False: it is not later, and nothing changed."""
        height, round = message.height, message.round
        if (height, round, message.step) <= (self.height, self.round, self.step):
            return False
        is_new_height, is_new_round = height != self.height, round != self.round
        self.height, self.round, self.step = height, round, message.step
        if is_new_height or is_new_round:
            self.forget_proposal()
            self.wants_parts = False
            if is_new_height or not self.is_ours:  # ours keep the parts of earlier rounds
                self._masks.clear()
        if is_new_height:
            self.last_commit_round = message.last_commit_round
            self.claims.clear()
            self._take_over_ahead()
            # The precommits of the last height are still of use: they are its last commit now.
            self._votes = {key: mask for key, mask in self._votes.items() if key[0] >= height - 1}
        return True

    # ---------------------------------------------------------------------------------------- the height after

    def has_ahead(self, proposal: Proposal) -> bool:
        return self._ahead == proposal

    @property
    def ahead_mask(self) -> int:
        return self._ahead_mask

    def sent_ahead(self, proposal: Proposal) -> None:
        """It was sent the proposal of the height after its own, and keeps it until it is there."""
        self._ahead, self._ahead_mask = proposal, 0

    def add_ahead(self, index: int) -> None:
        """It was sent a part of that proposal's block."""
        self._ahead_mask |= 1 << index

    def _take_over_ahead(self) -> None:
        ahead, mask, self._ahead, self._ahead_mask = self._ahead, self._ahead_mask, None, 0
        if ahead is not None and (ahead.height, ahead.round) == (self.height, self.round):
            self.sent_proposal(ahead)
            self._set_mask(ahead.block_id.part_set_header, mask)

    # -------------------------------------------------------------------------------------------------- parts

    @property
    def parts_mask(self) -> int:
        """Of `header`'s parts."""
        return 0 if self.header is None else self._masks.get(self.header, 0)

    def set_header(self, header: PartSetHeader) -> None:
        self.header = header

    def forget_proposal(self) -> None:
        """Of its round it has none."""
        self.has_ours, self.said, self.pol_round, self.header = False, None, -1, None

    def sent_proposal(self, proposal: Proposal) -> None:
        """It was sent ours, so it gathers those parts unless it gathers others already."""
        self.has_ours = True
        if self.said is None:
            self._gathers(proposal)

    def set_proposal(self, proposal: Proposal) -> None:
        """It sent the proposal of its round. Of several that the proposer signed it gathers this one's parts, whatever
        it was sent by us."""
        if (proposal.height, proposal.round) != (self.height, self.round) or self.said is not None:
            return
        self.said = proposal.block_id.part_set_header
        if not self.wants_parts:
            self.header = None
        self._gathers(proposal)

    def _gathers(self, proposal: Proposal) -> None:
        self.pol_round = proposal.pol_round
        if self.header is None:
            self.header = proposal.block_id.part_set_header

    def holds_other(self, proposal: Proposal) -> bool:
        """Whether it sent another proposal of this round than ours."""
        return self.said is not None and self.said != proposal.block_id.part_set_header

    def part_came(self, height: int, round: int, header: PartSetHeader, index: int) -> None:
        """It sent a part: that it holds, and gathers its set if it did not say otherwise."""
        if height != self.height:
            return
        if round == self.round and not self.wants_parts:
            self.header = header
        self.add_part(header, index)

    def apply_valid_block(self, message: NewValidBlock) -> bool:
        """False: it is of another height, or of another round and no commit."""
        if message.height != self.height or (message.round != self.round and not message.is_commit):
            return False
        self.header, self.wants_parts = message.header, True
        self._set_mask(message.header, message.parts.mask)
        return True

    def add_parts(self, header: PartSetHeader, mask: int, *, exact: bool = False) -> None:
        """It holds these parts; exact: and no others."""
        self._set_mask(header, mask if exact else self._masks.get(header, 0) | mask)

    def add_part(self, header: PartSetHeader, index: int) -> None:
        self._set_mask(header, self._masks.get(header, 0) | 1 << index)

    def _set_mask(self, header: PartSetHeader, mask: int) -> None:
        self._masks.pop(header, None)
        self._masks[header] = mask
        if len(self._masks) > PART_SETS_MAX:
            del self._masks[next(known for known in self._masks if known != self.header)]

    # -------------------------------------------------------------------------------------------------- votes

    def votes(self, key: VoteSetKey) -> int:
        return self._votes.get(key, 0)

    def has_vote(self, vote: Vote) -> bool:
        return bool(self._votes.get((vote.height, VoteKind(vote.type), vote.round), 0) >> vote.validator_index & 1)

    def add_vote(self, key: VoteSetKey, index: int) -> None:
        """ASA-2024-011: an index is a number that a peer wrote."""
        if 0 <= index < BITS_MAX:
            self.add_votes(key, 1 << index)

    def add_votes(self, key: VoteSetKey, mask: int) -> None:
        known = self._votes.get(key)
        if known is None and not self._is_worth_keeping(key):
            return
        self._votes[key] = (known or 0) | mask

    def set_votes(self, key: VoteSetKey, mask: int) -> None:
        """It holds exactly these."""
        if key in self._votes or self._is_worth_keeping(key):
            self._votes[key] = mask

    def _is_worth_keeping(self, key: VoteSetKey) -> bool:
        return self.height - 1 <= key[0] <= self.height + 1 and len(self._votes) < VOTE_SETS_MAX

    def apply_pol(self, message: ProposalPol) -> None:
        if message.height == self.height and message.pol_round == self.pol_round:
            self.add_votes((message.height, VoteKind.PREVOTE, message.pol_round), message.votes.mask)

    def claim(self, key: VoteSetKey, block_id: BlockID) -> bool:
        """It claims +2/3 for `block_id`. False: it claimed another before, which no correct node does."""
        known = self.claims.get(key)
        if known is None and len(self.claims) < CLAIMS_MAX:
            self.claims[key] = block_id
        return known is None or known == block_id
