"""An ordered key-value store in memory, which also models what a disk loses.

As in LevelDB, a batch is whole or absent, and batches that were not synced may vanish, from the tail, when the machine
stops: `crash` does that, for simulations. A batch is written, and a snapshot read, whole against other threads.
"""

from __future__ import annotations

import bisect
import threading
import weakref
from collections.abc import Iterator, Sequence

from storage.errors import StoreClosed
from storage.kv import Write


class MemoryStore:
    """Pairs in a dict, with a list of the keys that is sorted when somebody scans.

    `models_crashes` remembers how to undo each batch since the last synced one; without it `crash` is refused.
    """

    path = "(memory)"

    def __init__(self, pairs: dict[bytes, bytes] | None = None, *, models_crashes: bool = False) -> None:
        self._data: dict[bytes, bytes] = dict(pairs or {})
        self._keys: list[bytes] = sorted(self._data)
        self._added: set[bytes] = set()  # in _data, not yet in _keys
        self._removed: set[bytes] = set()  # in _keys, no longer in _data
        self._snapshots: weakref.WeakSet[MemorySnapshot] = weakref.WeakSet()
        self._unsynced: list[list[Write]] = []  # per batch: what takes it back
        self._models_crashes = models_crashes
        self._closed = False
        self._lock = threading.RLock()

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        return self._data.get(key)

    def scan(
        self, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        return self.snapshot().scan(start, stop, reverse=reverse)

    def write(self, batch: Sequence[Write], *, sync: bool = False) -> None:
        self._check_open()
        with self._lock:
            self._write(batch, sync)

    def _write(self, batch: Sequence[Write], sync: bool) -> None:
        undo: list[Write] = []
        for key, value in batch:
            old = self._data.get(key)
            if self._models_crashes:
                undo.append((key, old))
            for snapshot in self._snapshots:
                snapshot.keep(key, old)
            self._put(key, old, value)
        if sync:
            self._unsynced.clear()
        elif self._models_crashes:
            self._unsynced.append(undo)

    def snapshot(self) -> MemorySnapshot:
        self._check_open()
        with self._lock:
            snapshot = MemorySnapshot(self)
            self._snapshots.add(snapshot)
            return snapshot

    def compact(self, start: bytes, stop: bytes) -> None:
        self._check_open()

    def size_bytes(self, start: bytes, stop: bytes) -> int:
        """The bytes of the pairs in the range."""
        self._check_open()
        return sum(len(key) + len(self._data[key]) for key in self.keys_between(start, stop) if key in self._data)

    def close(self) -> None:
        self._closed = True

    @property
    def unsynced_batches(self) -> int:
        """How many batches `crash` could take away."""
        return len(self._unsynced)

    def crash(self, *, survivors: int = 0) -> MemoryStore:
        """Stop as a machine does: return what the disk holds, and close this store.

        survivors: how many of the unsynced batches reached the disk all the same, the oldest first.
        """
        self._check_open()
        assert self._models_crashes, "a store that was not told to model crashes cannot crash"
        assert 0 <= survivors <= len(self._unsynced), (survivors, len(self._unsynced))
        data = self._data
        for undo in reversed(self._unsynced[survivors:]):
            for key, old in reversed(undo):
                if old is None:
                    data.pop(key, None)
                else:
                    data[key] = old
        self.close()
        return MemoryStore(data, models_crashes=True)

    def keys_between(self, start: bytes, stop: bytes | None) -> list[bytes]:
        """Ascending keys of the range; some may have been deleted since the list was sorted."""
        self._check_open()
        if len(self._removed) * 2 > len(self._keys):
            self._keys = [key for key in self._keys if key not in self._removed]
            self._removed.clear()
        if self._added:
            self._keys.extend(sorted(self._added))
            self._keys.sort()  # two sorted runs are merged in linear time
            self._added.clear()
        low = bisect.bisect_left(self._keys, start)
        high = len(self._keys) if stop is None else bisect.bisect_left(self._keys, stop)
        return self._keys[low:high]

    def _put(self, key: bytes, old: bytes | None, value: bytes | None) -> None:
        if value is not None:
            self._data[key] = value
            if old is None and key in self._removed:
                self._removed.discard(key)
            elif old is None:
                self._added.add(key)
        elif old is not None:
            del self._data[key]
            if key in self._added:
                self._added.discard(key)
            else:
                self._removed.add(key)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed(self.path)


class MemorySnapshot:
    """The store at one moment: what was overwritten since then is kept here."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._kept: dict[bytes, bytes | None] = {}

    def keep(self, key: bytes, old: bytes | None) -> None:
        """Called by the store before it changes `key`; only the first change counts."""
        self._kept.setdefault(key, old)

    def get(self, key: bytes) -> bytes | None:
        with self._store._lock:
            return self._kept[key] if key in self._kept else self._store.get(key)

    def scan(
        self, start: bytes = b"", stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        keys = self._store.keys_between(start, stop)
        kept = [key for key in self._kept if key >= start and (stop is None or key < stop)]
        if kept:
            keys = sorted(set(keys).union(kept))
        return self._pairs(keys, reverse)

    def _pairs(self, keys: list[bytes], reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        for key in reversed(keys) if reverse else keys:
            value = self.get(key)
            if value is not None:
                yield key, value
