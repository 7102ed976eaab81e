"""Accounts of several keys on a chain of `tests.support.chain.harness`: whoever signs is said for each transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from chain.tx.envelope.build import Seat, Shared, Wallet, build_tx, sign_body
from chain.tx.messages import Message
from chain.tx.messages.keys import RotateKeys, prove_keys
from chain.tx.policies import Group, threshold_policy
from proto.dchat.v1 import tx_pb2
from tests.support.chain.harness import CHAIN_ID, Chain, wallet


def shared(needed: int, *members: str | tuple[int, str]) -> Shared:
    """`needed` of these: a name is a key, (2, "a b c") a group of which two are needed."""
    groups = [
        Group(1, (wallet(member).public_key,))
        if isinstance(member, str)
        else Group(member[0], tuple(wallet(name).public_key for name in member[1].split()))
        for member in members
    ]
    return Shared(threshold_policy(needed, groups))


def signed(
    chain: Chain, account: Shared | Wallet, by: str, *messages: Message, sequence: int | None = None,
    with_policy: bool = True, **options: Any,
) -> bytes:  # fmt: skip
    """by: names of the wallets that sign, with a blank between. sequence None: unordered."""
    options = {"chain_id": CHAIN_ID, "gas_price": chain.gas_price, "expiry_height": chain.height + 10, **options}
    seat = Seat(account, sequence, with_policy=with_policy)
    body = tx_pb2.Tx.FromString(build_tx(messages=messages, seats=[seat], **options)).body
    return sign_body(body, [[wallet(name) for name in by.split()]])


def rotation(address: bytes, policy: bytes, held_by: Iterable[str]) -> RotateKeys:
    """To `policy`, whose keys are those of the wallets `held_by`."""
    return RotateKeys(address, policy, prove_keys([wallet(name).key for name in held_by], CHAIN_ID, address, policy))
