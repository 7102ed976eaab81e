"""As much of a node as what it does for its operator asks for: no blocks, no peers, time by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chain.currency.ledger.records import ACCOUNT, PARAMS, Account, CurrencyParams
from consensus.abci.interface import CheckTxResponse
from dchat.doors.reads.errors import NotThere
from dchat.home import identity


class World:
    """A height, one account, a mempool that answers, blocks that hold something. Stands in for a Node."""

    def __init__(self, folder: Path, *, balance: int | None = 10**9) -> None:
        self.operator = identity.generate()
        self.records: dict[bytes, Any] = {PARAMS: CurrencyParams(100, 1_000)}
        self.pay(balance)
        self.is_catching_up = False
        self.app = SimpleNamespace(base=self.records, last_height=10, upgrader=SimpleNamespace(upgrades=()))
        self.genesis = SimpleNamespace(chain_id="chain")
        self.home = SimpleNamespace(data=folder)
        self.gossip = SimpleNamespace(begun=asyncio.Event())
        self.gossip.begun.set()
        self.views = SimpleNamespace(
            answers=self, is_catching_up=lambda: self.is_catching_up, voting_power=1_000, me=SimpleNamespace()
        )
        self.pool = self
        self.submitted: list[bytes] = []
        self.answers: list[CheckTxResponse] = []  # to come; then all is admitted
        self.blocks: dict[bytes, int] = {}  # hash -> code

    def pay(self, balance: int | None) -> None:
        key = ACCOUNT + self.operator.address
        self.records[key] = None if balance is None else Account(self.operator.address, balance, None, ())

    async def submit(self, tx: bytes) -> CheckTxResponse:
        self.submitted.append(tx)
        return self.answers.pop(0) if self.answers else CheckTxResponse()

    def tx(self, tx_hash: bytes, *, prove: bool) -> Any:
        if tx_hash not in self.blocks:
            raise NotThere("in no block")
        return SimpleNamespace(height=self.app.last_height, code=self.blocks[tx_hash], log="why")
