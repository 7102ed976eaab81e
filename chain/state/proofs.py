"""Proofs from a key to the app hash of a header: made from a view, and verified without one.

A proof is two operations: the key's existence or absence in its store (`ics23:smt`), then the store's root under its
name in the app hash (`ics23:simple`). The state of version H is proved by the header of H+1.
Source: docs/decisions/0003; CometBFT v0.38, crypto/merkle/proof_op.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chain.state import ics23, smt
from chain.state.errors import CorruptState, InvalidPair
from chain.state.roots import STORE_NAMES, root_item
from chain.state.view import View
from consensus.abci.interface import ProofOp
from crypto import merkle
from crypto.merkle import InvalidProof

SMT_OP = "ics23:smt"
SIMPLE_OP = "ics23:simple"
SPECS = (ics23.SMT, ics23.SIMPLE)  # of the two operations: from the key up to the app hash


class Proved(NamedTuple):
    """What was asked for (None: it is absent), and the two operations that show it."""

    value: bytes | None
    ops: tuple[ProofOp, ...]


def prove(view: View, store: str, key: bytes) -> Proved:
    """Prove what `key` is in `store` at the view's version.

    Raises: UnknownStore; InvalidPair (a key that no store can hold needs no proof).
    """
    if not 0 < len(key) <= smt.KEY_BYTES_MAX:
        raise InvalidPair(store, key, f"the key has {len(key)} bytes; allowed: 1 to {smt.KEY_BYTES_MAX}")
    proof = prove_in_store(view, store, key)
    value = proof.value if isinstance(proof, ics23.Existence) else None
    return Proved(
        value,
        (
            ProofOp(SMT_OP, key, ics23.encode(proof, ics23.SMT)),
            ProofOp(SIMPLE_OP, store.encode(), ics23.encode(_prove_root(view, store), ics23.SIMPLE)),
        ),
    )


def verify(ops: Sequence[ProofOp], app_hash: bytes, *, store: str, key: bytes, value: bytes | None) -> None:
    """Check that under `app_hash` the key of the store is `value`, or has none (None). Raises: InvalidProof."""
    kinds = tuple(op.type for op in ops)
    if kinds != (SMT_OP, SIMPLE_OP):
        raise InvalidProof(f"proof operations are {kinds}, expected {(SMT_OP, SIMPLE_OP)}")
    if (ops[0].key, ops[1].key) != (key, store.encode()):
        raise InvalidProof(
            f"proof operations are for {ops[0].key.hex()} in {ops[1].key!r}, expected {store} {key.hex()}"
        )
    if store not in STORE_NAMES:
        raise InvalidProof(f"proof names store {store!r}; allowed: {', '.join(STORE_NAMES)}")
    upper = ics23.decode(ops[1].data, ics23.SIMPLE)
    if not isinstance(upper, ics23.Existence) or len(upper.value) != ics23.HASH_BYTES:
        raise InvalidProof("the store's root is not shown to exist")
    ics23.verify_existence(upper, ics23.SIMPLE, app_hash, key=store.encode(), value=upper.value)
    lower = ics23.decode(ops[0].data, ics23.SMT)
    if value is None:
        if not isinstance(lower, ics23.Absence):
            raise InvalidProof("proof shows a value where absence was claimed")
        ics23.verify_absence(lower, ics23.SMT, upper.value, key=key)
    else:
        if not isinstance(lower, ics23.Existence):
            raise InvalidProof("proof shows absence where a value was claimed")
        ics23.verify_existence(lower, ics23.SMT, upper.value, key=key, value=value)


def prove_in_store(view: View, store: str, key: bytes) -> ics23.Existence | ics23.Absence:
    """The proof under the store's own root."""
    return _Walk(view, store).prove(key)


def _prove_root(view: View, store: str) -> ics23.Existence:
    """The store's root under the app hash, in the form that TendermintSpec takes."""
    _, made = merkle.proofs([root_item(name, view.roots[name]) for name in STORE_NAMES])
    proof = made[STORE_NAMES.index(store)]
    path = tuple(
        ics23.Step(is_right=not is_left, sibling=aunt)
        for aunt, is_left in zip(proof.aunts, merkle.sides(proof.index, proof.total), strict=True)
    )
    return ics23.Existence(store.encode(), view.roots[store], path)


class _Walk:
    """Reads one store's tree; each page is decoded and hashed once."""

    def __init__(self, view: View, store: str) -> None:
        self._view, self._store = view, store
        self._heaps: dict[str, list[smt.Node]] = {}

    def prove(self, key: bytes) -> ics23.Existence | ics23.Absence:
        """Existence, or absence by the nearest leaf on each side."""
        path = smt.path_of(key)
        nearest: dict[bool, tuple[str, smt.Node]] = {}  # is_right -> page and node, the deeper the nearer
        name = ""
        while True:
            heap = self._heap(name)
            slot = smt.SLOTS + int(path[len(name)], 16)
            for is_right, slots in ((False, range(slot - 1, 15, -1)), (True, range(slot + 1, 32))):
                found = next((number for number in slots if heap[number]), None)
                if found is not None:
                    nearest[is_right] = (name + smt.DIGITS[found - smt.SLOTS], heap[found])
            node = heap[slot]
            name += path[len(name)]
            if len(node) != smt.HASH_BYTES:
                break
        if smt.is_leaf(node):
            other = node[smt.HASH_BYTES :]
            if other == key:
                return self._existence(key, name)
            nearest[smt.path_of(other) > path] = (name, node)
        return ics23.Absence(key, self._edge(nearest.get(False), last=True), self._edge(nearest.get(True), last=False))

    def _edge(self, start: tuple[str, smt.Node] | None, *, last: bool) -> ics23.Existence | None:
        """The proof of the last or first leaf at or below a slot, whose name is a page's and a digit."""
        if start is None:
            return None
        name, node = start
        while not smt.is_leaf(node):
            heap = self._heap(name)
            slots = range(31, 15, -1) if last else range(16, 32)
            slot = next(number for number in slots if heap[number])
            name, node = name + smt.DIGITS[slot - smt.SLOTS], heap[slot]
        return self._existence(node[smt.HASH_BYTES :], name)

    def _existence(self, key: bytes, name: str) -> ics23.Existence:
        """The proof of a leaf that sits in the slot `name`."""
        value = self._view.get(self._store, key)
        if value is None:
            raise CorruptState(f"store {self._store}: key {key.hex()} is in the tree and has no value")
        steps: list[ics23.Step] = []
        lifted = True  # as long as the leaf is alone, the nodes above it are the leaf itself
        for depth in range(len(name) - 1, -1, -1):
            heap = self._heap(name[:depth])
            slot = smt.SLOTS + int(name[depth], 16)
            while slot > 1:
                lifted = lifted and smt.is_leaf(heap[slot >> 1])
                if not lifted:
                    steps.append(ics23.Step(is_right=bool(slot & 1), sibling=smt.hash_of(heap[slot ^ 1])))
                slot >>= 1
        return ics23.Existence(key, value, tuple(steps))

    def _heap(self, name: str) -> list[smt.Node]:
        """A page's 31 nodes in heap order from index 1; the slots are 16 to 31."""
        heap = self._heaps.get(name)
        if heap is None:
            page = self._view.page(self._store, name)
            if page is None:
                raise CorruptState(f"store {self._store} at {self._view.version}: page {name!r} is missing")
            heap = [b""] * smt.SLOTS + smt.slots_of(page)
            for number in range(smt.SLOTS - 1, 0, -1):
                heap[number] = smt.join(heap[2 * number], heap[2 * number + 1])
            self._heaps[name] = heap
        return heap
