"""Addresses that no key has: the accounts of the chain's own modules."""

from __future__ import annotations

from typing import Final

from crypto.hash import ADDRESS_BYTES, sha256


def module_address(name: str) -> bytes:
    """20 bytes: of the account of one of the application's modules. No key policy hashes to it."""
    return sha256(name.encode())[:ADDRESS_BYTES]


GOVERNANCE_ADDRESS: Final = module_address("gov")
