"""Many signature checks in one call, and the memory of those that passed.

`verify_many` is meant to run in a worker thread on `CHUNK_CHECKS` checks or more: each Ed25519 check releases the
GIL, and a chunk makes the hand-over to the thread cost little per check. With the native part (`crypto.native`) they
are verified as one batch, at less than half the cost each, with the same answers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, TypeAlias

from crypto import native
from crypto.keys import ED25519, PubKey, ed25519_verify

Check: TypeAlias = tuple[PubKey, bytes, bytes]  # (public key, message, signature)

CHUNK_CHECKS: Final = 32  # about 1.6 ms of work: a hand-over of 50 µs is then 3 %
CACHE_CHECKS_MAX: Final = 65_536  # about 20 MB: several blocks' commits and a full mempool


def verify_ed25519(checks: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """One answer per (public key, message, signature), in order. Never raises for what the checks contain."""
    if native.is_used():
        return native.verify_batch(checks)
    return [ed25519_verify(key, message, signature) for key, message, signature in checks]


def verify_many(checks: Sequence[Check]) -> list[bool]:
    """One answer per check, in order. Never raises for what the checks contain."""
    if len(checks) > 1 and all(key.type == ED25519 for key, _, _ in checks):
        return verify_ed25519([(key.bytes, message, signature) for key, message, signature in checks])
    return [key.verify(message, signature) for key, message, signature in checks]


class SignatureCache:
    """Remembers checks that passed, oldest forgotten first. Holds (key, message, signature) and nothing else.

    Whether a key may sign is not remembered: that is the caller's to ask each time.
    """

    def __init__(self, checks_max: int = CACHE_CHECKS_MAX) -> None:
        assert checks_max > 0, checks_max
        self._checks_max = checks_max
        self._passed: OrderedDict[tuple[bytes, bytes, bytes], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._passed)

    def __contains__(self, check: Check) -> bool:
        key, message, signature = check
        return (key.bytes, message, signature) in self._passed

    def add(self, check: Check) -> None:
        """Remember a check that passed."""
        key, message, signature = check
        self._passed[(key.bytes, message, signature)] = None
        if len(self._passed) > self._checks_max:
            self._passed.popitem(last=False)

    def verify(self, check: Check) -> bool:
        """Verify unless remembered; remember what passes."""
        if check in self:
            return True
        key, message, signature = check
        if not key.verify(message, signature):
            return False
        self.add(check)
        return True

    def verify_many(self, checks: Sequence[Check]) -> list[bool]:
        """As `crypto.batch.verify_many`, skipping what is remembered."""
        missing = [check for check in checks if check not in self]
        if not missing:
            return [True] * len(checks)
        found = dict(zip(missing, verify_many(missing), strict=True))
        for check, holds in found.items():
            if holds:
                self.add(check)
        return [found.get(check, True) for check in checks]
