"""The write-ahead log: CometBFT's records in CometBFT's files.

A record is crc32c (Castagnoli) of the payload, u32 big endian; its length, u32 big endian; the payload, a
TimedWALMessage. The head is `wal`, full heads become `wal.000`, `wal.001`, ...; what is read is read in that order.
`append` buffers; `sync` makes everything appended durable. A torn tail of the head is cut when the log is opened,
and said so; a damaged record with valid ones behind it is WalCorrupted, which names the file and the offset.
`append` and `sync` may be called from different threads. Old files are removed once the whole is large, but never one
that a replay would read: our own votes, and with them a lock, are in it.

A height that takes many rounds does not make the log grow without end: `restate` writes what counts of it once more,
behind another EndHeight of the height before, and a replay begins there (checkpoint.py says what counts). A replay
reads record by record: it never holds a file.
Source: CometBFT v0.38, spec/consensus/wal.md, consensus/wal.go, libs/autofile.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from crc32c import crc32c
from google.protobuf.message import DecodeError

from consensus.formats.units import MIB
from consensus.system.disk import AppendFile, Disk
from consensus.system.errors import EngineError, WalCorrupted
from proto.tendermint.consensus import wal_pb2

HEAD_NAME: Final = "wal"
NEW_NAME: Final = "wal.new"  # a restatement that is not whole yet: of no meaning, removed when the log is opened
FRAME_BYTES: Final = 8
PAYLOAD_BYTES_MAX: Final = MIB + 24  # the format's: a message of 1 MiB with its time
BUFFER_BYTES: Final = 40_960  # as CometBFT's: peers' messages are written out at this size or at the next sync
HEAD_BYTES_MAX: Final = 10 * MIB
GROUP_BYTES_MAX: Final = 1_024 * MIB
REMOVED_FILES_MAX: Final = 4  # per rotation, as CometBFT
RESTATE_BYTES_MIN: Final = 32 * MIB  # that a height must have logged before it is restated; most never do
READ_BYTES: Final = 2 * MIB  # at once; more than a frame

log = structlog.get_logger(__name__)


def encode_frame(payload: bytes) -> bytes:
    """Raises EngineError when the payload is larger than any reader accepts."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise EngineError(f"log record has {len(payload)} bytes, allowed {PAYLOAD_BYTES_MAX}")
    return crc32c(payload).to_bytes(4, "big") + len(payload).to_bytes(4, "big") + payload


def payload_at(data: bytes, offset: int) -> bytes | str:
    """The payload of the frame at `offset`, or why there is none."""
    end = offset + FRAME_BYTES
    if end > len(data):
        return f"{len(data) - offset} bytes are no frame"
    length = int.from_bytes(data[offset + 4 : end], "big")
    if not 0 < length <= PAYLOAD_BYTES_MAX:
        return f"length {length} is not in 1 to {PAYLOAD_BYTES_MAX}"
    payload = data[end : end + length]
    if len(payload) < length:
        return f"{len(payload)} of {length} bytes are there"
    want = int.from_bytes(data[offset : offset + 4], "big")
    if (got := crc32c(payload)) != want:
        return f"crc is {got:08x}, expected {want:08x}"
    return payload


def parse_payload(payload: bytes) -> wal_pb2.TimedWALMessage | None:
    """None when it is no TimedWALMessage of a known kind."""
    try:
        message = wal_pb2.TimedWALMessage.FromString(payload)
    except DecodeError:
        return None
    return message if message.msg.WhichOneof("sum") else None


@dataclass(frozen=True, slots=True)
class Scan:
    """What a log file holds. `records` are (offset, message); `clean_bytes` is where the valid prefix ends."""

    records: list[tuple[int, wal_pb2.TimedWALMessage]]
    clean_bytes: int
    total_bytes: int
    why: str  # what stands at clean_bytes when it is not the end

    @property
    def torn_bytes(self) -> int:
        return self.total_bytes - self.clean_bytes


def scan_file(data: bytes, name: str) -> Scan:
    """Decode a file's records up to its end or its torn tail. Raises WalCorrupted for damage in the middle."""
    records: list[tuple[int, wal_pb2.TimedWALMessage]] = []
    offset, why = 0, ""
    while offset < len(data):
        payload = payload_at(data, offset)
        if isinstance(payload, str):
            why = payload
            break
        message = parse_payload(payload)
        if message is None:
            why = "the payload is no log message"
            break
        records.append((offset, message))
        offset += FRAME_BYTES + len(payload)
    if why and valid_record_follows(data, _extent_told_twice(data, offset) or offset + 1):
        raise WalCorrupted(name, offset, why)
    return Scan(records, offset, len(data), why)


