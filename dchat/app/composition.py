"""Which modules this application is made of, and how it begins. One row each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from bridge import machine as bridge
from bridge.lending import LOCKS_ADDRESS
from bridge.records import ESCROW_ADDRESS, BridgeParams
from chain.app_state.document import LATER, AppState, InvalidAppState
from chain.chat import ballots
from chain.chat import machine as chat
from chain.chat.channels.pots import POT, PendingPot, PendingShare
from chain.chat.channels.records import MEMBER
from chain.chat.identities import machine as identities
from chain.chat.ledger.records import IDENTITY, ChatParams, PendingIdentity, bytes_per_mgas
from chain.chat.messages import ordinary as ordinary_posts
from chain.currency import economy
from chain.currency import machine as currency
from chain.currency.economy import Economy
from chain.currency.grants.fee_grants import FEE_GRANT, PendingGrant
from chain.currency.ledger.records import ACCOUNT, CurrencyParams, PendingAccount
from chain.currency.ledger.stake_records import Now
from chain.currency.payments import ordinary, standing
from chain.currency.staking import rotation
from chain.currency.vesting.vesting import Vesting, name_of
from chain.kernel.branch import State
from chain.kernel.check import Pending
from chain.kernel.context import Handler
from chain.kernel.execution import machine_time
from chain.kernel.modules import BlockContext, Module, Modules
from chain.tx import gas
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.codec import UINT64_MAX
from chain.tx.messages import LANE_BRIDGE, LANE_CHAT, LANE_CURRENCY, Message, Payment, PostMessage
from chain.tx.messages.grants import INNER
from chain.upgrade import module as upgrade
from chain.upgrade.chain_record import CHAIN, ChainRecord
from consensus.types.params import EvidenceParams
from governance import module as governance

# What admission keeps of each kind of record that it rests on.
PENDING: Final[dict[bytes, type[Pending]]] = {
    ACCOUNT: PendingAccount, IDENTITY: PendingIdentity, FEE_GRANT: PendingGrant, POT: PendingPot, MEMBER: PendingShare,
}  # fmt: skip


# Accounts that only the machines fill.
REFUSED: Final = frozenset((ESCROW_ADDRESS, LOCKS_ADDRESS, GOVERNANCE_ADDRESS, *economy.MODULE_ADDRESSES))


def compose() -> Modules:
    """The modules, in the order in which they begin and end a block."""
    run: dict[type[Message], Handler] = {}  # what one may do in another's name is of all machines
    modules = Modules(
        (
            Module("chain", {CHAIN: ChainRecord.decode}, {}),
            Module(  # before the economy, whose end of a block goes by what passed; its other half is at the bridge's
                "governance",
                {**governance.DECODERS, **ballots.DECODERS},
                governance.handlers(),
                end_block=(governance.count_votes,),
                invariants=governance.invariants,
            ),
            _economy(),
            Module(
                "currency",
                currency.DECODERS,
                currency.handlers(REFUSED, run),
                lane=LANE_CURRENCY,
                ante=currency.ante,
                short=(Payment, ordinary.short_way(REFUSED)),
                end_block=(
                    lambda ctx: currency.end_block(
                        ctx.branch, ctx.scan, Now(ctx.height, ctx.time_ns), ctx.block_gas_max
                    ),
                    standing.end_block(REFUSED),
                ),
                invariants=currency.invariants,
            ),
            Module(
                "chat",
                chat.DECODERS,
                chat.handlers(),
                lane=LANE_CHAT,
                ante=chat.ante,
                short=(PostMessage, ordinary_posts.short),
                end_block=(
                    lambda ctx: chat.end_block(ctx.branch, ctx.scan, ctx.height, ctx.block_gas_max),
                    chat.work_off,
                    identities.end_block,
                ),
                invariants=chat.invariants,
            ),
            Module(
                "bridge",
                bridge.DECODERS,
                bridge.handlers(REFUSED),
                lane=LANE_BRIDGE,
                ante=bridge.ante,
                settle=bridge.settle,
                end_block=(bridge.end_block, governance.close),
                invariants=bridge.invariants,
            ),
            Module(  # last: it sees what every other module's end of block set
                "upgrade",
                upgrade.DECODERS,
                upgrade.handlers(economy.is_validator),
                end_block=(partial(upgrade.end_block, rotation.current),),
                invariants=upgrade.invariants,
            ),
        )
    )
    run.update({kind.type: modules.handlers[kind.type] for kind in INNER.values()})
    return modules


def _economy() -> Module:
    """Staking, slashing and rewards, on the currency machine's store and in its lane."""
    economics = Economy()

    def stakes_a_block(ctx: BlockContext) -> int:
        return gas.most_of(gas.GAS_STAKE + gas.GAS_LATER, ctx.block_gas_max)

    def begin_block(ctx: BlockContext) -> Iterator[None]:
        return economics.begin_block(
            ctx.branch, ctx.scan, Now(ctx.height, ctx.time_ns),
            last_commit=ctx.last_commit, misbehavior=ctx.misbehavior, proposer=ctx.proposer,
            items_max=stakes_a_block(ctx),
        )  # fmt: skip

    def end_block(ctx: BlockContext) -> Iterator[None]:
        updates = yield from economics.end_block(
            ctx.branch,
            ctx.scan,
            Now(ctx.height, ctx.time_ns),
            upgraded=bool(ctx.upgraded),
            items_max=stakes_a_block(ctx),
        )
        ctx.validator_updates += updates

    return Module(
        "economy", economy.DECODERS, economy.handlers(REFUSED, upgrade.follow_key),
        begin_block=(begin_block,), end_block=(end_block,), invariants=economy.invariants,
    )  # fmt: skip


