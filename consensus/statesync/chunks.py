"""The chunks of the snapshot at hand, on disk: what was fetched before a stop need not be fetched again.

The folder names the snapshot in a file of its own, written first; while that is there, a state sync has begun and not
ended, and what the databases hold is nothing. `clear` removes it last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from consensus.abci.interface import Snapshot
from consensus.channels.state_sync_messages import SNAPSHOT_CHANNEL, SnapshotsResponse, decode_state_sync
from consensus.formats.errors import InvalidData
from consensus.system.disk import Disk

BEGUN: Final = "begun"  # a state sync has: empty until a snapshot was chosen
CHUNK: Final = ".chunk"


class ChunkFolder:
    """Calls block: from a worker, one at a time."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk, self._folder = disk, folder

    @property
    def is_begun(self) -> bool:
        return BEGUN in self._disk.names(self._folder)

    def begin(self) -> None:
        """From here until `clear` a state sync is under way."""
        if not self.is_begun:
            self._disk.make_directory(self._folder)
            self._disk.replace(self._folder / BEGUN, b"")

    @property
    def snapshot(self) -> Snapshot | None:
        """The one of which chunks are here."""
        if not self.is_begun:
            return None
        try:
            message = decode_state_sync(SNAPSHOT_CHANNEL, self._disk.read(self._folder / BEGUN))
        except InvalidData:  # none was chosen yet
            return None
        return message.snapshot if isinstance(message, SnapshotsResponse) else None

    def choose(self, snapshot: Snapshot) -> set[int]:
        """Keep chunks of this one from now on; returns which are here already."""
        if self.snapshot != snapshot:
            self._remove_chunks()
            self._disk.replace(self._folder / BEGUN, SnapshotsResponse(snapshot).encode())
        found = (name.removesuffix(CHUNK) for name in self._disk.names(self._folder) if name.endswith(CHUNK))
        return {int(name) for name in found if name.isdigit() and int(name) < snapshot.chunks}

    def put(self, index: int, chunk: bytes) -> None:
        self._disk.replace(self._path(index), chunk)

    def get(self, index: int) -> bytes:
        return self._disk.read(self._path(index))

    def drop(self, index: int) -> None:
        try:
            self._disk.remove(self._path(index))
        except FileNotFoundError:
            return

    def forget(self) -> None:
        """This snapshot came to nothing; the state sync goes on."""
        self._disk.replace(self._folder / BEGUN, b"")
        self._remove_chunks()

    def clear(self) -> None:
        """The state sync has ended, and all of it is on disk."""
        self._remove_chunks()
        if self.is_begun:
            self._disk.remove(self._folder / BEGUN)
            self._disk.sync_directory(self._folder)

    def _remove_chunks(self) -> None:
        for name in self._disk.names(self._folder):
            if name != BEGUN:
                self._disk.remove(self._folder / name)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:08d}{CHUNK}"