def read_frames(
    read_at: Callable[[int, int], bytes], size: int, name: str, start: int = 0
) -> Iterator[tuple[int, wal_pb2.TimedWALMessage]]:
    """The records of a file that has no torn tail, each with the offset behind it; READ_BYTES are held at a time.

    Raises WalCorrupted.
    """
    offset, data, data_at = start, b"", start
    while offset < size:
        payload = payload_at(data, offset - data_at)
        if isinstance(payload, str):  # it goes on behind what is held, unless that began with it
            data, data_at = read_at(offset, min(READ_BYTES, size - offset)), offset
            payload = payload_at(data, 0)
        message = None if isinstance(payload, str) else parse_payload(payload)
        if message is None:
            raise WalCorrupted(name, offset, payload if isinstance(payload, str) else "the payload is no log message")
        offset += FRAME_BYTES + len(payload)
        yield offset, message


def _extent_told_twice(data: bytes, offset: int) -> int | None:
    """Where the damaged frame at `offset` ends, if the beginning of its payload tells the same length; None if not.

    A payload is a time, then a message up to its end. What is inside a frame that a stop tore was chosen by a peer,
    and may look like a valid record; it must not make the log look damaged.
    """
    begin = at = offset + FRAME_BYTES
    length = int.from_bytes(data[offset + 4 : begin], "big")
    if data[at : at + 1] != b"\x0a" or at + 1 >= len(data):
        return None
    at += 2 + data[at + 1]  # a time is far shorter than 128 bytes
    if data[at : at + 1] != b"\x12":
        return None
    told = shift = 0
    for byte in data[at + 1 : at + 5]:
        told |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = at + 1 + shift // 7 + told
            return end if end == begin + length else None
    return None


def valid_record_follows(data: bytes, start: int) -> bool:
    """Whether a whole valid record begins anywhere at or after `start`: then the damage is not a torn write."""
    for offset in range(start, len(data) - FRAME_BYTES):
        payload = payload_at(data, offset)
        if isinstance(payload, bytes) and parse_payload(payload) is not None:
            return True
    return False


def end_height_payload(height: int, time_ns: int) -> bytes:
    message = wal_pb2.TimedWALMessage()
    message.time.FromNanoseconds(time_ns)
    message.msg.end_height.SetInParent()
    message.msg.end_height.height = height
    return message.SerializeToString()


@dataclass(frozen=True, slots=True)
class Place:
    """Before a record of the log. file: its number; the head's is the one that it gets when it is put aside."""

    file: int
    offset: int


@dataclass(frozen=True, slots=True)
class Tail:
    """What was in the log behind `begin` when this was made. Each iteration reads it again, record by record."""

    wal: Wal
    begin: Place
    end: Place

    def __iter__(self) -> Iterator[wal_pb2.TimedWALMessage]:
        """Raises WalCorrupted."""
        return self.wal.read(self.begin, self.end)

    @property
    def byte_size(self) -> int:
        return self.wal.bytes_between(self.begin, self.end)


