"""The currency machine: accounts, payments, fees. Supply is conserved: what accounts hold, the fees collected and the
rewards that wait for the distribution account are always the total.

Deterministic, without I/O. Reads and writes its own store alone; what crosses to the chat machine is the bridge's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from chain.currency.denominations import machine as denominations
from chain.currency.grants import authorisations, fee_grants
from chain.currency.ledger.bank import transferred
from chain.currency.ledger.records import ACCOUNT, PARAMS, SUPPLY, Account, CurrencyParams, Supply
from chain.currency.ledger.stake_records import Now
from chain.currency.payments import many, requests, standing
from chain.currency.rewards import distribution
from chain.currency.vesting import vesting
from chain.currency.vesting.vesting import Vesting
from chain.kernel.auth import advance, authorise, rotated
from chain.kernel.branch import SIDE_CURRENCY, TAG_CURRENCY, Branch, Decoders, Readable, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.marks import ReplayMarks
from chain.tx import gas
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.tx import Tx
from chain.tx.errors import AmountOverflow, FeeTooLow, FeeUnpayable, Overspend, RecipientRefused, UnknownAccount
from chain.tx.messages import Payment

MARKS: Final = ReplayMarks(TAG_CURRENCY, SIDE_CURRENCY)
DECODERS: Final[Decoders] = {
    **decoders_of(ACCOUNT, SUPPLY, PARAMS), **MARKS.decoders, **fee_grants.DECODERS, **authorisations.DECODERS,
    **vesting.DECODERS,
    **denominations.DECODERS,
    **requests.DECODERS,
    **standing.DECODERS,
}  # fmt: skip


def account_of(state: Readable, address: bytes) -> Account | None:
    return state.get(ACCOUNT + address)


def balance_of(state: Readable, address: bytes) -> int:
    found = state.get(ACCOUNT + address)
    return found.balance if found is not None else 0


def params_of(state: Readable) -> CurrencyParams:
    return state.get(PARAMS)


def supply_of(state: Readable) -> Supply:
    return state.get(SUPPLY)


def transfer(ctx: Context, *, sender: bytes, recipient: bytes, amount: int) -> None:
    """Move udchat; opens the recipient's account. Raises: UnknownAccount, Overspend, OutOfGas, AmountOverflow."""
    if sender == recipient:
        return
    branch = ctx.branch
    source = branch.get(ACCOUNT + sender)
    if source is None:
        raise UnknownAccount("the sender's")
    left = source.balance - amount
    if left < 0:
        raise Overspend(f"balance {source.balance} udchat, needed {amount} udchat")
    target = branch.get(ACCOUNT + recipient)
    if target is None:
        ctx.new_leaf()
        branch.set(ACCOUNT + recipient, Account(recipient, amount))
    else:
        total = target.balance + amount
        if total > UINT64_MAX:
            raise AmountOverflow("the recipient's balance")
        branch.set(ACCOUNT + recipient, target.with_balance(total))
    branch.set(ACCOUNT + sender, source.with_balance(left))
    transferred(branch, sender, recipient, amount)


def payment_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself, which only the machines fill (SDK 2024-003: blocked addresses)."""

    def pay(ctx: Context, message: Payment) -> Leg:
        sender, recipient, amount = message
        if recipient in refused:
            raise RecipientRefused("this one is the bridge's")
        transfer(ctx, sender=sender, recipient=recipient, amount=amount)
        return Leg("payment", amount, recipient)

    return pay


def ante(ctx: Context, tx: Tx) -> None:
    """Authorise every signer, mark the replay, take the fee. Changes nothing durable when it raises.

    For the currency lane; the bridge's uses the same parts.
    Raises: FeeTooLow, UnknownAccount, policy and sequence errors, Replayed, ExpiryTooFar, FeeUnpayable, those of
    fee grants.
    """
    branch = ctx.branch
    params = branch.get(PARAMS)
    check_fee(tx, params)
    if tx.unordered:
        MARKS.check(branch, tx, height=ctx.height, blocks_max=params.unordered_expiry_blocks_max)
    for index, entry in enumerate(tx.signers):
        account = branch.get(ACCOUNT + entry.address)
        if account is None:
            raise UnknownAccount(f"signer {index}'s")
        policy = authorise(tx, index, account.policy)
        sequences = account.sequences if tx.unordered else advance(entry, account.sequences, policy)
        balance = account.balance
        if index == tx.fee_payer and not tx.fee_granter:
            balance = take_fee(branch, balance, tx.fee)
        branch.set(ACCOUNT + entry.address, account.with_use(balance, policy, sequences))
    if tx.fee_granter:
        take_granted_fee(ctx, tx)
    if tx.unordered:
        MARKS.add(branch, tx)


def check_fee(tx: Tx, params: CurrencyParams) -> None:
    """Raises: FeeTooLow."""
    least = params.min_fee(tx.gas_limit)
    if tx.fee < least:
        raise FeeTooLow(f"{tx.fee} udchat, needed: {least} udchat")


def take_fee(state: State, balance: int, fee: int) -> int:
    """Collect `fee` from a balance; returns what is left. Raises: FeeUnpayable."""
    if balance < fee:
        raise FeeUnpayable(f"balance {balance} udchat, fee {fee} udchat")
    supply = state.get(SUPPLY)
    state.set(SUPPLY, supply.with_fees(supply.collected_fees + fee))
    return balance - fee


def take_granted_fee(ctx: Context, tx: Tx) -> None:
    """Collect the fee from the granter's account, and off its grant. Raises: FeeUnpayable, those of fee grants."""
    branch = ctx.branch
    fee_grants.spend(branch, tx, ctx.time_ns)
    granter = branch.get(ACCOUNT + tx.fee_granter)
    if granter is None:  # one that signed the grant in a bundle which somebody else paid
        raise FeeUnpayable("the granter has no account")
    branch.set(ACCOUNT + tx.fee_granter, granter.with_balance(take_fee(branch, granter.balance, tx.fee)))


