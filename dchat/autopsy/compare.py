"""Several trails of one block: the first step that is not alike everywhere, who did it how, and the keys. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from chain.trail.steps import BlockTrail, Step, Writes


class Absent(Enum):
    """What stands in the place of a value."""

    DELETED = "deleted"
    NOT_WRITTEN = "not written"


Value = bytes | Absent
KEYS_MAX: Final = 1_000  # that are told of: more are of one cause


class KeyDifference(NamedTuple):
    """values: by the name of who wrote it so."""

    key: bytes
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class StepDifference:
    """index: of the first step that differs. groups: the names that did it alike, the largest group first; of equal
    size, who was named first. steps: of each name; None: its block has no such step."""

    index: int
    groups: tuple[tuple[str, ...], ...]
    steps: Mapping[str, Step | None]

    @property
    def alone(self) -> tuple[str, ...]:
        """Those that differ from most; empty: no group is larger than all others."""
        first, *others = self.groups
        return tuple([name for group in others for name in group]) if len(first) > len(others[0]) else ()


def first_difference(trails: Mapping[str, BlockTrail]) -> StepDifference | None:
    """None: all did the same in each step. trails: two or more, by name."""
    sequences = {name: trail.steps for name, trail in trails.items()}
    longest = max(len(steps) for steps in sequences.values())
    first = next(iter(sequences.values()))
    for index in range(longest):
        mine = _at(first, index)
        if all(_same(mine, _at(steps, index)) for steps in sequences.values()):
            continue
        at = {name: _at(steps, index) for name, steps in sequences.items()}
        groups: list[list[str]] = []
        for name, step in at.items():
            known = next((group for group in groups if _same(at[group[0]], step)), None)
            if known is None:
                groups.append([name])
            else:
                known.append(name)
        groups.sort(key=len, reverse=True)
        return StepDifference(index, tuple(map(tuple, groups)), at)
    return None


def _at(steps: Sequence[Step], index: int) -> Step | None:
    return steps[index] if index < len(steps) else None


def _same(one: Step | None, other: Step | None) -> bool:
    return one is other or (one is not None and other is not None and one.same(other))


def key_differences(writes: Mapping[str, Writes]) -> list[KeyDifference]:
    """Ascending by key: those that not all wrote alike."""
    found: list[KeyDifference] = []
    for key in sorted({key for one in writes.values() for key in one}):
        values = {name: value_of(one, key) for name, one in writes.items()}
        if len(set(values.values())) > 1:
            found.append(KeyDifference(key, values))
        if len(found) == KEYS_MAX:
            break
    return found


def value_of(writes: Writes, key: bytes) -> Value:
    if key not in writes:
        return Absent.NOT_WRITTEN
    value = writes[key]
    return Absent.DELETED if value is None else value
