"""Rehearsing an upgrade on a copy of a node's own state, and going back a height.

The build that runs this is the new one. It copies the databases while the node may be running, takes the copy back some
blocks, carries out the upgrade there, and executes the blocks after it again by the new rules. The node's own files are
only read.
Source: known failures 16 and 17.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from chain.state.store import Stores
from chain.upgrade.plan import Plan
from consensus.abci.requests import block_request
from consensus.execution.rollback import rollback as rollback_engine
from consensus.formats.units import NS_PER_MS
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.types.validators import EMPTY_SET
from dchat.app.app import DchatApplication
from dchat.config import Config
from dchat.home.home import REHEARSAL_PREFIX, Home
from dchat.node.errors import RehearsalFailed
from storage.errors import StorageError
from storage.kv import KeyValueStore
from storage.open import open_store
from storage.options import StoreOptions

T = TypeVar("T")

COPY_TRIES: Final = 5  # the running node may delete a table between two of our steps
DATABASES: Final = ("app", "state", "blocks")  # in this order: what the application has, the later copies have too


# ------------------------------------------------------------------------------ copying a live database


def copy_database(source: Path, target: Path) -> None:
    """Copy a LevelDB that another process may be writing to. Raises RehearsalFailed.

    Tables never change: they are linked (or copied) first, and again after the small files that name them. The log's
    torn tail, if any, is cut when the copy is opened.
    """
    for _ in range(COPY_TRIES):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        try:
            _take_tables(source, target)
            for path in sorted(source.iterdir()):
                if path.suffix not in (".ldb", ".sst") and path.name != "LOCK":
                    shutil.copyfile(path, target / path.name)
            _take_tables(source, target)
            open_store("leveldb", target, StoreOptions()).close()
        except (OSError, StorageError):
            continue
        return
    raise RehearsalFailed(f"{source} changed under each of {COPY_TRIES} copies; try again, or stop the node first")


def _take_tables(source: Path, target: Path) -> None:
    for path in source.iterdir():
        if path.suffix in (".ldb", ".sst") and not (target / path.name).exists():
            try:
                os.link(path, target / path.name)
            except OSError:
                shutil.copyfile(path, target / path.name)


@dataclass
class Copy:
    """Opened copies of a node's three databases in a folder of their own."""

    folder: Path
    app: KeyValueStore
    state: KeyValueStore
    blocks: KeyValueStore

    @staticmethod
    def of(home: Home, config: Config, folder: Path) -> Copy:
        """Raises RehearsalFailed, StorageError."""
        if config.database.backend != "leveldb":
            raise RehearsalFailed("only databases on disk can be copied")
        for name in DATABASES:
            if not (home.databases / name).is_dir():
                raise RehearsalFailed(f"{home.databases / name} is missing: this home has no state yet")
            copy_database(home.databases / name, folder / name)
        return Copy(folder, *(open_store("leveldb", folder / name, StoreOptions()) for name in DATABASES))

    def close(self) -> None:
        for store in (self.app, self.state, self.blocks):
            store.close()


# ------------------------------------------------------------------------------ the rehearsal


@dataclass
class Report:
    """height: the copy's. upgraded_at: where the plan was put. changed: transactions whose code differs now."""

    name: str
    height: int
    upgraded_at: int = 0
    versions_before: dict[str, int] | None = None
    versions_after: dict[str, int] | None = None
    copy_ms: int = 0
    upgrade_ms: int = 0  # the block at the upgrade's height: migrations, and the trees over what they wrote
    replayed: int = 0
    replay_ms: int = 0
    slowest_block_ms: int = 0
    txs: int = 0
    txs_changed: int = 0
    broken: list[str] | None = None  # invariants that do not hold, with their figures
    app_hash: str = ""

    @property
    def is_good(self) -> bool:
        return not self.broken

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.is_good, **asdict(self)}


