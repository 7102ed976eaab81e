"""The snapshots that an application serves.

A snapshot is two files, `HEIGHT.chunks` (one after another) and `HEIGHT.manifest`, which is written last, synced: what
has no manifest, or one that contradicts it, is no snapshot and is cleared away. Each chunk is held against its hash
before it leaves (failure 6: serve only what is complete).
Source: docs/state-sync.md; CometBFT v0.38, spec/abci/abci++_methods.md (ListSnapshots, LoadSnapshotChunk).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

import structlog

from chain.state.snapshot import FORMAT, Manifest, chunks_of, manifest_of
from chain.state.view import View
from consensus.abci.interface import Snapshot
from consensus.system.disk import Disk
from crypto.hash import sha256

CHUNKS, MANIFEST = ".chunks", ".manifest"
HEIGHT_DIGITS: Final = 20  # names sort by height
_HEAD: Final = struct.Struct(">QII")  # height, format, chunks; then 4 bytes of each chunk's size, the metadata, SHA-256
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """A snapshot on the shelf."""

    manifest: Manifest
    offsets: tuple[int, ...]  # of each chunk in its file, and the file's size

    @property
    def offer(self) -> Snapshot:
        m = self.manifest
        return Snapshot(m.height, FORMAT, len(m.chunk_hashes), m.hash, m.metadata)


@dataclass(slots=True)
class ShelfMetrics:
    made: int = 0
    failed: int = 0
    height: int = 0  # of the newest
    chunks: int = 0
    bytes: int = 0  # of the newest
    chunks_served: int = 0
    bad_chunks: int = 0  # that the disk gave back otherwise than they were written


class Shelf:
    """The snapshots in a folder. One is made at a time; reading may go on beside it, from any thread."""

    def __init__(self, disk: Disk, folder: Path, *, chunk_bytes: int = 0) -> None:
        """chunk_bytes: as of `chunks_of`."""
        self._disk, self._folder, self._chunk_bytes = disk, folder, chunk_bytes
        self._kept: dict[int, Kept] = {}
        self.metrics = ShelfMetrics()
        self._load()

    @property
    def heights(self) -> list[int]:
        """Ascending."""
        return sorted(self._kept)

    @property
    def lowest_height(self) -> int:
        """What is below it no joiner needs of this node but for evidence; 0: no snapshot is served."""
        return min(self._kept, default=0)

    def offers(self) -> tuple[Snapshot, ...]:
        """The newest first."""
        return tuple(self._kept[height].offer for height in reversed(self.heights))

    def chunk(self, height: int, number: int) -> bytes:
        """Empty: there is none. One that is not what it was ends its snapshot."""
        kept = self._kept.get(height)
        if kept is None or not 0 <= number < len(kept.manifest.chunk_hashes):
            return b""
        start, end = kept.offsets[number : number + 2]
        try:
            chunk = self._disk.read_at(self._path(height, CHUNKS), start, end - start)
        except FileNotFoundError:
            chunk = b""  # it was taken off the shelf meanwhile
        if sha256(chunk) != kept.manifest.chunk_hashes[number]:
            if height in self._kept:
                self.metrics.bad_chunks += 1
                log.error("a snapshot on this disk is damaged, and is served no more", height=height, chunk=number)
                self._kept.pop(height, None)
            return b""
        self.metrics.chunks_served += 1
        return chunk

    def make(self, view: View) -> Generator[None, None, None]:
        """Write the snapshot of a version, yielding after each millisecond or two: to be driven in a thread.

        One that fails or is abandoned leaves nothing: a disk that is full would stay so. What a stop leaves, the next
        start clears away. Raises OSError.
        """
        height = view.version
        path = self._path(height, CHUNKS)
        self._disk.make_directory(self._folder)
        if self._disk.size(path):
            self._disk.remove(path)
        file = self._disk.open_append(path)
        hashes: list[bytes] = []
        sizes: list[int] = []
        try:
            for chunk in chunks_of(view, self._chunk_bytes):
                if chunk is not None:
                    hashes.append(sha256(chunk))
                    sizes.append(len(chunk))
                    file.write(chunk)
                yield
            file.sync()
            file.close()
            self._disk.sync_directory(self._folder)
            manifest = manifest_of(view, hashes)
            body = _HEAD.pack(height, FORMAT, len(hashes)) + struct.pack(f">{len(sizes)}I", *sizes) + manifest.metadata
            self._disk.replace(self._path(height, MANIFEST), body + sha256(body))
        except BaseException:
            file.close()
            with contextlib.suppress(OSError):
                self._disk.remove(path)
            raise
        self._kept = {**self._kept, height: Kept(manifest, (0, *accumulate(sizes)))}
        self.metrics.made += 1
        self._count(height)

    def keep_newest(self, number: int) -> None:
        """Take the others off the shelf, the manifest first."""
        gone = self.heights[: max(0, len(self._kept) - number)]
        self._kept = {height: kept for height, kept in self._kept.items() if height not in gone}
        for height in gone:
            self._remove(height)

    def keep_those(self, is_ours: Callable[[int, bytes], bool]) -> list[int]:
        """Take the others off the shelf; returns their heights. is_ours: by height and app hash."""
        gone = [height for height, kept in self._kept.items() if not is_ours(height, kept.manifest.app_hash)]
        self._kept = {height: kept for height, kept in self._kept.items() if height not in gone}
        for height in gone:
            log.warning("a snapshot on this disk is not of this node's chain and state: taken away", height=height)
            self._remove(height)
        return gone

    def _remove(self, height: int) -> None:
        for kind in (MANIFEST, CHUNKS):
            try:
                self._disk.remove(self._path(height, kind))
            except FileNotFoundError:
                continue
            self._disk.sync_directory(self._folder)

    def _path(self, height: int, kind: str) -> Path:
        return self._folder / f"{height:0{HEIGHT_DIGITS}d}{kind}"

    def _load(self) -> None:
        names = self._disk.names(self._folder)
        for name in names:
            if name.endswith(MANIFEST) and (kept := self._read(self._folder / name)) is not None:
                self._kept[kept.manifest.height] = kept
        whole = {self._path(height, kind).name for height in self._kept for kind in (MANIFEST, CHUNKS)}
        for name in names:
            if name not in whole and name.endswith((MANIFEST, CHUNKS)):
                log.info("cleared away a snapshot that was not finished", file=name)
                self._disk.remove(self._folder / name)
        if self._kept:
            self._count(max(self._kept))

    def _read(self, path: Path) -> Kept | None:
        data = self._disk.read(path)
        body, checksum = data[:-32], data[-32:]
        if len(body) < _HEAD.size or sha256(body) != checksum:
            return None
        height, format, chunks = _HEAD.unpack_from(body)
        sizes = struct.unpack_from(f">{chunks}I", body, _HEAD.size)
        if format != FORMAT or self._disk.size(self._path(height, CHUNKS)) != sum(sizes):
            return None
        manifest = Manifest.decode(height, chunks=chunks, metadata=body[_HEAD.size + 4 * chunks :])
        return Kept(manifest, (0, *accumulate(sizes)))

    def _count(self, height: int) -> None:
        kept = self._kept[height]
        self.metrics.height, self.metrics.chunks = height, len(kept.manifest.chunk_hashes)
        self.metrics.bytes = kept.offsets[-1]
