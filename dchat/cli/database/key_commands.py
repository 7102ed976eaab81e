"""`dchat signer init`, `show`, `adopt`, `move-key`, `encrypt-key`, `decrypt-key`: a key and where it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from chain.kernel.event_text import consensus
from consensus.documents.files import format_validator_key
from consensus.privval.errors import KeyLost, SignerStateInUse
from crypto.keys import ED25519, Ed25519PrivKey, PubKey
from dchat.cli.terminal.base import (
    Command,
    Exit,
    Refusal,
    current_home,
    echo,
    hex_text,
    home_root,
    key_type_option,
    load_config,
    show_json,
)
from dchat.cli.terminal.outcome import is_text, output_option
from dchat.config import Config
from dchat.home.errors import HomeError
from dchat.home.home import check_key_type
from dchat.home.home_lock import hold_home, hold_record
from dchat.home.key_file import HOLDERS, format_encrypted, format_held, passphrase_of, replace_key_file
from dchat.signer.choice import holder_of
from dchat.signer.files import SignerFiles
from dchat.signer.held import PROBE, Holder

HSM_FLAGS = (
    "hsm", "pkcs11_library", "pkcs11_slot", "pkcs11_pin_file", "pkcs11_key_label", "kms_key_id", "aws_region",
)  # fmt: skip


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The files of a signer that has no home."""
    place = click.Path(dir_okay=False, path_type=Path)
    for name, what in (
        ("--passphrase-file", "Holds the passphrase of an encrypted key file, mode 0600. Default: it is asked for."),
        ("--state-file", "Its record, instead of the home's."),
        ("--key-file", "The consensus key, instead of the home's."),
    ):
        command = click.option(name, type=place, help=what)(command)
    return command


def hsm_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where a key is that is in no file. `hsm_flags` takes them."""
    given = (
        click.option("--hsm", is_flag=True, help="The key is on a PKCS#11 token, or at AWS KMS."),
        click.option("--pkcs11-library", help="The token's library: an absolute path."),
        click.option("--pkcs11-slot", help="The slot's number, or the token's label. Default: the only one."),
        click.option("--pkcs11-pin-file", help="Holds the user's PIN, mode 0600."),
        click.option("--pkcs11-key-label", help="The key's label on the token. Default: dchat-consensus."),
        click.option("--kms-key-id", help="Its id, ARN or alias/NAME at AWS KMS."),
        click.option("--aws-region", help="Its region."),
    )
    for option in reversed(given):
        command = option(command)
    return command


def hsm_flags(given: dict[str, Any]) -> dict[str, object]:
    """The options that the flags of `hsm_options` set; what was not given is not in it."""
    told = {f"hsm.{name}": value for name, value in given.items() if name != "hsm"}
    told["hsm.enable"] = given["hsm"] or None
    for name in ("hsm.pkcs11_library", "hsm.pkcs11_pin_file"):
        if told[name]:
            told[name] = str(Path(str(told[name])).expanduser().absolute())
    return told


def files_of(key_file: Path | None, state_file: Path | None, passphrase_file: Path | None) -> SignerFiles:
    if (key_file is None) != (state_file is None):
        raise click.UsageError("--key-file and --state-file are given together: a record is of one key")
    passphrase = None if passphrase_file is None else passphrase_file.expanduser().absolute()
    if key_file is None or state_file is None:
        files = SignerFiles.of(current_home()[0])
        return SignerFiles(files.key, files.state, passphrase or files.passphrase)
    return SignerFiles(key_file.expanduser().absolute(), state_file.expanduser().absolute(), passphrase)


@contextlib.contextmanager
def _plainly() -> Iterator[None]:
    """Errors as one line. Without `dchat.cli.database.group`, which needs a node's rooms: this starts quickly."""
    try:
        yield
    except (HomeError, KeyLost) as error:
        raise Refusal(str(error), Exit.USAGE) from None
    except SignerStateInUse as error:
        raise Refusal(str(error)) from None


