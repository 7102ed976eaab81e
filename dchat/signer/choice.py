"""Which key signs, and where it is: of a node, and of `dchat signer`, from key file and options.

The key file says which key it is, and the options how it is reached; where the two differ nothing is started.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.errors import KeyLost
from consensus.privval.remote import AwayKey
from consensus.privval.succession import SuccessiveKey
from crypto.keys import PrivKey, PubKey
from dchat.config import Config
from dchat.config.hsm import PKCS11, HsmSection
from dchat.home.errors import HomeError
from dchat.home.home import Home, load_key_file, remote_key
from dchat.home.key_file import HOLDERS, KeyFile
from dchat.signer import kms, token
from dchat.signer.heir import key_in_home
from dchat.signer.held import HeldSigningKey, Holder
from dchat.signer.kms import KmsKey
from dchat.signer.token import Token

AnyKey: TypeAlias = PrivKey | HeldSigningKey


def holder_of(options: HsmSection, root: Path) -> Holder:
    """root: what the PIN file's path is relative to."""
    if options.kind == PKCS11:
        return Token(
            Path(options.pkcs11_library).expanduser(), options.pkcs11_slot,
            root / Path(options.pkcs11_pin_file).expanduser(), options.pkcs11_key_label,
        )  # fmt: skip
    return KmsKey(options.kms_key_id, options.aws_region, options.kms_endpoint)


def check_choice(file: KeyFile, options: HsmSection) -> None:
    """That file and options say one thing, and that the library which is needed is there. Asks for no secret. Raises
    HomeError."""
    if file.held != options.kind:
        there = HOLDERS[file.held] if file.held else "in this file"
        wanted = HOLDERS[options.kind] if options.kind else "in a file"
        what = (
            "bring the key there: `dchat signer move-key`" if options.kind else "say how it is reached: --hsm, or [hsm]"
        )
        raise HomeError(f"{file.path}: its key is {there}, and the options say {wanted}: let them agree, or {what}")
    if not options.enable:
        return
    try:
        token.check_library() if options.kind == PKCS11 else kms.check_library()
    except KeyLost as error:
        raise HomeError(str(error)) from None


def signing_key(file: KeyFile, options: HsmSection, root: Path, passphrase: Path | None) -> AnyKey:
    """What signs as the key of `file`; nothing is connected to yet. Raises HomeError: file and options differ."""
    check_choice(file, options)
    if not options.enable:
        return file.unlock(passphrase)
    return HeldSigningKey(holder_of(options, root), file.pub_key)


def node_key_of(
    home: Home, config: Config, connection_key: NodeKey, told: Callable[[PubKey], None] = lambda pub_key: None
) -> SuccessiveKey | AwayKey:
    """By which a node signs. told: by which other one from now on. Raises HomeError."""
    if (elsewhere := remote_key(home, config, connection_key)) is not None:
        return elsewhere
    if not config.hsm.enable:
        return key_in_home(home, told)
    key = signing_key(load_key_file(home), config.hsm, home.root, home.passphrase)
    assert isinstance(key, HeldSigningKey)
    return key.for_engine()


def home_key(home: Home, config: Config) -> AnyKey:
    """For what a command has the consensus key sign. Raises HomeError."""
    return signing_key(load_key_file(home), config.hsm, home.root, home.passphrase)
