"""Evidence of misbehaviour that waits to be put into a block, and what was put into one.

Votes that conflict wait until their height is applied, since the evidence carries that block's time; then they become
DuplicateVoteEvidence. What peers send is judged before anything of it is kept. An offence is kept and proposed once,
for ever: of one validator, height, round and type there is one piece, whatever unsigned fields a copy has, and a height
that evidence has once been too old for stays too old, also when the parameters allow for more later (`floor`). No key
fills the pool. CometBFT's pool has a piece for each pair of votes, and its proposals tell an offence again: such a
proposal is voted for.

On disk: pending and committed evidence (one byte, `%016X` of the height, `/`, the hash in hex), marks of committed
offences, the floor. What is not above the floor is forgotten. It is written on the loop and synced with each block
(`sync`): what a stop without notice takes of the pending, peers or the log's votes bring again.
Source: CometBFT v0.38, spec/consensus/evidence.md, evidence/pool.go; tendermint/spec#116, cosmos-sdk#5532.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

import structlog

from consensus.abci.interface import Slices
from consensus.formats.errors import EvidenceUnverifiable, EvidenceUnwanted, InvalidData, InvalidEvidence
from consensus.formats.wire import parse
from consensus.state.state import State
from consensus.stores.interfaces import BlockStore, StateStore
from consensus.stores.reading import Records
from consensus.system.clock import InlineWorkers, Workers
from consensus.system.log_limit import LogLimit
from consensus.types.evidence import (
    DuplicateVoteEvidence,
    Evidence,
    claims,
    decode_evidence,
    encode_evidence_list,
    evidence_from_proto,
    is_expired,
    verify_evidence,
)
from consensus.types.header import Header
from consensus.types.light import SignedHeader
from consensus.types.validators import ValidatorSet
from consensus.types.vote import Vote
from crypto.batch import Check, SignatureCache, verify_many
from crypto.hash import sha256
from proto.tendermint.types import evidence_pb2 as pb
from storage.kv import KeyValueStore, Write

COMMITTED: Final = b"\x00"
PENDING: Final = b"\x01"
PENDING_END: Final = b"\x02"
OFFENCE: Final = b"\x03"  # of committed evidence
FLOOR_KEY: Final = b"\x04"
PENDING_MAX: Final = 1_000
PER_VALIDATOR_MAX: Final = 10  # that wait, and in a block: a key can sign without end, an old one for free
REPORTED_MAX: Final = 1_000  # conflicting votes that wait for their height
ITEMS_PER_JOB: Final = 16  # of a block's evidence, at once: 32 signatures in a thread, 2 ms; then their reads, 1 ms
ACCUSED_PER_ITEM: Final = 64  # an attack that accuses so many counts for two of these
PRUNE_COMMITTED_EVERY: Final = 1_000  # heights

T = TypeVar("T")


class Run(Protocol):
    """consensus.system.clock.Workers.run, or one that keeps the bill."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


log = structlog.get_logger(__name__)


def evidence_key(prefix: bytes, evidence: Evidence) -> bytes:
    return prefix + b"%016X/" % evidence.height + evidence.hash.hex().upper().encode()


def offence_key(evidence: Evidence) -> bytes:
    return OFFENCE + b"%016X/" % evidence.height + sha256(evidence.offence).hex().upper().encode()


def within_shares(evidence: Sequence[Evidence]) -> Sequence[Evidence]:
    """Up to the first that is one too many of a validator."""
    told: Counter[bytes] = Counter()
    for index, item in enumerate(evidence):
        if is_one_too_many(item.accused, told):
            return evidence[:index]
    return evidence


def is_one_too_many(accused: Sequence[bytes], told: Counter[bytes]) -> bool:
    """Of any of its validators, behind what is told in a block; that is counted up."""
    told.update(accused)
    return max(map(told.__getitem__, accused), default=0) > PER_VALIDATOR_MAX


def committed_keys(evidence: Evidence) -> tuple[bytes, bytes]:
    """The marks of evidence that is in a block."""
    return evidence_key(COMMITTED, evidence), offence_key(evidence)


def _prepared(message: pb.Evidence) -> Evidence:
    """Decoded, and what is asked of it later computed and kept. For a thread."""
    evidence = evidence_from_proto(message)
    evidence.encode()
    if isinstance(evidence, DuplicateVoteEvidence):
        _ = evidence.hash
    return evidence


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
        return self._states.load_members(height)