class Wal:
    """Raises WalCorrupted when it is opened on a head whose middle is damaged."""

    def __init__(
        self,
        disk: Disk,
        directory: Path,
        *,
        now_ns: Callable[[], int],
        head_bytes_max: int = HEAD_BYTES_MAX,
        group_bytes_max: int = GROUP_BYTES_MAX,
        restate_bytes_min: int = RESTATE_BYTES_MIN,
    ) -> None:
        assert head_bytes_max > 0, head_bytes_max
        self._disk, self._directory, self._now_ns = disk, directory, now_ns
        self._head_bytes_max, self._group_bytes_max = head_bytes_max, group_bytes_max
        self._restate_bytes_min = restate_bytes_min
        self._lock = threading.Lock()  # of the buffer: held for moments only
        self._file_lock = threading.Lock()  # of the file: held while it syncs
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._unsynced = False
        self._height_begins = 0  # the number of the first file that a replay of the running height may read
        self._height_bytes = 0  # appended since it begins
        self._restated_bytes = 0  # of the running height; not among them
        self.cut_bytes = 0  # what opening cut from a torn tail
        self._broken_by: BaseException | None = None  # a write that failed: behind half a record none would be read
        disk.make_directory(directory)
        if NEW_NAME in disk.names(directory):
            disk.remove(directory / NEW_NAME)
        self._head_bytes = self._cut_torn_tail()
        rotated = self._rotated()
        self._head_number = int(rotated[-1][4:]) + 1 if rotated else 0  # what the head will be called
        self._head: AppendFile = disk.open_append(self._head_path)
        disk.sync_directory(directory)
        if not self._head_bytes and not rotated:
            self.end_height(0)

    @property
    def _head_path(self) -> Path:
        return self._directory / HEAD_NAME

    def _cut_torn_tail(self) -> int:
        if not self._disk.size(self._head_path):
            return 0
        scan = scan_file(self._disk.read(self._head_path), str(self._head_path))
        if scan.torn_bytes:
            self._disk.truncate(self._head_path, scan.clean_bytes)
            self.cut_bytes = scan.torn_bytes
            log.warning(
                f"cut {scan.torn_bytes} bytes at offset {scan.clean_bytes} of the write-ahead log: torn by a stop",
                file=str(self._head_path),
                why=scan.why,
            )
        return scan.clean_bytes

    # ------------------------------------------------------------------------------------------------ writing

    def append(self, payload: bytes) -> None:
        """Buffer a TimedWALMessage's bytes, and wait for nobody. Durable after the next `sync`. Raises EngineError: too
        large."""
        frame = encode_frame(payload)
        with self._lock:
            self._buffer.append(frame)
            self._buffered_bytes += len(frame)
            self._height_bytes += len(frame)
            full = self._buffered_bytes >= BUFFER_BYTES
            self._unsynced = True
        if full and self._file_lock.acquire(blocking=False):  # a sync may take a disk's time; the loop does not wait
            try:
                self._write_buffer()
            finally:
                self._file_lock.release()

    def flush(self) -> None:
        """Hand what is buffered to the operating system: it survives the process, not the machine."""
        with self._file_lock:
            self._write_buffer()

    def _write_buffer(self) -> None:
        with self._lock:
            frames, self._buffer, self._buffered_bytes = self._buffer, [], 0
        if frames:
            data = b"".join(frames)
            with self._unbroken():
                self._head.write(data)
            self._head_bytes += len(data)

    @contextlib.contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Once the disk has refused something nothing more is written: the next start cuts what is torn, and finds
        whole records before it. Raises OSError."""
        if (broken := self._broken_by) is not None:
            raise OSError(getattr(broken, "errno", errno.EIO), "writing it failed before", str(self._head_path))
        try:
            yield
        except BaseException as error:
            self._broken_by = error
            raise

    def sync(self) -> None:
        """Make all that was appended durable; a full head is then put aside. Cheap when there is nothing to do."""
        with self._file_lock:
            with self._lock:
                unsynced, self._unsynced = self._unsynced, False
            if not unsynced:
                return
            self._write_buffer()
            with self._unbroken():
                self._head.sync()
                if self._head_bytes >= self._head_bytes_max:
                    self._rotate()

    def end_height(self, height: int) -> None:
        """Record, durably, that the block of `height` is saved: replay begins behind this record."""
        with self._file_lock:
            self._height_begins = self._head_number
        self.append(end_height_payload(height, self._now_ns()))
        self._height_bytes = self._restated_bytes = 0
        self.sync()

    def close(self) -> None:
        """What is buffered is synced, unless writing failed before."""
        if self._broken_by is None:
            self.sync()
        self._head.close()

    # --------------------------------------------------------------------------------------------- restatement

    @property
    def is_long(self) -> bool:
        """Whether the running height should be restated: what is written for it stays below twice what is logged."""
        return self._height_bytes >= max(self._restate_bytes_min, self._restated_bytes)

    def restate(self, end_height: int, payloads: Iterable[bytes]) -> int:
        """Let a replay after `end_height` begin with `payloads`; nothing logged before is needed then. Returns bytes.

        They get a file of their own, which is whole on disk before it has a name that counts, and is never appended
        to: after a stop at any point the old records are there, or all of the new ones. Nobody may append meanwhile.
        """
        size = self._write_new(itertools.chain((end_height_payload(end_height, self._now_ns()),), payloads))
        with self._file_lock:
            with self._lock:
                self._unsynced = False
            self._write_buffer()
            with self._unbroken():
                self._head.sync()
                if self._head_bytes:
                    self._put_head_aside()
                self._disk.rename(self._directory / NEW_NAME, self._aside_path(self._head_number))
                self._disk.sync_directory(self._directory)
            self._height_begins, self._head_number = self._head_number, self._head_number + 1
            self._height_bytes, self._restated_bytes = 0, size
            self._remove_oldest(files_max=None)
        return size

    def _write_new(self, payloads: Iterable[bytes]) -> int:
        path = self._directory / NEW_NAME
        if NEW_NAME in self._disk.names(self._directory):
            self._disk.remove(path)
        size, file = 0, self._disk.open_append(path)
        try:
            for payload in payloads:
                frame = encode_frame(payload)
                file.write(frame)
                size += len(frame)
            file.sync()
        finally:
            file.close()
        return size

    # ----------------------------------------------------------------------------------------------- rotation

    def _rotated(self) -> list[str]:
        """The full files, oldest first."""
        names = [name for name in self._disk.names(self._directory) if name.startswith(HEAD_NAME + ".")]
        return sorted((name for name in names if name[4:].isdecimal()), key=lambda name: int(name[4:]))

    def _aside_path(self, number: int) -> Path:
        return self._directory / f"{HEAD_NAME}.{number:03d}"

    def _path(self, number: int) -> Path:
        """Where the file is now."""
        return self._head_path if number == self._head_number else self._aside_path(number)

    def _rotate(self) -> None:
        self._put_head_aside()
        self._remove_oldest(files_max=REMOVED_FILES_MAX)

    def begin_file(self) -> None:
        """Put the head aside, however full: whoever opens the log soon, and knows the last height, reads little."""
        self.sync()
        with self._file_lock:
            self._write_buffer()
            with self._unbroken():
                self._head.sync()
                if self._head_bytes:
                    self._rotate()

    def _put_head_aside(self) -> None:
        self._head.close()
        self._disk.rename(self._head_path, self._aside_path(self._head_number))
        self._head_number += 1
        self._head = self._disk.open_append(self._head_path)
        self._head_bytes = 0
        self._disk.sync_directory(self._directory)

    def _remove_oldest(self, *, files_max: int | None) -> None:
        rotated = self._rotated()
        sizes = [self._disk.size(self._directory / name) for name in rotated]
        total = sum(sizes)
        for name, size in list(zip(rotated, sizes, strict=True))[:files_max]:
            if total < self._group_bytes_max or int(name[4:]) >= self._height_begins:
                return
            self._disk.remove(self._directory / name)
            total -= size
            log.info("removed an old file of the write-ahead log", file=name, bytes=size)

    # ------------------------------------------------------------------------------------------------ reading

    def records_after(self, end_height: int) -> Tail | None:
        """All that was logged after the last EndHeight(end_height); None when there is no such record.

        Looks into the newest file first and into no older one than needed: heights rise, so a lower end of height
        ends the search. Raises WalCorrupted.
        """
        self.flush()
        end = Place(self._head_number, self._head_bytes)
        for number in reversed(self._numbers()):
            found, is_lower_there = None, False
            for offset, message in self._frames(number):
                if message.msg.WhichOneof("sum") == "end_height":
                    height = message.msg.end_height.height
                    found = Place(number, offset) if height == end_height else found
                    is_lower_there |= height < end_height
            if found is not None:
                return Tail(self, found, end)
            if is_lower_there:
                return None
        return None

    def take_up(self, end_height: int) -> Tail | None:
        """As `records_after`, of the running height: from now on what is logged for it comes behind this."""
        tail = self.records_after(end_height)
        if tail is not None:
            self._height_begins, self._height_bytes, self._restated_bytes = tail.begin.file, tail.byte_size, 0
        return tail

    def all_messages(self) -> Iterator[wal_pb2.TimedWALMessage]:
        """Every message of the log, oldest first. Raises WalCorrupted."""
        self.flush()
        return self.read(Place(0, 0), Place(self._head_number, self._head_bytes))

    def read(self, begin: Place, end: Place) -> Iterator[wal_pb2.TimedWALMessage]:
        """The records between. The head may be put aside meanwhile. Raises WalCorrupted."""
        for number in [number for number in self._numbers() if begin.file <= number <= end.file]:
            start = begin.offset if number == begin.file else 0
            for _, message in self._frames(number, start, end.offset if number == end.file else None):
                yield message

    def bytes_between(self, begin: Place, end: Place) -> int:
        numbers = [number for number in self._numbers() if begin.file <= number < end.file]
        return sum(map(self._size, numbers)) + end.offset - begin.offset

    def _numbers(self) -> list[int]:
        """Of the files, oldest first."""
        return [*(int(name[4:]) for name in self._rotated()), self._head_number]

    def _size(self, number: int) -> int:
        return self._disk.size(self._path(number))

    def _frames(
        self, number: int, start: int = 0, end: int | None = None
    ) -> Iterator[tuple[int, wal_pb2.TimedWALMessage]]:
        """Of a file up to `end`. Full files end at a record, and the head's tail was cut when it was opened."""

        def read_at(offset: int, size: int) -> bytes:
            return self._disk.read_at(self._path(number), offset, size)

        return read_frames(read_at, self._size(number) if end is None else end, str(self._path(number)), start)
