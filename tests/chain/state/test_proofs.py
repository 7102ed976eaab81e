"""Proofs by our own verifier: honest ones at every version, and forged ones refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.state import ics23, proofs
from chain.state.errors import InvalidPair, UnknownStore
from chain.state.roots import BRIDGE, CHAT, CURRENCY
from chain.state.store import SENTINEL_KEY
from chain.state.view import View
from consensus.abci.interface import ProofOp
from crypto.merkle import InvalidProof
from proto.ics23 import proofs_pb2 as pb
from tests.support.counts import counted
from tests.support.state.naive import digest
from tests.support.state.proofs import HELD, KEYS, MISSING, PRESENT, VIEW, stores_of


def check(view: View, key: bytes, value: bytes | None, store: str = CHAT) -> None:
    proved = proofs.prove(view, store, key)
    assert proved.value == value
    proofs.verify(proved.ops, view.app_hash, store=store, key=key, value=value)
    for other in {None, b"another", value or b"any"} - {value}:
        with pytest.raises(InvalidProof):
            proofs.verify(proved.ops, view.app_hash, store=store, key=key, value=other)


@settings(max_examples=30, deadline=None)
@given(present=st.sets(st.sampled_from(KEYS)))
def test_each_key_is_proved_present_or_absent(present: set[bytes]) -> None:
    view = stores_of(sorted(present)).at()
    for key in KEYS:
        check(view, key, b"of " + key if key in present else None)
    check(view, SENTINEL_KEY, b"\x01")
    check(view, b"key 1", None, store=BRIDGE)  # beside the sentinel alone: a root that is a leaf


def test_old_versions_stay_provable_until_pruned() -> None:
    stores = stores_of([])
    for version in range(1, 30):
        changed = dict.fromkeys(KEYS[version % 7 :: 3], b"%d" % version) | {KEYS[version]: None}
        stores.commit(stores.prepare(version, {CHAT: changed}))
    stores.prune(12)
    values = {version: {key: stores.at(version).get(CHAT, key) for key in KEYS} for version in range(12, 30)}
    assert len({stores.at(version).app_hash for version in values}) == len(values)
    for version, pairs in values.items():
        for key, value in pairs.items():
            check(stores.at(version), key, value)


def test_a_view_outlives_later_commits_and_prunes() -> None:
    stores = stores_of(KEYS[:10])
    view = stores.at(0)
    for version in range(1, 6):
        stores.commit(stores.prepare(version, {CHAT: dict.fromkeys(KEYS, b"%d" % version)}))
    stores.prune(5)
    check(view, KEYS[3], b"of " + KEYS[3])
    check(view, KEYS[30], None)


@pytest.mark.parametrize(
    ("store", "key", "error"),
    [("chat", b"", InvalidPair), ("chat", bytes(224), InvalidPair), ("gossip", b"k", UnknownStore)],
)
def test_what_cannot_be_proved_is_refused(store: str, key: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        proofs.prove(stores_of([]).at(), store, key)


GONE = proofs.prove(VIEW, CHAT, MISSING)
ROOT = VIEW.roots[CHAT]


def exist(change: Callable[[pb.ExistenceProof], None]) -> bytes:
    message = pb.CommitmentProof.FromString(HELD.ops[0].data)
    change(message.exist)
    return message.SerializeToString()


def _move_into_prefix(proof: pb.ExistenceProof) -> None:
    """Dragonberry's way: bytes of the suffix counted as prefix, so that the hash stays and the meaning moves."""
    op = next(op for op in proof.path if op.suffix)
    op.prefix, op.suffix = op.prefix + op.suffix[:1], op.suffix[1:]


def _skip_a_level(proof: pb.ExistenceProof) -> None:
    """An inner node shown as a leaf: its two children as key and value of an unhashed leaf."""
    proof.leaf.prehash_key, proof.leaf.prehash_value, proof.leaf.prefix = pb.NO_HASH, pb.NO_HASH, b"\x01"
    child, step = ics23.SMT.leaf.apply(proof.key, proof.value), proof.path[0]
    left, right = (step.prefix[1:], child) if not step.suffix else (child, step.suffix)
    proof.key, proof.value = left, right
    del proof.path[0]


def _other_side(proof: pb.ExistenceProof) -> None:
    op = proof.path[-1]
    if op.suffix:
        op.prefix, op.suffix = op.prefix + op.suffix, b""
    else:
        op.prefix, op.suffix = op.prefix[:1], op.prefix[1:]


