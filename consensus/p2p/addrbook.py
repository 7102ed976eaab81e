"""The address book: nodes we heard of, in buckets that no single source can fill.

"New" addresses were heard of, "old" ones have been good peers. The bucket of a new address depends on the groups
(/16) of the address and of who told us; that of an old one on its own: an attacker with few groups reaches few
buckets. Pure but for `load` and `save`; the clock and the randomness are given.
The file is CometBFT's `config/addrbook.json` with two keys more, `pins` and `bans`.
Source: CometBFT v0.38, spec/p2p/implementation/addressbook.md, p2p/pex/addrbook.go.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.address import NodeAddress, parse_address
from consensus.p2p.conn.errors import BadAddress
from consensus.p2p.conn.node_key import is_node_id

log = structlog.get_logger()

NEW_BUCKETS = 256
OLD_BUCKETS = 64
BUCKET_ENTRIES = 64
NEW_BUCKETS_PER_GROUP = 32
OLD_BUCKETS_PER_GROUP = 4
NEW_BUCKETS_PER_ADDRESS = 4
ENOUGH_ADDRESSES = 1000  # with fewer we ask for more
SELECTION_MIN, SELECTION_MAX, SELECTION_PERCENT = 32, 250, 23
DRAWN_PER_TOLD = 8  # looked at for each address of an answer: a stranger asks, so it is no matter of the book's size
OWN_ADDRESSES_MAX = 64
FAILURES_NEVER_SEEN_MAX = 3  # attempts after which an address that never worked is bad
FAILURES_MAX = 10  # and one that has not worked for a week

_MINUTE_NS = 60 * NS_PER_S
_WEEK_NS = 7 * 24 * 3600 * NS_PER_S
_GO_ZERO_TIME = "0001-01-01T00:00:00Z"
_NEW, _OLD = 1, 2  # bucket_type in the file


@dataclass(slots=True)
class Entry:
    """One address. Times are nanoseconds since the epoch, 0 for never."""

    address: NodeAddress
    source: NodeAddress
    buckets: list[int] = field(default_factory=list)
    is_old: bool = False
    attempts: int = 0  # since the last success
    last_attempt_ns: int = 0
    last_success_ns: int = 0

    @property
    def has_only_failed(self) -> bool:
        """Nobody answered there as this id so far: another place that is told takes its place."""
        return not self.is_old and self.attempts > 0 and not self.last_success_ns

    def is_bad(self, now_ns: int) -> bool:
        """Whether it may be evicted first. Old entries and those tried in the last minute are not bad."""
        if self.is_old or now_ns - _MINUTE_NS < self.last_attempt_ns <= now_ns:
            return False
        if self.last_attempt_ns and self.last_attempt_ns < now_ns - _WEEK_NS:
            return True
        if not self.last_success_ns and self.attempts >= FAILURES_NEVER_SEEN_MAX:
            return True
        return self.attempts >= FAILURES_MAX and self.last_success_ns < now_ns - _WEEK_NS


class AddressBook:
    """`path` is None for a book that is never saved; `strict` keeps addresses out that are not routable."""

    def __init__(
        self,
        path: Path | None,
        *,
        strict: bool,
        clock: Callable[[], int],
        rng: random.Random | None = None,
    ) -> None:
        self.path = path
        self.strict = strict
        self.private_ids: frozenset[str] = frozenset()
        self.is_banned: Callable[[str], bool] = lambda peer_id: False
        self.pins: dict[str, str] = {}  # kept for the switch: host:port -> id first seen
        self.bans: dict[str, int] = {}  # as loaded: id -> until, ns
        self._clock = clock
        self._rng = rng if rng is not None else random.Random()
        self._key = self._rng.getrandbits(96).to_bytes(12, "big").hex()
        self._entries: dict[str, Entry] = {}
        self._new: list[dict[str, Entry]] = [{} for _ in range(NEW_BUCKETS)]
        self._old: list[dict[str, Entry]] = [{} for _ in range(OLD_BUCKETS)]
        self._old_count = 0
        self._own: dict[str, None] = {}  # our own ids and places

    # --- what is in it ----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, peer_id: str) -> bool:
        return peer_id in self._entries

    def get(self, peer_id: str) -> Entry | None:
        return self._entries.get(peer_id)

    def entries(self) -> tuple[Entry, ...]:
        """All, for the operator: what others are told is a selection."""
        return tuple(self._entries.values())

    def is_good(self, peer_id: str) -> bool:
        """Whether it has been a useful peer."""
        entry = self._entries.get(peer_id)
        return entry is not None and entry.is_old

    @property
    def needs_more(self) -> bool:
        return len(self._entries) < ENOUGH_ADDRESSES

    @property
    def old_count(self) -> int:
        return self._old_count

    # --- changes ----------------------------------------------------------------------------------------------

    def add_own(self, address: NodeAddress) -> None:
        """Remember one of our own addresses (found by dialing it); it leaves the book and stays out."""
        for name in (address.id, address.host_port if address.host else ""):
            if name and len(self._own) < OWN_ADDRESSES_MAX:
                self._own[name] = None
        self.remove(address.id)

    def add(self, address: NodeAddress, source: NodeAddress, *, proven: bool = False) -> bool:
        """Add an address that `source` told us; False when it was known and stays as it is.

        `proven`: the holder of the id said so itself over its own connection, so a changed address is believed.
        Raises BadAddress when it must not be in the book; the text says why.
        """
        self._check(address, source)
        known = self._entries.get(address.id)
        if known is not None and known.address != address and (proven or known.has_only_failed):
            self.remove(address.id)
            known = None
        if known is not None:
            if known.is_old or len(known.buckets) >= NEW_BUCKETS_PER_ADDRESS:
                return False
            if self._rng.randrange(2 * len(known.buckets)):
                return False  # the more sources know it already, the less another one weighs
        entry = known if known is not None else Entry(address, source)
        return self._put_new(entry, self._new_bucket(entry.address, source))

    def _check(self, address: NodeAddress, source: NodeAddress) -> None:
        if not address.is_valid or not address.port:
            raise BadAddress(f"address {address}: not a valid address of a node")
        if address.id in self._own or address.host_port in self._own:
            raise BadAddress(f"address {address}: our own")
        if address.id in self.private_ids or source.id in self.private_ids:
            raise BadAddress(f"address {address}: it, or {source.id} who told us, is private")
        if self.is_banned(address.id):
            raise BadAddress(f"address {address}: banned")
        if self.strict and not address.is_routable:
            raise BadAddress(f"address {address}: not routable, and the book is strict")

    def remove(self, peer_id: str) -> None:
        entry = self._entries.pop(peer_id, None)
        if entry is not None:
            self._old_count -= entry.is_old
            for bucket in entry.buckets:
                self._bucket(entry, bucket).pop(peer_id, None)

    def mark_attempt(self, peer_id: str) -> None:
        entry = self._entries.get(peer_id)
        if entry is not None:
            entry.attempts += 1
            entry.last_attempt_ns = self._clock()

    def mark_connected(self, peer_id: str) -> None:
        """A dial worked: the failures before it do not count any more."""
        entry = self._entries.get(peer_id)
        if entry is not None:
            entry.attempts = 0
            entry.last_attempt_ns = entry.last_success_ns = self._clock()

    def mark_good(self, peer_id: str) -> None:
        """It has been a useful peer: it moves among the old; a full old bucket sends its oldest back."""
        entry = self._entries.get(peer_id)
        if entry is None:
            return
        self.mark_connected(peer_id)
        if entry.is_old:
            return
        for bucket in entry.buckets:
            self._new[bucket].pop(peer_id, None)
        entry.buckets.clear()
        number = self._old_bucket(entry.address)
        target = self._old[number]
        if len(target) >= BUCKET_ENTRIES:
            oldest = min(target.values(), key=lambda e: e.last_attempt_ns)
            del target[oldest.address.id]
            oldest.buckets.clear()
            oldest.is_old = False
            self._old_count -= 1
            self._put_new(oldest, self._new_bucket(oldest.address, oldest.source))
        entry.is_old = True
        self._old_count += 1
        entry.buckets.append(number)
        target[peer_id] = entry

    def _put_new(self, entry: Entry, number: int) -> bool:
        peer_id, bucket = entry.address.id, self._new[number]
        if peer_id in bucket:
            return False
        if len(bucket) >= BUCKET_ENTRIES:
            self._evict(bucket, number)
        bucket[peer_id] = entry
        entry.buckets.append(number)
        self._entries[peer_id] = entry
        return True

    def _evict(self, bucket: dict[str, Entry], number: int) -> None:
        """Make room: the first bad entry goes, else the one whose last attempt is longest ago."""
        now_ns = self._clock()
        victim = next((entry for entry in bucket.values() if entry.is_bad(now_ns)), None)
        if victim is None:
            victim = min(bucket.values(), key=lambda entry: entry.last_attempt_ns)
        del bucket[victim.address.id]
        victim.buckets.remove(number)
        if not victim.buckets:
            del self._entries[victim.address.id]

    def _bucket(self, entry: Entry, number: int) -> dict[str, Entry]:
        return self._old[number] if entry.is_old else self._new[number]

    # --- choosing ---------------------------------------------------------------------------------------------

    def pick(self, new_bias_percent: int) -> NodeAddress | None:
        """Return an address to dial; the bias (0 to 100) favours new ones. None when the book is empty.

        May return None now and then when what it drew is banned.
        """
        if not self._entries:
            return None
        old_count = self.old_count
        old_weight = math.sqrt(old_count) * (100 - max(0, min(100, new_bias_percent)))
        new_weight = math.sqrt(len(self._entries) - old_count) * max(0, min(100, new_bias_percent))
        total = old_weight + new_weight
        from_old = self._rng.random() * total < old_weight if total else old_count > 0
        buckets = [bucket for bucket in (self._old if from_old else self._new) if bucket]
        if not buckets:
            return None
        entry = self._rng.choice(list(self._rng.choice(buckets).values()))
        return None if self.is_banned(entry.address.id) else entry.address

    def selection(self, *, new_percent: int | None = None) -> list[NodeAddress]:
        """Return random addresses to tell a peer: 23 % of the book, at least 32 if there are, at most 250.

        With `new_percent`, that share of the answer comes from the new ones as far as there are any.
        """
        size = len(self._entries)
        count = min(max(min(SELECTION_MIN, size), size * SELECTION_PERCENT // 100), SELECTION_MAX)
        drawn = self._rng.sample(list(self._entries.values()), min(size, DRAWN_PER_TOLD * count))
        entries = [entry for entry in drawn if not self.is_banned(entry.address.id)]
        if new_percent is not None:
            new = [entry for entry in entries if not entry.is_old]
            old = [entry for entry in entries if entry.is_old]
            wanted = max(count * new_percent // 100, count - len(old))
            entries = new[:wanted] + old
        return [entry.address for entry in entries[:count]]

    # --- buckets ----------------------------------------------------------------------------------------------

    def _hash(self, *parts: str | bytes) -> int:
        data = b"".join(part.encode() if isinstance(part, str) else part for part in (self._key, *parts))
        return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")

    def _new_bucket(self, address: NodeAddress, source: NodeAddress) -> int:
        group, source_group = address.group(strict=self.strict), source.group(strict=self.strict)
        slot = self._hash(group, source_group) % NEW_BUCKETS_PER_GROUP
        return self._hash(source_group, slot.to_bytes(8, "big")) % NEW_BUCKETS

    def _old_bucket(self, address: NodeAddress) -> int:
        slot = self._hash(str(address)) % OLD_BUCKETS_PER_GROUP
        return self._hash(address.group(strict=self.strict), slot.to_bytes(8, "big")) % OLD_BUCKETS

    # --- the file ---------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read the file if there is one. One that cannot be read is set aside, with a warning: a book can be lost."""
        if self.path is None or not self.path.exists():
            return
        try:
            self._read(json.loads(self.path.read_text()))
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            aside = self.path.with_suffix(".broken")
            os.replace(self.path, aside)
            log.warning("set a broken address book aside", path=str(self.path), aside=str(aside), error=repr(error))

    def _read(self, document: dict[str, Any]) -> None:
        self._key, now_ns = str(document["key"]), self._clock()
        for row in document["addrs"] or ():
            entry = Entry(
                address=_read_address(row["addr"]),
                source=_read_address(row["src"]),
                is_old=row["bucket_type"] == _OLD,
                attempts=int(row["attempts"]),
                last_attempt_ns=min(now_ns, _read_time(row["last_attempt"])),  # later is of a clock that was ahead
                last_success_ns=min(now_ns, _read_time(row["last_success"])),
            )
            buckets = [int(number) for number in row["buckets"] or ()]
            self._restore(entry, buckets)
        self.pins |= {str(k): str(v) for k, v in document.get("pins", {}).items() if is_node_id(str(v))}
        self.bans |= {str(k): int(v) for k, v in document.get("bans", {}).items() if is_node_id(str(k))}

    def _restore(self, entry: Entry, buckets: list[int]) -> None:
        """Put an entry where the file says, as far as that is possible."""
        peer_id, limit = entry.address.id, OLD_BUCKETS if entry.is_old else NEW_BUCKETS
        if peer_id in self._entries or not entry.address.is_valid:
            return
        for number in buckets[: 1 if entry.is_old else NEW_BUCKETS_PER_ADDRESS]:
            if not 0 <= number < limit:
                raise ValueError(f"{entry.address}: bucket {number}, expected 0 to {limit - 1}")
            bucket = self._bucket(entry, number)
            if len(bucket) <= BUCKET_ENTRIES:  # upstream lets one more in
                bucket[peer_id] = entry
                entry.buckets.append(number)
        if entry.buckets:
            self._entries[peer_id] = entry
            self._old_count += entry.is_old

    def snapshot(self, *, bans: dict[str, int]) -> dict[str, Any]:
        """What `write` needs, detached from the book: cheap, for the event loop."""
        rows = [
            (e.address, e.source, tuple(e.buckets), e.attempts, e.is_old, e.last_attempt_ns, e.last_success_ns)
            for e in self._entries.values()
        ]
        return {"key": self._key, "rows": rows, "pins": dict(self.pins), "bans": bans}

    def write(self, snapshot: dict[str, Any]) -> None:
        """Write a snapshot to the file, whole or not at all; off the event loop. Raises OSError."""
        assert self.path is not None
        document = {
            "key": snapshot["key"],
            "addrs": [_row(*row) for row in snapshot["rows"]],
            "pins": snapshot["pins"],
            "bans": snapshot["bans"],
        }
        draft = self.path.with_suffix(".tmp")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(fd, "w") as file:
                json.dump(document, file, indent="\t")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            draft.unlink(missing_ok=True)  # half a book on a full disk is of use to nobody
            raise
        os.replace(draft, self.path)


