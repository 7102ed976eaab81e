"""A transaction that a node hands in by itself, from its operator's account: durable, and never doubled.

It is on disk before it is handed in, so that a restart hands in the same one. Another is made only when that one ran in
a block, or when its expiry is over and no block can hold it any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from chain.currency.machine import account_of, params_of
from chain.tx.envelope.build import Seat, build_tx, gas_for
from chain.tx.envelope.tx import decode
from chain.tx.errors import TxError
from chain.tx.messages import Message
from chain.tx.units import fee_of
from consensus.engine.interfaces import SavedBlock
from consensus.mempool.admission.errors import CODESPACE, Refusal
from consensus.system.files import replace_durably
from crypto.hash import sha256
from dchat.client.refusals import explain
from dchat.doors.reads.errors import NotThere
from dchat.home.identity import Identity

if TYPE_CHECKING:
    from dchat.node.runtime import Node

log = structlog.get_logger(__name__)

EXPIRY_BLOCKS = 100  # what was lost on the way is made anew after as many
SETTLED_BLOCKS = 2  # after the funds came: peers that are a block behind would refuse it, and not hear of it again


class NextBlock:
    """Set when the next height is saved. Take `event` before looking at the height: then none is missed."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def block_saved(self, saved: SavedBlock) -> None:
        event, self.event = self.event, asyncio.Event()
        event.set()


@dataclass(frozen=True)
class Sent:
    """What is on disk: the transaction, and the last height that may hold it."""

    tx: bytes
    expiry_height: int

    @staticmethod
    def load(path: Path) -> Sent | None:
        """Raises ValueError: the file is another's, or was damaged."""
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            sent = Sent(bytes.fromhex(found["tx"]), int(found["expiry_height"]))
            if decode(sent.tx).expiry_height != sent.expiry_height:
                raise ValueError("its heights differ")
        except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError, TxError) as error:
            raise ValueError(f"{path} is no record of a transaction of this node's: {error}") from None
        return sent

    def save(self, path: Path) -> None:
        """Durable when it returns."""
        replace_durably(path, json.dumps({"tx": self.tx.hex(), "expiry_height": self.expiry_height}) + "\n")


@dataclass(frozen=True)
class Placed:
    """The block that holds it, and what became of it there. code 0: it ran."""

    height: int
    code: int
    reason: str


class OwnTx:
    """One at a time. file: its name in the data folder. purpose: what it is for, in the log's words. instead: what
    to do where the account will never pay.

    Raises ValueError: the file is no record of a transaction.
    """

    def __init__(self, node: Node, operator: Identity, file: str, *, purpose: str, instead: str) -> None:
        self._node, self._operator, self._purpose, self._instead = node, operator, purpose, instead
        self._path = node.home.data / file
        self.sent = Sent.load(self._path)
        self._placed: Placed | None = None
        self._is_handed_in = False
        self._refused_by: tuple[str, int] | None = None  # told already
        self._is_waiting_for_funds = False
        self._funded_height = 0  # where the account was first seen to have enough

    def placed(self) -> Placed | None:
        """Where the last one is; None: in no block yet."""
        if self._placed is None and self.sent is not None:
            try:
                found = self._node.views.answers.tx(sha256(self.sent.tx), prove=False)
            except NotThere:
                return None
            self._placed = Placed(found.height, found.code, found.log)
        return self._placed

    @property
    def is_free(self) -> bool:
        """Whether another may be made. One that failed in a block holds the place too, so that a fee is not paid for
        a failure with every block."""
        # Above it, not at it: the application may be a block ahead of what `placed` can see.
        if self.sent is None or self._node.app.last_height > self.sent.expiry_height:
            return True
        placed = self.placed()
        return placed is not None and placed.code == 0

    def make(self, message_of: Callable[[int], Message], *, amount: int = 0) -> bool:
        """Sign another and put it on disk, if the account can pay; what is to be paid beside the fee is `amount`, in
        udchat. False: it cannot, and the operator's key was not used.

        message_of: of the last height that may hold it.
        """
        assert self.is_free, self.sent
        node = self._node
        expiry_height = node.app.last_height + EXPIRY_BLOCKS
        message, price = message_of(expiry_height), params_of(node.app.base).gas_price
        account = account_of(node.app.base, self._operator.address)
        needed = amount + fee_of(gas_for([message]), price)
        if not self._is_funded(account.balance if account is not None else 0, needed):
            return False
        assert account is not None
        tx = build_tx(
            chain_id=node.genesis.chain_id, messages=[message],
            seats=[Seat(self._operator.wallet, with_policy=account.policy is None)],
            gas_price=price, expiry_height=expiry_height,
        )  # fmt: skip
        sent = Sent(tx, expiry_height)
        sent.save(self._path)
        self.sent, self._placed, self._is_handed_in, self._refused_by = sent, None, False, None
        return True

    def _is_funded(self, balance: int, needed: int) -> bool:
        """Long enough for the peers to know. Says once when it is not."""
        if balance < needed:
            if not self._is_waiting_for_funds:
                log.warning(
                    f"the operator's account cannot pay {self._purpose} yet; waiting",
                    operator=self._operator.address_text, balance_udchat=balance, needed_udchat=needed,
                    what_to_do=f"pay that to the operator, or {self._instead}",
                )  # fmt: skip
            self._is_waiting_for_funds, self._funded_height = True, 0
            return False
        self._is_waiting_for_funds = False
        self._funded_height = self._funded_height or self._node.app.last_height
        return self._node.app.last_height >= self._funded_height + SETTLED_BLOCKS

    async def hand_in(self) -> None:
        """To this node's own mempool, once in the life of the process; as often as it was refused."""
        if self.sent is None or self._is_handed_in or self.placed() is not None:
            return
        answer = await self._node.pool.submit(self.sent.tx)
        by = (answer.codespace, answer.code)
        if answer.code and by != (CODESPACE, Refusal.ALREADY_HERE):
            if by != self._refused_by:
                self._refused_by = by
                why = explain(answer.codespace, answer.code, answer.log)
                log.warning(f"{self._purpose}: the transaction was not admitted; trying again", reason=why)
            return
        self._is_handed_in = True
        log.info(f"handed in the transaction of {self._purpose}", hash=sha256(self.sent.tx).hex())
