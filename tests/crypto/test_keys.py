"""Keys and signatures: data sheet section 6, ZIP-215."""

from __future__ import annotations

import pytest

from crypto import keys
from crypto.batch import SignatureCache, verify_many
from crypto.errors import InvalidKey
from crypto.hash import sha256
from crypto.keys import (
    SECP256K1_ORDER,
    Ed25519PrivKey,
    Ed25519PubKey,
    Secp256k1PrivKey,
    Secp256k1PubKey,
    ed25519_verify,
    ed25519_verify_zip215,
)
from tests.support.ed25519 import SMALL, L, decompress, of_mixed_order


def test_published_addresses() -> None:
    key = Ed25519PrivKey.from_seed(sha256(b"a"))
    assert key.pub_key.bytes.hex() == "eae1c8793b5597c4b3f490e76ac31172c439690f8ee14142bb851a61f9a49f0e"
    assert key.pub_key.address.hex() == "2c4e4d1de6fbfc05d950fc7e6461be3007dd16e4"
    secp = Secp256k1PubKey(bytes.fromhex("0318cb65bc2cb6e92d4b854afbdf0fe5e2190fa47dc6aa916babb53050e8fb8dce"))
    assert secp.address.hex() == "917c5c130e6b970ff1d451aae89d50e28256f3da"


def test_rfc8032_signature() -> None:
    """Test 2 of RFC 8032, section 7.1."""
    key = Ed25519PrivKey.from_seed(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    assert key.pub_key.bytes.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = key.sign(b"\x72")
    assert signature.hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert key.pub_key.verify(b"\x72", signature)


@pytest.mark.parametrize(
    "make", [lambda: Ed25519PrivKey.from_seed(sha256(b"k")), lambda: Secp256k1PrivKey(sha256(b"k"))]
)
def test_signatures_bind_key_and_message(make) -> None:  # type: ignore[no-untyped-def]
    key = make()
    signature = key.sign(b"message")
    assert key.sign(b"message") == signature or key.type == keys.SECP256K1
    assert key.pub_key.verify(b"message", signature)
    assert not key.pub_key.verify(b"messagf", signature)
    assert not key.pub_key.verify(b"", signature)
    assert not key.pub_key.verify(b"message", signature[:-1])
    assert not key.pub_key.verify(b"message", signature + b"\x00")
    assert not key.pub_key.verify(b"message", b"")
    for position in (0, 31, 32, 63):
        flipped = bytearray(signature)
        flipped[position] ^= 1
        assert not key.pub_key.verify(b"message", bytes(flipped)), position
    again = keys.make_pub_key(key.type, key.pub_key.bytes)
    assert again == key.pub_key
    assert keys.pub_key_from_proto(keys.pub_key_to_proto(again)) == again
    assert keys.make_priv_key(key.type, key.bytes).pub_key == key.pub_key


def test_zip215_accepts_every_small_order_pair() -> None:
    """With s = 0 the equation holds for each pair; libsodium refuses them all, CometBFT accepts them all."""
    assert len(SMALL) == 14
    for a in SMALL:
        for r in SMALL:
            assert ed25519_verify(a, b"Zcash", r + bytes(32)), (a.hex(), r.hex())
            assert Ed25519PubKey(a).verify(b"Zcash", r + bytes(32))


def test_a_scalar_of_the_groups_order_or_more_is_refused() -> None:
    key = Ed25519PrivKey.from_seed(sha256(b"malleable"))
    signature = key.sign(b"m")
    s = int.from_bytes(signature[32:], "little")
    assert not key.pub_key.verify(b"m", signature[:32] + (s + L).to_bytes(32, "little"))
    assert not ed25519_verify(SMALL[0], b"m", SMALL[0] + L.to_bytes(32, "little"))


def test_mixed_order_signatures_follow_the_cofactored_equation() -> None:
    """R shifted by a small-order point passes ZIP-215 when k is computed over the bytes as given."""
    public, signature = of_mixed_order(b"m")
    assert ed25519_verify(public, b"m", signature)
    assert not ed25519_verify(public, b"n", signature)


def test_zip215_agrees_with_libsodium_on_ordinary_signatures() -> None:
    for number in range(20):
        key = Ed25519PrivKey.from_seed(sha256(bytes([number])))
        signature = key.sign(b"m%d" % number)
        assert ed25519_verify_zip215(key.pub_key.bytes, b"m%d" % number, signature)
        assert not ed25519_verify_zip215(key.pub_key.bytes, b"x", signature)


def test_a_public_key_that_is_no_point_verifies_nothing() -> None:
    no_point = next(e for y in range(2, 40) if decompress(y) is None for e in [y.to_bytes(32, "little")])
    signature = Ed25519PrivKey.from_seed(sha256(b"k")).sign(b"m")
    assert not Ed25519PubKey(no_point).verify(b"m", signature)
    assert not Secp256k1PubKey(b"\x02" + b"\xff" * 32).verify(b"m", signature)
    assert not ed25519_verify(b"short", b"m", signature)


def test_secp256k1_signatures_have_one_form() -> None:
    key = Secp256k1PrivKey(sha256(b"k"))
    signature = key.sign(b"m")
    r, s = signature[:32], int.from_bytes(signature[32:], "big")
    assert s <= SECP256K1_ORDER // 2
    high = (SECP256K1_ORDER - s).to_bytes(32, "big")
    for bad in (r + high, bytes(32) + signature[32:], r + bytes(32), b"\xff" * 32 + signature[32:]):
        assert not key.pub_key.verify(b"m", bad)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: Ed25519PubKey(b"x" * 31), id="ed25519 public"),
        pytest.param(lambda: Ed25519PrivKey(b"x" * 63), id="ed25519 private"),
        pytest.param(lambda: Ed25519PrivKey(b"x" * 64), id="ed25519 private with another public half"),
        pytest.param(lambda: Ed25519PrivKey.from_seed(b"x" * 31), id="ed25519 seed"),
        pytest.param(lambda: Secp256k1PubKey(b"\x02" * 32), id="secp256k1 public"),
        pytest.param(lambda: Secp256k1PrivKey(bytes(32)), id="secp256k1 zero"),
        pytest.param(lambda: Secp256k1PrivKey(SECP256K1_ORDER.to_bytes(32, "big")), id="secp256k1 order"),
        pytest.param(lambda: keys.make_pub_key("bls12381", b"x" * 48), id="unknown public"),
        pytest.param(lambda: keys.make_priv_key("bls12381", b"x" * 48), id="unknown private"),
        pytest.param(lambda: keys.pub_key_from_proto(keys.pb.PublicKey()), id="absent"),
        pytest.param(lambda: keys.pub_key_from_proto(keys.pb.PublicKey(bls12381=b"x" * 48)), id="unsupported"),
    ],
)
def test_what_is_no_key_is_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidKey):
        make()


