"""The application's snapshots: a life restored goes on as it was; the shelf serves what is whole; liars are refused."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from chain.state import snapshot
from chain.state.snapshot import FORMAT
from chain.state.store import NO_VERSION, Stores
from consensus.abci.interface import (
    ApplyChunkResponse,
    ApplyChunkResult,
    InfoRequest,
    OfferSnapshotResult,
    Snapshot,
)
from consensus.simulation.disk import SimulatedDisk, Stopped
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from dchat.app.snapshots import Shelf
from storage.memory import MemoryStore
from tests.support.chain.harness import drain
from tests.support.economy.life import Life

FOLDER = Path("/home/data/snapshots")
STEPS = 60


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "CHUNK_BYTES", 4_000)


@pytest.fixture(scope="module")
def life() -> Life:
    """Staking, escrows, votes, channels, grants and what else there is. Do not go on with it."""
    life = Life(23)
    for _ in range(STEPS):
        life.step()
    return life


@pytest.fixture(scope="module")
def full() -> Life:
    """One that has messages, unbondings and all else of which LIES tell. Do not go on with it."""
    life = Life(8, twin=False)
    for _ in range(STEPS):
        life.step()
    return life


def shelf_of(app: DchatApplication, disk: SimulatedDisk | None = None) -> Shelf:
    shelf = Shelf(disk or SimulatedDisk(), FOLDER)
    drain(shelf.make(app.stores.at()))
    return shelf


def serving(app: DchatApplication) -> DchatApplication:
    app.shelf = shelf_of(app)
    return app


def fresh(db: MemoryStore | None = None) -> DchatApplication:
    return DchatApplication(Stores(db or MemoryStore()))


def apply_all(app: DchatApplication, source: DchatApplication, offer: Snapshot) -> ApplyChunkResponse:
    response = ApplyChunkResponse(ApplyChunkResult.ABORT)
    for index in range(offer.chunks):
        chunk = source.load_snapshot_chunk(offer.height, offer.format, index)
        response = app.apply_snapshot_chunk(index, chunk, "peer")
        if response.result is not ApplyChunkResult.ACCEPT:
            break
    return response


def info(app: DchatApplication) -> tuple[int, bytes]:
    answer = app.info(InfoRequest("", 0, 0))
    return answer.last_block_height, answer.last_block_app_hash


def test_a_restored_life_goes_on_as_it_was() -> None:
    """All kinds of records: queues, marks, mountain ranges, indexes, the upgrade's; then the same blocks."""
    life = Life(47)
    for _ in range(STEPS):
        life.step()
    source = serving(life.app)
    (offer,) = source.list_snapshots()
    assert offer.height == life.height
    assert offer.chunks > 5
    app = fresh()
    assert app.offer_snapshot(offer, source.stores.app_hash) is OfferSnapshotResult.ACCEPT
    assert apply_all(app, source, offer).result is ApplyChunkResult.ACCEPT
    assert info(app) == info(source)
    assert app.module_versions == source.module_versions
    for _ in range(STEPS):
        life.step()
        request = life._last_request
        assert request is not None
        assert drain(app.process_proposal(request)).accepted
        drain(app.finalize_block(request))
        app.commit()
        assert app.stores.app_hash == life.app.stores.app_hash
    assert all(holds for _, holds, _ in app.invariants())
    assert shelf_of(app).offers() == shelf_of(life.app).offers()


def test_two_that_lived_the_same_make_the_same_bytes(life: Life) -> None:
    twin = life._twin
    assert twin.stores.app_hash == life.app.stores.app_hash
    disks = SimulatedDisk(), SimulatedDisk()
    shelf_of(life.app, disks[0]), shelf_of(twin, disks[1])
    assert {path: bytes(file.data) for path, file in disks[0].files.items()} == {
        path: bytes(file.data) for path, file in disks[1].files.items()
    }


@pytest.mark.parametrize(
    ("change", "result"),
    [
        pytest.param({"format": FORMAT + 1}, OfferSnapshotResult.REJECT_FORMAT, id="another format"),
        pytest.param({"chunks": 1}, OfferSnapshotResult.REJECT_SENDER, id="another number of chunks"),
        pytest.param({"chunks": 2**32 - 1}, OfferSnapshotResult.REJECT_SENDER, id="without end"),
        pytest.param({"hash": bytes(32)}, OfferSnapshotResult.REJECT_SENDER, id="another hash"),
        pytest.param({"height": 7}, OfferSnapshotResult.REJECT_SENDER, id="another height"),
        pytest.param({"metadata": b""}, OfferSnapshotResult.REJECT_SENDER, id="no metadata"),
    ],
)
def test_offers_that_are_refused(life: Life, change: dict[str, object], result: OfferSnapshotResult) -> None:
    source = serving(life.app)
    app = fresh()
    offer = replace(source.list_snapshots()[0], **change)  # type: ignore[arg-type]
    assert app.offer_snapshot(offer, source.stores.app_hash) is result
    assert app.apply_snapshot_chunk(0, b"", "peer").result is ApplyChunkResult.ABORT


