"""Names that are told apart by eye: what looks like a taken name is refused.

Each name has a skeleton: every character is put in the place of all that look like it (LOOKS), and what separates is
left out. Two names look alike when their skeletons are equal. Names are of a-z 0-9 _ - already, so that the table is
short and complete; it maps character by character, so that no order of replacing matters ("vw" and "wv" are one), and
digits stay apart from each other: `node-6` and `node-9` are two names.
Names of before this rule stay as they are. Of these, only what `index_names` has seen, or what is its own skeleton, is
known here.
Source: Unicode Technical Standard 39, section 4, whose "confusables" this table has for ASCII, and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain.chat.ledger.records import IDENTITY_NAME
from chain.kernel.branch import Key, Readable, Scan, State
from chain.kernel.event_text import some
from chain.tx.errors import NameLooksAlike

# What is put in the place of a character; docs/identities.md shows it, and a test compares the two.
LOOKS: Final = {
    "0": "o", "1": "l", "i": "l", "2": "z", "5": "s", "8": "b",
    "m": "rn", "w": "vv", "d": "cl",
    "_": "", "-": "",
}  # fmt: skip
_TABLE: Final = str.maketrans(LOOKS)
NAMES_PER_SLICE: Final = 100  # as in other migrations: about a millisecond

SKELETON: Final = Key.of(b"ck", bytes)  # ‖ skeleton -> the name that has it


def skeleton(name: str) -> str:
    """What a reader in a hurry sees of it. name: of a-z 0-9 _ -; at most twice as long."""
    return name.translate(_TABLE)


def looks_like(state: Readable, name: str) -> str | None:
    """The taken name, another one, that `name` looks like."""
    seen = skeleton(name)
    taken = state.get(SKELETON + seen.encode())
    if taken is not None:
        return taken.decode() if taken != name.encode() else None
    if seen != name and state.get(IDENTITY_NAME + seen.encode()) is not None:
        return seen  # of before the rule
    return None


def take(state: State, name: str) -> None:
    """Keep what a new name looks like. Raises: NameLooksAlike."""
    taken = looks_like(state, name)
    if taken is not None:
        raise NameLooksAlike(f"{name}, like {taken}")
    state.set(SKELETON + skeleton(name).encode(), name.encode())


def release(state: State, name: str) -> None:
    """The name is nobody's any more."""
    at = SKELETON + skeleton(name).encode()
    if state.get(at) == name.encode():
        state.set(at, None)


def index_names(state: State, scan: Scan) -> Iterator[None]:
    """For a migration: the skeletons of all names that a chain has. Of those that look alike the first one by its
    letters stands for all; each of them stays its owner's."""
    for number, (key, _) in enumerate(scan(IDENTITY_NAME), start=1):
        name = key[len(IDENTITY_NAME) :]
        at = SKELETON + skeleton(name.decode()).encode()
        if state.get(at) is None:
            state.set(at, name)
        if number % NAMES_PER_SLICE == 0:
            yield


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    wrong = []
    count = 0
    for key, name in scan(SKELETON):
        count += 1
        if skeleton(name.decode()).encode() != key[len(SKELETON) :] or state.get(IDENTITY_NAME + name) is None:
            wrong.append(name.decode())
    yield "identities: each skeleton is a taken name's", not wrong, f"{count} skeletons, wrong: {some(wrong)}"
