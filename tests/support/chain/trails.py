"""Trails of chains in memory, for tests of what compares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chain.currency.ledger.records import ACCOUNT
from chain.kernel.context import Context, Leg
from chain.trail.kept import KeptBlock, KeptTrails
from chain.trail.steps import BlockTrail, Writes, steps_of, trail_writes
from chain.tx.messages import Payment
from consensus.abci.interface import FinalizeBlockResponse
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from dchat.autopsy.again import told
from dchat.autopsy.errors import NoTrail


def keep(app: DchatApplication, heights: int = 100) -> KeptTrails:
    app.trails = KeptTrails(heights)
    return app.trails


def trail_of(kept: KeptBlock, txs: tuple[bytes, ...], response: FinalizeBlockResponse) -> BlockTrail:
    writes = trail_writes(kept.trail, kept.writes, len(txs))
    end = told(response.validator_updates, response.consensus_param_updates)
    steps = list(steps_of(writes, [sha256(tx) for tx in txs], response.tx_results, end))
    return BlockTrail(kept.height, kept.block_hash, kept.app_hash, kept.roots, steps)


def plant(app: DchatApplication, when: Callable[[Payment], bool]) -> None:
    """From now on whoever such a payment pays has one udchat more than was taken from the payer."""
    usual = app.modules.handlers[Payment]

    def pay(ctx: Context, message: Payment) -> Leg:
        leg = usual(ctx, message)
        if when(message):
            key = ACCOUNT + message.recipient
            account = ctx.branch.get(key)
            assert account is not None
            ctx.branch.set(key, account.with_balance(account.balance + 1))
        return leg

    app.modules.handlers[Payment] = pay


@dataclass
class Told:
    """A witness (`dchat.autopsy.search`) of what it is given."""

    name: str
    trails: Mapping[int, BlockTrail]
    forgotten: set[int] = field(default_factory=set)  # heights of which it has no steps
    asked: list[str] = field(default_factory=list)

    async def bounds(self) -> tuple[int, int]:
        return min(self.trails), max(self.trails)

    async def head(self, height: int) -> BlockTrail:
        self.asked.append(f"head {height}")
        return self.trails[height]

    async def steps(self, height: int) -> BlockTrail:
        self.asked.append(f"steps {height}")
        if height in self.forgotten:
            raise NoTrail(f"block {height} is pruned")
        return self.trails[height]

    async def writes(self, trail: BlockTrail, index: int) -> Writes:
        self.asked.append(f"writes {trail.height} {index}")
        return trail.steps[index].writes
