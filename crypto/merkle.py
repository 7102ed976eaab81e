"""The simple Merkle tree of RFC 6962's shape, and its proofs.

Leaves are H(00 ‖ item), inner nodes H(01 ‖ left ‖ right); a list splits at the largest power of two strictly below
its length, and an empty list hashes to H(""). The tags keep a leaf from passing for an inner node.
Source: RFC 6962, section 2.1; CometBFT v0.38, spec/core/encoding.md (Merkle trees), crypto/merkle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crypto.errors import CryptoError
from crypto.hash import EMPTY_HASH, HASH_BYTES, sha256, uvarint
from proto.tendermint.crypto import proof_pb2 as pb

AUNTS_MAX: Final = 100  # the format's: no tree that fits in memory is deeper
INT64_MAX: Final = 2**63 - 1


class InvalidProof(CryptoError):
    """A proof that is malformed, or proves something else."""


def leaf_hash(item: bytes) -> bytes:
    return sha256(b"\x00" + item)


def inner_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def split_point(count: int) -> int:
    """The largest power of two strictly below `count` (2 and up)."""
    assert count >= 2, count
    return 1 << (count - 1).bit_length() - 1


def root(items: Sequence[bytes]) -> bytes:
    """The 32-byte Merkle root of `items`.

    Pairs are joined level by level with an odd node carried up, which gives the same tree as splitting at the
    largest power of two, without recursion.
    """
    if not items:
        return EMPTY_HASH
    digest = hashlib.sha256
    level = [digest(b"\x00" + item).digest() for item in items]
    while len(level) > 1:
        joined = [digest(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            joined.append(level[-1])
        level = joined
    return level[0]


@dataclass(frozen=True, slots=True)
class Proof:
    """That an item is leaf `index` of `total`. `aunts` run from the leaf's sibling up to the root's child."""

    total: int
    index: int
    leaf_hash: bytes
    aunts: tuple[bytes, ...] = ()

    def validate(self) -> None:
        """Check shape alone. Raises InvalidProof."""
        if self.total < 0 or self.index < 0:
            raise InvalidProof(f"proof: total {self.total} and index {self.index} must not be negative")
        if len(self.leaf_hash) != HASH_BYTES:
            raise InvalidProof(f"proof: leaf_hash has {len(self.leaf_hash)} bytes, expected {HASH_BYTES}")
        if len(self.aunts) > AUNTS_MAX:
            raise InvalidProof(f"proof: {len(self.aunts)} aunts, at most {AUNTS_MAX}")
        for position, aunt in enumerate(self.aunts):
            if len(aunt) != HASH_BYTES:
                raise InvalidProof(f"proof: aunts[{position}] has {len(aunt)} bytes, expected {HASH_BYTES}")

    def compute_root(self) -> bytes:
        """The root that this proof leads to. Raises InvalidProof when aunts are missing or left over."""
        if self.total <= 0 or not 0 <= self.index < self.total:
            raise InvalidProof(f"proof: index {self.index} is outside a tree of {self.total} leaves")
        path = sides(self.index, self.total)
        if len(path) != len(self.aunts):
            raise InvalidProof(
                f"proof: {len(self.aunts)} aunts, expected {len(path)} for leaf {self.index} of {self.total}"
            )
        node = self.leaf_hash
        for aunt, node_is_left in zip(self.aunts, path, strict=True):
            node = inner_hash(node, aunt) if node_is_left else inner_hash(aunt, node)
        return node

    def verify(self, root_hash: bytes, item: bytes) -> None:
        """Check that `item` is in the tree of `root_hash`. Raises InvalidProof."""
        self.validate()
        got_leaf = leaf_hash(item)
        if got_leaf != self.leaf_hash:
            raise InvalidProof(f"proof: leaf_hash is {self.leaf_hash.hex()}, the item's is {got_leaf.hex()}")
        got = self.compute_root()
        if got != root_hash:
            raise InvalidProof(f"proof: leads to root {got.hex()}, expected {root_hash.hex()}")

    def to_proto(self) -> pb.Proof:
        return pb.Proof(total=self.total, index=self.index, leaf_hash=self.leaf_hash, aunts=self.aunts)

    @staticmethod
    def from_proto(message: pb.Proof) -> Proof:
        """Raises InvalidProof on a malformed shape."""
        if len(message.aunts) > AUNTS_MAX:
            raise InvalidProof(f"proof: {len(message.aunts)} aunts, at most {AUNTS_MAX}")
        proof = Proof(message.total, message.index, message.leaf_hash, tuple(message.aunts))
        proof.validate()
        return proof

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return self.to_proto().SerializeToString()


def sides(index: int, total: int) -> list[bool]:
    """Per aunt, from the leaf up: whether our node is the left one."""
    sides = []
    while total > 1:
        left = split_point(total)
        if index < left:
            sides.append(True)
            total = left
        else:
            sides.append(False)
            index, total = index - left, total - left
    sides.reverse()
    return sides


def proofs(items: Sequence[bytes]) -> tuple[bytes, tuple[Proof, ...]]:
    """The root of `items`, and a proof of each. O(n log n) in the size of the answer, n hashes."""
    if not items:
        return EMPTY_HASH, ()
    level: list[tuple[bytes, list[int]]] = [(leaf_hash(item), [i]) for i, item in enumerate(items)]
    leaves = [node for node, _ in level]
    aunts: list[list[bytes]] = [[] for _ in items]
    while len(level) > 1:
        joined: list[tuple[bytes, list[int]]] = []
        for i in range(0, len(level) - 1, 2):
            (left, under_left), (right, under_right) = level[i], level[i + 1]
            for leaf in under_left:
                aunts[leaf].append(right)
            for leaf in under_right:
                aunts[leaf].append(left)
            joined.append((inner_hash(left, right), under_left + under_right))
        if len(level) % 2:
            joined.append(level[-1])
        level = joined
    total = len(items)
    made = tuple(Proof(total, i, leaf, tuple(path)) for i, (leaf, path) in enumerate(zip(leaves, aunts, strict=True)))
    return level[0][0], made


def key_value_item(key: bytes, value: bytes) -> bytes:
    """The item that stands for key = value in a simple tree of a map."""
    return uvarint(len(key)) + key + uvarint(HASH_BYTES) + sha256(value)