class EvidencePool:
    """Implements consensus.engine.interfaces.EvidencePool. signatures: those that passed, shared with the votes'."""

    def __init__(
        self,
        db: KeyValueStore,
        blocks: BlockStore,
        states: StateStore,
        *,
        workers: Workers | None = None,
        signatures: SignatureCache | None = None,
    ) -> None:
        self._db, self._source, self._states = db, _Stored(blocks, states), states
        self._workers = workers or InlineWorkers()
        self.signatures = signatures or SignatureCache()
        self._limited = LogLimit(log, source_name="validator")
        self._state: State | None = None
        self._reported: dict[bytes, tuple[Vote, Vote]] = {}  # by offence
        self._added: list[Callable[[Sequence[Evidence]], None]] = []
        self._pending: dict[bytes, Evidence] = {}  # by hash
        self._by_offence: dict[bytes, bytes] = {}  # of the pending: the hash
        self._by_validator: Counter[bytes] = Counter()  # of the pending
        self._ordered: list[Evidence] | None = None  # the pending, oldest first; None: to be sorted again
        self._floor = int.from_bytes(db.get(FLOOR_KEY) or b"", "big")
        records = Records(db)
        for key, data in db.scan(PENDING, PENDING_END):
            evidence = records.decoded(
                key, data, "pending evidence", decode_evidence, lambda one: bool(evidence_key(PENDING, one))
            )
            if evidence_key(PENDING, evidence) != key:
                raise records.wrong(key, "pending evidence", "it is another one's")
            self._remember(evidence)
        self._pruned_at = 0
        self._is_unsynced = False

    @property
    def size(self) -> int:
        return len(self._pending)

    @property
    def floor(self) -> int:
        """Evidence of this height or below was too old once: it never counts again."""
        return self._floor

    def all_pending(self) -> list[Evidence]:
        """Oldest first. Do not change it."""
        if self._ordered is None:
            self._ordered = sorted(self._pending.values(), key=lambda item: (item.height, item.hash))
        return self._ordered

    def is_pending(self, evidence: Evidence) -> bool:
        return evidence.offence in self._by_offence

    def knows(self, evidence: Evidence) -> bool:
        """This offence waits, or is in a block: in whatever form."""
        return self.is_pending(evidence) or self._is_committed(evidence)

    def on_added(self, callback: Callable[[Sequence[Evidence]], None]) -> None:
        """Call back with what becomes pending at once: for gossip."""
        self._added.append(callback)

    def _is_committed(self, evidence: Evidence) -> bool:
        return any(self._db.get(key) is not None for key in committed_keys(evidence))

    def _current(self) -> State | None:
        """The state after the last block; None before the first."""
        if self._state is None:
            self._state = self._states.load()
        return self._state

    # ------------------------------------------------------------------------------------------- from peers

    def add(self, evidence: Evidence) -> bool:
        """Verify and keep what a peer sent. False: known already, too old, no use for it, or no room.

        Raises InvalidEvidence (the peer lied), EvidenceUnverifiable (we lack what is needed to judge; failure 20).
        """
        state = self._current()
        if state is None or not self._is_wanted(evidence, state):
            return False
        return self._keep([self._judge(evidence, state, self.signatures.verify_many)])

    async def decode_aside(self, message: pb.Evidence, run: Run) -> Evidence:
        """Decode one piece by `run`, in a thread: of what is large, or comes from nobody we know.

        Raises, before more than its height and time are read, EvidenceUnwanted (too old), EvidenceUnverifiable (above
        the last block, or what would tell is pruned), InvalidEvidence (no height, another time than its block's).
        ValueError (InvalidData, or a key that is none): it is no evidence.
        """
        height, time_ns = claims(message)
        if height <= 0:
            raise InvalidEvidence(f"evidence is of height {height}")
        if height <= self._floor:
            raise EvidenceUnwanted(f"evidence of height {height} was too old at an earlier block already")
        header = self._source.header(height)
        if header is None:
            raise EvidenceUnverifiable(f"evidence is of height {height}, whose header is not stored here")
        if time_ns != header.time_ns:
            raise InvalidEvidence(f"evidence's time is {time_ns}, block {height}'s is {header.time_ns}")
        return await run(partial(_prepared, message))

    async def add_aside(self, evidence: Evidence, run: Run) -> bool:
        """As `add`, of what `decode_aside` gave, verified by `run`."""
        state = self._current()
        if state is None or not self._is_wanted(evidence, state):
            return False
        return self._keep([await run(partial(self._judge, evidence, state, verify_many))])

    async def add_encoded(self, data: bytes, run: Run) -> tuple[Evidence, bool]:
        """Decode one piece and add it, by `run`. Whether it is new. Raises as `decode_aside` and `add`."""
        message = await run(partial(parse, pb.Evidence, data, bytes_max=len(data), what="evidence"))
        evidence = await self.decode_aside(message, run)
        return evidence, await self.add_aside(evidence, run)

    def _is_wanted(self, evidence: Evidence, state: State) -> bool:
        """Asked before anything costly: one that is not is neither verified nor remembered."""
        return (
            state.last_block_height > 0
            and evidence.height > self._floor
            and not self._is_expired(evidence, state)
            and self._has_room(evidence)
            and len(encode_evidence_list([evidence])) <= state.params.evidence.max_bytes
            and not self.knows(evidence)
        )

    def _has_room(self, evidence: Evidence) -> bool:
        most = max((self._by_validator[address] for address in evidence.accused), default=0)
        return len(self._pending) < PENDING_MAX and most < PER_VALIDATOR_MAX

    def _judge(self, evidence: Evidence, state: State, verifier: Callable[[Sequence[Check]], list[bool]]) -> Evidence:
        """The evidence in its one form. Reads what is stored, changes nothing; from any thread. Raises as `add`."""
        evidence.validate()
        validators = self._source.validators(evidence.height)
        canonical = evidence if validators is None else evidence.canonical(validators)
        self._verify(canonical, state, verifier)
        return canonical

    def _verify(self, evidence: Evidence, state: State, verifier: Callable[[Sequence[Check]], list[bool]]) -> None:
        verify_evidence(
            evidence,
            self._source,
            chain_id=state.chain_id,
            last_height=state.last_block_height,
            last_time_ns=state.last_block_time_ns,
            params=state.params.evidence,
            verifier=verifier,
        )

    def _is_expired(self, evidence: Evidence, state: State) -> bool:
        return self._is_too_old(evidence.height, evidence.timestamp_ns, state)

    @staticmethod
    def _is_too_old(height: int, time_ns: int, state: State) -> bool:
        return is_expired(
            height,
            time_ns,
            last_height=state.last_block_height,
            last_time_ns=state.last_block_time_ns,
            params=state.params.evidence,
        )

    def _keep(self, evidence: Iterable[Evidence]) -> bool:
        """All in one write. False: nothing is new; its place is taken, perhaps while it was judged."""
        kept: list[Evidence] = []
        for item in evidence:
            if self._has_room(item) and not self.knows(item):
                self._remember(item)
                kept.append(item)
        if not kept:
            return False
        self._write([(evidence_key(PENDING, item), item.encode_wrapped()) for item in kept])
        for item in kept:
            accused = item.accused[0].hex() if item.accused else "unknown"
            self._limited.info(
                "kept evidence", accused, height=item.height, hash=item.hash.hex(), kind=type(item).__name__
            )
        for callback in self._added:
            callback(kept)
        return True

    def _write(self, batch: Sequence[Write]) -> None:
        self._db.write(batch)
        self._is_unsynced = True

    def sync(self) -> None:
        """What was written is on disk, before the state that goes with it is. From any thread."""
        if self._is_unsynced:
            self._is_unsynced = False
            self._db.write([], sync=True)

    def _remember(self, evidence: Evidence) -> None:
        self._pending[evidence.hash] = evidence
        self._by_offence[evidence.offence] = evidence.hash
        self._by_validator.update(evidence.accused)
        self._ordered = None

    # ------------------------------------------------------------------------------------------ for blocks

    def pending(self, bytes_max: int) -> tuple[list[Evidence], int]:
        """As much as fits in an EvidenceList of `bytes_max` bytes (below 0: all), and its size; never more.

        In turn of the accused, of each the oldest first; what does not fit is passed over.
        """
        chosen: list[Evidence] = []
        size = 0
        turns: Counter[bytes] = Counter()
        ranked: list[tuple[int, Evidence]] = []
        for evidence in self.all_pending():
            first = evidence.accused[0] if evidence.accused else b""
            ranked.append((turns[first], evidence))
            turns[first] += 1
        for _, evidence in sorted(ranked, key=lambda entry: entry[0]):
            item = len(encode_evidence_list([evidence]))
            if not 0 <= bytes_max < size + item:
                chosen.append(evidence)
                size += item
        return chosen, size

    async def judge_ahead(self, evidence: Sequence[Evidence], state: State) -> None:
        """Verify signatures of a proposed block's evidence in threads, so that `check` need not. Raises nothing."""
        wanted = await self._workers.run(partial(within_shares, evidence))
        fresh = [item for item in wanted if item.hash not in self._pending]
        for start in range(0, len(fresh), ITEMS_PER_JOB):
            for check in await self._workers.run(self._signature_job(fresh[start : start + ITEMS_PER_JOB], state)):
                self.signatures.add(check)

    def _signature_job(self, evidence: Sequence[Evidence], state: State) -> Callable[[], list[Check]]:
        """Work for a thread: the signature checks of `evidence` that pass."""

        def work() -> list[Check]:
            passed: list[Check] = []

            def verify(checks: Sequence[Check]) -> list[bool]:
                answers = verify_many(checks)
                passed.extend(check for check, good in zip(checks, answers, strict=True) if good)
                return answers

            for item in evidence:
                try:
                    item.validate()
                    self._verify(item, state, verify)
                except (InvalidData, EvidenceUnverifiable):
                    break  # `check` says so, at this item
            return passed

        return work

    def check(self, evidence: Sequence[Evidence], state: State) -> Slices[None]:
        """Of a proposed block, in slices: each piece is read for. Raises InvalidEvidence (which, why).

        EvidenceUnverifiable: it cannot be judged here. EvidenceUnwanted: CometBFT's rules allow it, and it tells an
        offence in more bytes than needed, or more of one validator than an honest proposer of ours has: a megabyte of
        every block would be its for nothing. Neither makes a block invalid: they are reasons to vote nil. What tells an
        offence again is in its validator's share, and the application counts it once.
        """
        hashes: set[bytes] = set()
        good: list[Evidence] = []
        told: Counter[bytes] = Counter()
        turn = 0
        try:
            for index, item in enumerate(evidence):
                accused = item.accused
                if turn >= ITEMS_PER_JOB:
                    turn = 0
                    yield
                turn += 1 + len(accused) // ACCUSED_PER_ITEM
                if is_one_too_many(accused, told):
                    raise EvidenceUnwanted(f"evidence[{index}] is one too many of its validator in a block")
                if item.hash in hashes:
                    raise InvalidEvidence(f"evidence[{index}] is in the block twice: {item.hash.hex()}")
                hashes.add(item.hash)
                if self._db.get(evidence_key(COMMITTED, item)) is not None:
                    raise InvalidEvidence(f"evidence[{index}] was committed before: {item.hash.hex()}")
                self._check_one(item, index, state)
                good.append(item)
        except GeneratorExit:
            good.clear()  # another block was decided meanwhile
            raise
        finally:
            self._keep(good)  # whatever becomes of this block, the next may carry it

    def _check_one(self, item: Evidence, index: int, state: State) -> None:
        """What is pending needs only its age checked again; not an attack, whose hash does not cover all of it."""
        known = self._pending.get(item.hash)
        is_verified = known == item and isinstance(item, DuplicateVoteEvidence)
        try:
            item.validate()
            if not is_verified or self._is_expired(item, state):
                self._verify(item, state, self.signatures.verify_many)
            self._check_form(item, state)
        except EvidenceUnwanted:
            raise
        except EvidenceUnverifiable as error:
            raise EvidenceUnverifiable(f"evidence[{index}]: {error}") from error
        except ValueError as error:
            raise InvalidEvidence(f"evidence[{index}]: {error}") from error

    def _check_form(self, item: Evidence, state: State) -> None:
        """The fields that no signature covers. Raises EvidenceUnwanted."""
        if item.height <= self._floor:
            raise EvidenceUnwanted(f"evidence of height {item.height} was too old at an earlier block already")
        validators = self._source.validators(item.height)
        if validators is None:  # pruned since it was verified
            raise EvidenceUnverifiable(f"the validators of height {item.height} are not stored here")
        if not isinstance(item, DuplicateVoteEvidence) or item == item.canonical(validators):
            return
        key = validators.pub_keys[validators.index_of(item.vote_a.validator_address) or 0]
        for vote in (item.vote_a, item.vote_b):
            if validators.index_of(vote.validator_address) != vote.validator_index:
                raise EvidenceUnwanted(f"a vote's index is {vote.validator_index}, not its validator's")
            if (vote.extension or vote.extension_signature) and not vote.verify_extension(state.chain_id, key):
                raise EvidenceUnwanted("a vote's extension is not signed by its validator")

    def update(self, state: State, evidence: Sequence[Evidence]) -> None:
        """A block was applied: what it carries is committed, reported votes of its height become evidence."""
        current = self._state
        assert current is None or state.last_block_height >= current.last_block_height, state.last_block_height
        self._state = state
        batch: list[Write] = self._raise_floor(state)
        for item in evidence:
            when = item.timestamp_ns.to_bytes(8, "big", signed=True)
            batch += [(key, when) for key in committed_keys(item)]
            batch += self._forget(item)
        for item in list(self.all_pending()):
            if self._is_expired(item, state) or item.height <= self._floor:
                batch += self._forget(item)
        if batch:
            self._write(batch)
        self._use_reported(state)
        if state.last_block_height - self._pruned_at >= PRUNE_COMMITTED_EVERY:
            self._pruned_at = state.last_block_height
            self._prune_committed()

    def _raise_floor(self, state: State) -> list[Write]:
        """To the highest height whose evidence is too old after this block; found by halving, since time rises.

        A header that is pruned is as good as too old: its evidence cannot be judged any more.
        """
        low, high = self._floor, state.last_block_height - state.params.evidence.max_age_num_blocks - 1
        while low < high:
            middle = (low + high + 1) // 2
            header = self._source.header(middle)
            if header is None or self._is_too_old(middle, header.time_ns, state):
                low = middle
            else:
                high = middle - 1
        if low <= self._floor:
            return []
        self._floor = low
        return [(FLOOR_KEY, low.to_bytes(8, "big"))]

    def _forget(self, item: Evidence) -> list[Write]:
        """Of the pending: this offence, in whatever form it waits."""
        pending = self._pending.pop(self._by_offence.pop(item.offence, b""), None)
        if pending is None:
            return []
        self._by_validator -= Counter(pending.accused)  # leaves out who has none any more
        self._ordered = None
        return [(evidence_key(PENDING, pending), None)]

    def _prune_committed(self) -> None:
        """A mark is needed only as long as its evidence could be accepted again."""
        end = b"%016X/" % (self._floor + 1)
        batch: list[Write] = []
        for prefix in (COMMITTED, OFFENCE):
            batch += [(key, None) for key, _ in self._db.scan(prefix, prefix + end)]
        if batch:
            self._db.write(batch)

    # ------------------------------------------------------------------------------------- from our own engine

    def report_conflicting_votes(self, first: Vote, second: Vote) -> None:
        """Two verified votes of one validator, kind, height and round. Kept until the height is applied."""
        offence = b"%d/%d/%d/" % (first.height, first.round, first.type) + first.validator_address
        of_validator = sum(
            1 for votes in self._reported.values() if votes[0].validator_address == first.validator_address
        )
        if offence in self._reported or of_validator >= PER_VALIDATOR_MAX:
            return
        if len(self._reported) < REPORTED_MAX:
            self._reported[offence] = (first, second)
        state = self._current()
        if state is not None and first.height <= state.last_block_height:
            self._use_reported(state)

    def _use_reported(self, state: State) -> None:
        proved: list[Evidence] = []
        for offence, (first, second) in list(self._reported.items()):
            if first.height > state.last_block_height:
                continue
            del self._reported[offence]
            evidence = self._from_votes(first, second)
            if evidence is not None and self._is_wanted(evidence, state):
                proved.append(evidence)
        self._keep(proved)

    def _from_votes(self, first: Vote, second: Vote) -> Evidence | None:
        """None, and a log line, when what it needs was pruned (failure 20: never an exception)."""
        header, validators = self._source.header(first.height), self._source.validators(first.height)
        if header is None or validators is None or first.validator_address not in validators:
            self._limited.warning(
                "dropped conflicting votes: their height is not stored any more",
                first.validator_address.hex(),
                height=first.height,
            )
            return None
        evidence = DuplicateVoteEvidence.from_votes(first, second, validators=validators, time_ns=header.time_ns)
        return evidence.canonical(validators)
