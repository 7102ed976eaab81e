"""The running height as gossip, doors and metrics read it. Only the driver writes it.

CometBFT's steps are the core's, but for 5 (PrevoteWait): the core stays in PREVOTE there, and the wire must say 5,
rising, so that a CometBFT peer goes on sending prevotes. 7 is never a state's step.
Source: CometBFT v0.38, consensus/types/round_state.go.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from consensus.core.core import BLOCK_ROUNDS_KEPT, BlockState, Core
from consensus.core.events import Step, VoteKind
from consensus.core.votes import VoteSet
from consensus.engine.votes import RoundVotes
from consensus.formats.errors import InvalidData
from consensus.types.block import Block, BlockBounds
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PartSet
from consensus.types.validators import EMPTY_SET, ValidatorSet
from consensus.types.vote import Proposal

PREVOTE_WAIT_WIRE_STEP: Final = 5
INLINE_BYTES_MAX: Final = 262_144  # a block of payments of this size is decoded in 1 ms, larger ones in a thread
HELD: Final = frozenset((BlockState.COMPLETE, BlockState.VALIDATING, BlockState.VALID, BlockState.WITHHELD))

log = structlog.get_logger(__name__)


class HeightState:
    """Satisfies RoundState. tally: the core's votes of a kind and round."""

    def __init__(self, tally: Callable[[VoteKind, int], VoteSet]) -> None:
        self._tally = tally
        self._views: dict[tuple[VoteKind, int], RoundVotes] = {}  # of the sets in the tally that have votes
        self.height = 0
        self.round = 0
        self.step = Step.NEW_HEIGHT
        self.wire_step = int(Step.NEW_HEIGHT)
        self.start_time_ns = 0
        self.commit_round = -1
        self.validators: ValidatorSet = EMPTY_SET
        self.last_commit: RoundVotes | None = None
        self.last_commit_round = -1
        self.proposals: dict[int, Proposal] = {}
        self.gathering: dict[int, PartSetHeader] = {}  # by round: what +2/3 prevoted and we lacked
        self.commit_header: PartSetHeader | None = None  # what +2/3 precommitted
        self.part_sets: dict[PartSetHeader, PartSet] = {}
        self.block_ids: dict[PartSetHeader, list[BlockID]] = {}  # a liar can name several over the same parts
        self.blocks: dict[BlockID, Block | None] = {}  # complete ones; None: no block, or not the one of its id
        self._hashes: dict[PartSetHeader, bytes] = {}  # of the header that a complete set holds; empty: none
        self._decoded: dict[PartSetHeader, Block | None] = {}  # of complete sets, decoded once
        self._decoding: set[PartSetHeader] = set()  # in a thread
        self.decode_aside: Callable[[PartSetHeader, Callable[[], Block | None]], bool] = lambda header, decode: False
        self._bounds = BlockBounds(0, 0)

    def start(self, height: int, validators: ValidatorSet, last_commit: RoundVotes | None, bounds: BlockBounds) -> None:
        """Drop the height before. bounds: what a block of this one may hold."""
        self.height, self.round = height, 0
        self.step, self.wire_step = Step.NEW_HEIGHT, int(Step.NEW_HEIGHT)
        self.commit_round, self.commit_header = -1, None
        self.validators = validators
        self.last_commit = last_commit
        self.last_commit_round = -1 if last_commit is None else last_commit.round
        self.proposals, self.gathering, self.part_sets, self.block_ids = {}, {}, {}, {}
        self.blocks, self._decoded, self._views = {}, {}, {}
        self._hashes, self._bounds = {}, bounds
        self._decoding.clear()

    def enter(self, round: int, step: Step) -> None:
        self.round, self.step, self.wire_step = round, step, int(step)

    @property
    def proposer_address(self) -> bytes:
        return self.validators.proposer_of(self.round).address if len(self.validators) else b""

    @property
    def proposal(self) -> Proposal | None:
        return self.proposals.get(self.round)

    @property
    def parts(self) -> PartSet | None:
        """What +2/3 want comes first: a proposal for another block does not replace it."""
        wanted = self.commit_header or self.gathering.get(self.round)
        if wanted is None:
            proposal = self.proposals.get(self.round)
            wanted = None if proposal is None else proposal.block_id.part_set_header
        return None if wanted is None else self.part_sets.get(wanted)

    def open_parts(self, block_id: BlockID, bytes_max: int) -> PartSet:
        """The part set of `block_id`, begun if need be. Other block ids may share it: `complete` answers for all."""
        header = block_id.part_set_header
        ids = self.block_ids.setdefault(header, [])
        if block_id not in ids:
            ids.append(block_id)
        parts = self.part_sets.get(header)
        if parts is None:
            parts = self.part_sets[header] = PartSet(header, bytes_max=bytes_max)
        return parts

    def hold(self, block: Block) -> PartSetHeader:
        """Take in a block of our own, complete from the beginning."""
        block_id, parts = block.block_id, block.part_set()
        header = parts.header
        self.open_parts(block_id, parts.bytes_max)
        self.part_sets[header], self._decoded[header], self.blocks[block_id] = parts, block, block
        self._hashes[header] = block.hash
        return header

    def complete(self, header: PartSetHeader) -> tuple[BlockID, ...]:
        """The block ids over these parts that can be judged from now on, since all parts are here: see `blocks`.

        Each is told once, whatever comes first: the parts, or one or the other id. A large block's own id is told once
        it was decoded aside (`decoded`): then this is asked again.
        """
        parts = self.part_sets.get(header)
        waiting = tuple(block_id for block_id in self.block_ids.get(header, ()) if block_id not in self.blocks)
        if parts is None or not parts.is_complete or not waiting:
            return ()
        if header not in self._hashes:
            self._hashes[header] = _header_hash(parts, self.height)
        told = []
        for block_id in waiting:
            is_this = self._hashes[header] == block_id.hash
            if is_this and not self._is_decoded(header, parts):
                continue
            self.blocks[block_id] = self._decoded[header] if is_this else None
            told.append(block_id)
        return tuple(told)

    def _is_decoded(self, header: PartSetHeader, parts: PartSet) -> bool:
        """Whether it is, now; False: it will be, in a thread."""
        if header in self._decoded:
            return True
        if header in self._decoding:
            return False
        decode = partial(_decoded, parts, self.height, self._bounds)
        if parts.byte_size > INLINE_BYTES_MAX and self.decode_aside(header, decode):
            self._decoding.add(header)
            return False
        self._decoded[header] = decode()
        return True

    def is_reading(self, header: PartSetHeader) -> bool:
        """Whether all of it is here, and being decoded in a thread."""
        return header in self._decoding

    def decoded(self, header: PartSetHeader, block: Block | None) -> None:
        """What `decode_aside` was asked for; the set may be forgotten since."""
        self._decoding.discard(header)
        if header in self.part_sets:
            self._decoded[header] = block

    def forget_blocks(self, state_of: Callable[[BlockID], BlockState]) -> None:
        """A round begins: what the core forgot is told anew when it is complete again; drop parts of rounds long past.

        Else a height that takes hundreds of rounds holds a block of each.
        """
        self.blocks = {block_id: block for block_id, block in self.blocks.items() if state_of(block_id) in HELD}
        since = self.round - BLOCK_ROUNDS_KEPT
        wanted = {block_id.part_set_header for block_id in self.blocks}
        wanted.update(said.block_id.part_set_header for round, said in self.proposals.items() if round > since)
        wanted.update(header for round, header in self.gathering.items() if round > since)
        for header in [header for header in self.part_sets if header not in wanted and header != self.commit_header]:
            del self.part_sets[header]
            self.block_ids.pop(header, None)
            self._decoded.pop(header, None)
            self._hashes.pop(header, None)

    def votes(self, kind: VoteKind, round: int) -> RoundVotes | None:
        found = self._views.get((kind, round))
        if found is None and (tally := self._tally(kind, round)).bitmap:
            found = self._views[kind, round] = RoundVotes(tally, round)
        return found


def times_judged(core: Core, state: HeightState) -> list[int]:
    """Times of the proposed, locked and valid blocks, where they were found valid: a next block may build on them."""
    proposal = state.proposal
    values = (proposal and proposal.block_id, core.locked_value, core.valid_value)
    judged = [value for value in values if isinstance(value, BlockID) and core.block_state(value) is BlockState.VALID]
    return [block.header.time_ns for value in judged if (block := state.blocks.get(value)) is not None]


def _header_hash(parts: PartSet, height: int) -> bytes:
    """Of the header of `height` that the parts begin with: what names another block is not read any further."""
    try:
        header = Block.decode_header(parts.to_bytes())
    except InvalidData as error:
        log.warning("gathered parts that are no block", height=height, why=str(error))
        return b""
    return header.hash if header.height == height else b""


def _decoded(parts: PartSet, height: int, bounds: BlockBounds) -> Block | None:
    """The block that the parts hold; None when they hold none, or more than a block of `height` may."""
    try:
        block = Block.decode(parts.to_bytes(), bounds=bounds)
    except InvalidData as error:
        log.warning("gathered parts that are no block", height=height, why=str(error))
        return None
    return block if block.hash else None  # none: it lacks its last commit
