"""The files that a signer lives from: the key, the record of what it signed, and the key that its connection shows.

    priv_validator_key.json    the consensus key, in CometBFT's form
    priv_validator_state.json  how far it has signed; with its slots beside it while a signer runs
    signer_node_key.json       beside the key: who we are to the validator over TCP

All of them are mode 0600, and a signer refuses to start from others. A record is made together with its key alone.
Source: docs/signer.md; CometBFT v0.38, privval/file.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from consensus.documents.files import SignState, format_sign_state, format_validator_key
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.record import slots_path
from consensus.system.files import is_private, write_new_secret
from crypto.keys import ED25519, PrivKey, PubKey
from dchat.home.errors import HomeError
from dchat.home.home import BY_HAND, Home, new_key
from dchat.home.key_file import KeyFile, format_encrypted, format_held

NODE_KEY: Final = "signer_node_key.json"


@dataclass(frozen=True)
class SignerFiles:
    """passphrase: the file that holds the key file's; None: it is asked for."""

    key: Path
    state: Path
    passphrase: Path | None = None

    @staticmethod
    def of(home: Home) -> SignerFiles:
        return SignerFiles(home.validator_key, home.sign_state, home.passphrase)

    @property
    def node_key(self) -> Path:
        return self.key.with_name(NODE_KEY)

    def make(self, kind: str = ED25519, passphrase: str | None = None) -> None:
        """A new key with its empty record. kind: its type. passphrase: its file is encrypted by it, from the first byte
        on. Raises HomeError: there is one already, or only one of both, or no such key can be made here; OSError."""
        self.check_new()
        key = new_key(kind)
        text = format_validator_key(key) + "\n" if passphrase is None else format_encrypted(key, passphrase)
        write_new_secret(self.state, format_sign_state(SignState()) + "\n")  # a stop in between leaves no key without
        write_new_secret(self.key, text)

    def write_held(self, pub_key: PubKey, held: str, *, never_signed: bool) -> None:
        """The key's file, of one that is held elsewhere; with an empty record, where the key never signed. Raises
        HomeError, OSError."""
        self._check_new(self.key, *((self.state,) if never_signed else ()))
        if never_signed:
            write_new_secret(self.state, format_sign_state(SignState()) + "\n")
        write_new_secret(self.key, format_held(pub_key, held))

    def load_key_file(self) -> KeyFile:
        """Raises HomeError."""
        return KeyFile.read(self.key)

    def load_key(self) -> PrivKey:
        """The key itself. Raises HomeError."""
        return self.load_key_file().unlock(self.passphrase)

    def load_node_key(self) -> NodeKey:
        """Made where it is missing. Raises HomeError, OSError."""
        if not self.node_key.exists():
            NodeKey.generate().save(self.node_key)
        self._check_private(self.node_key)
        try:
            return NodeKey.load(self.node_key)
        except ValueError as error:
            raise HomeError(str(error)) from None

    def check_record(self) -> None:
        """That the record is there, and is nobody else's to read or write. Raises HomeError."""
        if not self.state.exists():
            raise HomeError(
                f"{self.state} is missing: with an empty record this key could sign twice. Bring the record from where "
                f"the key last signed. {BY_HAND}"
            )
        for path in filter(Path.exists, (self.state, slots_path(self.state))):
            self._check_private(path)

    def check_new(self) -> None:
        """That there is neither a key nor a record. Raises HomeError."""
        self._check_new(self.key, self.state)

    @staticmethod
    def _check_new(*paths: Path) -> None:
        for path in paths:
            if path.exists():
                raise HomeError(f"{path} exists; a key and its record are never overwritten")
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

    @staticmethod
    def _check_private(path: Path) -> None:
        """Raises HomeError."""
        try:
            if not is_private(path):
                raise HomeError(f"{path}: others than its owner may use it; mend with: chmod 600 {path}")
        except OSError as error:
            raise HomeError(f"{path}: cannot be read: {error.strerror}") from None
