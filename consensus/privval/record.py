"""The record of signing on disk: CometBFT's state file, and while a node signs, two slots beside it.

At rest `priv_validator_state.json` alone is the record, in CometBFT's form. Replacing a file durably takes two syncs
and a new name, so a signing node writes one of two slots of a file in place instead, in turn, each with a checksum:
one sync, and whatever a stop leaves of the slot being written, the other one holds the signature before it, whose
successor never left the process. The state file then says a *ceiling*, a position that no signature of these heights
reaches, and names the slots that know better. Whoever brings the state file alone to another home, or to CometBFT,
signs nothing below the ceiling: at most CEILING_HEIGHTS heights are missed, and nothing is signed twice. A clean stop
writes the exact record into the state file and removes the slots.

What counts: slots that the state file names; of any others (a stop between two steps) the higher of both.
Source: docs/decisions/0017-a-sign-state-in-two-slots.md; CometBFT v0.38, privval/file.go.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from consensus.documents.files import SignState, format_sign_state, parse_sign_state
from consensus.system.disk import Disk, PlacedFile

CEILING_HEIGHTS: Final = 16  # heights for which the state file is written once; so many may be missed without the slots
SLOT_BYTES: Final = 4_096  # a write of one touches no sector of the other, also where sectors have 4 KiB
_MAGIC: Final = b"dchat sign slot\x01"
_HEAD: Final = struct.Struct(">16sQ16s20sqqiBHH")  # magic, number, id, address, ceiling, height, round, step, lengths
_DIGEST_BYTES: Final = 32
ID_BYTES: Final = 16

log = structlog.get_logger(__name__)


def slots_path(state_path: Path) -> Path:
    """The slots' file beside a state file."""
    return state_path.with_suffix(".slots")


@dataclass(frozen=True, slots=True)
class _Slot:
    """number: they are written in this order. id: of the file, drawn anew by each process that signs. ceiling: the last
    height for which the state file may speak."""

    number: int
    id: bytes
    address: bytes
    ceiling: int
    state: SignState

    def encode(self) -> bytes:
        state = self.state
        lengths = len(state.signature), len(state.sign_bytes)
        head = _HEAD.pack(
            _MAGIC, self.number, self.id, self.address, self.ceiling, state.height, state.round, state.step, *lengths
        )
        body = head + state.signature + state.sign_bytes
        assert len(body) + _DIGEST_BYTES <= SLOT_BYTES, len(body)  # sign bytes have a few hundred bytes at most
        return body + hashlib.sha256(body).digest()

    @staticmethod
    def decode(data: bytes) -> _Slot | None:
        """None: nothing was written here, or not all of it."""
        if len(data) < _HEAD.size or not data.startswith(_MAGIC):
            return None
        _, number, id, address, ceiling, height, round, step, signature_size, size = _HEAD.unpack_from(data)
        end = _HEAD.size + signature_size + size
        if hashlib.sha256(data[:end]).digest() != data[end : end + _DIGEST_BYTES]:
            return None
        signature, sign_bytes = data[_HEAD.size : end - size], data[end - size : end]
        return _Slot(number, id, address, ceiling, SignState(height, round, step, signature, sign_bytes))


def _newest_slot(disk: Disk, path: Path) -> _Slot | None:
    try:
        data = disk.read_at(path, 0, 2 * SLOT_BYTES)
    except FileNotFoundError:
        return None
    found = [slot for at in (0, SLOT_BYTES) if (slot := _Slot.decode(data[at : at + SLOT_BYTES])) is not None]
    return max(found, key=lambda slot: slot.number, default=None)


def read_record(disk: Disk, state_path: Path, address: bytes | None = None) -> SignState:
    """What was signed last, of both files. address: of the key; slots of another one are not looked at.

    Raises FileNotFoundError (of the state file: the slots alone are no record), InvalidFile, OSError.
    """
    written = parse_sign_state(disk.read(state_path))
    slot = _newest_slot(disk, slots_path(state_path))
    own = replace(written, slots=b"")
    if slot is None or (address is not None and slot.address != address):
        return own
    if slot.id == written.slots and written.height <= slot.ceiling + 1:
        return slot.state  # the state file says the ceiling, and that these slots know better
    return max(own, slot.state, key=lambda state: (state.position, state.signature != b""))


def write_record(disk: Disk, state_path: Path, state: SignState) -> None:
    """Let the state file say all, and be all; the record must not be lower than it was. Raises OSError."""
    disk.replace(state_path, format_sign_state(replace(state, slots=b"")).encode())
    slots = slots_path(state_path)
    if disk.size(slots):  # after the state file: a stop in between leaves two that agree
        disk.remove(slots)
        disk.sync_directory(slots.parent)


class SignRecord:
    """The record of the key with `address`, for the one process that signs with it. `write` blocks on the disk.

    Raises what `read_record` raises.
    """

    def __init__(
        self,
        disk: Disk,
        state_path: Path,
        address: bytes,
        new_id: Callable[[], bytes] = lambda: secrets.token_bytes(16),
    ) -> None:
        self._disk, self._path, self._address, self._new_id = disk, state_path, address, new_id
        self._file: PlacedFile | None = None
        self._number, self._id = 0, b""
        self._is_sound = True  # the last write did not fail
        self._ceiling = 0  # that the state file says
        self.state = read_record(disk, state_path, address)
        written = parse_sign_state(disk.read(state_path))
        self._is_settled = not written.slots and not disk.size(slots_path(state_path))
        if written.slots and self.state == replace(written, slots=b""):
            log.warning(
                "the slots that this sign state names are not here: nothing is signed below its height; bring them, "
                "where a node stopped without notice, from where the key last signed",
                sign_state=str(state_path), slots=slots_path(state_path).name, height=self.state.height,
            )  # fmt: skip

    def write(self, state: SignState) -> None:
        """Have `state` on disk when this returns. Raises OSError: it may or may not be."""
        if self._file is None:
            self._begin()
        assert self._file is not None
        ceiling = self._ceiling if state.height <= self._ceiling else state.height + CEILING_HEIGHTS - 1
        self._number += 1
        self._is_sound = False
        slot = _Slot(self._number, self._id, self._address, ceiling, state)
        self._file.write_at(SLOT_BYTES * (self._number % 2), slot.encode())
        self._file.sync()
        if (
            ceiling != self._ceiling
        ):  # before the signature leaves, and after the slot: a ceiling alone would silence us
            said = SignState(ceiling + 1, slots=self._id)
            self._disk.replace(self._path, format_sign_state(said).encode())
            self._ceiling = ceiling
        self.state, self._is_sound = state, True

    def close(self) -> None:
        """Let the state file say all. Where the disk refuses, the slots go on to count."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._is_settled or not self._is_sound:  # of a write that failed the disk knows more, perhaps
            return
        try:
            write_record(self._disk, self._path, self.state)
        except OSError as error:
            log.warning(
                "the sign state stays in two files: carry both", sign_state=str(self._path),
                slots=slots_path(self._path).name, error=repr(error),
            )  # fmt: skip
            return
        self._is_settled = True

    def _begin(self) -> None:
        if not self._is_settled:  # of a stop without notice: the state file names its slots no more once they go
            write_record(self._disk, self._path, self.state)
        self._is_settled = False
        self._number, self._id, self._ceiling = 0, self._new_id(), 0
        empty = _Slot(0, self._id, self._address, 0, self.state).encode()
        path = slots_path(self._path)
        self._disk.replace(path, empty.ljust(2 * SLOT_BYTES, b"\0"))  # all of it: a slot's sync writes data alone
        self._file = self._disk.open_in_place(path)
