"""Account files: who may sign for an account of several keys (`dchat keygen --multisig`). Nothing in them is secret.

JSON with type, address, how many members are needed, and the members: each so many of some public keys. The address
follows from these and is checked on load; a file that was made for another account (`--for`) names that, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.tx.envelope.build import Shared
from chain.tx.errors import TxError
from chain.tx.policies import Group, parse_policy, policy_address, threshold_policy
from consensus.system.files import write_new
from crypto.bech32 import decode_address, encode_address
from dchat.home import identity
from dchat.home.documents import fault_text
from dchat.home.errors import IdentityError
from dchat.home.identity import FILE_BYTES_MAX, Identity

FILE_TYPE = "dchat/account/v1"


@dataclass(frozen=True)
class SharedAccount:
    """An account by its keys, without any of them."""

    wallet: Shared

    @property
    def address(self) -> bytes:
        return self.wallet.address

    @property
    def address_text(self) -> str:
        """`dchat1...`"""
        return encode_address(self.wallet.address)

    def dumps(self) -> str:
        """The file's text."""
        policy = parse_policy(self.wallet.policy)
        own = policy_address(self.wallet.policy)
        document = {
            "type": FILE_TYPE,
            "address": encode_address(own),
            **({} if self.address == own else {"account": self.address_text}),
            "needed": policy.needed,
            "members": [
                {"needed": group.needed, "public_keys": [key.hex() for key in group.keys]} for group in policy.groups
            ],
        }
        return json.dumps(document, indent=2)

    def save(self, path: Path) -> None:
        """Raises IdentityError when there is one."""
        try:
            write_new(path, self.dumps() + "\n")
        except FileExistsError:
            raise IdentityError(f"{path} exists: choose another file") from None


Account = Identity | SharedAccount


def load_account(path: Path) -> Account:
    """An identity, or an account of several keys. Raises IdentityError."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
        document = json.loads(raw) if len(raw) <= FILE_BYTES_MAX else None
    except (OSError, ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("type") != FILE_TYPE:
        return identity.load(path)  # which says what is wrong with it, too
    try:
        return _parse(document)
    except (KeyError, TypeError, ValueError, TxError) as error:
        raise IdentityError(f"{path}: is no account file: {fault_text(error)}") from None


def _parse(document: Mapping[str, Any]) -> SharedAccount:
    members = [
        Group(int(member["needed"]), tuple(bytes.fromhex(key) for key in member["public_keys"]))
        for member in document["members"]
    ]
    policy = threshold_policy(int(document["needed"]), members)
    if document["address"] != encode_address(policy_address(policy)):
        raise ValueError(f"address is {document['address']!r}, the keys' is {encode_address(policy_address(policy))!r}")
    account = document.get("account")
    return SharedAccount(Shared(policy, address=b"" if account is None else decode_address(str(account))))
