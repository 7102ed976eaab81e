"""What a light client has verified: in memory, or in a folder that outlives a stop at any moment.

One root of trust a store, whose header stays; of the others the newest. A light block is a file of its own, whose name
is its height and which begins with the hash of its bytes: written beside, synced, then renamed, so that it is there
whole or not at all. Whoever can write into the folder can change what is trusted: it is the owner's alone.
"""

from __future__ import annotations

import bisect
import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from consensus.formats.errors import InvalidData
from consensus.types.light import LightBlock
from crypto.hash import HASH_BYTES, sha256
from light.errors import InvalidOptions, LightError, TrustStoreDamaged

BLOCKS_MAX: Final = 1_000  # as many as CometBFT's keeps
SLOTS_MAX: Final = 200_000  # in memory: 300 MB
FILE_BYTES_MAX: Final = 64 << 20  # a light block's
_NAME: Final = re.compile(r"(\d{20})\.block", re.ASCII)
_LOCK: Final = "lock"
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700


class TrustStore(Protocol):
    """Ascending by height. Not for use by several clients."""

    @property
    def heights(self) -> Sequence[int]:
        """Ascending. Do not change it."""
        ...

    def load(self, height: int) -> LightBlock | None:
        """Raises TrustStoreDamaged."""
        ...

    def save(self, blocks: Sequence[LightBlock], *, root: int) -> None:
        """Keep them, drop the lowest of what is too much, but `root` and the last of `blocks`. Durable on return."""
        ...

    def clear(self) -> None:
        """Forget all: another root."""
        ...

    def close(self) -> None: ...


def too_many(heights: Sequence[int], blocks_max: int, *, spared: set[int]) -> list[int]:
    """The lowest of ascending `heights` that are beyond `blocks_max`."""
    excess = len(heights) - blocks_max
    return [height for height in heights if height not in spared][: max(0, excess)]


class MemoryTrustStore:
    """slots_max: validators of all that is kept, whose objects are what it weighs."""

    def __init__(self, blocks_max: int = BLOCKS_MAX, *, slots_max: int = SLOTS_MAX) -> None:
        assert blocks_max >= 2, "the root and the last one"
        self._blocks_max, self._slots_max = blocks_max, slots_max
        self._blocks: dict[int, LightBlock] = {}
        self._heights: list[int] = []

    @property
    def heights(self) -> Sequence[int]:
        return self._heights

    def load(self, height: int) -> LightBlock | None:
        return self._blocks.get(height)

    def save(self, blocks: Sequence[LightBlock], *, root: int) -> None:
        self._blocks |= {block.height: block for block in blocks}
        spared = {root, *(block.height for block in blocks[-1:])}
        for height in too_many(sorted(self._blocks), self._blocks_max, spared=spared):
            del self._blocks[height]
        slots = sum(len(block.validators) for block in self._blocks.values())
        for height in sorted(self._blocks.keys() - spared):
            if slots <= self._slots_max:
                break
            slots -= len(self._blocks.pop(height).validators)
        self._heights = sorted(self._blocks)

    def clear(self) -> None:
        self._blocks.clear()
        self._heights = []

    def close(self) -> None:
        pass


_NO_PLACE: Final = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES)


class FolderTrustStore:
    """A folder. Raises LightError: it is in use, or cannot be made or read."""

    def __init__(self, folder: Path, blocks_max: int = BLOCKS_MAX) -> None:
        assert blocks_max >= 2, "the root and the last one"
        self.folder, self._blocks_max = folder, blocks_max
        try:
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            self._lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _FILE_MODE)
        except OSError as error:
            kind = InvalidOptions if error.errno in _NO_PLACE else LightError
            raise kind(f"{folder} is no place for what is verified: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise LightError(f"{folder} is in use by another light client: give each a folder of its own") from None
        self._heights: list[int] = []
        for name in sorted(os.listdir(folder)):
            if found := _NAME.fullmatch(name):
                self._heights.append(int(found[1]))
            elif name.endswith(".tmp"):
                (folder / name).unlink()  # of a stop in the middle

    @property
    def heights(self) -> Sequence[int]:
        return self._heights

    def path(self, height: int) -> Path:
        return self.folder / f"{height:020}.block"

    def load(self, height: int) -> LightBlock | None:
        at = bisect.bisect_left(self._heights, height)
        if at == len(self._heights) or self._heights[at] != height:
            return None
        path = self.path(height)
        try:
            with path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + HASH_BYTES + 1)
            if sha256(data[HASH_BYTES:]) != data[:HASH_BYTES]:
                raise TrustStoreDamaged(f"{path}: {len(data)} bytes are not those that were written{_MEND}")
            block = LightBlock.decode(data[HASH_BYTES:])
        except OSError as error:
            raise TrustStoreDamaged(f"{path} cannot be read: {error.strerror}{_MEND}") from error
        except InvalidData as error:
            raise TrustStoreDamaged(f"{path}: {error}{_MEND}") from error
        if block.height != height:
            raise TrustStoreDamaged(f"{path} has header {block.height}{_MEND}")
        return block

    def save(self, blocks: Sequence[LightBlock], *, root: int) -> None:
        try:
            for block in blocks:
                self._write(block)
            self._heights = sorted({*self._heights, *(block.height for block in blocks)})
            self._sync_folder()  # before anything is dropped: the root and the last are there
            spared = {root, *(block.height for block in blocks[-1:])}
            for height in too_many(self._heights, self._blocks_max, spared=spared):
                self._drop(height)
        except OSError as error:
            raise LightError(f"{self.folder} could not be written: {error.strerror}") from error

    def _write(self, block: LightBlock) -> None:
        data = block.encode()
        path = self.path(block.height)
        temporary = path.with_suffix(".tmp")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()  # its mode is not to be trusted
        fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, _FILE_MODE)
        try:
            view = memoryview(sha256(data) + data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)

    def _sync_folder(self) -> None:
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _drop(self, height: int) -> None:
        self._heights.remove(height)
        with contextlib.suppress(FileNotFoundError):
            self.path(height).unlink()

    def clear(self) -> None:
        for height in list(self._heights):
            self._drop(height)

    def close(self) -> None:
        os.close(self._lock)


_MEND: Final = ": remove the folder, and begin with a root of trust again"
