"""Public and private keys: Ed25519 by ZIP-215, secp256k1, ML-DSA-65; and the table of their types.

Ed25519 is judged in two steps: what libsodium accepts is accepted, because its set is a subset; what it refuses is
decided by a ZIP-215 verifier. libsodium alone would part us from other nodes on crafted signatures.
`verify` answers False for anything malformed and never raises. The libsodium calls release the GIL.
Source: CometBFT v0.38, spec/core/encoding.md (Public Key Cryptography); RFC 8032; ZIP-215; BIP-146 (low s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

import ed25519_zebra
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from crypto.errors import InvalidKey
from crypto.hash import ADDRESS_BYTES, ripemd160, sha256
from crypto.mldsa import (
    ML_DSA_65,
    ML_DSA_65_KEY_BYTES,
    ML_DSA_65_SIGNATURE_BYTES,
    MlDsa65PrivKey,
    MlDsa65PubKey,
)
from proto.tendermint.crypto import keys_pb2 as pb

Bytes: TypeAlias = bytes  # the classes below have a field of that name

ED25519: Final = "ed25519"
SECP256K1: Final = "secp256k1"
SIGNATURE_BYTES: Final = 64
ED25519_KEY_BYTES: Final = 32
SECP256K1_KEY_BYTES: Final = 33
SECP256K1_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


class PubKey(Protocol):
    """What the rest of the program asks of a public key. Hashable and comparable by type and bytes."""

    @property
    def type(self) -> str:
        """One of KEY_TYPES, as in the consensus parameters."""
        ...

    @property
    def bytes(self) -> Bytes: ...

    @property
    def address(self) -> Bytes:
        """20 bytes."""
        ...

    def verify(self, message: Bytes, signature: Bytes) -> bool: ...


class PrivKey(Protocol):
    @property
    def type(self) -> str: ...

    @property
    def bytes(self) -> Bytes:
        """As the key files store it."""
        ...

    @property
    def pub_key(self) -> PubKey: ...

    def sign(self, message: Bytes) -> Bytes: ...


@dataclass(frozen=True, slots=True)
class Ed25519PubKey:
    bytes: Bytes  # 32
    address: Bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.bytes) != ED25519_KEY_BYTES:
            raise InvalidKey(f"ed25519 public key has {len(self.bytes)} bytes, expected {ED25519_KEY_BYTES}")
        object.__setattr__(self, "address", sha256(self.bytes)[:ADDRESS_BYTES])

    @property
    def type(self) -> str:
        return ED25519

    def verify(self, message: Bytes, signature: Bytes) -> bool:
        return ed25519_verify(self.bytes, message, signature)


def ed25519_verify(pub_key: Bytes, message: Bytes, signature: Bytes) -> bool:
    """Whether `signature` is `pub_key`'s for `message` by ZIP-215."""
    if len(signature) != SIGNATURE_BYTES or len(pub_key) != ED25519_KEY_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, pub_key)
    except BadSignatureError:
        return ed25519_verify_zip215(pub_key, message, signature)
    return True


def ed25519_verify_zip215(pub_key: Bytes, message: Bytes, signature: Bytes) -> bool:
    """ZIP-215 alone: for what libsodium refuses, and to test that the two agree on the rest."""
    try:
        return bool(ed25519_zebra.ed_verify(signature, message, pub_key))  # type: ignore[attr-defined]  # native, no stubs
    except (ValueError, TypeError):
        return False  # a public key that is no point


@dataclass(frozen=True, slots=True)
class Ed25519PrivKey:
    bytes: Bytes = field(repr=False)  # 64: seed, then public key
    pub_key: Ed25519PubKey = field(init=False)

    def __post_init__(self) -> None:
        if len(self.bytes) != 64:
            raise InvalidKey(f"ed25519 private key has {len(self.bytes)} bytes, expected 64")
        public, _ = crypto_sign_seed_keypair(self.bytes[:32])
        if public != self.bytes[32:]:  # signing with another public half would leak the key
            raise InvalidKey("ed25519 private key: its second half is not the public key of its first")
        object.__setattr__(self, "pub_key", Ed25519PubKey(public))

    @staticmethod
    def from_seed(seed: Bytes) -> Ed25519PrivKey:
        """seed: 32 bytes, secret and uniformly random."""
        if len(seed) != 32:
            raise InvalidKey(f"ed25519 seed has {len(seed)} bytes, expected 32")
        return Ed25519PrivKey(crypto_sign_seed_keypair(seed)[1])

    @property
    def type(self) -> str:
        return ED25519

    def sign(self, message: Bytes) -> Bytes:
        """64 bytes, the same each time."""
        return crypto_sign(message, self.bytes)[:SIGNATURE_BYTES]


