"""Stake as a block left it, for counts of votes that take many blocks.

The version that a count uses is pinned: from then on, whoever changes a delegation or a validator leaves what it was
before under the bridge's root, once for the newest pin, until no count goes on. So what a count reads depends on no
node's history: neither pruning nor joining by a snapshot in between can make it differ. A reader at pin V takes the
first value kept for a pin of V or later, else the present one. The set is large, so each of its versions has a leaf of
its own: as many as there may be pins would not fit into one record.
Source: docs/governance.md, Who decides.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, NamedTuple

from chain.currency.ledger.stake_records import ACTIVE, DELEGATION, VALIDATOR, ActiveSet, Delegation, Validator
from chain.kernel.branch import Branch, Key, Scan, State
from chain.tx.codec import height_bytes
from proto.dchat.v1 import governance_pb2 as pb

HAS_KEPT: Final = Key.of(b"bK", bytes)  # -> MARK while there may be some
MARK: Final = b"\x01"
FORGOTTEN_PER_SLICE: Final = 50
KEPT_PER_SLICE: Final = 100  # a few milliseconds

PINNED: Final = {VALIDATOR: Validator.decode, DELEGATION: Delegation.decode, ACTIVE: ActiveSet.decode}


class Kept(NamedTuple):
    """(pin, the encoded record then; empty: there was none), ascending by pin."""

    versions: tuple[tuple[int, bytes], ...]

    def encode(self) -> bytes:
        record = pb.KeptStake()
        for pin, value in self.versions:
            record.versions.add(pin_height=pin, value=value)
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Kept:
        return Kept(tuple([(v.pin_height, v.value) for v in pb.KeptStake.FromString(stored).versions]))

    def at(self, pin: int) -> bytes | None:
        """None: it has not changed since that pin."""
        for kept, value in self.versions:
            if kept >= pin:
                return value
        return None


KEPT: Final = Key.of(b"bk", Kept)  # ‖ key of a stake record (of ACTIVE: ‖ 8 bytes of the pin)


def keep_changed(
    branch: Branch, committed: Callable[[bytes], Any], scan: Scan, *, oldest_pin: int, newest_pin: int
) -> Iterator[None]:
    """Keep what this block changes of the stake, as it was, for the counts at pins up to the newest.

    branch: the block's, with all its changes of stake. committed, scan: read as the last block left it.
    """
    changed = [key for key in branch.writes if key[:2] in PINNED]
    for at, key in enumerate(changed, start=1):
        if at % KEPT_PER_SLICE == 0:
            yield
        before, after = committed(key), branch.writes[key]
        if not _weighs_differently(before, after):
            continue
        where = KEPT + key if key != ACTIVE else KEPT + ACTIVE + height_bytes(newest_pin)
        found = branch.get(where)
        versions = found.versions if found is not None else ()
        if versions and versions[-1][0] >= newest_pin:
            continue  # the newest pin has its value already
        needed = tuple([version for version in versions if version[0] >= oldest_pin])
        value = before.encode() if before is not None else b""
        branch.set(where, Kept((*needed, (newest_pin, value))))
        if key == ACTIVE:
            _forget_sets(branch, scan, oldest_pin)
        if branch.get(HAS_KEPT) is None:
            branch.set(HAS_KEPT, MARK)


def _forget_sets(branch: Branch, scan: Scan, oldest_pin: int) -> None:
    """Those for which no count is left."""
    for key, _ in scan(KEPT + ACTIVE):
        if len(key) > len(KEPT + ACTIVE):
            if key >= KEPT + ACTIVE + height_bytes(oldest_pin):
                return
            branch.set(key, None)


def _weighs_differently(before: Any, after: Any) -> bool:
    """Whether votes weigh differently after it: rewards and commissions change these records as well."""
    if before is None or after is None:
        return before is not after
    if isinstance(before, Delegation) and isinstance(after, Delegation):
        return before.shares != after.shares
    if isinstance(before, Validator) and isinstance(after, Validator):
        return (before.status, before.tokens, before.shares) != (after.status, after.tokens, after.shares)
    return bool(before != after)


class Stake:
    """The stake at a pin; without one, as `get` and `scan` have it. Both read one state, as the last block left it."""

    def __init__(self, get: Callable[[bytes], Any], scan: Scan, *, pin: int | None = None) -> None:
        self._get, self._scan, self._pin = get, scan, pin
        self._changed = pin is not None and get(HAS_KEPT) is not None
        self._validators: dict[bytes, Validator | None] = {}

    def validator(self, operator: bytes) -> Validator | None:
        """Read once, however many delegate to it."""
        if operator not in self._validators:
            self._validators[operator] = self._then(VALIDATOR + operator)
        return self._validators[operator]

    def members(self) -> tuple[bytes, ...]:
        """The bonded validators' operators."""
        active: ActiveSet | None = self._set()
        return tuple([operator for operator, _ in active.members]) if active is not None else ()

    def _set(self) -> Any:
        if not self._changed or self._pin is None:
            return self._get(ACTIVE)
        together: Kept | None = self._get(KEPT + ACTIVE)  # a chain of before has its versions in one
        if together is not None and (value := together.at(self._pin)) is not None:
            return ActiveSet.decode(value) if value else None
        for _, kept in self._scan(KEPT + ACTIVE, KEPT + ACTIVE + height_bytes(self._pin)):
            value = kept.versions[0][1]
            return ActiveSet.decode(value) if value else None
        return self._get(ACTIVE)

    def delegations(self, delegator: bytes, after: bytes = b"") -> Iterator[tuple[bytes, int]]:
        """(operator, shares) by operator, from above `after` on."""
        prefix = DELEGATION + delegator
        start = prefix + after + b"\x00" if after else prefix
        present = self._scan(prefix, start)
        pairs = self._merged(prefix, start, present) if self._changed else present
        for key, delegation in pairs:
            if delegation is not None:
                yield key[len(prefix) :], delegation.shares

    def _merged(self, prefix: bytes, start: bytes, present: Iterator[tuple[bytes, Any]]) -> Iterator[tuple[bytes, Any]]:
        """What is there now, with what was kept in its place; None where there was nothing."""
        kept = self._scan(KEPT + prefix, KEPT + start)
        now, then = next(present, None), next(kept, None)
        while now is not None or then is not None:
            old = then[0][len(KEPT) :] if then is not None else b""
            if then is None or (now is not None and now[0] < old):
                assert now is not None
                yield now
                now = next(present, None)
                continue
            current = None
            if now is not None and now[0] == old:
                current = now[1]
                now = next(present, None)
            yield old, self._chosen(old, then[1], current)
            then = next(kept, None)

    def _then(self, key: bytes) -> Any:
        current = self._get(key)
        found = self._get(KEPT + key) if self._changed else None
        return current if found is None else self._chosen(key, found, current)

    def _chosen(self, key: bytes, kept: Kept, current: Any) -> Any:
        assert self._pin is not None
        value = kept.at(self._pin)
        if value is None:
            return current
        return PINNED[key[:2]](value) if value else None


def forget_kept(state: State, scan: Scan, *, budget: int) -> Generator[None, None, int]:
    """Remove what was kept, when no count goes on; returns what is left of the budget."""
    for key, _ in scan(KEPT):
        if budget <= 0:
            return 0
        state.set(key, None)
        budget -= 1
        if budget % FORGOTTEN_PER_SLICE == 0:
            yield
    state.set(HAS_KEPT, None)
    return budget
