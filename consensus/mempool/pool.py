"""The mempool: transactions that wait for a block.

Promises: what is in it passed `check_tx`; each transaction is verified once; its size in count, bytes, per source, per
sender and per lane is bounded, and whoever exceeds a bound is told which and to try later; the node's doors admit no
more than recent blocks took in `wait_ms_max`, so that what is admitted is committed soon; within a lane the order is by
priority, but a sender's transactions never overtake each other; the loop is never held for more than SLICE_NS.
What peers send counts towards the doors' bound, but is held only to the pool's own: a peer has admitted it already.
Whoever sends much keeps nobody else out (`admission.shares`, `admission.turns`) and pays for admission's work; what was
found bad is refused unseen for a while, what comes before its time is held (`held`), what found no room is asked for
again. What can be told without running a transaction (`ShowsLanes`, `IdentifiesTxs`) is used to refuse before more is
done. Admissions wait while rechecks are due: the check state is as if the pool's had run on the last block.
Source: docs/architecture.md, One transaction; CometBFT v0.38, mempool/clist_mempool.go.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

import structlog

from consensus.abci.interface import (
    ChecksSignatures,
    CheckTxRequest,
    CheckTxResponse,
    CheckTxType,
    IdentifiesTxs,
    ShowsLanes,
    Slices,
)  # fmt: skip
from consensus.mempool.admission.entry import (
    ANSWERS_MAX,
    Claim,
    Entry,
    Origin,
    PeerBits,
    PoolConfig,
    PoolMetrics,
    Waiting,
    data_bytes,
    tx_bytes_max,
)
from consensus.mempool.admission.errors import CODESPACE, NO_ROOM, SEEN_TEXT, STOPPED_TEXT, TRY_LATER, Refusal, refuse
from consensus.mempool.admission.gather import Done, gather
from consensus.mempool.admission.index import Index
from consensus.mempool.admission.intake import Intake
from consensus.mempool.admission.interfaces import Checks
from consensus.mempool.admission.limits import Limits
from consensus.mempool.admission.pace import CommitPace
from consensus.mempool.admission.shares import Shares
from consensus.mempool.admission.signatures import Verifier, batch_txs_max
from consensus.mempool.admission.standing import BAD_SIGNATURE, KNOWN_BAD, MALFORMED, REFUSED, Standings
from consensus.mempool.ahead import Ahead
from consensus.mempool.contest import Contest
from consensus.mempool.fill import PROTO_TX_OVERHEAD, STARVED_BLOCKS, Room, Turn, fill
from consensus.mempool.held import HELD_BLOCKS, Held, let_go
from consensus.mempool.leaving import SLICE_NS, Leaving
from consensus.mempool.listeners import Listeners
from consensus.state.results import ExecTxResult
from consensus.system.clock import Clock, Workers
from consensus.system.log_limit import LogLimit
from consensus.system.meter import Meter

log = structlog.get_logger(__name__)

CLOCK_BYTES: Final = 1_024  # of transactions between two looks at the clock: some four payments


class Pool(Listeners):
    """Run `run` as long as the pool is used. Implements consensus.engine.interfaces.TxPool."""

    def __init__(
        self, app: Checks, clock: Clock, workers: Workers, config: PoolConfig | None = None, *, height: int = 0
    ) -> None:
        super().__init__()
        config = PoolConfig() if config is None else config
        assert config.txs_max > 0, config
        self._app, self._clock, self._meter, self.config = app, clock, Meter.of(clock), config
        self._identify = app.identify_tx if isinstance(app, IdentifiesTxs) else None
        self._lane_shown = app.lane_shown if isinstance(app, ShowsLanes) else lambda tx: ""
        self._height = height
        self._data_bytes_max, self._tx_bytes_max = -1, config.tx_bytes_max
        self._index = Index()
        self._bounds = Limits(config, self._index, height=height)
        self._entries = self._index.entries
        self._shares = Shares(config)
        self._held = Held(txs_max=config.txs_max, bytes_max=config.bytes_max)
        self._standings = Standings(config.seen_max)
        self._turn = Turn()
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._leaving = Leaving(self._index, self._shares, self._held, self._seen, clock)
        self._intake = Intake(self._shares)
        self._recheck: OrderedDict[bytes, None] = OrderedDict()  # a dict is read past all that left its front
        self._wake = asyncio.Event()
        self._stopped, self._spent_ns = False, 0  # for the batch in hand
        self._log = LogLimit(log, source_name="source", time_s=lambda: clock.monotonic_ns() / 1e9)
        self.metrics, self.peer_bits = PoolMetrics(), PeerBits()
        self._ahead = Ahead(app)
        self._contest = Contest(app, self._index, config.txs_max, self.metrics)
        self._verifier = Verifier(app, workers, self.metrics) if isinstance(app, ChecksSignatures) else None
        self._pace, self._door_txs_max = CommitPace(), 0
        self._set_doors()

    # ------------------------------------------------------------------------------------------------- reading

    @property
    def size(self) -> int:
        return len(self._entries)

    @property
    def byte_size(self) -> int:
        return self._index.bytes

    @property
    def queued(self) -> int:
        """On their way through admission."""
        return len(self._intake)

    @property
    def held(self) -> int:
        """Before their time: what must come first is missing."""
        return len(self._held)

    @property
    def room(self) -> int:
        """How many more transactions may come now."""
        return max(0, self.config.txs_max - self._shares.count)

    def room_for(self, peer_id: str) -> int:
        """Likewise, of a peer."""
        return 0 if self._stopped else self._shares.peer_room(peer_id)

    @property
    def door_txs_max(self) -> int:
        """How many transactions may wait before this node's doors say to try later."""
        return self._door_txs_max

    @property
    def txs_per_second(self) -> int:
        """Taken by recent blocks while transactions waited; 0: not known."""
        return self._pace.txs_per_second

    def _set_doors(self) -> None:
        """By the pace of late."""
        most, wait_ms = self.config.txs_max, self.config.wait_ms_max
        self._door_txs_max = min(most, self._pace.waiting_max(wait_ms)) if wait_ms else most
        self._bounds.set_doors(self._door_txs_max)

    def lane_sizes(self) -> dict[str, int]:
        return {lane: len(entries) for lane, entries in self._index.lanes.items()}

    def waiting_at(self, touched: bytes, most: int) -> list[tuple[Entry | Waiting, int]]:
        """What waits and touches that key, then what is held; and how many of its lane pay more. Reads `most`."""
        return self._index.with_dearer(touched, self._held.touching(touched), most)

    def get(self, key: bytes) -> Entry | None:
        return self._entries.get(key)

    def entries(self) -> Iterator[Entry]:
        """In order of admission."""
        return iter(self._entries.values())

    def has(self, key: bytes) -> bool:
        """Whether it is here, on its way in or held."""
        return key in self._entries or key in self._intake.by_key or key in self._held.by_key

    def knows(self, key: bytes) -> bool:
        """Whether it is here, on its way in, or was committed or found bad a short while ago."""
        return self.has(key) or key in self._seen or self._standings.is_bad(key)

    # ----------------------------------------------------------------------------------------------- admission

    def set_block_limits(self, *, data_bytes_max: int, gas_max: int) -> None:
        """What a block can take (-1: no limit). A transaction that fits no block is refused, or leaves."""
        lowered = 0 <= data_bytes_max < self._data_bytes_max or 0 <= gas_max < self._bounds.gas_max
        self._data_bytes_max, self._bounds.gas_max = data_bytes_max, gas_max
        most = self.config.tx_bytes_max
        self._tx_bytes_max = min(most, tx_bytes_max(data_bytes_max)) if data_bytes_max >= 0 else most
        if lowered:
            room = Room(data_bytes_max if data_bytes_max >= 0 else self._index.bytes * 2, gas_max)
            for entry in [
                one for one in self._entries.values() if not room.fits(one.proto_bytes, one.facts.gas_wanted)
            ]:
                self._remove(entry.key)
                self._tell_dropped(entry.key, refuse(Refusal.TOO_LARGE, "no block takes it any more: the limits fell"))

    async def submit(self, tx: bytes, source: str = "", *, client: str = "") -> CheckTxResponse:
        """Admit `tx` or say why not. code 0: admitted."""
        return (await self.submit_many([tx], source, client=client))[0]

    async def submit_many(
        self, txs: Sequence[bytes], source: str = "", *, client: str = "", keys: Sequence[bytes] | None = None
    ) -> list[CheckTxResponse]:
        """One answer per transaction (SHA-256: `keys`), in order. They are queued together, so their signatures make
        one batch.

        source: the peer that sent them; client: else the door's client that did (any name of it: shares are per name).
        """
        return await gather(len(txs), lambda dones: self.offer(txs, keys, source=source, client=client, dones=dones))

    def offer(
        self,
        txs: Sequence[bytes],
        keys: Sequence[bytes] | None = None,
        *,
        source: str = "",
        client: str = "",
        dones: Sequence[Done] | None = None,
    ) -> list[CheckTxResponse | None]:
        """Queue `txs` (SHA-256: `keys`) for admission. Refusals that need no checking are returned at once; where None
        is, one of `dones` hears the outcome. source, client: as in `submit_many`."""
        origin, payer = (Origin.PEER, source) if source else (Origin.DOOR, client) if client else (Origin.OWN, "")
        total, door_txs_max = sum(map(len, txs)), self._door_txs_max
        size_max = 0 if self._stopped else self._tx_bytes_max
        has_room = self._shares.takes_all(origin, payer, len(txs), total, wait_txs_max=door_txs_max)
        intake, entries, seen, held = self._intake, self._entries, self._seen, self._held.by_key
        by_key, known_bad, refused = intake.by_key, self._standings.known_bad, self._standings.refused
        answers: list[CheckTxResponse | None] = [None] * len(txs)
        queued: list[Waiting] = []
        busy = ""  # what is said to all once it was said to one: nothing leaves meanwhile
        full = {} if self._shares.has_few(origin, payer) else self._bounds.full_lanes(origin)
        try:
            for index, tx in enumerate(txs):
                if not 0 < len(tx) <= size_max:  # before anything is decoded or hashed
                    answers[index] = self._unfit(len(tx))
                    continue
                key = sha256(tx).digest() if keys is None else keys[index]
                done = dones[index] if dones is not None else None
                if key in entries or key in by_key or key in seen or key in known_bad or key in refused or key in held:
                    is_answered, answers[index] = self._known(key, source, (origin, payer), done)
                    if is_answered:
                        continue
                why = None if has_room else busy
                if not has_room and not busy:
                    why = self._shares.refusal(origin, payer, len(tx), wait_txs_max=door_txs_max)
                    if why == "":
                        why = busy = self._bounds.busy_text(self._shares.count, self._pace.txs_per_second)
                no_room = (Refusal.FULL, why) if why is not None else full.get(self._lane_shown(tx)) if full else None
                if no_room is not None and not self._contest.may_bid(origin, payer):
                    answers[index] = self._refused(*no_room)
                    continue
                waiting = by_key[key] = Waiting(key, tx, source, origin, payer, [] if done is None else [done])
                queued.append(waiting)
                if self._arrived is not None:
                    self._arrived(key, source)
                if key in held and (before := self._held.take(key)) is not None:  # who waits for an answer gets today's
                    waiting.held_height, waiting.others = before.held_height, ((before.origin, before.payer),)
                if not has_room:  # the next one is asked for behind it
                    waiting.claim = Claim(full=why) if why is not None else None
                    intake.push(origin, payer, queued)
                    queued = []
        finally:
            if queued:
                intake.push(origin, payer, queued)
            self._wake.set()
        return answers

    def _unfit(self, size: int) -> CheckTxResponse:
        if 0 < size <= self._tx_bytes_max:
            return self._refused(Refusal.STOPPED, STOPPED_TEXT)
        return self._refused(Refusal.TOO_LARGE, self._bounds.size_text(size, self._data_bytes_max))

    def _known(
        self, key: bytes, source: str, sender: tuple[int, str], done: Done | None
    ) -> tuple[bool, CheckTxResponse | None]:
        """Whether that is all to be done with what is here, on its way, held, or was here; and what is answered."""
        if key in self._entries:
            return True, self._refused(Refusal.ALREADY_HERE, "transaction is in the mempool already")
        if (waiting := self._intake.by_key.get(key)) is not None:
            return True, self._join(waiting, *sender, done)
        if key in self._seen:
            return True, self._refused(Refusal.SEEN_BEFORE, SEEN_TEXT)
        if bad := self._standings.refusal(key, lasting_only=not source):
            return True, self._again_bad(key, source, bad)
        if done is None and key in self._held.by_key:
            return True, self._refused(Refusal.ALREADY_HERE, "transaction is held until what is before it comes")
        return False, None

    def _join(self, waiting: Waiting, origin: int, payer: str, done: Done | None) -> CheckTxResponse | None:
        """Another source sends what waits already: it shall not wait for the first one's turn, nor go with that one."""
        if done is not None:
            if len(waiting.answers) >= ANSWERS_MAX:
                return self._refused(Refusal.FULL, "too many wait for what becomes of this transaction; try later")
            waiting.answers.append(done)
        if self._intake.can_join(waiting, origin, payer):
            size = len(waiting.tx)
            if self._shares.refusal(origin, payer, size, wait_txs_max=self._door_txs_max) is None:
                self._intake.join(waiting, origin, payer)
        if done is not None:
            return None
        return self._refused(Refusal.ALREADY_HERE, "transaction is on its way into the mempool already")

    def source_gone(self, peer_id: str) -> None:
        """A peer left. If most of what it sent was bad, what it sent last is not looked at."""
        if self._standings.is_mostly_bad(peer_id):
            for waiting in self._intake.drop_lane(Origin.PEER, peer_id):
                self._finish(waiting, self._refused(Refusal.FULL, "its sender sent too many bad ones; try later"))

    def _again_bad(self, key: bytes, source: str, bad: CheckTxResponse) -> CheckTxResponse:
        self.metrics.refused += 1
        self.metrics.refused_known += 1
        if source and (bad.codespace, bad.code) != (CODESPACE, Refusal.FAILED):
            self._standings.bad(source, KNOWN_BAD, surely=self._standings.refusal(key, lasting_only=True) is not None)
            self._charge()
        return bad

    def _refused(self, reason: Refusal, why: str) -> CheckTxResponse:
        self.metrics.refused += 1
        if reason in NO_ROOM:
            self.metrics.refused_full += 1
        return refuse(reason, why)

    def _is_welcome(self, waiting: Waiting, facts: CheckTxResponse) -> bool:
        """What the bounds say, and who would give way. False: it is answered."""
        refused = self._bounds.refusal(waiting, facts)
        if refused is None and waiting.claim is None:
            return True
        has_few = self._shares.has_few(waiting.origin, waiting.payer)
        refused = self._contest.judge(waiting, facts, refused, has_few=has_few)
        if refused is None:
            return True
        answer = self._refused(*refused)
        if refused[0] is Refusal.UNDERPRICED and waiting.source:
            self._standings.remember(waiting.key, answer, lasting=False)
        self._finish(waiting, answer)
        return False

    # -------------------------------------------------------------------------------------------- the one task

    async def run(self) -> None:
        """Check what is queued until cancelled, or until it fails; then answers everybody who still waits. May be run
        again."""
        self._stopped = False
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._recheck or self._intake.has_work:
                    if self._recheck:
                        self._recheck_slice(await self._ahead.again(self._recheck, self._entries))
                        await asyncio.sleep(0)
                    else:
                        await self._admit_batch()
        finally:
            self._stopped = True
            self._intake.clear_turns()
            for waiting in self._intake:
                self._finish(waiting, self._refused(Refusal.STOPPED, STOPPED_TEXT))

    async def _admit_batch(self) -> None:
        await asyncio.sleep(0)  # a flood of which nothing is left to check has no other pause
        taken = self._intake.take(batch_txs_max())
        self._spent_ns = 0
        try:
            batch = await self._verified(await self._identified(taken))
            position = 0
            while position < len(batch):
                if self._recheck:  # a block came in between: its changes first
                    self._recheck_slice(await self._ahead.again(self._recheck, self._entries))
                else:
                    await self._ahead.new(batch, position, self._height)
                    position = self._check_slice(batch, position)
                await asyncio.sleep(0)
        finally:
            self._standings.account(taken, self._entries, self._spent_ns)
            self._charge()

    async def _identified(self, batch: list[Waiting]) -> list[Waiting]:
        """Without those whose content, read but not run, already says no. Reading large ones is done in slices."""
        if self._identify is None:
            return batch
        kept = []
        began, size, work = self._clock.monotonic_ns(), 0, self._meter.begin()
        for waiting in batch:
            if self._facts_of(waiting):
                kept.append(waiting)
            size += len(waiting.tx)
            if size < CLOCK_BYTES:
                continue
            now, size = self._clock.monotonic_ns(), 0
            if now - began >= SLICE_NS:
                self._spent_ns += self._meter.spent(work)
                await asyncio.sleep(0)
                began, work = self._clock.monotonic_ns(), self._meter.begin()
        self._spent_ns += self._meter.spent(work)
        return kept

    def _facts_of(self, waiting: Waiting) -> bool:
        """Whether it may go on."""
        assert self._identify is not None
        if waiting.facts is None:
            try:
                facts = self._identify(waiting.tx)
            except Exception as error:
                self._failure(waiting, error)
                return False
            if facts.code:
                self._found_bad(waiting, facts, MALFORMED)
                return False
            waiting.facts = facts
        return self._is_welcome(waiting, waiting.facts)

    def _found_bad(self, waiting: Waiting, response: CheckTxResponse, kind: str) -> None:
        """No state makes it good."""
        self.metrics.refused += 1
        self._standings.remember(waiting.key, response, lasting=True)
        for origin, payer in ((waiting.origin, waiting.payer), *waiting.others):
            if origin is Origin.PEER:
                self._standings.bad(payer, kind, surely=True)
        self._finish(waiting, response)

    def _failure(self, waiting: Waiting, error: Exception) -> None:
        refused = self._not_judged(waiting, error, "failed to judge a transaction")
        self._standings.remember(waiting.key, refused, lasting=False)
        self._finish(waiting, refused)
        if self._failed is not None:
            self._failed(error)

    def _not_judged(self, one: Waiting | Entry, error: Exception, what: str) -> CheckTxResponse:
        """This node could not judge it, and says so: what one transaction sets off shall not end admission."""
        self.metrics.failed += 1
        self._log.error(what, one.payer, hash=one.key.hex(), exc_info=error)
        return refuse(Refusal.FAILED, "this node failed to judge the transaction; its log says why")

    async def _verified(self, batch: list[Waiting]) -> list[Waiting]:
        """Without those whose signatures are bad."""
        if self._verifier is None or not batch:
            return batch
        is_doubtful = any(self._standings.is_doubtful(source) for source in {waiting.source for waiting in batch})
        bad, spent_ns = await self._verifier.bad_of([waiting.tx for waiting in batch], is_doubtful=is_doubtful)
        self._spent_ns += spent_ns
        if not bad:
            return batch
        good = []
        for waiting in batch:
            refused = self._verifier.refusal(waiting.tx, bad)
            if refused is None:
                good.append(waiting)
            else:
                self._found_bad(waiting, refused, BAD_SIGNATURE)
        return good

    def _check_slice(self, batch: list[Waiting], position: int) -> int:
        """Check from `position` on for one slice; returns where to go on."""
        began, size, work = self._clock.monotonic_ns(), 0, self._meter.begin()
        admitted: list[Entry] = []
        was_empty = not self._entries
        by_key = self._intake.by_key
        while position < len(batch):
            waiting = batch[position]
            position += 1
            if by_key.get(waiting.key) is not waiting:
                continue
            entry = self._check(waiting)
            if entry is not None:
                admitted.append(entry)
            size += len(waiting.tx)
            if size >= CLOCK_BYTES:
                size = 0
                if self._clock.monotonic_ns() - began >= SLICE_NS:
                    break
        self._spent_ns += self._meter.spent(work)
        if admitted:
            self._tell_admitted(admitted)
            if was_empty:
                self._pace.began_waiting(self._clock.monotonic_ns())
                self._tell_available()
        return position

    def _check(self, waiting: Waiting) -> Entry | None:
        if waiting.key in self._seen:  # committed while it was on its way through admission
            self._finish(waiting, self._refused(Refusal.SEEN_BEFORE, SEEN_TEXT))
            return None
        # Limits that depend on what was admitted since the batch was read are asked again, before check_tx can
        # change the application's check state.
        facts = waiting.facts
        if facts is not None and not self._is_welcome(waiting, facts):
            return None
        try:
            response = None if waiting.claim is None else self._contest.replace(waiting.tx, waiting.claim)
            if response is None:
                response = self._app.check_tx(CheckTxRequest(waiting.tx, CheckTxType.NEW))
        except Exception as error:
            self._failure(waiting, error)
            return None
        if response.code:
            self._not_passed(waiting, response)
            return None
        if facts is None and not self._is_welcome(waiting, response):
            return None
        return self._insert(waiting, response)

    def _not_passed(self, waiting: Waiting, response: CheckTxResponse) -> None:
        """The application refuses it. What a peer sends before its time is held, so that nobody need send it again."""
        self.metrics.refused += 1
        peers = [payer for origin, payer in waiting.senders if origin is Origin.PEER]
        if peers and response.may_pass_later:
            is_held = self._hold(waiting, (Origin.PEER, peers[0]))
            self._finish(waiting, response)
            if not is_held:
                self._standings.bad(peers[0], REFUSED, surely=False)
                if waiting.held_height < 0:  # for want of room: when there is some, it is asked for again
                    self._came_to_nothing(waiting)
            return
        if peers:
            self._standings.remember(waiting.key, response, lasting=False)
        for peer in peers:
            self._standings.bad(peer, REFUSED, surely=False)
        self._finish(waiting, response)
        if waiting.held_height >= 0 and waiting.facts is not None:  # it is gone, so it stands before nobody
            self._try_next(waiting.facts.order_key)

    # --------------------------------------------------------------------------------------- before their time

    def _hold(self, waiting: Waiting, sender: tuple[int, str]) -> bool:
        """Keep it in its sender's name until it may pass. False: there is no room, or it was held long enough."""
        since = waiting.held_height if waiting.held_height >= 0 else self._height
        if waiting.facts is None or self._height - since >= HELD_BLOCKS:
            return False
        origin, payer = sender
        source = payer if origin is Origin.PEER else ""
        held = Waiting(waiting.key, waiting.tx, source, origin, payer, [], waiting.facts, since, is_queued=False)
        if not self._held.put(held):
            return False
        self.metrics.held += waiting.held_height < 0
        return True

    def _try_again(self, held: Waiting) -> None:
        self._intake.push_ready(held)
        self._wake.set()

    def _try_next(self, order_key: bytes) -> None:
        """What was before it is admitted, or gone."""
        held = self._held.next_of(order_key) if order_key else None
        if held is not None:
            self._try_again(held)

    # ------------------------------------------------------------------------------------------------ outcomes

    def _finish(self, waiting: Waiting, response: CheckTxResponse) -> None:
        """It is not admitted."""
        if not self._intake.leave(waiting):
            return
        if response.codespace == CODESPACE and response.code in TRY_LATER:
            self._came_to_nothing(waiting)
        for answer in waiting.answers:
            answer(response)

    def _charge(self) -> None:
        self._tell_charges(self._standings.take_charges())

    def _insert(self, waiting: Waiting, facts: CheckTxResponse) -> Entry:
        key, tx, source, order_key = waiting.key, waiting.tx, waiting.source, facts.order_key
        del self._intake.by_key[key]  # it keeps its share
        entry = Entry(
            key, tx, source, self._height, facts, waiting.origin, waiting.payer, data_bytes(len(tx)),
            self.peer_bits.of(source) if source else 0,
        )  # fmt: skip
        for origin, payer in waiting.others:
            if origin is Origin.PEER:
                entry.peers |= self.peer_bits.of(payer)
        if waiting.claim is not None:
            self._make_way(waiting.claim, entry)
        if waiting.claim is None or waiting.claim.replaces is None:
            self._index.insert(entry)
        self.metrics.admitted += 1
        if waiting.held_height >= 0:
            self.metrics.held_admitted += 1
        for answer in waiting.answers:
            answer(facts)
        if order_key and self._held.by_key:
            self._try_next(order_key)
        return entry

    def _make_way(self, claim: Claim, entry: Entry) -> None:
        """Others leave, and are told; it has the place of the one that it replaces."""
        self._contest.granted(claim, entry)
        for gone, why in claim.gone(entry.key):
            self._remove(gone.key)
            if claim.replaces is not None:
                self.metrics.replaced += 1
                self._standings.remember(gone.key, why, lasting=False)
            else:
                self.metrics.displaced += 1
                if gone.origin == Origin.PEER and self._gossip is not None:
                    self._gossip.came_to_nothing(gone.payer, gone.key)
            self._tell_dropped(gone.key, why)
        if claim.replaces is not None:
            self._index.replace(claim.replaces, entry)

    def _remove(self, key: bytes) -> Entry | None:
        entry = self._index.remove(key)
        if entry is not None:
            self._shares.remove(entry.origin, entry.payer, len(entry.tx))
            self._recheck.pop(key, None)
        return entry

    # -------------------------------------------------------------------------------------------------- blocks

    def reap(self, *, bytes_max: int, gas_max: int) -> list[bytes]:
        """For a proposal: see `consensus.mempool.fill`.

        A transaction whose recheck is still due may be among them: prepare_proposal drops what no longer passes.
        """
        if bytes_max < 0:
            bytes_max = self._index.bytes + PROTO_TX_OVERHEAD * len(self._entries)
        first = self._turn.next_of(self._entries, self._height + 1, bytes_max=bytes_max, gas_max=gas_max)
        txs, passed = fill(self._index, first=first, bytes_max=bytes_max, gas_max=gas_max)
        self.metrics.passed_over += passed
        return txs

    def leave(self, txs: Sequence[bytes], results: Sequence[ExecTxResult], keys: Sequence[bytes]) -> Slices[None]:
        """Drop a decided block's transactions (SHA-256: `keys`) in slices, ahead of `update` with the same `txs`."""
        return self._leaving.begin(txs, results, keys, self._recheck, self.config.seen_max)

    def update(
        self, height: int, txs: Sequence[bytes], results: Sequence[ExecTxResult], touched: frozenset[bytes] | None
    ) -> None:
        """A block was committed: drop its transactions and the expired ones, queue the rechecks that it calls for."""
        gone = self._leaving.take(txs)
        if gone is None:
            deque(self.leave(txs, results, [sha256(tx).digest() for tx in txs]), maxlen=0)
            gone = self._leaving.take(txs) or []
        self._height = self._bounds.height = height
        again: set[bytes] = set()
        self.metrics.committed += len(gone)
        for entry in gone:
            if height - entry.height > STARVED_BLOCKS:
                self._turn.took(height, entry, bytes_max=self._data_bytes_max, gas_max=self._bounds.gas_max)
        for expired in self._expired(height):
            again.update(expired.facts.touches)
        self._pace.block(len(txs), self._clock.monotonic_ns(), still_waiting=bool(self._entries))
        self._set_doors()
        self._queue_rechecks(None if touched is None else touched | again if again else touched)
        self._standings.block(begins_anew=touched is None)
        self._contest.block()
        for waiting in self._held.take_all():
            self._try_again(waiting)
        if self._entries:
            self._tell_available()
        self._tell_room()

    def begin_anew(self, height: int, error: Exception) -> None:
        """After an error of ours: all that waits is let go, and who waits for it is told. What is on its way stays."""
        self._height = self._bounds.height = height
        self._recheck.clear()
        self._leaving.forget()
        gone = let_go(self._index, self._shares, self._intake, self._held)
        for entry in gone:
            self._tell_dropped(entry.key, refuse(Refusal.FAILED, "this node lost what waited; its log says why"))
        if self._failed is not None:
            self._failed(error)
        self._contest.let_go(gone)

    def _expired(self, height: int) -> list[Entry]:
        """Drop what no later block may hold."""
        gone = [entry for key in self._index.pop_expired(height) if (entry := self._remove(key)) is not None]
        self.metrics.expired += len(gone)
        for entry in gone:
            text = f"transaction expired at height {entry.facts.expiry_height}; the last block is {height}"
            self._tell_dropped(entry.key, refuse(Refusal.EXPIRED, text))
        return gone

    def _queue_rechecks(self, touched: frozenset[bytes] | None) -> None:
        self._recheck = OrderedDict(self._index.in_order(touched, self._recheck.keys()))
        if self._recheck:
            self._wake.set()

    def _recheck_slice(self, most: int) -> None:
        deadline = self._clock.monotonic_ns() + SLICE_NS
        while self._recheck and (most := most - 1) >= 0:
            entry = self._entries[self._recheck.popitem(last=False)[0]]
            try:
                response = self._app.check_tx(CheckTxRequest(entry.tx, CheckTxType.RECHECK))
            except Exception as error:
                response = self._not_judged(entry, error, "failed to judge a transaction again")
                if self._failed is not None:
                    self._failed(error)
            self.metrics.rechecked += 1
            if response.code:
                self._recheck_failed(entry, response)
            if self._clock.monotonic_ns() >= deadline:
                return

    def _recheck_failed(self, entry: Entry, response: CheckTxResponse) -> None:
        """Drop it; hold it when it may pass once more: one before it may have been dropped or not come yet."""
        self._remove(entry.key)
        self.metrics.recheck_failed += 1
        self._log.info("dropped a transaction", entry.payer, hash=entry.key.hex(), code=response.code, why=response.log)
        if response.may_pass_later:
            origin, payer = entry.origin, entry.payer
            waiting = Waiting(entry.key, entry.tx, entry.source, origin, payer, [], entry.facts, is_queued=False)
            if self._hold(waiting, (origin, payer)):
                return
        self._tell_dropped(entry.key, response)
