"""Who talks to whom inside the engine: the driver of the core, and the gossip.

The driver owns the round state and is the only one that changes it. Gossip reads it through `RoundState`, hands in
what peers sent through `Driver`, and hears of changes through `RoundListener` and `SavedListener`. All of it runs on
the event loop; every call here is synchronous and short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from consensus.abci.interface import HaltRequested
from consensus.core.events import Elapsed, Step, VoteKind
from consensus.engine.incoming.inbox import Charges
from consensus.formats.bits import BitArray
from consensus.state.state import State
from consensus.types.block import Block, BlockID, Commit, PartSetHeader
from consensus.types.parts import Part, PartSet
from consensus.types.validators import ValidatorSet
from consensus.types.vote import Proposal, Vote


class VoteView(Protocol):
    """The votes of one kind and round that this node holds."""

    @property
    def size(self) -> int:
        """Validators in the set."""
        ...

    @property
    def mask(self) -> int:
        """A bit per validator whose vote is held."""
        ...

    @property
    def power(self) -> int:
        """Of these validators."""
        ...

    @property
    def bits(self) -> BitArray:
        """`mask`, as the wire has it."""
        ...

    def bits_for(self, block_id: BlockID | None) -> BitArray:
        """Those that voted for `block_id` (None: nil)."""
        ...

    def get(self, index: int) -> Vote | None:
        """The vote to hand on: of one who signed several, the one for the majority, else the first."""
        ...

    @property
    def has_majority(self) -> bool:
        """+2/3 for one value; then `majority` is it."""
        ...

    @property
    def majority(self) -> BlockID | None: ...


class RoundState(Protocol):
    """What gossip, doors and metrics may read of the running height. Always current, never a copy."""

    @property
    def height(self) -> int: ...
    @property
    def round(self) -> int: ...
    @property
    def step(self) -> Step: ...
    @property
    def wire_step(self) -> int:
        """CometBFT's 1 to 8, rising within a round (docs/core-to-wire.md)."""
        ...

    @property
    def start_time_ns(self) -> int:
        """When the height's first round starts or started."""
        ...

    @property
    def validators(self) -> ValidatorSet: ...
    @property
    def proposer_address(self) -> bytes:
        """Of the current round."""
        ...

    @property
    def proposal(self) -> Proposal | None:
        """Of the current round."""
        ...

    @property
    def parts(self) -> PartSet | None:
        """The part set that is being gathered, or is complete, for the current round."""
        ...

    @property
    def commit_round(self) -> int:
        """The round that decided, while the decided block is gathered; else -1."""
        ...

    def votes(self, kind: VoteKind, round: int) -> VoteView | None:
        """None: nobody voted there."""
        ...

    @property
    def last_commit(self) -> VoteView | None:
        """Precommits of the height before, in the round that committed it; None at the initial height."""
        ...

    @property
    def last_commit_round(self) -> int:
        """-1 at the initial height."""
        ...


class RoundListener(Protocol):
    """Hears what changed in the running height, after it did. Order is the order of events."""

    def step_changed(self) -> None:
        """RoundState has a new height, round or step."""
        ...

    def proposal_set(self, proposal: Proposal) -> None:
        """A proposal of the current round is held: ours (then its parts are complete) or a peer's."""
        ...

    def part_set_opened(self, header: PartSetHeader, *, is_commit: bool) -> None:
        """Parts of a block with a majority, which we lack, are wanted: NewValidBlock."""
        ...

    def valid_block_set(self, block_id: BlockID, *, is_commit: bool) -> None:
        """A polka (or +2/3 precommits) for a block that we hold complete: NewValidBlock."""
        ...

    def part_added(self, height: int, round: int, index: int) -> None: ...

    def vote_added(self, vote: Vote) -> None:
        """Counted: of this height, or a precommit of the last."""
        ...

    def timed_out(self, elapsed: Elapsed) -> None:
        """A time-out is taken, before what follows from it; it may be of a step that was left."""
        ...


@dataclass(frozen=True, slots=True)
class SavedBlock:
    """A block that is on disk, with results, application and state, as the driver held it: nobody need read it again.

    commit: as this node saw it. state: after the block.
    """

    block: Block
    commit: Commit
    state: State

    @property
    def height(self) -> int:
        return self.block.height


class SavedListener(Protocol):
    """Hears of each block once it is saved."""

    def block_saved(self, saved: SavedBlock) -> None: ...


@dataclass(frozen=True, slots=True)
class Alarms:
    """Whom the driver tells of what it does not mend itself."""

    fatal: Callable[[int, str], None]  # it cannot go on: the process's exit code and last line
    fault: Callable[[str, str], None] = lambda peer_id, reason: None  # a peer broke the protocol
    halt: Callable[[HaltRequested], None] = lambda halt: None  # the application wants no more blocks


class Driver(Protocol):
    """Where peers' consensus messages enter. They are queued, written to the WAL, then take effect.

    Return values say nothing of validity: that is learned later, and costs the peer through `Alarms.fault`.
    """

    @property
    def round_state(self) -> RoundState: ...
    @property
    def state(self) -> State:
        """The last saved one."""
        ...

    def add_proposal(self, proposal: Proposal, peer_id: str) -> None: ...
    def add_part(self, height: int, round: int, part: Part, peer_id: str) -> None: ...
    def add_vote(self, vote: Vote, peer_id: str, *, first: bool = True) -> None:
        """first: it names a known validator, so it goes before parts, claims and what is not."""
        ...

    def add_peer_majority(
        self, kind: VoteKind, height: int, round: int, block_id: BlockID | None, peer_id: str
    ) -> None: ...
    def add_round_listener(self, listener: RoundListener) -> None: ...
    def add_saved_listener(self, listener: SavedListener) -> None: ...

    def has_room(self, peer_id: str) -> bool:
        """Whether this peer's queue takes one more message now; beyond it they are dropped and counted."""
        ...

    def charge_peers(self, charges: Charges) -> None:
        """Tell `charges` from now on what peers' messages cost and were worth."""
        ...

    def peer_left(self, peer_id: str) -> None:
        """Forget what waits of it and what it claimed; others bring again what it leaves behind."""
        ...

    def apply_synced_block(self, block: Block, block_id: BlockID, parts: PartSet, commit: Commit) -> object:
        """An awaitable: save and apply a block that its commit proves, outside of consensus (block sync).

        Only while the driver is not running a height (`start` not yet called). Raises InvalidBlock.
        """
        ...
