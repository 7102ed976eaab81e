"""A chain whose account ann has guardians, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge import guardians as machine
from bridge.guardian_records import GUARDIANS, Recovery
from bridge.guardians import BLOCKS_MIN
from chain.chat.ledger.records import IDENTITY
from chain.currency.ledger.records import ACCOUNT
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.errors import TxError
from chain.tx.messages import Message, RegisterIdentity
from chain.tx.messages.guardians import (
    ApproveRecovery,
    SetGuardians,
    StartRecovery,
)
from chain.tx.messages.keys import prove_keys
from consensus.state.results import ExecTxResult
from proto.dchat.v1 import state_pb2
from tests.support.chain.harness import CHAIN_ID, SECOND_NS, Chain, wallet

DCHAT = 10**6
DELAY_S = 600
NAMES = ("ann", "ben", "cid", "dan", "eve", "bob")


class Guarded(Chain):
    """ann has an identity, a device and guardians: two of ben, cid, dan. eve has no part."""

    def __init__(
        self, *, threshold: int = 2, overrule: int = 0, guardians: Sequence[str] = ("ben", "cid", "dan")
    ) -> None:
        super().__init__(dict.fromkeys(NAMES, 1_000 * DCHAT))
        self.ann = self.address("ann")
        self.me = self.wallets["ann"]  # who ann is, by the keys of now
        self.good("ann", RegisterIdentity(self.ann, "ann", ""))
        self.good("ann", self.naming(guardians, threshold, overrule))

    def naming(
        self, names: Sequence[str], threshold: int = 2, overrule: int = 0, delay_s: int = DELAY_S
    ) -> SetGuardians:  # fmt: skip
        if not names:
            return SetGuardians(self.ann, (), 0, 0)
        return SetGuardians(
            self.ann, tuple(sorted(wallet(name).address for name in names)), threshold, delay_s, overrule
        )

    def start(self, by: str, to: str = "new", **changes: Any) -> StartRecovery:
        policy = wallet(to).policy
        proved = prove_keys([wallet(to).key], CHAIN_ID, self.ann, policy)
        return StartRecovery(wallet(by).address, self.ann, policy, proved)._replace(**changes)

    def approve(self, by: str, recovery: Recovery | bytes) -> ApproveRecovery:
        return ApproveRecovery(
            wallet(by).address, self.ann, recovery if isinstance(recovery, bytes) else recovery.id
        )  # fmt: skip

    def by_ann(self, *messages: Message, key: Wallet | None = None, memo: str = "") -> bytes:
        """Signed by ann's keys of now, or others."""
        me = Wallet((key or self.me).key, self.ann)
        seat = Seat(me, None, with_policy=False)
        return build_tx(
            chain_id=CHAIN_ID, messages=messages, seats=[seat], gas_price=self.gas_price, lane=3,
            expiry_height=self.height + 10, memo=memo or str(self.height),
        )  # fmt: skip

    def run(self, who: str | tuple[str, ...], *messages: Message) -> ExecTxResult:
        if who == "ann" and self.app.base.get(ACCOUNT + self.ann).policy is not None:
            return self.take(self.by_ann(*messages))
        return self.take(self.tx(who, *messages, memo=str(self.height), lane=3))

    def take(self, *txs: bytes) -> ExecTxResult:
        """What became of the last of them."""
        self.last = txs[-1]
        results = self.block(*txs).tx_results
        self.assert_invariants()
        return results[-1]

    def good(self, who: str | tuple[str, ...], *messages: Message) -> bytes:
        """Returns the subject of the first leg."""
        result = self.run(who, *messages)
        assert result.code == 0, result.log
        return state_pb2.Receipt.FromString(result.data).legs[0].subject

    def refused(self, who: str | tuple[str, ...], *messages: Message, by: type[TxError]) -> None:
        before = self.record, self.open
        result = self.run(who, *messages)
        assert (result.codespace, result.code) == (by.codespace, by.code), result.log
        assert (self.record, self.open) == before

    def take_empty(self) -> None:
        """A block without transactions."""
        self.block()
        self.assert_invariants()

    def wait(self, seconds: int) -> None:
        """So much block time, with blocks within it as a chain has them."""
        blocks = min(BLOCKS_MIN, seconds - 1)
        for _ in range(blocks):
            self.take_empty()
        self.skipped_ns += (seconds - blocks - 1) * SECOND_NS
        self.take_empty()

    @property
    def record(self) -> Any:
        """Guardians; None: there is none."""
        return self.app.base.get(GUARDIANS + self.ann)

    @property
    def open(self) -> Any:
        """Recoveries."""
        return machine.recoveries_of(self.app.base, self.ann)

    @property
    def policies(self) -> set[bytes]:
        return {self.app.base.get(kind + self.ann).policy for kind in (ACCOUNT, IDENTITY)}
