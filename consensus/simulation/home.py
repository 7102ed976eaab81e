"""What a node has on disk, and how a stop of the machine spoils it.

Files lose what was not synced from a random byte on, and names that were not synced may be there or not; key-value
stores lose batches that were not synced, whole and from the tail. A `Strike` stops the node at its n-th touch of
anything durable, before or after it.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from consensus.simulation.disk import Inode, SimulatedDisk, Stopped
from storage.kv import KeyValueStore, Write
from storage.memory import MemoryStore

DATA = Path("/home/data")
STORES = ("blocks", "state", "app")
WHOLE_TAIL = 0.3  # how often nothing of a file was lost: its writes reached the disk without a sync
TORN = b"torn"  # what a write that failed leaves behind
ZEROS_MAX = 64  # that a file may be longer than what reached the disk, as file systems leave it


@dataclass
class Strike:
    """`touch` is called at every touch of something durable. The one that was armed stops the node, or fails.

    stop(what) is called where the node stops. After a failure the disk is either as before or fails for ever.
    """

    stop: Callable[[str], None]
    left: int = 0  # touches until it strikes; 0: not armed
    fails: bool = False  # it is an error of the disk, which the node sees
    stays: bool = False  # for ever
    failed: str = ""  # what failed first, in this life

    def arm(self, touches: int, *, fails: bool = False, stays: bool = False) -> None:
        self.left, self.fails, self.stays = touches, fails, stays

    def disarm(self) -> None:
        self.left, self.failed = 0, ""

    @property
    def is_dead(self) -> bool:
        return bool(self.failed) and self.stays

    def touch(self, what: str) -> None:
        if self.is_dead:
            raise OSError(errno.EIO, f"the disk is dead: {what}")
        if not self.left:
            return
        self.left -= 1
        if self.left:
            return
        if not self.fails:
            self.stop(what)
            raise Stopped(what)
        self.failed = what
        raise OSError(errno.ENOSPC, f"no space left: {what}")


class SimDisk(SimulatedDisk):
    def copied(self) -> SimDisk:
        """A disk of its own, so that who is gone cannot write to it; what was not synced still is not."""
        after = SimDisk()
        after.folders = set(self.folders)
        copies: dict[int, Inode] = {}
        for names, same in ((after.files, self.files), (after.durable, self.durable)):
            for path, inode in same.items():
                names[path] = copies.setdefault(id(inode), _copy(inode))
        return after

    def crashed_by(self, rng: random.Random) -> SimDisk:
        """The disk after the machine stopped. Files that were synced whole, with their names, are whole."""
        after = SimDisk()
        after.folders = set(self.folders)
        for path in sorted({*self.durable, *self.files}):
            inode = self._left_at(path, rng)
            if inode is not None:
                after.files[path] = after.durable[path] = _spoiled(inode, rng)
        return after

    def _left_at(self, path: Path, rng: random.Random) -> Inode | None:
        """Of a name that changed and was not synced, either the old file or the new one is there."""
        old, new = self.durable.get(path), self.files.get(path)
        return new if old is not new and rng.random() < 0.5 else old


def _copy(inode: Inode) -> Inode:
    copy = Inode(bytes(inode.data))
    copy.synced, copy.placed = inode.synced, list(inode.placed)
    return copy


def _spoiled(inode: Inode, rng: random.Random) -> Inode:
    placed = sum(len(after) for _, _, after in inode.placed)
    data, synced = bytes(inode.left(rng.randint(0, placed) if placed else 0)), inode.synced
    if len(data) > synced and rng.random() > WHOLE_TAIL:
        data = data[: rng.randint(synced, len(data))]
        if rng.random() < 0.2:
            data += bytes(rng.randint(0, ZEROS_MAX))
    return Inode(data)


class SimStore(MemoryStore):
    """A key-value store whose writes can be struck."""

    touch: Callable[[str], None] = staticmethod(lambda what: None)
    name = ""

    def write(self, batch: Sequence[Write], *, sync: bool = False) -> None:
        self.touch(f"before a batch of {self.name}")
        super().write(batch, sync=sync)
        self.touch(f"after a batch of {self.name}")

    def copied(self) -> SimStore:
        """A store of its own that could still lose what was not synced; this one is closed."""
        copy = SimStore(self._data, models_crashes=True)
        copy._unsynced = self._unsynced
        self.close()
        return copy

    def crashed_by(self, rng: random.Random) -> SimStore:
        after = self.crash(survivors=rng.randint(0, self.unsynced_batches))
        return SimStore(dict(after.scan()), models_crashes=True)


def _new_store() -> SimStore:
    return SimStore(models_crashes=True)


@dataclass
class SimHome:
    """Files and the three databases."""

    disk: SimDisk = field(default_factory=SimDisk)
    blocks: SimStore = field(default_factory=_new_store)
    state: SimStore = field(default_factory=_new_store)
    app: SimStore = field(default_factory=_new_store)

    def watch(self, touch: Callable[[str], None]) -> None:
        """Call `touch` before each action on the files, and before and after each batch."""

        def hook(action: str, path: Path) -> None:
            try:
                touch(f"{action} {path.name}")
            except OSError:
                if action == "write":
                    self.disk.files[path].data += TORN
                raise

        self.disk.hook = hook
        for name in STORES:
            store: SimStore = getattr(self, name)
            store.touch, store.name = touch, name

    def stopped(self) -> SimHome:
        """The home after the process was killed: what the system was given is there. This one is closed."""
        return SimHome(self.disk.copied(), *(getattr(self, name).copied() for name in STORES))

    def crashed_by(self, rng: random.Random) -> SimHome:
        """The home after the machine stopped. This one is closed."""
        return SimHome(self.disk.crashed_by(rng), *(getattr(self, name).crashed_by(rng) for name in STORES))


if TYPE_CHECKING:
    _store: type[KeyValueStore] = SimStore
