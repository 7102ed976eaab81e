"""Files that show that somebody holds a key which an account is to be changed to. Nothing in them is secret."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chain.tx.messages.keys import rotation_hash
from consensus.system.files import replace_durably
from crypto.keys import Ed25519PrivKey, ed25519_verify
from dchat.home.accounts import Account
from dchat.home.documents import document_of, fault_text
from dchat.home.errors import IdentityError

FILE_TYPE: Final = "dchat/key-proof/v1"
FILE_BYTES_MAX: Final = 4_096


@dataclass(frozen=True)
class KeyProof:
    """policy: the account's new one, canonical."""

    chain_id: str
    account: str
    policy: bytes
    public_key: bytes
    signature: bytes

    @staticmethod
    def by(key: Ed25519PrivKey, chain_id: str, target: Account) -> KeyProof:
        """target: the account, with its new keys."""
        policy = target.wallet.policy
        signature = key.sign(rotation_hash(chain_id, target.address, policy))
        return KeyProof(chain_id, target.address_text, policy, key.pub_key.bytes, signature)

    def save(self, path: Path) -> None:
        """Raises IdentityError."""
        document = {
            "type": FILE_TYPE,
            "chain_id": self.chain_id,
            "account": self.account,
            "policy": self.policy.hex(),
            "public_key": self.public_key.hex(),
            "signature": self.signature.hex(),
        }
        try:
            replace_durably(path, json.dumps(document, indent=2) + "\n")
        except OSError as error:
            raise IdentityError(f"{path}: cannot be written: {error.strerror}") from None

    @staticmethod
    def load(path: Path, chain_id: str, target: Account) -> KeyProof:
        """Raises IdentityError: it is none, or not for this chain, account and policy."""
        wanted = {
            "type": FILE_TYPE,
            "chain_id": chain_id,
            "account": target.address_text,
            "policy": target.wallet.policy.hex(),
        }
        try:
            with path.open("rb") as file:
                document = document_of(file.read(FILE_BYTES_MAX), FILE_TYPE)
            for name, value in wanted.items():
                if document[name] != value:
                    raise ValueError(f"{name} is {document[name]!r}, expected {value!r}")
            public_key, signature = bytes.fromhex(document["public_key"]), bytes.fromhex(document["signature"])
            if not ed25519_verify(public_key, rotation_hash(chain_id, target.address, target.wallet.policy), signature):
                raise ValueError("the signature is not valid")
        except OSError as error:
            raise IdentityError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise IdentityError(f"{path}: is no proof for this: {fault_text(error)}") from None
        return KeyProof(chain_id, target.address_text, target.wallet.policy, public_key, signature)
