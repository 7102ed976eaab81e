"""Rehearsing on a copy of a node's own state: an upgrade, or only that this build opens what another one has.

The build that runs this is the new one. It copies the databases while the node may be running, takes the copy back some
blocks, carries out the upgrade there, and executes the blocks after it again by the new rules. The node's own files are
only read.
Source: known failures 16 and 17.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import structlog

from chain.state.store import Stores
from chain.upgrade.plan import DONE_NAME, Plan
from consensus.abci.interface import HaltRequested
from consensus.abci.requests import block_request
from consensus.documents.genesis import GenesisDoc
from consensus.formats.units import NS_PER_MS
from consensus.p2p.conn.node_key import NodeKey
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.errors import EngineError
from consensus.system.handed import Handed
from consensus.types.validators import EMPTY_SET
from crypto.keys import Ed25519PrivKey
from dchat.app.app import DchatApplication
from dchat.config import Config
from dchat.home.errors import CannotTakeOver, HomeError
from dchat.home.home import REHEARSAL_PREFIX, Home
from dchat.node.errors import RehearsalFailed
from dchat.node.readiness import check_upgrade
from dchat.node.runtime import Node
from dchat.node.upgrade import Swap, options_of
from dchat.upkeep.copies import Copy, remove_remains
from dchat.upkeep.errors import UpkeepError
from storage.errors import StorageError

T = TypeVar("T")

log = structlog.get_logger(__name__)


# ------------------------------------------------------------------------------ of opening


async def rehearse_opening(home: Home, config: Config, genesis: GenesisDoc, swap: Swap | None) -> None:
    """Open a copy of what another process has open, as a node does that is about to take over, and close it again.

    Whether this build can is known before anybody waits for it, and what Python does once for each program is done. The
    node is given a key of its own that nobody knows: whatever it did, it could sign nothing for this validator.
    Raises CannotTakeOver: it cannot be opened; DoesNotKnow: the upgrade binary is none for its upgrade. Where no copy
    can be made that is said, and nothing is known.
    """
    remove_remains(home.databases)
    with tempfile.TemporaryDirectory(prefix=f"{REHEARSAL_PREFIX}{os.getpid()}-", dir=home.databases) as folder:
        try:
            Copy.of(home, config, Path(folder)).close()
        except (UpkeepError, StorageError, OSError) as error:
            log.warning("takes over without a rehearsal: no copy could be made", reason=str(error))
            return
        try:
            node = await Node.open(
                replace(home, data=Path(folder), databases=Path(folder)), config, genesis,
                node_key=NodeKey.generate(), validator_key=Ed25519PrivKey.from_seed(secrets.token_bytes(32)),
                fatal=lambda code, line: None, upgrade_options=options_of(config, swap), handed=Handed(),
            )  # fmt: skip
            try:
                await check_upgrade(node, swap)
            finally:
                await node.close_at_rest()
        except (HaltRequested, HomeError, EngineError, StorageError) as error:
            raise CannotTakeOver(f"this build cannot open what the process on {home.root} has: {error}") from None


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
    remove_remains(beside)
    with tempfile.TemporaryDirectory(prefix=f"{REHEARSAL_PREFIX}{os.getpid()}-", dir=beside) as folder:
        copy = Copy.of(home, config, Path(folder))
        try:
            report = Report(name, 0, copy_ms=_ms_since(started))
            _rehearse(report, copy, blocks, say)
            return report
        finally:
            copy.close()


def _rehearse(report: Report, copy: Copy, blocks: int, say: Callable[[str], None]) -> None:
    stores = Stores(copy.app)
    block_store, states = BlockStore(copy.blocks), StateStore(copy.state)
    report.height = latest = stores.latest_version
    first = max(latest - blocks + 1, stores.earliest_version + 1, block_store.base, 1)
    if first > latest:
        raise RehearsalFailed(f"the state is at {latest} and no block after its oldest version is stored")
    done = DchatApplication(stores, check_build=False).base.get(DONE_NAME + report.name.encode())
    if done is not None:
        since = f"at height {int.from_bytes(done)}" if any(done) else "from its genesis on"
        raise RehearsalFailed(f"there is nothing to do: the chain has the upgrade {report.name!r} {since}")
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
