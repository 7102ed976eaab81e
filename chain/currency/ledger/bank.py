"""Moving, making and burning udchat outside of payments: the machine's own accounts and what they pay out.

The machine's accounts have no key policy: their addresses are hashes of names, and nobody can pay into them.
Supply changes here alone; `Minter` counts it, so that an invariant can say where every unit came from.
Source: Cosmos SDK v0.50, x/bank/README.md (module accounts) and the invariants of x/bank and x/staking.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from chain.currency.ledger.records import ACCOUNT, SUPPLY, Account
from chain.currency.ledger.stake_records import MINTER
from chain.kernel.branch import Readable, State
from chain.kernel.event_text import Event, account, coins
from chain.tx.addresses import module_address
from chain.tx.codec import UINT64_MAX
from chain.tx.errors import Overspend, UnknownAccount

BONDED_POOL: Final = module_address("bonded_tokens_pool")
NOT_BONDED_POOL: Final = module_address("not_bonded_tokens_pool")
DISTRIBUTION: Final = module_address("distribution")
VESTING: Final = module_address("vesting")
TRANSFER: Final = Event.kind("transfer", "sender", "recipient", "amount")
MODULE_ADDRESSES: Final = frozenset((BONDED_POOL, NOT_BONDED_POOL, DISTRIBUTION, VESTING))


def held(state: Readable, address: bytes) -> int:
    account = state.get(ACCOUNT + address)
    return account.balance if account is not None else 0


def credit(state: State, address: bytes, amount: int) -> None:
    """Add to a balance; opens the account. It cannot overflow: the whole supply fits."""
    account = state.get(ACCOUNT + address)
    if account is None:
        if amount:
            state.set(ACCOUNT + address, Account(address, amount))
        return
    total = account.balance + amount
    assert total <= UINT64_MAX, (address.hex(), total)
    state.set(ACCOUNT + address, account.with_balance(total))


def debit(state: State, address: bytes, amount: int) -> None:
    """Take from a balance. Raises: UnknownAccount, Overspend."""
    account = state.get(ACCOUNT + address)
    if account is None:
        raise UnknownAccount("that it is taken from")
    left = account.balance - amount
    if left < 0:
        raise Overspend(f"balance {account.balance} udchat, needed {amount} udchat")
    state.set(ACCOUNT + address, account.with_balance(left))


def move(state: State, *, sender: bytes, recipient: bytes, amount: int) -> None:
    """Raises: UnknownAccount, Overspend."""
    if amount and sender != recipient:
        debit(state, sender, amount)
        credit(state, recipient, amount)
        transferred(state, sender, recipient, amount)


def pay_fee(state: State, payer: bytes, fee: int) -> None:
    """To the fees collected, for what is done at the end of a block. Raises: UnknownAccount, Overspend."""
    if fee:
        debit(state, payer, fee)
        supply = state.get(SUPPLY)
        state.set(SUPPLY, supply.with_fees(supply.collected_fees + fee))


def pay_out(state: State, *, pool: bytes, recipient: bytes, amount: int) -> None:
    """From one of the machine's own accounts, which has it: anything else is a fault of ours and stops the node."""
    balance = held(state, pool)
    assert 0 <= amount <= balance, (pool.hex(), balance, amount)
    if amount:
        move(state, sender=pool, recipient=recipient, amount=amount)


def burn(state: State, pool: bytes, amount: int) -> None:
    """Out of one of the machine's own accounts, and of existence."""
    balance = held(state, pool)
    assert 0 <= amount <= balance, (pool.hex(), balance, amount)
    if amount:
        burn_of(state, pool, amount)


def burn_of(state: State, address: bytes, amount: int) -> None:
    """Out of an account whose own will it is. Raises: UnknownAccount, Overspend."""
    debit(state, address, amount)
    supply = state.get(SUPPLY)
    state.set(SUPPLY, supply.with_total(supply.total - amount))
    count(state, burned=amount)
    state.emit(Event.of("burn", burner=account(address), amount=coins(amount)))


def transferred(state: State, sender: bytes, recipient: bytes, amount: int) -> None:
    """Tell of udchat that went from one account to another."""
    state.emit(partial(transfer_event, sender, recipient, amount))


def transfer_event(sender: bytes, recipient: bytes, amount: int) -> Event:
    return TRANSFER(account(sender), account(recipient), coins(amount))


def count(state: State, *, minted: int = 0, burned: int = 0) -> None:
    """Note what supply changed by."""
    minter = state.get(MINTER)
    assert minter is not None, "a chain with an economy has one"
    state.set(MINTER, minter._replace(minted=minter.minted + minted, burned=minter.burned + burned))
