"""The transactions of a pool, and the ways to find them: by lane, sender, replay id, touched key, expiry."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import islice

from consensus.mempool.admission.entry import Entry, Waiting


class Lane:
    """Its entries by priority, each level in order of admission. priorities: those that have a level, ascending."""

    __slots__ = ("count", "levels", "priorities")

    def __init__(self) -> None:
        self.count = 0
        self.levels: dict[int, dict[bytes, Entry]] = {}
        self.priorities: list[int] = []

    def __len__(self) -> int:
        return self.count

    def begin(self, priority: int) -> dict[bytes, Entry]:
        level = self.levels[priority] = {}
        insort(self.priorities, priority)
        return level

    def end(self, priority: int) -> None:
        del self.levels[priority]
        del self.priorities[bisect_left(self.priorities, priority)]


class Index:
    """Entries by key, in order of admission."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.lanes: dict[str, Lane] = {}
        self.bytes = 0
        self.senders: dict[bytes, int] = {}  # how many of each wait
        self.replays: dict[bytes, bytes] = {}  # replay id -> key
        self.touching: dict[bytes, dict[bytes, Entry]] = {}  # touched key -> its entries, in order of admission
        self._numbers = 0  # given out
        self._expiring: dict[int, dict[bytes, None]] = {}  # of what is here alone: a far expiry leaves nothing behind

    def __len__(self) -> int:
        return len(self.entries)

    def insert(self, entry: Entry) -> None:
        key, facts, touching = entry.key, entry.facts, self.touching
        sender = facts.sender
        if not entry.number:
            self._numbers += 1
            entry.number = self._numbers
        self.entries[key] = entry
        lane = self.lanes.get(facts.lane)
        if lane is None:
            lane = self.lanes[facts.lane] = Lane()
        level = lane.levels.get(facts.priority)
        if level is None:
            level = lane.begin(facts.priority)
        level[key] = entry
        lane.count += 1
        self.bytes += len(entry.tx)
        if sender:
            self.senders[sender] = self.senders.get(sender, 0) + 1
        if facts.replay_id:
            self.replays[facts.replay_id] = key
        for touched in facts.touches:
            keys = touching.get(touched)
            if keys is None:
                touching[touched] = {key: entry}
            else:
                keys[key] = entry
        if facts.expiry_height:
            self._expiring.setdefault(facts.expiry_height, {})[key] = None

    def remove(self, key: bytes) -> Entry | None:
        entry = self.entries.pop(key, None)
        if entry is None:
            return None
        facts, senders, touching = entry.facts, self.senders, self.touching
        lane = self.lanes[facts.lane]
        level = lane.levels[facts.priority]
        del level[key]
        lane.count -= 1
        if not level:
            lane.end(facts.priority)
        if not lane.count:
            del self.lanes[facts.lane]
        self.bytes -= len(entry.tx)
        if sender := facts.sender:
            left = senders[sender] - 1
            if left:
                senders[sender] = left
            else:
                del senders[sender]
        if facts.replay_id:
            self.replays.pop(facts.replay_id, None)
        for touched in facts.touches:
            keys = touching.get(touched)
            if keys is None:
                continue  # the application named it twice
            keys.pop(key, None)
            if not keys:
                del touching[touched]
        if facts.expiry_height and (expiring := self._expiring.get(facts.expiry_height)) is not None:
            # None: it goes because it expires
            del expiring[key]
            if not expiring:
                del self._expiring[facts.expiry_height]
        return entry

    def clear(self) -> list[Entry]:
        """Whatever state it is in. Returns what was here."""
        gone = list(self.entries.values())
        for kept in (self.entries, self.lanes, self.senders, self.replays, self.touching, self._expiring):
            kept.clear()
        self.bytes = 0
        return gone

    def with_dearer(self, touched: bytes, held: list[Waiting], most: int) -> list[tuple[Entry | Waiting, int]]:
        """What touches that key, with how many in its lane have a higher priority; then what is held, with 0."""
        some = list(islice(self.touching.get(touched, {}).values(), most))
        above: dict[tuple[str, int], int] = {}
        for name in {one.facts.lane for one in some}:
            lane, count = self.lanes[name], 0
            for priority in reversed(lane.priorities):
                above[name, priority] = count
                count += len(lane.levels[priority])
        found: list[tuple[Entry | Waiting, int]] = [(one, above[one.facts.lane, one.facts.priority]) for one in some]
        return [*found, *((one, 0) for one in held)][:most]

    def after(self, entry: Entry) -> list[Entry]:
        """Those that come after it in its order."""
        facts = entry.facts
        if not facts.order_key:
            return []
        alike = min((self.touching[touched] for touched in facts.touches), key=len, default={})
        return [
            one for one in alike.values() if one.facts.order_key == facts.order_key and one.facts.order > facts.order
        ]

    def replace(self, old: Entry, new: Entry) -> None:
        """`new` has the place of `old`, which was removed, and its age: nothing else moves."""
        new.number, new.height = old.number, old.height
        self.insert(new)
        facts = new.facts
        for orders in (
            self.entries, self.lanes[facts.lane].levels[facts.priority],
            *[self.touching[touched] for touched in facts.touches],
        ):  # fmt: skip
            _settle(orders, new)

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


def _settle(entries: dict[bytes, Entry], last: Entry) -> None:
    """Put the last one where its number says, the others as they are."""
    later = []
    for entry in reversed(entries.values()):
        if entry.number > last.number:
            later.append(entry)
        elif entry is not last:
            break
    for entry in reversed(later):
        del entries[entry.key]
        entries[entry.key] = entry
