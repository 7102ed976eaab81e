"""The journal that record.c writes, read step by step: which form a record has stands there."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_FRAME: Final = struct.Struct("<IIc")  # bytes that follow, pid, kind
_OPENED: Final = struct.Struct("<iBB")
_PLACED: Final = struct.Struct("<iQ")


@dataclass(frozen=True, slots=True)
class Step:
    """One change. kind: as in record.c. path: for a rename or link the new one; old: the one before.

    number: of the descriptor, with its process; -1: by the path.
    """

    kind: str
    number: tuple[int, int] = (0, -1)
    path: str = ""
    old: str = ""
    offset: int = 0  # of a write; of a truncate, the size
    data: bytes = b""
    is_new: bool = False
    is_cut: bool = False

    def told(self) -> str:
        words = [self.kind, self.old, self.path, f"{len(self.data)} bytes at {self.offset}" if self.data else ""]
        return " ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class Mark:
    """What the harness saw at this moment from outside."""

    told: dict[str, Any]


def read_journal(path: Path) -> Iterator[Step | Mark]:
    """In order. A record that was cut, by the end of its process, ends it."""
    data = path.read_bytes()
    at = 0
    while at + _FRAME.size <= len(data):
        size, pid, kind = _FRAME.unpack_from(data, at)
        end = at + 4 + size
        if end > len(data):
            return
        yield _step(kind.decode(), pid, data[at + _FRAME.size : end])
        at = end


def _step(kind: str, pid: int, body: bytes) -> Step | Mark:
    match kind:
        case "M":
            return Mark(json.loads(body))
        case "O":
            number, is_new, is_cut = _OPENED.unpack_from(body)
            return Step(kind, (pid, number), _text(body[_OPENED.size :]), is_new=bool(is_new), is_cut=bool(is_cut))
        case "C" | "S":
            return Step(kind, (pid, int.from_bytes(body, "little", signed=True)))
        case "W":
            number, offset = _PLACED.unpack_from(body)
            return Step(kind, (pid, number), offset=offset, data=body[_PLACED.size :])
        case "T":
            number, offset = _PLACED.unpack_from(body)
            return Step(kind, (pid, number), _text(body[_PLACED.size :]), offset=offset)
        case "R" | "L":
            length = int.from_bytes(body[:2], "little")
            return Step(kind, path=_text(body[2 + length :]), old=_text(body[2 : 2 + length]))
        case "U" | "K" | "D":
            return Step(kind, path=_text(body))
    raise ValueError(f"a record of kind {kind!r}")


def _text(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def write_mark(file: int, told: dict[str, Any]) -> None:
    """file: a descriptor of the journal, open to append."""
    import os

    body = json.dumps(told).encode()
    record = _FRAME.pack(5 + len(body), os.getpid(), b"M") + body
    assert os.write(file, record) == len(record)
