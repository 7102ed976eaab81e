"""People who agree on something, on one chain: what the tests of escrows begin with."""

from __future__ import annotations

from typing import Any

from bridge import escrow as machine
from bridge.escrow_records import ESCROW, Escrow
from chain.tx.envelope.tx import decode
from chain.tx.errors import TxError
from chain.tx.messages import CreateChannel, RegisterIdentity, channel_id
from chain.tx.messages.escrow import EscrowReference, OpenEscrow
from consensus.abci.interface import FinalizeBlockResponse
from consensus.state.results import ExecTxResult
from proto.dchat.v1 import state_pb2
from tests.support.chain.harness import SECOND_NS, Chain

DCHAT = 10**6
ROOM = channel_id("room")


class Deal(Chain):
    """ann pays, bob is paid, carl decides, dora has no part; ann and bob have names, and ann a room."""

    def __init__(self, **options: Any) -> None:
        super().__init__(dict.fromkeys(("ann", "bob", "carl", "dora"), 100 * DCHAT), **options)
        self.ann, self.bob, self.carl, self.dora = [self.address(name) for name in ("ann", "bob", "carl", "dora")]
        self.good("ann", RegisterIdentity(self.ann, "ann", ""))
        self.good("bob", RegisterIdentity(self.bob, "bob", ""))
        self.good("ann", CreateChannel(self.ann, "room", 0, ""))

    def run(self, who: str | tuple[str, ...], *messages: Any, **options: Any) -> ExecTxResult:
        options.setdefault("lane", 3)
        options.setdefault("memo", str(self.height))
        self.last = self.tx(who, *messages, **options)
        result = self.block(self.last).tx_results[0]
        self.assert_invariants()
        return result

    def good(self, who: str | tuple[str, ...], *messages: Any, **options: Any) -> state_pb2.Receipt:
        result = self.run(who, *messages, **options)
        assert result.code == 0, result.log
        return state_pb2.Receipt.FromString(result.data)

    def refused(self, who: str | tuple[str, ...], *messages: Any, by: type[TxError], **options: Any) -> None:
        before = self.balances()
        result = self.run(who, *messages, **options)
        assert (result.codespace, result.code) == (by.codespace, by.code), result.log
        fees = decode(self.last)
        names = (who,) if isinstance(who, str) else who
        before[names[fees.fee_payer]] -= fees.fee
        assert self.balances() == before
        receipt = state_pb2.Receipt.FromString(result.data)
        assert (receipt.code, list(receipt.legs)) == (by.code, [])

    def opening(self, blocks: int = 10, **fields: Any) -> OpenEscrow:
        """By default ann's word pays bob."""
        made = (
            {"parties": (self.ann,), "threshold": 1} if not fields.keys() & {"parties", "arbiter", "conditions"} else {}
        )
        deadline = (self.height + 1 + blocks) * SECOND_NS
        usual = {"sender": self.ann, "recipient": self.bob, "amount": DCHAT, "deadline_time_ns": deadline}
        return OpenEscrow(**{**usual, **made, **fields})

    def open(self, blocks: int = 10, **fields: Any) -> EscrowReference:
        return EscrowReference(self.good("ann", self.opening(blocks, **fields)).legs[0].subject)

    def balances(self) -> dict[str, int]:
        return {name: self.balance(name) for name in ("ann", "bob", "carl", "dora")}

    @property
    def held(self) -> int:
        return machine.totals_of(self.app.base).held

    def escrow(self, at: EscrowReference) -> Escrow | None:
        found: Escrow | None = self.app.base.get(ESCROW + at.id)
        return found

    def until(self, at: int) -> FinalizeBlockResponse | None:
        """Empty blocks up to the one before the time of height `at`."""
        response = None
        while self.height < at - 1:
            response = self.block()
            self.assert_invariants()
        return response


def parties(*addresses: bytes) -> tuple[bytes, ...]:
    return tuple(sorted(addresses))