def rehearse(
    name: str, home: Home, config: Config, *, blocks: int, parent: Path | None = None, say: Callable[[str], None]
) -> Report:
    """Copy, go back, upgrade, replay; the copy is removed afterwards. blocks: to execute again after the upgrade.

    parent: where the copy is made; None: beside the data, where tables can be linked. Raises RehearsalFailed, and what
    the migrations raise.
    """
    started = time.monotonic_ns()
    beside = parent or home.databases
    _remove_remains(beside)
    with tempfile.TemporaryDirectory(prefix=f"{REHEARSAL_PREFIX}{os.getpid()}-", dir=beside) as folder:
        copy = Copy.of(home, config, Path(folder))
        try:
            report = Report(name, 0, copy_ms=_ms_since(started))
            _rehearse(report, copy, blocks, say)
            return report
        finally:
            copy.close()


def _remove_remains(beside: Path) -> None:
    """Copies of rehearsals that were killed."""
    for folder in beside.glob(f"{REHEARSAL_PREFIX}*-*"):
        pid = folder.name.removeprefix(REHEARSAL_PREFIX).partition("-")[0]
        if pid.isdigit() and not _is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _rehearse(report: Report, copy: Copy, blocks: int, say: Callable[[str], None]) -> None:
    stores = Stores(copy.app)
    block_store, states = BlockStore(copy.blocks), StateStore(copy.state)
    report.height = latest = stores.latest_version
    first = max(latest - blocks + 1, stores.earliest_version + 1, block_store.base, 1)
    if first > latest:
        raise RehearsalFailed(f"the state is at {latest} and no block after its oldest version is stored")
    stores.rollback(first - 1)
    app = DchatApplication(stores, check_build=False)
    if report.name not in app.upgrader.handlers:
        known = ", ".join(sorted(app.upgrader.handlers)) or "none"
        raise RehearsalFailed(f"this build does not know the upgrade {report.name!r}; it knows: {known}")
    report.versions_before = app.module_versions
    report.upgraded_at = first
    say(f"copied the state of height {latest}; upgrading at height {first}, then executing {latest - first + 1} blocks")
    app.rehearse(Plan(report.name, first))
    for height in range(first, latest + 1):
        _replay(report, app, block_store, states, height)
    report.versions_after = app.module_versions
    say("checking the invariants")
    report.broken = [f"{what}: {figures}" for what, holds, figures in app.invariants() if not holds]
    report.app_hash = stores.app_hash.hex()


def _replay(report: Report, app: DchatApplication, blocks: BlockStore, states: StateStore, height: int) -> None:
    block = blocks.load_block(height)
    validators = states.load_validators(height - 1) or EMPTY_SET
    if block is None:
        raise RehearsalFailed(f"block {height} is not stored")
    started = time.monotonic_ns()
    response = _drain(app.finalize_block(block_request(block, validators)))
    app.commit()
    took = _ms_since(started)
    if height == report.upgraded_at:
        report.upgrade_ms = took
    else:
        report.replay_ms += took
        report.slowest_block_ms = max(report.slowest_block_ms, took)
    report.replayed += 1
    before = states.load_results(height) or ()
    report.txs += len(response.tx_results)
    report.txs_changed += sum(old.code != new.code for old, new in zip(before, response.tx_results, strict=False))


def _drain(slices: Generator[None, None, T]) -> T:
    while True:
        try:
            next(slices)
        except StopIteration as stop:
            answer: T = stop.value
            return answer


def _ms_since(started_ns: int) -> int:
    return (time.monotonic_ns() - started_ns) // NS_PER_MS


# ------------------------------------------------------------------------------ going back


def rollback(home: Home, config: Config) -> tuple[int, str]:
    """Take engine and application back one height; returns the height and its app hash. The node must not run.

    The block stays: the next start executes it again. Raises RollbackError, StorageError, StateError.
    """
    options = StoreOptions()
    opened = {name: open_store(config.database.backend, home.databases / name, options) for name in DATABASES}
    try:
        state = rollback_engine(opened["state"], BlockStore(opened["blocks"]), StateStore(opened["state"]))
        stores = Stores(opened["app"])
        if stores.latest_version > state.last_block_height:
            stores.rollback(state.last_block_height)
        return state.last_block_height, stores.app_hash.hex()
    finally:
        for store in opened.values():
            store.close()