def test_only_what_a_light_client_verified_is_accepted(life: Life) -> None:
    source = serving(life.app)
    assert fresh().offer_snapshot(source.list_snapshots()[0], bytes(32)) is OfferSnapshotResult.REJECT_SENDER


def test_an_application_with_blocks_is_not_emptied(life: Life) -> None:
    source = serving(life.app)
    before = source.stores.app_hash
    assert source.offer_snapshot(source.list_snapshots()[0], before) is OfferSnapshotResult.ABORT
    assert source.stores.app_hash == before


def test_a_wrong_chunk_names_its_sender_and_is_asked_for_again(life: Life) -> None:
    source, app = serving(life.app), fresh()
    (offer,) = source.list_snapshots()
    assert app.offer_snapshot(offer, source.stores.app_hash) is OfferSnapshotResult.ACCEPT
    good = source.load_snapshot_chunk(offer.height, FORMAT, 0)
    for bad in (b"", good[:-1], good + b"x", source.load_snapshot_chunk(offer.height, FORMAT, 1)):
        assert app.apply_snapshot_chunk(0, bad, "liar") == ApplyChunkResponse(ApplyChunkResult.RETRY, (0,), ("liar",))
    assert app.apply_snapshot_chunk(1, good, "peer").result is ApplyChunkResult.ABORT  # not in order
    assert apply_all(app, source, offer).result is ApplyChunkResult.ACCEPT
    assert info(app) == info(source)


BRIDGE, CHAT, CURRENCY = range(3)
LIES = [  # (kind, store, where, what): None: the first that is there is left out; else it is replaced, or is one more
    pytest.param("v", CURRENCY, b"a", None, id="an account is left out"),
    pytest.param("v", CURRENCY, b"new", b"value", id="a value more"),
    pytest.param("v", CHAT, b"i", b"value", id="an identity that is another"),
    pytest.param("s", CHAT, b"m", None, id="a message is left out"),
    pytest.param("s", CHAT, b"m", b"\xff", id="a message that is none"),
    pytest.param("s", CHAT, b"n", None, id="a node of a mountain range is left out"),
    pytest.param("s", BRIDGE, b"r", None, id="a mark is left out"),
    pytest.param("s", BRIDGE, b"r" + bytes(7) + b"\xff" + bytes(32), bytes(8), id="a mark more"),
    pytest.param("s", BRIDGE, b"q", None, id="an item of a queue is left out"),
    pytest.param("s", CURRENCY, b"p", None, id="an entry of an index is left out"),
    pytest.param("s", CURRENCY, b"hUq", None, id="the head of a queue is left out"),
    pytest.param("s", CURRENCY, b"hUq", b"\xff" * 8, id="a head behind what waits"),
    pytest.param("s", CURRENCY, b"!", b"\x01", id="an entry of no kind"),
]


@pytest.mark.parametrize(("kind", "store", "where", "content"), LIES)
def test_a_whole_snapshot_of_lies_is_refused_and_leaves_nothing(
    full: Life, kind: str, store: int, where: bytes, content: bytes | None
) -> None:
    """Its chunks have the hashes that it says, and its roots are the chain's: what it holds is not what they are of."""
    view = full.app.stores.at()
    entries: list[tuple[bytes, int, bytes, bytes]] = []
    for tag, scans in ((b"s", view.scan_side), (b"v", view.scan)):
        for number, name in enumerate(view.roots):
            entries += [(tag, number, key, value) for key, value in scans(name)]
    kinds = (kind.encode(), store)
    found = next((entry for entry in entries if entry[:2] == kinds and entry[2].startswith(where)), None)
    if found is None:
        assert content is not None, "this life has nothing of what is to be left out"
    else:
        entries.remove(found)
    if content is not None:
        entries.append((*kinds, where if found is None else found[2], content))
    entries.sort()
    chunk = b"".join(snapshot._ENTRY.pack(t, s, len(k), len(c)) + k + c for t, s, k, c in entries)
    roots = tuple(view.roots.values())
    manifest = snapshot.Manifest(view.version, roots, (sha256(chunk),))
    offer = Snapshot(manifest.height, FORMAT, 1, manifest.hash, manifest.metadata)
    db = MemoryStore()
    app = fresh(db)
    assert app.offer_snapshot(offer, full.app.stores.app_hash) is OfferSnapshotResult.ACCEPT
    assert app.apply_snapshot_chunk(0, chunk, "liar").result is ApplyChunkResult.REJECT_SNAPSHOT
    assert Stores(db).latest_version == NO_VERSION
    assert not list(db.scan())
    source = serving(full.app)
    (honest,) = source.list_snapshots()
    assert app.offer_snapshot(honest, source.stores.app_hash) is OfferSnapshotResult.ACCEPT
    assert apply_all(app, source, honest).result is ApplyChunkResult.ACCEPT