def test_private_keys_do_not_print() -> None:
    key = Ed25519PrivKey.from_seed(sha256(b"secret"))
    assert key.bytes.hex() not in repr(key)
    assert repr(key.bytes) not in repr(key)


def test_batches_answer_each_check() -> None:
    signers = [Ed25519PrivKey.from_seed(sha256(bytes([n]))) for n in range(5)] + [Secp256k1PrivKey(sha256(b"k"))]
    checks = [(key.pub_key, b"m", key.sign(b"m")) for key in signers]
    checks[2] = (checks[2][0], b"m", bytes(64))
    assert verify_many(checks) == [True, True, False, True, True, True]
    assert verify_many([]) == []


def test_the_cache_remembers_what_passed_and_only_that() -> None:
    key = Ed25519PrivKey.from_seed(sha256(b"k"))
    other = Ed25519PrivKey.from_seed(sha256(b"l"))
    cache = SignatureCache(checks_max=2)
    good = [(key.pub_key, message, key.sign(message)) for message in (b"1", b"2", b"3")]
    bad = (other.pub_key, b"1", good[0][2])
    assert cache.verify_many([good[0], bad]) == [True, False]
    assert good[0] in cache
    assert bad not in cache
    assert cache.verify_many(good) == [True, True, True]
    assert len(cache) == 2
    assert good[0] not in cache
