"""A chain to be synced, and who syncs it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from typing import Any

import pytest

from consensus.channels import peer_messages as m
from consensus.channels.peer_messages import BLOCK_SYNC_CHANNEL
from consensus.state.results import ExecTxResult
from consensus.state.state import State, next_block_state
from consensus.state.validation import make_block, validate_block
from consensus.sync.blocks import BAN_S, BlockSyncReactor
from consensus.types.block import Block, BlockID, Commit
from consensus.types.commit import CommitSig
from consensus.types.params import ConsensusParams
from consensus.types.parts import PartSet
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, Vote
from crypto.batch import Check, SignatureCache
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from tests.support.gossip.network import FakeHost, FakeNetwork, ManualClock

CHAIN_ID = "sync-chain"


KEYS = [Ed25519PrivKey.from_seed(sha256(b"sync %d" % index)) for index in range(4)]


CHANNELS = frozenset({BLOCK_SYNC_CHANNEL})


def genesis(count: int = 4) -> State:
    validators = ValidatorSet.new((key.pub_key, 10) for key in KEYS[:count])
    return State(
        CHAIN_ID,
        1,
        last_block_time_ns=1_700_000_000 * 10**9,
        validators=validators,
        next_validators=validators.increment(),
        params=ConsensusParams(),
    )


def follow(state: State, block: Block) -> State:
    validate_block(state, block)
    return next_block_state(
        state,
        block_id=block.block_id,
        header=block.header,
        tx_results=[ExecTxResult() for _ in block.txs],
        validator_updates=(),
        param_updates=None,
        app_hash=sha256(b"app" + state.app_hash),
    )


def commit_for(state: State, block: Block) -> Commit:
    slots = []
    for validator in state.validators:
        key = next(key for key in KEYS if key.pub_key.address == validator.address)
        time_ns = block.header.time_ns + 10**9
        vote = Vote(PRECOMMIT, block.height, 0, block.block_id, time_ns, validator.address)
        slots.append(CommitSig(2, validator.address, time_ns, key.sign(vote.sign_bytes(CHAIN_ID))))
    return Commit(block.height, 0, block.block_id, tuple(slots))


@lru_cache(maxsize=2)
def chain(height: int) -> list[Block]:
    """Blocks 1 to `height`."""
    state, commit, blocks = genesis(), Commit(), []
    for number in range(1, height + 1):
        txs = (b"tx %d" % number,)
        proposer = state.validators.proposer_of(0).address
        block = make_block(state, txs=txs, last_commit=commit, evidence=(), proposer_address=proposer)
        commit = commit_for(state, block)
        state = follow(state, block)
        blocks.append(block)
    return blocks


class Blocks:
    """The part of interfaces.BlockStore that serving uses."""

    def __init__(self, blocks: Sequence[Block], base: int = 1) -> None:
        self.blocks = {block.height: block for block in blocks if block.height >= base}

    @property
    def base(self) -> int:
        return min(self.blocks, default=0)

    @property
    def height(self) -> int:
        return max(self.blocks, default=0)

    def load_block_bytes(self, height: int) -> bytes | None:
        return self.blocks[height].encode() if height in self.blocks else None

    def load_extended_commit(self, height: int) -> Any:
        return None


class Driver:
    """Applies blocks by the rules, without an application."""

    def __init__(self, state: State, blocks: Blocks, verifier: Any) -> None:
        self.state, self._blocks, self._verifier = state, blocks, verifier
        self.commits: list[Commit] = []
        self.ahead: list[int] = []  # heights that were verified ahead

    async def verify_ahead(self, block: Block, block_id: BlockID, commit: Commit) -> None:
        assert commit.height == block.height
        self.ahead.append(block.height)

    async def apply_synced_block(
        self, block: Block, block_id: BlockID, parts: PartSet, commit: Commit, *, extended: Any = None
    ) -> State:
        assert parts.is_complete
        assert block_id == block.block_id
        validate_block(self.state, block, verifier=self._verifier)
        await asyncio.sleep(0)
        self.state = follow(self.state, block)
        self._blocks.blocks[block.height] = block
        self.commits.append(commit)
        return self.state


class Sync:
    """A node that starts at genesis, and peers that serve, honestly or not."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.network = FakeNetwork(self.clock)
        self.host = self.network.host("0" * 40)
        self.checked: list[Check] = []
        self.cache = SignatureCache()
        blocks: Any = Blocks([])
        self.driver = Driver(genesis(), blocks, self.verify)
        self.reactor = BlockSyncReactor(self.driver, blocks, self.host, self.clock, verifier=self.verify)
        self.host.install(self.reactor)
        self.peers: list[FakeHost] = []
        self.task: asyncio.Task[int] | None = None

    def verify(self, checks: Sequence[Check]) -> list[bool]:
        fresh = [check for check in checks if check not in self.cache]
        self.checked += fresh
        return self.cache.verify_many(checks)

    def add(self, blocks: Sequence[Block], cls: type[BlockSyncReactor] = BlockSyncReactor, *, base: int = 1) -> Any:
        host = self.network.host(f"{len(self.peers) + 1:040x}")
        store: Any = Blocks(blocks, base)
        driver: Any = None
        reactor = cls(driver, store, host, self.clock, verifier=self.verify)
        host.install(reactor)
        self.peers.append(host)
        self.network.connect(self.host.id, host.id)
        return reactor

    async def run(self, seconds: float) -> int | None:
        """For at most so long; what `run` returned if it did."""
        if self.task is None:
            self.task = asyncio.create_task(self.reactor.run())
        until = self.clock.monotonic_ns() + round(seconds * 10**9)
        while True:
            await self._settle()
            if self.task.done():
                return self.task.result()
            if not self.clock.fire_next(until):
                return None

    async def _settle(self) -> None:
        """Let the task run until it waits for something to happen."""
        assert self.task is not None
        for _ in range(10_000):
            await asyncio.sleep(0)
            waits = any(not waiter.done() for waiter in self.reactor._wake._waiters)
            if waits or self.task.done():
                return
        raise AssertionError("the task never waits: it polls")

    @property
    def height(self) -> int:
        return self.driver.state.last_block_height

    def banned(self) -> set[str]:
        return {id for id, _, ban_s in self.host.dropped if ban_s == BAN_S}


@pytest.fixture
async def sync() -> AsyncIterator[Sync]:
    sync = Sync()
    yield sync
    if sync.task is not None:
        sync.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sync.task


def serving(change: Callable[[Block], bytes]) -> type[BlockSyncReactor]:
    class Forger(BlockSyncReactor):
        def _serve(self, peer: Any, height: int) -> None:
            block = self._blocks.blocks[height]  # type: ignore[attr-defined]
            peer.try_send(BLOCK_SYNC_CHANNEL, m.BlockResponse(change(block)).encode())

    return Forger
