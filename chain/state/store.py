"""The authenticated stores: `bridge`, `chat` and `currency` in one database, one update a block.

Each store is a map from keys to values, both never empty, under a sparse Merkle tree of its own (`chain.state.smt`);
the app hash is the simple Merkle root over the three roots. Beside each lie side records, kept in the same atomic
batch but outside the tree (nodes of mountain ranges, contents of marks).

An update is prepared without touching the disk, so that a proposal can be executed while it is voted on: several may be
pending on one parent, one is committed, the others are dropped. A commit is one synced batch. Older versions stay
readable and provable until pruned; the latest two are always kept.

What comes from the disk is held against the tree, whose root the chain signed, before anything is computed with it
(`checked`); what is remembered was checked, or made here.
Source: docs/decisions/0003 and 0007.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from chain.state import checked, smt
from chain.state import layout as rec
from chain.state.errors import (
    CorruptState,
    InvalidPair,
    StalePending,
    UnknownStore,
    VersionUnavailable,
    WrongVersion,
)
from chain.state.roots import STORE_NAMES, app_hash_of
from chain.state.view import View
from consensus.formats.units import MIB
from crypto import native
from storage.kv import KeyValueStore, Write

KEY_BYTES_MAX = smt.KEY_BYTES_MAX
VALUE_BYTES_MAX = 65_536  # each proof of a value carries it whole; and hashing it must fit into one slice
SIDE_BYTES_MAX = MIB  # read whole, never proved
SENTINEL_KEY = b"\x00"  # in each store from its first version on: absence is shown by neighbours, so there must be one
SENTINEL_VALUE = b"\x01"
NO_VERSION = -1  # nothing was ever committed
VERSIONS_KEPT_MIN = 2  # the engine may still prove, or go back to, the version before the latest
CACHE_BYTES = 128 * MIB  # the pages and values of 10^5 keys
KEYS_PER_SLICE = 50  # below 1 ms of reading and hashing between two yields
BYTES_PER_SLICE = 262_144  # about 1 ms of hashing
NATIVE_PAGES_PER_SLICE = 64  # below 1 ms of reading and placing, also where none is remembered
NATIVE_HASHED_PER_SLICE = 512  # below 1 ms of it hashing
RECORDS_PER_SLICE = 400  # below 1 ms of packing
PAGES_TAKEN_MAX = 16  # above one value: more than any tree has in a row, and an end where there is no room for them
PAGES_WARMED_PER_SLICE = 128  # below 1 ms of reading and hashing
PRUNE_SLACK_BYTES = 32 * MIB  # what pruned versions may still hold on disk: each compaction costs more than that
PRUNE_BATCH_KEYS = 200  # below 1 ms

Changes = Mapping[str, Mapping[bytes, bytes | None]]  # store -> key -> value; None deletes


@dataclass(frozen=True, slots=True)
class Pending:
    """An update that is computed and not yet on disk. Drop it, or give it to `Stores.commit`."""

    version: int
    roots: Mapping[str, bytes]
    app_hash: bytes
    epoch: int = field(repr=False)  # of the parent it was computed on
    records: dict[bytes, rec.Record | None] = field(repr=False)
    undo: Sequence[Write] = field(repr=False)
    size: int = field(repr=False)  # bytes of keys and contents in `records`


class Stores:
    """The three stores. One writer; `get`, `at` and views may be used from other threads.

    Raises: CorruptState, when the database holds something else.
    """

    def __init__(
        self,
        db: KeyValueStore,
        *,
        cache_bytes: int = CACHE_BYTES,
        prune_slack_bytes: int = PRUNE_SLACK_BYTES,
        on_corrupted: Callable[[CorruptState], None] = lambda error: None,
    ) -> None:
        """on_corrupted: told of every read that does not fit the tree, in the thread that read."""
        self._db, self._on_corrupted = db, on_corrupted
        self._ids = {name: bytes([number]) for number, name in enumerate(STORE_NAMES)}
        self._cache_bytes = cache_bytes
        self._cache: rec.RecordCache | rec.NativeRecordCache
        self._cache = rec.NativeRecordCache(cache_bytes) if native.is_used() else rec.RecordCache(cache_bytes)
        self._prune_slack_bytes = prune_slack_bytes
        self._pruned_bytes = prune_slack_bytes  # deleted and not yet compacted away; unknown from before the start
        self._lock = threading.Lock()  # the cache against a read that overlaps a commit
        self._epoch = 0  # grows with each commit, rollback and clearing
        self._latest = self._earliest = NO_VERSION
        self._roots: dict[str, bytes] = {}
        if db.get(rec.UNFINISHED_KEY) is not None:
            self._empty()
        self._load()

    @property
    def latest_version(self) -> int:
        """The version committed last; NO_VERSION (-1) before the first."""
        return self._latest

    @property
    def earliest_version(self) -> int:
        """The oldest version that can still be read and proved."""
        return self._earliest

    @property
    def roots(self) -> Mapping[str, bytes]:
        """The stores' roots at the latest version; of empty trees before the first."""
        return self._roots

    @property
    def app_hash(self) -> bytes:
        return app_hash_of(self._roots)

    def get(self, store: str, key: bytes) -> bytes | None:
        """The latest value, or None. Raises: UnknownStore."""
        record = self._record(rec.VALUE + self._id(store) + key)
        return None if record is None else record[rec.VERSION_BYTES :]

    def side(self, store: str, key: bytes) -> bytes | None:
        """The latest side record, or None. Raises: UnknownStore."""
        record = self._record(rec.SIDE + self._id(store) + key)
        return None if record is None else record[rec.VERSION_BYTES :]

    def cache_counts(self) -> tuple[int, int, int]:
        """Hits and misses of the records that are remembered, which the native part counts, and their bytes."""
        return (0, 0, self._cache.bytes_held_max) if self._held is None else self._held.counts()

    def extra(self, key: bytes) -> bytes | None:
        """What the last commit that named `key` among its extra writes put there."""
        return self._db.get(rec.EXTRA + key)

    def scan(self, store: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """The latest pairs whose key starts with `prefix`, ascending, without the sentinel.

        start: a key with that prefix, to begin at; what lies before it costs nothing.
        """
        return self._scan(rec.VALUE + self._id(store), prefix, start)

    def scan_side(self, store: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """The latest side records whose key starts with `prefix`, ascending; `start` as in `scan`."""
        return self._scan(rec.SIDE + self._id(store), prefix, start)

    def at(self, version: int | None = None) -> View:
        """A view of one version (None: the latest) that no later commit or prune changes.

        Raises: VersionUnavailable (it was pruned, or is not committed yet).
        """
        return View(self._db.snapshot(), version)

    def prepare(self, version: int, changes: Changes, side: Changes | None = None) -> Pending:
        """Compute the update to `version` at once. See `prepare_steps`."""
        steps = self.prepare_steps(version, changes, side)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                pending: Pending = stop.value
                return pending

    def prepare_steps(
        self, version: int, changes: Changes, side: Changes | None = None
    ) -> Generator[None, None, Pending]:
        """Compute the update from the latest version to `version`, yielding after each millisecond or two of work.

        changes: what the block sets or deletes, per store; what is equal to the latest is left out of the update.
        side: the same for side records. Nothing is written, and an abandoned generator leaves nothing behind.
        version: the next one; the first may be any from 0 on.
        Raises: WrongVersion, UnknownStore, InvalidPair; StalePending, when a commit came between two steps.
        """
        self._check_next(version)
        epoch = self._epoch
        work = _Work(version, is_native=self._held is not None)
        roots: dict[str, bytes] = {}
        yield from self._cache.settle()
        for store in (*changes, *(side or {})):
            self._id(store)
        for store in STORE_NAMES:
            yield from self._prepare_values(work, store, changes.get(store, {}))
            if side and store in side:
                yield from self._prepare_side(work, store, side[store])
            roots[store] = (yield from self._prepare_tree(work, store, epoch)) or self._roots[store]
            yield
        if self._epoch != epoch:
            raise StalePending(version, latest=self._latest)
        return Pending(
            version=version,
            roots=roots,
            app_hash=app_hash_of(roots),
            epoch=epoch,
            records=work.records,
            undo=work.undo.writes,
            size=work.size,
        )

    def commit(self, pending: Pending, extra_writes: Sequence[Write] = ()) -> None:
        """Make `pending` the latest version, in one synced batch; its keys' writes and `extra_writes` together.

        extra_writes: the application's own unversioned records, read back with `extra`.
        May run in a worker thread: reads meanwhile see the state before or after, never a mixture in one record.
        Raises: StalePending, when its parent is not the latest version.
        """
        if pending.epoch != self._epoch:
            raise StalePending(pending.version, latest=self._latest)
        packed = rec.pack_version(pending.version)
        first = self._latest == NO_VERSION
        batch: list[Write] = list(pending.records.items())
        batch += pending.undo
        batch += [(rec.EXTRA + key, value) for key, value in extra_writes]
        batch.append((rec.ROOTS + packed, b"".join(pending.roots[name] for name in STORE_NAMES)))
        batch.append((rec.LATEST_KEY, packed))
        if first:
            batch += [(rec.EARLIEST_KEY, packed), (rec.FORMAT_KEY, rec.FORMAT)]
        self._db.write(batch, sync=True)
        with self._lock:
            self._epoch += 1  # before and after: who reads pages meanwhile finds that they are of two versions
            self._cache.lay(pending.records)
            self._epoch += 1
            self._roots = dict(pending.roots)
            self._latest = pending.version
            if first:
                self._earliest = pending.version

    def prune(self, below_version: int) -> int:
        """`prune_steps` at once; return the earliest version now held."""
        for _ in self.prune_steps(below_version):
            pass
        return self._earliest

    def prune_steps(self, below_version: int) -> Generator[None, None, int]:
        """Forget the versions below `below_version`, as far as two are kept, in steps of a millisecond; how many.

        Views that exist stay whole. Before this returns, the disk of what was forgotten is freed, but for the slack
        that `prune_slack_bytes` allows (failure 4): that step takes longer, and holds nobody. Run the steps in a
        worker thread, not beside another prune.
        """
        earliest = min(below_version, self._latest - VERSIONS_KEPT_MIN + 1)
        before = self._earliest
        if earliest <= before:
            return 0
        packed = rec.pack_version(earliest)
        # first the mark, then the rest: after a crash between, the next prune finds what this one left
        self._db.write([(rec.EARLIEST_KEY, packed)], sync=True)
        self._earliest = earliest
        yield
        roots, undo = rec.ROOTS + packed, rec.UNDO + rec.pack_version(earliest + 1)
        yield from self._delete_steps(rec.ROOTS, roots)
        self._pruned_bytes += yield from self._delete_steps(rec.UNDO, undo)
        if self._pruned_bytes >= self._prune_slack_bytes:
            yield
            self._db.compact(rec.ROOTS, roots)
            self._db.compact(rec.UNDO, undo)
            self._pruned_bytes = 0
        return earliest - before

    def rollback(self, version: int) -> None:
        """Make `version` the latest again, one synced batch per version undone (failure 17).

        Extra records are the application's to set right. Raises: VersionUnavailable.
        """
        if not self._earliest <= version <= self._latest:
            raise VersionUnavailable(version, earliest=self._earliest, latest=self._latest)
        while self._latest > version:
            undone = rec.UNDO + rec.pack_version(self._latest)
            batch: list[Write] = [(rec.ROOTS + rec.pack_version(self._latest), None)]
            for key, run in self._db.scan(undone, rec.prefix_end(undone)):
                batch.append((key, None))
                batch.extend(
                    (record_key, rec.before(record_key, self._db.get(record_key), old))
                    for record_key, old in rec.unpack_run(run)
                )
            batch.append((rec.LATEST_KEY, rec.pack_version(self._latest - 1)))
            self._db.write(batch, sync=True)
            self.reload()

    def clear(self) -> None:
        """Forget everything, for a genesis that is run again: as before the first commit."""
        self._empty()
        self.reload()

    def begin_restore(self) -> KeyValueStore:
        """Forget everything, and give the database to whoever writes another state into it (`chain.state.snapshot`).

        Until `end_restore` it is an empty one for everybody who opens it: a restore that was cut off leaves nothing.
        """
        self._empty(keep_mark=True)
        self.reload()
        return self._db

    def end_restore(self) -> None:
        """What was written since `begin_restore` is whole; all of it is on disk when this returns."""
        self._db.write([(rec.UNFINISHED_KEY, None)], sync=True)

    def _empty(self, *, keep_mark: bool = False) -> None:
        """Under a mark that goes last: a stop in between leaves no records that a later genesis would meet."""
        self._db.write([(rec.UNFINISHED_KEY, b"1"), (rec.LATEST_KEY, None), (rec.EARLIEST_KEY, None)], sync=True)
        self._delete_range(b"", rec.UNFINISHED_KEY)
        self._delete_range(rec.UNFINISHED_KEY + b"\x00", b"\xff")
        self._db.compact(b"", b"\xff")
        if not keep_mark:
            self.end_restore()

    def _load(self) -> None:
        latest = self._db.get(rec.LATEST_KEY)
        self._roots = dict.fromkeys(STORE_NAMES, smt.EMPTY_HASH)
        self._latest = self._earliest = NO_VERSION
        if latest is None:
            return
        earliest, roots = self._db.get(rec.EARLIEST_KEY), self._db.get(rec.ROOTS + latest)
        if self._db.get(rec.FORMAT_KEY) != rec.FORMAT or earliest is None or roots is None:
            raise CorruptState(f"the state database lacks the record of its version {rec.version_of(latest)}")
        self._latest, self._earliest = rec.version_of(latest), rec.version_of(earliest)
        for number, name in enumerate(STORE_NAMES):
            self._roots[name] = roots[smt.HASH_BYTES * number : smt.HASH_BYTES * (number + 1)]

    def reload(self) -> None:
        """Read from the database what it holds now."""
        with self._lock:
            self._cache.clear()
            self._epoch += 1
            self._load()

    def _id(self, store: str) -> bytes:
        try:
            return self._ids[store]
        except KeyError:
            raise UnknownStore(store, allowed=STORE_NAMES) from None

    def _check_next(self, version: int) -> None:
        expected = self._latest + 1
        if version != expected and (self._latest != NO_VERSION or version < 0):
            raise WrongVersion(expected=expected, got=version)

    def _record(self, key: bytes) -> rec.Record | None:
        """The latest record, from the cache or the disk."""
        record = self._cache.get(key)
        if record is rec.RecordCache.MISS:
            epoch = self._epoch
            record = self._db.get(key)
            if key[:1] != rec.SIDE:
                self._check(key, record)
            with self._lock:
                if epoch == self._epoch:  # else a commit came between, and the record may be the old one
                    self._cache.put(key, record)
        return record

    @property
    def _held(self) -> native.RecordCache | None:
        """What the native part holds of the latest version, where it is used."""
        return self._cache.records if isinstance(self._cache, rec.NativeRecordCache) else None

    def _scan(self, space: bytes, prefix: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        sentinel = rec.VALUE + space[1:] + SENTINEL_KEY
        for key, record in self._db.scan(space + (start or prefix), rec.prefix_end(space + prefix)):
            if key != sentinel:
                if space[:1] == rec.VALUE and self._cache.get(key) != record:
                    self._check(key, record)
                yield key[len(space) :], record[rec.VERSION_BYTES :]

    def _check(self, key: bytes, record: rec.Record | None) -> None:
        """Hold a value or a page that was read against the tree above it. Raises CorruptState.

        A commit may have come between the reads: what does not fit is looked at again, in one snapshot.
        """
        name = STORE_NAMES[key[1]]
        node = self._node_above(key) if key[:1] == rec.VALUE else None
        if node is not None:
            why = checked.value_fault(node, key, record)
        else:
            why = checked.fault(self._record, self._roots[name], key, record)
        if not why:
            return
        snapshot = self._db.snapshot()
        roots = View(snapshot, None).roots if self._latest != NO_VERSION else self._roots
        if checked.whole_fault(snapshot, roots[name], key):
            file = str(getattr(self._db, "path", "the state database"))
            error = CorruptState(why, file=file, where=f"store {name}, key {key.hex()}")
            self._on_corrupted(error)
            raise error

    def _node_above(self, key: bytes) -> smt.Node | None:
        """What the tree has where the value's key would be, by pages that the native part holds, or takes now; None:
        they have to be looked at one by one."""
        if (held := self._held) is None:
            return None
        epoch = self._epoch
        for _ in range(PAGES_TAKEN_MAX):
            node, missing = held.node(rec.PAGE + key[1:2], key[2:])
            if missing is None:
                return node
            record = self._db.get(missing)
            with self._lock:
                if record is None or epoch != self._epoch or not held.add([(missing, record)]):
                    return None
        return None

    def warm_steps(self) -> Generator[None, None, int]:
        """Let the native part hold the pages of the trees before they are asked for, the uppermost first, while they
        take no more than seven eighths of its room; in steps of about a millisecond. How many it took.

        May run in a worker thread beside everything else.
        """
        taken = 0
        for store in STORE_NAMES if self._held is not None else ():
            space = rec.PAGE + self._id(store)
            start = rec.page_key(self._id(store), "") + b"\x00"
            if self._record(start[:-1]) is None:
                continue
            while (held := self._held) is not None and held.counts()[2] < self._cache_bytes * 7 // 8:
                epoch = self._epoch
                pages = list(islice(self._db.scan(start, rec.prefix_end(space)), PAGES_WARMED_PER_SLICE))
                with self._lock:
                    count = held.add(pages) if epoch == self._epoch else 0
                taken += count
                if not pages or (epoch == self._epoch and count < len(pages)):
                    break  # all are there; or one does not fit, which is told where it is read
                start = pages[count - 1][0] + b"\x00" if count else start
                yield
        return taken

    def _prepare_values(
        self, work: _Work, store: str, changes: Mapping[bytes, bytes | None]
    ) -> Generator[None, None, None]:
        space = rec.VALUE + self._id(store)
        keys = sorted(changes)  # not their pairs, whose comparison takes three times as long
        if self._latest == NO_VERSION:
            changes = {SENTINEL_KEY: SENTINEL_VALUE, **changes}
            keys.insert(0, SENTINEL_KEY)
        work.begin_tree(rec.PAGE + self._id(store))
        replaced: list[tuple[bytes, rec.Record | None]] = []
        size = 0
        for number, key in enumerate(keys):
            value = changes[key]
            check_pair(store, key, value, VALUE_BYTES_MAX, sentinel=value is SENTINEL_VALUE)
            full_key = space + key
            old = self._record(full_key)
            if not work.put(full_key, old, value, replaced):
                continue
            work.set_leaf(key, value)
            size += len(value or b"")
            if number % KEYS_PER_SLICE == 0 or size > BYTES_PER_SLICE:
                size = 0
                work.hash_leaves()
                yield
        yield
        work.hash_leaves()
        work.leaves.sort()
        yield from _add_undo(work, replaced)

    def _prepare_side(
        self, work: _Work, store: str, changes: Mapping[bytes, bytes | None]
    ) -> Generator[None, None, None]:
        space = rec.SIDE + self._id(store)
        replaced: list[tuple[bytes, rec.Record | None]] = []
        for number, key in enumerate(sorted(changes)):
            value = changes[key]
            check_pair(store, key, value, SIDE_BYTES_MAX, sentinel=True)
            full_key = space + key
            work.put(full_key, self._record(full_key), value, replaced)
            if number % KEYS_PER_SLICE == 0:
                yield
        yield from _add_undo(work, replaced)

    def _prepare_tree(self, work: _Work, store: str, epoch: int) -> Generator[None, None, bytes | None]:
        """The new root, or None when nothing changed."""
        if work.tree is not None and (held := self._held) is not None:
            return (yield from self._prepare_tree_natively(work, store, work.tree, held, epoch))
        leaves, work.leaves = work.leaves, []
        if not leaves:
            return None
        store_id = self._id(store)
        keys: dict[str, bytes] = {}
        olds: dict[str, rec.Record] = {}

        def load(name: str) -> bytes | None:
            key = keys[name] = rec.page_key(store_id, name)
            record = self._record(key)
            if record is None:
                if not name and self._roots[store] != smt.EMPTY_HASH:
                    raise CorruptState(f"store {store}: the tree's root page is missing")
                return None
            olds[name] = record
            return record[rec.VERSION_BYTES :]

        change = yield from smt.update_steps(load, leaves)
        deltas = change.deltas if work.version % rec.WHOLE_PAGES_EVERY else {}
        replaced: list[tuple[bytes, rec.Record | None]] = []
        for number, (name, page) in enumerate(change.pages.items()):
            key, old = keys.get(name) or rec.page_key(store_id, name), olds.get(name)
            if old is not None and name in deltas:
                old = old[: rec.VERSION_BYTES] + deltas[name]
            replaced.append((key, old))
            work.keep(key, page)
            if number % RECORDS_PER_SLICE == 0:
                yield
        yield from _add_undo(work, replaced)
        return change.root

    def _prepare_tree_natively(
        self, work: _Work, store: str, tree: native.TreeUpdate, held: native.RecordCache, epoch: int
    ) -> Generator[None, None, bytes | None]:
        if not work.has_leaves:
            return None
        root_key = rec.page_key(self._id(store), "")
        if self._record(root_key) is None and self._roots[store] != smt.EMPTY_HASH:
            raise CorruptState(f"store {store}: the tree's root page is missing")
        try:
            while (keys := tree.wanted(NATIVE_PAGES_PER_SLICE, held)) is not None:
                if keys:
                    self._give_pages(work, tree, held, keys, epoch)
                yield
                self._check_epoch(work, epoch)
            while not tree.hash(NATIVE_HASHED_PER_SLICE):
                yield
        except ValueError as error:
            self._check_epoch(work, epoch)
            raise CorruptState(str(error)) from None
        while (taken := tree.take(RECORDS_PER_SLICE, work.undo.prefix))[0]:
            changed, runs, size = taken
            work.records.update(changed)
            work.size += size
            work.undo.writes += runs
            yield
        return tree.root()

    def _give_pages(
        self, work: _Work, tree: native.TreeUpdate, held: native.RecordCache, keys: list[bytes], epoch: int
    ) -> None:
        """Read them from the disk. The root's page has nothing above it in the tree, and is held against the root."""
        root_length = len(rec.PAGE) + 2
        found = [self._record(key) if len(key) == root_length else self._db.get(key) for key in keys]
        with self._lock:
            self._check_epoch(work, epoch)
            try:
                tree.give(found, held)
                return
            except ValueError as error:
                why = error
        for key, record in zip(keys, found, strict=True):
            self._check(key, record)  # says of one what is wrong with it, and to whom it is told
        raise why

    def _check_epoch(self, work: _Work, epoch: int) -> None:
        if self._epoch != epoch:
            raise StalePending(work.version, latest=self._latest)

    def _delete_range(self, start: bytes, stop: bytes) -> None:
        for _ in self._delete_steps(start, stop):
            pass
        self._db.write([], sync=True)

    def _delete_steps(self, start: bytes, stop: bytes) -> Generator[None, None, int]:
        """Delete start <= key < stop in batches; return the bytes they held."""
        batch: list[Write] = []
        size = 0
        for key, record in self._db.scan(start, stop):
            size += len(key) + len(record)
            batch.append((key, None))
            if len(batch) == PRUNE_BATCH_KEYS:
                self._db.write(batch)
                batch = []
                yield
        if batch:
            self._db.write(batch)  # unsynced: if it is lost, it is deleted again
        return size


class _Work:
    """What one preparation has gathered so far."""

    def __init__(self, version: int, *, is_native: bool) -> None:
        """is_native: the native part holds what its trees read."""
        self.version = version
        self._packed = rec.pack_version(version)
        self._is_native = is_native and native.is_used()
        self.records: dict[bytes, rec.Record | None] = {}
        self.undo = rec.UndoRuns(version)
        self.leaves: list[smt.LeafChange] = []
        self.tree: native.TreeUpdate | None = None  # what takes the leaves instead, with the native part
        self.has_leaves = False
        self._unhashed: list[tuple[bytes, bytes | None]] = []
        self.size = 0

    def begin_tree(self, prefix: bytes) -> None:
        """prefix: of the keys of its pages."""
        self.has_leaves = False
        self.tree = None
        if self._is_native:
            is_whole = self.version % rec.WHOLE_PAGES_EVERY == 0
            self.tree = native.tree_update(prefix, self._packed, is_whole=is_whole)

    def set_leaf(self, key: bytes, value: bytes | None) -> None:
        if self.tree is None:
            self.leaves.append(smt.leaf_change(key, value))
        else:
            self.has_leaves = True
            self._unhashed.append((key, value))

    def hash_leaves(self) -> None:
        """Those that were set since the last call."""
        if self.tree is not None:
            self.tree.add(self._unhashed)
            self._unhashed.clear()

    def put(
        self,
        key: bytes,
        old: rec.Record | None,
        content: bytes | None,
        replaced: list[tuple[bytes, rec.Record | None]],
    ) -> bool:
        """Note that `key` becomes `content`, and what that replaces; False when it changes nothing."""
        if (old[rec.VERSION_BYTES :] if old is not None else None) == content:
            return False
        self.keep(key, content)
        replaced.append((key, old))
        return True

    def keep(self, key: bytes, content: bytes | None) -> None:
        """Note that `key` becomes `content`."""
        record = None if content is None else self._packed + content
        self.records[key] = record
        self.size += len(key) + len(record or b"")


def _add_undo(work: _Work, replaced: list[tuple[bytes, rec.Record | None]]) -> Generator[None, None, None]:
    for at in range(0, len(replaced), RECORDS_PER_SLICE):
        work.undo.add(replaced[at : at + RECORDS_PER_SLICE])
        yield


def check_pair(store: str, key: bytes, value: bytes | None, bytes_max: int, *, sentinel: bool) -> None:
    if not 0 < len(key) <= KEY_BYTES_MAX:
        raise InvalidPair(store, key, f"the key has {len(key)} bytes; allowed: 1 to {KEY_BYTES_MAX}")
    if value is not None and not 0 < len(value) <= bytes_max:
        raise InvalidPair(store, key, f"the value has {len(value)} bytes; allowed: 1 to {bytes_max}")
    if key == SENTINEL_KEY and not sentinel:
        raise InvalidPair(store, key, "this key is the store's permanent sentinel")
