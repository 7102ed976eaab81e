"""Backups: a home's databases in one file, each with its hash, compressed and encrypted if wanted.

    "dchat-backup 1\n"  JSON of `Facts`  "\n"  for each file: name size "\n" content sha256(content)  then "end\n" and
    the sha256 of all before it

An encrypted one is that within a file of age (`dchat/upkeep/locks.py`). Nothing secret of a node is in it: no key, and
of the record of signing no more than how far it was. Who reads one trusts nothing of it: each length, the number of
files, and what all of it unpacks to are bounded before they are followed, and a piece at a time is in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from dchat.upkeep.copies import DATABASES
from dchat.upkeep.errors import BadBackup
from dchat.upkeep.sign_record import is_position

MAGIC: Final = b"dchat-backup 1\n"
PACKED: Final = b"dchat-backup zlib 1\n"
CHUNK: Final = 1 << 20
LINE_BYTES_MAX: Final = 4_096  # the facts; a file's name and size take 40
FILE_BYTES_MAX: Final = 1 << 40
FILES_MAX: Final = 200_000  # tables of 2 MiB: 400 GB
FILE_COSTS: Final = 4_096  # bytes of a disk that an empty file takes, at least
TEXT_MAX: Final = 128  # characters of a fact
CUT: Final = "it ends too early: it was cut"
FOLLOWED: Final = "it is damaged: something follows its end"
_FILE = re.compile(r"(app|state|blocks)/([0-9A-Za-z][0-9A-Za-z.-]{0,62}) ([0-9]{1,13})")  # of DATABASES
_HEX = re.compile(r"([0-9a-f]{2})*")
LEVEL: Final = 3  # hashes and signatures do not shrink; what does, does so at once


@dataclass(frozen=True)
class Facts:
    """What a backup is of. signed: how far the key of `validator` had signed, or empty. bytes: of all its files; 0:
    it does not say."""

    chain_id: str
    genesis_hash: str
    height: int
    app_hash: str
    build: str
    validator: str = ""
    signed: tuple[int, int, int] = (0, 0, 0)
    bytes: int = 0


class Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Writes(Protocol):
    def write(self, data: bytes, /) -> object: ...


# ------------------------------------------------------------------------------------------------ writing


class _Hashed:
    """Writes through, and hashes what went by."""

    def __init__(self, out: Writes) -> None:
        self._out, self.hash = out, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.hash.update(data)
        self._out.write(data)


class _Packing:
    def __init__(self, out: Writes) -> None:
        self._out, self._zlib = out, zlib.compressobj(LEVEL)

    def write(self, data: bytes) -> None:
        self._out.write(self._zlib.compress(data))

    def finish(self) -> None:
        self._out.write(self._zlib.flush())


Told = Callable[[int, int], None]  # bytes that are done, of how many


def quiet(done: int, of: int) -> None:
    """Nobody is told."""


def write_archive(out: BinaryIO, facts: Facts, folder: Path, *, compress: bool, told: Told = quiet) -> None:
    """folder: with the three databases, which nobody writes to. told: bytes of them that are written, of how many."""
    files = [
        (f"{name}/{path.name}", path)
        for name in DATABASES
        for path in sorted((folder / name).iterdir())
        if path.name not in ("LOCK", "LOG", "LOG.old")
    ]
    facts = replace(facts, bytes=sum(path.stat().st_size for _, path in files))
    packing = None
    target: Writes = out
    if compress:
        out.write(PACKED)
        target = packing = _Packing(out)
    hashed = _Hashed(target)
    hashed.write(MAGIC)
    hashed.write(json.dumps(asdict(facts)).encode() + b"\n")
    done = 0
    for name, path in files:
        _write_file(hashed, name, path)
        done += path.stat().st_size
        told(done, facts.bytes)
    hashed.write(b"end\n")
    target.write(hashed.hash.digest())
    if packing is not None:
        packing.finish()


def _write_file(out: _Hashed, name: str, path: Path) -> None:
    size, own = path.stat().st_size, hashlib.sha256()
    out.write(f"{name} {size}\n".encode())
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            own.update(chunk)
            out.write(chunk)
    out.write(own.digest())


# ------------------------------------------------------------------------------------------------ reading


class _Unpacking:
    def __init__(self, source: Reads) -> None:
        self._source, self._zlib, self._ahead = source, zlib.decompressobj(), b""

    def read(self, size: int) -> bytes:
        """Some of what is packed, `size` bytes at most; nothing at its end. A byte can unpack to a thousand."""
        while not self._zlib.eof:
            self._ahead = self._ahead or self._source.read(CHUNK)
            if not self._ahead:
                raise BadBackup(CUT)
            try:
                data = self._zlib.decompress(self._ahead, size)
            except zlib.error as error:
                raise BadBackup(f"it is damaged: {error}") from None
            self._ahead = self._zlib.unconsumed_tail
            if data:
                return data
        if self._zlib.unused_data or self._source.read(1):
            raise BadBackup(FOLLOWED)
        return b""


class _Reader:
    """Reads what is expected, and hashes it. bytes_max: of all that it may read."""

    def __init__(self, source: Reads, bytes_max: int) -> None:
        self._source, self._bytes_max, self._left = source, bytes_max, bytes_max
        self._held, self._at = b"", 0
        self.hash = hashlib.sha256()

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise BadBackup(
                f"it unpacks to more than {self._bytes_max} bytes, for which there is room or which it says"
            )

    def _more(self) -> bool:
        more = self._source.read(CHUNK)
        self.spend(len(more))
        self._held, self._at = self._held[self._at :] + more, 0
        return bool(more)

    def _take(self, size: int) -> bytes:
        data = self._held[self._at : self._at + size]
        self._at += size
        self.hash.update(data)
        return data

    def exactly(self, size: int) -> bytes:
        assert size <= CHUNK, size
        while len(self._held) - self._at < size:
            if not self._more():
                raise BadBackup(CUT)
        return self._take(size)

    def line(self) -> str:
        while (end := self._held.find(b"\n", self._at, self._at + LINE_BYTES_MAX)) < 0:
            if len(self._held) - self._at >= LINE_BYTES_MAX:
                raise BadBackup("it is damaged: a line has no end")
            if not self._more():
                raise BadBackup(CUT)
        try:
            return self._take(end + 1 - self._at)[:-1].decode("ascii")
        except UnicodeDecodeError:
            raise BadBackup("it is damaged: a line is no text") from None

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._held) and not self._more()


class Sink(Protocol):
    """Where the files of a backup go."""

    def file(self, name: str) -> AbstractContextManager[Writes]: ...


@dataclass(frozen=True)
class _Folder:
    root: Path

    @contextmanager
    def file(self, name: str) -> Iterator[Writes]:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


def read_archive(source: BinaryIO, target: Path, *, bytes_max: int) -> Facts:
    """Unpack into `target`, every hash checked; bytes_max: the room that it may take there. Raises BadBackup, OSError
    (no room)."""
    return unpack(source, _Folder(target), bytes_max=bytes_max)


def unpack(source: BinaryIO, sink: Sink, *, bytes_max: int) -> Facts:
    """Into any sink. Raises BadBackup, and what the sink raises."""
    first = source.read(len(PACKED))
    if len(first) < len(MAGIC):
        raise BadBackup(f"it is no backup of dchat: it has {len(first)} bytes")
    unpacked: Reads = source
    if first == PACKED:
        unpacked = _Unpacking(source)
    else:
        source.seek(-len(first), os.SEEK_CUR)
    reader = _Reader(unpacked, bytes_max)
    if reader.exactly(len(MAGIC)) != MAGIC:
        raise BadBackup("it is no backup of dchat, or it is damaged in its first bytes")
    facts = _facts(reader.line())
    if facts.bytes > bytes_max:
        raise BadBackup(f"it unpacks to {facts.bytes} bytes, and there is room for {bytes_max}")
    names: set[str] = set()
    left = facts.bytes or bytes_max
    for name, size in _files(reader):
        if name in names or len(names) == FILES_MAX or size > left:
            raise BadBackup(f"it is damaged: {name} is in it twice, is too large or is one too many")
        names.add(name)
        left -= size
        reader.spend(FILE_COSTS)
        _read_file(reader, sink, name, size)
    digest = reader.hash.digest()
    if reader.exactly(32) != digest:
        raise BadBackup("it is damaged: the hash of all of it does not hold")
    if not reader.is_at_end:
        raise BadBackup(FOLLOWED)
    return facts


def _facts(line: str) -> Facts:
    """Raises BadBackup."""
    try:
        told = json.loads(line)
        texts = {key: _text(told[key]) for key in ("chain_id", "genesis_hash", "app_hash", "build", "validator")}
        if not all(_HEX.fullmatch(texts[key]) for key in ("genesis_hash", "app_hash", "validator")):
            raise ValueError("a hash is not in hex")
        height, round, step = map(_number, told["signed"])
        if not is_position((height, round, step)):
            raise ValueError(f"nobody signs at {height}/{round}/{step}")
        size = _number(told.get("bytes", 0))
        return Facts(**texts, height=_number(told["height"]), signed=(height, round, step), bytes=size)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadBackup(f"it is damaged: its facts cannot be read ({type(error).__name__}: {error})") from None


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXT_MAX or not value.isprintable():
        raise ValueError("a text is none")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError("a number is none")
    return value


def _files(reader: _Reader) -> Iterator[tuple[str, int]]:
    while (line := reader.line()) != "end":
        match = _FILE.fullmatch(line)
        if match is None or ".." in line or int(match[3]) > FILE_BYTES_MAX:
            raise BadBackup(f"it is damaged: {line[:80]!r} names no file of a database")
        yield f"{match[1]}/{match[2]}", int(match[3])


def _read_file(reader: _Reader, sink: Sink, name: str, size: int) -> None:
    own = hashlib.sha256()
    with sink.file(name) as file:
        while size:
            chunk = reader.exactly(min(size, CHUNK))
            size -= len(chunk)
            own.update(chunk)
            file.write(chunk)
    if reader.exactly(32) != own.digest():
        raise BadBackup(f"{name} in it is damaged: its hash does not hold")
