"""Signatures of a batch of transactions, verified together: in a thread when there are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from consensus.abci.interface import ChecksSignatures, CheckTxResponse, SignatureCheck
from consensus.mempool.admission.entry import PoolMetrics
from consensus.system.clock import Workers
from crypto import native
from crypto.batch import verify_ed25519

BATCH_TXS_MAX: Final = 64  # a thread verifies so many in 3 ms; the next source's turn is not far
NATIVE_TXS_MAX: Final = 128  # likewise with the native part, which then takes 15 % less for each than of 64
THREAD_CHECKS_MIN: Final = 32  # fewer are verified in place: 1.6 ms, and no hand-over to a thread
DOUBTFUL_CHECKS_MIN: Final = 4  # likewise, where a source has sent bad ones: those cost several times as much
CHECK_NS: Final = 50_000  # of a thread, per signature: what a peer is charged for one (a bad one takes longer)


def batch_txs_max() -> int:
    """How many transactions go through admission together."""
    return NATIVE_TXS_MAX if native.is_used() else BATCH_TXS_MAX


def verify_checks(checks: Sequence[SignatureCheck]) -> list[bool]:
    """One answer per check; the work is done outside of the interpreter's lock."""
    return verify_ed25519(checks)


class Verifier:
    def __init__(self, app: ChecksSignatures, workers: Workers, metrics: PoolMetrics) -> None:
        self._app, self._workers, self._metrics = app, workers, metrics

    async def bad_of(self, txs: Sequence[bytes], *, is_doubtful: bool) -> tuple[set[SignatureCheck], int]:
        """(checks that do not hold, nanoseconds that all took). What holds is not checked a second time.

        is_doubtful: there may be many bad ones.
        """
        checks = self._app.signature_checks(txs)
        if not checks:
            return set(), 0
        if len(checks) < (DOUBTFUL_CHECKS_MIN if is_doubtful else THREAD_CHECKS_MIN):
            answers = verify_checks(checks)
        else:
            answers = await self._workers.run(lambda: verify_checks(checks))
        bad = {check for check, answer in zip(checks, answers, strict=True) if not answer}
        self._metrics.signatures_verified += len(checks)
        self._metrics.signatures_bad += len(bad)
        self._app.remember_verified([check for check in checks if check not in bad] if bad else checks)
        return bad, CHECK_NS * len(checks)

    def refusal(self, tx: bytes, bad: set[SignatureCheck]) -> CheckTxResponse | None:
        """What is answered to a transaction of the batch that has a bad one; None: it has none."""
        return None if bad.isdisjoint(self._app.signature_checks([tx])) else self._app.bad_signature(tx)
