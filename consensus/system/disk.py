"""The files under the log and the sign state, behind one small interface, so that the simulator can give its own.

What was written is durable after `sync`; a created or renamed name is durable after `sync_directory`. Files are
the owner's alone (0600), folders too (0700).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

FILE_MODE: Final = 0o600
DIRECTORY_MODE: Final = 0o700


class AppendFile(Protocol):
    def write(self, data: bytes) -> None: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...


class PlacedFile(Protocol):
    """A file whose bytes are written over in place; its size stays."""

    def write_at(self, offset: int, data: bytes) -> None: ...
    def sync(self) -> None:
        """What was written is durable: the data alone, since neither size nor name changed."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    def open_append(self, path: Path) -> AppendFile: ...
    def open_in_place(self, path: Path) -> PlacedFile:
        """One that is there, with all of its bytes written. Raises FileNotFoundError."""
        ...

    def read(self, path: Path) -> bytes:
        """Raises FileNotFoundError."""
        ...

    def read_at(self, path: Path, offset: int, size: int) -> bytes:
        """As many of `size` bytes as are there. Raises FileNotFoundError."""
        ...

    def is_file(self, path: Path) -> bool:
        """What else has a name, as a folder or a pipe, is none: to read it raises, or never ends."""
        ...

    def size(self, path: Path) -> int:
        """0 when there is no such file."""
        ...

    def names(self, directory: Path) -> list[str]:
        """Sorted; empty when there is no such folder."""
        ...

    def make_directory(self, path: Path) -> None: ...
    def rename(self, old: Path, new: Path) -> None: ...
    def remove(self, path: Path) -> None: ...
    def truncate(self, path: Path, size: int) -> None:
        """Cut to `size` bytes, durably."""
        ...

    def sync_directory(self, path: Path) -> None: ...
    def replace(self, path: Path, data: bytes) -> None:
        """Put `data` in the place of the file, all or nothing, durably."""
        ...


@contextlib.contextmanager
def _of(path: Path) -> Iterator[None]:
    """Errors of a descriptor name no file: an operator has to know which disk is meant."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


class OsAppendFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        with _of(self._path):
            while view:
                view = view[os.write(self._fd, view) :]

    def sync(self) -> None:
        with _of(self._path):
            os.fsync(self._fd)

    def close(self) -> None:
        """Idempotent: the number of a closed file may be another file's by now."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class OsPlacedFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def write_at(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        with _of(self._path):
            while view:
                written = os.pwrite(self._fd, view, offset)
                offset, view = offset + written, view[written:]

    def sync(self) -> None:
        with _of(self._path):
            _sync_data(self._fd)

    def close(self) -> None:
        """Idempotent, as an append file's."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


_sync_data = getattr(os, "fdatasync", os.fsync)  # macOS has no call that leaves out the file's times


class OsDisk:
    """The real one."""

    def open_append(self, path: Path) -> AppendFile:
        return OsAppendFile(path)

    def open_in_place(self, path: Path) -> PlacedFile:
        return OsPlacedFile(path)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def read_at(self, path: Path, offset: int, size: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def is_file(self, path: Path) -> bool:
        return os.path.isfile(path)

    def size(self, path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    def names(self, directory: Path) -> list[str]:
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def make_directory(self, path: Path) -> None:
        path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        self.sync_directory(path.parent)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def remove(self, path: Path) -> None:
        path.unlink()

    def truncate(self, path: Path, size: int) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            with _of(path):
                os.ftruncate(fd, size)
                os.fsync(fd)
        finally:
            os.close(fd)

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _of(path):
                os.fsync(fd)
        finally:
            os.close(fd)

    def replace(self, path: Path, data: bytes) -> None:
        temporary = path.with_name(path.name + ".tmp")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()  # of a stop in the middle; its mode is not to be trusted
        file = OsAppendFile(temporary)
        try:
            file.write(data)
            file.sync()
        except BaseException:
            with contextlib.suppress(OSError):  # of a full disk, which half a file fills further
                temporary.unlink()
            raise
        finally:
            file.close()
        os.rename(temporary, path)
        self.sync_directory(path.parent)  # without it the rename itself may be lost (CometBFT issue 6031)
