"""The transactions of a pool, and the ways to find them: by lane, sender, replay id, touched key, expiry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mempool.entry import Entry


class Index:
    """Entries by key, in order of admission."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.lanes: dict[str, dict[bytes, Entry]] = {}
        self.bytes = 0
        self.senders: dict[bytes, int] = {}  # how many of each wait
        self.replays: dict[bytes, bytes] = {}  # replay id -> key
        self.touching: dict[bytes, dict[bytes, None]] = {}  # touched key -> keys of entries
        self._expiring: dict[int, dict[bytes, None]] = {}  # of what is here alone: a far expiry leaves nothing behind

    def __len__(self) -> int:
        return len(self.entries)

    def insert(self, entry: Entry) -> None:
        self.entries[entry.key] = entry
        self.lanes.setdefault(entry.lane, {})[entry.key] = entry
        self.bytes += len(entry.tx)
        if entry.sender:
            self.senders[entry.sender] = self.senders.get(entry.sender, 0) + 1
        if entry.replay_id:
            self.replays[entry.replay_id] = entry.key
        for touched in entry.touches:
            self.touching.setdefault(touched, {})[entry.key] = None
        if entry.expiry_height:
            self._expiring.setdefault(entry.expiry_height, {})[entry.key] = None

    def remove(self, key: bytes) -> Entry | None:
        entry = self.entries.pop(key, None)
        if entry is None:
            return None
        lane = self.lanes[entry.lane]
        del lane[key]
        if not lane:
            del self.lanes[entry.lane]
        self.bytes -= len(entry.tx)
        if entry.sender:
            left = self.senders[entry.sender] - 1
            if left:
                self.senders[entry.sender] = left
            else:
                del self.senders[entry.sender]
        if entry.replay_id:
            self.replays.pop(entry.replay_id, None)
        for touched in entry.touches:
            keys = self.touching[touched]
            del keys[key]
            if not keys:
                del self.touching[touched]
        expiring = self._expiring.get(entry.expiry_height)
        if expiring is not None:  # None: it goes because it expires
            del expiring[key]
            if not expiring:
                del self._expiring[entry.expiry_height]
        return entry

    def pop_expired(self, height: int) -> Iterator[bytes]:
        """Keys of what no block after `height` may hold; they are to be removed."""
        for expiry in sorted(expiry for expiry in self._expiring if expiry <= height):
            yield from self._expiring.pop(expiry)

    def in_order(self, touched: frozenset[bytes] | None, due: Iterable[bytes]) -> dict[bytes, None]:
        """Keys of the entries that touch one of `touched` (None: all), and of those that are `due`.

        In order of admission: a sender's sequence is checked from its beginning.
        """
        if touched is None:
            return dict.fromkeys(self.entries)
        touching = self.touching
        wanted = set(due)
        for name in touched if len(touched) <= len(touching) else [name for name in touching if name in touched]:
            wanted.update(touching.get(name, ()))
        return dict.fromkeys(key for key in self.entries if key in wanted) if wanted else {}
