"""Changing who may sign for an account: on both machines at once, under the same address.

From the next transaction on the old keys sign for nothing, whatever they signed before. An account that only the chat
machine knows is opened on the currency machine, where else its first policy would still be taken from whoever shows it.
"""

from __future__ import annotations

from chain.chat import machine as chat
from chain.currency import machine as currency
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
    parsed = parse_policy(policy)
    digest = rotation_hash(ctx.chain_id, address, policy)
    for index, (key, possession) in enumerate(zip(parsed.keys, possessions, strict=True)):
        if not ed25519_verify(key, digest, possession):
            raise KeysNotPossessed(f"possession {index}, of the key {key.hex()}")
    set_policy(ctx, address, policy)
    told = {"needed": str(parsed.needed), "members": str(len(parsed.groups)), "keys": str(len(parsed.keys))}
    ctx.branch.emit(Event.of("rotate_keys", address=account(address), **told))
    return Leg("rotate_keys", 0, address)


def set_policy(ctx: Context, address: bytes, policy: bytes) -> None:
    """Who may sign from now on, on both machines. `address` signed this transaction. Raises: OutOfGas."""
    before = ctx.policies[address]
    if currency.rotate(ctx.branch, address, before=before, after=policy):
        ctx.new_leaf()
    chat.rotate(ctx.branch, address, before=before, after=policy)
    ctx.policies[address] = policy  # what comes after it in this bundle goes by it
