"""The snapshot that an application restores itself from: chunks in order, each held against its hash, then everything.

Source: docs/state-sync.md; CometBFT v0.38, spec/abci/abci++_methods.md (OfferSnapshot, ApplySnapshotChunk).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from chain.kernel.branch import Base
from chain.kernel.modules import Modules
from chain.state.errors import InvalidSnapshot, StateError
from chain.state.snapshot import CHUNK_BYTES_MAX, FORMAT, Manifest, Restore
from chain.state.store import Stores
from consensus.abci.interface import ApplyChunkResponse, ApplyChunkResult, OfferSnapshotResult, Snapshot
from crypto.hash import sha256
from dchat.app.snapshots import beside
from storage.errors import StorageError

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Restorer:
    """An application's side of state sync: offer_snapshot and apply_snapshot_chunk. `restored` says that it is done.

    check_room: asked in each slice while the trees are built, which takes as much of the disk again as the chunks did;
    what it raises ends the restore, and leaves stores that open as empty ones.
    """

    stores: Stores
    modules: Modules
    check_room: Callable[[], None] = lambda: None
    restored: bool = False
    _manifest: Manifest | None = field(default=None, repr=False)
    _restore: Restore | None = field(default=None, repr=False)

    def offer(self, snapshot: Snapshot, app_hash: bytes) -> OfferSnapshotResult:
        """app_hash: what a light client verified for the snapshot's height. Empties the stores when it accepts."""
        if snapshot.format != FORMAT:
            return OfferSnapshotResult.REJECT_FORMAT
        try:
            manifest = Manifest.decode(snapshot.height, chunks=snapshot.chunks, metadata=snapshot.metadata)
        except InvalidSnapshot as error:
            log.warning("refused a snapshot", height=snapshot.height, why=str(error))
            return OfferSnapshotResult.REJECT_SENDER
        if manifest.hash != snapshot.hash or manifest.app_hash != app_hash:
            log.warning(
                "refused a snapshot", height=snapshot.height, why="it is not of the app hash, or not of its own"
            )
            return OfferSnapshotResult.REJECT_SENDER  # no honest node says so
        self.restored, self._manifest = False, manifest
        self._restore = Restore(self.stores, manifest)
        return OfferSnapshotResult.ACCEPT

    def apply(self, index: int, chunk: bytes, sender: str) -> ApplyChunkResponse:
        """The last chunk takes seconds: the trees are built, and what lies beside them is checked."""
        restore, manifest = self._restore, self._manifest
        if restore is None or manifest is None or index != restore.next_chunk:
            return ApplyChunkResponse(ApplyChunkResult.ABORT)
        if len(chunk) > CHUNK_BYTES_MAX or sha256(chunk) != manifest.chunk_hashes[index]:
            return ApplyChunkResponse(ApplyChunkResult.RETRY, (index,), (sender,))
        try:
            restore.add(chunk)
            if restore.next_chunk < len(manifest.chunk_hashes):
                return ApplyChunkResponse(ApplyChunkResult.ACCEPT)
            for _ in restore.finish():
                self.check_room()
            check_records(self.modules, Base(self.stores.at(), self.modules.decoders))
        except (InvalidSnapshot, StateError) as error:
            log.warning("a snapshot is not what it said", height=manifest.height, why=str(error))
            self._restore = None
            self.stores.clear()
            return ApplyChunkResponse(ApplyChunkResult.REJECT_SNAPSHOT)
        restore.keep()
        self.restored, self._restore = True, None
        return ApplyChunkResponse(ApplyChunkResult.ACCEPT)


def check_records(modules: Modules, base: Base) -> None:
    """What no root covers: the records beside the trees. Raises InvalidSnapshot.

    Each machine's invariants: marks have their running hash, messages and nodes the peaks of their range, queues and
    indexes are those of the records.
    """
    try:
        found = [*beside.laws(base), *modules.check_invariants(base, base.scan)]
    except (StorageError, MemoryError):
        raise  # this node's own
    except Exception as error:  # somebody else chose these bytes, and machines take theirs to be what they wrote
        raise InvalidSnapshot(f"what lies beside the trees cannot be read: {error!r}") from error
    for invariant, holds, figures in found:
        if not holds:
            raise InvalidSnapshot(f"it does not hold that {invariant}: {figures}")
