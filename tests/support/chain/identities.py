"""Prekeys of identities on a chain of `tests.support.chain.harness`."""

from __future__ import annotations

from chain.tx.envelope.build import Wallet
from chain.tx.messages.chat import SignedPrekey, prekey_hash
from tests.support.chain.harness import CHAIN_ID


def published(wallet: Wallet, address: bytes, use: int, prekey: bytes, *, chain_id: str = CHAIN_ID) -> SignedPrekey:
    """A prekey of `address`, signed by the wallet's key."""
    return SignedPrekey(prekey, wallet.public_key, wallet.key.sign(prekey_hash(chain_id, address, use, prekey)))
