"""Evidence of misbehaviour that waits to be put into a block, and what was put into one.

Votes that conflict wait until their height is applied, since the evidence carries that block's time; then they become
DuplicateVoteEvidence. What peers send is verified before it is kept. Pending and committed evidence is on disk (keys:
one byte, `%016X` of the height, `/`, the hash in hex); what has expired is forgotten.
Source: engine sheet section 10; data sheet section 10; CometBFT v0.38, evidence/pool.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from consensus.engine.interfaces import BlockStore, StateStore
from consensus.types.errors import EvidenceUnverifiable, InvalidEvidence
from consensus.types.evidence import (
    DuplicateVoteEvidence,
    Evidence,
    decode_evidence,
    encode_evidence_list,
    is_expired,
    verify_evidence,
)
from consensus.types.header import Header
from consensus.types.light import SignedHeader
from consensus.types.state import State
from consensus.types.validators import ValidatorSet
from consensus.types.vote import Vote
from storage.kv import KeyValueStore, Write

COMMITTED: Final = b"\x00"
PENDING: Final = b"\x01"
PENDING_END: Final = b"\x02"
PENDING_MAX: Final = 10_000  # one equivocator can sign without end; no block takes more than some thousands
REPORTED_MAX: Final = 1_000  # conflicting votes that wait for their height
PRUNE_COMMITTED_EVERY: Final = 1_000  # heights

log = structlog.get_logger(__name__)


def evidence_key(prefix: bytes, evidence: Evidence) -> bytes:
    return prefix + b"%016X/" % evidence.height + evidence.hash.hex().upper().encode()


class _Stored:
    """What this node has stored, as verification asks for it: consensus.types.evidence.EvidenceSource."""

    def __init__(self, blocks: BlockStore, states: StateStore) -> None:
        self._blocks, self._states = blocks, states

    @property
    def latest_height(self) -> int:
        return self._blocks.height

    def header(self, height: int) -> Header | None:
        meta = self._blocks.load_meta(height)
        return None if meta is None else meta.header

    def signed_header(self, height: int) -> SignedHeader | None:
        header = self.header(height)
        commit = self._blocks.load_commit(height) or self._blocks.load_seen_commit(height)
        return None if header is None or commit is None else SignedHeader(header, commit)

    def validators(self, height: int) -> ValidatorSet | None:
        return self._states.load_validators(height)


class EvidencePool:
    """Implements consensus.engine.interfaces.EvidencePool."""

    def __init__(self, db: KeyValueStore, blocks: BlockStore, states: StateStore) -> None:
        self._db, self._source, self._states = db, _Stored(blocks, states), states
        self._state: State | None = None
        self._reported: list[tuple[Vote, Vote]] = []
        self._added: list[Callable[[Evidence], None]] = []
        self._pending: dict[bytes, Evidence] = {}  # by hash; in order of height, then hash
        for key, data in db.scan(PENDING, PENDING_END):
            evidence = decode_evidence(data)
            assert evidence_key(PENDING, evidence) == key, key
            self._pending[evidence.hash] = evidence
        self._pruned_at = 0

    @property
    def size(self) -> int:
        return len(self._pending)

    def all_pending(self) -> list[Evidence]:
        """Oldest first."""
        return sorted(self._pending.values(), key=lambda item: (item.height, item.hash))

    def knows(self, evidence: Evidence) -> bool:
        return evidence.hash in self._pending or self._is_committed(evidence)

    def on_added(self, callback: Callable[[Evidence], None]) -> None:
        """Call back with each evidence that becomes pending: for gossip."""
        self._added.append(callback)

    def _is_committed(self, evidence: Evidence) -> bool:
        return self._db.get(evidence_key(COMMITTED, evidence)) is not None

    def _current(self) -> State | None:
        """The state after the last block; None before the first."""
        if self._state is None:
            self._state = self._states.load()
        return self._state

    # ------------------------------------------------------------------------------------------- from peers

    def add(self, evidence: Evidence) -> bool:
        """Verify and keep what a peer sent. False: known already, expired, or the pool is full.

        Raises InvalidEvidence (the peer lied), EvidenceUnverifiable (we lack what is needed to judge; failure 20).
        """
        state = self._current()
        if self.knows(evidence) or state is None or not state.last_block_height:
            return False
        evidence.validate()
        if len(self._pending) >= PENDING_MAX or self._is_expired(evidence, state):
            return False
        self._verify(evidence, state)
        self._add(evidence)
        return True

    def _verify(self, evidence: Evidence, state: State) -> None:
        verify_evidence(
            evidence,
            self._source,
            chain_id=state.chain_id,
            last_height=state.last_block_height,
            last_time_ns=state.last_block_time_ns,
            params=state.params.evidence,
        )

    def _is_expired(self, evidence: Evidence, state: State) -> bool:
        return is_expired(
            evidence.height,
            evidence.timestamp_ns,
            last_height=state.last_block_height,
            last_time_ns=state.last_block_time_ns,
            params=state.params.evidence,
        )

    def _add(self, evidence: Evidence) -> None:
        self._db.write([(evidence_key(PENDING, evidence), evidence.encode_wrapped())], sync=True)
        self._pending[evidence.hash] = evidence
        log.info("kept evidence", height=evidence.height, hash=evidence.hash.hex(), kind=type(evidence).__name__)
        for callback in self._added:
            callback(evidence)

    # ------------------------------------------------------------------------------------------ for blocks

    def pending(self, bytes_max: int) -> tuple[list[Evidence], int]:
        """Oldest first, as much as fits in an EvidenceList of `bytes_max` bytes (-1: all); and its size."""
        chosen: list[Evidence] = []
        size = 0
        for evidence in self.all_pending():
            item = len(encode_evidence_list([evidence]))
            if 0 <= bytes_max < size + item:
                break
            chosen.append(evidence)
            size += item
        return chosen, size

    def check(self, evidence: Sequence[Evidence], state: State) -> None:
        """Of a proposed block. Raises InvalidEvidence (which, why); EvidenceUnverifiable when nothing else is wrong.

        The latter is of this node alone: it lacks what others, who have it, judge by.
        """
        seen: set[bytes] = set()
        unverifiable: EvidenceUnverifiable | None = None
        for index, item in enumerate(evidence):
            if item.hash in seen:
                raise InvalidEvidence(f"evidence[{index}] is in the block twice: {item.hash.hex()}")
            seen.add(item.hash)
            if self._is_committed(item):
                raise InvalidEvidence(f"evidence[{index}] was committed before: {item.hash.hex()}")
            try:
                self._check_one(item, index, state)
            except EvidenceUnverifiable as error:
                unverifiable = unverifiable or error
        if unverifiable is not None:
            raise unverifiable

    def _check_one(self, item: Evidence, index: int, state: State) -> None:
        """What is pending needs only its age checked again; not an attack, whose hash does not cover all of it."""
        known = self._pending.get(item.hash)
        is_verified = known == item and isinstance(item, DuplicateVoteEvidence)
        try:
            item.validate()
            if not is_verified or self._is_expired(item, state):
                self._verify(item, state)
        except EvidenceUnverifiable as error:
            raise EvidenceUnverifiable(f"evidence[{index}]: {error}") from error
        except ValueError as error:
            raise InvalidEvidence(f"evidence[{index}]: {error}") from error
        if known is None:
            self._add(item)  # whatever becomes of this block, the next may carry it

    def update(self, state: State, evidence: Sequence[Evidence]) -> None:
        """A block was applied: what it carries is committed, reported votes of its height become evidence."""
        current = self._state
        assert current is None or state.last_block_height >= current.last_block_height, state.last_block_height
        self._state = state
        batch: list[Write] = []
        for item in evidence:
            batch.append((evidence_key(COMMITTED, item), item.timestamp_ns.to_bytes(8, "big", signed=True)))
            batch += self._forget(item)
        for item in self.all_pending():
            if self._is_expired(item, state):
                batch += self._forget(item)
        if batch:
            self._db.write(batch, sync=True)
        self._use_reported(state)
        if state.last_block_height - self._pruned_at >= PRUNE_COMMITTED_EVERY:
            self._pruned_at = state.last_block_height
            self._prune_committed(state)

    def _forget(self, item: Evidence) -> list[Write]:
        pending = self._pending.pop(item.hash, None)
        return [] if pending is None else [(evidence_key(PENDING, pending), None)]

    def _prune_committed(self, state: State) -> None:
        """A mark is needed only as long as its evidence could be accepted again."""
        batch: list[Write] = []
        params = state.params.evidence
        for key, value in self._db.scan(COMMITTED, PENDING):
            height, time_ns = int(key[1:17], 16), int.from_bytes(value, "big", signed=True)
            if not is_expired(
                height,
                time_ns,
                last_height=state.last_block_height,
                last_time_ns=state.last_block_time_ns,
                params=params,
            ):
                break  # in order of height, and time rises with it
            batch.append((key, None))
        if batch:
            self._db.write(batch)

    # ------------------------------------------------------------------------------------- from our own engine

    def report_conflicting_votes(self, first: Vote, second: Vote) -> None:
        """Two verified votes of one validator, kind, height and round. Kept until the height is applied."""
        if len(self._reported) < REPORTED_MAX:
            self._reported.append((first, second))
        state = self._current()
        if state is not None and first.height <= state.last_block_height:
            self._use_reported(state)

    def _use_reported(self, state: State) -> None:
        later: list[tuple[Vote, Vote]] = []
        for first, second in self._reported:
            if first.height > state.last_block_height:
                later.append((first, second))
                continue
            evidence = self._from_votes(first, second)
            if evidence is not None and not self.knows(evidence) and not self._is_expired(evidence, state):
                self._add(evidence)
        self._reported = later

    def _from_votes(self, first: Vote, second: Vote) -> DuplicateVoteEvidence | None:
        """None, and a log line, when what it needs was pruned (failure 20: never an exception)."""
        header, validators = self._source.header(first.height), self._source.validators(first.height)
        if header is None or validators is None or first.validator_address not in validators:
            log.warning(
                "dropped conflicting votes: their height is not stored any more",
                height=first.height,
                validator=first.validator_address.hex(),
            )
            return None
        return DuplicateVoteEvidence.from_votes(first, second, validators=validators, time_ns=header.time_ns)