def put_signed(state: State, account: Account, policy: bytes, *, fee: int | None) -> None:
    """Note that an account signed, and take `fee` from it if it pays. Raises: FeeUnpayable."""
    balance = account.balance if fee is None else take_fee(state, account.balance, fee)
    state.set(ACCOUNT + account.address, account.with_use(balance, policy, account.sequences))


def rotate(state: State, address: bytes, *, before: bytes, after: bytes) -> bool:
    """Change an account's key policy. Returns whether it was opened for that."""
    found = state.get(ACCOUNT + address)
    if found is None:
        state.set(ACCOUNT + address, Account(address, 0, after))
        return True
    sequences = rotated(found.sequences, before=before, after=after)
    state.set(ACCOUNT + address, found.with_use(found.balance, after, sequences))
    return False


def end_block(branch: Branch, scan: Scan, now: Now, block_gas_max: int) -> Iterator[None]:
    """Remove expired replay marks, grants and requests: as many of each as a block can add."""
    yield from MARKS.prune(branch, scan, height=now.height, budget=gas.most_of(gas.GAS_LEAST_TX, block_gas_max))
    yield from fee_grants.end_block(branch, scan, now, block_gas_max)
    yield from authorisations.end_block(branch, scan, now, block_gas_max)
    yield from requests.end_block(branch, scan, now, block_gas_max)


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    supply = supply_of(state)
    held = 0
    strange = 0
    for key, account in scan(ACCOUNT):
        held += account.balance
        strange += key[len(ACCOUNT) :] != account.address or not 0 <= account.balance <= UINT64_MAX
    waiting = distribution.pulse_of(state).balance
    total, known = held + supply.collected_fees + waiting, distribution.total_supply(state)
    detail = f"accounts {held} + fees {supply.collected_fees} + rewards {waiting} = {total}, total {known}"
    yield "currency: supply is conserved", total == known, detail
    yield "currency: accounts lie under their address", not strange, f"{strange} strange"
    wrong = MARKS.disagreeing(state, scan)
    yield "currency: replay marks agree with their leaves", not wrong, f"{len(wrong)} do not"
    yield from fee_grants.invariants(state, scan)
    yield from authorisations.invariants(state, scan)
    yield from vesting.invariants(state, scan)
    yield from denominations.invariants(state, scan)
    yield from requests.invariants(state, scan)
    yield from standing.invariants(state, scan)


def genesis(
    state: State, params: CurrencyParams, balances: Mapping[bytes, int], vestings: Mapping[bytes, Vesting] | None = None
) -> None:
    """The first state. balances: address -> udchat, above 0. vestings: by name. Raises: AmountOverflow."""
    vestings = vestings or {}
    total = sum(balances.values()) + sum(entry.amount for entry in vestings.values())
    if total > UINT64_MAX:
        raise AmountOverflow("the total supply")
    state.set(PARAMS, params)
    state.set(SUPPLY, Supply(total, 0))
    for address in sorted(balances):
        state.set(ACCOUNT + address, Account(address, balances[address]))
    vesting.genesis(state, vestings)


def handlers(refused: frozenset[bytes], run: Mapping[type[Any], Handler]) -> dict[type[Any], Handler]:
    """refused: accounts of the chain itself. run: what is done in another's name; read when it is."""
    return {
        Payment: payment_handler(refused),
        **many.handlers(refused),
        **requests.handlers(),
        **standing.handlers(refused),
        **fee_grants.handlers(refused),
        **authorisations.handlers(refused, run),
        **vesting.handlers(refused),
        **denominations.handlers(refused),
    }
