"""The mempool: transactions that wait for a block.

Promises: what is in it passed `check_tx`; each transaction is verified once; its size in count, bytes, per sender and
per lane is bounded, and whoever exceeds a bound is told which and to try later; the node's doors admit no more than
recent blocks took in `wait_ms_max`, so that what is admitted is committed soon; within a lane the order is that of
admission, so a sender's transactions never overtake each other; the loop is never held for more than SLICE_NS.
What peers send counts towards the doors' bound, but is held only to the pool's own: a peer has admitted it already,
and a pool that lacks it could only propose it later.
What the application can tell without running a transaction (`IdentifiesTxs`) is used to refuse before a signature is
verified, so a flood costs little. Admissions wait while rechecks are due: the application's check state is then as
if the pool's transactions had run on the last block.
Source: engine sheet section 11; design.md sections 7 and 9.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Protocol

import structlog

from consensus.abci import (
    ChecksSignatures,
    CheckTxRequest,
    CheckTxResponse,
    CheckTxType,
    IdentifiesTxs,
    SignatureCheck,
)
from consensus.engine.clock import Clock, Workers
from consensus.types.results import ExecTxResult
from crypto.keys import ed25519_verify
from mempool.errors import Refusal, refuse
from mempool.pace import CommitPace

log = structlog.get_logger(__name__)

SLICE_NS: Final = 2_000_000  # of the 3 ms that the loop may be held at most
BATCH_TXS_MAX: Final = 64  # reading the checks of so many stays inside a slice
THREAD_CHECKS_MIN: Final = 32  # fewer are verified in place: 1.6 ms, and no hand-over to a thread
LANE_QUANTUM_BYTES: Final = 16_384  # what a lane may take in its turn when a block is filled
SEEN_TEXT: Final = "transaction was seen before: see what became of it by its hash"
PROTO_TX_OVERHEAD: Final = 6  # field key, and a length of at most five bytes


class Checks(Protocol):
    """What the pool needs of the application."""

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse: ...


@dataclass(frozen=True, slots=True)
class PoolConfig:
    txs_max: int = 5_000  # some seconds of what four validators on two cores commit: more would only wait longer
    wait_ms_max: int = 2_000  # that a door's transaction may have to wait at the recent pace; 0: only counts bound
    bytes_max: int = 32 * 1_048_576
    tx_bytes_max: int = 1_048_576
    sender_txs_max: int = 256  # bounds what one account's change makes us recheck
    seen_max: int = 20_000  # remembered hashes of what was committed: four times the pool
    lanes: tuple[str, ...] = ()  # each keeps a reserved share of the pool: half of it, split evenly


@dataclass(slots=True, eq=False)
class Entry:
    """A transaction in the pool. peers: ids of those known to have it (kept by the gossip)."""

    key: bytes  # SHA-256 of the transaction
    tx: bytes
    source: str  # the peer that sent it; "": admitted through a door of this node
    height: int  # the last block's when it was admitted
    gas_wanted: int
    sender: bytes
    lane: str
    replay_id: bytes
    touches: tuple[bytes, ...]
    expiry_height: int
    peers: set[str] = field(default_factory=set)

    @property
    def proto_bytes(self) -> int:
        """Its size in a block's data."""
        return data_bytes(len(self.tx))


def data_bytes(tx_bytes: int) -> int:
    """What a transaction of `tx_bytes` takes in proto Data."""
    length_bytes = 1 if tx_bytes < 128 else (tx_bytes.bit_length() + 6) // 7
    return 1 + length_bytes + tx_bytes


@dataclass(slots=True)
class PoolMetrics:
    admitted: int = 0
    refused: int = 0  # by us or by the application
    refused_full: int = 0  # of them for want of room
    committed: int = 0
    expired: int = 0
    rechecked: int = 0
    recheck_failed: int = 0
    signatures_verified: int = 0
    signatures_bad: int = 0


