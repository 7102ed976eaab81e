"""An application of sequences, and a pool over it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

from consensus.abci.interface import CheckTxRequest, CheckTxResponse, CheckTxType
from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.pool import Pool
from consensus.state.results import ExecTxResult
from consensus.system.clock import InlineWorkers, LoopClock


def touches_of(sender: bytes, options: dict[str, str]) -> tuple[bytes, ...]:
    """Its account's, and that of who signs with it."""
    other = options.get("with", "").encode()
    return (b"account/" + sender, b"account/" + other) if other else (b"account/" + sender,)


class SequenceApp:
    """Transactions are text, `sender:sequence[:option=value...]`; sequences count up from the committed one.

    check_tx keeps a check state as a real application does: RECHECK begins anew from the committed state.
    """

    def __init__(self) -> None:
        self.committed: dict[bytes, int] = {}
        self.checking: dict[bytes, int] = {}
        self.calls: list[tuple[CheckTxType, bytes]] = []

    @staticmethod
    def read(tx: bytes) -> tuple[bytes, int, dict[str, str]]:
        sender, sequence, *options = tx.decode().split(":")
        return sender.encode(), int(sequence), dict(option.split("=") for option in options)

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        self.calls.append((request.type, request.tx))
        try:
            sender, sequence, options = self.read(request.tx)
        except ValueError:
            return CheckTxResponse(code=2, log="malformed")
        if sequence != self.checking.get(sender, 0):
            return CheckTxResponse(code=3, log=f"sequence is {self.checking.get(sender, 0)}")
        self.checking[sender] = sequence + 1
        return CheckTxResponse(
            sender=sender,
            lane=options.get("lane", "currency"),
            gas_wanted=int(options.get("gas", "1")),
            replay_id=options.get("replay", "").encode(),
            expiry_height=int(options.get("expiry", "0")),
            touches=touches_of(sender, options),
            priority=int(options.get("pays", "0")),
        )

    def commit(self, txs: Iterable[bytes]) -> frozenset[bytes]:
        """Run `txs`, begin the check state of whom they touched anew; returns what they touched."""
        senders = set()
        for tx in txs:
            sender, sequence, _ = self.read(tx)
            self.committed[sender] = sequence + 1
            senders.add(sender)
        for sender in senders:
            self.checking[sender] = self.committed[sender]
        return frozenset(b"account/" + sender for sender in senders)


class IdentifyingApp(SequenceApp):
    def identify_tx(self, tx: bytes) -> CheckTxResponse:
        try:
            sender, _, options = self.read(tx)
        except ValueError:
            return CheckTxResponse(code=2, log="malformed")
        return CheckTxResponse(
            sender=sender,
            lane=options.get("lane", "currency"),
            replay_id=options.get("replay", "").encode(),
            expiry_height=int(options.get("expiry", "0")),
            priority=int(options.get("pays", "0")),
        )


@contextlib.asynccontextmanager
async def running(app: SequenceApp, config: PoolConfig | None = None) -> AsyncIterator[Pool]:
    pool = Pool(app, LoopClock(), InlineWorkers(), config or PoolConfig())
    task = asyncio.create_task(pool.run())
    try:
        yield pool
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def txs(sender: str, count: int, start: int = 0, options: str = "") -> list[bytes]:
    return [f"{sender}:{sequence}{options}".encode() for sequence in range(start, start + count)]


def ok(count: int) -> list[ExecTxResult]:
    return [ExecTxResult() for _ in range(count)]
