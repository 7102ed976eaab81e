"""What LevelDB's files say of themselves, read without LevelDB: which is damaged, cut, missing or of another time.

LevelDB names no file in its errors, makes a new database where the file CURRENT is gone, and takes an old MANIFEST, or
a log that lost its end, as it finds it. So a database is looked through before it is opened, at the cost of its logs
and of a look at each table's size; and a whole table is read when LevelDB said that something in it is wrong.
Source: LevelDB 1.22, doc/log_format.md, doc/table_format.md, db/version_edit.cc, db/write_batch.cc.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from crc32c import crc32c

from storage.errors import StoreCorrupted

BLOCK_BYTES: Final = 32_768  # of a log
HEADER_BYTES: Final = 7  # of a log's record: crc, length, kind
BATCH_HEADER_BYTES: Final = 12  # sequence, count
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
FOOTER_BYTES: Final = 48
TRAILER_BYTES: Final = 5  # of a table's block: kind, crc
TABLE_MAGIC: Final = 0xDB4775248B80FB57
MASK_DELTA: Final = 0xA282EAD8
DELETION: Final = 0
TABLE_SUFFIXES: Final = (".ldb", ".sst")


def masked_crc(data: bytes) -> int:
    """As LevelDB stores it: a crc of what holds crcs would be of little use."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class LogScan:
    """A log's records (offset of the first byte, content) up to its end, or to `clean_bytes`, where `why` stands."""

    records: list[tuple[int, bytes]]
    clean_bytes: int
    why: str


def scan_log(data: bytes) -> LogScan:
    """Read a log, or a MANIFEST, which has the same form. What a stop cut off at the end is left out without a word."""
    records: list[tuple[int, bytes]] = []
    parts: list[bytes] = []
    begun = at = clean = 0
    while at + HEADER_BYTES <= len(data):
        if BLOCK_BYTES - at % BLOCK_BYTES < HEADER_BYTES:
            at += BLOCK_BYTES - at % BLOCK_BYTES  # too little for a header: filled with zeros
            continue
        crc, length, kind = int.from_bytes(data[at : at + 4], "little"), data[at + 4] | data[at + 5] << 8, data[at + 6]
        end = at + HEADER_BYTES + length
        if not crc | length | kind and not any(data[at:]):
            break  # some file systems leave zeros: the size was on disk before the content. LevelDB passes over them
        if end > len(data) and not any(data[at + BLOCK_BYTES - at % BLOCK_BYTES :]):
            break  # cut by a stop
        if not FULL <= kind <= LAST or (at % BLOCK_BYTES) + HEADER_BYTES + length > BLOCK_BYTES:
            return LogScan(records, clean, f"no record begins at offset {at}")
        if masked_crc(data[at + 6 : end]) != crc:
            return LogScan(records, clean, f"the checksum of the record at offset {at} does not hold")
        if (kind in (FULL, FIRST)) != (not parts):
            return LogScan(records, clean, f"the record at offset {at} is out of order")
        if not parts:
            begun = at
        parts.append(data[at + HEADER_BYTES : end])
        at = end
        if kind in (FULL, LAST):
            records.append((begun, b"".join(parts)))
            parts, clean = [], at
    return LogScan(records, clean, "")


def batch_follows(data: bytes, damaged: int, after_sequence: int) -> bool:
    """Whether a later batch that sets something begins behind the damaged record: then it is no torn end.

    Batches that only delete are written without a sync, by prunings, and may be torn in any order. Inside the damaged
    one is not looked: what others chose stands there, and might look like a record.
    """
    told = damaged + HEADER_BYTES + int.from_bytes(data[damaged + 4 : damaged + 6], "little")
    within = damaged - damaged % BLOCK_BYTES + BLOCK_BYTES
    start = told if told <= min(within, len(data)) else damaged + 1
    for at in range(start, len(data) - HEADER_BYTES - BATCH_HEADER_BYTES):
        if data[at + 6] not in (FULL, FIRST):
            continue
        end = at + HEADER_BYTES + (data[at + 4] | data[at + 5] << 8)
        if end > len(data) or end - at < HEADER_BYTES + BATCH_HEADER_BYTES:
            continue
        if masked_crc(data[at + 6 : end]) != int.from_bytes(data[at : at + 4], "little"):
            continue
        batch = data[at + HEADER_BYTES : end]
        if int.from_bytes(batch[:8], "little") > after_sequence and batch[BATCH_HEADER_BYTES] != DELETION:
            return True
    return False