@dataclass(slots=True, eq=False)
class _Waiting:
    """On its way through admission."""

    key: bytes
    tx: bytes
    source: str
    done: Callable[[CheckTxResponse], None] | None
    facts: CheckTxResponse | None = None  # what the application could tell without running it


def verify_checks(checks: Sequence[SignatureCheck]) -> list[bool]:
    """One answer per check; libsodium works outside of the interpreter's lock."""
    return [ed25519_verify(key, message, signature) for key, message, signature in checks]


class Pool:
    """Run `run` as long as the pool is used. Implements consensus.engine.interfaces.TxPool."""

    def __init__(
        self, app: Checks, clock: Clock, workers: Workers, config: PoolConfig = PoolConfig(), *, height: int = 0
    ) -> None:
        assert config.txs_max > 0, config
        self._app, self._clock, self._workers, self.config = app, clock, workers, config
        self._identify = app.identify_tx if isinstance(app, IdentifiesTxs) else None
        self._signatures = app if isinstance(app, ChecksSignatures) else None
        self._height = height
        self._gas_max = -1
        self._data_bytes_max = -1
        self._entries: dict[bytes, Entry] = {}  # in order of admission
        self._lanes: dict[str, dict[bytes, Entry]] = {}
        self._bytes = 0
        self._sender_txs: dict[bytes, int] = {}
        self._replays: dict[bytes, bytes] = {}  # replay id -> key
        self._touching: dict[bytes, dict[bytes, None]] = {}  # touched key -> keys of entries
        self._expiring: dict[int, list[bytes]] = {}
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._waiting: dict[bytes, _Waiting] = {}
        self._waiting_bytes = 0
        self._queue: deque[_Waiting] = deque()
        self._recheck: dict[bytes, None] = {}
        self._wake = asyncio.Event()
        self._available: list[Callable[[], None]] = []
        self._admitted: list[Callable[[Sequence[Entry]], None]] = []
        self._stopped = False
        self.metrics = PoolMetrics()
        self._pace = CommitPace()
        self._door_txs_max = self._admissible()

    # ------------------------------------------------------------------------------------------------- reading

    @property
    def size(self) -> int:
        return len(self._entries)

    @property
    def byte_size(self) -> int:
        return self._bytes

    @property
    def queued(self) -> int:
        """On their way through admission."""
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more transactions may come now."""
        return max(0, self.config.txs_max - len(self._entries) - len(self._waiting))

    @property
    def door_txs_max(self) -> int:
        """How many transactions may wait before this node's doors say to try later."""
        return self._door_txs_max

    @property
    def txs_per_second(self) -> int:
        """Taken by recent blocks while transactions waited; 0: not known."""
        return self._pace.txs_per_second

    def _admissible(self) -> int:
        config = self.config
        return min(config.txs_max, self._pace.waiting_max(config.wait_ms_max)) if config.wait_ms_max else config.txs_max

    def lane_sizes(self) -> dict[str, int]:
        return {lane: len(entries) for lane, entries in self._lanes.items()}

    def get(self, key: bytes) -> Entry | None:
        return self._entries.get(key)

    def entries(self) -> Iterator[Entry]:
        """In order of admission."""
        return iter(self._entries.values())

    def knows(self, key: bytes) -> bool:
        """Whether it is here, on its way in, or was committed a short while ago."""
        return key in self._entries or key in self._waiting or key in self._seen

    # ----------------------------------------------------------------------------------------------- admission

    def set_block_limits(self, *, data_bytes_max: int, gas_max: int) -> None:
        """What a block can take (-1: no limit). A transaction that fits no block is refused."""
        self._data_bytes_max, self._gas_max = data_bytes_max, gas_max

    def on_available(self, callback: Callable[[], None]) -> None:
        self._available.append(callback)

    def on_admitted(self, callback: Callable[[Sequence[Entry]], None]) -> None:
        """Call back with each batch that was admitted, in order: for gossip, and for a journal."""
        self._admitted.append(callback)

    async def submit(self, tx: bytes, source: str = "") -> CheckTxResponse:
        """Admit `tx` or say why not. code 0: admitted."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[CheckTxResponse] = loop.create_future()

        def done(response: CheckTxResponse) -> None:
            if not answer.done():
                answer.set_result(response)

        refused = self.offer(tx, source, done=done)
        return refused if refused is not None else await answer

    async def submit_many(self, txs: Sequence[bytes], source: str = "") -> list[CheckTxResponse]:
        """One answer per transaction, in order. They are queued together, so their signatures make one batch."""
        loop = asyncio.get_running_loop()
        answers: list[CheckTxResponse | None] = [None] * len(txs)
        left = len(txs)
        all_done: asyncio.Future[None] = loop.create_future()

        def finish(index: int, response: CheckTxResponse) -> None:
            nonlocal left
            answers[index] = response
            left -= 1
            if not left and not all_done.done():
                all_done.set_result(None)

        for index, tx in enumerate(txs):
            refused = self.offer(tx, source, done=lambda response, index=index: finish(index, response))  # type: ignore[misc]
            if refused is not None:
                finish(index, refused)
        if txs:
            await all_done
        return [answer for answer in answers if answer is not None]

    def offer(
        self,
        tx: bytes,
        source: str = "",
        *,
        key: bytes | None = None,
        done: Callable[[CheckTxResponse], None] | None = None,
    ) -> CheckTxResponse | None:
        """Queue `tx` for admission; `done` hears the outcome. A refusal that needs no checking is returned at once.

        key: the transaction's SHA-256 where the caller has it.
        """
        limit = self.config.tx_bytes_max  # before anything is decoded or hashed
        if len(tx) > limit or not tx:
            return self._refused(Refusal.TOO_LARGE, f"transaction has {len(tx)} bytes; allowed: 1 to {limit}")
        if 0 <= self._data_bytes_max < data_bytes(len(tx)):
            limit = self._data_bytes_max
            return self._refused(Refusal.TOO_LARGE, f"transaction has {len(tx)} bytes; a block takes {limit}")
        if self._stopped:
            return self._refused(Refusal.STOPPED, "the node is stopping; send it to another")
        key = sha256(tx).digest() if key is None else key
        if key in self._entries or key in self._waiting:
            return self._refused(Refusal.ALREADY_HERE, "transaction is in the mempool already")
        if key in self._seen:
            return self._refused(Refusal.SEEN_BEFORE, SEEN_TEXT)
        full = self._fullness(len(tx), source)
        if full is not None:
            return full
        waiting = _Waiting(key, tx, source, done)
        self._waiting[key] = waiting
        self._waiting_bytes += len(tx)
        self._queue.append(waiting)
        self._wake.set()
        return None

    def _fullness(self, tx_bytes: int, source: str) -> CheckTxResponse | None:
        count = len(self._entries) + len(self._waiting)
        if count >= self.config.txs_max:
            limit = self.config.txs_max
            return self._refused(Refusal.FULL, f"mempool is full: {count} of {limit} transactions; try later")
        if not source and count >= self._door_txs_max:
            return self._refused(Refusal.FULL, self._busy_text(count))
        held, limit = self._bytes + self._waiting_bytes, self.config.bytes_max
        if held + tx_bytes > limit:
            return self._refused(Refusal.FULL, f"mempool is full: {held} of {limit} bytes; try later")
        return None

    def _busy_text(self, count: int) -> str:
        pace, wait_ms = self._pace.txs_per_second, self.config.wait_ms_max
        return (
            f"mempool is busy: {count} transactions wait, and blocks take about {pace} a second; "
            f"admitted is what they take in {wait_ms} ms ({self._door_txs_max} now); try later"
        )

    def _refused(self, reason: Refusal, why: str) -> CheckTxResponse:
        self.metrics.refused += 1
        if reason in {Refusal.FULL, Refusal.SENDER_FULL, Refusal.LANE_FULL}:
            self.metrics.refused_full += 1
        return refuse(reason, why)

    def _limits(self, facts: CheckTxResponse, waiting: _Waiting) -> CheckTxResponse | None:
        """What the bounds say to a transaction whose sender, lane and expiry are known. None: welcome."""
        if facts.sender:
            count, limit = self._sender_txs.get(facts.sender, 0), self.config.sender_txs_max
            if count >= limit:
                return self._refused(
                    Refusal.SENDER_FULL, f"sender {facts.sender.hex()} has {count} of {limit} waiting; try later"
                )
        if facts.replay_id and self._replays.get(facts.replay_id, waiting.key) != waiting.key:
            return self._refused(Refusal.REPLAY, "a transaction with the same replay id is in the mempool already")
        if facts.expiry_height and facts.expiry_height <= self._height:
            return self._refused(
                Refusal.EXPIRED,
                f"transaction expired at height {facts.expiry_height}; the last block is {self._height}",
            )
        if self._gas_max >= 0 and facts.gas_wanted > self._gas_max:
            return self._refused(
                Refusal.TOO_MUCH_GAS, f"transaction wants {facts.gas_wanted} gas; a block has {self._gas_max}"
            )
        return self._lane_fullness(facts.lane, self.config.txs_max if waiting.source else self._door_txs_max)

    def _lane_fullness(self, lane: str, txs_max: int) -> CheckTxResponse | None:
        """A lane may fill its reserve of `txs_max`, then what is left of the shared half."""
        names = self.config.lanes
        reserve = txs_max // (2 * len(names)) if names else 0
        count = len(self._lanes.get(lane, ()))
        if lane in names and count < reserve:
            return None
        shared = sum(max(0, len(held) - (reserve if name in names else 0)) for name, held in self._lanes.items())
        if shared >= txs_max - reserve * len(names):
            return self._refused(
                Refusal.LANE_FULL, f"mempool has no room for lane {lane!r}: {count} transactions wait; try later"
            )
        return None

    # -------------------------------------------------------------------------------------------- the one task

    async def run(self) -> None:
        """Check what is queued until cancelled, or until it fails; then answers everybody who still waits. May be run
        again."""
        self._stopped = False
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._recheck or self._queue:
                    if self._recheck:
                        self._recheck_slice()
                        await asyncio.sleep(0)
                    else:
                        await self._admit_batch()
        finally:
            self._stopped = True
            self._queue.clear()
            for waiting in list(self._waiting.values()):
                self._finish(waiting, self._refused(Refusal.STOPPED, "the node is stopping; send it to another"))

    async def _admit_batch(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_TXS_MAX))]
        batch = self._identified(batch)
        await self._verify([waiting.tx for waiting in batch])
        position = 0
        while position < len(batch):
            if self._recheck:  # a block came in between: its changes first
                self._recheck_slice()
            else:
                position = self._check_slice(batch, position)
            await asyncio.sleep(0)

    def _identified(self, batch: list[_Waiting]) -> list[_Waiting]:
        """Without those whose content, read but not run, already says no."""
        if self._identify is None:
            return batch
        kept = []
        for waiting in batch:
            facts = self._identify(waiting.tx)
            if facts.code:
                self.metrics.refused += 1
            refused = facts if facts.code else self._limits(facts, waiting)
            if refused is None:
                waiting.facts = facts
                kept.append(waiting)
            else:
                self._finish(waiting, refused)
        return kept

    async def _verify(self, txs: list[bytes]) -> None:
        if self._signatures is None or not txs:
            return
        checks = self._signatures.signature_checks(txs)
        if not checks:
            return
        if len(checks) < THREAD_CHECKS_MIN:
            answers = verify_checks(checks)
        else:
            answers = await self._workers.run(lambda: verify_checks(checks))
        good = [check for check, answer in zip(checks, answers, strict=True) if answer]
        self.metrics.signatures_verified += len(checks)
        self.metrics.signatures_bad += len(checks) - len(good)
        self._signatures.remember_verified(good)

    def _check_slice(self, batch: list[_Waiting], position: int) -> int:
        """Check from `position` on for one slice; returns where to go on."""
        deadline = self._clock.monotonic_ns() + SLICE_NS
        admitted: list[Entry] = []
        was_empty = not self._entries
        while position < len(batch):
            entry = self._check(batch[position])
            position += 1
            if entry is not None:
                admitted.append(entry)
            if self._clock.monotonic_ns() >= deadline:
                break
        if admitted:
            for callback in self._admitted:
                callback(admitted)
            if was_empty:
                self._pace.began_waiting(self._clock.monotonic_ns())
                self._tell_available()
        return position

    def _check(self, waiting: _Waiting) -> Entry | None:
        if waiting.key in self._seen:  # committed while it was on its way through admission
            self._finish(waiting, self._refused(Refusal.SEEN_BEFORE, SEEN_TEXT))
            return None
        # Limits that depend on what was admitted since the batch was read are asked again, before check_tx can
        # change the application's check state.
        if waiting.facts is not None:
            refused = self._limits(waiting.facts, waiting)
            if refused is not None:
                self._finish(waiting, refused)
                return None
        response = self._app.check_tx(CheckTxRequest(waiting.tx, CheckTxType.NEW))
        if response.code:
            self.metrics.refused += 1
            self._finish(waiting, response)
            return None
        if waiting.facts is None:
            refused = self._limits(response, waiting)
            if refused is not None:
                self._finish(waiting, refused)
                return None
        entry = self._insert(waiting, response)
        self._finish(waiting, response)
        return entry

    def _finish(self, waiting: _Waiting, response: CheckTxResponse) -> None:
        if self._waiting.pop(waiting.key, None) is not None:
            self._waiting_bytes -= len(waiting.tx)
        if waiting.done is not None:
            waiting.done(response)

    def _tell_available(self) -> None:
        for callback in self._available:
            callback()

    # ------------------------------------------------------------------------------------- insert and remove

    def _insert(self, waiting: _Waiting, facts: CheckTxResponse) -> Entry:
        entry = Entry(
            key=waiting.key,
            tx=waiting.tx,
            source=waiting.source,
            height=self._height,
            gas_wanted=facts.gas_wanted,
            sender=facts.sender,
            lane=facts.lane,
            replay_id=facts.replay_id,
            touches=facts.touches,
            expiry_height=facts.expiry_height,
        )
        if waiting.source:
            entry.peers.add(waiting.source)
        self._entries[entry.key] = entry
        self._lanes.setdefault(entry.lane, {})[entry.key] = entry
        self._bytes += len(entry.tx)
        if entry.sender:
            self._sender_txs[entry.sender] = self._sender_txs.get(entry.sender, 0) + 1
        if entry.replay_id:
            self._replays[entry.replay_id] = entry.key
        for touched in entry.touches:
            self._touching.setdefault(touched, {})[entry.key] = None
        if entry.expiry_height:
            self._expiring.setdefault(entry.expiry_height, []).append(entry.key)
        self.metrics.admitted += 1
        return entry

    def _remove(self, key: bytes) -> Entry | None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        lane = self._lanes[entry.lane]
        del lane[key]
        if not lane:
            del self._lanes[entry.lane]
        self._bytes -= len(entry.tx)
        if entry.sender:
            left = self._sender_txs[entry.sender] - 1
            if left:
                self._sender_txs[entry.sender] = left
            else:
                del self._sender_txs[entry.sender]
        if entry.replay_id:
            self._replays.pop(entry.replay_id, None)
        for touched in entry.touches:
            keys = self._touching[touched]
            del keys[key]
            if not keys:
                del self._touching[touched]
        self._recheck.pop(key, None)
        return entry

    def _remember(self, key: bytes) -> None:
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self.config.seen_max:
            self._seen.popitem(last=False)

    # -------------------------------------------------------------------------------------------------- blocks

    def reap(self, *, bytes_max: int, gas_max: int) -> list[bytes]:
        """Lanes in turn, by bytes; within a lane in order of admission, until its next one does not fit.

        A transaction whose recheck is still due may be among them: prepare_proposal drops what no longer passes.
        """
        bytes_left = bytes_max if bytes_max >= 0 else self._bytes + PROTO_TX_OVERHEAD * len(self._entries)
        gas_left = gas_max if gas_max >= 0 else None
        turns = deque((iter(self._lanes[name].values()), 0) for name in sorted(self._lanes))
        out: list[bytes] = []
        held: dict[int, Entry] = {}
        while turns:
            entries, credit = turns.popleft()
            credit += LANE_QUANTUM_BYTES
            while (entry := held.pop(id(entries), None) or next(entries, None)) is not None:
                size = entry.proto_bytes
                if size > bytes_left or (gas_left is not None and entry.gas_wanted > gas_left):
                    break  # this lane ends here, or a sender's later transaction would overtake
                if size > credit and turns:
                    held[id(entries)] = entry
                    turns.append((entries, credit))
                    break
                credit -= size
                bytes_left -= size
                if gas_left is not None:
                    gas_left -= entry.gas_wanted
                out.append(entry.tx)
        return out

    def update(
        self, height: int, txs: Sequence[bytes], results: Sequence[ExecTxResult], touched: frozenset[bytes] | None
    ) -> None:
        """A block was committed: drop its transactions and the expired ones, queue the rechecks that it calls for."""
        assert len(txs) == len(results), (len(txs), len(results))
        self._height = height
        again: set[bytes] = set()
        for tx, result in zip(txs, results, strict=True):
            key = sha256(tx).digest()
            entry = self._remove(key)
            if entry is not None:
                self.metrics.committed += 1
            if result.code:
                self._seen.pop(key, None)
            else:
                self._remember(key)
        for expired in self._expired(height):
            again.update(expired.touches)
        self._pace.block(len(txs), self._clock.monotonic_ns(), still_waiting=bool(self._entries))
        self._door_txs_max = self._admissible()
        self._queue_rechecks(None if touched is None else touched | again if again else touched)
        if self._entries:
            self._tell_available()

    def _expired(self, height: int) -> list[Entry]:
        """Drop what no later block may hold."""
        gone: list[Entry] = []
        for expiry in sorted(expiry for expiry in self._expiring if expiry <= height):
            for key in self._expiring.pop(expiry):
                entry = self._remove(key)
                if entry is not None:
                    gone.append(entry)
        self.metrics.expired += len(gone)
        return gone

    def _queue_rechecks(self, touched: frozenset[bytes] | None) -> None:
        if touched is None:
            self._recheck = dict.fromkeys(self._entries)
        else:
            touching = self._touching
            few = touched if len(touched) <= len(touching) else [name for name in touching if name in touched]
            wanted = set(self._recheck)
            for name in few:
                wanted.update(touching.get(name, ()))
            # In order of admission: a sender's sequence is checked from its beginning.
            self._recheck = dict.fromkeys(key for key in self._entries if key in wanted) if wanted else {}
        if self._recheck:
            self._wake.set()

    def _recheck_slice(self) -> None:
        deadline = self._clock.monotonic_ns() + SLICE_NS
        while self._recheck:
            key = next(iter(self._recheck))
            del self._recheck[key]
            entry = self._entries[key]
            response = self._app.check_tx(CheckTxRequest(entry.tx, CheckTxType.RECHECK))
            self.metrics.rechecked += 1
            if response.code:
                self._remove(key)
                self.metrics.recheck_failed += 1
                log.info("dropped a transaction", hash=key.hex(), code=response.code, why=response.log)
            if self._clock.monotonic_ns() >= deadline:
                return
