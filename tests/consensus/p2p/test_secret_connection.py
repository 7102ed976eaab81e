"""Secret connection: the sheet's vector value by value, frames, and sides that cheat.

The vector was computed with upstream's libraries (CometBFT v0.38); see the p2p sheet, section 1.
"""

from __future__ import annotations

import hashlib

import pytest
from google.protobuf.wrappers_pb2 import BytesValue
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.p2p.conn.errors import BadHandshake
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.conn.secret_connection import (
    SEALED_FRAME_BYTES,
    Opener,
    Sealer,
    SecretHandshake,
    derive_keys,
    derive_secrets,
    ephemeral_public,
    shared_secret,
)
from crypto.merlin import Transcript
from crypto.strobe import keccak_f1600
from proto.tendermint.p2p import conn_pb2
from tests.support.counts import counted

A, B = bytes([1]) * 32, bytes([2]) * 32
A_PUBLIC = bytes.fromhex("a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209")
B_PUBLIC = bytes.fromhex("ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59")
DH = bytes.fromhex("2ed76ab549b1e73c031eb49c9448f0798aea81b698279a0c3dc3e49fbfc4b953")
A_RECEIVE = bytes.fromhex("e57986db437b44e0f07279abf95e2c818b2ad8ab9e36f079d54b6a29be14d097")
A_SEND = bytes.fromhex("ce20ea7cf36f4d507a1cd6313cde6cf7a38c1148e49277aa79cf8390fc2a3ba9")
CHALLENGE = bytes.fromhex("4206c8c11bdca5a661d2a4939fd3566e52fbf4ea7501df0d089bcd055291f25d")
A_KEY = NodeKey.from_seed(hashlib.sha256(b"a").digest())
B_KEY = NodeKey.from_seed(hashlib.sha256(b"b").digest())
A_SIGNATURE = bytes.fromhex(
    "fc4ae3d352cd113129fe59bd118e32fbed1872378131f39bd73c9ae5f25ccc03"
    "f221900f3ccede7e9ff610f1d0d1ea494d3e826d42a20d3a30134244b72a9b0e"
)


def test_the_sheets_vector_value_by_value() -> None:
    assert ephemeral_public(A) == A_PUBLIC
    assert ephemeral_public(B) == B_PUBLIC
    assert shared_secret(A, B_PUBLIC) == DH == shared_secret(B, A_PUBLIC)
    assert derive_keys(DH, least=True) == (A_RECEIVE, A_SEND)
    a = derive_secrets(private=A, public=A_PUBLIC, peer_public=B_PUBLIC)
    b = derive_secrets(private=B, public=B_PUBLIC, peer_public=A_PUBLIC)
    assert (a.receive_key, a.send_key, a.challenge) == (A_RECEIVE, A_SEND, CHALLENGE)
    assert (b.receive_key, b.send_key, b.challenge) == (A_SEND, A_RECEIVE, CHALLENGE)
    assert A_KEY.public_key.hex() == "eae1c8793b5597c4b3f490e76ac31172c439690f8ee14142bb851a61f9a49f0e"
    assert A_KEY.id == "2c4e4d1de6fbfc05d950fc7e6461be3007dd16e4"
    assert A_KEY.sign(CHALLENGE) == A_SIGNATURE


def test_the_vectors_messages_on_the_wire() -> None:
    handshake = SecretHandshake(A_KEY, A)
    assert handshake.hello() == bytes.fromhex("220a20") + A_PUBLIC
    frame = handshake.receive_hello(bytes.fromhex("0a20") + B_PUBLIC)
    assert handshake.auth() == b"\x66\x0a\x22\x0a\x20" + A_KEY.public_key + b"\x12\x40" + A_SIGNATURE
    assert len(frame) == SEALED_FRAME_BYTES
    assert frame[:16].hex() == "eabe9185574bb151b337b2e8e66a8ecd"
    assert frame[-16:].hex() == "8d23101f47ab067ee1ddb6c44b940f3f"
    assert hashlib.sha256(frame).hexdigest() == "7f3874e95e05cce7ea929b45cdc5aa887a6ae37b76dc5fdb0347784e70fe9799"


def test_keccak_is_the_one_of_sha3() -> None:
    """One absorbed block by hand gives hashlib's SHA3-256 of the empty message."""
    state = bytearray(200)
    state[0], state[135] = 0x06, 0x80
    keccak_f1600(state)
    assert bytes(state[:32]) == hashlib.sha3_256(b"").digest()


def test_merlins_published_vector() -> None:
    """merlin's own equivalence test: its label, one message, one challenge."""
    transcript = Transcript(b"test protocol")
    transcript.append(b"some label", b"some data")
    assert (
        transcript.challenge(b"challenge", 32).hex()
        == "d5a21972d0d5fe320c0d263fac7fffb8145aa640af6e9bca177c03c7efcf0615"
    )


