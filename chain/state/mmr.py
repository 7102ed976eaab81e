"""A Merkle mountain range: a list that only grows, of which one small summary is kept under the state's root.

A leaf is H(00 ‖ item), an inner node H(01 ‖ left ‖ right). `count` leaves stand as perfect trees, one for each set bit
of the count, the tallest first; their roots are the *peaks*. Count and peaks are the summary: a channel's value in the
chat store holds it, and an item is proved by its path to a peak, then the channel's leaf.

Pure: nodes that `append` makes go to the side records of a store, named by height and index; proofs read them from
there. Source: Crosby and Wallach, "Efficient data structures for tamper-evident logging".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

from chain.state.errors import CorruptState
from crypto.merkle import InvalidProof

HASH_BYTES = 32
COUNT_BYTES = 8
COUNT_MAX = (1 << 8 * COUNT_BYTES) - 1

ReadNode: TypeAlias = Callable[[bytes], bytes | None]  # a node's name -> its hash


def leaf_hash(item: bytes) -> bytes:
    return sha256(b"\x00" + item).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def node_name(height: int, index: int) -> bytes:
    """The 9-byte name of a node: its height above the leaves, then its place at that height; leaves first."""
    return bytes([height]) + index.to_bytes(COUNT_BYTES, "big")


@dataclass(frozen=True, slots=True)
class Range:
    """The summary of `count` items: one peak of 32 bytes per set bit of the count, the tallest tree's first."""

    count: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.count <= COUNT_MAX or self.count.bit_count() != len(self.peaks):
            raise InvalidProof(f"a range of {self.count} items has {len(self.peaks)} peaks")
        for peak in self.peaks:  # once a post: half of what `any` takes
            if len(peak) != HASH_BYTES:
                raise InvalidProof(f"a peak is not of {HASH_BYTES} bytes")

    def encode(self) -> bytes:
        """count (8 bytes, big-endian) ‖ peaks: the form that goes under the tree."""
        return self.count.to_bytes(COUNT_BYTES, "big") + b"".join(self.peaks)

    @classmethod
    def decode(cls, data: bytes) -> Range:
        """Read what `encode` wrote. Raises: InvalidProof (wrong length for its count)."""
        count, body = int.from_bytes(data[:COUNT_BYTES], "big"), data[COUNT_BYTES:]
        if len(data) < COUNT_BYTES or len(body) != HASH_BYTES * count.bit_count():
            raise InvalidProof(f"a range of {count} items in {len(data)} bytes")
        return cls(count, tuple(body[at : at + HASH_BYTES] for at in range(0, len(body), HASH_BYTES)))

    def append(self, items: Sequence[bytes]) -> tuple[Range, dict[bytes, bytes]]:
        """The range with `items` at its end, and the new nodes by name, which the caller keeps."""
        return self.append_leaves([leaf_hash(item) for item in items])

    def append_leaves(self, leaves: Sequence[bytes]) -> tuple[Range, dict[bytes, bytes]]:
        """As `append`, of items whose leaves' hashes are known."""
        peaks = list(self.peaks)
        nodes: dict[bytes, bytes] = {}
        index = self.count
        for leaf in leaves:
            node = leaf
            nodes[node_name(0, index)] = node
            height, place = 0, index
            while place & 1:  # a tree of this height stands to the left: the two become one
                node = inner_hash(peaks.pop(), node)
                height, place = height + 1, place >> 1
                nodes[node_name(height, place)] = node
            peaks.append(node)
            index += 1
        return Range(index, tuple(peaks)), nodes

    def tree_of(self, index: int) -> tuple[int, int]:
        """The tree that holds item `index`: (number of its peak, its height). Raises: InvalidProof."""
        if not 0 <= index < self.count:
            raise InvalidProof(f"item {index} is outside a range of {self.count}")
        # the highest bit in which the two differ is set in the count: the tree of that bit holds the item
        height = (index ^ self.count).bit_length() - 1
        return (self.count >> height + 1).bit_count(), height


@dataclass(frozen=True, slots=True)
class ItemProof:
    """That an item is number `index`: `path` runs from the leaf's sibling up to the peak's child."""

    index: int
    path: tuple[bytes, ...] = field(repr=False)


def prove(summary: Range, index: int, read: ReadNode) -> ItemProof:
    """Prove item `index` of the range to its peak. Also for an older summary of the same range.

    read: the node of a name, from the side records.
    Raises: InvalidProof (no such item), CorruptState (a node is missing, or was pruned).
    """
    _, height = summary.tree_of(index)
    path: list[bytes] = []
    for level in range(height):
        name = node_name(level, index >> level ^ 1)
        node = read(name)
        if node is None:
            raise CorruptState(f"mountain range of {summary.count}: node {name.hex()} is missing")
        path.append(node)
    return ItemProof(index, tuple(path))


def verify(summary: Range, proof: ItemProof, item: bytes) -> None:
    """Check that `item` is number `proof.index` of the range. Raises: InvalidProof."""
    verify_leaf(summary, proof, leaf_hash(item))


def verify_leaf(summary: Range, proof: ItemProof, leaf: bytes) -> None:
    """As `verify`, of an item of which the leaf's hash alone is known."""
    peak, height = summary.tree_of(proof.index)
    if len(proof.path) != height:
        raise InvalidProof(f"item {proof.index} of {summary.count}: path of {len(proof.path)}, expected {height}")
    node = leaf
    for level, sibling in enumerate(proof.path):
        if len(sibling) != HASH_BYTES:
            raise InvalidProof(f"item {proof.index}: path[{level}] has {len(sibling)} bytes, expected {HASH_BYTES}")
        node = inner_hash(sibling, node) if proof.index >> level & 1 else inner_hash(node, sibling)
    if node != summary.peaks[peak]:
        raise InvalidProof(f"item {proof.index}: leads to {node.hex()}, expected peak {summary.peaks[peak].hex()}")