# ------------------------------------------------------------------------------ the shelf


def test_the_shelf_keeps_the_newest_and_frees_the_rest(life: Life) -> None:
    disk = SimulatedDisk()
    shelf = Shelf(disk, FOLDER)
    for version in (STEPS - 2, STEPS - 1, STEPS):
        drain(shelf.make(life.app.stores.at(version)))
    assert [offer.height for offer in shelf.offers()] == [STEPS, STEPS - 1, STEPS - 2]
    shelf.keep_newest(2)
    assert shelf.heights == [STEPS - 1, STEPS]
    assert shelf.lowest_height == STEPS - 1
    assert len(disk.files) == 4
    assert Shelf(disk.crashed(), FOLDER).offers() == shelf.offers()
    shelf.keep_newest(0)
    assert not disk.files
    assert shelf.lowest_height == 0
    assert not shelf.offers()


def test_a_stop_at_any_step_leaves_whole_snapshots_or_none(life: Life) -> None:
    """Failure 6: a snapshot that was not finished is never offered, and its files go."""
    view = life.app.stores.at()
    steps = 0

    def run(disk: SimulatedDisk, stop_at: int) -> None:
        nonlocal steps
        steps = 0

        def hook(action: str, path: Path) -> None:
            nonlocal steps
            if steps == stop_at:
                raise Stopped
            steps += 1

        disk.hook = hook
        drain(Shelf(disk, FOLDER).make(view))

    run(SimulatedDisk(), 1 << 30)
    total = steps
    offers = shelf_of(life.app).offers()
    for stop_at in range(total):
        for tail in (0, 17, 1 << 30):
            disk = SimulatedDisk()
            with pytest.raises(Stopped):
                run(disk, stop_at)
            after = disk.crashed(tail)
            shelf = Shelf(after, FOLDER)
            assert shelf.offers() in ((), offers)
            for offer in shelf.offers():
                assert all(shelf.chunk(offer.height, number) for number in range(offer.chunks))
            assert bool(after.files) == bool(shelf.offers())
            drain(shelf.make(view))
            assert shelf.offers() == offers


def test_a_damaged_chunk_is_not_served(life: Life) -> None:
    disk = SimulatedDisk()
    shelf = shelf_of(life.app, disk)
    (offer,) = shelf.offers()
    file = next(file for path, file in disk.files.items() if path.suffix == ".chunks")
    file.data[5] ^= 1
    assert shelf.chunk(offer.height, 1)
    assert shelf.chunk(offer.height, 0) == b""
    assert shelf.offers() == ()
    assert shelf.metrics.bad_chunks == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "no chunks", "shorter chunks"])
def test_a_damaged_manifest_is_no_snapshot(life: Life, damage: str) -> None:
    disk = SimulatedDisk()
    shelf_of(life.app, disk)
    manifest = next(file for path, file in disk.files.items() if path.suffix == ".manifest")
    chunks = next(path for path in disk.files if path.suffix == ".chunks")
    if damage == "flip":
        manifest.data[20] ^= 1
    elif damage == "no chunks":
        disk.remove(chunks)
    elif damage == "shorter chunks":
        del disk.files[chunks].data[-1:]
    else:
        del manifest.data[{"cut": 40, "empty": 0}[damage] :]
    assert Shelf(disk, FOLDER).offers() == ()
    assert not disk.files


@pytest.mark.parametrize(("height", "number"), [(STEPS, -1), (STEPS, 10_000), (STEPS - 1, 0), (0, 0), (-1, 0)])
def test_what_is_not_there_is_empty(life: Life, height: int, number: int) -> None:
    source = serving(life.app)
    assert source.load_snapshot_chunk(height, FORMAT, number) == b""
    assert source.load_snapshot_chunk(STEPS, FORMAT + 1, 0) == b""


@pytest.mark.parametrize("action", ["write", "sync", "sync_directory", "rename"])
def test_a_snapshot_that_the_disk_refuses_leaves_nothing(life: Life, action: str) -> None:
    """A full disk would stay full by it. The next one is whole."""
    disk = SimulatedDisk()

    def refuse(what: str, path: Path) -> None:
        if what == action:
            raise OSError(errno.ENOSPC, "no space left", str(path))

    shelf = Shelf(disk, FOLDER)
    disk.hook = refuse
    with pytest.raises(OSError, match="no space left"):
        drain(shelf.make(life.app.stores.at()))
    assert [name for name in disk.names(FOLDER) if action != "rename" or not name.endswith(".tmp")] == []
    assert shelf.offers() == ()
    disk.hook = lambda what, path: None
    drain(shelf.make(life.app.stores.at()))
    assert len(shelf.offers()) == 1
