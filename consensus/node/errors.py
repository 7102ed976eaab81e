"""What somebody who runs a chain of their own can meet: of the engine's tree."""

from __future__ import annotations

from consensus.abci.interface import CheckTxResponse
from consensus.system.errors import EngineError


class TransactionRefused(EngineError):
    """A transaction that is not executed, or not admitted. code: never 0."""

    def __init__(self, log: str, code: int = 1, codespace: str = "") -> None:
        assert code, log
        super().__init__(log)
        self.log, self.code, self.codespace = log, code, codespace

    @staticmethod
    def of(answer: CheckTxResponse) -> TransactionRefused:
        return TransactionRefused(answer.log, answer.code, answer.codespace)


class UnusableHome(EngineError):
    """A folder that no node can start from: which file, what is wrong, what to do."""
