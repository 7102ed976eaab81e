"""The secret connection: who is at the other end, and frames that nobody else can read or change.

Station-to-station: X25519, a Merlin transcript, HKDF-SHA256, ed25519 identities, ChaCha20-Poly1305 frames. No I/O
here: bytes go in, bytes come out, and a fault of the other side is a BadHandshake.
Source: CometBFT v0.38, spec/p2p/legacy-docs/peer.md, p2p/conn/secret_connection.go; RFC 7748, RFC 8439, RFC 5869.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import BytesValue
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from consensus.p2p.conn.errors import BadHandshake
from consensus.p2p.conn.node_key import NodeKey, node_id
from consensus.p2p.conn.packets import delimited
from crypto.merlin import Transcript
from proto.tendermint.p2p import conn_pb2

FRAME_DATA_BYTES: Final = 1024
FRAME_BYTES: Final = 4 + FRAME_DATA_BYTES
SEALED_FRAME_BYTES: Final = FRAME_BYTES + 16
HANDSHAKE_MESSAGE_BYTES_MAX: Final = 4096  # honest ones have 35 and 103 bytes; nobody unknown fills memory with more
NONCE_MAX: Final = 2**64 - 1

_KEYS_INFO = b"TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN"
_TRANSCRIPT_LABEL = b"TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH"
_ZEROS = bytes(FRAME_DATA_BYTES)
_FULL = FRAME_DATA_BYTES.to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Secrets:
    """What both sides derive: two frame keys (32 bytes each, as seen from here) and the challenge to sign (32)."""

    receive_key: bytes
    send_key: bytes
    challenge: bytes


def derive_keys(dh: bytes, *, least: bool) -> tuple[bytes, bytes]:
    """Return (receive key, send key) from the shared secret; `least` says that our ephemeral key sorts first."""
    okm = HKDF(SHA256(), length=96, salt=None, info=_KEYS_INFO).derive(dh)
    return (okm[:32], okm[32:64]) if least else (okm[32:64], okm[:32])


def shared_secret(private: bytes, peer_public: bytes) -> bytes:
    """X25519. Raises BadHandshake for a low-order point, whose result is all zero."""
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(peer_public))
    except ValueError as error:
        raise BadHandshake(f"the ephemeral key {peer_public.hex()} is a point of low order") from error


def ephemeral_public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def derive_secrets(*, private: bytes, public: bytes, peer_public: bytes) -> Secrets:
    """Raises BadHandshake for a low-order peer key."""
    dh = shared_secret(private, peer_public)
    lower, upper = sorted((public, peer_public))
    transcript = Transcript(_TRANSCRIPT_LABEL)
    transcript.append(b"EPHEMERAL_LOWER_PUBLIC_KEY", lower)
    transcript.append(b"EPHEMERAL_UPPER_PUBLIC_KEY", upper)
    transcript.append(b"DH_SECRET", dh)
    receive_key, send_key = derive_keys(dh, least=public == lower)
    return Secrets(receive_key, send_key, transcript.challenge(b"SECRET_CONNECTION_MAC", 32))


def _proves(public_key: bytes, challenge: bytes, signature: bytes) -> bool:
    """libsodium's strict rule, not ZIP-215: under the latter anybody can sign for a key of low order.

    Nothing here needs the agreement of other nodes, and every honest signature passes.
    """
    if len(signature) != 64:
        return False
    try:
        crypto_sign_open(signature + challenge, public_key)
    except BadSignatureError:
        return False
    return True


class Sealer:
    """Turns a stream of bytes into sealed frames, one nonce each."""

    __slots__ = ("_counter", "_encrypt")

    def __init__(self, key: bytes) -> None:
        self._encrypt = ChaCha20Poly1305(key).encrypt
        self._counter = 0

    def seal(self, data: bytes) -> bytes:
        """Return ceil(len(data) / 1024) frames of 1044 bytes, padded with zeros."""
        counter, encrypt = self._counter, self._encrypt
        assert counter + len(data) < NONCE_MAX, "the nonces of this connection are used up"
        frames = []
        for start in range(0, len(data), FRAME_DATA_BYTES):
            chunk = data[start : start + FRAME_DATA_BYTES]
            size = len(chunk)
            full = size == FRAME_DATA_BYTES
            plain = _FULL + chunk if full else size.to_bytes(4, "little") + chunk + _ZEROS[size:]
            frames.append(encrypt((counter << 32).to_bytes(12, "little"), plain, None))
            counter += 1
        self._counter = counter
        return b"".join(frames)


class Opener:
    """Turns received bytes back into the stream; keeps at most one incomplete frame."""

    __slots__ = ("_counter", "_decrypt", "_rest")

    def __init__(self, key: bytes) -> None:
        self._decrypt = ChaCha20Poly1305(key).decrypt
        self._counter = 0
        self._rest = b""

    def open(self, data: bytes) -> bytes:
        """Return the stream bytes of all frames that are complete now. Raises BadHandshake: tag or length wrong."""
        if self._rest:
            data = self._rest + data
        counter, decrypt = self._counter, self._decrypt
        chunks = []
        end = len(data) - len(data) % SEALED_FRAME_BYTES
        for start in range(0, end, SEALED_FRAME_BYTES):
            try:
                plain = decrypt((counter << 32).to_bytes(12, "little"), data[start : start + SEALED_FRAME_BYTES], None)
            except InvalidTag as error:
                raise BadHandshake(f"frame {counter}: the authentication tag is wrong") from error
            counter += 1
            size = int.from_bytes(plain[:4], "little")
            if size > FRAME_DATA_BYTES:
                raise BadHandshake(f"frame {counter - 1}: length is {size}, at most {FRAME_DATA_BYTES} allowed")
            chunks.append(plain[4 : 4 + size])
        self._counter = counter
        self._rest = data[end:]
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class SecretHandshake:
    """Our side of one handshake: `hello` out, theirs into `receive_hello`, `auth` out, theirs into `receive_auth`."""

    __slots__ = ("_key", "_private", "_public", "_secrets", "opener", "sealer")

    opener: Opener
    sealer: Sealer

    def __init__(self, key: NodeKey, ephemeral: bytes | None = None) -> None:
        """`ephemeral`: the 32-byte X25519 private key; fresh by default, given by tests only."""
        self._key = key
        self._private = ephemeral if ephemeral is not None else os.urandom(32)
        self._public = ephemeral_public(self._private)
        self._secrets: Secrets | None = None

    def hello(self) -> bytes:
        """Return our ephemeral public key as it goes on the wire (35 bytes)."""
        return delimited(BytesValue(value=self._public).SerializeToString())

    def receive_hello(self, body: bytes) -> bytes:
        """Take the body of their hello, return our sealed authentication.

        Raises BadHandshake when it is no BytesValue or holds a low-order point.
        """
        try:
            value = BytesValue.FromString(body).value
        except DecodeError as error:
            raise BadHandshake(f"hello is no BytesValue: {body[:40].hex()}") from error
        peer_public = value[:32].ljust(32, b"\0")
        self._secrets = derive_secrets(private=self._private, public=self._public, peer_public=peer_public)
        self.sealer = Sealer(self._secrets.send_key)
        self.opener = Opener(self._secrets.receive_key)
        return self.sealer.seal(self.auth())

    def auth(self) -> bytes:
        """Return our delimited AuthSigMessage (103 bytes), before sealing."""
        assert self._secrets is not None, "their hello comes first"
        message = conn_pb2.AuthSigMessage()
        message.pub_key.ed25519 = self._key.public_key
        message.sig = self._key.sign(self._secrets.challenge)
        return delimited(message.SerializeToString())

    def receive_auth(self, body: bytes) -> bytes:
        """Take the body of their AuthSigMessage, return the 32-byte ed25519 key that they proved to hold.

        Raises BadHandshake: no such message, another kind of key, a signature that is not good.
        """
        assert self._secrets is not None, "their hello comes first"
        try:
            message = conn_pb2.AuthSigMessage.FromString(body)
        except DecodeError as error:
            raise BadHandshake(f"authentication is no AuthSigMessage: {body[:40].hex()}") from error
        kind = message.pub_key.WhichOneof("sum")
        if kind != "ed25519":
            raise BadHandshake(f"authentication: the key's kind is {kind}, expected ed25519")
        public_key = message.pub_key.ed25519
        if len(public_key) != 32:
            raise BadHandshake(f"authentication: the ed25519 key has {len(public_key)} bytes, expected 32")
        if not _proves(public_key, self._secrets.challenge, message.sig):
            raise BadHandshake(f"authentication: the signature of {node_id(public_key)} is not good")
        return public_key
