"""HOME/audit.log: a line for each administrative act, with the hash of the one before it in it.

A line is JSON with sorted keys: `seq` from 1, `time` (UTC), `what`, `details`, `by` (process, user), `before` (the hash
of the line before; the first has zeros) and `hash`: SHA-256 of the line without it. Who changes, removes or inserts a
line breaks every hash after it; who cuts lines off the end is seen by whoever kept a later hash, which is why a node
says the newest in its log. The file is 0600, is only appended to, and each line is on disk when `add` returns. Several
processes may write: each holds the file meanwhile.
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
TORN: Final = "a torn line was passed over"

log = structlog.get_logger(__name__)


class AuditError(Exception):
    """The log cannot be written, or cannot be read."""


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
    """Of one file. now_s: seconds since 1970."""

    def __init__(self, path: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self.path, self._now_s = path, now_s

    def add(self, what: str, **details: str | int | bool) -> Entry:
        """Returns the line that is on disk then. Raises AuditError: it is not, and why."""
        try:
            file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
        except OSError as error:
            raise AuditError(f"{self.path}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if (mode := os.fstat(file).st_mode & 0o777) != MODE:
                raise AuditError(f"{self.path} has mode {mode:04o}; allowed: {MODE:04o}: chmod 600 it")
            last, torn = self._last(file)
            if torn:
                os.write(file, b"\n")
                last = self._append(file, last, TORN, {"sha256": hashlib.sha256(torn).hexdigest()})
            return self._append(file, last, what, details)
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
        before, seq, torn = FIRST, 0, b""
        with file:
            for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""), start=1):
                entry = _parsed(line)
                if entry is None:
                    if torn:
                        raise AuditBroken(self.path, number - 1, "is no line of an audit log")
                    torn = line.removesuffix(b"\n")
                    continue
                if torn and (entry.what != TORN or entry.details.get("sha256") != hashlib.sha256(torn).hexdigest()):
                    raise AuditBroken(self.path, number - 1, "is no line of an audit log")
                if (entry.what == TORN) != bool(torn):
                    raise AuditBroken(self.path, number, "tells of a torn line that is not there")
                torn = b""
                if entry.seq != seq + 1 or entry.before != before:
                    raise AuditBroken(self.path, number, f"does not follow line {seq}: one was removed, or put in")
                if entry.hash != _hash(_body(entry)):
                    raise AuditBroken(self.path, number, "is not what was written: its hash differs")
                before, seq = entry.hash, entry.seq
                yield entry
        if torn:
            raise AuditBroken(self.path, number, "is not whole: the last write was cut off; the next line will say so")

    def _last(self, file: int) -> tuple[Entry | None, bytes]:
        """The newest line (None: there is none), and what a write that was cut off left. Raises AuditError."""
        size = os.fstat(file).st_size
        tail = os.pread(file, 2 * LINE_BYTES_MAX, max(0, size - 2 * LINE_BYTES_MAX))
        *lines, torn = tail.split(b"\n")
        if not lines:
            return None, torn
        entry = _parsed(lines[-1] + b"\n")
        if entry is None:
            raise AuditError(f"{self.path}: its last line is none of an audit log; `dchat audit verify` says more")
        return entry, torn

    def _append(self, file: int, last: Entry | None, what: str, details: Mapping[str, Any]) -> Entry:
        at = datetime.datetime.fromtimestamp(self._now_s(), datetime.UTC).isoformat(timespec="milliseconds")
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
        assert len(line) <= LINE_BYTES_MAX, len(line)
        if os.write(file, line) != len(line):
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