def _both_sides(proof: pb.ExistenceProof) -> None:
    proof.path[0].prefix, proof.path[0].suffix = b"\x01" + bytes(32), bytes(32)


def _set(**fields: object) -> Callable[[pb.ExistenceProof], None]:
    def change(proof: pb.ExistenceProof) -> None:
        for name, value in fields.items():
            setattr(proof, name, value)

    return change


def _leaf(**fields: object) -> Callable[[pb.ExistenceProof], None]:
    def change(proof: pb.ExistenceProof) -> None:
        for name, value in fields.items():
            setattr(proof.leaf, name, value)

    return change


def _deepen(proof: pb.ExistenceProof) -> None:
    while len(proof.path) <= 256:
        proof.path.append(proof.path[-1])


MUTATIONS = {
    "another value": _set(value=b"mine"),
    "another key": _set(key=KEYS[5]),
    "empty value": _set(value=b""),
    "empty key": _set(key=b""),
    "leaf: no key hash": _leaf(prehash_key=pb.NO_HASH),
    "leaf: no value hash": _leaf(prehash_value=pb.NO_HASH),
    "leaf: lengths": _leaf(length=pb.VAR_PROTO),
    "leaf: another hash": _leaf(hash=pb.SHA512),
    "leaf: longer prefix": _leaf(prefix=b"\x00\x01"),
    "leaf: inner prefix": _leaf(prefix=b"\x01"),
    "leaf: none": lambda proof: proof.ClearField("leaf"),
    "inner: suffix into prefix": _move_into_prefix,
    "inner: another hash": lambda proof: setattr(proof.path[0], "hash", pb.SHA512_256),
    "inner: no prefix": lambda proof: setattr(proof.path[0], "prefix", b""),
    "inner: leaf's prefix": lambda proof: setattr(proof.path[0], "prefix", b"\x00" + proof.path[0].prefix[1:]),
    "inner: both sides": _both_sides,
    "inner: long suffix": lambda proof: setattr(proof.path[0], "suffix", proof.path[0].suffix + bytes(32)),
    "a level shown as the leaf": _skip_a_level,
    "the other side": _other_side,
    "a step less": lambda proof: proof.path.pop(),
    "a step more": lambda proof: proof.path.append(proof.path[-1]),
    "too deep": _deepen,
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_forged_existence_is_refused(name: str) -> None:
    """Dragonberry: nothing that was changed in a proof of existence is taken for a proof."""
    data = exist(MUTATIONS[name])
    assert data != HELD.ops[0].data
    with pytest.raises(InvalidProof):
        verify_existence(data, PRESENT, b"of " + PRESENT)
    message = pb.CommitmentProof.FromString(data).exist
    if message.key and message.value:
        with pytest.raises(InvalidProof):  # neither for what it now claims
            verify_existence(data, message.key, message.value)


def verify_existence(data: bytes, key: bytes, value: bytes) -> None:
    proof = ics23.decode(data, ics23.SMT)
    assert isinstance(proof, ics23.Existence)
    ics23.verify_existence(proof, ics23.SMT, ROOT, key=key, value=value)


def existence(key: bytes) -> ics23.Existence:
    proof = proofs.prove_in_store(VIEW, CHAT, key)
    assert isinstance(proof, ics23.Existence)
    return proof


def _by_path(key: bytes) -> bytes:
    return digest(key)


def test_forged_absence_is_refused() -> None:
    """Dragonberry: no pair of leaves that is not next to the key on both sides shows its absence."""
    held = sorted([*KEYS[:20], SENTINEL_KEY], key=_by_path)
    claims = 0
    for key in [PRESENT, MISSING, held[0], held[-1], held[7]]:
        honest = proofs.prove_in_store(VIEW, CHAT, key)
        for left in [None, *held]:
            for right in [None, *held]:
                forged = ics23.Absence(key, left and existence(left), right and existence(right))
                if forged == honest:
                    ics23.verify_absence(forged, ics23.SMT, ROOT, key=key)
                    continue
                claims += 1
                with pytest.raises(InvalidProof):
                    ics23.verify_absence(forged, ics23.SMT, ROOT, key=key)
    assert claims > 5 * len(held) ** 2


def test_absence_past_a_subtree_called_empty_is_refused() -> None:
    """An inward sibling that is not empty cannot be made so: the root changes."""
    honest = proofs.prove_in_store(VIEW, CHAT, MISSING)
    assert isinstance(honest, ics23.Absence)
    assert honest.left is not None
    for number in range(len(honest.left.path)):
        path = list(honest.left.path)
        path[number] = dataclasses.replace(path[number], sibling=bytes(32))
        if path[number] == honest.left.path[number]:
            continue
        forged = dataclasses.replace(honest, left=dataclasses.replace(honest.left, path=tuple(path)))
        with pytest.raises(InvalidProof):
            ics23.verify_absence(forged, ics23.SMT, ROOT, key=MISSING)


def test_absence_of_another_key_is_refused() -> None:
    proof = ics23.decode(GONE.ops[0].data, ics23.SMT)
    assert isinstance(proof, ics23.Absence)
    ics23.verify_absence(proof, ics23.SMT, ROOT, key=MISSING)
    for key in (PRESENT, b"", MISSING + b"!"):
        with pytest.raises(InvalidProof):
            ics23.verify_absence(proof, ics23.SMT, ROOT, key=key)
    with pytest.raises(InvalidProof, match="no neighbour"):
        ics23.verify_absence(ics23.Absence(MISSING, None, None), ics23.SMT, ROOT, key=MISSING)


def _ops(lower: ProofOp | None = None, upper: ProofOp | None = None) -> tuple[ProofOp, ...]:
    return lower or HELD.ops[0], upper or HELD.ops[1]


UPPER = HELD.ops[1]
OTHER_ROOT = proofs.prove(VIEW, CURRENCY, b"c").ops[1]


@pytest.mark.parametrize(
    "ops",
    [
        pytest.param((), id="none"),
        pytest.param(_ops()[::-1], id="wrong way round"),
        pytest.param(_ops()[:1], id="without the upper"),
        pytest.param((*_ops(), UPPER), id="one more"),
        pytest.param(_ops(upper=OTHER_ROOT), id="another store's root"),
        pytest.param(_ops(upper=dataclasses.replace(OTHER_ROOT, key=b"chat")), id="another store's root, renamed"),
        pytest.param(_ops(upper=dataclasses.replace(UPPER, data=b"")), id="empty upper"),
        pytest.param(_ops(upper=dataclasses.replace(UPPER, data=HELD.ops[0].data)), id="the lower twice"),
        pytest.param(_ops(lower=dataclasses.replace(HELD.ops[0], data=b"\xff")), id="not protobuf"),
        pytest.param(_ops(lower=dataclasses.replace(HELD.ops[0], data=GONE.ops[0].data)), id="an absence"),
        pytest.param(_ops(lower=dataclasses.replace(HELD.ops[0], data=bytes(1 << 19))), id="too long"),
        pytest.param(_ops(lower=dataclasses.replace(HELD.ops[0], key=b"other")), id="another key in the operation"),
    ],
)
def test_forged_operations_are_refused(ops: tuple[ProofOp, ...]) -> None:
    proofs.verify(HELD.ops, VIEW.app_hash, store=CHAT, key=PRESENT, value=b"of " + PRESENT)
    with pytest.raises(InvalidProof):
        proofs.verify(ops, VIEW.app_hash, store=CHAT, key=PRESENT, value=b"of " + PRESENT)


def test_another_app_hash_store_or_batch_is_refused() -> None:
    value = b"of " + PRESENT
    with pytest.raises(InvalidProof):
        proofs.verify(HELD.ops, bytes(32), store=CHAT, key=PRESENT, value=value)
    with pytest.raises(InvalidProof):
        proofs.verify(HELD.ops, VIEW.app_hash, store=BRIDGE, key=PRESENT, value=value)
    single = pb.CommitmentProof.FromString(HELD.ops[0].data)
    batch = pb.CommitmentProof(batch=pb.BatchProof(entries=[pb.BatchEntry(exist=single.exist)]))
    with pytest.raises(InvalidProof, match="allowed: exist, nonexist"):
        ics23.decode(batch.SerializeToString(), ics23.SMT)


@settings(max_examples=counted(40, whole=150), deadline=None)
@given(data=st.data(), which=st.sampled_from([HELD, GONE]))
def test_no_changed_byte_makes_another_proof(data: st.DataObject, which: proofs.Proved) -> None:
    """A proof with one byte changed fails, or says exactly the same."""
    raw = bytearray(which.ops[0].data)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    ops = (dataclasses.replace(which.ops[0], data=bytes(raw)), which.ops[1])
    key = which.ops[0].key
    try:
        proofs.verify(ops, VIEW.app_hash, store=CHAT, key=key, value=which.value)
    except InvalidProof:
        return
    assert ics23.decode(bytes(raw), ics23.SMT) == ics23.decode(which.ops[0].data, ics23.SMT)
