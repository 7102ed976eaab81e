"""The group `dchat database`, and how its commands find and hold a node's databases."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from dchat.cli.terminal.base import Exit, Group, Refusal, current_home
from dchat.home import logs
from dchat.home.errors import AlreadyRunning
from dchat.home.home_lock import hold_home
from dchat.node.runtime import Databases
from storage.errors import StorageError

F = TypeVar("F", bound=Callable[..., Any])


@click.group("database", cls=Group)
def database() -> None:
    """The databases of a node that does not run: forget old history."""


def db_path_option(command: F) -> F:
    return click.option(
        "--db-path",
        type=click.Path(file_okay=False, exists=True, path_type=Path),
        help="The folder of blocks, state and app. Default: the home's.",
    )(command)


@contextlib.contextmanager
def opened(db_path: Path | None) -> Iterator[tuple[Path, Databases]]:
    """The folder and its databases, held by this process until the end. Raises Refusal: a node runs on them, or they
    cannot be read."""
    home, config = current_home()
    logs.configure(level=config.log.level, json_lines=config.log.json_lines)  # standard output is the report's
    folder = db_path or home.databases
    if not (folder / "blocks").is_dir():
        raise Refusal(f"{folder}: there are no databases", Exit.USAGE)
    with contextlib.ExitStack() as held:
        try:
            if db_path is None:
                held.enter_context(hold_home(home))
            databases = Databases.open(folder, config)
        except (AlreadyRunning, StorageError) as error:
            raise Refusal(str(error)) from None
        held.callback(databases.close)
        yield folder, databases