def pair() -> tuple[SecretHandshake, SecretHandshake]:
    """Two handshakes that have seen each other's hello."""
    a, b = SecretHandshake(A_KEY), SecretHandshake(B_KEY)
    hello_a, hello_b = a.hello(), b.hello()
    auth_a, auth_b = a.receive_hello(hello_b[1:]), b.receive_hello(hello_a[1:])
    assert a.receive_auth(a.opener.open(auth_b)[1:]) == B_KEY.public_key
    assert b.receive_auth(b.opener.open(auth_a)[1:]) == A_KEY.public_key
    return a, b


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=5000), max_size=6), st.integers(1, 3000))
def test_streams_survive_any_cutting(messages: list[bytes], cut: int) -> None:
    a, b = pair()
    wire = b"".join(a.sealer.seal(message) for message in messages)
    assert len(wire) == sum(-(-len(m) // 1024) for m in messages) * SEALED_FRAME_BYTES
    got = b"".join(b.opener.open(wire[at : at + cut]) for at in range(0, len(wire), cut))
    assert got == b"".join(messages)


@pytest.mark.parametrize("at", [0, 500, 1027, 1028, 1043])
def test_a_changed_frame_is_refused(at: int) -> None:
    a, b = pair()
    wire = bytearray(a.sealer.seal(b"hello"))
    wire[at] ^= 1
    with pytest.raises(BadHandshake, match="tag"):
        b.opener.open(bytes(wire))


def test_a_frame_that_comes_twice_is_refused() -> None:
    a, b = pair()
    wire = a.sealer.seal(b"hello")
    assert b.opener.open(wire) == b"hello"
    with pytest.raises(BadHandshake, match="tag"):
        b.opener.open(wire)


def test_a_frame_longer_than_its_data_is_refused() -> None:
    sealer, opener = Sealer(A), Opener(A)
    plain = (1025).to_bytes(4, "little") + bytes(1024)
    frame = sealer._encrypt(bytes(12), plain, None)
    with pytest.raises(BadHandshake, match="1025"):
        opener.open(frame)


LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_low_order_points_are_refused(point: str) -> None:
    with pytest.raises(BadHandshake, match="low order"):
        SecretHandshake(A_KEY).receive_hello(BytesValue(value=bytes.fromhex(point)).SerializeToString())


@pytest.mark.parametrize("size", [0, 5])
def test_short_ephemeral_keys_are_padded_with_zeros(size: int) -> None:
    """Upstream copies into 32 bytes; an empty key is the zero point and so of low order."""
    handshake = SecretHandshake(A_KEY, A)
    body = BytesValue(value=b"\x09" * size).SerializeToString()
    if size == 0:
        with pytest.raises(BadHandshake, match="low order"):
            handshake.receive_hello(body)
    else:
        frame = handshake.receive_hello(body)
        other = derive_secrets(private=A, public=A_PUBLIC, peer_public=b"\x09" * size + bytes(32 - size))
        assert Opener(other.send_key).open(frame) == handshake.auth()


def auth(key: bytes, signature: bytes, kind: str = "ed25519") -> bytes:
    message = conn_pb2.AuthSigMessage(sig=signature)
    setattr(message.pub_key, kind, key)
    return message.SerializeToString()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param(b"\xff\xff", "no AuthSigMessage", id="no protobuf"),
        pytest.param(b"", "None", id="no key"),
        pytest.param(auth(A_KEY.public_key[:31], A_SIGNATURE), "31 bytes", id="short key"),
        pytest.param(auth(b"\x02" + bytes(32), A_SIGNATURE, "secp256k1"), "secp256k1", id="another kind of key"),
        pytest.param(auth(A_KEY.public_key, b""), "not good", id="no signature"),
        pytest.param(auth(A_KEY.public_key, bytes(64)), "not good", id="zero signature"),
        pytest.param(auth(B_KEY.public_key, A_SIGNATURE), "not good", id="another's signature"),
        pytest.param(auth(A_KEY.public_key, A_KEY.sign(b"x" * 32)), "not good", id="of another challenge"),
        pytest.param(auth(bytes(32), bytes(64)), "not good", id="a key that is no honest point"),
    ],
)
def test_false_identities_are_refused(body: bytes, why: str) -> None:
    """As upstream's evil connections: refused key, bad key, refused signature, bad signature."""
    handshake = SecretHandshake(B_KEY, B)
    handshake.receive_hello(bytes.fromhex("0a20") + A_PUBLIC)
    assert handshake.receive_auth(auth(A_KEY.public_key, A_SIGNATURE)) == A_KEY.public_key
    with pytest.raises(BadHandshake, match=why):
        handshake.receive_auth(body)


@given(st.binary(max_size=200))
@settings(max_examples=counted(40, whole=100), deadline=None)
def test_random_bytes_raise_nothing_else(body: bytes) -> None:
    handshake = SecretHandshake(B_KEY, B)
    for step in (handshake.receive_hello, handshake.receive_auth):
        try:
            step(body)
        except BadHandshake:
            break
