"""`dchat signer`: carry the record of what this validator's key signed to another home."""

from __future__ import annotations

from pathlib import Path

import click

from consensus.system.files import write_new_secret
from dchat.cli.database.group import held
from dchat.cli.terminal.base import Command, Group, InputFile, Refusal, current_home, echo, read_input
from dchat.upkeep.errors import UpkeepError
from dchat.upkeep.sign_record import BYTES_MAX, export_record, import_record, position_text


@click.group("signer", cls=Group)
def signer() -> None:
    """The record of what this validator's key signed: carry it to where the key goes."""


@signer.command("export", cls=Command)
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def export_command(output: Path) -> None:
    """Write how far this home's key has signed. Stop the node first, and do not start it again with this key."""
    home, _ = current_home()
    with held(home):
        text = export_record(home)
        try:
            write_new_secret(output, text)
        except FileExistsError:
            raise Refusal(f"{output} exists; a record is never overwritten") from None
    echo(f"exported the sign state to {output}; the key must not sign here any more")
    echo("next, in the home that has the key now: dchat signer import --input FILE --home DIR", err=True)


@signer.command("import", cls=Command)
@click.option("--input", "source", required=True, type=InputFile(), help="What `dchat signer export` wrote.")
def import_command(source: Path) -> None:
    """Take over how far this home's key has signed elsewhere: the higher of both counts. Stop the node first.

    The next start first watches for some blocks whether the key is still used elsewhere.
    """
    home, _ = current_home()
    with held(home):
        try:
            before, after = import_record(home, read_input(source, BYTES_MAX))
        except UpkeepError as error:
            raise UpkeepError(f"{source}: {error}") from None
    if before == after:
        echo(f"the sign state stays at {position_text(after)}: what was imported is not above it")
    else:
        was = "there was none" if before is None else f"it was at {position_text(before)}"
        echo(f"the sign state is at {position_text(after)}; {was}")
