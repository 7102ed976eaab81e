"""The state at a height of a node, as a genesis document.

From a copy of the databases, so the node may run. What the document says is held against the chain: the state has the
app hash of the next header, and its stakes are the validators that the engine has. It tells nothing of who made it or
when: two operators who export one height for one new chain have the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from chain.app_state.exported import Exported
from chain.currency.ledger.stake_records import CONSENSUS_KEY, VALIDATOR
from chain.kernel.branch import Base
from chain.state.snapshot import Manifest, chunks_of
from chain.state.store import Stores
from chain.state.view import View
from chain.upgrade.chain_record import CHAIN
from chain.upgrade.plan import CONSENSUS_PARAMS
from consensus.documents.genesis import GenesisDoc, GenesisValidator
from consensus.formats.errors import InvalidGenesis
from consensus.formats.units import NS_PER_MS
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.files import give_name, sync_folder
from consensus.types.params import VersionParams
from consensus.types.validators import ValidatorSet
from dchat.app.composition import compose
from dchat.export.document import write_document
from dchat.export.errors import CannotExport
from dchat.upkeep.copies import Copy

SIGNED_AHEAD: Final = 2  # validators may have signed at the height after their last block: the one after that is free


@dataclass(frozen=True)
class Taken:
    """What was written. sha256: of the file."""

    chain_id: str
    height: int
    app_hash: bytes
    initial_height: int
    validators: int
    bytes: int
    sha256: str


def export(
    copy: Copy, output: Path, *, chain_id: str, height: int, initial_height: int, told: Callable[[int], None]
) -> Taken:
    """height: 0 is the last one; initial_height: 0 is two after the last block that this node has. told: the bytes of
    state so far, after each chunk.

    Raises CannotExport, StorageError, StateError, OSError.
    """
    if output.exists():
        raise CannotExport(f"{output} exists; a document is never overwritten")
    doc, exported, view = _document(copy, chain_id=chain_id, height=height, initial_height=initial_height)
    draft = output.with_name(f".{output.name}.{os.getpid()}.new")
    try:
        with draft.open("xb") as file:
            out = _Hashed(file)
            write_document(out, doc, exported, _told(chunks_of(view), told))
            file.flush()
            os.fsync(file.fileno())
        give_name(draft, output)
        sync_folder(output.absolute().parent)
    finally:
        draft.unlink(missing_ok=True)
    return Taken(
        exported.chain_id, exported.manifest.height, view.app_hash, doc.initial_height, len(doc.validators), out.size,
        out.hash.hexdigest(),
    )  # fmt: skip


class _Hashed:
    """Writes through, and hashes what went by."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.hash, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self.hash.update(data)
        self.size += len(data)
        self._file.write(data)


def _told(chunks: Iterator[bytes | None], told: Callable[[int], None]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        if chunk is not None:
            size += len(chunk)
            told(size)
            yield chunk


def _document(copy: Copy, *, chain_id: str, height: int, initial_height: int) -> tuple[GenesisDoc, Exported, View]:
    """The document without the state, and where that is read."""
    blocks, states, stores = BlockStore(copy.blocks), StateStore(copy.state), Stores(copy.app)
    state = states.load()
    if state is None or not state.last_block_height:
        raise CannotExport("there is no block yet: the chain's genesis is the document")
    last = min(stores.latest_version, state.last_block_height)
    height = height or last
    earliest = max(stores.earliest_version, state.initial_height)
    if not earliest <= height <= last:
        raise CannotExport(f"the state of height {height} is not here; allowed: {earliest} to {last}")
    least, usual = height + 1, max(blocks.height, last) + SIGNED_AHEAD
    initial_height = initial_height or usual
    if initial_height < least:
        raise CannotExport(
            f"initial_height is {initial_height}; allowed: {least} and more: what is due by height stays due"
        )
    if chain_id == state.chain_id and initial_height < usual:
        raise CannotExport(
            f"chain {chain_id} has blocks to {blocks.height}, and its validators may have signed at the height after "
            f"it: under its own name it goes on from {usual} on (--initial-height), or as another chain (--chain-id)"
        )
    view = stores.at(height)
    app_hash, time_ns, validators = _of_engine(blocks, states, state, height)
    if view.app_hash != app_hash:
        raise CannotExport(
            f"the state of height {height} has app hash {view.app_hash.hex()}, and the chain {app_hash.hex()}: see "
            "`dchat database verify`"
        )
    base = Base(view, compose().decoders)
    chain = base.get(CHAIN)
    doc = GenesisDoc(
        chain_id, time_ns + NS_PER_MS, initial_height,
        replace(base.get(CONSENSUS_PARAMS), version=VersionParams(chain.app_version)),
        tuple(GenesisValidator(one.pub_key, one.voting_power, _moniker(base, one.address)) for one in validators),
    )  # fmt: skip
    try:
        doc.validate()
    except InvalidGenesis as error:
        raise CannotExport(str(error)) from error
    roots = tuple(view.roots[name] for name in sorted(view.roots))
    return doc, Exported(chain.chain_id, Manifest(height, roots, ())), view


def _of_engine(blocks: BlockStore, states: StateStore, state: State, height: int) -> tuple[bytes, int, ValidatorSet]:
    """The app hash after a height, its block's time, and the set that its stakes make. Raises CannotExport."""
    if height == state.last_block_height:
        return state.app_hash, state.last_block_time_ns, state.next_validators
    meta, after = blocks.load_meta(height), blocks.load_meta(height + 1)
    validators = states.load_validators(height + 2)
    if meta is None or after is None or validators is None:
        raise CannotExport(
            f"block {height}, the header after it, or its validators are not here any more: they were pruned"
        )
    return after.header.app_hash, meta.header.time_ns, validators


def _moniker(base: Base, address: bytes) -> str:
    operator = base.get(CONSENSUS_KEY + address)
    validator = base.get(VALIDATOR + operator) if operator is not None else None
    return validator.moniker if validator is not None else ""
