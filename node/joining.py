"""A node whose key is no validator yet makes itself one: `dchat validator --stake N`, or `[staking] initial_stake`.

Once, when it has caught up: the transaction, from the operator's identity, is on disk before it is handed in, so that
a restart hands in the same one and never a second. It ends when the validator is there, when the chain refused, or
when the operator has one already; it waits as long as the account cannot pay.
Source: issue 4, section 1.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from chain.build import Seat, build_tx, fee_for, gas_for
from chain.currency.machine import account_of, params_of
from chain.currency.params import staking_of
from chain.currency.staking.records import CONSENSUS_KEY
from chain.currency.staking.stake import validator_of
from chain.economy_messages import MONIKER_BYTES_MAX, CreateValidator
from crypto.hash import sha256
from crypto.keys import Ed25519PubKey
from node.answers import NotThere
from node.commits import SavedListener
from node.files import sync_folder
from node.identity import Identity

if TYPE_CHECKING:
    from node.runtime import Node

log = structlog.get_logger(__name__)

FILE = "stake.json"  # in the data folder
EXPIRY_BLOCKS = 100  # what was lost on the way is made anew after as many
SETTLED_BLOCKS = (
    2  # after the funds came: peers that are a block behind would refuse the stake, and not hear of it again
)
RATE, MAX_RATE, MAX_CHANGE_RATE = 10**17, 2 * 10**17, 10**16  # 10 %, 20 %, 1 % a day: `dchat tx stake edit-validator`


class _Blocks(SavedListener):
    """The next saved height."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def block_saved(self, height: int) -> None:
        event, self.event = self.event, asyncio.Event()
        event.set()


@dataclass(frozen=True)
class Sent:
    """What is on disk: the transaction, and the last height that may hold it."""

    tx: bytes
    expiry_height: int

    @staticmethod
    def load(path: Path) -> Sent | None:
        """Raises ValueError."""
        if not path.exists():
            return None
        found = json.loads(path.read_text())
        return Sent(bytes.fromhex(found["tx"]), int(found["expiry_height"]))

    def save(self, path: Path) -> None:
        """Durable when it returns."""
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"tx": self.tx.hex(), "expiry_height": self.expiry_height}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)


class Joining:
    """stake, min_self_delegation: udchat."""

    def __init__(self, node: Node, operator: Identity, *, stake: int, min_self_delegation: int) -> None:
        self._node, self._operator = node, operator
        self._stake, self._min_self_delegation = stake, min_self_delegation
        self._path = node.home.data / FILE
        self._blocks = _Blocks()
        self._is_waiting_for_funds = False
        self._funded_height = 0  # where the account was first seen to have enough
        node.driver.add_listener(self._blocks)

    async def run(self) -> None:
        """Until this node's key is a validator's, or there is nothing to be done about it."""
        await self._node.gossip.begun.wait()
        sent = Sent.load(self._path)
        handed_in = False
        while not self._is_settled(sent):
            saved = self._blocks.event
            if sent is None or self._node.app.last_height > sent.expiry_height:
                sent, handed_in = self._make(), False
            if sent is not None and not handed_in:
                handed_in = await self._hand_in(sent)
            await saved.wait()

    def _is_settled(self, sent: Sent | None) -> bool:
        node, base = self._node, self._node.app.base
        if base.get(CONSENSUS_KEY + node.views.me.validator_address) is not None:
            if sent is not None:
                log.info("became a validator", operator=self._operator.address_text, stake_udchat=self._stake)
            return True
        if validator_of(base, self._operator.address) is not None:
            log.warning("the operator has a validator with another key", operator=self._operator.address_text)
            return True
        least = staking_of(base).min_stake
        if self._stake < least:
            log.error("the stake is below the chain's minimum", stake_udchat=self._stake, needed_udchat=least)
            return True
        return sent is not None and self._was_in_a_block(sent)

    def _was_in_a_block(self, sent: Sent) -> bool:
        """It ran, and there is no such validator: it failed, or the validator left since. Not again by itself."""
        try:
            found = self._node.views.answers.tx(sha256(sent.tx), prove=False)
        except NotThere:
            return False
        log.warning(
            "this node staked before and is no validator; to stake anew: dchat tx stake create-validator",
            height=found.height, code=found.code, reason=found.log,
        )  # fmt: skip
        return True

    def _make(self) -> Sent | None:
        """The transaction, on disk; None as long as the account cannot pay."""
        node, base = self._node, self._node.app.base
        account = account_of(base, self._operator.address)
        price, least = params_of(base).gas_price, staking_of(base).min_self_delegation
        message = self._message(max(least, min(self._min_self_delegation, self._stake)))
        needed = self._stake + fee_for(gas_for([message]), price)
        if account is None or account.balance < needed:
            if not self._is_waiting_for_funds:
                self._is_waiting_for_funds = True
                log.warning(
                    "the operator's account cannot pay the stake yet; waiting",
                    operator=self._operator.address_text,
                    balance_udchat=account.balance if account is not None else 0, needed_udchat=needed,
                )  # fmt: skip
            self._funded_height = 0
            return None
        self._funded_height = self._funded_height or node.app.last_height
        if node.app.last_height < self._funded_height + SETTLED_BLOCKS:
            return None
        expiry_height = node.app.last_height + EXPIRY_BLOCKS
        tx = build_tx(
            chain_id=node.genesis.chain_id, messages=[message],
            seats=[Seat(self._operator.wallet, with_policy=account.policy is None)],
            gas_price=price, expiry_height=expiry_height,
        )  # fmt: skip
        sent = Sent(tx, expiry_height)
        sent.save(self._path)
        return sent

    def _message(self, min_self_delegation: int) -> CreateValidator:
        node = self._node
        key = node.validator_key
        assert isinstance(key, Ed25519PubKey), key  # the only kind that a home has
        moniker = node.views.me.moniker.encode()[:MONIKER_BYTES_MAX].decode(errors="ignore")
        return CreateValidator(
            self._operator.address, key.bytes, moniker, RATE, MAX_RATE, MAX_CHANGE_RATE, min_self_delegation,
            self._stake,
        )  # fmt: skip

    async def _hand_in(self, sent: Sent) -> bool:
        answer = await self._node.pool.submit(sent.tx)
        if answer.code:
            log.warning("the stake's transaction was not admitted; trying again", reason=answer.log)
            return False
        log.info("handed in the transaction that makes this node a validator", hash=sha256(sent.tx).hex())
        return True
