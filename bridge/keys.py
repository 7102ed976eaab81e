"""Changing who may sign for an account: on both machines at once, under the same address.

From the next transaction on the old keys sign for nothing, whatever they signed before. An account that only the chat
machine knows is opened on the currency machine, where else its first policy would still be taken from whoever shows it.
"""

from __future__ import annotations

from chain.chat import machine as chat
from chain.chat.ledger.records import EPOCHS as CHAT_EPOCHS
from chain.chat.ledger.records import identity_of
from chain.currency import machine as currency
from chain.currency.ledger.records import EPOCHS, Account
from chain.currency.ledger.stake_records import WITHDRAW
from chain.kernel.branch import Readable, State
from chain.kernel.context import Context, Leg
from chain.kernel.event_text import Event, account
from chain.tx.errors import KeysNotPossessed, PolicyUnchanged
from chain.tx.messages.keys import RotateKeys, rotation_hash
from chain.tx.policies import parse_policy
from crypto.keys import ed25519_verify


def rotate_keys(ctx: Context, message: RotateKeys) -> Leg:
    """Every key of the new policy signs for it, so that nobody locks himself out by a slip, or names others' keys.

    Their signatures are of the message's stated gas. Raises: PolicyUnchanged, KeysNotPossessed, OutOfGas.
    """
    address, policy, possessions = message
    if policy == ctx.policies[address]:
        raise PolicyUnchanged(account(address))
    require_possessed(ctx, address, policy, possessions)
    parsed = parse_policy(policy)
    set_policy(ctx, address, policy)
    told = {"needed": str(parsed.needed), "members": str(len(parsed.groups)), "keys": str(len(parsed.keys))}
    ctx.branch.emit(Event.of("rotate_keys", address=account(address), **told))
    return Leg("rotate_keys", 0, address)


def require_possessed(ctx: Context, address: bytes, policy: bytes, possessions: tuple[bytes, ...]) -> None:
    """Raises: KeysNotPossessed."""
    digest = rotation_hash(ctx.chain_id, address, policy)
    for index, (key, possession) in enumerate(zip(parse_policy(policy).keys, possessions, strict=True)):
        if not ed25519_verify(key, digest, possession):
            raise KeysNotPossessed(f"possession {index}, of the key {key.hex()}")


def set_policy(ctx: Context, address: bytes, policy: bytes) -> None:
    """Who may sign from now on, on both machines. `address` signed this transaction. Raises: OutOfGas."""
    if change(ctx.branch, address, before=ctx.policies[address], after=policy):
        ctx.new_leaf()
    ctx.policies[address] = policy  # what comes after it in this bundle goes by it


def change(state: State, address: bytes, *, before: bytes, after: bytes) -> bool:
    """As `set_policy`, by whoever may. before: the recorded one. Returns whether an account was opened for that."""
    opened = currency.rotate(state, address, before=before, after=after)
    chat.rotate(state, address, before=before, after=after)
    return opened


def void_what_was_given(state: State, address: bytes) -> None:
    """Whoever had the old keys may have given others a share of the account: grants, orders, offers are void from now
    on, and rewards go to the account itself."""
    for epochs in (EPOCHS, CHAT_EPOCHS):
        epochs.begin(state, address)
    state.set(WITHDRAW + address, None)


def recorded(state: Readable, account: Account | None, address: bytes) -> bytes | None:
    """The policy that either machine has on record; both change it at once, through here. account: the address's."""
    if account is not None and account.policy is not None:
        return account.policy
    identity = identity_of(state, address)
    return identity.policy if identity is not None else None
