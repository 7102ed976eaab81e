"""Admission: the state as it will be once everything admitted is in blocks.

For each account and identity with admitted transactions it keeps what these will spend and the sequences they reach;
so that many transactions of one sender queue, and none is admitted that cannot pay. After a block, a record that the
block changed just as admission had foreseen keeps what still waits for it; any other that the block touched is
forgotten, and its remaining transactions are checked again.
A channel's allowance is shared by members who know nothing of each other: what one of them does, or lets expire, makes
nobody else's be checked again. A change of the allowance does: everybody's.
It decides about admission alone: execution never looks here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from copy import copy
from typing import Any, Final, Protocol

from chain.kernel.branch import Base, Readable
from chain.tx.envelope.tx import SignerEntry, Tx, is_shared

STALE_BLOCKS: Final = 30  # what was admitted and then dropped by the mempool stops counting after as many blocks


class Pending(Protocol):
    """What admitted transactions will take from one record."""

    def add(self, before: Any, after: Any, tx: Tx) -> Any:
        """One more: the record as its check found it, and as it left it. Returns what `release` takes back."""
        ...

    def release(self, cost: Any) -> None:
        """What a transaction took is in the committed record now."""
        ...

    def rewind(self, entry: SignerEntry) -> None:
        """A transaction with that signer's sequence is not counted any more, nor what came after it."""
        ...

    def reach(self, other: Any) -> None:
        """What waits reaches the sequences of `other`, of its own kind, too."""
        ...

    def agrees(self, committed: Any, ordered: int, height: int, base: Readable) -> bool:
        """Whether all that still waits, `ordered` of it with sequences, passes on the committed record. May say no
        where a check would say yes, never the reverse.
        """
        ...

    def apply(self, committed: Any, height: int, base: Readable) -> Any:
        """The committed record with all of it taken."""
        ...


class _Entry:
    __slots__ = ("base", "height", "links", "merged", "ordered", "pending", "since", "txs")

    def __init__(self, pending: Pending, since: int) -> None:
        self.pending, self.since = pending, since
        self.base: Any = None
        self.merged: Any = None
        self.height = -1
        self.links: set[bytes] | None = None  # keys of transactions that others sign or pay for, too
        self.txs: dict[bytes, tuple[bytes, Any]] = {}  # what is counted: replay id -> its bytes, cost
        self.ordered = 0  # how many of them have sequences

    def link(self, keys: Iterable[bytes]) -> None:
        if self.links is None:
            self.links = set()
        self.links.update(keys)


