"""From the three stores' roots to the app hash of a header.

The simple Merkle tree over the stores sorted by name; a leaf is H(00 ‖ uvarint length ‖ name ‖ 20 ‖ H(root)).
Source: docs/decisions/0003; CometBFT v0.38, spec/core/encoding.md (Merkle trees).
"""

from __future__ import annotations

from collections.abc import Mapping

from crypto import merkle

BRIDGE, CHAT, CURRENCY = "bridge", "chat", "currency"
STORE_NAMES = (BRIDGE, CHAT, CURRENCY)  # sorted: their order in the tree and in the database


def app_hash_of(roots: Mapping[str, bytes]) -> bytes:
    """The 32-byte app hash of the stores' roots, name -> 32 bytes."""
    return merkle.root([root_item(name, roots[name]) for name in STORE_NAMES])


def root_item(name: str, root: bytes) -> bytes:
    """The Merkle item of one store."""
    return merkle.key_value_item(name.encode(), root)
