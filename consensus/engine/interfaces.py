"""Who talks to whom inside the engine: the driver of the core, the gossip, the pools.

The driver owns the round state and is the only one that changes it. Gossip reads it through `RoundState`, hands in
what peers sent through `Driver`, and hears of changes through `Listener`. All of it runs on the event loop;
every call here is synchronous and short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from consensus.core.events import Step, VoteKind
from consensus.engine.incoming.inbox import Charges
from consensus.formats.bits import BitArray
from consensus.state.results import ExecTxResult
from consensus.state.state import State
from consensus.types.block import Block, BlockID, BlockMeta, Commit, ExtendedCommit, PartSetHeader
from consensus.types.evidence import Evidence
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
    def bits(self) -> BitArray:
        """A bit per validator whose vote is held."""
        ...

    def bits_for(self, block_id: BlockID | None) -> BitArray:
        """Those that voted for `block_id` (None: nil)."""
        ...

    def get(self, index: int) -> Vote | None: ...

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

    def votes(self, kind: VoteKind, round: int) -> VoteView | None: ...

    @property
    def last_commit(self) -> VoteView | None:
        """Precommits of the height before, in the round that committed it; None at the initial height."""
        ...

    @property
    def last_commit_round(self) -> int:
        """-1 at the initial height."""
        ...


class Listener(Protocol):
    """Hears what changed, after it did. Order is the order of events."""

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

    def majority_seen(self, kind: VoteKind, round: int) -> None: ...

    def block_saved(self, height: int) -> None:
        """Block, results, application and state of `height` are all on disk."""
        ...


class Driver(Protocol):
    """Where peers' consensus messages enter. They are queued, written to the WAL, then take effect.

    Return values say nothing of validity: that is learned later, and costs the peer through `on_fault`.
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
    def add_listener(self, listener: Listener) -> None: ...

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


class BlockStore(Protocol):
    @property
    def base(self) -> int:
        """The lowest height kept; 0 when empty."""
        ...

    @property
    def height(self) -> int: ...
    def load_meta(self, height: int) -> BlockMeta | None: ...
    def load_block(self, height: int) -> Block | None: ...
    def load_block_bytes(self, height: int) -> bytes | None: ...
    def load_part(self, height: int, index: int) -> Part | None: ...
    def load_commit(self, height: int) -> Commit | None:
        """The canonical commit of `height`: the one in block height+1."""
        ...

    def load_seen_commit(self, height: int) -> Commit | None: ...
    def load_extended_commit(self, height: int) -> ExtendedCommit | None: ...
    def height_of_hash(self, block_hash: bytes) -> int | None: ...


class StateStore(Protocol):
    def load(self) -> State | None: ...
    def load_validators(self, height: int) -> ValidatorSet | None: ...
    def load_members(self, height: int) -> ValidatorSet | None:
        """As `load_validators`, with priorities of some height below. From any thread."""
        ...

    def load_results(self, height: int) -> tuple[ExecTxResult, ...] | None: ...


class TxPool(Protocol):
    """The mempool as block production sees it."""

    @property
    def size(self) -> int: ...

    def reap(self, *, bytes_max: int, gas_max: int) -> list[bytes]:
        """Transactions for a proposal, best first. bytes_max counts their size in proto Data; -1: no limit."""
        ...

    def update(
        self,
        height: int,
        txs: Sequence[bytes],
        results: Sequence[ExecTxResult],
        touched: frozenset[bytes] | None,
    ) -> None:
        """A block was committed: drop its transactions, recheck those that it touched (None: all)."""
        ...

    def on_available(self, callback: Callable[[], None]) -> None:
        """Call back when the pool goes from empty to not empty, and after an update that leaves it not empty."""
        ...


class EvidencePool(Protocol):
    def pending(self, bytes_max: int) -> tuple[list[Evidence], int]:
        """Evidence for a proposal and its size in proto bytes; oldest first."""
        ...

    async def judge_ahead(self, evidence: Sequence[Evidence], state: State) -> None:
        """Verify signatures of a proposed block's evidence in threads, so that `check` need not. Raises nothing."""
        ...

    def check(self, evidence: Sequence[Evidence], state: State) -> None:
        """Of a proposed block. Raises InvalidEvidence (which, why): false, expired, committed, or twice.

        EvidenceUnverifiable: a reason to vote nil, not against the block.
        """
        ...

    def update(self, state: State, evidence: Sequence[Evidence]) -> None:
        """A block was applied: mark its evidence committed, turn reported votes into evidence, prune."""
        ...

    def report_conflicting_votes(self, first: Vote, second: Vote) -> None: ...
