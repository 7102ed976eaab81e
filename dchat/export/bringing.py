"""A genesis document brought into a home ahead of its first start: its state is in the databases then, and the home's
genesis names it by its hashes, so that no start reads it again.

The databases are made beside, and only whole ones are put in place. Keys and records of signatures are not touched.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chain.app_state.economy import InvalidAppState
from chain.state.store import Stores
from consensus.abci.interface import HaltRequested, InitChainRequest, ValidatorUpdate
from consensus.documents.genesis import GenesisDoc
from consensus.system.files import replace_durably
from dchat.app.app import DchatApplication
from dchat.export.document import Document, read_document
from dchat.export.errors import BadDocument, CannotImport
from dchat.home.files import put_in_place
from dchat.home.home import REHEARSAL_PREFIX, Home, load_genesis
from dchat.upkeep.copies import DATABASES, remove_remains
from genesis.digest import genesis_digest
from storage.open import open_store
from storage.options import StoreOptions

MADE: Final = "brought"  # the folder, for a moment, of what becomes the databases


@dataclass(frozen=True)
class Brought:
    """app_hash: of the first header. of: the earlier chain and its height, if there is one."""

    doc: GenesisDoc
    app_hash: bytes
    of: tuple[str, int] | None
    is_kept: bool


def bring_in(home: Home, source: Path, *, keep: bool) -> Brought:
    """Make the databases of a document, and put them and the genesis into the home; not where `keep` is False: then
    only whether a chain can begin with it is asked. The caller holds the home.

    Raises BadDocument, CannotImport, HomeError, StorageError, OSError.
    """
    found = read_document(source)
    if keep:
        _check_home(home, found.doc)
        home.databases.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_remains(home.databases)
    beside = home.databases if keep else None
    with tempfile.TemporaryDirectory(prefix=f"{REHEARSAL_PREFIX}{os.getpid()}-", dir=beside) as name:
        folder = Path(name)
        app_hash = _begin(folder, source, found)
        if keep:
            _put_in_place(home, folder, found.doc)
    exported = found.exported
    of = None if exported is None else (exported.chain_id, exported.manifest.height)
    return Brought(found.doc, app_hash, of, keep)


def _check_home(home: Home, doc: GenesisDoc) -> None:
    """Raises CannotImport, HomeError."""
    if home.genesis.exists() and genesis_digest(load_genesis(home)) != genesis_digest(doc):
        raise CannotImport(f"{home.genesis} is of another genesis, which is never overwritten: take another home")
    there = [name for name in DATABASES if (home.databases / name).exists()]
    if there or home.wal.exists():
        raise CannotImport(
            f"{home.databases} has databases already ({', '.join(there) or home.wal.name}): a chain begins in an empty "
            "home. Move them away first, and leave the record of signing where it is"
        )


def _begin(folder: Path, source: Path, found: Document) -> bytes:
    """As the first start would. Raises BadDocument, StorageError."""
    doc = found.doc
    request = InitChainRequest(
        doc.genesis_time_ns, doc.chain_id, doc.consensus_params,
        tuple(ValidatorUpdate(one.pub_key, one.power) for one in doc.validators), doc.app_state, doc.initial_height,
    )  # fmt: skip
    opened = {name: open_store("leveldb", folder / name, StoreOptions()) for name in DATABASES}
    try:
        app = DchatApplication(Stores(opened["app"]), check_build=False)
        if found.exported is None:
            response = app.init_chain(request)
        else:
            response = app.go_on_from(request, found.exported, found.chunks())
        if not doc.validators and not response.validators:
            raise BadDocument(f"{source}: neither the document nor its state names a validator")
        return response.app_hash
    except (InvalidAppState, HaltRequested) as error:
        raise BadDocument(f"{source}: {error}") from error
    finally:
        for store in opened.values():
            store.write([], sync=True)
            store.close()


def _put_in_place(home: Home, folder: Path, doc: GenesisDoc) -> None:
    """Genesis, then the databases, all or none: a start refuses to begin without the application's."""
    home.genesis.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(home.genesis, doc.dumps() + "\n")  # none, or the same document, which may have its chunks
    made = home.databases / MADE
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    for name in DATABASES:
        (folder / name).rename(made / name)
    put_in_place(home.databases, made)
