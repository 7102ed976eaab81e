"""The home's consensus key, for what a command has it sign: from its file, a token or a service."""

from __future__ import annotations

from dataclasses import dataclass

from chain.tx.messages.economy import ConsensusSigner
from consensus.privval.errors import KeyLost
from crypto.keys import PubKey
from dchat.cli.terminal.base import Exit, Refusal, current_home
from dchat.home.errors import HomeError
from dchat.home.key_file import KeyFile
from dchat.signer.choice import home_key


@dataclass(frozen=True)
class OwnKey:
    """What cannot be had is a Refusal."""

    key: ConsensusSigner

    @property
    def pub_key(self) -> PubKey:
        return self.key.pub_key

    def sign(self, message: bytes) -> bytes:
        try:
            return self.key.sign(message)
        except KeyLost as error:
            raise Refusal(str(error), Exit.USAGE) from None


def own_next_key() -> OwnKey:
    """The key that the home is to change over to. Raises HomeError."""
    home, config = current_home()
    if config.hsm.enable or config.validator.priv_validator_laddr:
        raise HomeError(
            "this home's key is held elsewhere, and its node never signs by a file: make the next key there, and name "
            "it by --new-key and --possession (docs/signer.md, Change a key)"
        )
    if not home.next_validator_key.exists():
        raise HomeError(f"{home.next_validator_key} is missing: make the next key first: dchat signer next-key")
    return OwnKey(KeyFile.read(home.next_validator_key).unlock(home.passphrase))


def own_key() -> OwnKey:
    """Raises HomeError."""
    return OwnKey(home_key(*current_home()))
