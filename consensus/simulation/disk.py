"""A disk in memory that can crash: what was not synced may be lost, whole or from the tail, byte by byte. Of what was
written in place and not synced the first bytes may be there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from consensus.system.disk import AppendFile, Disk, PlacedFile


class Stopped(BaseException):
    """Raised by a fail point: the machine is gone, and nothing of the engine may catch it."""


class Inode:
    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.synced = len(data)  # how much of it a crash keeps for sure
        self.placed: list[tuple[int, bytes, bytes]] = []  # written in place since: where, what was there, what is

    def left(self, placed_bytes: int) -> bytearray:
        """The bytes, of which a crash keeps so many of those written in place and not synced."""
        data = bytearray(self.data)
        for offset, before, _ in reversed(self.placed):
            data[offset : offset + len(before)] = before
        for offset, _, after in self.placed:
            kept = after[: max(0, placed_bytes)]
            data[offset : offset + len(kept)] = kept
            placed_bytes -= len(after)
        return data


class SimulatedFile:
    def __init__(self, disk: SimulatedDisk, path: Path, inode: Inode) -> None:
        self._disk, self._path, self._inode = disk, path, inode
        self._is_closed = False

    def write(self, data: bytes) -> None:
        assert not self._is_closed, f"{self._path}: its number may be another file's by now"
        self._disk.hook("write", self._path)
        self._inode.data += data

    def sync(self) -> None:
        self._disk.hook("sync", self._path)
        self._inode.synced = len(self._inode.data)

    def close(self) -> None:
        self._is_closed = True


class SimulatedPlacedFile:
    def __init__(self, disk: SimulatedDisk, path: Path, inode: Inode) -> None:
        self._disk, self._path, self._inode = disk, path, inode
        self._is_closed = False

    def write_at(self, offset: int, data: bytes) -> None:
        assert not self._is_closed, f"{self._path}: its number may be another file's by now"
        inode, end = self._inode, offset + len(data)
        assert end <= inode.synced, (self._path, offset, len(data))
        self._disk.hook("write", self._path)
        inode.placed.append((offset, bytes(inode.data[offset:end]), data))
        inode.data[offset:end] = data

    def sync(self) -> None:
        self._disk.hook("sync", self._path)
        self._inode.placed.clear()

    def close(self) -> None:
        self._is_closed = True


class SimulatedDisk:
    """Names are durable after sync_directory only. `hook(action, path)` may raise, to stop between two actions."""

    def __init__(self) -> None:
        self.files: dict[Path, Inode] = {}
        self.durable: dict[Path, Inode] = {}
        self.folders: set[Path] = set()
        self.hook: Callable[[str, Path], None] = lambda action, path: None

    def crashed(self, kept_tail_bytes: int = 0) -> SimulatedDisk:
        """The disk after the machine stopped: of each file what was synced, and this much of what was not."""
        after = SimulatedDisk()
        for path, inode in self.durable.items():
            kept = bytes(inode.left(kept_tail_bytes)[: inode.synced + kept_tail_bytes])
            after.files[path] = after.durable[path] = Inode(kept)
        after.folders = set(self.folders)
        return after

    def open_append(self, path: Path) -> AppendFile:
        if path not in self.files:
            self.hook("create", path)
        return SimulatedFile(self, path, self.files.setdefault(path, Inode()))

    def open_in_place(self, path: Path) -> PlacedFile:
        return SimulatedPlacedFile(self, path, self._inode(path))

    def _inode(self, path: Path) -> Inode:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def read(self, path: Path) -> bytes:
        return bytes(self._inode(path).data)

    def read_at(self, path: Path, offset: int, size: int) -> bytes:
        return bytes(self._inode(path).data[offset : offset + size])

    def is_file(self, path: Path) -> bool:
        return path in self.files

    def size(self, path: Path) -> int:
        return len(self.files[path].data) if path in self.files else 0

    def names(self, directory: Path) -> list[str]:
        return sorted(path.name for path in self.files if path.parent == directory)

    def make_directory(self, path: Path) -> None:
        self.folders.add(path)

    def rename(self, old: Path, new: Path) -> None:
        inode = self._inode(old)
        self.hook("rename", new)
        del self.files[old]
        self.files[new] = inode

    def remove(self, path: Path) -> None:
        self._inode(path)
        del self.files[path]

    def truncate(self, path: Path, size: int) -> None:
        inode = self._inode(path)
        assert size <= len(inode.data), (path, size)
        del inode.data[size:]
        inode.synced = size

    def sync_directory(self, path: Path) -> None:
        self.hook("sync_directory", path)
        for name in [*self.durable]:
            if name.parent == path and name not in self.files:
                del self.durable[name]
        for name, inode in self.files.items():
            if name.parent == path:
                self.durable[name] = inode

    def replace(self, path: Path, data: bytes) -> None:
        temporary = path.with_name(path.name + ".tmp")
        self.files.pop(temporary, None)
        file = self.open_append(temporary)
        try:
            file.write(data)
            file.sync()
        except OSError:
            self.files.pop(temporary, None)
            raise
        self.rename(temporary, path)
        self.sync_directory(path.parent)


if TYPE_CHECKING:
    _disk: type[Disk] = SimulatedDisk
