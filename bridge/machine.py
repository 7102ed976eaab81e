"""The bridge: transactions that touch both machines in one block, all of it or none, with a receipt either way.

The only code that knows both machines. A bundle's legs run in one branch over both stores and the bridge's; udchat
that buys allowance is held by the bridge's escrow account, so that supply stays conserved and what crossed can be
audited. Receipts lie under the bridge's root for a bounded number of blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bridge import escrow, escrow_records, guardian_records, guardians, lending
from bridge.keys import recorded, rotate_keys
from bridge.records import (
    BACKLOG,
    BY_SIGNER,
    ESCROW_ADDRESS,
    HEIGHT_BYTES,
    PARAMS,
    QUEUE,
    RECEIPT,
    TOTALS,
    BridgeParams,
    Totals,
)
from chain.chat import machine as chat
from chain.chat.channels import members, rights
from chain.chat.ledger.records import IDENTITY, Allowance, identity_of, require_living, require_of_this_life
from chain.chat.messages import machine as messages
from chain.chat.reputation import machine as reputation
from chain.currency import machine as currency
from chain.currency.ledger import bank
from chain.kernel.auth import authorise
from chain.kernel.branch import SIDE_BRIDGE, TAG_BRIDGE, Branch, Decoders, Readable, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, coins
from chain.kernel.marks import ReplayMarks
from chain.kernel.modules import BlockContext
from chain.tx import gas
from chain.tx.codec import height_bytes
from chain.tx.envelope.tx import Tx
from chain.tx.errors import BuysNothing, PriceAboveMaximum, TipsOneself, UnknownAccount
from chain.tx.messages import BuyAllowance, PayToJoin, RegisterBurner, RegisterIdentity, Tip
from chain.tx.messages.chat.reputation import HonourAuthor
from chain.tx.messages.keys import RotateKeys
from chain.tx.policies import policy_address
from chain.tx.units import UDCHAT_PER_DCHAT
from crypto.hash import ADDRESS_BYTES

MARKS: Final = ReplayMarks(TAG_BRIDGE, SIDE_BRIDGE)
DECODERS: Final[Decoders] = {
    **decoders_of(TOTALS, PARAMS), **escrow_records.DECODERS, **guardian_records.DECODERS,
    **lending.DECODERS, **MARKS.decoders,
}  # fmt: skip
RECEIPTS_PER_SLICE: Final = 50  # below a millisecond
MARK: Final = b"\x01"


# ------------------------------------------------------------------------------ ante


def ante(ctx: Context, tx: Tx) -> None:
    """Authorise every signer, mark the replay, take the fee in udchat.

    A signer may have an account, an identity, or neither yet: then it gives its key policy. The fee payer has an
    account.
    Raises: FeeTooLow, Replayed, ExpiryTooFar, UnknownAccount, IdentityExpired, OfAnEarlierLife, policy errors,
    FeeUnpayable, those of fee grants.
    """
    branch = ctx.branch
    currency.check_fee(tx, currency.params_of(branch))
    params = branch.get(PARAMS)
    MARKS.check(branch, tx, height=ctx.height, blocks_max=params.unordered_expiry_blocks_max)
    ctx.policies, ctx.replay_id = {}, tx.replay_id
    for index, entry in enumerate(tx.signers):
        account = currency.account_of(branch, entry.address)
        identity = identity_of(branch, entry.address)
        if identity is not None:
            require_living(identity, ctx.time_ns)
            require_of_this_life(identity, tx, params.unordered_expiry_blocks_max)
        ctx.policies[entry.address] = policy = authorise(tx, index, recorded(branch, account, entry.address))
        if account is not None:
            pays = index == tx.fee_payer and not tx.fee_granter
            currency.put_signed(branch, account, policy, fee=tx.fee if pays else None)
        elif index == tx.fee_payer:
            raise UnknownAccount("the fee payer's")
    if tx.fee_granter:
        currency.take_granted_fee(ctx, tx)
    MARKS.add(branch, tx)


# ------------------------------------------------------------------------------ legs


def register_identity(ctx: Context, message: RegisterIdentity) -> Leg:
    """Whoever pays the fee pays the price, for what it brings once and for the leaves that stay."""
    return _register(ctx, RegisterBurner(*message, 0))


def register_burner(ctx: Context, message: RegisterBurner) -> Leg:
    return _register(ctx, message)


def _register(ctx: Context, message: RegisterBurner) -> Leg:
    """lifetime_s 0: it lasts."""
    params = ctx.branch.get(PARAMS)
    lent = () if message.lifetime_s else lending.lent_before(ctx, message.address)
    allowance = Allowance(params.starter_messages, params.starter_bytes, *lent)
    chat.register(
        ctx, address=message.address, name=message.name, display=message.display,
        policy=ctx.policies[message.address], allowance=allowance, lifetime_s=message.lifetime_s,
    )  # fmt: skip
    price = params.registration_price
    if price:
        currency.transfer(ctx, sender=ctx.payer, recipient=ESCROW_ADDRESS, amount=price)
        _count(ctx, udchat_to_chat=price)
    return Leg("register_burner" if message.lifetime_s else "register_identity", price, message.address)


def tip(ctx: Context, message: Tip) -> Leg:
    author = messages.author_of(ctx.branch, message.channel_id, message.index)
    if author == message.sender:
        raise TipsOneself(account(author))
    currency.transfer(ctx, sender=message.sender, recipient=author, amount=message.amount)
    _count(ctx, udchat_tipped=message.amount)
    said = {"channel_id": message.channel_id.hex(), "message_index": str(message.index)}
    told = {"sender": account(message.sender), "author": account(author), "amount": coins(message.amount)}
    ctx.branch.emit(Event.of("tip", **said, **told))
    return Leg("tip", message.amount, author, message.index)


def honour_author(ctx: Context, message: HonourAuthor) -> Leg:
    sender, channel_id, index, amount = message
    author = reputation.honour(ctx, channel_id, index, sender=sender, amount=amount)
    bank.burn_of(ctx.branch, sender, amount)
    return Leg("honour_author", amount, author, index)


def pay_to_join(ctx: Context, message: PayToJoin) -> Leg:
    channel = rights.require_channel(ctx.branch, message.channel_id)
    price = channel.join_price
    if price > message.max_price:
        raise PriceAboveMaximum(f"{price} udchat, max_price {message.max_price}")
    members.paid_join(ctx, channel, message.member, message.min_period_s)
    if price and channel.owner != message.member:
        currency.transfer(ctx, sender=message.member, recipient=channel.owner, amount=price)
        _count(ctx, udchat_joins=price)
    return Leg("pay_to_join", price, message.channel_id)


def buy_allowance(ctx: Context, message: BuyAllowance) -> Leg:
    params = ctx.branch.get(PARAMS)
    messages = message.amount * params.messages_per_dchat // UDCHAT_PER_DCHAT
    size = message.amount * params.bytes_per_dchat // UDCHAT_PER_DCHAT
    if not messages:
        raise BuysNothing(f"{message.amount} udchat")
    chat.add_bought(ctx, message.address, messages=messages, size=size)
    currency.transfer(ctx, sender=message.address, recipient=ESCROW_ADDRESS, amount=message.amount)
    _count(ctx, udchat_to_chat=message.amount)
    told = {"amount": coins(message.amount), "messages": str(messages), "bytes": str(size)}
    ctx.branch.emit(Event.of("buy_allowance", address=account(message.address), **told))
    return Leg("buy_allowance", message.amount, message.address, messages)


def _count(ctx: Context, *, udchat_to_chat: int = 0, udchat_tipped: int = 0, udchat_joins: int = 0) -> None:
    totals = totals_of(ctx.branch)
    ctx.branch.set(
        TOTALS,
        totals._replace(
            udchat_to_chat=totals.udchat_to_chat + udchat_to_chat,
            udchat_tipped=totals.udchat_tipped + udchat_tipped,
            udchat_joins=totals.udchat_joins + udchat_joins,
        ),
    )


def totals_of(state: Readable) -> Totals:
    """Absent until something crossed: no stored value is empty."""
    found = state.get(TOTALS)
    return Totals() if found is None else found


# ------------------------------------------------------------------------------ receipts


def settle(branch: Branch, tx: Tx, receipt: bytes, height: int, executed: bool) -> None:
    """Keep the receipt of a bundle, whatever became of it, and count it."""
    branch.set(RECEIPT + tx.replay_id, receipt)
    at = height_bytes(height) + tx.replay_id
    for signer in tx.signers:
        branch.set(BY_SIGNER + signer.address + at, MARK)
    branch.set(QUEUE + at, b"".join([signer.address for signer in tx.signers]))
    totals = totals_of(branch)
    if executed:
        branch.set(TOTALS, totals._replace(bundles_executed=totals.bundles_executed + 1))
    else:
        branch.set(TOTALS, totals._replace(bundles_failed=totals.bundles_failed + 1))


def end_block(ctx: BlockContext) -> Iterator[None]:
    """What is due of escrows and recoveries; then remove receipts past their time and expired marks: oldest first,
    and as many of each as a block can add.
    """
    yield from escrow.end_block(ctx)
    yield from guardians.end_block(ctx)
    yield from lending.end_block(ctx)
    budget = gas.most_of(gas.GAS_LEAST_TX, ctx.block_gas_max)
    yield from _prune_receipts(ctx.branch, ctx.scan, ctx.height, budget)
    yield from MARKS.prune(ctx.branch, ctx.scan, height=ctx.height, budget=budget)


def _prune_receipts(state: State, scan: Scan, height: int, budget: int) -> Iterator[None]:
    """Goes on behind the last that went, so that what is gone is never read again."""
    params = state.get(PARAMS)
    last = height - params.receipt_blocks  # receipts of this height and below are past their time
    if last <= 0:
        return
    start = state.get(BACKLOG)
    end, gone = QUEUE + height_bytes(last + 1), start
    for number, (key, signers) in enumerate(scan(QUEUE, QUEUE + start if start else b""), start=1):
        if key >= end or number > budget:
            break
        state.set(key, None)
        gone = key[len(QUEUE) :]
        state.set(RECEIPT + gone[HEIGHT_BYTES:], None)
        for signer in _addresses(signers):
            state.set(BY_SIGNER + signer + gone, None)
        if number % RECEIPTS_PER_SLICE == 0:
            yield
    if gone != start:
        state.set(BACKLOG, gone)


def _addresses(together: bytes) -> list[bytes]:
    """Of an entry of the queue; one that an older build wrote names none."""
    return [together[at : at + ADDRESS_BYTES] for at in range(0, len(together) - ADDRESS_BYTES + 1, ADDRESS_BYTES)]


# ------------------------------------------------------------------------------ the whole


def genesis(state: State, params: BridgeParams) -> None:
    state.set(PARAMS, params)


def handlers(refused: frozenset[bytes]) -> dict[type[Any], Handler]:
    """refused: accounts of the chain itself, which nobody pays."""
    return {
        RegisterIdentity: register_identity,
        RegisterBurner: register_burner,
        Tip: tip,
        HonourAuthor: honour_author,
        PayToJoin: pay_to_join,
        BuyAllowance: buy_allowance,
        RotateKeys: rotate_keys,
        **escrow.handlers(refused),
        **guardians.handlers(),
        **lending.handlers(),
    }


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    crossed, waits = totals_of(state).udchat_to_chat, escrow.totals_of(state).held
    held = currency.balance_of(state, ESCROW_ADDRESS)
    detail = f"held {held} udchat, crossed {crossed} udchat, in escrows {waits} udchat"
    yield "bridge: its account holds what crossed to chat and what waits in escrows", held == crossed + waits, detail
    yield from escrow.invariants(state, scan)
    yield from guardians.invariants(state, scan)
    yield from lending.invariants(state, scan)
    queued = sorted(key[len(QUEUE) + HEIGHT_BYTES :] for key, _ in scan(QUEUE))
    kept = [key[len(RECEIPT) :] for key, _ in scan(RECEIPT)]
    yield "bridge: each receipt waits for its removal", queued == kept, f"{len(kept)} receipts, {len(queued)} queued"
    found = {key[len(BY_SIGNER) :] for key, _ in scan(BY_SIGNER)}
    named = {one + key[len(QUEUE) :] for key, signers in scan(QUEUE) for one in _addresses(signers)}
    yield "bridge: each receipt is found by its signers", found == named, f"{len(found)} names, expected {len(named)}"
    differing = 0
    for _, identity in scan(IDENTITY):
        account = currency.account_of(state, identity.address)
        recorded = account.policy if account is not None else None
        may_miss = policy_address(identity.policy) == identity.address  # the first one, which its hash shows
        differing += recorded != identity.policy and (recorded is not None or not may_miss)
    yield "bridge: both machines have one key policy", not differing, f"{differing} differ"
    wrong = MARKS.disagreeing(state, scan)
    yield "bridge: replay marks agree with their leaves", not wrong, f"{len(wrong)} do not"
