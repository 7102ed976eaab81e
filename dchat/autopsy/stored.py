"""What a node has stored of a block against what the block writes when this build executes it again, and what lies
beside the trees of two nodes: differences that no hash tells of, or whose trail nobody remembers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from chain.kernel.branch import SPACES
from chain.state.roots import STORE_NAMES
from chain.state.view import View
from chain.trail.steps import BlockTrail
from dchat.autopsy.compare import KEYS_MAX, Absent, KeyDifference, Value

TAGS: Final = {space: bytes([tag]) for tag, space in SPACES.items()}  # (store, beside) -> a key's first byte


@dataclass(frozen=True, slots=True)
class StoredDifference:
    """index: of the step that wrote the key last; None: by this build, none does."""

    index: int | None
    key: KeyDifference


def stored_differences(
    trail: BlockTrail, before: View, after: View, *, name: str, again: str
) -> list[StoredDifference]:
    """trail: executed again. before, after: the versions around it. The earliest step first.

    name, again: what the two are called in the answer.
    """
    last: dict[bytes, tuple[int, bytes | None]] = {}
    for number, step in enumerate(trail.steps):
        last.update({key: (number, value) for key, value in step.writes.items()})
    touched = {TAGS[store, beside] + key for store, key, beside in after.changed()}
    found: list[StoredDifference] = []
    for key in sorted(touched | last.keys()):
        written = last.get(key)
        index: int | None = None if written is None else written[0]
        expected = _read(before, key) if written is None else written[1]
        got = _read(after, key)
        if got != expected:
            values = {name: _value(got), again: _value(expected)}
            found.append(StoredDifference(index, KeyDifference(key, values)))
    found.sort(key=lambda one: (one.index is None, one.index or 0))
    return found[:KEYS_MAX]


def differences_beside(one: View, other: View, names: tuple[str, str]) -> Iterator[KeyDifference]:
    """Of the records that lie beside the trees, at one height: no hash covers them."""
    for store in STORE_NAMES:
        tag = TAGS[store, True]
        for key, left, right in _apart(one.scan_side(store), other.scan_side(store)):
            yield KeyDifference(tag + key, {names[0]: _there(left), names[1]: _there(right)})


def _apart(
    one: Iterator[tuple[bytes, bytes]], other: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Keys of two ascending lists whose values differ."""
    left, right = next(one, None), next(other, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            yield left[0], left[1], None
            left = next(one, None)
        elif left is None or right[0] < left[0]:
            yield right[0], None, right[1]
            right = next(other, None)
        else:
            if left[1] != right[1]:
                yield left[0], left[1], right[1]
            left, right = next(one, None), next(other, None)


def _read(view: View, key: bytes) -> bytes | None:
    store, beside = SPACES[key[0]]
    return view.side(store, key[1:]) if beside else view.get(store, key[1:])


def _value(value: bytes | None) -> Value:
    return Absent.DELETED if value is None else value


def _there(value: bytes | None) -> Value:
    return Absent.NOT_WRITTEN if value is None else value
