"""`dchat admin`: API keys of those who administer a node over HTTP, and what is changed while it runs."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import click
from rich.console import Console

from consensus.system.files import write_new_secret
from dchat.cli.network.calling import admin_options, administer, keys_file
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, show_json
from dchat.cli.terminal.outcome import show_told
from dchat.cli.top.tables import plain
from dchat.doors.admin.keys import KeyFile, KeysError


@click.group(cls=Group)
def admin() -> None:
    """Who administers this home's node over HTTP, and what of a running node is changed. The audit log has each."""


@admin.command("add-key", cls=Command)
@click.argument("name")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path),
    help="Write the key to this new file, 0600, and do not show it.",
)  # fmt: skip
def add_key(name: str, output: Path | None) -> None:
    """Make an API key for NAME, who is in the audit log by that name. It counts at once, and is not shown again."""
    file, now = KeyFile(keys_file()), datetime.datetime.now(datetime.UTC)
    if output is not None and output.exists():
        raise Refusal(f"{output} exists: it is not overwritten", Exit.USAGE)
    try:
        key = file.add(name, made=now.isoformat(timespec="seconds").replace("+00:00", "Z"))
    except KeysError as error:
        raise Refusal(str(error), Exit.USAGE) from None
    if output is None:
        show_told({"name": name, "key": key, "file": str(file.path)})
        return
    try:
        write_new_secret(output, key + "\n")
    except OSError as error:
        file.remove(name)
        raise Refusal(f"{output}: cannot be written: {error.strerror}; there is no key {name!r}") from None
    show_told({"name": name, "key_file": str(output), "file": str(file.path)})


@admin.command("keys", cls=Command)
def keys() -> None:
    """The API keys that there are, by name: a table at a terminal, JSON otherwise."""
    try:
        found = KeyFile(keys_file()).load()
    except KeysError as error:
        raise Refusal(str(error)) from None
    if sys.stdout.isatty():
        Console().print(plain(("name", "made"), [(one.name, one.made) for one in found], f"{len(found)} API keys"))
    else:
        show_json([{"name": one.name, "made": one.made} for one in found])


@admin.command("remove-key", cls=Command)
@click.argument("name")
def remove_key(name: str) -> None:
    """Take NAME's API key away: it is refused from the next call on."""
    file = KeyFile(keys_file())
    try:
        file.remove(name)
    except KeysError as error:
        raise Refusal(str(error), Exit.ABSENT) from None
    show_told({"name": name, "removed": True, "file": str(file.path)})


@admin.command("reload", cls=Command)
@admin_options
def reload(url: str | None, key_file: Path | None) -> None:
    """Let the node load its options again, as by SIGHUP, and say which took effect and which need a restart."""
    show_told(administer(url, key_file, "/admin/reload", {}))


@admin.command("log-level", cls=Command)
@click.argument("level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option(
    "--room", "rooms", multiple=True, metavar="ROOM=LEVEL",
    help="Of a part of the program, like consensus.p2p=debug; any number of times.",
)  # fmt: skip
@admin_options
def log_level(level: str, rooms: tuple[str, ...], url: str | None, key_file: Path | None) -> None:
    """How much the running node says, until it loads its options again."""
    show_told(administer(url, key_file, "/admin/log", {"level": level, "levels": list(rooms)}))
