"""A node whose key is no validator yet makes itself one: `dchat validator --stake N`, never by its option file.

Once, when it has caught up, by a transaction of the operator's identity: a restart hands in the same one, and never a
second (`dchat.node.own_tx`). It ends when the validator is there, when the chain refused, or when the operator has one
already; it waits as long as the account cannot pay.
Source: docs/economics.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from chain.currency.ledger.economic_params import staking_of
from chain.currency.ledger.stake_records import CONSENSUS_KEY
from chain.currency.staking.stake import validator_of
from chain.tx.messages.economy import MONIKER_BYTES_MAX, ConsensusSigner, CreateValidator, prove_possession
from consensus.node.commit_watch import SafeListener
from dchat.home.identity import Identity
from dchat.node.own_tx import NextBlock, OwnTx

if TYPE_CHECKING:
    from dchat.node.runtime import Node

log = structlog.get_logger(__name__)

FILE = "stake.json"  # in the data folder
RATE, MAX_RATE, MAX_CHANGE_RATE = 10**17, 2 * 10**17, 10**16  # 10 %, 20 %, 1 % a day: `dchat tx stake edit-validator`


class Joining:
    """stake, min_self_delegation: udchat. signer: of this node's consensus key, which says that it is the operator's.
    note: is told for what the operator's key was used.

    Raises ValueError: FILE is no record of a transaction.
    """

    def __init__(
        self, node: Node, operator: Identity, signer: ConsensusSigner, *, stake: int, min_self_delegation: int,
        note: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._node, self._operator, self._signer, self._note = node, operator, signer, note
        self._stake, self._min_self_delegation = stake, min_self_delegation
        self._own = OwnTx(
            node, operator, FILE, purpose="the stake",
            instead="no --stake, without which this node follows without voting",
        )  # fmt: skip
        self._blocks = NextBlock()
        node.driver.add_saved_listener(SafeListener("joining with a stake", self._blocks, node.views.faults))

    async def run(self) -> None:
        """Until this node's key is a validator's, or there is nothing to be done about it."""
        await self._node.gossip.begun.wait()
        while not self._is_settled():
            saved = self._blocks.event
            if self._own.is_free and self._own.make(lambda _: self._message(), amount=self._stake):
                self._note("stake")
            await self._own.hand_in()
            await saved.wait()

    def _is_settled(self) -> bool:
        node, base = self._node, self._node.app.base
        if base.get(CONSENSUS_KEY + node.views.me.validator_address) is not None:
            if self._own.sent is not None:
                log.info("became a validator", operator=self._operator.address_text, stake_udchat=self._stake)
            return True
        if validator_of(base, self._operator.address) is not None:
            log.warning("the operator has a validator with another key", operator=self._operator.address_text)
            return True
        least = staking_of(base).min_stake
        if self._stake < least:
            log.error("the stake is below the chain's minimum", stake_udchat=self._stake, needed_udchat=least)
            return True
        return self._was_in_a_block()

    def _was_in_a_block(self) -> bool:
        """It ran, and there is no such validator: it failed, or the validator left since. Not again by itself."""
        placed = self._own.placed()
        if placed is None:
            return False
        log.warning(
            "this node staked before and is no validator; to stake anew: dchat tx stake create-validator",
            height=placed.height, code=placed.code, reason=placed.reason,
        )  # fmt: skip
        return True

    def _message(self) -> CreateValidator:
        node = self._node
        key = self._signer.pub_key
        moniker = node.views.me.moniker.encode()[:MONIKER_BYTES_MAX].decode(errors="ignore")
        least = staking_of(node.app.base).min_self_delegation
        return CreateValidator(
            self._operator.address, key.bytes, moniker, RATE, MAX_RATE, MAX_CHANGE_RATE,
            max(least, min(self._min_self_delegation, self._stake)), self._stake,
            prove_possession(self._signer, node.genesis.chain_id, self._operator.address),
        )  # fmt: skip