@dataclass
class Manifest:
    """What the database consists of. tables: number -> size in bytes."""

    path: Path
    log_number: int | None = None
    last_sequence: int = 0
    tables: dict[int, int] = field(default_factory=dict)


def read_manifest(folder: Path) -> Manifest:
    """Raises StoreCorrupted, OSError."""
    current = folder / "CURRENT"
    name = current.read_bytes()
    if not name.startswith(b"MANIFEST-") or not name.endswith(b"\n") or not name[9:-1].isdigit():
        raise StoreCorrupted(str(current), "", "it names no MANIFEST")
    manifest = Manifest(folder / name[:-1].decode())
    try:
        data = manifest.path.read_bytes()
    except FileNotFoundError:
        raise StoreCorrupted(str(manifest.path), "", "it is missing, and CURRENT names it") from None
    scan = scan_log(data)
    if scan.why:
        raise StoreCorrupted(str(manifest.path), f"offset {scan.clean_bytes}", scan.why)
    for offset, edit in scan.records:
        try:
            _apply(edit, manifest)
        except (IndexError, ValueError, KeyError) as error:
            raise StoreCorrupted(str(manifest.path), f"offset {offset}", f"no edit of a version: {error}") from None
    if manifest.log_number is None:
        raise StoreCorrupted(str(manifest.path), f"offset {len(data)}", "it ends before it names a log: it was cut")
    return manifest


