"""Which signatures this node has found valid, so that each is verified once.

Remembered is (public key, message, signature) and nothing else: who may sign is read from state at each execution.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from chain.tx.envelope.tx import Tx
from chain.tx.errors import BadSignature
from consensus.abci.interface import SignatureCheck
from crypto.keys import ed25519_verify

CHECKS_MAX: Final = 50_000  # verified ahead and not yet used; about 20 MB


class Signatures:
    """Bounded; the oldest leave first."""

    __slots__ = ("_valid", "verified")

    def __init__(self) -> None:
        self._valid: dict[SignatureCheck, None] = {}
        self.verified = 0  # how many this object verified itself

    def remember(self, checks: Sequence[SignatureCheck]) -> None:
        """checks: found valid."""
        for check in checks:
            self._valid[check] = None
        for check in list(islice(self._valid, max(0, len(self._valid) - CHECKS_MAX))):
            del self._valid[check]

    def missing(self, tx: Tx) -> list[SignatureCheck]:
        """The checks of `tx` that are not remembered."""
        if tx.verified:
            return []
        return [check for check in tx.checks() if check not in self._valid]

    def require(self, tx: Tx) -> None:
        """Verify what is not remembered. Raises: BadSignature."""
        if tx.verified:
            return
        for index, check in enumerate(tx.checks()):
            if self._valid.pop(check, check) is not None:
                self.verified += 1
                if not ed25519_verify(*check):
                    raise BadSignature(f"signature {index}")
        tx.verified = True