def begin(state: State, genesis: AppState, *, initial_height: int, time_ns: int, evidence: EvidenceParams) -> None:
    """Write the first state. evidence: the consensus parameters'. Raises: InvalidAppState."""
    if not REFUSED.isdisjoint([*genesis.balances, *[entry.recipient for entry in genesis.vestings]]):
        raise InvalidAppState("app_state.currency.accounts: the chain's own accounts begin empty")
    economics = genesis.economics
    vesting = sum(entry.amount for entry in genesis.vestings)
    if sum(genesis.balances.values()) + vesting + sum(entry.tokens for entry in economics.validators) > UINT64_MAX:
        raise InvalidAppState(f"app_state: balances, vestings and stakes are above {UINT64_MAX} udchat together")
    currency.genesis(
        state,
        CurrencyParams(genesis.currency.gas_price, genesis.currency.unordered_expiry_blocks_max),
        genesis.balances,
        {
            name_of(*entry[:3]): Vesting(entry.amount, 0, entry.start_ns, entry.linear, entry.clawback, entry.periods)
            for entry in genesis.vestings
        },
    )
    economy.genesis(
        state, economics.params_with(evidence), economics.inflation, economics.validators,
        Now(initial_height - 1, machine_time(time_ns)),
    )  # fmt: skip
    chat.genesis(
        state,
        ChatParams(
            genesis.chat.message_bytes_max,
            genesis.chat.unordered_expiry_blocks_max,
            bytes_per_mgas(gas_price=genesis.currency.gas_price, bytes_per_dchat=genesis.bridge.bytes_per_dchat),
            **{name: getattr(genesis.chat, name) for name in LATER},
            score_base=genesis.bridge.registration_price,
        ),
    )
    b = genesis.bridge
    bridge.genesis(
        state,
        BridgeParams(
            b.starter_messages, b.starter_bytes, b.messages_per_dchat, b.bytes_per_dchat, b.receipt_blocks,
            b.unordered_expiry_blocks_max, b.registration_price,
        ),
    )  # fmt: skip
    governance.genesis(state, genesis.governance)
