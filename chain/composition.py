"""Which modules this application is made of, and how it begins. One row each."""

from __future__ import annotations

from typing import Final

from bridge import machine as bridge
from bridge.records import ESCROW_ADDRESS, BridgeParams
from chain.branch import State
from chain.chat import machine as chat
from chain.chat.records import IDENTITY, ChatParams, PendingIdentity
from chain.check import Pending
from chain.currency import machine as currency
from chain.currency.records import ACCOUNT, CurrencyParams, PendingAccount
from chain.genesis import AppState, InvalidAppState
from chain.messages import LANE_BRIDGE, LANE_CHAT, LANE_CURRENCY
from chain.modules import Module, Modules
from chain.params import CHAIN, ChainRecord
from chain.upgrade import module as upgrade

# What admission keeps of each kind of signer's record.
PENDING: Final[dict[bytes, type[Pending]]] = {ACCOUNT: PendingAccount, IDENTITY: PendingIdentity}


def compose() -> Modules:
    """The modules, in the order in which they begin and end a block."""
    return Modules(
        (
            Module("chain", {CHAIN: ChainRecord.decode}, {}),
            Module(
                "currency",
                currency.DECODERS,
                currency.handlers(frozenset((ESCROW_ADDRESS,))),
                lane=LANE_CURRENCY,
                ante=currency.ante,
                end_block=(lambda ctx: currency.end_block(ctx.branch, ctx.scan, ctx.height),),
                invariants=currency.invariants,
            ),
            Module(
                "chat",
                chat.DECODERS,
                chat.handlers(),
                lane=LANE_CHAT,
                ante=chat.ante,
                end_block=(lambda ctx: chat.end_block(ctx.branch, ctx.scan, ctx.height),),
                invariants=chat.invariants,
            ),
            Module(
                "bridge",
                bridge.DECODERS,
                bridge.handlers(),
                lane=LANE_BRIDGE,
                ante=bridge.ante,
                settle=bridge.settle,
                end_block=(lambda ctx: bridge.end_block(ctx.branch, ctx.scan, ctx.height),),
                invariants=bridge.invariants,
            ),
            Module(  # last: it sees what every other module's end of block set
                "upgrade",
                upgrade.DECODERS,
                upgrade.handlers(),
                end_block=(upgrade.end_block,),
                invariants=upgrade.invariants,
            ),
        )
    )


def begin(state: State, genesis: AppState) -> None:
    """Write the first state. Raises: InvalidAppState."""
    if ESCROW_ADDRESS in genesis.balances:
        raise InvalidAppState("app_state.currency.accounts: the bridge's escrow account begins empty")
    currency.genesis(
        state,
        CurrencyParams(genesis.currency.gas_price, genesis.currency.unordered_expiry_blocks_max),
        dict(genesis.balances),
    )
    chat.genesis(
        state,
        ChatParams(
            genesis.chat.allowance_period_blocks,
            genesis.chat.message_bytes_max,
            genesis.chat.unordered_expiry_blocks_max,
        ),
    )
    b = genesis.bridge
    bridge.genesis(
        state,
        BridgeParams(
            b.starter_messages_per_period, b.starter_bytes_per_period, b.messages_per_dchat, b.bytes_per_dchat,
            b.receipt_blocks, b.unordered_expiry_blocks_max,
        ),
    )  # fmt: skip
