"""Which modules this application is made of, and how it begins. One row each."""

from __future__ import annotations

from typing import Final

from chain.branch import TAG_BRIDGE, State
from chain.check import Pending
from chain.currency import machine as currency
from chain.currency.records import ACCOUNT, CurrencyParams, PendingAccount
from chain.genesis import AppState
from chain.messages import LANE_CURRENCY
from chain.modules import Module, Modules
from chain.params import CHAIN, ChainRecord

assert CHAIN[:1] == TAG_BRIDGE


# What admission keeps of each kind of signer's record.
PENDING: Final[dict[bytes, type[Pending]]] = {ACCOUNT: PendingAccount}


def compose() -> Modules:
    """The modules, in the order in which they begin and end a block."""
    return Modules(
        (
            Module("chain", {CHAIN: ChainRecord.decode}, {}),
            Module(
                "currency",
                currency.DECODERS,
                currency.handlers(frozenset()),
                lane=LANE_CURRENCY,
                ante=currency.ante,
                end_block=(lambda ctx: currency.end_block(ctx.branch, ctx.scan, ctx.height),),
                invariants=currency.invariants,
            ),
        )
    )


def begin(state: State, genesis: AppState) -> None:
    """Write the first state."""
    params = CurrencyParams(genesis.currency.gas_price, genesis.currency.unordered_expiry_blocks_max)
    currency.genesis(state, params, dict(genesis.balances))
