"""Before this node signs anything: does the chain show that its record of signing is missing, or old?

Source: docs/operating.md, Starting and stopping; known failure 8.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from consensus.privval.signer import FileSigner
from consensus.stores.block_store import BlockStore
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
    address = key.pub_key.address
    signed = last_signed_height(blocks, address)
    if not disk.size(state_path):
        if signed:
            raise SignerError(
                f"{state_path}: the sign state is missing, and the chain shows that validator {address.hex()} signed "
                f"height {signed}. Restore the file; an empty one would let this key sign twice"
            )
        FileSigner.create_state(disk, state_path)
    signer = FileSigner(disk, key, state_path)
    if signer.last_height < signed:
        raise SignerError(
            f"{state_path}: the sign state is of height {signer.last_height}, and the chain shows that validator "
            f"{address.hex()} signed height {signed}. It is an old copy: restore the latest one"
        )
    signer.raise_floor(blocks.height)
    return signer
