"""The consensus key's file, in its three forms: the key itself, the key under a passphrase, or where it is held.

All have CometBFT's `address` and `pub_key`, so that who only asks whose key it is needs no secret:

    priv_key    CometBFT's own form: the secret itself
    encrypted   the same file, by age with a passphrase (scrypt, work factor of age: about a second and 256 MiB)
    held        pkcs11 or kms: the secret is there, and never here (docs/signer.md)

Each is mode 0600: who may write it may have another key vote. Errors never show a secret.
Source: CometBFT v0.38, privval/file.go; age-encryption.org/v1.
"""

from __future__ import annotations

import base64
import getpass
import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from consensus.documents.files import format_validator_key, parse_validator_key
from consensus.documents.json import pub_key_from_json, pub_key_json
from consensus.formats.errors import InvalidFile, Malformed
from consensus.formats.json_text import Fields, dumps, loads
from consensus.system.files import is_private, sync_folder, write_new_secret
from crypto.keys import PrivKey, PubKey
from dchat.home.errors import HomeError

FILE_BYTES_MAX: Final = 65_536
PASSPHRASE_BYTES_MAX: Final = 4_096
PASSPHRASE_CHARS_MIN: Final = 8
HOLDERS: Final = {"pkcs11": "on a PKCS#11 token", "kms": "at AWS KMS"}


@dataclass(frozen=True)
class KeyFile:
    """What a key file says. One of the last three is set."""

    path: Path
    pub_key: PubKey
    private: PrivKey | None = None
    encrypted: bytes = b""
    held: str = ""

    @staticmethod
    def read(path: Path) -> KeyFile:
        """Raises HomeError: it cannot be read, is no key file, or others than its owner may use it."""
        try:
            if path.is_file() and not is_private(path):
                raise HomeError(f"{path}: others than its owner may use it; mend with: chmod 600 {path}")
            with path.open("rb") as file:
                text = file.read(FILE_BYTES_MAX + 1)
            if len(text) > FILE_BYTES_MAX:
                raise InvalidFile(f"more than {FILE_BYTES_MAX} bytes: no key file")
            return _parse(path, text)
        except OSError as error:
            raise HomeError(f"{path}: cannot be read: {error.strerror}") from None
        except (InvalidFile, Malformed) as error:
            raise HomeError(f"{path}: {error}") from None

    def unlock(self, passphrase_file: Path | None) -> PrivKey:
        """The key itself. Raises HomeError: it is held elsewhere, or the passphrase is missing or another."""
        if self.private is not None:
            return self.private
        if self.held:
            raise HomeError(
                f"{self.path}: the key itself is {HOLDERS[self.held]}: say how it is reached there, by --hsm and its "
                "options or [hsm] in validator-config.toml (docs/signer.md)"
            )
        return self.opened_by(passphrase_of(passphrase_file, self.path))

    def opened_by(self, passphrase: str) -> PrivKey:
        """The key of a file that is encrypted. Raises HomeError: the passphrase is another."""
        pyrage = importlib.import_module("pyrage")
        try:
            text = pyrage.passphrase.decrypt(self.encrypted, passphrase)
            key = parse_validator_key(text)
        except pyrage.DecryptError:
            raise HomeError(f"{self.path}: the passphrase is not the one that it was encrypted with") from None
        except InvalidFile as error:
            raise HomeError(f"{self.path}: what is encrypted there is no key: {error}") from None
        if key.pub_key != self.pub_key:
            raise HomeError(f"{self.path}: what is encrypted there is another key than the file says")
        return key


def _parse(path: Path, text: bytes) -> KeyFile:
    """Raises InvalidFile, Malformed."""
    name = path.name
    fields = Fields(loads(text, what=name, bytes_max=FILE_BYTES_MAX), name)
    if "held" in fields:
        held = fields.text("held")
        if held not in HOLDERS:
            raise InvalidFile(f"held is {held!r}; allowed: {', '.join(HOLDERS)}")
        return KeyFile(path, fields.read("pub_key", pub_key_from_json), held=held)
    if "encrypted" in fields:
        return KeyFile(path, fields.read("pub_key", pub_key_from_json), encrypted=fields.base64("encrypted"))
    key = parse_validator_key(text)
    address = key.pub_key.address.hex().upper()
    if "address" in fields and fields.text("address").upper() != address:
        raise InvalidFile(
            f"its address is not {address}, that of its private key: the file was damaged. Restore a copy"
        )
    return KeyFile(path, key.pub_key, private=key)


def format_held(pub_key: PubKey, held: str) -> str:
    return _format(pub_key, "held", held)


def format_encrypted(key: PrivKey, passphrase: str) -> str:
    """Raises HomeError: the passphrase is too short."""
    if len(passphrase) < PASSPHRASE_CHARS_MIN:
        raise HomeError(f"the passphrase has {len(passphrase)} characters; allowed: {PASSPHRASE_CHARS_MIN} and more")
    pyrage = importlib.import_module("pyrage")
    sealed: bytes = pyrage.passphrase.encrypt(format_validator_key(key).encode(), passphrase)
    return _format(key.pub_key, "encrypted", base64.b64encode(sealed).decode())


def _format(pub_key: PubKey, name: str, value: str) -> str:
    told: dict[str, Any] = {"address": pub_key.address.hex().upper(), "pub_key": pub_key_json(pub_key), name: value}
    return dumps(told, indent=2) + "\n"


def passphrase_of(file: Path | None, key_file: Path, *, twice: bool = False) -> str:
    """From its file, or asked for at the terminal; twice: of a new one. Raises HomeError."""
    if file is not None:
        return secret_of(file, "passphrase")
    if not sys.stdin.isatty():
        raise HomeError(
            f"{key_file} is encrypted, and nobody is at a terminal to ask: name a file of mode 0600 that holds the "
            "passphrase, by --passphrase-file or [validator] passphrase_file"
        )
    said = getpass.getpass(f"Passphrase of {key_file}: ")
    if twice and getpass.getpass("The same again: ") != said:
        raise HomeError("the two are not the same; nothing was changed")
    return said


def secret_of(file: Path, what: str) -> str:
    """A passphrase, or a PIN, from its file: all of the first line. Raises HomeError."""
    try:
        if not is_private(file):
            raise HomeError(f"{file}: others than its owner may use it; mend with: chmod 600 {file}")
        with file.open("rb") as opened:
            text = opened.read(PASSPHRASE_BYTES_MAX + 1)
        said = text.decode().partition("\n")[0].removesuffix("\r")
    except OSError as error:
        raise HomeError(f"{file}: the {what} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise HomeError(f"{file}: the {what} is not UTF-8 text") from None
    if not said or len(text) > PASSPHRASE_BYTES_MAX:
        raise HomeError(f"{file}: the first line is the {what}: 1 to {PASSPHRASE_BYTES_MAX} bytes")
    return said


def replace_key_file(path: Path, text: str) -> None:
    """Another form of the same key, in one step: a stop leaves the one or the other. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    write_new_secret(draft, text)
    os.replace(draft, path)
    sync_folder(path.parent)
