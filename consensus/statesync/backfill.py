"""Headers, commits and sets below a restored state, as far back as evidence may be of (CometBFT v0.38 does without;
Tendermint v0.35, internal/statesync, did it). Without them a node cannot judge evidence, and votes nil on its blocks.

Each header is the one that its successor names; its commit is signed by more than 2/3 of its set. Runs beside
everything else, one question a peer, and goes on where a stop left it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from consensus.formats.errors import InvalidData
from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.base import Network, Peer
from consensus.state.state import State
from consensus.statesync.light_blocks import BAN_S, NoLightBlock, NoReply, PeerLightBlocks
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import Clock, Workers
from consensus.types.commits import Verifier, verify_commit_light
from consensus.types.header import Header
from consensus.types.light import LightBlock

RETRY_S: Final = 5.0
TELL_EVERY_NS: Final = 30 * NS_PER_S
REFUSALS_MAX: Final = 24  # two minutes in which no peer had the next one: then nobody has

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class BackfillMetrics:
    headers: int = 0
    lowest: int = 0  # from there on headers are kept; 0: not looked yet
    wanted: int = 0  # down to which height they are, as far as is known; 0: none is fetched now
    bad: int = 0


class Backfill:
    def __init__(
        self,
        blocks: BlockStore,
        states: StateStore,
        light_blocks: PeerLightBlocks,
        network: Network,
        clock: Clock,
        workers: Workers,
        verifier: Verifier,
    ) -> None:
        self._blocks, self._states, self._light_blocks = blocks, states, light_blocks
        self._network, self._clock, self._workers, self._verifier = network, clock, workers, verifier
        self._lacks: dict[str, int] = {}  # peer id -> a height that it has not, and what is below
        self.metrics = BackfillMetrics()
        self.waits_for = ""  # in words; empty: it goes on, or is over

    async def run(self) -> None:
        """Ends when all is there, or when no peer has more."""
        try:
            await self._run()
        finally:
            self.metrics.wanted, self.waits_for = 0, ""

    async def _run(self) -> None:
        state = self._states.load()
        lowest = self._blocks.lowest_stored()
        self.metrics.lowest = lowest
        if state is None or not lowest or lowest <= state.initial_height or not self._is_wanted(lowest, state):
            return
        above = self._header(lowest)
        refused, began = 0, lowest
        told_ns = self._clock.monotonic_ns()
        log.info("began to fetch the headers that evidence may need", below=lowest)
        while above.height > state.initial_height and self._is_wanted(above.height, state):
            self.metrics.wanted = self._lowest_wanted(above.height, state)
            if self._clock.monotonic_ns() - told_ns >= TELL_EVERY_NS:
                told_ns = self._clock.monotonic_ns()
                log.info("fetching headers", lowest=above.height, wanted=self.metrics.wanted, waits_for=self.waits_for)
            found = await self._ask(above.height - 1)
            kept = await self._keep(above, found, state.chain_id)
            if kept is not None:
                above, refused = kept, 0
                self.metrics.lowest, self.waits_for = above.height, ""
                continue
            refused += 1
            self.waits_for = f"a peer that has header {above.height - 1}"
            if refused >= REFUSALS_MAX:
                log.warning("no peer has older headers: older evidence cannot be judged here", lowest=above.height)
                break
            await self._pause()
            state = self._states.load() or state
        log.info("kept the headers that evidence may need", lowest=above.height, headers=began - above.height)

    def _header(self, height: int) -> Header:
        meta = self._blocks.load_meta(height)
        assert meta is not None, height
        return meta.header

    def _is_wanted(self, height: int, state: State) -> bool:
        """Whether evidence of the height below may still count: it expires by blocks and by time."""
        limits, header = state.params.evidence, self._header(height)
        by_blocks = height - 1 >= state.last_block_height - limits.max_age_num_blocks
        return by_blocks or header.time_ns >= state.last_block_time_ns - limits.max_age_duration_ns

    @staticmethod
    def _lowest_wanted(height: int, state: State) -> int:
        """By blocks; by time it may go deeper, which shows when it is there."""
        by_blocks = state.last_block_height - state.params.evidence.max_age_num_blocks
        return max(state.initial_height, min(by_blocks, height - 1))

    async def _pause(self) -> None:
        wake = asyncio.Event()
        timer = self._clock.call_later(RETRY_S, wake.set)
        try:
            await wake.wait()
        finally:
            timer.cancel()

    async def _ask(self, height: int) -> Sequence[tuple[Peer, LightBlock]]:
        """As many heights downwards as there are peers to ask at once; those before the first that nobody gave."""
        peers = [peer for peer in self._light_blocks.peers if self._lacks.get(peer.id, 0) < height]
        wanted = range(height, max(0, height - len(peers)), -1)
        answers = await asyncio.gather(*map(self._ask_one, peers, wanted))
        found: list[tuple[Peer, LightBlock]] = []
        for answer in answers:
            if answer is None:
                break
            found.append(answer)
        return found

    async def _ask_one(self, peer: Peer, height: int) -> tuple[Peer, LightBlock] | None:
        try:
            return peer, await self._light_blocks.ask(peer, height)
        except NoLightBlock:
            self._lacks[peer.id] = max(height, self._lacks.get(peer.id, 0))
        except NoReply:
            pass
        return None

    async def _keep(self, above: Header, found: Sequence[tuple[Peer, LightBlock]], chain_id: str) -> Header | None:
        """Verify and store them; returns the lowest, None where there is none."""
        kept: Header | None = None
        for peer, block in found:
            try:
                await self._workers.run(partial(self._verify, above, block, chain_id))
            except InvalidData as error:
                self.metrics.bad += 1
                self._network.drop_peer(peer, f"state sync: header {block.height}: {error}", ban_s=BAN_S)
                break
            await self._workers.run_disk(partial(self._store, block, above))
            self.metrics.headers += 1
            above = kept = block.header
        return kept

    def _verify(self, above: Header, block: LightBlock, chain_id: str) -> None:
        """Raises InvalidData."""
        block.validate(chain_id)
        if block.hash != above.last_block_id.hash or block.commit.block_id != above.last_block_id:
            raise InvalidData(f"it hashes to {block.hash.hex()}, the next one says {above.last_block_id.hash.hex()}")
        verify_commit_light(
            chain_id, block.validators, block.commit, block_id=above.last_block_id, height=block.height,
            verifier=self._verifier,
        )  # fmt: skip

    def _store(self, block: LightBlock, above: Header) -> None:
        """A set lies at its lowest height, and now and then between: the sets between are made from it."""
        is_same = above.validators_hash == block.header.validators_hash
        self._states.save_set(block.height, block.validators, replaces=above.height if is_same else 0)
        self._blocks.save_header(block)
