"""Before this node signs anything: does the chain show that its record of signing is missing, or old?

Source: docs/operating.md, Starting and stopping; known failure 8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from consensus.privval.held import HeldKey
from consensus.privval.remote import AwayKey, RemoteSigner
from consensus.privval.signer import FileSigner, Record
from consensus.stores.block_store import BlockStore
from consensus.system.clock import Workers
from consensus.system.disk import Disk
from consensus.system.errors import SignerError
from crypto.keys import PrivKey

LOOKBACK_HEIGHTS: Final = 1_000  # a validator that signed none of the last thousand is not in use elsewhere now


def last_signed_height(blocks: BlockStore, address: bytes, lookback: int = LOOKBACK_HEIGHTS) -> int:
    """The highest of the last heights whose commit has a signature of `address`; 0 if none has."""
    for height in range(blocks.height, max(blocks.base, blocks.height - lookback + 1) - 1, -1):
        commit = blocks.load_seen_commit(height) or blocks.load_commit(height)
        if commit is not None and any(slot.validator_address == address for slot in commit.signatures):
            return height
    return 0


def open_file_signer(disk: Disk, key: PrivKey, state_path: Path, blocks: BlockStore) -> FileSigner:
    """The signer of `key`, with the record at `state_path`; made new only for a key that the chain never saw sign.

    Raises SignerError: the record is missing or older than what the chain shows (failure 8).
    """
    signed = _signed_before(disk, key.pub_key.address, state_path, blocks)
    if not disk.size(state_path):
        FileSigner.create_state(disk, state_path)
    signer = FileSigner(disk, key, state_path)
    _check_record(signer, state_path, signed)
    signer.raise_floor(blocks.height)
    return signer


def open_away_signer(
    disk: Disk, key: AwayKey, state_path: Path, blocks: BlockStore, chain_id: str, workers: Workers
) -> RemoteSigner:
    """As `open_file_signer`, of a key elsewhere. Who signs as a process of its own has a record of its own, too: the
    one here is only a second look, and may be missing. Raises SignerError."""
    is_held = isinstance(key, HeldKey)
    signed = _signed_before(disk, key.pub_key.address, state_path, blocks) if is_held else 0
    signer = RemoteSigner.open(disk, state_path, key, chain_id, workers)
    _check_record(signer, state_path, signed)
    signer.raise_floor(blocks.height)
    return signer


def _signed_before(disk: Disk, address: bytes, state_path: Path, blocks: BlockStore) -> int:
    """The highest height that the chain shows the key to have signed. Raises SignerError: there is no record of it."""
    signed = last_signed_height(blocks, address)
    if signed and not disk.size(state_path):
        raise SignerError(
            f"{state_path}: the sign state is missing, and the chain shows that validator {address.hex()} signed "
            f"height {signed}. Restore the file; an empty one would let this key sign twice"
        )
    return signed


def _check_record(signer: Record, state_path: Path, signed: int) -> None:
    if signer.last_height < signed:
        raise SignerError(
            f"{state_path}: the sign state is of height {signer.last_height}, and the chain shows that validator "
            f"{signer.pub_key.address.hex()} signed height {signed}. It is an old copy: restore the latest one"
        )
