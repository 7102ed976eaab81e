"""`dchat tx rotate-keys`: other keys for an account, each proved by its holder (`dchat identity prove-key`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from chain.tx.envelope.build import Wallet
from chain.tx.errors import TxError
from chain.tx.messages.keys import RotateKeys, in_order
from dchat.cli.commands.tx_commands import send, sending, tx
from dchat.cli.terminal.ask import account_from, load_identity
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal
from dchat.cli.terminal.trust import signing_facts
from dchat.home.accounts import Account
from dchat.home.errors import IdentityError
from dchat.home.key_proofs import KeyProof


def new_keys(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name an account's new keys, and show that their holders have them."""
    options = (
        click.option(
            "--to", "target_file", type=InputFile(), required=True, help="The new key's identity, or account file."
        ),
        click.option(
            "--proof", "proofs", type=InputFile(), multiple=True, help="Of a new key's holder: prove-key. Repeat."
        ),
        click.option("--holder", "holders", type=InputFile(), multiple=True, help="A new key's identity file. Repeat."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@tx.command("rotate-keys", cls=Command)
@new_keys
@sending
def rotate_keys(target_file: Path, proofs: tuple[Path, ...], holders: tuple[Path, ...], **options: Any) -> None:
    """Give the account other keys, on both chains. Its address stays; the keys of now sign for nothing any more.

    \b
    dchat keygen --for dchat1... --output new.json
    dchat tx rotate-keys --from old.json --to new.json
    """
    me, target = account_from(options["sender"]), account_from(target_file)
    if target.address != me.address:
        raise Refusal(
            f"{target_file} acts for {target.address_text}; make it for this account: "
            f"dchat keygen --for {me.address_text}",
            Exit.USAGE,
        )
    chain_id = signing_facts(options).chain_id
    message = RotateKeys(me.address, target.wallet.policy, possessions(target_file, target, chain_id, proofs, holders))
    send(lambda _: [message], options)


def possessions(
    target_file: Path, target: Account, chain_id: str, proofs: tuple[Path, ...], holders: tuple[Path, ...]
) -> tuple[bytes, ...]:
    """By each key of `target`, the account with its new keys. Raises Refusal, which names those that are missing."""
    wallets = [load_identity(file).wallet for file in holders]
    if isinstance(target.wallet, Wallet):
        wallets.append(target.wallet)
    try:
        made = [KeyProof.by(wallet.key, chain_id, target) for wallet in wallets]
        made += [KeyProof.load(file, chain_id, target) for file in proofs]
    except IdentityError as error:
        raise Refusal(str(error), Exit.USAGE) from None
    try:
        return in_order(target.wallet.policy, {proof.public_key: proof.signature for proof in made})
    except TxError as error:
        raise Refusal(
            f"{error.log}; each holder of a new key makes one: dchat identity prove-key --to {target_file}", Exit.USAGE
        ) from None
