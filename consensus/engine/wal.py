"""The write-ahead log: CometBFT's records in CometBFT's files.

A record is crc32c (Castagnoli) of the payload, u32 big endian; its length, u32 big endian; the payload, a
TimedWALMessage. The head is `wal`, full heads become `wal.000`, `wal.001`, ...; what is read is read in that order.
`append` buffers; `sync` makes everything appended durable. A torn tail of the head is cut when the log is opened,
and said so; a damaged record with valid ones behind it is WalCorrupted, which names the file and the offset.
`append` and `sync` may be called from different threads. Old files are removed once the whole is large, but never one
that may hold a record of the running height: our own votes, and with them a lock, are in it.
Source: CometBFT v0.38, consensus/wal.go, libs/autofile; engine sheet section 8.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from crc32c import crc32c
from google.protobuf.message import DecodeError

from consensus.engine.disk import AppendFile, Disk
from consensus.engine.errors import EngineError, WalCorrupted
from proto.tendermint.consensus import wal_pb2

HEAD_NAME: Final = "wal"
FRAME_BYTES: Final = 8
PAYLOAD_BYTES_MAX: Final = 1_048_576 + 24  # the format's: a message of 1 MiB with its time
BUFFER_BYTES: Final = 40_960  # as CometBFT's: peers' messages are written out at this size or at the next sync
HEAD_BYTES_MAX: Final = 10 * 1024 * 1024
GROUP_BYTES_MAX: Final = 1024 * 1024 * 1024
REMOVED_FILES_MAX: Final = 4  # per rotation, as CometBFT

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
    if why and valid_record_follows(data, offset + 1):
        raise WalCorrupted(name, offset, why)
    return Scan(records, offset, len(data), why)


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
    ) -> None:
        assert head_bytes_max > 0, head_bytes_max
        self._disk, self._directory, self._now_ns = disk, directory, now_ns
        self._head_bytes_max, self._group_bytes_max = head_bytes_max, group_bytes_max
        self._lock = threading.Lock()  # of the buffer: held for moments only
        self._file_lock = threading.Lock()  # of the file: held while it syncs
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._unsynced = False
        self._height_begins = 0  # the number of the first rotated file that may hold records of the running height
        self.cut_bytes = 0  # what opening cut from a torn tail
        disk.make_directory(directory)
        self._head_bytes = self._cut_torn_tail()
        self._head: AppendFile = disk.open_append(self._head_path)
        disk.sync_directory(directory)
        if not self._head_bytes and not self._rotated():
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
        """Buffer a TimedWALMessage's bytes. Durable after the next `sync`. Raises EngineError: too large."""
        frame = encode_frame(payload)
        with self._lock:
            self._buffer.append(frame)
            self._buffered_bytes += len(frame)
            full = self._buffered_bytes >= BUFFER_BYTES
            self._unsynced = True
        if full:
            self.flush()

    def flush(self) -> None:
        """Hand what is buffered to the operating system: it survives the process, not the machine."""
        with self._file_lock:
            self._write_buffer()

    def _write_buffer(self) -> None:
        with self._lock:
            frames, self._buffer, self._buffered_bytes = self._buffer, [], 0
        if frames:
            data = b"".join(frames)
            self._head.write(data)
            self._head_bytes += len(data)

    def sync(self) -> None:
        """Make all that was appended durable; a full head is then put aside. Cheap when there is nothing to do."""
        with self._file_lock:
            with self._lock:
                unsynced, self._unsynced = self._unsynced, False
            if not unsynced:
                return
            self._write_buffer()
            self._head.sync()
            if self._head_bytes >= self._head_bytes_max:
                self._rotate()

    def end_height(self, height: int) -> None:
        """Record, durably, that the block of `height` is saved: replay begins behind this record."""
        with self._file_lock:
            rotated = self._rotated()
            self._height_begins = int(rotated[-1][4:]) + 1 if rotated else 0  # what the head will be called
        self.append(end_height_payload(height, self._now_ns()))
        self.sync()

    def close(self) -> None:
        self.sync()
        self._head.close()

    # ----------------------------------------------------------------------------------------------- rotation

    def _rotated(self) -> list[str]:
        """The full files, oldest first."""
        names = [name for name in self._disk.names(self._directory) if name.startswith(HEAD_NAME + ".")]
        return sorted((name for name in names if name[4:].isdecimal()), key=lambda name: int(name[4:]))

    def _rotate(self) -> None:
        self._head.close()
        rotated = self._rotated()
        index = int(rotated[-1][4:]) + 1 if rotated else 0
        self._disk.rename(self._head_path, self._directory / f"{HEAD_NAME}.{index:03d}")
        self._head = self._disk.open_append(self._head_path)
        self._head_bytes = 0
        self._disk.sync_directory(self._directory)
        self._remove_oldest()

    def _remove_oldest(self) -> None:
        rotated = self._rotated()
        sizes = [self._disk.size(self._directory / name) for name in rotated]
        total = sum(sizes)
        for name, size in list(zip(rotated, sizes, strict=True))[:REMOVED_FILES_MAX]:
            if total < self._group_bytes_max or int(name[4:]) >= self._height_begins:
                return
            self._disk.remove(self._directory / name)
            total -= size
            log.info("removed an old file of the write-ahead log", file=name, bytes=size)

    # ------------------------------------------------------------------------------------------------ reading

    def messages_after(self, end_height: int) -> list[wal_pb2.TimedWALMessage] | None:
        """All that was logged after the last EndHeight(end_height); None when there is no such record.

        Reads the newest file first and no older one than needed: heights rise, so a lower end of height ends the
        search. Raises WalCorrupted.
        """
        self.flush()
        later: list[wal_pb2.TimedWALMessage] = []
        for name in reversed([*self._rotated(), HEAD_NAME]):
            messages = [message for _, message in self._read(name)]
            for index in range(len(messages) - 1, -1, -1):
                message = messages[index].msg
                if message.WhichOneof("sum") != "end_height":
                    continue
                if message.end_height.height == end_height:
                    return messages[index + 1 :] + later
                if message.end_height.height < end_height:
                    return None
            later = messages + later
        return None

    def all_messages(self) -> Iterator[wal_pb2.TimedWALMessage]:
        """Every message of the log, oldest first. Raises WalCorrupted."""
        self.flush()
        for name in [*self._rotated(), HEAD_NAME]:
            yield from (message for _, message in self._read(name))

    def _read(self, name: str) -> list[tuple[int, wal_pb2.TimedWALMessage]]:
        path = self._directory / name
        scan = scan_file(self._disk.read(path), str(path))
        if scan.torn_bytes:  # full files end at a record, and the head's tail was cut when it was opened
            raise WalCorrupted(str(path), scan.clean_bytes, scan.why)
        return scan.records