def _apply(edit: bytes, manifest: Manifest) -> None:
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = edit[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text() -> None:
        nonlocal at
        length = number()  # first: it moves `at` itself
        at += length

    while at < len(edit):
        match number():
            case 1:  # the comparator
                text()
            case 2:
                manifest.log_number = number()
            case 3 | 9:  # the next file's number; the log before
                number()
            case 4:
                manifest.last_sequence = number()
            case 5:  # where the next compaction of a level begins
                number()
                text()
            case 6:
                number()
                manifest.tables.pop(number(), None)
            case 7:
                number()
                table = number()
                manifest.tables[table] = number()
                text()
                text()
            case tag:
                raise ValueError(f"tag {tag}")


def look_through(path: str) -> tuple[Path, int, str] | None:
    """Find what no opening finds. Returns a torn end of the log, which a stop may leave: file, offset, why.

    A folder that holds no database is fine: one is made there. Nobody may write to it. Raises StoreCorrupted, OSError.
    """
    folder = Path(path)
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    if "CURRENT" not in names:
        parts = [name for name in names if name.endswith((*TABLE_SUFFIXES, ".log")) or name.startswith("MANIFEST-")]
        if parts:
            raise StoreCorrupted(str(folder / "CURRENT"), "", f"it is missing, and {parts[0]} is there")
        return None
    manifest = read_manifest(folder)
    for table, size in sorted(manifest.tables.items()):
        found = next((folder / f"{table:06d}{end}" for end in TABLE_SUFFIXES if f"{table:06d}{end}" in names), None)
        if found is None:
            raise StoreCorrupted(
                str(folder / f"{table:06d}.ldb"), "", f"it is missing, and {manifest.path.name} names it"
            )
        if (got := found.stat().st_size) != size:
            raise StoreCorrupted(str(found), "", f"it has {got} bytes, and {manifest.path.name} says {size}")
    return _look_at_logs(folder, names, manifest)


def _look_at_logs(folder: Path, names: list[str], manifest: Manifest) -> tuple[Path, int, str] | None:
    oldest = manifest.log_number
    assert oldest is not None
    if f"{oldest:06d}.log" not in names:
        raise StoreCorrupted(
            str(folder / f"{oldest:06d}.log"), "",
            f"it is missing, and {manifest.path.name} names it: either is gone, or an old {manifest.path.name} stands "
            "in for a newer one",
        )  # fmt: skip
    logs = sorted(folder / name for name in names if name.endswith(".log") and int(name[:-4]) >= oldest)
    last = manifest.last_sequence  # later than the oldest log's beginning, where a compaction wrote it down
    for log in logs:
        data = log.read_bytes()
        scan, here = scan_log(data), 0
        for offset, batch in scan.records:
            first, count = int.from_bytes(batch[:8], "little"), int.from_bytes(batch[8:12], "little")
            if len(batch) < BATCH_HEADER_BYTES or first > last + 1:
                raise StoreCorrupted(
                    str(log), f"offset {offset}",
                    f"its writes begin with number {first}, and what is before ends with {last}: an older file stands "
                    "in for a newer one",
                )  # fmt: skip
            here = first + count - 1
            last = max(last, here)
        if scan.why:
            if log != logs[-1] or batch_follows(data, scan.clean_bytes, here):
                raise StoreCorrupted(str(log), f"offset {scan.clean_bytes}", f"{scan.why}, and whole writes follow it")
            return log, scan.clean_bytes, scan.why
    return None


def is_held(path: str) -> bool:
    """Whether another process has the database open. Not to be asked by one that has it open itself."""
    try:
        with (Path(path) / "LOCK").open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


# ------------------------------------------------------------------------------------------------ tables


def damages(path: str) -> Iterator[StoreCorrupted]:
    """What in a database's tables does not fit its checksum, file by file. Reads all of it; it may be open."""
    try:
        tables = tables_of(Path(path))
    except (StoreCorrupted, OSError) as error:
        yield error if isinstance(error, StoreCorrupted) else StoreCorrupted(path, "", str(error))
        return
    for table in tables:
        yield from table_damages(table)


def tables_of(folder: Path) -> list[Path]:
    """The tables that the database consists of, oldest first; not those that are being written. It may be open.

    Raises StoreCorrupted, OSError.
    """
    if not (folder / "CURRENT").exists():
        return []
    tables = sorted(read_manifest(folder).tables)
    paths = (folder / f"{table:06d}{end}" for table in tables for end in TABLE_SUFFIXES)
    return [path for path in paths if path.exists()]


def table_damages(file: Path) -> Iterator[StoreCorrupted]:
    """What does not fit its checksum. A table that was merged into another meanwhile has none."""
    try:
        yield from _damages_in(file, file.read_bytes())
    except FileNotFoundError:
        return
    except OSError as error:
        yield StoreCorrupted(str(file), "", f"it cannot be read: {error.strerror}")


def _damages_in(file: Path, data: bytes) -> Iterator[StoreCorrupted]:
    footer = data[-FOOTER_BYTES:]
    if len(footer) < FOOTER_BYTES or int.from_bytes(footer[-8:], "little") != TABLE_MAGIC:
        yield StoreCorrupted(str(file), f"offset {max(0, len(data) - FOOTER_BYTES)}", "it does not end as a table does")
        return
    try:
        meta_at, meta_size, at = _handle(footer, 0)
        index_at, index_size, _ = _handle(footer, at)
        blocks = [(meta_at, meta_size, "meta"), (index_at, index_size, "index")]
        for name, (start, size) in (("meta", (meta_at, meta_size)), ("index", (index_at, index_size))):
            if why := _block_damage(data, start, size):
                yield StoreCorrupted(str(file), f"{name} block at offset {start}", why)
                return
            kind = "data" if name == "index" else "filter"
            blocks += [(*_handle(value, 0)[:2], kind) for value in _values(data[start : start + size])]
        for start, size, kind in blocks[2:]:
            if why := _block_damage(data, start, size):
                yield StoreCorrupted(str(file), f"{kind} block at offset {start}", why)
    except (IndexError, ValueError) as error:
        yield StoreCorrupted(str(file), "", f"its index cannot be read: {error}")


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """(offset, size, where it ends)."""
    start, at = _varint(data, at)
    size, at = _varint(data, at)
    return start, size, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _block_damage(data: bytes, start: int, size: int) -> str:
    end = start + size
    if end + TRAILER_BYTES > len(data):
        return f"it would end at {end + TRAILER_BYTES}, and the file has {len(data)} bytes"
    want = int.from_bytes(data[end + 1 : end + TRAILER_BYTES], "little")
    got = masked_crc(data[start : end + 1])
    return "" if got == want else f"its checksum is {got:08x}, expected {want:08x}"


def _values(block: bytes) -> Iterator[bytes]:
    """The values of a block's entries; keys are not put together."""
    restarts = int.from_bytes(block[-4:], "little")
    at, end = 0, len(block) - 4 * (restarts + 1)
    while at < end:
        _, at = _varint(block, at)
        own, at = _varint(block, at)
        size, at = _varint(block, at)
        yield block[at + own : at + own + size]
        at += own + size