class CheckState:
    """Reads like a base of branches. height: of the block that is next."""

    def __init__(self, base: Base, *, height: int) -> None:
        self._base, self.height = base, height
        self._entries: dict[bytes, _Entry] = {}
        self._expiring: dict[int, list[bytes]] = {}  # expiry height -> keys with a transaction that goes with it
        self._grants: set[bytes] = set()  # keys of fee grants that an admitted transaction names

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Any:
        committed = self._base.get(key)
        entry = self._entries.get(key)
        if entry is None or committed is None:
            return committed
        if entry.base is not committed or entry.height != self.height:
            entry.base, entry.height = committed, self.height
            entry.merged = entry.pending.apply(committed, self.height, self._base)
        return entry.merged

    def counts(self, tx: Tx) -> bool:
        """Whether `tx` is counted wherever `admit` counts: then a check again has nothing to find out, and would count
        what is in no sequence twice."""
        entries = self._entries
        return all((entry := entries.get(key)) is not None and tx.replay_id in entry.txs for key in tx.counted_at)

    def admit(self, tx: Tx, changes: Iterable[tuple[bytes, type[Pending], Any, Any]]) -> None:
        """Count an admitted transaction. changes: (key, kind, record before, record after) of each signer,
        then of a fee granter and its grant."""
        keys = []
        for key, kind, before, after in changes:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(kind(), self.height)
            entry.txs[tx.replay_id] = (tx.raw, entry.pending.add(before, after, tx))
            entry.ordered += tx.is_ordered_by(key) if tx.fee_granter else not tx.unordered
            entry.base, entry.merged, entry.height = self._base.get(key), after, self.height
            keys.append(key)
        if (
            0 < tx.expiry_height <= self.height + STALE_BLOCKS
        ):  # what expires later is stale, and checked again, by then
            self._expiring.setdefault(tx.expiry_height, []).extend(keys)
        if len(keys) > 1:
            for key in keys:
                self._entries[key].link(keys)
        if tx.fee_granter:
            self._grants.update(tx.grant_keys)

    def without(self, old: Tx) -> Callable[[bytes], Any]:
        """Reads as if `old` had not been admitted: what it takes is free, and its sequences are the next ones, while
        what came after it takes what it took."""

        def get(key: bytes) -> Any:
            committed, entry = self._base.get(key), self._entries.get(key)
            if entry is None or committed is None:
                return committed
            pending = copy(entry.pending)
            self._take_off(key, entry, pending, old)
            return pending.apply(committed, self.height, self._base)

        return get

    def _take_off(self, key: bytes, entry: _Entry, pending: Pending, tx: Tx) -> bool:
        """Off `pending`, of `entry` or a copy. False: it is not counted there."""
        counted = entry.txs.get(tx.replay_id)
        if counted is None or counted[0] != tx.raw:
            return False
        pending.release(counted[1])
        if not tx.unordered:
            for touched, signer in zip(tx.touches, tx.signers, strict=False):
                if touched == key:
                    pending.rewind(signer)
        return True

    def replace(self, old: Tx, new: Tx, changes: Iterable[tuple[bytes, type[Pending], Any, Any]]) -> None:
        """`new`, found good by `without`, has the place of `old`; what came after that stands as it stood."""
        reached = {key: copy(entry.pending) for key in old.touches if (entry := self._entries.get(key)) is not None}
        self.withdraw([old])
        self.admit(new, changes)
        for key, pending in reached.items():
            entry = self._entries.get(key)
            if entry is not None:
                entry.pending.reach(pending)
                entry.base = None

    def withdraw(self, txs: Sequence[Tx]) -> None:
        """Admitted ones leave without a block, in whatever order; with each, all that came after it in its order."""
        for tx in txs:
            for key in tx.touches:
                entry = self._entries.get(key)
                if entry is None or not self._take_off(key, entry, entry.pending, tx):
                    continue
                del entry.txs[tx.replay_id]
                entry.ordered -= tx.is_ordered_by(key) if tx.fee_granter else not tx.unordered
                entry.base = None
                if not entry.txs:
                    del self._entries[key]

    def granted(self, writes: Container[bytes]) -> set[bytes]:
        """Of the grants that admitted transactions rest on, those that a block wrote: it may end one, and no
        transaction of that block has to name it."""
        return {key for key in self._grants if key in writes}

    def affected(self, touched: Iterable[bytes]) -> set[bytes]:
        """What has to be checked again after the next block, which touches `touched`.

        These, with those that share a transaction with one, or have one that expires with the block, or are stale.
        """
        entries = self._entries
        found = {key for key in touched if key in entries}
        found.update(key for key in self._expiring.get(self.height, ()) if key in entries and not is_shared(key))
        oldest = self.height - STALE_BLOCKS
        for key, entry in entries.items():  # in order of age: a new entry is the youngest
            if entry.since > oldest:
                break
            found.add(key)
        queue = list(found)  # determinism: a closure, the same in any order
        while queue:
            for key in entries[queue.pop()].links or ():
                if key not in found and key in entries and not is_shared(key):
                    found.add(key)
                    queue.append(key)
        return found

    def block_committed(
        self, txs: Iterable[tuple[bytes, Tx]], written: Iterable[bytes], height: int, doubted: Iterable[bytes] = ()
    ) -> set[bytes]:
        """Settle or forget what the block touched. Returns the keys whose waiting transactions must be checked again.

        txs: what it executed, each with each of its keys; written: other keys that it changed; doubted: keys that do
        not settle, whatever was foreseen; height: of the block that is next now. The base holds the committed records.
        What shares a transaction with a key that settles is as it was: it is not doubtful for that.
        """
        doubtful = set(written)
        by_key: dict[bytes, list[Tx]] = {}
        for key, tx in txs:
            by_key.setdefault(key, []).append(tx)
        for key, included in by_key.items():
            if self._settles(key, included, height):
                doubtful.discard(key)
            else:
                doubtful.add(key)
        doubtful.update(doubted)
        again = doubtful | self.affected(doubtful)
        entries = self._entries
        forgotten = [entries.pop(key) for key in again if key in entries]  # determinism: admission alone
        for entry in forgotten:
            self._let_go(entry)
        self._expiring.pop(self.height, None)
        if self._grants:
            self._grants &= self._entries.keys()
        self.height = height
        return again

    def _settles(self, key: bytes, included: Iterable[Tx], height: int) -> bool:
        """Take `included` from what is counted at `key`. False: what remains there has to be checked."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        for tx in included:
            counted = entry.txs.pop(tx.replay_id, None)
            if counted is None or counted[0] != tx.raw:  # not foreseen, or the same body under another signature
                if not is_shared(key):
                    return False
                if counted is None:  # others' shares are as they were, if the committed record has enough
                    continue
            entry.pending.release(counted[1])
            entry.ordered -= tx.is_ordered_by(key) if tx.fee_granter else not tx.unordered
        if not entry.txs:
            del self._entries[key]
            return True
        committed = self._base.get(key)
        return committed is not None and entry.pending.agrees(committed, entry.ordered, height, self._base)

    def _let_go(self, forgotten: _Entry) -> None:
        """What was counted there is checked again: until then it takes nothing of what it shares with others."""
        for key in forgotten.links or ():
            entry = self._entries.get(key)
            if entry is None or not is_shared(key):
                continue
            for replay_id in forgotten.txs:
                if (counted := entry.txs.pop(replay_id, None)) is not None:
                    entry.pending.release(counted[1])
            entry.base = None
            if not entry.txs:
                del self._entries[key]

    def clear(self) -> None:
        """Forget everything: all that waits is checked again."""
        self._entries.clear()
        self._expiring.clear()
        self._grants.clear()
