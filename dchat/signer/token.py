"""A consensus key on a PKCS#11 token: Ed25519, made there or brought there, which never leaves it.

The private key is found by its label, and so is the public one. Of a wrong PIN tokens lock themselves after some tries:
one that was refused is not said again before the file of the PIN is another.
Source: PKCS#11 3.0, current mechanisms: CKM_EDDSA, CKK_EC_EDWARDS; RFC 8410 for the curve's name.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from consensus.privval.errors import KeyLost
from crypto.keys import ED25519_KEY_BYTES, SIGNATURE_BYTES, Ed25519PrivKey, Ed25519PubKey
from dchat.home.errors import HomeError
from dchat.home.key_file import secret_of

CURVE: Final = bytes.fromhex("06032b6570")  # the object identifier 1.3.101.112: Ed25519
POINT_HEAD: Final = bytes((0x04, ED25519_KEY_BYTES))  # DER: an octet string of 32 bytes
HOW_TO_INSTALL: Final = (
    "a PKCS#11 token needs python-pkcs11: pip install 'dchat-validator[hsm]', in a checkout "
    ".venv/bin/pip install -e '.[hsm]'"
)


def check_library() -> None:
    """Raises KeyLost: python-pkcs11 is missing. It is not loaded."""
    if importlib.util.find_spec("pkcs11") is None:
        raise KeyLost(HOW_TO_INSTALL)


@dataclass
class Token:
    """slot: its number, or the token's label; empty: the only one."""

    library: Path
    slot: str
    pin_file: Path
    label: str

    def __post_init__(self) -> None:
        self._session: Any = None
        self._refused_pin = b""  # its digest

    @property
    def where(self) -> str:
        return f"PKCS#11 token {self.slot or 'in the only slot'}, key {self.label!r}"

    def open(self) -> None:
        self._load()
        self._session = None
        with self._plainly("opening it"):
            library = self._pkcs11.lib(str(self.library))
            library.reinitialize()  # what was open before may be of a token that is gone
            self._session = self._log_in(self._token_of(library))

    def _load(self) -> None:
        check_library()
        self._pkcs11: Any = importlib.import_module("pkcs11")
        self._errors: Any = importlib.import_module("pkcs11.exceptions")
        if not self.library.is_file():
            raise KeyLost(f"--pkcs11-library {self.library}: there is no such file")

    def _token_of(self, library: Any) -> Any:
        initialized = self._pkcs11.TokenFlag.TOKEN_INITIALIZED
        slots = [slot for slot in library.get_slots(token_present=True) if slot.get_token().flags & initialized]
        found = [slot for slot in slots if str(slot.slot_id) == self.slot]
        if not found:
            found = [slot for slot in slots if not self.slot or slot.get_token().label.strip() == self.slot]
        if len(found) != 1:
            there = ", ".join(f"{slot.slot_id} ({slot.get_token().label.strip()})" for slot in slots) or "none"
            raise KeyLost(f"--pkcs11-slot {self.slot!r}: {len(found)} tokens are of it; there are: {there}"[:1_000])
        return found[0].get_token()

    def _log_in(self, token: Any) -> Any:
        try:
            pin = secret_of(self.pin_file, "PIN")
        except HomeError as error:
            raise KeyLost(str(error)) from None
        digest = hashlib.sha256(pin.encode()).digest()
        if digest == self._refused_pin:
            raise KeyLost(
                f"{self.where}: it refused the PIN in {self.pin_file}, which is not tried again before the file is "
                "another: a token locks itself after some wrong ones"
            )
        try:
            return token.open(rw=True, user_pin=pin)
        except (self._errors.PinIncorrect, self._errors.PinInvalid, self._errors.PinLenRange):
            self._refused_pin = digest
            raise KeyLost(f"{self.where}: it refuses the PIN in {self.pin_file}") from None

    def public_key(self) -> Ed25519PubKey:
        kinds = self._pkcs11.ObjectClass
        with self._plainly("reading its public key"):
            point = bytes(self._only(kinds.PUBLIC_KEY)[self._pkcs11.Attribute.EC_POINT])
        key = point.removeprefix(POINT_HEAD) if len(point) != ED25519_KEY_BYTES else point
        if len(key) != ED25519_KEY_BYTES:
            raise KeyLost(f"{self.where}: its public key has {len(point)} bytes, which is no Ed25519 key")
        return Ed25519PubKey(key)

    def sign(self, message: bytes) -> bytes:
        with self._plainly("signing"):
            key = self._only(self._pkcs11.ObjectClass.PRIVATE_KEY)
            signature = bytes(key.sign(message, mechanism=self._pkcs11.Mechanism.EDDSA))
        if len(signature) != SIGNATURE_BYTES:
            raise KeyLost(f"{self.where}: its signature has {len(signature)} bytes, expected {SIGNATURE_BYTES}")
        return signature

    def make(self) -> Ed25519PubKey:
        names = self._pkcs11.Attribute
        self._check_free()
        with self._plainly("making a key"):
            curve = self._session.create_domain_parameters(
                self._pkcs11.KeyType.EC_EDWARDS, {names.EC_PARAMS: CURVE}, local=True
            )
            curve.generate_keypair(
                mechanism=self._pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=self.label,
                private_template={names.SENSITIVE: True, names.EXTRACTABLE: False, names.SIGN: True},
            )  # fmt: skip
        return self.public_key()

    def bring(self, key: Ed25519PrivKey) -> None:
        names, kinds = self._pkcs11.Attribute, self._pkcs11.ObjectClass
        self._check_free()
        both = {
            names.KEY_TYPE: self._pkcs11.KeyType.EC_EDWARDS, names.EC_PARAMS: CURVE, names.TOKEN: True,
            names.LABEL: self.label,
        }  # fmt: skip
        secret = {
            names.CLASS: kinds.PRIVATE_KEY, names.VALUE: key.bytes[:ED25519_KEY_BYTES], names.PRIVATE: True,
            names.SENSITIVE: True, names.EXTRACTABLE: False, names.SIGN: True,
        }  # fmt: skip
        public = {names.CLASS: kinds.PUBLIC_KEY, names.EC_POINT: POINT_HEAD + key.pub_key.bytes, names.VERIFY: True}
        with self._plainly("bringing a key there"):
            self._session.create_object(both | secret)
            self._session.create_object(both | public)

    def _only(self, kind: Any) -> Any:
        if self._session is None:
            raise KeyLost(f"{self.where}: it is not open")
        wanted = {self._pkcs11.Attribute.CLASS: kind, self._pkcs11.Attribute.LABEL: self.label}
        found = list(self._session.get_objects(wanted))
        if len(found) != 1:
            raise KeyLost(f"{self.where}: {len(found)} objects {kind.name} have this label; expected one")
        return found[0]

    def _check_free(self) -> None:
        with self._plainly("looking for a key"):
            if any(self._session.get_objects({self._pkcs11.Attribute.LABEL: self.label})):
                raise KeyLost(
                    f"{self.where}: there is an object of this label; a key is never overwritten: name another by "
                    "--pkcs11-key-label, or take up this one: `dchat signer adopt`"
                )

    @contextlib.contextmanager
    def _plainly(self, what: str) -> Iterator[None]:
        """What the library says: no text of it holds the PIN."""
        try:
            yield
        except (self._errors.PKCS11Error, RuntimeError, AttributeError) as error:
            raise KeyLost(f"{self.where}: {what}: {type(error).__name__} {error}".strip()[:500]) from None
