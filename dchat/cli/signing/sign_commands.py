"""`dchat tx sign`, `combine` and `broadcast`: from a draft that nobody has signed to a transaction in a block.

Whoever signs needs no node: what the draft says is read from the very bytes that are signed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chain.tx.envelope.build import Shared
from chain.tx.envelope.tx import sign_hash
from chain.tx.policies import parse_policy
from consensus.system.files import replace_durably
from crypto.bech32 import encode_address
from dchat.cli.commands.tx_commands import hand_in, handing_in, tx
from dchat.cli.terminal.ask import load_identity
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, echo
from dchat.cli.terminal.drafts import Draft, read_draft
from dchat.cli.terminal.trust import Signing
from dchat.client.wallet import Outcome, Session, decoded

output_option = click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file. Default: the draft's own."
)


def _write(path: Path, draft: Draft) -> None:
    try:
        replace_durably(path, draft.dumps())
    except OSError as error:
        raise Refusal(f"{path}: cannot be written: {error.strerror}", Exit.USAGE) from None


def _standing(draft: Draft) -> None:
    for line in draft.missing():
        echo(f"still missing: {line}")
    if not draft.missing():
        echo("complete: hand it in with dchat tx broadcast")


@tx.command("sign", cls=Command)
@click.argument("file", type=InputFile())
@click.option("--from", "sender", type=InputFile(), help="Identity file. Default: home's.")
@output_option
def sign_command(file: Path, sender: Path | None, output: Path | None) -> None:
    """Say what a draft does, and sign it. Needs no node.

    \b
    dchat tx pay --from board.json --to dchat1... --amount 5 --generate-only > payment.json
    dchat tx sign payment.json --from anne.json
    dchat tx sign payment.json --from ben.json
    dchat tx broadcast payment.json
    """
    draft, key = read_draft(file), load_identity(sender).wallet.key
    public, parts = key.pub_key.bytes, draft.tx().signers
    mine = [index for index, policy in enumerate(draft.policies) if public in parse_policy(policy).keys]
    for line in draft.document()["says"]:
        echo(line)
    if not mine:
        accounts = ", ".join(encode_address(entry.address) for entry in parts)
        raise Refusal(f"the key {public.hex()} has no part in it: it is signed for {accounts}", Exit.USAGE)
    for index in mine:
        draft = draft.with_signature(index, public, key.sign(sign_hash(draft.body)))
    path = output or file
    _write(path, draft)
    echo(f"signed by {public.hex()} for {', '.join(encode_address(parts[index].address) for index in mine)}: {path}")
    _standing(draft)


@tx.command(cls=Command)
@click.argument("files", type=InputFile(), nargs=-1, required=True)
@output_option
def combine(files: tuple[Path, ...], output: Path | None) -> None:
    """Put the signatures of several copies of one draft together, in the first one. Needs no node."""
    drafts = [read_draft(file) for file in files]
    first, signatures = drafts[0], dict(drafts[0].signatures)
    for file, other in zip(files[1:], drafts[1:], strict=True):
        if (other.body, other.policies) != (first.body, first.policies):
            raise Refusal(f"{file} is another transaction than {files[0]}", Exit.USAGE)
        signatures |= other.signatures
    path = output or files[0]
    _write(path, Draft(first.body, first.policies, signatures))
    echo(f"wrote {path}: {len(signatures)} signatures")
    _standing(read_draft(path))


@tx.command(cls=Command)
@click.argument("file", type=InputFile())
@handing_in
def broadcast(file: Path, **options: Any) -> None:
    """Hand in a draft that has its signatures, and show what became of it."""
    draft = read_draft(file)
    raw = draft.signed()
    if raw is None:
        missing = "; ".join(draft.missing())
        raise Refusal(
            f"{missing}; what to do: let them sign it (dchat tx sign {file} --from THEIRS), and put signed copies "
            "together (dchat tx combine)",
            Exit.USAGE,
        )
    signed = decoded(raw)
    payer = draft.policies[signed.fee_payer]

    async def work(session: Session, how: dict[str, bool]) -> Outcome:
        return await session.hand_in(signed, **how)

    hand_in(work, Shared(payer, address=signed.payer), Signing.of(options), options)
