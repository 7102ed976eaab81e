"""Errors of the state room: all are ours, or the disk's. What a prover sends is a crypto.merkle.InvalidProof."""

from __future__ import annotations

from storage.errors import StoreCorrupted


class StateError(Exception):
    """Root of this room's errors."""


class UnknownStore(StateError):
    def __init__(self, store: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(f"unknown store {store!r}; allowed: {', '.join(allowed)}")
        self.store = store


class InvalidPair(StateError):
    """A key or a value that no store can hold, or the sentinel's key."""

    def __init__(self, store: str, key: bytes, reason: str) -> None:
        super().__init__(f"store {store}, key {key[:64].hex() or '(empty)'}: {reason}")
        self.store, self.key = store, key


class VersionUnavailable(StateError):
    """The version was pruned, or does not exist yet."""

    def __init__(self, version: int, *, earliest: int, latest: int) -> None:
        if latest < 0:
            why = "is not there: no block was executed yet"
        elif version > latest:
            why = f"is not there yet: the latest is {latest}"
        else:
            why = f"is not kept any more: this node has {earliest} to {latest}"
        super().__init__(f"height {version} {why}")
        self.version, self.earliest, self.latest = version, earliest, latest


class TooFarBack(StateError):
    """A list at an old version is made by reading what each version since replaced."""

    def __init__(self, version: int, *, latest: int, most: int) -> None:
        super().__init__(
            f"version {version} is {latest - version} versions back; lists go back {most} at most, single values to any"
        )
        self.version, self.latest = version, latest


class WrongVersion(StateError):
    def __init__(self, *, expected: int, got: int) -> None:
        super().__init__(f"the next version is {expected}, got {got}")
        self.expected, self.got = expected, got


class StalePending(StateError):
    """A pending update whose parent is no longer the latest version."""

    def __init__(self, version: int, *, latest: int) -> None:
        super().__init__(f"the update to version {version} was prepared on a state that is gone; latest is {latest}")
        self.version, self.latest = version, latest


class CorruptState(StoreCorrupted):
    """What is on disk contradicts itself. The node must stop: going on would fork it from the others."""

    def __init__(self, why: str, *, file: str = "the state database", where: str = "") -> None:
        super().__init__(file, where, why)


class InvalidSnapshot(StateError):
    """A snapshot, from outside, that is not what it says it is: whoever offered it is at fault."""
