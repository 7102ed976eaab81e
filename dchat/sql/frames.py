"""What the node and its writing process say to each other: stored blocks one way, lines of JSON the other.

The first frame, of height 0, says where to and for which chain: the connection string goes through the pipe, and is in
no list of processes and no environment.
"""

from __future__ import annotations

import json
import os
import select
import struct
from typing import Any, Final, NamedTuple

from dchat.sql.writer import Frame, Target

HEAD: Final = struct.Struct(">Iq?II")  # epoch, height, whether it is the last there is, bytes of block and results
READ_BYTES: Final = 1 << 20
LINE_BYTES_MAX: Final = 65_536


class Sent(NamedTuple):
    """epoch: how often the process had said where to go on from; what was sent before it said so again is dropped.
    is_last: nothing follows at once, so it is time to commit."""

    frame: Frame
    epoch: int
    is_last: bool


def encode(sent: Sent) -> bytes:
    height, block, results = sent.frame
    return b"".join((HEAD.pack(sent.epoch, height, sent.is_last, len(block), len(results)), block, results))


def encode_target(target: Target) -> bytes:
    told = {name: getattr(target, name) for name in ("connection", "schema", "chain_id", "genesis_hash")}
    return encode(Sent(Frame(0, json.dumps(told).encode(), b""), 0, False))


def decode_target(sent: Sent) -> Target:
    assert not sent.frame.height, sent.frame.height
    return Target(**json.loads(sent.frame.block))


class Pipe:
    """The frames that come, in the order in which they were sent. Raises EOFError: the node is gone."""

    def __init__(self, file: int) -> None:
        self._file, self._held = file, bytearray()

    def next(self) -> Sent:
        """Waits for it."""
        while (found := self._whole()) is None:
            data = os.read(self._file, READ_BYTES)
            if not data:
                raise EOFError
            self._held += data
        return found

    def _whole(self) -> Sent | None:
        if len(self._held) < HEAD.size:
            return None
        epoch, height, is_last, block, results = HEAD.unpack_from(self._held)
        end = HEAD.size + block + results
        if len(self._held) < end:
            return None
        data = bytes(self._held[HEAD.size : end])
        del self._held[:end]
        return Sent(Frame(height, data[:block], data[block:]), epoch, is_last)

    def pause(self, seconds: float) -> None:
        """Let time pass, unless the node goes meanwhile."""
        poll = select.poll()
        poll.register(self._file, select.POLLHUP)
        if poll.poll(seconds * 1_000):
            raise EOFError


def encode_line(**told: Any) -> bytes:
    return json.dumps(told).encode() + b"\n"
