"""Denominations of accounts' own: made, minted, paid, burned, frozen, given away.

A name belongs to its creator's own names, as the Cosmos tokenfactory's do: nobody can take the name that another
wants, and who made a denomination can be read from it. Supply changes by mint and burn alone, and is always what
accounts hold. A name and its record stay, and so does a holding until it is empty: both are paid by GAS_STAYS. Fees,
stakes and prices are udchat: no unit of these pays them.
Source: osmosis x/tokenfactory (names, owner), and its hook of a payment, which ran foreign code: there is none here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from chain.currency.denominations.records import DENOMINATION, HOLDING, Denomination, Holding, denom_of, name_of, units
from chain.kernel.branch import Decoders, Readable, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some
from chain.tx import gas
from chain.tx.codec import UINT64_MAX
from chain.tx.errors import RecipientRefused
from chain.tx.messages.payments import (
    BurnDenomination,
    CreateDenomination,
    Denom,
    FreezeHolding,
    MintDenomination,
    PayDenomination,
    TransferDenomination,
)
from chain.tx.payment_errors import (
    DenominationExists,
    HoldingFrozen,
    HoldingTooSmall,
    NotDenominationOwner,
    NotFreezable,
    SupplyAboveMaximum,
    UnknownDenomination,
)
from crypto.hash import ADDRESS_BYTES

DECODERS: Final[Decoders] = decoders_of(DENOMINATION, HOLDING)


def require(state: Readable, denom: Denom) -> Denomination:
    """Raises: UnknownDenomination."""
    found = state.get(DENOMINATION + denom.key)
    if found is None:
        raise UnknownDenomination(name_of(denom))
    return found


def require_owned(state: Readable, denom: Denom, owner: bytes) -> Denomination:
    """Raises: UnknownDenomination, NotDenominationOwner."""
    found = require(state, denom)
    if found.owner != owner:
        raise NotDenominationOwner(name_of(denom))
    return found


def holding_of(state: Readable, holder: bytes, denom: Denom) -> Holding:
    return state.get(HOLDING + holder + denom.key) or Holding(0)


def transfer(ctx: Context, denom: Denom, *, sender: bytes, recipient: bytes, amount: int) -> None:
    """Move units. Raises: UnknownDenomination, HoldingTooSmall, HoldingFrozen, OutOfGas."""
    pay_for_holding(ctx, denom, recipient)
    move(ctx.branch, denom, sender=sender, recipient=recipient, amount=amount)


def move(state: State, denom: Denom, *, sender: bytes, recipient: bytes, amount: int) -> None:
    """As `transfer`, where what may be opened is paid for. Raises: UnknownDenomination, HoldingTooSmall, HoldingFrozen,
    before anything is written."""
    record = require(state, denom)
    _take(state, denom, record, sender, amount)
    _give(state, denom, recipient, amount)
    state.emit(partial(_paid, denom, sender, recipient, amount))


def pay_for_holding(ctx: Context, denom: Denom, holder: bytes) -> None:
    """For a first unit that an account gets. Raises: OutOfGas."""
    if ctx.branch.get(HOLDING + holder + denom.key) is None:
        ctx.use_gas(gas.GAS_STAYS)


def _paid(denom: Denom, sender: bytes, recipient: bytes, amount: int) -> Event:
    who = {"sender": account(sender), "recipient": account(recipient)}
    return Event.of("pay_denomination", **who, amount=units(amount, denom))


def _take(state: State, denom: Denom, record: Denomination, holder: bytes, amount: int) -> None:
    held = holding_of(state, holder, denom)
    if amount > held.amount:
        raise HoldingTooSmall(f"{units(held.amount, denom)}, needed: {amount}")
    if held.frozen and record.owner:  # who could release it again must exist
        raise HoldingFrozen(f"{account(holder)}: {name_of(denom)}")
    left = held.amount - amount
    state.set(HOLDING + holder + denom.key, held._replace(amount=left) if left else None)


def _give(state: State, denom: Denom, holder: bytes, amount: int) -> None:
    held = holding_of(state, holder, denom)
    total = held.amount + amount
    assert total <= UINT64_MAX, "the whole supply fits"
    state.set(HOLDING + holder + denom.key, held._replace(amount=total))


# ------------------------------------------------------------------------------ messages


def create(ctx: Context, message: CreateDenomination) -> Leg:
    denom = message.denom
    key = DENOMINATION + denom.key
    if ctx.branch.get(key) is not None:
        raise DenominationExists(name_of(denom))
    ctx.branch.set(key, Denomination(message.creator, 0, message.supply_max, message.freezable))
    told = {"supply_max": str(message.supply_max), "freezable": "true" if message.freezable else "false"}
    ctx.branch.emit(Event.of("create_denomination", denom=name_of(denom), creator=account(message.creator), **told))
    return Leg("create_denomination", 0, denom.key)


def mint_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself."""

    def mint(ctx: Context, message: MintDenomination) -> Leg:
        owner, denom, recipient, amount = message
        record = require_owned(ctx.branch, denom, owner)
        if recipient in refused:
            raise RecipientRefused(account(recipient))
        if amount > record.most - record.supply:
            raise SupplyAboveMaximum(f"{units(record.supply, denom)} and {amount} more, allowed: {record.most}")
        ctx.branch.set(DENOMINATION + denom.key, record._replace(supply=record.supply + amount))
        pay_for_holding(ctx, denom, recipient)
        _give(ctx.branch, denom, recipient, amount)
        ctx.branch.emit(Event.of("mint_denomination", recipient=account(recipient), amount=units(amount, denom)))
        return Leg("mint_denomination", amount, denom.key)

    return mint


