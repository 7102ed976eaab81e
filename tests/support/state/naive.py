"""The sparse Merkle tree as the design defines it, recursively and without pages: what the product is held against."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

EMPTY = bytes(32)


def digest(data: bytes) -> bytes:
    return sha256(data).digest()


def leaf(key: bytes, value: bytes) -> bytes:
    return digest(b"\x00" + digest(key) + digest(value))


def root(pairs: Mapping[bytes, bytes]) -> bytes:
    """The root of the pairs."""
    return _subtree([(int.from_bytes(digest(k), "big"), leaf(k, v)) for k, v in pairs.items()], 0)


def _subtree(leaves: list[tuple[int, bytes]], depth: int) -> bytes:
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0][1]
    bit = 255 - depth
    left = [item for item in leaves if not item[0] >> bit & 1]
    right = [item for item in leaves if item[0] >> bit & 1]
    return digest(b"\x01" + _subtree(left, depth + 1) + _subtree(right, depth + 1))


def app_hash(roots: Mapping[str, bytes]) -> bytes:
    """The app hash of three stores' roots, spelled out."""
    items = [bytes([len(n)]) + n.encode() + b"\x20" + digest(roots[n]) for n in ("bridge", "chat", "currency")]
    a, b, c = (digest(b"\x00" + item) for item in items)
    return digest(b"\x01" + digest(b"\x01" + a + b) + c)
