"""The stores against a plain model: any mix of updates, dropped proposals, prunes, rollbacks, crashes and reopening."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chain.state.errors import StalePending, VersionUnavailable
from chain.state.roots import CHAT, STORE_NAMES
from chain.state.store import SENTINEL_KEY, SENTINEL_VALUE, VERSIONS_KEPT_MIN, Pending, Stores
from storage.memory import MemoryStore
from tests.support.state import naive

Pairs = dict[bytes, bytes]
Changes = dict[str, dict[bytes, bytes | None]]

KEYS = st.integers(0, 40).map(lambda number: b"k%d" % number)
SIDE_KEYS = st.integers(0, 6).map(lambda number: b"side%d" % number)
VALUES = st.one_of(st.none(), st.just(b"\xff\x01"), st.binary(min_size=1, max_size=3))
CHANGES = st.dictionaries(st.sampled_from(STORE_NAMES), st.dictionaries(KEYS, VALUES, max_size=25))
SIDE = st.dictionaries(SIDE_KEYS, VALUES, max_size=4)


def apply(pairs: Pairs, changes: dict[bytes, bytes | None]) -> Pairs:
    merged = {**pairs, **changes}
    return {key: value for key, value in merged.items() if value is not None}


class StoresMachine(RuleBasedStateMachine):
    """`kept` holds what each version must read as: the three maps, then the side records of one store."""

    @initialize(first=st.sampled_from([0, 1, 60, 63, 64]), cache=st.sampled_from([0, 1_000, 1 << 20]))
    def start(self, first: int, cache: int) -> None:
        self.cache = cache
        self.db = MemoryStore(models_crashes=True)
        self.stores = Stores(self.db, cache_bytes=cache)
        self.kept: dict[int, tuple[dict[str, Pairs], Pairs]] = {}
        self.earliest = self.latest = first
        self.maps: dict[str, Pairs] = {name: {SENTINEL_KEY: SENTINEL_VALUE} for name in STORE_NAMES}
        self.side: Pairs = {}
        self.stores.commit(self.stores.prepare(first, {}))
        self.kept[first] = (dict(self.maps), {})

    @rule(changes=CHANGES, side=SIDE, dropped=st.none() | CHANGES)
    def commit(self, changes: Changes, side: dict[bytes, bytes | None], dropped: Changes | None) -> None:
        """A block; perhaps another proposal for its height was executed and dropped."""
        rival = self.stores.prepare(self.latest + 1, dropped) if dropped is not None else None
        pending = self.stores.prepare(self.latest + 1, changes, {CHAT: side})
        self.check_roots_of(pending, changes)
        self.stores.commit(pending, [(b"height", b"%d" % pending.version)])
        if rival is not None:
            with pytest.raises(StalePending):
                self.stores.commit(rival)
        self.maps = {name: apply(pairs, changes.get(name, {})) for name, pairs in self.maps.items()}
        self.side = apply(self.side, side)
        self.latest += 1
        self.kept[self.latest] = (self.maps, self.side)
        assert self.stores.extra(b"height") == b"%d" % self.latest

    def check_roots_of(self, pending: Pending, changes: Changes) -> None:
        roots = {name: naive.root(apply(pairs, changes.get(name, {}))) for name, pairs in self.maps.items()}
        assert pending.roots == roots
        assert pending.app_hash == naive.app_hash(roots)

    @rule(back=st.integers(-1, 4))
    def prune(self, back: int) -> None:
        target = min(self.latest - back, self.latest - VERSIONS_KEPT_MIN + 1)
        self.earliest = max(self.earliest, target)
        assert self.stores.prune(self.latest - back) == self.earliest

    @rule(back=st.integers(0, 3))
    def roll_back(self, back: int) -> None:
        """Failure 17: the state is again what it was, and goes on from there."""
        target = max(self.earliest, self.latest - back)
        self.stores.rollback(target)
        self.latest = target
        self.maps, self.side = self.kept[target]

    @rule()
    def crash(self) -> None:
        """Nothing that was committed may vanish."""
        self.db = self.db.crash()
        self.stores = Stores(self.db, cache_bytes=self.cache)

    @invariant()
    def latest_reads_as_the_model(self) -> None:
        assert (self.stores.earliest_version, self.stores.latest_version) == (self.earliest, self.latest)
        for name, pairs in self.maps.items():
            assert self.stores.roots[name] == naive.root(pairs)
            visible = sorted((key, value) for key, value in pairs.items() if key != SENTINEL_KEY)
            assert list(self.stores.scan(name)) == visible
            assert all(self.stores.get(name, b"k%d" % n) == pairs.get(b"k%d" % n) for n in range(0, 41, 7))
        assert dict(self.stores.scan_side(CHAT)) == self.side

    @invariant()
    def versions_read_as_they_were(self) -> None:
        for version in range(self.earliest, self.latest + 1):
            maps, side = self.kept[version]
            view = self.stores.at(version)
            name = STORE_NAMES[version % len(STORE_NAMES)]
            assert view.roots[name] == naive.root(maps[name])
            wanted = sorted(item for item in maps[name].items() if item[0].startswith(b"k1"))
            assert list(view.scan(name, b"k1")) == wanted
            assert all(view.get(name, b"k%d" % n) == maps[name].get(b"k%d" % n) for n in range(version % 5, 41, 5))
            assert dict(view.scan_side(CHAT)) == side
            assert view.side(CHAT, b"side3") == side.get(b"side3")

    @invariant()
    def other_versions_are_refused(self) -> None:
        for version in (self.earliest - 1, self.latest + 1):
            with pytest.raises(VersionUnavailable):
                self.stores.at(version)


TestStores = StoresMachine.TestCase
TestStores.settings = settings(max_examples=80, stateful_step_count=15, deadline=None)
