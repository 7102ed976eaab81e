"""HOME/audit.log: a line for each administrative act, with the hash of the one before it in it.

A line is JSON with sorted keys: `seq` from 1, `time` (UTC), `what`, `details`, `by` (process, user), `before` (the hash
of the line before; the first has zeros) and `hash`: SHA-256 of the line without it. Who changes, removes or inserts a
line breaks every hash after it; who cuts lines off the end is seen by whoever kept a later hash, which is why a node
says the newest in its log. The file is 0600, is only appended to, and each line is on disk when `add` returns. Several
processes may write: each holds the file meanwhile, and who does not get it soon says so.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog

FILE_NAME: Final = "audit.log"
FIRST: Final = "0" * 64
MODE: Final = 0o600
LINE_BYTES_MAX: Final = 16_384
DETAIL_CHARS_MAX: Final = 512  # of each: a reason may hold what others sent
HELD_S: Final = 5.0  # as long another writer is waited for
HELD_LOOK_S: Final = 0.02
TORN: Final = "a torn line was passed over"
TORN_BYTES_MAX: Final = 64 * LINE_BYTES_MAX  # of what is looked through for the last line

log = structlog.get_logger(__name__)


class AuditError(Exception):
    """The log cannot be written, or cannot be read."""


class AuditHeld(AuditError):
    """Another process has held it all the time."""


class AuditBroken(AuditError):
    """A line is not what was written there."""

    def __init__(self, path: Path, number: int, why: str) -> None:
        super().__init__(f"{path}, line {number}: {why}")
        self.number = number


@dataclass(frozen=True)
class Entry:
    """One line."""

    seq: int
    time: str
    what: str
    details: Mapping[str, Any]
    by: Mapping[str, Any]
    before: str
    hash: str


class Trail:
    """Of one file. now_s: seconds since 1970. held_s: for how long another process that holds it is waited for."""

    def __init__(self, path: Path, *, now_s: Callable[[], float] = time.time, held_s: float = HELD_S) -> None:
        self.path, self.now_s, self._held_s = path, now_s, held_s

    def add(self, what: str, **details: str | int | bool) -> Entry:
        """As `add_at`, of now."""
        return self.add_at(self.now_s(), what, details)

    def add_at(self, at_s: float, what: str, details: Mapping[str, str | int | bool]) -> Entry:
        """Returns the line that is on disk then. Blocks. Raises AuditError: it is not, and why; AuditHeld."""
        try:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise AuditError(f"{self.path}: cannot be written: {error.strerror}") from None
        try:
            self._hold(file)
            if (mode := os.fstat(file).st_mode & 0o777) != MODE:
                raise AuditError(f"{self.path} has mode {mode:04o}; allowed: {MODE:04o}: chmod 600 it")
            last, torn, end = self._last(file)
            if torn:
                last, end = self._append(file, last, at_s, TORN, {"sha256": _hash_of_torn(torn)}, end), b""
            return self._append(file, last, at_s, what, details, end)
        except OSError as error:
            raise AuditError(f"{self.path}: cannot be written: {error.strerror}") from None
        finally:
            os.close(file)

    def note(self, what: str, **details: str | int | bool) -> str:
        """`add` where not being able to is no reason to stop: the log says it. Returns the newest hash, or nothing."""
        try:
            return self.add(what, **details).hash
        except AuditError as error:
            log.error("the audit log was not written", what=what, why=str(error))
            return ""

    def entries(self) -> Iterator[Entry]:
        """All, each held against the one before. Raises AuditError, AuditBroken."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise AuditError(f"{self.path}: cannot be read: {error.strerror}") from None
        before, seq, torn, torn_at = FIRST, 0, b"", 0
        with file:
            for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""), start=1):
                entry = _parsed(line)
                if entry is None:
                    torn, torn_at = torn + line, torn_at or number
                    if len(torn) > TORN_BYTES_MAX:
                        raise AuditBroken(self.path, torn_at, "is no line of an audit log")
                    continue
                if torn and (entry.what != TORN or entry.details.get("sha256") != _hash_of_torn(torn)):
                    raise AuditBroken(self.path, torn_at, "is no line of an audit log")
                if (entry.what == TORN) != bool(torn):
                    raise AuditBroken(self.path, number, "tells of a torn line that is not there")
                torn, torn_at = b"", 0
                if entry.seq != seq + 1 or entry.before != before:
                    raise AuditBroken(self.path, number, f"does not follow line {seq}: one was removed, or put in")
                if entry.hash != _hash(_body(entry)):
                    raise AuditBroken(self.path, number, "is not what was written: its hash differs")
                before, seq = entry.hash, entry.seq
                yield entry
        if torn:
            raise AuditBroken(self.path, torn_at, "is not whole: the last write was cut off; the next line will say so")

    def _last(self, file: int) -> tuple[Entry | None, bytes, bytes]:
        """The newest line (None: there is none); what writes that were cut off left behind it, where the line that
        tells of one may have been cut off itself; and what ends that. Raises AuditError."""
        size = os.fstat(file).st_size
        start = max(0, size - TORN_BYTES_MAX)
        tail = os.pread(file, TORN_BYTES_MAX, start)
        lacks = b"\n" if tail and not tail.endswith(b"\n") else b""
        if lacks and (entry := _parsed(tail[tail.rfind(b"\n") + 1 :] + lacks)) is not None:
            return entry, b"", lacks  # cut off between its text and its end
        end = len(tail)
        while (at := tail.rfind(b"\n", 0, end)) >= 0:
            begin = tail.rfind(b"\n", 0, at) + 1
            entry = _parsed(tail[begin : at + 1])
            if entry is not None:
                return entry, tail[at + 1 :], lacks
            end = at
        if start:
            raise AuditError(f"{self.path}: its last lines are none of an audit log; `dchat audit verify` says more")
        return None, tail, lacks

    def _hold(self, file: int) -> None:
        """Raises AuditHeld, OSError."""
        until = time.monotonic() + self._held_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise AuditHeld(f"{self.path}: another process has held it for {self._held_s:g} s") from None
            time.sleep(HELD_LOOK_S)

    def _append(
        self, file: int, last: Entry | None, at_s: float, what: str, details: Mapping[str, Any], front: bytes = b""
    ) -> Entry:
        """front: the end of what was cut off before, in one write with the line."""
        at = datetime.datetime.fromtimestamp(at_s, datetime.UTC).isoformat(timespec="milliseconds")
        entry = Entry(
            seq=last.seq + 1 if last else 1,
            time=at.replace("+00:00", "Z"),
            what=what,
            details={name: one[:DETAIL_CHARS_MAX] if isinstance(one, str) else one for name, one in details.items()},
            by={"pid": os.getpid(), "uid": os.getuid()},
            before=last.hash if last else FIRST,
            hash="",
        )
        body = _body(entry)
        digest = _hash(body)
        line = _text({**body, "hash": digest}) + b"\n"
        if len(line) > LINE_BYTES_MAX:
            raise AuditError(f"{self.path}: a line would have {len(line)} bytes; allowed: {LINE_BYTES_MAX}")
        if os.write(file, front + line) != len(front + line):
            raise AuditError(f"{self.path}: only a part of a line was written")
        os.fsync(file)
        return Entry(**{**body, "hash": digest})


def _body(entry: Entry) -> dict[str, Any]:
    """All but the hash."""
    return {
        "seq": entry.seq, "time": entry.time, "what": entry.what, "details": dict(entry.details), "by": dict(entry.by),
        "before": entry.before,
    }  # fmt: skip


def _text(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_text(body)).hexdigest()


def _hash_of_torn(torn: bytes) -> str:
    """Of one line or several, without the newline that ends them."""
    return hashlib.sha256(torn.removesuffix(b"\n")).hexdigest()


def _parsed(line: bytes) -> Entry | None:
    """None: it is no whole line of ours."""
    if not line.endswith(b"\n"):
        return None
    try:
        told = json.loads(line)
        entry = Entry(**told)
    except (ValueError, TypeError, RecursionError):
        return None
    texts = (entry.time, entry.what, entry.before, entry.hash)
    is_ours = all(isinstance(one, str) for one in texts) and isinstance(entry.details, dict)
    is_ours = is_ours and isinstance(entry.by, dict) and type(entry.seq) is int
    return entry if is_ours and line == _text(told) + b"\n" else None
