"""The node's key and what follows from it: its id, its signature in the handshake, its file.

The file is CometBFT's `config/node_key.json`, mode 0600. Node id: lowercase hex of the first 20 bytes of
SHA-256(public key). Source: CometBFT v0.38, p2p/key.go.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from consensus.documents.files import format_node_key, parse_node_key
from consensus.system.files import give_name
from crypto.hash import ADDRESS_BYTES, sha256
from crypto.keys import Ed25519PrivKey

NODE_ID_CHARS = 2 * ADDRESS_BYTES


def node_id(public_key: bytes) -> str:
    """Return the 40 hex characters that name the holder of an ed25519 key (32 bytes)."""
    return sha256(public_key)[:ADDRESS_BYTES].hex()


def is_node_id(text: str) -> bool:
    return len(text) == NODE_ID_CHARS and all(c in "0123456789abcdef" for c in text)


class NodeKey:
    """An ed25519 key pair that names a node."""

    __slots__ = ("_key", "id", "public_key")

    def __init__(self, key: Ed25519PrivKey) -> None:
        self._key = key
        self.public_key = key.pub_key.bytes
        self.id = node_id(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"NodeKey({self.id})"  # never the secret

    @classmethod
    def from_seed(cls, seed: bytes) -> NodeKey:
        """seed: 32 bytes. Raises InvalidKey (a ValueError) for another size."""
        return cls(Ed25519PrivKey.from_seed(seed))

    @classmethod
    def generate(cls) -> NodeKey:
        return cls.from_seed(secrets.token_bytes(32))

    @classmethod
    def load(cls, path: Path) -> NodeKey:
        """Raises ValueError (naming the file and what is wrong), OSError."""
        try:
            key = parse_node_key(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if not isinstance(key, Ed25519PrivKey):
            raise ValueError(f"{path}: a node's key is ed25519, this one is {key.type}")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all, mode 0600. Raises FileExistsError: a key is never overwritten."""
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "w") as file:
                file.write(format_node_key(self._key))
                file.flush()
                os.fsync(file.fileno())
            give_name(draft, path)
        except OSError as error:
            error.filename = error.filename or str(path)
            raise
        finally:
            draft.unlink(missing_ok=True)