@contextlib.contextmanager
def _stopped(files: SignerFiles, *, is_homes: bool) -> Iterator[None]:
    """Around what changes a key's file: nobody signs by it meanwhile. Raises HomeError, SignerStateInUse."""
    if not is_homes:
        files.check_record()  # whose folder may be missing
    with hold_home(current_home()[0]) if is_homes else hold_record(files.state):
        files.check_record()
        yield


def _holder(given: dict[str, Any]) -> tuple[Config, Holder]:
    """What the options name, open. Raises KeyLost, Refusal."""
    config = load_config(home_root(), flags=hsm_flags(given)).config
    if not config.hsm.enable:
        raise click.UsageError("missing --hsm, with where the key is: --pkcs11-library, or --kms-key-id")
    holder = holder_of(config.hsm, home_root())
    holder.open()
    return config, holder


def _show(files: SignerFiles) -> None:
    """Raises HomeError, OSError."""
    file = files.load_key_file()
    echo(f"key file {files.key}")
    echo(f"record {files.state}")
    if file.held or file.encrypted:
        echo(f"the key is {HOLDERS[file.held] if file.held else 'under a passphrase'}")
    echo(f"public key {hex_text(file.pub_key.bytes)}")
    echo(f"validator address {consensus(file.pub_key.address)}")
    echo(f"signer id {files.load_node_key().id}")


@click.command("init", cls=Command)
@file_options
@hsm_options
@click.option(
    "--kms", is_flag=True, help="Make the key at AWS KMS (--aws-region), which gives it its id; no --hsm is needed."
)
@key_type_option
def init(
    key_file: Path | None, state_file: Path | None, passphrase_file: Path | None, kms: bool, key_type: str, **hsm: Any
) -> None:
    """Make a new consensus key with its empty record, and the key that its connection shows. Nothing is overwritten.

    With --hsm the key is made on a token, with --kms at AWS KMS, and never leaves it; with --passphrase-file its file
    is encrypted.
    """
    files = files_of(key_file, state_file, passphrase_file)
    options = load_config(home_root(), flags=hsm_flags({**hsm, "aws_region": None} if kms else hsm)).config.hsm
    with _plainly():
        if kms or options.enable:
            if key_type != ED25519:
                raise HomeError(f"--key-type {key_type}: a key on a token, or at AWS KMS, is {ED25519}")
            files.check_new()
            pub_key, held = _made(kms, hsm)
            files.write_held(pub_key, held, never_signed=True)
        else:
            if key_file is None:
                check_key_type(current_home()[0], key_type)
            files.check_new()
            files.make(key_type, passphrase_of(files.passphrase, files.key) if passphrase_file is not None else None)
        _show(files)


def _made(kms: bool, given: dict[str, Any]) -> tuple[PubKey, str]:
    """A new key, and what holds it. Raises KeyLost, Refusal."""
    if kms:
        from dchat.signer.kms import KmsKey

        config = load_config(home_root()).config
        key = KmsKey("", given["aws_region"] or config.hsm.aws_region, config.hsm.kms_endpoint)
        key.open()
        pub_key = key.make()
        echo(f"made a key at AWS KMS: --hsm --kms-key-id {key.key_id}")
        return pub_key, "kms"
    config, holder = _holder(given)
    return holder.make(), config.hsm.kind


def _shown(files: SignerFiles) -> dict[str, Any]:
    """The same for programs. Raises HomeError, OSError."""
    file = files.load_key_file()
    return {
        "key_file": str(files.key), "record": str(files.state), "key_type": file.pub_key.type,
        "held": file.held or None, "encrypted": bool(file.encrypted), "public_key": file.pub_key.bytes.hex(),
        "validator_address": consensus(file.pub_key.address), "signer_id": files.load_node_key().id,
    }  # fmt: skip