def burn(ctx: Context, message: BurnDenomination) -> Leg:
    holder, denom, amount = message
    record = require(ctx.branch, denom)
    _take(ctx.branch, denom, record, holder, amount)
    ctx.branch.set(DENOMINATION + denom.key, record._replace(supply=record.supply - amount))
    ctx.branch.emit(Event.of("burn_denomination", burner=account(holder), amount=units(amount, denom)))
    return Leg("burn_denomination", amount, denom.key)


def pay_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself."""

    def pay(ctx: Context, message: PayDenomination) -> Leg:
        sender, denom, recipient, amount = message
        if recipient in refused:
            raise RecipientRefused(account(recipient))
        transfer(ctx, denom, sender=sender, recipient=recipient, amount=amount)
        return Leg("pay_denomination", amount, denom.key)

    return pay


def freeze_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself, where what is many people's lies together."""

    def freeze(ctx: Context, message: FreezeHolding) -> Leg:
        owner, denom, holder, frozen = message
        record = require_owned(ctx.branch, denom, owner)
        if not record.freezable:
            raise NotFreezable(name_of(denom))
        if holder in refused:
            raise RecipientRefused(account(holder))
        held = ctx.branch.get(HOLDING + holder + denom.key)
        if held is None:
            raise HoldingTooSmall(f"{account(holder)} holds none of {name_of(denom)}")
        ctx.branch.set(HOLDING + holder + denom.key, held._replace(frozen=frozen))
        told = {"holder": account(holder), "frozen": "true" if frozen else "false"}
        ctx.branch.emit(Event.of("freeze_holding", denom=name_of(denom), **told))
        return Leg("freeze_holding", held.amount, denom.key, int(frozen))

    return freeze


def give_away_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself, which could do nothing with it."""

    def give_away(ctx: Context, message: TransferDenomination) -> Leg:
        owner, denom, new_owner = message
        record = require_owned(ctx.branch, denom, owner)
        if new_owner in refused:
            raise RecipientRefused(account(new_owner))
        ctx.branch.set(DENOMINATION + denom.key, record._replace(owner=new_owner))
        told = {"owner": account(owner), "new_owner": account(new_owner) if new_owner else ""}
        ctx.branch.emit(Event.of("transfer_denomination", denom=name_of(denom), **told))
        return Leg("transfer_denomination", 0, denom.key)

    return give_away


def handlers(refused: frozenset[bytes]) -> dict[type[Any], Handler]:
    return {
        CreateDenomination: create,
        MintDenomination: mint_handler(refused),
        BurnDenomination: burn,
        PayDenomination: pay_handler(refused),
        FreezeHolding: freeze_handler(refused),
        TransferDenomination: give_away_handler(refused),
    }


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    held: Counter[bytes] = Counter()
    holdings, strange = 0, []
    for key, holding in scan(HOLDING):
        name = key[len(HOLDING) + ADDRESS_BYTES :]
        held[name] += holding.amount
        holdings += 1
        record = state.get(DENOMINATION + name)
        if record is None or holding.amount <= 0 or (holding.frozen and not record.freezable):
            strange.append(f"{account(key[len(HOLDING) :][:ADDRESS_BYTES])} {name_of(denom_of(name))}")
    count, wrong = 0, []
    for key, record in scan(DENOMINATION):
        name = key[len(DENOMINATION) :]
        count += 1
        if record.supply != held[name] or not 0 <= record.supply <= record.most:
            wrong.append(f"{name_of(denom_of(name))} has {record.supply}, accounts hold {held[name]}")
    yield "currency: supply of each denomination is conserved", not wrong, f"{count} denominations, {some(wrong)} wrong"
    yield "currency: holdings are of denominations, and of something", not strange, f"{holdings}, {some(strange)} wrong"
