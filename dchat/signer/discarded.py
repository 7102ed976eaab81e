"""A next key that was discarded: it lies with its record in the folders `retired`, under a name of its own, and can be
taken back. Nobody can see a change that waits in a mempool: where the chain takes it after all, the key is needed.

    config/retired/ADDRESS.discarded    the key
    data/retired/ADDRESS.discarded      its record

The key is never where its record is not: put away it goes last, and is removed first; taken back it comes last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from chain.kernel.event_text import consensus
from consensus.privval.record import slots_path
from consensus.system.disk import OsDisk
from dchat.home.errors import HomeError
from dchat.home.home import Home
from dchat.signer.files import SignerFiles

SUFFIX: Final = ".discarded"  # a change that a stop cut off is finished by the names that end otherwise


def put_away(home: Home, files: SignerFiles) -> Path | None:
    """Where the key lies then; None: there was only a record, of a key that is put away already or never was. A stop
    at any point leaves what the next call finishes. Raises HomeError, OSError."""
    disk, kept = OsDisk(), None
    if files.key.exists():
        kept = home.places.retired_keys / f"{consensus(files.load_key_file().pub_key.address)}{SUFFIX}"
        disk.make_directory(kept.parent)
        disk.make_directory(home.places.retired_states)
        for old, new in (*_records(home, files, kept.name), (files.key, kept)):
            if disk.size(old):
                disk.replace(new, disk.read(old))
    for path in (files.key, slots_path(files.state), files.state, files.state.with_suffix(".lock")):
        path.unlink(missing_ok=True)  # the key first: a key without its record could sign twice
        if path.parent.exists():
            disk.sync_directory(path.parent)
    return kept


def take_back(home: Home, files: SignerFiles, address: str) -> None:
    """Make the key of that address the next one again, with its record. Raises HomeError, OSError."""
    folder = home.places.retired_keys
    kept = folder / f"{address.upper()}{SUFFIX}"
    if address.upper() not in (known := addresses(home)):
        there = ", ".join(known) or "none"
        raise HomeError(f"{folder} has no discarded key of the address {address}; it has: {there}")
    disk, records = OsDisk(), _records(home, files, kept.name)
    if not disk.size(records[0][1]):
        raise HomeError(f"{records[0][1]} is missing: without its record this key could sign twice")
    files.check_new()
    pairs = (*records, (files.key, kept))
    for new, old in pairs:
        if disk.size(old):
            disk.replace(new, disk.read(old))
    for _, old in reversed(pairs):
        old.unlink(missing_ok=True)
        disk.sync_directory(old.parent)


def addresses(home: Home) -> list[str]:
    """Of the discarded keys that are kept."""
    return [name.removesuffix(SUFFIX) for name in OsDisk().names(home.places.retired_keys) if name.endswith(SUFFIX)]


def _records(home: Home, files: SignerFiles, name: str) -> tuple[tuple[Path, Path], ...]:
    """(Beside the next key, put away), of the record and of its slots."""
    there = home.places.retired_states / name
    return (files.state, there), (slots_path(files.state), there.with_name(f"{name}-slots"))
