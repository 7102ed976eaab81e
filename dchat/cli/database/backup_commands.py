"""`dchat database backup` and `restore`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dchat.cli.database.group import Progress, chosen, database, db_path_option, held, plainly
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, echo
from dchat.upkeep.backup import backup, restore
from dchat.upkeep.locks import Lock, is_by_passphrase, make_key_file

PASSPHRASE = "DCHAT_BACKUP_PASSPHRASE"  # the variable's name


def _passphrase(*, is_new: bool) -> str:
    """Of the environment, else asked for. Raises Refusal."""
    said = os.environ.get(PASSPHRASE, "")
    if not said:
        said = click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
    if not said:
        raise Refusal(f"the passphrase is empty: say it in {PASSPHRASE}, or name a key with --key-file", Exit.USAGE)
    return str(said)


@database.command("backup", cls=Command)
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--compress", is_flag=True, help="With zlib.")
@click.option("--encrypt", is_flag=True, help="For a key (--key-file), else by a passphrase.")
@click.option("--key-file", type=InputFile(), help="A key of age; its public part is enough here.")
@db_path_option
def backup_command(output: Path, compress: bool, encrypt: bool, key_file: Path | None, db_path: Path | None) -> None:
    """Write the databases into one file, as they are at one moment. The node may run meanwhile.

    No key is in it, and of the record of signing only how far it was. The passphrase may stand in
    DCHAT_BACKUP_PASSPHRASE.
    """
    if key_file is not None and not encrypt:
        raise click.UsageError("--key-file is for --encrypt")
    home, config = chosen(db_path)
    lock = None
    if encrypt:
        lock = Lock(key_file) if key_file is not None else Lock(passphrase=_passphrase(is_new=True))
    with plainly():
        facts = backup(home, config, output, compress=compress, lock=lock)
    echo(f"backed up height {facts.height} app_hash {facts.app_hash} to {output} bytes {output.stat().st_size}")


@database.command("restore", cls=Command)
@click.option("--input", "source", required=True, type=InputFile(), help="The backup.")
@click.option("--key-file", type=InputFile(), help="The secret key of age that it was encrypted for.")
@db_path_option
def restore_command(source: Path, key_file: Path | None, db_path: Path | None) -> None:
    """Verify a backup, all of it, and put it in the place of the databases, which are set aside. Stop the node first.

    The record of signing is never lowered, and never made.
    """
    home, _ = chosen(db_path)
    lock = Lock(key_file) if key_file is not None else None
    if lock is None and is_by_passphrase(source):
        lock = Lock(passphrase=_passphrase(is_new=False))
    progress = Progress()
    with held(home):
        done = restore(home, source, lock=lock, told=progress.told)
    progress.end()
    echo(f"restored height {done.facts.height} app_hash {done.facts.app_hash} of chain {done.facts.chain_id}")
    if done.raised:
        echo(f"raised the sign state to {'/'.join(map(str, done.facts.signed))}, which the backup knows of")
    if done.aside is not None:
        echo(f"what was there is in {done.aside}: remove it when all is well")


@database.command("backup-key", cls=Command)
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def backup_key(output: Path) -> None:
    """Make a key for `backup --encrypt`. Keep the file elsewhere than the backups; here its public part is enough."""
    try:
        public = make_key_file(output)
    except FileExistsError:
        raise Refusal(f"{output} exists; a key is never overwritten") from None
    echo(f"made {output}, public key {public}")
