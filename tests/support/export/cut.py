"""A life that is cut: its state written as a genesis document, and the life going on in the chain that this begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from chain.app_state.exported import Exported
from chain.currency.ledger.stake_records import QUEUE_WATCHES, REWARDS
from chain.currency.rewards.distribution import ACCRUALS, SLOTS
from chain.currency.staking.signing import LIVENESS, SIGNING
from chain.state.roots import STORE_NAMES
from chain.state.snapshot import Manifest, chunks_of
from chain.state.store import Stores
from chain.upgrade.chain_record import CHAIN
from chain.upgrade.plan import CONSENSUS_PARAMS
from consensus.abci.interface import InitChainRequest, ValidatorUpdate
from consensus.documents.genesis import GenesisDoc, GenesisValidator
from consensus.types.params import VersionParams
from consensus.types.validators import ValidatorSet
from dchat.app.app import DchatApplication
from dchat.export.document import Document, read_document, write_document
from storage.memory import MemoryStore
from tests.support.chain.harness import SECOND_NS
from tests.support.economy.life import Life
from tests.support.economy.world import World

TAGS = {"bridge": b"b", "chat": b"c", "currency": b"u"}
# What chain it is; and what changes when nobody is in the last commit: slots, what their holders accrued, their misses.
CHANGED = (CHAIN, SLOTS, ACCRUALS, REWARDS, SIGNING, LIVENESS, QUEUE_WATCHES)


def lived(seed: int, steps: int) -> Life:
    life = Life(seed)
    for _ in range(steps):
        life.step()
    return life


def exported_from(life: World, path: Path, *, initial_height: int) -> Document:
    """As `dchat database export` makes it, of a life without an engine."""
    view, base = life.app.stores.at(), life.app.base
    params = replace(base.get(CONSENSUS_PARAMS), version=VersionParams(base.get(CHAIN).app_version))
    members = life.sets[life.height + 2]
    doc = GenesisDoc(
        base.get(CHAIN).chain_id, life.time_ns + SECOND_NS, initial_height, params,
        tuple(GenesisValidator(one.pub_key, one.voting_power) for one in members),
    )  # fmt: skip
    roots = tuple(view.roots[name] for name in STORE_NAMES)
    with path.open("wb") as out:
        write_document(
            out, doc, Exported(doc.chain_id, Manifest(life.height, roots, ())), filter(None, chunks_of(view))
        )
    return read_document(path)


def begun(document: Document, db: MemoryStore) -> DchatApplication:
    doc, exported = document.doc, document.exported
    assert exported is not None
    app = DchatApplication(Stores(db))
    validators = tuple(ValidatorUpdate(one.pub_key, one.power) for one in doc.validators)
    request = InitChainRequest(
        doc.genesis_time_ns, doc.chain_id, doc.consensus_params, validators, doc.app_state, doc.initial_height
    )
    assert app.go_on_from(request, exported, document.chunks()).validators == ()
    response = app.init_chain(request)  # as the first start asks again: the state is there
    assert response.app_hash == app.stores.app_hash
    return app


def records(stores: Stores, version: int | None = None) -> list[tuple[bytes, str, bytes, bytes]]:
    """All of the trees and beside them, but what must change."""
    view = stores.at(version)
    return [
        (tag, name, key, value)
        for name in STORE_NAMES
        for tag, pairs in ((TAGS[name], view.scan(name)), (TAGS[name].upper(), view.scan_side(name)))
        for key, value in pairs
        if not (tag + key).startswith(CHANGED)
    ]


def go_on(life: Life, document: Document) -> None:
    """The life goes on in the new chain: on two applications, like before."""
    doc, databases = document.doc, (MemoryStore(), MemoryStore())
    life.app, life._twin = (begun(document, db) for db in databases)
    life.db, life._twin_db = databases
    life._hook_params()
    last, life.initial_height, life.height = life.height, doc.initial_height, doc.initial_height - 1
    life.time_ns = doc.genesis_time_ns
    life._shadow._app = life.app  # what the models remember of the earlier chain holds in this one
    first = ValidatorSet.new((one.pub_key, one.power) for one in doc.validators)
    life.sets |= dict.fromkeys(range(last + 1, doc.initial_height + 2), first)
    life._times |= dict.fromkeys(range(last + 1, doc.initial_height), life.time_ns)


def moved(life: Life, path: Path, *, gap: int) -> None:
    before = records(life.app.stores)
    document = exported_from(life, path, initial_height=life.height + 1 + gap)
    go_on(life, document)
    assert records(life.app.stores) == before
    assert all(holds for _, holds, _ in life.app.invariants())
