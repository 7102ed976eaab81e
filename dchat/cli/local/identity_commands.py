"""Commands that make and check files of keys and accounts: `dchat keygen`, `dchat identity`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from chain.tx.envelope.build import Shared
from chain.tx.errors import TxError
from chain.tx.policies import Group as KeyGroup
from chain.tx.policies import parse_policy, threshold_policy
from consensus.system.files import is_private
from crypto.keys import ED25519_KEY_BYTES
from dchat.cli.terminal.ask import Address, ChainId, account_from, load_identity
from dchat.cli.terminal.base import Command, Exit, Group, InputFile, Refusal, current_home, echo
from dchat.home import identity
from dchat.home.accounts import SharedAccount
from dchat.home.errors import IdentityError
from dchat.home.key_proofs import KeyProof


@click.command(cls=Command)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file. Default: identity.json here."
)
@click.option("--burner", is_flag=True, help="An identity to be thrown away: a validator refuses it.")
@click.option("--for", "account", type=Address(), help="An account whose keys are to be changed to this.")
@click.option("--multisig", type=click.IntRange(1), metavar="M", help="No key: the account of M of the members.")
@click.option(
    "--member",
    "members",
    multiple=True,
    metavar="KEY|M:KEY,KEY...",
    help="Of --multisig: an identity file or a public key in hex, or so many of several. Repeat.",
)
def keygen(
    output: Path | None, burner: bool, account: bytes | None, multisig: int | None, members: tuple[str, ...]
) -> None:
    """Make an account's key and write it to a file that only you can read. Never overwrites.

    \b
    dchat keygen --multisig 2 --member anne.json --member ben.json --member 2:c.json,d.json,e.json --output board.json
    """
    if multisig is None and not members:
        made: identity.Identity | SharedAccount = identity.generate(burner=burner, account=account or b"")
        name = "burner.json" if burner else "identity.json"
    elif multisig is None or burner:
        raise Refusal("--multisig M and --member go together, and with no --burner", Exit.USAGE)
    else:
        made, name = _shared_account(multisig, members, account or b""), "account.json"
    path = output or Path(name)
    _require_folder(path)
    try:
        made.save(path)
    except IdentityError as error:
        raise Refusal(str(error)) from None
    echo(f"wrote {path}")
    echo(f"address {made.address_text}")
    if isinstance(made, identity.Identity):
        echo(f"public key {made.wallet.public_key.hex()}")


def _require_folder(path: Path) -> None:
    """A folder that is misspelt is not made: what is written there would be looked for elsewhere. Raises Refusal."""
    if not path.parent.is_dir():
        raise Refusal(
            f"there is no folder {path.parent}: make it (mkdir -p {path.parent}), or choose another", Exit.USAGE
        )


def _shared_account(needed: int, members: tuple[str, ...], account: bytes) -> SharedAccount:
    """Raises Refusal."""
    groups: list[KeyGroup] = []
    for member in members:
        many, colon, keys = member.partition(":")
        if not colon or not many.isdecimal():
            many, keys = "1", member
        groups.append(KeyGroup(int(many), tuple(_public_key(text) for text in keys.split(","))))
    try:
        return SharedAccount(Shared(threshold_policy(needed, groups), address=account))
    except TxError as error:
        raise Refusal(f"this is no key policy: {error}", Exit.USAGE) from None


def _public_key(text: str) -> bytes:
    """Of 64 hex characters, or of an identity file. Raises Refusal."""
    if len(text) == 2 * ED25519_KEY_BYTES:
        with contextlib.suppress(ValueError):
            return bytes.fromhex(text)
    try:
        return identity.load(Path(text)).wallet.public_key
    except IdentityError as error:
        raise Refusal(f"--member: {error}", Exit.USAGE) from None


@click.group("identity", cls=Group)
def identity_group() -> None:
    """Look at identity files, and prove that you hold their keys."""


@identity_group.command("verify")
@click.option("--file", "file", type=click.Path(dir_okay=False, path_type=Path), help="Default: the home's identity.")
def identity_verify(file: Path | None) -> None:
    """Check that a file is whole, its address is its key's, the key signs, and nobody else can read it."""
    path = file or current_home()[0].identity
    try:
        loaded = identity.load(path)
    except IdentityError as error:
        raise Refusal(str(error)) from None
    key = loaded.wallet.key
    if not key.pub_key.verify(b"dchat identity verify", key.sign(b"dchat identity verify")):
        raise Refusal(f"{path}: the key does not verify what it signs")
    echo(f"address {loaded.address_text}")
    echo(f"public key {key.pub_key.bytes.hex()}")
    echo(f"burner {'yes' if loaded.burner else 'no'}")
    if not is_private(path):
        raise Refusal(f"{path}: others can read it; mend with: chmod 600 {path}")
    echo("ok")


@identity_group.command("prove-key")
@click.option("--to", "target_file", type=InputFile(), required=True, help="The account file with the new keys.")
@click.option("--chain-id", type=ChainId(), required=True, help="Of the chain whose account changes.")
@click.option("--file", type=InputFile(), help="Identity file. Default: the home's identity.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def prove_key(target_file: Path, chain_id: str, file: Path | None, output: Path) -> None:
    """Show that you hold a key that an account is to be changed to (`dchat tx rotate-keys`). Needs no node."""
    target, wallet = account_from(target_file), load_identity(file).wallet
    if wallet.public_key not in parse_policy(target.wallet.policy).keys:
        raise Refusal(f"the key {wallet.public_key.hex()} is none of those in {target_file}", Exit.USAGE)
    proof = KeyProof.by(wallet.key, chain_id, target)
    _require_folder(output)
    try:
        proof.save(output)
    except IdentityError as error:
        raise Refusal(str(error), Exit.USAGE) from None
    echo(f"wrote {output}: the key {wallet.public_key.hex()} may act for {target.address_text} on {chain_id}")
