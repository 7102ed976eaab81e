"""Crafted backups, and a sink that keeps nothing of one."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256

from dchat.upkeep.archive import MAGIC, PACKED, Facts, Writes

FACTS = Facts("chain", "ab" * 32, 7, "cd" * 32, "build")


class Nowhere:
    """A sink that keeps sizes alone."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}

    @contextmanager
    def file(self, name: str) -> Iterator[Writes]:
        self.sizes[name] = 0
        sink, sizes = name, self.sizes

        class _File:
            def write(self, data: bytes, /) -> None:
                sizes[sink] += len(data)

        yield _File()


def crafted(*pieces: bytes, facts: object = None, packed: bool = True) -> io.BytesIO:
    """A backup of facts, then whatever bytes, its last hash right."""
    told = json.dumps(asdict(FACTS) if facts is None else facts).encode() if not isinstance(facts, bytes) else facts
    whole = MAGIC + told + b"\n" + b"".join(pieces)
    whole += sha256(whole).digest()
    return io.BytesIO(PACKED + zlib.compress(whole) if packed else whole)


def a_file(name: str, content: bytes, *, says: int | str | None = None) -> bytes:
    size = len(content) if says is None else says
    return f"{name} {size}\n".encode() + content + sha256(content).digest()
