"""Restoring an application from a snapshot that peers have, to the app hash that a light client verified.

`run` asks all peers for their snapshots, takes the best, has the header after it verified, offers it to the application
and fetches its chunks from several peers at once; they are applied in order. A chunk that is refused costs its sender,
another is asked; who is slow, or has no such chunk any more, is asked no more for a while. What peers say decides
nothing but whom to ask: of liars, of an endless list, of peers that vanish there is always a next one, or a wait that
says what for (failure 6). Chunks stay on disk, so that a stop costs nothing that was fetched.
Source: CometBFT v0.38, spec/p2p/legacy-docs/messages/state-sync.md, statesync/syncer.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import structlog

from consensus.abci.interface import (
    Application,
    ApplyChunkResponse,
    ApplyChunkResult,
    InfoRequest,
    OfferSnapshotResult,
    Snapshot,
)
from consensus.channels.state_sync_messages import (
    CHUNK_CHANNEL,
    CHUNK_MESSAGE_BYTES_MAX,
    SNAPSHOT_CHANNEL,
    SNAPSHOT_MESSAGE_BYTES_MAX,
    ChunkRequest,
    ChunkResponse,
    SnapshotsRequest,
)
from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.base import Network, Peer
from consensus.statesync.chunks import ChunkFolder
from consensus.statesync.offers import PER_PEER_MAX, Offer, Offers
from consensus.statesync.progress import Progress, Rate, Stage
from consensus.system.clock import Clock, Workers
from consensus.system.errors import EngineError
from consensus.system.log_limit import LogLimit
from consensus.types.header import BLOCK_PROTOCOL
from consensus.types.light import LightBlock

FETCHERS: Final = 4  # chunks asked for at a time; as upstream
AHEAD_MAX: Final = 16  # chunks that wait for their turn, on disk
CHUNK_TIMEOUT_NS: Final = 10 * NS_PER_S  # then another peer is asked too; as upstream
STALL_NS: Final = 120 * NS_PER_S  # without the next chunk the snapshot is given up; as upstream
ASK_EVERY_NS: Final = 10 * NS_PER_S  # peers for their snapshots
AGAIN_NS: Final = 2 * NS_PER_S  # where nobody has any more what is being fetched
DISCOVERY_S: Final = 5.0  # before the first is chosen
HEADERS_S: Final = 60.0  # for the two headers after the snapshot, which a chain at rest may not have made yet
OTHERS_S: Final = 5.0  # for them where another snapshot is offered: a peer may offer what is of no height of the chain
RETRY_S: Final = 1.0
LATE_S: Final = 300.0
BAN_S: Final = 3_600  # for what no honest node sends: a chunk of another hash, a snapshot that is none
TELL_EVERY_NS: Final = 30 * NS_PER_S
PROGRESS_EVERY_NS: Final = 5 * NS_PER_S  # a line in the log

log = structlog.get_logger(__name__)


class StateSyncFailed(EngineError):
    """It cannot go on, and no peer can be blamed."""


class HeaderUnknown(EngineError):
    """No header of the height can be verified, now: none has it, or who has it cannot be reached."""


class LightSource(Protocol):
    """A light client."""

    async def verify_at(self, height: int) -> LightBlock:
        """Raises HeaderUnknown, StateSyncFailed (there is nothing to trust in any more)."""
        ...


@dataclass(frozen=True, slots=True)
class Restored:
    """The application is at `height`. Light blocks of it and of the two heights after it, verified."""

    height: int
    blocks: tuple[LightBlock, LightBlock, LightBlock]


@dataclass(slots=True)
class StateSyncMetrics:
    """stage: a Stage, as a number."""

    stage: int = Stage.BEGINS
    height: int = 0  # of the snapshot at hand
    chunks: int = 0  # that it has
    chunks_applied: int = 0
    chunks_fetched: int = 0
    bytes_fetched: int = 0
    chunks_resumed: int = 0  # that were here from before a stop
    bad_chunks: int = 0
    refused_snapshots: int = 0
    timeouts: int = 0


@dataclass(slots=True, eq=False)
class _Fetch:
    """Of one snapshot. senders: of the chunks that are here (empty: from before a stop), by index."""

    offer: Offer
    senders: dict[int, str]
    next: int = 0
    asked: dict[int, tuple[Peer, int]] = field(default_factory=dict)  # index -> whom, since when
    late: set[tuple[str, int]] = field(default_factory=set)  # (peer id, index): asked, and given up
    arrived: dict[int, tuple[Peer, bytes]] = field(default_factory=dict)
    shunned: dict[str, int] = field(default_factory=dict)  # peer id -> how often it let us wait, or had none


class StateSync:
    """`run` once, of an application without blocks."""

    def __init__(
        self,
        app: Application,
        light: LightSource,
        folder: ChunkFolder,
        network: Network,
        clock: Clock,
        workers: Workers,
        *,
        discovery_s: float = DISCOVERY_S,
        check_room: Callable[[], None] = lambda: None,
    ) -> None:
        """check_room: called before a chunk is written, for a thread; what it raises ends it. How large a snapshot is
        only its end shows: the bytes beside true roots may be anybody's."""
        self._app, self._light, self._folder = app, light, folder
        self._network, self._clock, self._workers = network, clock, workers
        self._discovery_s, self._check_room = discovery_s, check_room
        self._offers = Offers(folder.snapshot)
        self._fetch: _Fetch | None = None
        self._wake = asyncio.Event()
        self._asked_ns = 0
        self._told = ""
        self._told_ns = 0
        self._progress_told_ns = 0
        self._rate = Rate()
        self._limited = LogLimit(log)
        self.metrics = StateSyncMetrics()

    # ------------------------------------------------------------------------------------------------------ peers

    def add_peer(self, peer: Peer) -> None:
        self._ask_peer(peer)

    def remove_peer(self, peer: Peer) -> None:
        self._offers.remove_peer(peer)
        fetch = self._fetch
        if fetch is not None:
            for index in [index for index, (asked, _) in fetch.asked.items() if asked is peer]:
                del fetch.asked[index]
            fetch.late = {(id, index) for id, index in fetch.late if id != peer.id}
        self._wake.set()

    def _ask_peer(self, peer: Peer) -> None:
        if peer.has_channel(SNAPSHOT_CHANNEL) and peer.try_send(SNAPSHOT_CHANNEL, SnapshotsRequest().encode()):
            self._offers.asked(peer)
            for _ in range(PER_PEER_MAX):
                peer.expect(SNAPSHOT_CHANNEL, SNAPSHOT_MESSAGE_BYTES_MAX, LATE_S)

    def take_offer(self, peer: Peer, snapshot: Snapshot) -> None:
        if not self._offers.add(peer, snapshot):
            peer.useless("a snapshot that was not asked for")
        self._wake.set()

    def take_chunk(self, peer: Peer, response: ChunkResponse) -> None:
        fetch, index = self._fetch, response.index
        if fetch is None or (response.height, response.format) != (
            fetch.offer.snapshot.height,
            fetch.offer.snapshot.format,
        ):
            peer.useless("a chunk of no snapshot that is fetched")
            return
        asked = fetch.asked.get(index)
        if asked is not None and asked[0] is peer:
            del fetch.asked[index]
        elif (peer.id, index) in fetch.late:
            fetch.late.discard((peer.id, index))
        else:
            peer.useless("a chunk that was not asked for")
            return
        self._wake.set()
        if response.missing:
            fetch.shunned[peer.id] = fetch.shunned.get(peer.id, 0) + 1
            fetch.offer.peers.pop(peer.id, None)  # it took its snapshot away: that is no lie
            return
        self.metrics.bytes_fetched += len(response.chunk)
        self._rate.at(self._clock.monotonic_ns(), self.metrics.bytes_fetched)
        if index not in fetch.senders and index not in fetch.arrived and index >= fetch.next:
            fetch.arrived[index] = peer, response.chunk

    def _ban(self, peer: Peer, reason: str) -> None:
        self._offers.refuse_peer(peer)
        self._network.drop_peer(peer, f"state sync: {reason}", ban_s=BAN_S)

    # -------------------------------------------------------------------------------------------------------- run

    async def run(self) -> Restored:
        """Until the application has a verified state. Raises StateSyncFailed."""
        await self._workers.run_disk(self._folder.begin)
        for peer in self._network.peers:
            self._ask_peer(peer)
        self._asked_ns = self._clock.monotonic_ns()
        log.info("began state sync", resumes=self._folder.snapshot is not None)
        self.metrics.stage = Stage.LOOKS
        await self._sleep(self._discovery_s, wakes=False)
        try:
            while True:
                offer = self._offers.best()
                if offer is None:
                    await self._look_for_snapshots()
                elif (restored := await self._try(offer)) is not None:
                    return restored
        finally:
            self._fetch = None

    async def _sleep(self, seconds: float, *, wakes: bool = True) -> None:
        """wakes: until something happens, if that is sooner."""
        wake = self._wake if wakes else asyncio.Event()
        wake.clear()
        timer = self._clock.call_later(seconds, wake.set)
        try:
            await wake.wait()
        finally:
            timer.cancel()

    async def _look_for_snapshots(self) -> None:
        self.metrics.stage, self._fetch = Stage.LOOKS, None
        self._ask_all(self._clock.monotonic_ns(), after_ns=ASK_EVERY_NS)
        self._tell(f"snapshots: none of {len(self._network.peers)} peers offers one that can be used")
        await self._sleep(RETRY_S)

    @property
    def waits_for(self) -> str:
        """In words; empty: nothing."""
        return self._told

    @property
    def progress(self) -> Progress:
        metrics, fetch = self.metrics, self._fetch
        return Progress(
            stage=Stage(metrics.stage), height=metrics.height, chunks=metrics.chunks,
            chunks_applied=metrics.chunks_applied, bytes_fetched=metrics.bytes_fetched,
            bytes_per_s=self._rate.at(self._clock.monotonic_ns(), metrics.bytes_fetched),
            peers=len(self._network.peers if fetch is None else fetch.offer.peers), waits_for=self._told,
        )  # fmt: skip

    def _tell_progress(self, now: int) -> None:
        if now - self._progress_told_ns >= PROGRESS_EVERY_NS:
            self._progress_told_ns = now
            log.info("state sync goes on", progress=self.progress.sentence)

    def _tell(self, what: str) -> None:
        now = self._clock.monotonic_ns()
        if what != self._told or now - self._told_ns >= TELL_EVERY_NS:
            self._told, self._told_ns = what, now
            if what:
                log.warning("state sync waits", waits_for=what)

    async def _try(self, offer: Offer) -> Restored | None:
        """None: this one came to nothing."""
        snapshot = offer.snapshot
        self.metrics.stage, self.metrics.height, self.metrics.chunks = Stage.VERIFIES, snapshot.height, snapshot.chunks
        self.metrics.chunks_applied = 0
        blocks = await self._verify(snapshot.height)
        if blocks is None:
            self._offers.forget(snapshot)
            return None
        app_hash = blocks[1].header.app_hash
        have = await self._workers.run_disk(lambda: self._folder.choose(snapshot))
        result = await self._workers.run(lambda: self._app.offer_snapshot(snapshot, app_hash))
        if result is not OfferSnapshotResult.ACCEPT:
            self._not_accepted(offer, result)
            return None
        log.info(
            "restoring a snapshot", height=snapshot.height, format=snapshot.format, chunks=snapshot.chunks,
            peers=len(offer.peers), here_already=len(have),
        )  # fmt: skip
        self.metrics.chunks_resumed = len(have)
        self._tell("")
        if not await self._restore(_Fetch(offer, dict.fromkeys(have, ""))):
            return None
        self._check_restored(snapshot.height, app_hash)
        log.info(
            "restored a snapshot", height=snapshot.height, chunks=snapshot.chunks, fetched=self.metrics.chunks_fetched,
            bytes=self.metrics.bytes_fetched, app_hash=app_hash.hex(),
        )  # fmt: skip
        return Restored(snapshot.height, blocks)

    async def _verify(self, height: int) -> tuple[LightBlock, LightBlock, LightBlock] | None:
        """The two after it prove the state and name the sets of validators; they may be yet to come."""
        wait_s = HEADERS_S if len(self._offers) == 1 else OTHERS_S
        due = self._clock.monotonic_ns() + int(wait_s * NS_PER_S)
        found: list[LightBlock] = []
        while len(found) < 3:
            try:
                found.append(await self._light.verify_at(height + len(found)))
            except HeaderUnknown as error:
                if self._clock.monotonic_ns() >= due:
                    log.warning("could not verify a header", height=height + len(found), why=str(error))
                    return None
                self._tell(f"header {height + len(found)}: {error}")
                await self._sleep(RETRY_S, wakes=False)
        first, second, third = found
        return first, second, third

    def _not_accepted(self, offer: Offer, result: OfferSnapshotResult) -> None:
        """Raises StateSyncFailed."""
        if result is OfferSnapshotResult.ABORT:
            raise StateSyncFailed("the application does not want to be restored from a snapshot")
        if result is OfferSnapshotResult.REJECT_FORMAT:
            self._offers.refuse_format(offer.snapshot.format)
        self._refuse(offer, f"the application said {result.name}", ban=result is OfferSnapshotResult.REJECT_SENDER)

    def _refuse(self, offer: Offer, why: str, *, ban: bool = False) -> None:
        self.metrics.refused_snapshots += 1
        self._fetch = None
        log.warning("refused a snapshot", height=offer.snapshot.height, hash=offer.snapshot.hash.hex(), why=why)
        offered = self._offers.refuse(offer.snapshot) + list(offer.peers.values())
        for peer in {peer.id: peer for peer in offered}.values():
            if ban:
                self._ban(peer, f"its snapshot of height {offer.snapshot.height}: {why}")

    def _check_restored(self, height: int, app_hash: bytes) -> None:
        info = self._app.info(InfoRequest("", BLOCK_PROTOCOL, 8))
        if (info.last_block_height, info.last_block_app_hash) != (height, app_hash):
            raise StateSyncFailed(
                f"the application restored height {info.last_block_height} with the hash "
                f"{info.last_block_app_hash.hex()}, the headers say {height} and {app_hash.hex()}"
            )

    # ------------------------------------------------------------------------------------------------------ chunks

    async def _restore(self, fetch: _Fetch) -> bool:
        """Fetch and apply all chunks. False: the snapshot was refused. Raises StateSyncFailed."""
        self._fetch = fetch
        self.metrics.stage = Stage.FETCHES
        progress_ns = self._clock.monotonic_ns()
        while fetch.next < fetch.offer.snapshot.chunks:
            await self._store_arrived(fetch)
            now = self._clock.monotonic_ns()
            self._tell_progress(now)
            self._expire(fetch, now)
            self._ask(fetch, now)
            if fetch.next in fetch.senders:
                response = await self._apply(fetch, fetch.next)
                if not await self._obey(fetch, response):
                    return False
                progress_ns = self._clock.monotonic_ns()
            elif now - progress_ns >= STALL_NS:
                self._refuse(fetch.offer, f"chunk {fetch.next} did not come for {STALL_NS // NS_PER_S} s")
                await self._workers.run_disk(self._folder.forget)
                return False
            elif not fetch.arrived:
                if not fetch.offer.peers and not self._find_again(fetch, now):
                    return False
                await self._sleep(RETRY_S)
        return True

    def _find_again(self, fetch: _Fetch, now: int) -> bool:
        """Nobody has this snapshot any more: they took it away for a newer one, or left. False: there is another."""
        self._tell(f"a peer that has the snapshot of height {fetch.offer.snapshot.height}")
        self._ask_all(now, after_ns=AGAIN_NS)
        again = self._offers.best()
        if again is None:
            return True
        if again.snapshot != fetch.offer.snapshot:
            log.info("nobody has the snapshot any more: taking another", height=fetch.offer.snapshot.height)
            return False
        fetch.offer = again
        return True

    def _ask_all(self, now: int, *, after_ns: int) -> None:
        """All peers for their snapshots, if that is so long ago."""
        if now - self._asked_ns >= after_ns:
            self._asked_ns = now
            for peer in self._network.peers:
                self._ask_peer(peer)

    async def _store_arrived(self, fetch: _Fetch) -> None:
        while fetch.arrived:
            index, (peer, chunk) = fetch.arrived.popitem()
            await self._workers.run_disk(self._check_room)
            await self._workers.run_disk(partial(self._folder.put, index, chunk))
            fetch.senders[index] = peer.id
            self.metrics.chunks_fetched += 1
            peer.useful()

    def _expire(self, fetch: _Fetch, now: int) -> None:
        for index, (peer, since_ns) in list(fetch.asked.items()):
            if now - since_ns >= CHUNK_TIMEOUT_NS:
                del fetch.asked[index]
                fetch.late.add((peer.id, index))
                fetch.shunned[peer.id] = fetch.shunned.get(peer.id, 0) + 1
                self.metrics.timeouts += 1
                self._limited.info("a peer is slow to send a chunk", peer.id, chunk=index)

    def _ask(self, fetch: _Fetch, now: int) -> None:
        """Spread over those that have it; who let us wait comes last."""
        end = min(fetch.offer.snapshot.chunks, fetch.next + AHEAD_MAX)
        for index in range(fetch.next, end):
            if len(fetch.asked) >= FETCHERS:
                return
            if index in fetch.senders or index in fetch.arrived or index in fetch.asked:
                continue
            busy = [peer.id for peer, _ in fetch.asked.values()]
            order = sorted(
                fetch.offer.peers.values(), key=lambda it: (fetch.shunned.get(it.id, 0), busy.count(it.id), it.id)
            )
            request = ChunkRequest(fetch.offer.snapshot.height, fetch.offer.snapshot.format, index).encode()
            for peer in order:
                if (peer.id, index) not in fetch.late and peer.try_send(CHUNK_CHANNEL, request):
                    peer.expect(CHUNK_CHANNEL, CHUNK_MESSAGE_BYTES_MAX, LATE_S)
                    fetch.asked[index] = peer, now
                    break

    async def _apply(self, fetch: _Fetch, index: int) -> ApplyChunkResponse:
        if index == fetch.offer.snapshot.chunks - 1:  # seconds, of a large state
            self.metrics.stage = Stage.BUILDS
            log.info("state sync goes on", progress=self.progress.sentence)

        def work() -> ApplyChunkResponse:
            return self._app.apply_snapshot_chunk(index, self._folder.get(index), fetch.senders[index])

        return await self._workers.run(work)

    async def _obey(self, fetch: _Fetch, response: ApplyChunkResponse) -> bool:
        """What the application says of a chunk. False: the snapshot is refused. Raises StateSyncFailed."""
        snapshot = fetch.offer.snapshot
        for index in response.refetch_chunks:
            fetch.senders.pop(index, None)
            await self._workers.run_disk(partial(self._folder.drop, index))
        for sender in filter(None, response.reject_senders):
            self.metrics.bad_chunks += 1
            await self._reject_sender(fetch, sender)
        match response.result:
            case ApplyChunkResult.ACCEPT:
                fetch.next += 1
                self.metrics.chunks_applied = fetch.next
                self._tell("")
                if fetch.next == snapshot.chunks:
                    log.info("applied chunks", height=snapshot.height, applied=fetch.next, of=snapshot.chunks)
                return True
            case ApplyChunkResult.RETRY:
                self.metrics.stage = Stage.FETCHES
                return True
            case ApplyChunkResult.RETRY_SNAPSHOT:
                self._fetch = None
                return False  # it is offered again
            case ApplyChunkResult.REJECT_SNAPSHOT:
                self._refuse(fetch.offer, "it is not what it said", ban=True)
                await self._workers.run_disk(self._folder.forget)
                return False
            case ApplyChunkResult.ABORT:
                raise StateSyncFailed(f"the application refused to go on at chunk {fetch.next} of {snapshot.chunks}")

    async def _reject_sender(self, fetch: _Fetch, sender: str) -> None:
        """What else it sent, and was not applied yet, is fetched again from others."""
        for index in [index for index, id in fetch.senders.items() if id == sender and index >= fetch.next]:
            del fetch.senders[index]
            await self._workers.run_disk(partial(self._folder.drop, index))
        peer = fetch.offer.peers.pop(sender, None) or next((p for p in self._network.peers if p.id == sender), None)
        if peer is not None:
            self._ban(peer, "a chunk that is not of the snapshot")