@click.command("show", cls=Command)
@file_options
@output_option
def show(key_file: Path | None, state_file: Path | None, passphrase_file: Path | None, form: str | None) -> None:
    """What a validator is told of this signer: public key, address, id. Nothing of it is secret, or asks for one."""
    files = files_of(key_file, state_file, passphrase_file)
    with _plainly():
        if is_text(form):
            _show(files)
        else:
            show_json(_shown(files))


@click.command("adopt", cls=Command)
@file_options
@hsm_options
@click.option(
    "--never-signed",
    is_flag=True,
    help="This key never signed a vote: an empty record is right. Else bring its record.",
)
def adopt(
    key_file: Path | None, state_file: Path | None, passphrase_file: Path | None, never_signed: bool, **hsm: Any
) -> None:
    """Take up a key that is on a token, or at AWS KMS, already: write the file that names it."""
    files = files_of(key_file, state_file, passphrase_file)
    with _plainly():
        if not never_signed:
            files.check_record()
        config, holder = _holder(hsm)
        pub_key = holder.public_key()
        if not pub_key.verify(PROBE, holder.sign(PROBE)):
            raise KeyLost(f"{holder.where}: what it signs does not verify by its own public key")
        files.write_held(pub_key, config.hsm.kind, never_signed=never_signed)
        _show(files)


@click.command("move-key", cls=Command)
@file_options
@hsm_options
def move_key(key_file: Path | None, state_file: Path | None, passphrase_file: Path | None, **hsm: Any) -> None:
    """Bring this key onto a PKCS#11 token. Its file names the token then, its record stays. Stop the node first.

    A token that is lost is lost with its key: keep an encrypted copy of the file offline before.
    """
    files = files_of(key_file, state_file, passphrase_file)
    with _plainly(), _stopped(files, is_homes=key_file is None):
        key = files.load_key()
        if not isinstance(key, Ed25519PrivKey):
            raise HomeError(f"{files.key}: its key is {key.type}; a token takes {ED25519}")
        config, holder = _holder(hsm)
        holder.bring(key)
        if holder.public_key() != key.pub_key or not key.pub_key.verify(PROBE, holder.sign(PROBE)):
            raise KeyLost(f"{holder.where}: it took the key, and does not sign by it; the file stays as it was")
        replace_key_file(files.key, format_held(key.pub_key, config.hsm.kind))
        _show(files)


@click.command("encrypt-key", cls=Command)
@file_options
def encrypt_key(key_file: Path | None, state_file: Path | None, passphrase_file: Path | None) -> None:
    """Put this key's file under a passphrase, from --passphrase-file or the terminal. Stop the node first."""
    files = files_of(key_file, state_file, passphrase_file)
    with _plainly(), _stopped(files, is_homes=key_file is None):
        file = files.load_key_file()
        if file.private is None:
            raise HomeError(f"{files.key}: its key is not in it, or encrypted already; nothing was changed")
        said = passphrase_of(files.passphrase, files.key, twice=True)
        replace_key_file(files.key, format_encrypted(file.private, said))
    echo(f"encrypted {files.key}; the start asks for the passphrase, or reads it from [validator] passphrase_file")


@click.command("decrypt-key", cls=Command)
@file_options
def decrypt_key(key_file: Path | None, state_file: Path | None, passphrase_file: Path | None) -> None:
    """Let this key's file hold the key itself again. Stop the node first."""
    files = files_of(key_file, state_file, passphrase_file)
    with _plainly(), _stopped(files, is_homes=key_file is None):
        if not files.load_key_file().encrypted:
            raise HomeError(f"{files.key} is not encrypted; nothing was changed")
        replace_key_file(files.key, format_validator_key(files.load_key()) + "\n")
    echo(f"decrypted {files.key}: who reads it has the key")


OWN_COMMANDS = (init, show, adopt, move_key, encrypt_key, decrypt_key)