def _row(
    address: NodeAddress,
    source: NodeAddress,
    buckets: tuple[int, ...],
    attempts: int,
    is_old: bool,
    last_attempt_ns: int,
    last_success_ns: int,
) -> dict[str, Any]:
    return {
        "addr": {"id": address.id, "ip": address.host, "port": address.port},
        "src": {"id": source.id, "ip": source.host, "port": source.port},
        "buckets": list(buckets),
        "attempts": attempts,
        "bucket_type": _OLD if is_old else _NEW,
        "last_attempt": _write_time(last_attempt_ns),
        "last_success": _write_time(last_success_ns),
        "last_ban_time": _GO_ZERO_TIME,
    }


def _read_address(row: dict[str, Any]) -> NodeAddress:
    host = str(row["ip"])
    return parse_address(f"{row['id']}@[{host}]:{row['port']}" if ":" in host else f"{row['id']}@{host}:{row['port']}")


def _write_time(time_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds; Go's zero time for 0."""
    if not time_ns:
        return _GO_ZERO_TIME
    seconds, nanos = divmod(time_ns, NS_PER_S)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{nanos:09d}".rstrip("0").rstrip(".") + "Z"


def _read_time(text: str) -> int:
    """Nanoseconds since the epoch; 0 for times before it. Raises ValueError."""
    whole, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if dot else ""
    zone = rest[len(digits) :] if dot else ""
    moment = datetime.fromisoformat(whole + zone)
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no zone")
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return max(0, seconds * NS_PER_S + int(digits[:9].ljust(9, "0") or "0"))
