"""Executing a home's blocks again from genesis, beside its databases, and holding each outcome against the chain.

What a node holds is what its build made of the blocks; whether this build, on this machine, makes the same of them is
asked here. Every header must follow from what was executed before it (app hash, results, validators, parameters), and
every commit be signed. The node's own databases are only read, from copies; what is made lies in `replay/` beside
them, and is what a home would have that executed everything: after an interruption it is taken up again, and an
operator may put it in the place of `state` and `app`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from chain.state.errors import StateError
from chain.state.roots import STORE_NAMES
from chain.state.store import NO_VERSION, Stores
from chain.state.view import View
from chain.upgrade.module import UpgradeOptions
from consensus.abci.interface import HaltRequested, InfoRequest, Slices
from consensus.documents.genesis import GenesisDoc
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor
from consensus.execution.handshake import P2P_PROTOCOL, begin
from consensus.formats.errors import InvalidData
from consensus.state.results import ExecTxResult
from consensus.state.state import State
from consensus.state.validation import HeaderMismatch
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import LoopClock, ThreadWorkers
from consensus.types.block import Block
from consensus.types.header import BLOCK_PROTOCOL, Header
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from dchat.home.files import put_in_place
from dchat.home.home import Home
from dchat.home.version import build_version
from dchat.upkeep.copies import Copy, hold_databases
from dchat.upkeep.errors import UpkeepError
from genesis.digest import genesis_digest
from storage.kv import KeyValueStore, Reader, Write
from storage.open import open_store
from storage.options import StoreOptions

FOLDER: Final = "replay"  # beside the databases
MADE: Final = ("state", "app")
GENESIS_KEY: Final = b"g"  # as a node notes it in its `state`
KEYS_SHOWN: Final = 5  # of a store that differs
OWN_WORD: Final = (
    "no header after it is here, so what stands for the chain is what this node itself made of it; where that was "
    "wrong, `dchat rollback` takes the block back"
)
RESULTS, APP_HASH = "the hash of the results", "the app hash"


@dataclass(frozen=True, slots=True)
class Progress:
    """height: executed, and as the chain has it. of: the last one. txs: since this call began."""

    height: int
    of: int
    txs: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The first height whose outcome is not the chain's. what: which hash; where: which transaction or store, as far as
    this node keeps what to compare with."""

    height: int
    what: str
    chain: str
    replayed: str
    where: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = (
            f"block {self.height}: {self.what} is {self.chain} on the chain, {self.replayed} when it is executed again"
        )
        return "; ".join((text, *self.where))


@dataclass(slots=True)
class Report:
    """resumed: the height after which this call went on. stopped: why the last block was not reached."""

    first: int
    last: int
    resumed: int = 0
    height: int = 0
    txs: int = 0
    app_hash: str = ""
    difference: Difference | None = None
    stopped: str = ""

    @property
    def is_same(self) -> bool:
        """Every block's outcome is the chain's."""
        return self.difference is None and self.height == self.last


