"""`dchat database backup`, `backups`, `restore` and `backup-key`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import click

from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from dchat.backups.making import be_nice, keep_backup, kept_at, make_backup
from dchat.backups.places import S3, place_of, target_of
from dchat.cli.database.group import (
    Progress,
    chosen,
    database,
    db_path_option,
    held,
    need_databases,
    plainly,
    size_text,
)
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, current_home, echo, show_json, unreadable
from dchat.config import Config
from dchat.home.home import REHEARSAL_PREFIX, Home
from dchat.upkeep.backup import ROOM_KEPT, restore
from dchat.upkeep.errors import BadBackup
from dchat.upkeep.locks import Lock, is_by_passphrase, is_encrypted, make_key_file
from dchat.upkeep.sign_record import position_text

PASSPHRASE = "DCHAT_BACKUP_PASSPHRASE"  # the variable's name


def _passphrase(*, is_new: bool) -> str:
    """Of the environment, else asked for at a terminal. Raises Refusal."""
    said = os.environ.get(PASSPHRASE, "")
    if not said and not sys.stdin.isatty():
        raise Refusal(f"nobody is here to be asked for the passphrase: say it in {PASSPHRASE}", Exit.USAGE)
    if not said:
        said = click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new, err=True)
    if not said:
        raise Refusal(f"the passphrase is empty: say it in {PASSPHRASE}, or name a key with --key-file", Exit.USAGE)
    return str(said)


def _own_lock(home: Home, config: Config) -> Lock | None:
    """As [backup] says."""
    options = config.backup
    return Lock(home.root / Path(options.encryption_key_file).expanduser()) if options.encryption else None


def _stop(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)  # so that drafts are removed


@database.command("backup", cls=Command)
@click.option(
    "--output", help="A file, a folder (DIR/), or s3://BUCKET/KEY. Default: where [backup] says, and as it says."
)
@click.option("--compress", is_flag=True, help="With zlib.")
@click.option("--encrypt", is_flag=True, help="For a key (--key-file), else by a passphrase.")
@click.option("--key-file", type=InputFile(), help="A key of age; its public part is enough here.")
@click.option("--gently", is_flag=True, help="Of processor and disk take only what nobody else wants.")
@db_path_option
def backup_command(
    output: str | None, compress: bool, encrypt: bool, key_file: Path | None, gently: bool, db_path: Path | None
) -> None:
    """Write the databases into one file, as they are at one moment. The node may run meanwhile.

    No key is in it, and of the record of signing only how far it was. The passphrase may stand in
    DCHAT_BACKUP_PASSPHRASE. Without --output it is kept as one of the schedule: named by itself, and the old ones go.
    """
    if key_file is not None and not encrypt:
        raise click.UsageError("--key-file is for --encrypt")
    if output == "":
        raise Refusal("--output is empty: name a file, a folder (DIR/) or s3://BUCKET/KEY", Exit.USAGE)
    home, config = chosen(db_path)
    need_databases(home)
    lock = None
    if encrypt:
        lock = Lock(key_file) if key_file is not None else Lock(passphrase=_passphrase(is_new=True))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
    if gently:
        be_nice()
    progress = Progress()

    def told(done: int, of: int) -> None:
        progress.line(f"wrote {size_text(done)} of {size_text(of)}")

    with plainly():
        if output is None:
            made = keep_backup(
                home, config, target_of(home, config), compress=compress or config.backup.compression,
                lock=lock or _own_lock(home, config), told=told,
            )  # fmt: skip
        else:
            target, name = place_of(output, config)
            if name:
                echo(f"writes one file, {target.path_of(name)}; a folder is named with / at its end", err=True)
            made = make_backup(home, config, target, name, compress=compress, lock=lock, told=told)
    progress.end()
    for old in made.removed:
        echo(f"removed {old}")
    size = size_text(made.bytes) if sys.stdout.isatty() else f"bytes {made.bytes}"
    echo(f"backed up height {made.facts.height} app_hash {made.facts.app_hash} to {made.path} {size}")


@database.command("backups", cls=Command)
@click.option("--at", "place", help="A folder, or s3://BUCKET/PREFIX/. Default: where [backup] says.")
def backups_command(place: str | None) -> None:
    """List the backups that are kept, the newest first: JSON where nobody looks."""
    home, config = current_home()
    if place is not None and not place.startswith(S3) and not Path(place).expanduser().is_dir():
        raise Refusal(f"{place} is no folder: nothing was ever kept there", Exit.USAGE)
    with plainly():
        target = target_of(home, config) if place is None else place_of(f"{place.rstrip('/')}/", config)[0]
        kept = kept_at(target)
    if sys.stdout.isatty():
        for one in kept:
            echo(
                f"{_time(one.time_s)}  height {one.height:>10}  {size_text(one.bytes):>12}  {target.path_of(one.name)}"
            )
        echo(f"{len(kept)} in {target.where}")
        return
    show_json([
        {"time": _time(one.time_s), "height": one.height, "bytes": one.bytes, "series": one.series,
         "path": target.path_of(one.name)}
        for one in kept
    ])  # fmt: skip


def _time(time_s: int) -> str:
    return format_rfc3339(time_s * NS_PER_S)


@contextlib.contextmanager
def _brought(text: str, home: Home, config: Config) -> Iterator[Path]:
    """The file of a backup that may lie in a bucket. Raises Refusal."""
    if not text.startswith(S3):
        path = Path(text).expanduser()
        if path.is_dir():
            raise Refusal(f"{path} is a folder: `dchat database backups --at {path}` lists what is in it", Exit.USAGE)
        if why := unreadable(path):
            raise Refusal(why, Exit.USAGE)
        if not path.is_file():
            raise Refusal(f"{path} is no file: a backup is read more than once", Exit.USAGE)
        yield path
        return
    home.databases.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        plainly(),
        tempfile.TemporaryDirectory(prefix=f"{REHEARSAL_PREFIX}{os.getpid()}-", dir=home.databases) as work,
    ):
        target, name = place_of(text, config)
        if not name:
            raise Refusal(f"{text} names no backup: `dchat database backups --at {text}` lists them", Exit.USAGE)
        free = shutil.disk_usage(work).free
        target.get(name, Path(work) / "backup", bytes_max=free - free // ROOM_KEPT)
        yield Path(work) / "backup"


@database.command("restore", cls=Command)
@click.option("--input", "source", required=True, help="The backup: a file, or s3://BUCKET/KEY.")
@click.option("--key-file", type=InputFile(), help="The secret key of age that it was encrypted for.")
@click.option("--unencrypted", is_flag=True, help="Take it though --key-file is named and it is not encrypted.")
@db_path_option
def restore_command(source: str, key_file: Path | None, unencrypted: bool, db_path: Path | None) -> None:
    """Verify a backup, all of it, and put it in the place of the databases, which are set aside. Stop the node first.

    The record of signing is never lowered, and never made.
    """
    if not source:
        raise Refusal("--input is empty: name a file, or s3://BUCKET/KEY", Exit.USAGE)
    home, config = chosen(db_path)
    lock = Lock(key_file) if key_file is not None else None
    progress = Progress()
    with _brought(source, home, config) as file:
        if lock is None and is_by_passphrase(file):
            lock = Lock(passphrase=_passphrase(is_new=False))
        if unencrypted and not is_encrypted(file):
            lock = None
        with held(home):
            try:
                done = restore(home, file, lock=lock, told=progress.told)
            except BadBackup as error:
                raise BadBackup(f"{source}: {error}; nothing was replaced") from None
    progress.end()
    echo(f"restored height {done.facts.height} app_hash {done.facts.app_hash} of chain {done.facts.chain_id}")
    if done.raised:
        echo(f"raised the sign state to {position_text(done.facts.signed)}, which the backup knows of")
    if done.aside is not None:
        echo(f"what was there is in {done.aside}: remove it when all is well")
    if db_path is None and not home.genesis.exists():
        echo(
            f"next: {home.root} has no genesis yet: `dchat init --genesis FILE --home {home.root}`, or bring options, "
            "keys and config/genesis.json there"
        )


@database.command("backup-key", cls=Command)
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def backup_key(output: Path) -> None:
    """Make a key for `backup --encrypt`. Keep the file elsewhere than the backups; here its public part is enough."""
    try:
        public = make_key_file(output)
    except FileExistsError:
        raise Refusal(f"{output} exists; a key is never overwritten") from None
    echo(f"made {output}, public key {public}")
