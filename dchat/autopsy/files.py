"""Trails on disk: what a node that ends by a failure remembers of its last blocks, for whoever examines its home then.

`data/trail/HEIGHT`: a line that names the format, the SHA-256 of the rest, then a TrailFile. Written when the node ends
and only then, newest first, within bounds; a later file of the same height takes an earlier one's place, and the oldest
go. A file that cannot be read is told of, and is no reason for anything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from chain.trail.steps import BlockTrail
from consensus.formats.units import MIB
from crypto.hash import HASH_BYTES, sha256
from dchat.autopsy.errors import BadTrail
from dchat.autopsy.form import check_writes, head_of, read_head, read_steps, step_message
from proto.dchat.v1 import trail_service_pb2 as pb

MAGIC: Final = b"dchat trail 1\n"
FILES_MAX: Final = 16  # a difference shows in the next block: the others are for the one before
SAVED_AT_ONCE: Final = 4
SAVED_BYTES_MAX: Final = 64 * MIB  # of those that are saved at once
FILE_BYTES_MAX: Final = 512 * MIB  # that is read: a block of the format's limit, and all that it wrote


class TrailFiles:
    """folder: of one home; it need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def heights(self) -> list[int]:
        """Ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isascii() and path.name.isdigit())

    def save(self, trails: Iterable[BlockTrail]) -> list[int]:
        """The newest first; returns the heights that were. Raises OSError."""
        saved: list[int] = []
        room = SAVED_BYTES_MAX
        for trail in trails:
            data = encode(trail)
            room -= len(data)
            if room < 0 and saved:
                break
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = self.folder / f"{trail.height}.new"
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.folder / str(trail.height))
            saved.append(trail.height)
            if len(saved) == SAVED_AT_ONCE:
                break
        for height in self.heights()[:-FILES_MAX]:
            (self.folder / str(height)).unlink(missing_ok=True)
        return saved

    def read(self, height: int) -> BlockTrail | None:
        """None: there is none. Raises BadTrail (which file), OSError."""
        path = self.folder / str(height)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return None
        if size > FILE_BYTES_MAX:
            raise BadTrail(f"{path}: {size} bytes, allowed: {FILE_BYTES_MAX}")
        try:
            trail = decode(path.read_bytes())
        except BadTrail as error:
            raise BadTrail(f"{path}: {error}") from None
        if trail.height != height:
            raise BadTrail(f"{path}: it is of height {trail.height}")
        return trail


def encode(trail: BlockTrail) -> bytes:
    file = pb.TrailFile(trail=head_of(trail.height, trail.block_hash, trail.app_hash, trail.roots))
    file.steps.extend([step_message(step, with_writes=True) for step in trail.steps])
    data = file.SerializeToString()
    return MAGIC + sha256(data) + data


def decode(data: bytes) -> BlockTrail:
    """Raises BadTrail."""
    start = len(MAGIC)
    if not data.startswith(MAGIC):
        raise BadTrail("it is no trail of this form")
    body = data[start + HASH_BYTES :]
    if sha256(body) != data[start : start + HASH_BYTES]:
        raise BadTrail("its hash is not the one that it names: it is damaged")
    try:
        file = pb.TrailFile.FromString(body)
    except DecodeError as error:
        raise BadTrail(f"it cannot be read: {error}") from None
    steps = read_steps(file.steps, first=0, count=len(file.steps))
    for index, step in enumerate(steps):
        check_writes(steps, index, step.writes)
    return replace(read_head(file.trail), steps=tuple(steps))
