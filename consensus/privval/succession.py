"""A validator's key and the one that comes after it: which signs is the set's word, not the operator's timing.

The set of a height names one of the two. While that is the old key the other is only looked for; from the first height
that has the new one and not the old, the new one signs, and the files change places: key and record of the old one go
into a folder `retired`, the new one's into their place. Each key has its own record of what it signed, so that neither
ever signs twice, whatever stops in between; `settle` finishes what a stop left half done, before anything signs.
Calls block on the disk.
Source: docs/signer.md, Change a key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from consensus.documents.files import SignState
from consensus.privval.record import slots_path
from consensus.privval.signer import FileSigner, Signer
from consensus.system.disk import Disk
from consensus.system.errors import SignerError
from consensus.types.validators import ValidatorSet
from consensus.types.vote import Proposal, Vote
from crypto.keys import PrivKey, PubKey

SUFFIX: Final = ".json"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Places:
    """Files of the key that signs, of the next one, and where retired ones go: keys and records by their address."""

    key: Path
    state: Path
    next_key: Path
    next_state: Path
    retired_keys: Path
    retired_states: Path


def settle(disk: Disk, places: Places) -> bool:
    """Finish a change of places that a stop interrupted: before any of the files is open. Returns whether there was
    one. Raises OSError."""
    if not disk.size(places.next_key):
        return False
    if disk.size(places.key):
        if disk.read(places.key) != disk.read(places.next_key):
            return False
        _remove(disk, places.next_key)  # all that was left to do
        return True
    names = [name for name in disk.names(places.retired_keys) if name.endswith(SUFFIX)]
    if not names:
        return False  # a home whose key somebody took away
    done = frozenset(disk.names(places.retired_states))
    under_way = [name for name in names if name not in done]
    if disk.size(places.state) and disk.size(places.next_state) and not under_way:
        here = disk.read(places.state)  # in two places, between the copy and the end of what was copied; or another's
        under_way = [name for name in names if disk.read(places.retired_states / name) == here]
        if not under_way and disk.read(places.next_state) != here:
            return False
    _move_records(disk, places, under_way[0] if under_way else "")
    return True


def change_places(disk: Disk, places: Places, retired: PubKey) -> None:
    """Retire the key that signed, and put the next one there. Both records are closed. A stop at any point leaves what
    `settle` finishes: while the key's file is missing and the next one's is there, it is under way. Raises OSError."""
    name = retired.address.hex() + SUFFIX
    for folder in (places.retired_keys, places.retired_states):
        disk.make_directory(folder)
    _move(disk, places.key, places.retired_keys / name)
    _move_records(disk, places, name)


def _move_records(disk: Disk, places: Places, name: str) -> None:
    """name: of the retired record; empty: it is there. What lies beside a record follows it, each time after it: so
    slots here are the old key's as long as its record is not in its folder, and the next key's from then on."""
    if name:
        for old, new in _pair(places.state, places.retired_states / name):
            if disk.size(old):
                _move(disk, old, new)
    for old, new in _pair(places.next_state, places.state):
        if disk.size(old):
            _move(disk, old, new)
    _move(disk, places.next_key, places.key)


def _pair(old: Path, new: Path) -> tuple[tuple[Path, Path], ...]:
    return (old, new), (slots_path(old), slots_path(new))


def _move(disk: Disk, old: Path, new: Path) -> None:
    """At each moment it is durably at one of both at least: a new name in another folder promises less."""
    disk.replace(new, disk.read(old))
    _remove(disk, old)


def _remove(disk: Disk, path: Path) -> None:
    disk.remove(path)
    disk.sync_directory(path.parent)


class SuccessiveKey:
    """A key whose place another takes one day. It is the key that signs now, for whoever has something else signed.

    find: the next one; None: there is none; raises SignerError: it cannot be read. told: which signs from now on; on
    the event loop.
    """

    def __init__(
        self, key: PrivKey, places: Places, find: Callable[[], PrivKey | None],
        told: Callable[[PubKey], None] = lambda pub_key: None,
    ) -> None:  # fmt: skip
        self.now, self.places, self.find, self.told = key, places, find, told

    @property
    def pub_key(self) -> PubKey:
        return self.now.pub_key

    def sign(self, message: bytes) -> bytes:
        return self.now.sign(message)


class SuccessiveSigner:
    """Signs by the key of now; `succeed` makes that another. Satisfies Signer.

    open_signer: the signer of a key whose record lies there; the record is made for a key that never signed. around:
    what is put around each signer (`consensus.node.engine.Choices.sign`). Raises what `open_signer` raises.
    """

    def __init__(
        self, disk: Disk, key: SuccessiveKey, open_signer: Callable[[PrivKey, Path], FileSigner],
        around: Callable[[FileSigner], Signer] = lambda signer: signer,
    ) -> None:  # fmt: skip
        self.key, self._disk, self._open, self._around = key, disk, open_signer, around
        self._floor, self._told = 0, ""
        self._sign_by(key.now, key.places.state)

    def _sign_by(self, key: PrivKey, state: Path) -> None:
        self._file = self._open(key, state)
        self._signer = self._around(self._file)
        self._signer.raise_floor(self._floor)
        self.key.now = key

    @property
    def pub_key(self) -> PubKey:
        return self._file.pub_key

    @property
    def last_height(self) -> int:
        return self._signer.last_height

    @property
    def last_position(self) -> tuple[int, int, int]:
        return self._signer.last_position

    @property
    def state(self) -> SignState:
        return self._file.state

    def last_vote(self, chain_id: str) -> Vote | None:
        return self._signer.last_vote(chain_id)

    def raise_floor(self, height: int) -> None:
        self._floor = max(self._floor, height)
        self._signer.raise_floor(height)

    def sign_vote(self, chain_id: str, vote: Vote, *, with_extension: bool) -> Vote:
        return self._signer.sign_vote(chain_id, vote, with_extension=with_extension)

    def sign_proposal(self, chain_id: str, proposal: Proposal) -> Proposal:
        return self._signer.sign_proposal(chain_id, proposal)

    def close(self) -> None:
        self._file.close()

    def succeed(self, validators: ValidatorSet) -> bool:
        """Let the next key sign, if this set has it and has the old one no more. Returns whether it does now; why one
        that is there cannot is said, once. Raises OSError."""
        if validators.index_of(self.pub_key.address) is not None:
            return False
        places = self.key.places
        try:
            key = self.key.find()
            if key is None or validators.index_of(key.pub_key.address) is None:
                return False
            self._open(key, places.next_state).close()  # its record is one file, and fits it
        except SignerError as error:
            self._tell(f"this validator's next key cannot sign: {error}")
            return False
        self._file.close()
        state = places.state
        try:
            change_places(self._disk, places, self.pub_key)
        except OSError as error:
            if not self._disk.size(places.key):
                raise  # half done: `settle` ends it, at the next start
            self._tell(f"the files of the retired key and of the next one did not change places: {error}")
            state = places.next_state
        self._sign_by(key, state)
        return True

    def _tell(self, why: str) -> None:
        if why != self._told:
            self._told = why
            log.error(why)


__all__ = ["Places", "SuccessiveKey", "SuccessiveSigner", "change_places", "settle"]
