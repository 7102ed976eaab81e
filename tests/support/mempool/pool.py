"""An application of sequences, and a pool over it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence

from consensus.abci.interface import CheckTxRequest, CheckTxResponse, CheckTxType
from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.pool import Pool
from consensus.state.results import ExecTxResult
from consensus.system.clock import Clock, InlineWorkers, LoopClock


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


class SlowClock(LoopClock):
    """A slice is over whenever somebody looks."""

    now = 0

    def monotonic_ns(self) -> int:
        self.now += 10**7
        return self.now


@contextlib.asynccontextmanager
async def running(
    app: SequenceApp, config: PoolConfig | None = None, clock: Clock | None = None
) -> AsyncIterator[Pool]:
    pool = Pool(app, clock or LoopClock(), InlineWorkers(), config or PoolConfig())
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


class PayingApp(IdentifyingApp):
    """Of one sender and sequence one can be: another that pays a tenth more may have its place. `poor`: cannot pay."""

    def __init__(self) -> None:
        super().__init__()
        self.identified = 0

    def identify_tx(self, tx: bytes) -> CheckTxResponse:
        self.identified += 1
        facts = super().identify_tx(tx)
        return facts if facts.code else self._with_place(tx, facts)

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        facts = super().check_tx(request)
        return facts if facts.code else self._with_place(request.tx, facts)

    def _with_place(self, tx: bytes, facts: CheckTxResponse) -> CheckTxResponse:
        sender, sequence, options = self.read(tx)
        place = b"" if facts.lane == "chat" else b"%s:%d" % (sender, sequence)
        return facts._replace(
            replay_id=place, order_key=sender, order=sequence, touches=touches_of(sender, options)
        )  # fmt: skip

    def _pays(self, tx: bytes) -> int:
        return int(self.read(tx)[2].get("pays", "0"))

    def why_not_replace(self, old: bytes, new: bytes) -> str:
        least = -(-11 * self._pays(old) // 10)
        return "" if self._pays(new) >= least else f"underpriced: pays {self._pays(new)}, needs at least {least}"

    def replace_tx(self, old: bytes, new: bytes) -> CheckTxResponse:
        sender, sequence, options = self.read(new)
        if "poor" in options:
            return CheckTxResponse(code=9, log="poor")
        reached, self.checking[sender] = self.checking[sender], sequence
        answer = self.check_tx(CheckTxRequest(new, CheckTxType.NEW))
        self.checking[sender] = reached
        return answer

    def withdraw_txs(self, txs: Sequence[bytes]) -> None:
        """As the real application: in whatever order."""
        for tx in txs:
            sender, sequence, _ = self.read(tx)
            self.checking[sender] = min(sequence, self.checking[sender])
