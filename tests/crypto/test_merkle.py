"""Merkle roots and proofs: the vectors of RFC 6962 and CometBFT, crypto/merkle."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import merkle
from crypto.hash import sha256
from crypto.merkle import InvalidProof, Proof


def test_published_hashes() -> None:
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle.leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert (
        merkle.inner_hash(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"
    )


@pytest.mark.parametrize(
    ("items", "root"),
    [
        pytest.param([], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", id="empty"),
        pytest.param([b""], "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", id="one"),
        pytest.param(
            [bytes([n]) for n in range(1, 6)],
            "b2165c86fbfb34fa51840bb6ba3d5ce0d7dc31f2e605b5ba62c98fa86ff6746d",
            id="five",
        ),
    ],
)
def test_published_roots(items: list[bytes], root: str) -> None:
    assert merkle.root(items).hex() == root


@pytest.mark.parametrize(("count", "left"), [(2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (9, 8), (100, 64), (255, 128)])
def test_a_list_splits_strictly_below_its_length(count: int, left: int) -> None:
    assert merkle.split_point(count) == left


def by_definition(items: list[bytes]) -> bytes:
    if not items:
        return sha256(b"")
    if len(items) == 1:
        return merkle.leaf_hash(items[0])
    k = merkle.split_point(len(items))
    return merkle.inner_hash(by_definition(items[:k]), by_definition(items[k:]))


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_roots_and_proofs_follow_the_recursive_definition(items: list[bytes]) -> None:
    root, proofs = merkle.proofs(items)
    assert root == merkle.root(items) == by_definition(items)
    assert len(proofs) == len(items)
    for item, proof in zip(items, proofs, strict=True):
        proof.verify(root, item)
        assert Proof.from_proto(proof.to_proto()) == proof


ITEMS = [b"a", b"b", b"c", b"d", b"e"]
ROOT, PROOFS = merkle.proofs(ITEMS)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(replace(PROOFS[1], index=2), id="another index"),
        pytest.param(replace(PROOFS[1], index=5), id="index at total"),
        pytest.param(replace(PROOFS[1], index=-1), id="negative index"),
        pytest.param(replace(PROOFS[1], total=0), id="no leaves"),
        pytest.param(replace(PROOFS[1], total=-1), id="negative total"),
        pytest.param(replace(PROOFS[1], total=3), id="another total"),
        pytest.param(replace(PROOFS[1], aunts=PROOFS[1].aunts[:-1]), id="an aunt too few"),
        pytest.param(replace(PROOFS[1], aunts=(*PROOFS[1].aunts, ROOT)), id="an aunt too many"),
        pytest.param(replace(PROOFS[1], aunts=PROOFS[1].aunts[::-1]), id="aunts in the other order"),
        pytest.param(replace(PROOFS[1], aunts=(b"short",)), id="an aunt of the wrong size"),
        pytest.param(replace(PROOFS[1], aunts=(ROOT,) * 101), id="more aunts than allowed"),
        pytest.param(replace(PROOFS[1], leaf_hash=PROOFS[2].leaf_hash), id="another leaf"),
        pytest.param(replace(PROOFS[1], leaf_hash=b""), id="no leaf"),
        pytest.param(PROOFS[2], id="another item's proof"),
    ],
)
def test_a_wrong_proof_is_refused(bad: Proof) -> None:
    PROOFS[1].verify(ROOT, b"b")
    with pytest.raises(InvalidProof):
        bad.verify(ROOT, b"b")


def test_an_inner_node_cannot_pass_for_a_leaf() -> None:
    root, (left, right) = merkle.proofs([b"a", b"b"])
    with pytest.raises(InvalidProof):
        Proof(1, 0, root).verify(root, left.leaf_hash + right.leaf_hash)
