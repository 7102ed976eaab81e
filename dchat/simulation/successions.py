"""Consensus keys that change in a simulated home: the files of the key that signs and of the next one, as an operator's
commands make them while the node runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from consensus.documents.files import format_validator_key, parse_validator_key
from consensus.privval.signer import FileSigner
from consensus.privval.succession import Places, SuccessiveKey, settle
from consensus.simulation.home import DATA, SimDisk
from crypto.hash import sha256
from crypto.keys import KEY_TYPES, PrivKey
from dchat.simulation.plan import Plan

CONFIG: Final = DATA.parent / "config"
PLACES: Final = Places(
    key=CONFIG / "priv_validator_key.json", state=DATA / "priv_validator_state.json",
    next_key=CONFIG / "priv_validator_next_key.json", next_state=DATA / "priv_validator_next_state.json",
    retired_keys=CONFIG / "retired", retired_states=DATA / "retired",
)  # fmt: skip
KEYS_MAX: Final = 6  # of a validator: the first one, and as many others as a chain lets it have at a time


def validator_key(plan: Plan, index: int, number: int = 0) -> PrivKey:
    """number: 0 is the genesis's, the others come after it."""
    kind = KEY_TYPES[plan.key_types[(index + number) % len(plan.key_types)]]
    return kind.from_secret(sha256(b"key %d of %d" % (number, index)) if number else bytes([index + 1]) * 32)


def keys_of(plan: Plan, index: int) -> list[PrivKey]:
    """All that a validator has in a run, one after the other."""
    return [validator_key(plan, index, number) for number in range(KEYS_MAX if plan.rotates else 1)]


@contextmanager
def _another_process(disk: SimDisk) -> Iterator[None]:
    """What stops the node stops no command beside it."""
    hook, disk.hook = disk.hook, lambda action, path: None
    try:
        yield
    finally:
        disk.hook = hook


def put_first(disk: SimDisk, key: PrivKey) -> None:
    """As `dchat init`."""
    with _another_process(disk):
        disk.replace(PLACES.key, format_validator_key(key).encode())


def put_next(disk: SimDisk, key: PrivKey) -> None:
    """As `dchat signer next-key`, where `next_of` is None: the record first."""
    with _another_process(disk):
        if disk.size(PLACES.next_state):
            disk.remove(PLACES.next_state)
        FileSigner.create_state(disk, PLACES.next_state)
        disk.replace(PLACES.next_key, format_validator_key(key).encode())


def next_of(disk: SimDisk) -> PrivKey | None:
    """The next key that lies there."""
    return parse_validator_key(disk.read(PLACES.next_key)) if disk.size(PLACES.next_key) else None


def has_key(disk: SimDisk) -> bool:
    """No change of places is under way."""
    return bool(disk.size(PLACES.key))


def open_key(disk: SimDisk) -> SuccessiveKey:
    """As a start does: what a stop left half done is finished first. Raises OSError."""
    settle(disk, PLACES)
    return SuccessiveKey(parse_validator_key(disk.read(PLACES.key)), PLACES, lambda: next_of(disk))


__all__ = ["KEYS_MAX", "PLACES", "has_key", "keys_of", "next_of", "open_key", "put_first", "put_next", "validator_key"]
