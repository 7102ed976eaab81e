"""ML-DSA-65: signatures that others made and judged, the table of key types, and a library that has none."""

from __future__ import annotations

import copy
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import keys, mldsa
from crypto.batch import SignatureCache, verify_many
from crypto.errors import InvalidKey
from crypto.hash import sha256
from crypto.keys import KEY_TYPES, SECRET_BYTES, Ed25519PrivKey, KeyType
from crypto.mldsa import MlDsa65PrivKey, MlDsa65PubKey

VECTORS = Path(__file__).parents[1] / "data" / "ml-dsa-65" / "wycheproof.jsonl.xz"
KEY = MlDsa65PrivKey.from_seed(sha256(b"a"))


def vectors() -> list[dict[str, Any]]:
    with lzma.open(VECTORS, "rt") as file:
        return [json.loads(line) for line in file]


def test_signatures_of_others_are_judged_as_their_makers_say() -> None:
    """Of all 294: a context that is not empty, as no vote has one, makes a good signature a bad one."""
    judged = {True: 0, False: 0}
    for vector in vectors():
        public, message = bytes.fromhex(vector["public_key"]), bytes.fromhex(vector["message"])
        signature = bytes.fromhex(vector["signature"])
        if len(public) != mldsa.ML_DSA_65_KEY_BYTES:
            with pytest.raises(InvalidKey, match="expected 1952"):
                MlDsa65PubKey(public)
            continue
        wanted = vector["valid"] and not vector["context"]
        assert MlDsa65PubKey(public).verify(message, signature) is wanted, (vector["file"], vector["id"])
        judged[wanted] += 1
    assert judged[True] > 100
    assert judged[False] > 100


def test_seeds_make_the_keys_that_others_make_of_them() -> None:
    seeds = {vector["seed"]: vector["public_key"] for vector in vectors() if "seed" in vector}
    assert len(seeds) > 10
    for seed, public in seeds.items():
        assert MlDsa65PrivKey.from_seed(bytes.fromhex(seed)).pub_key.bytes.hex() == public


def test_each_signature_is_another_and_all_are_good() -> None:
    """Hedged: whoever must not sign twice repeats what is on record."""
    one, two = KEY.sign(b"message"), KEY.sign(b"message")
    assert one != two
    assert len(one) == len(two) == mldsa.ML_DSA_65_SIGNATURE_BYTES
    assert KEY.pub_key.verify(b"message", one)
    assert KEY.pub_key.verify(b"message", two)
    assert not KEY.pub_key.verify(b"messagf", one)


@pytest.mark.parametrize("kind", KEY_TYPES.values(), ids=lambda kind: kind.name)
def test_a_type_of_key_is_what_its_row_says(kind: KeyType) -> None:
    private = kind.from_secret(sha256(b"secret"))
    public = private.pub_key
    assert (private.type, public.type) == (kind.name, kind.name)
    assert len(public.bytes) == kind.key_bytes
    assert len(private.sign(b"m")) == kind.signature_bytes == keys.signature_bytes(public)
    assert len(public.address) == 20
    assert keys.make_pub_key(kind.name, public.bytes) == public == keys.pub_key_of(public.bytes)
    assert keys.make_priv_key(kind.name, private.bytes).pub_key == public
    message = keys.pub_key_to_proto(public)
    assert message.WhichOneof("sum") == kind.field
    assert keys.pub_key_from_proto(message) == public
    assert copy.deepcopy(public) == public
    assert hash(keys.make_pub_key(kind.name, public.bytes)) == hash(public)
    assert private.bytes.hex() not in repr(private)
    for size in (0, kind.key_bytes - 1, kind.key_bytes + 1):
        with pytest.raises(InvalidKey):
            keys.make_pub_key(kind.name, bytes(size))
    with pytest.raises(InvalidKey):
        keys.make_priv_key(kind.name, bytes(SECRET_BYTES + 1))


def test_unknown_types_and_sizes_are_refused_by_what_is_allowed() -> None:
    with pytest.raises(InvalidKey, match="'bls12381' is not supported; allowed: ed25519, secp256k1, ml_dsa_65"):
        keys.make_pub_key("bls12381", bytes(48))
    with pytest.raises(InvalidKey, match=r"has 48 bytes; allowed: 32 \(ed25519\), 33 \(secp256k1\), 1952"):
        keys.pub_key_of(bytes(48))
    message = keys.pub_key_to_proto(KEY.pub_key)
    message.bls12381 = bytes(48)
    with pytest.raises(InvalidKey, match="bls12381"):
        keys.pub_key_from_proto(message)


def test_a_private_key_packed_by_others_is_refused_with_the_reason() -> None:
    with pytest.raises(InvalidKey, match=r"packed form of CometBFT's files.*seed"):
        MlDsa65PrivKey(bytes(4_032))


def test_a_set_of_several_types_is_judged_each_by_its_own() -> None:
    """The batch of the native part has no row for any other type than its own."""
    made = [
        KEY,
        Ed25519PrivKey.from_seed(sha256(b"b")),
        *(KEY_TYPES[name].from_secret(sha256(b"c")) for name in KEY_TYPES),
    ]
    checks = [(key.pub_key, b"m%d" % at, key.sign(b"m%d" % at)) for at, key in enumerate(made)]
    checks += [(key.pub_key, b"other", key.sign(b"one")) for key in made]
    wanted = [True] * len(made) + [False] * len(made)
    assert verify_many(checks) == wanted
    cache = SignatureCache()
    assert cache.verify_many(checks) == wanted
    assert len(cache) == len(made)
    assert cache.verify_many(checks) == wanted


@given(st.binary(max_size=4_000), st.binary(max_size=64))
def test_junk_is_no_signature(signature: bytes, message: bytes) -> None:
    assert not KEY.pub_key.verify(message, signature)
    good = KEY.sign(message)
    assert not KEY.pub_key.verify(message, good[: len(signature)] if len(signature) < len(good) else good + b"\0")


class _Old:
    """What `cryptography` is with an OpenSSL that has no ML-DSA."""

    class MLDSA65PrivateKey:
        @staticmethod
        def from_seed_bytes(seed: bytes) -> None:
            raise mldsa.UnsupportedAlgorithm("ML-DSA-65 is not supported by this version of OpenSSL")


@pytest.mark.parametrize(("library", "told"), [(None, "has none"), (_Old, "not supported by this version of OpenSSL")])
def test_without_the_library_a_key_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, library: object, told: str
) -> None:
    monkeypatch.setattr(mldsa, "_library", library)
    mldsa.why_missing.cache_clear()
    try:
        for make, data in ((keys.make_priv_key, bytes(32)), (keys.make_pub_key, KEY.pub_key.bytes)):
            with pytest.raises(InvalidKey, match=rf"ml_dsa_65 keys cannot be used here: .*{told}.*cryptography 47"):
                make("ml_dsa_65", data)
    finally:
        monkeypatch.undo()
        mldsa.why_missing.cache_clear()
    assert mldsa.why_missing() == ""