class _Unsynced:
    """A store that leaves it to the system when its writes reach the disk: it can be made again."""

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    def write(self, batch: Sequence[Write], *, sync: bool = False) -> None:
        self._store.write(batch)

    def get(self, key: bytes) -> bytes | None:
        return self._store.get(key)

    def scan(
        self, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self._store.scan(start, stop, reverse=reverse)

    def snapshot(self) -> Reader:
        return self._store.snapshot()

    def compact(self, start: bytes, stop: bytes) -> None:
        self._store.compact(start, stop)

    def size_bytes(self, start: bytes, stop: bytes) -> int:
        return self._store.size_bytes(start, stop)

    def close(self) -> None:
        """All of it is on disk then."""
        self._store.write([], sync=True)
        self._store.close()


class _NoPool:
    """A mempool that nobody sends to."""

    size = 0

    def reap(self, *, bytes_max: int, gas_max: int) -> list[bytes]:
        return []

    def leave(self, txs: Sequence[bytes], results: Sequence[ExecTxResult], keys: Sequence[bytes]) -> Slices[None]:
        yield from ()

    def update(
        self, height: int, txs: Sequence[bytes], results: Sequence[ExecTxResult], touched: frozenset[bytes] | None
    ) -> None:
        pass

    def begin_anew(self, height: int, error: Exception) -> None:
        raise error

    def on_available(self, callback: Callable[[], None]) -> None:
        pass


async def replay(
    home: Home, copy: Copy, genesis: GenesisDoc, *, told: Callable[[Progress], None], options: UpgradeOptions | None
) -> Report:
    """Execute the copy's blocks, from the first or from where the last call stopped. Blocks execute as on a node: on
    the loop, signatures in threads.

    Raises UpkeepError (blocks are pruned, or of another chain), EngineError, StorageError, StateError.
    """
    blocks, known = BlockStore(copy.blocks), StateStore(copy.state)
    state = known.load()
    if state is None or not state.last_block_height:
        raise UpkeepError(f"{home.databases}: there is no block yet")
    if state.chain_id != genesis.chain_id:
        raise UpkeepError(f"the blocks are of chain {state.chain_id!r}, the genesis of {genesis.chain_id!r}")
    if blocks.base > genesis.initial_height:
        raise UpkeepError(
            f"the chain begins at height {genesis.initial_height}, and the earliest block here is {blocks.base}: the "
            "others were pruned, or never here (state sync), and none can be executed without those before it. Replay "
            "on a node that keeps all ([database] pruning = nothing); `dchat database verify` looks at what is here"
        )
    workers, folder = ThreadWorkers(), home.databases / FOLDER
    try:
        made = _Made.open(folder, genesis, blocks)
        try:
            return await _Run(copy, blocks, known, state, made, workers, options).go(genesis, told)
        finally:
            made.close()
    finally:
        workers.close()


@dataclass(slots=True)
class _Made:
    """What the replay has written so far."""

    state: KeyValueStore
    app: KeyValueStore

    @staticmethod
    def open(folder: Path, genesis: GenesisDoc, blocks: BlockStore) -> _Made:
        """What an earlier call left is taken up where it is whole and of these blocks, else it is made anew."""
        made = _Made._opened(folder)
        states, stores, digest = StateStore(made.state), Stores(made.app), genesis_digest(genesis)
        state = states.load()
        height = 0 if state is None else state.last_block_height
        meta = blocks.load_meta(height) if blocks.base <= height <= blocks.height else None
        is_good = (
            state is not None
            and meta is not None
            and made.state.get(GENESIS_KEY) == digest
            and (state.last_block_id, stores.latest_version, stores.app_hash)
            == (meta.block_id, state.last_block_height, state.app_hash)
        )
        if not is_good and (state is not None or stores.latest_version != NO_VERSION):
            made.close()
            shutil.rmtree(folder)
            made = _Made._opened(folder)
        made.state.write([(GENESIS_KEY, digest)])
        return made

    @staticmethod
    def _opened(folder: Path) -> _Made:
        return _Made(*(_Unsynced(open_store("leveldb", folder / name, StoreOptions())) for name in MADE))

    def close(self) -> None:
        for store in (self.state, self.app):
            store.close()


class _Run:
    def __init__(
        self, copy: Copy, blocks: BlockStore, known: StateStore, end: State, made: _Made, workers: ThreadWorkers,
        options: UpgradeOptions | None,
    ) -> None:  # fmt: skip
        self._blocks, self._known, self._end, self._kept = blocks, known, end, Stores(copy.app)
        states = StateStore(made.state)
        self._app = DchatApplication(Stores(made.app), upgrade_options=options, check_build=False)
        evidence = EvidencePool(made.state, blocks, states, workers=workers)
        self._executor = BlockExecutor(
            self._app, blocks, states, pool=_NoPool(), evidence=evidence, workers=workers, clock=LoopClock(),
            signatures=evidence.signatures,
        )  # fmt: skip

    async def go(self, genesis: GenesisDoc, told: Callable[[Progress], None]) -> Report:
        report = Report(genesis.initial_height, self._end.last_block_height)
        state = self._executor.states.load()
        if state is None or not state.last_block_height:
            info = self._app.info(InfoRequest(build_version(), BLOCK_PROTOCOL, P2P_PROTOCOL))
            state = begin(genesis, self._executor, info)
        report.resumed = report.height = state.last_block_height
        try:
            for height in range(state.next_height, report.last + 1):
                self._executor.check_halt(height)
                block = self._load(height)
                found = await self._execute(state, block)
                if isinstance(found, Difference):
                    report.difference = found
                    break
                state, report.height, report.txs = found, height, report.txs + len(block.txs)
                told(Progress(height, report.last, report.txs))
        except HaltRequested as halt:
            report.stopped = str(halt)
        finally:
            await self._executor.close()
        report.app_hash = state.app_hash.hex()
        return report

    def _load(self, height: int) -> Block:
        """Raises UpkeepError; StoreCorrupted."""
        block = self._blocks.load_block(height)
        if block is None:
            raise UpkeepError(f"block {height} is not stored: `dchat database verify` says what else is missing")
        self._blocks.load_parts(height)  # holds all of its bytes against what was voted for
        return block

    async def _execute(self, state: State, block: Block) -> State | Difference:
        height, meta = block.height, self._blocks.load_meta(block.height)
        assert meta is not None, height
        try:
            await self._executor.check(state, block, is_stored=True)
        except HeaderMismatch as error:
            return Difference(height, f"the header's {error.field}", _shown(error.got), _shown(error.expected))
        except InvalidData as error:
            return Difference(height, "the block", "as it is stored", f"refused: {error}")
        await self._executor.process(state, block)  # its signatures are verified in threads
        after = await self._executor.apply(state, block, meta.block_id)
        return self._compared(after) or after

    def _compared(self, after: State) -> Difference | None:
        """The state after a block with what the header of the next block says, or the node's own state, of the last."""
        height, end = after.last_block_height, self._end
        pairs: tuple[tuple[str, bytes, bytes], ...]
        if height < end.last_block_height:
            header = self._header(height + 1)
            pairs = (
                (RESULTS, header.last_results_hash, after.last_results_hash),
                (APP_HASH, header.app_hash, after.app_hash),
                ("the hash of the next validators", header.validators_hash, after.validators.hash),
                ("the hash of the validators after these", header.next_validators_hash, after.next_validators.hash),
                ("the hash of the parameters", header.consensus_hash, after.params.hash),
            )
        else:
            pairs = (
                (RESULTS, end.last_results_hash, after.last_results_hash),
                (APP_HASH, end.app_hash, after.app_hash),
                ("the hash of the next validators", end.validators.hash, after.validators.hash),
                ("the hash of the validators after these", end.next_validators.hash, after.next_validators.hash),
                ("the hash of the parameters", end.params.hash, after.params.hash),
            )
        for what, chain, replayed in pairs:
            if chain != replayed:
                own = (OWN_WORD,) if height == end.last_block_height else ()
                where = (*self._results_that_differ(height), *self._stores_that_differ(height), *own)
                return Difference(height, what, chain.hex(), replayed.hex(), where)
        return None

    def _header(self, height: int) -> Header:
        meta = self._blocks.load_meta(height)
        if meta is None:
            raise UpkeepError(f"block {height} is not stored: `dchat database verify` says what else is missing")
        return meta.header

    def _results_that_differ(self, height: int) -> Iterator[str]:
        """The first transaction whose result is another than the one that this node has stored."""
        known, made = self._known.load_response(height), self._executor.states.load_response(height)
        block = self._blocks.load_block(height)
        if known is None or made is None or block is None:
            return
        for index, (one, other) in enumerate(zip(known.tx_results, made.tx_results, strict=False)):
            if one.deterministic_bytes() != other.deterministic_bytes():
                yield (
                    f"transaction {index} of it, {sha256(block.txs[index]).hex()}, had {_result(one)}, and has "
                    f"{_result(other)} now"
                )
                return

    def _stores_that_differ(self, height: int) -> Iterator[str]:
        """Where this node keeps its own version of the height: which of the three, and in which keys."""
        try:
            kept = self._kept.at(height)
        except StateError:
            yield f"this node's own state of height {height} is not kept: which store differs is not known"
            return
        made = self._app.stores.at()
        for name in STORE_NAMES:
            if kept.roots[name] != made.roots[name]:
                keys = [key.hex() for key in islice(_keys_that_differ(kept, made, name), KEYS_SHOWN)]
                yield f"store {name} differs, first in the keys {', '.join(keys)}"


def _keys_that_differ(one: View, other: View, store: str) -> Iterator[bytes]:
    """Ascending; both are read once, side by side."""
    mine, theirs = one.scan(store), other.scan(store)
    a, b = next(mine, None), next(theirs, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a[0] < b[0]):
            assert a is not None
            yield a[0]
            a = next(mine, None)
        elif a is None or b[0] < a[0]:
            yield b[0]
            b = next(theirs, None)
        else:
            if a[1] != b[1]:
                yield a[0]
            a, b = next(mine, None), next(theirs, None)


def _result(result: ExecTxResult) -> str:
    return f"code {result.code}, gas {result.gas_used} of {result.gas_wanted}"


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def take_over(home: Home) -> Path:
    """Take the state that a whole replay made for the home's own; returns the folder where that is now.

    The caller holds the home, and it was held since the copy was taken. Blocks, log and record of signing stay. Raises
    UpkeepError, OSError; a stop in between is finished by the next who holds the home.
    """
    with hold_databases(home.databases):
        aside = put_in_place(home.databases, home.databases / FOLDER)
    assert aside is not None
    return aside


def forget(home: Home) -> None:
    """Remove what a replay made."""
    shutil.rmtree(home.databases / FOLDER, ignore_errors=True)
