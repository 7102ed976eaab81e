"""What a message's handler is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from chain.kernel.branch import Branch
from chain.tx import gas
from chain.tx.errors import OutOfGas


class Leg(NamedTuple):
    """What a message did, for the receipt. amount: udchat moved; subject: what was made or touched."""

    kind: str
    amount: int = 0
    subject: bytes = b""
    index: int = 0  # type: ignore[assignment]  # the field's name; tuple.index is not used


class Context:
    """One transaction's execution. `branch` is the message branch: all of it is merged, or none.

    policies: of each signer, by address, as the ante part found them valid. payer: of the fee. legs: what the messages
    before this one did. replay_id: the transaction's, in the bridge's lane. others: keys of records of those who signed
    nothing and may have less now; doubted: keys of records for which others may sign now than before, or that pay no
    more; both of the whole block, also of transactions that failed.
    """

    __slots__ = (
        "branch", "chain_id", "doubted", "gas_limit", "gas_used", "height", "legs", "others", "payer", "policies",
        "replay_id", "time_ns",
    )  # fmt: skip

    def __init__(self, branch: Branch, *, height: int, time_ns: int, chain_id: str = "") -> None:
        self.branch, self.height, self.time_ns, self.chain_id = branch, height, time_ns, chain_id
        self.gas_used = self.gas_limit = 0
        self.payer = self.replay_id = b""
        self.legs: list[Leg] = []
        self.policies: dict[bytes, bytes] = {}
        self.others: set[bytes] = set()
        self.doubted: set[bytes] = set()

    def use_gas(self, amount: int) -> None:
        """Raises: OutOfGas."""
        self.gas_used += amount
        if self.gas_used > self.gas_limit:
            raise OutOfGas(f"{self.gas_used} needed so far, limit: {self.gas_limit}")

    def new_leaf(self) -> None:
        """Pay for a leaf that was not there. Raises: OutOfGas."""
        self.use_gas(gas.GAS_NEW_LEAF)


Handler: TypeAlias = Callable[[Context, Any], Leg]  # raises a TxError; writes to the context's branch