@dataclass(frozen=True, slots=True)
class Secp256k1PubKey:
    bytes: Bytes  # 33, compressed
    address: Bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.bytes) != SECP256K1_KEY_BYTES:
            raise InvalidKey(f"secp256k1 public key has {len(self.bytes)} bytes, expected {SECP256K1_KEY_BYTES}")
        object.__setattr__(self, "address", ripemd160(sha256(self.bytes)))

    @property
    def type(self) -> str:
        return SECP256K1

    def verify(self, message: Bytes, signature: Bytes) -> bool:
        """r ‖ s over SHA-256 of `message`; high s is refused, so that a signature has one form."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        if not (0 < r < SECP256K1_ORDER and 0 < s <= SECP256K1_ORDER // 2):
            return False
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), self.bytes)
            key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Secp256k1PrivKey:
    bytes: Bytes = field(repr=False)  # 32, big-endian scalar
    pub_key: Secp256k1PubKey = field(init=False)

    def __post_init__(self) -> None:
        if len(self.bytes) != 32 or not 0 < int.from_bytes(self.bytes, "big") < SECP256K1_ORDER:
            raise InvalidKey("secp256k1 private key must be 32 bytes, above 0 and below the group's order")
        public = self._key().public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        object.__setattr__(self, "pub_key", Secp256k1PubKey(public))

    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(self.bytes, "big"), ec.SECP256K1())

    @property
    def type(self) -> str:
        return SECP256K1

    def sign(self, message: Bytes) -> Bytes:
        """64 bytes r ‖ s with low s."""
        r, s = decode_dss_signature(self._key().sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + min(s, SECP256K1_ORDER - s).to_bytes(32, "big")


# ------------------------------------------------------------------------------------------------- the types


@dataclass(frozen=True, slots=True)
class KeyType:
    """What the formats need to know of a type of key. A further one is a row of KEY_TYPES, and nothing else.

    name: in consensus parameters. prefix, suffix: of its names in amino-JSON, around PubKey and PrivKey. field: of the
    protobuf's PublicKey; go_field: its name in JSON made of it. key_bytes, signature_bytes: exact.
    """

    name: str
    prefix: str
    suffix: str
    field: str
    go_field: str
    key_bytes: int
    signature_bytes: int
    pub_key: Callable[[Bytes], PubKey]
    priv_key: Callable[[Bytes], PrivKey]
    from_secret: Callable[[Bytes], PrivKey]

    @property
    def pub_key_name(self) -> str:
        """In amino-JSON."""
        return f"{self.prefix}/PubKey{self.suffix}"

    @property
    def priv_key_name(self) -> str:
        """In amino-JSON."""
        return f"{self.prefix}/PrivKey{self.suffix}"


SECRET_BYTES: Final = 32  # what `KeyType.from_secret` makes a key of: uniformly random, and kept secret

KEY_TYPES: Final[dict[str, KeyType]] = {
    kind.name: kind
    for kind in (
        KeyType(
            ED25519, "tendermint", "Ed25519", "ed25519", "Ed25519", ED25519_KEY_BYTES, SIGNATURE_BYTES,
            Ed25519PubKey, Ed25519PrivKey, Ed25519PrivKey.from_seed,
        ),
        KeyType(
            SECP256K1, "tendermint", "Secp256k1", "secp256k1", "Secp256K1", SECP256K1_KEY_BYTES, SIGNATURE_BYTES,
            Secp256k1PubKey, Secp256k1PrivKey, Secp256k1PrivKey,
        ),
        KeyType(
            ML_DSA_65, "cometbft", "MlDsa65", "mldsa65", "Mldsa65", ML_DSA_65_KEY_BYTES, ML_DSA_65_SIGNATURE_BYTES,
            MlDsa65PubKey, MlDsa65PrivKey, MlDsa65PrivKey.from_seed,
        ),
    )
}  # fmt: skip
_BY_FIELD: Final = {kind.field: kind for kind in KEY_TYPES.values()}
_BY_SIZE: Final = {kind.key_bytes: kind for kind in KEY_TYPES.values()}
_NAMES: Final = ", ".join(KEY_TYPES)

KEY_BYTES_MAX: Final = max(_BY_SIZE)
SIGNATURE_BYTES_MAX: Final = max(kind.signature_bytes for kind in KEY_TYPES.values())

assert len(_BY_SIZE) == len(KEY_TYPES)  # `pub_key_of` tells types by their size


def key_type(name: str) -> KeyType:
    """Raises InvalidKey for an unknown one."""
    kind = KEY_TYPES.get(name)
    if kind is None:
        raise InvalidKey(f"key type {name!r} is not supported; allowed: {_NAMES}")
    return kind


def make_pub_key(type: str, data: Bytes) -> PubKey:
    """Raises InvalidKey for an unknown type or a wrong size."""
    return key_type(type).pub_key(data)


def make_priv_key(type: str, data: Bytes) -> PrivKey:
    """Raises InvalidKey for an unknown type or a wrong size."""
    return key_type(type).priv_key(data)


def pub_key_of(data: Bytes) -> PubKey:
    """Bytes alone, where nothing says the type: each type has a size of its own. Raises InvalidKey for another size."""
    kind = _BY_SIZE.get(len(data))
    if kind is None:
        sizes = ", ".join(f"{kind.key_bytes} ({kind.name})" for kind in KEY_TYPES.values())
        raise InvalidKey(f"public key has {len(data)} bytes; allowed: {sizes}")
    return kind.pub_key(data)


def signature_bytes(key: PubKey) -> int:
    """How many bytes a signature by `key` has."""
    return KEY_TYPES[key.type].signature_bytes


def encode_pub_key(key: PubKey) -> Bytes:
    """Protobuf bytes of the key as a PublicKey message."""
    return pub_key_to_proto(key).SerializeToString()


def pub_key_to_proto(key: PubKey) -> pb.PublicKey:
    message = pb.PublicKey()
    setattr(message, KEY_TYPES[key.type].field, key.bytes)
    return message


def pub_key_from_proto(message: pb.PublicKey) -> PubKey:
    """Raises InvalidKey for an absent or unsupported key, or one of a wrong size."""
    which = message.WhichOneof("sum")
    kind = _BY_FIELD.get(which or "")
    if kind is None:
        raise InvalidKey(f"public key of type {which or 'none'} is not supported; allowed: {_NAMES}")
    data: bytes = getattr(message, kind.field)
    return kind.pub_key(data)
