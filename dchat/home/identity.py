"""Identity files: an account's key, made by `dchat keygen`.

JSON with type, address, key and whether it is a burner (an identity to be thrown away: a validator refuses it as its
operator's). The address follows from the key and is checked against it on load; a key that was made for an account of
another one (`--for`, to be changed to: `dchat tx rotate-keys`) names that, too. Errors never show a secret.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from chain.tx.envelope.build import Wallet
from chain.tx.policies import address_of_key
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.system.files import write_new_secret
from crypto.bech32 import decode_address, encode_address
from crypto.errors import InvalidKey
from crypto.keys import Ed25519PrivKey
from dchat.home.documents import document_of, fault_text
from dchat.home.errors import IdentityError

FILE_TYPE = "dchat/identity/v1"
FILE_BYTES_MAX = 65_536  # the file has some hundred bytes; whatever is larger is another file


@dataclass(frozen=True)
class Identity:
    """A key, its account, and where they came from."""

    wallet: Wallet
    burner: bool = False
    created: str = ""

    @property
    def address(self) -> bytes:
        return self.wallet.address

    @property
    def address_text(self) -> str:
        """`dchat1...`"""
        return encode_address(self.wallet.address)

    def __repr__(self) -> str:
        return f"Identity({self.address_text})"  # never the secret

    def dumps(self) -> str:
        """The file's text. Secret."""
        own = address_of_key(self.wallet.public_key)
        acts_for = {} if self.address == own else {"account": self.address_text}
        return json.dumps(
            {
                "type": FILE_TYPE,
                "address": encode_address(own),
                **acts_for,
                "public_key": {"type": "ed25519", "value": _base64(self.wallet.public_key)},
                "private_key": {"type": "ed25519", "value": _base64(self.wallet.key.bytes)},
                "burner": self.burner,
                "created": self.created,
            },
            indent=2,
        )

    def save(self, path: Path) -> None:
        """Write the file with mode 0600. Raises IdentityError when there is one: an identity is never overwritten."""
        try:
            write_new_secret(path, self.dumps() + "\n")
        except FileExistsError:
            raise IdentityError(f"{path} exists; an identity is never overwritten: choose another file") from None


def generate(*, burner: bool = False, account: bytes = b"") -> Identity:
    """A new key from the system's randomness. account: that it is made for, where it is not the key's own."""
    wallet = Wallet(Ed25519PrivKey.from_seed(secrets.token_bytes(32)), account)
    return Identity(wallet, burner, format_rfc3339(time.time_ns() // NS_PER_S * NS_PER_S))


def load(path: Path) -> Identity:
    """Raises IdentityError: unreadable, another kind of file, or an address that is not the key's."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise IdentityError(f"{path}: cannot be read: {error.strerror}") from None
    if len(raw) > FILE_BYTES_MAX:
        raise IdentityError(
            f"{path}: has more than {FILE_BYTES_MAX} bytes; an identity file has at most {FILE_BYTES_MAX}"
        )
    try:
        return _parse(document_of(raw, FILE_TYPE))
    except (KeyError, TypeError, ValueError, InvalidKey) as error:
        # Of what json and base64 raise, the text never holds the value.
        raise IdentityError(f"{path}: is no identity file: {fault_text(error)}") from None


def _parse(document: dict[str, object]) -> Identity:
    private = document["private_key"]
    if not isinstance(private, dict) or private["type"] != "ed25519":
        raise ValueError("private_key.type is not ed25519")
    account = document.get("account")
    acts_for = b"" if account is None else decode_address(str(account))
    wallet = Wallet(Ed25519PrivKey(base64.b64decode(private["value"], validate=True)), acts_for)
    public = document["public_key"]
    if not isinstance(public, dict) or public["value"] != _base64(wallet.public_key):
        raise ValueError("public_key is not the private key's")
    own = encode_address(address_of_key(wallet.public_key))
    if document["address"] != own:
        raise ValueError(f"address is {document['address']!r}, the key's is {own!r}")
    return Identity(wallet, bool(document.get("burner")), str(document.get("created", "")))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
