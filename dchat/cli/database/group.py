"""What the commands of `dchat database` share: which databases are meant, and who may touch them meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from consensus.system.errors import EngineError
from consensus.system.machine import MachineRefusal
from dchat.cli.terminal.base import Exit, Group, Refusal, current_home, echo_progress, place_refused
from dchat.config import Config
from dchat.home import logs
from dchat.home.errors import HomeError
from dchat.home.files import is_replacing
from dchat.home.home import REHEARSAL_PREFIX, Home
from dchat.home.home_lock import hold_home
from dchat.node.runtime import Databases
from dchat.upkeep.copies import DATABASES, Copy, remove_remains
from dchat.upkeep.errors import NoRoomForBackup, UpkeepError
from dchat.upkeep.verify import Step
from storage.errors import StorageError, StoreCorrupted

SHOWN_EVERY = 50  # steps between two changes of the line


@click.group("database", cls=Group)
def database() -> None:
    """What a node has on disk: look through it, back it up, bring it back, go back."""


def db_path_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option that names the folder with `blocks`, `state` and `app`."""
    return click.option(
        "--db-path",
        type=click.Path(file_okay=False, path_type=Path),
        help="The folder with blocks, state and app. Default: the home's.",
    )(command)


def chosen(db_path: Path | None) -> tuple[Home, Config]:
    """The home, or the databases elsewhere, with what else lies beside them. Raises Refusal."""
    home, config = current_home()
    logs.configure(level=config.log.level, json_lines=config.log.json_lines)
    if config.database.backend != "leveldb":
        raise Refusal("[database] backend is memory: there is nothing on disk", Exit.USAGE)
    if db_path is None:
        return home, config
    path = db_path.expanduser().absolute()
    # by whatever name: under another one, another lock would be taken than the node's
    is_own = path.resolve() in (home.databases.resolve(), home.data.resolve())
    return (home if is_own else dataclasses.replace(home, data=path, databases=path)), config


def need_databases(home: Home) -> None:
    """Raises Refusal: there are none, of a node that never ran or in a folder that is another; or one is missing beside
    the others."""
    missing = [name for name in DATABASES if not (home.databases / name).is_dir()]
    if not missing or is_replacing(home.databases):
        return
    if len(missing) == len(DATABASES):
        raise Refusal(
            f"{home.databases}: there are no databases: a node makes them at its first start; --db-path names another "
            "folder",
            Exit.USAGE,
        )
    raise Refusal(
        f"{home.databases / missing[0]} is missing beside the others; what to do: docs/database.md", Exit.DISK
    )


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Errors as one line, with the code of their kind."""
    try:
        yield
    except StoreCorrupted as error:
        raise Refusal(str(error), Exit.DISK) from None
    except HomeError as error:
        raise Refusal(str(error), Exit.USAGE if "runs on this home" not in str(error) else Exit.FAILED) from None
    except NoRoomForBackup as error:
        raise Refusal(str(error), Exit.MACHINE) from None
    except (UpkeepError, StorageError, EngineError, OSError) as error:
        if (refused := MachineRefusal.of(error)) is not None:
            raise Refusal(str(refused), Exit(refused.exit_code)) from None
        if isinstance(error, OSError) and (why := place_refused(error)):
            raise Refusal(why, Exit.USAGE) from None
        raise Refusal(str(error)) from None


@contextlib.contextmanager
def held(home: Home) -> Iterator[None]:
    """Nobody runs on the home meanwhile."""
    with plainly(), hold_home(home):
        yield


@contextlib.contextmanager
def opened(db_path: Path | None) -> Iterator[tuple[Path, Databases]]:
    """The folder and its databases, held by this process until the end. Raises Refusal: a node runs on them, or they
    cannot be read."""
    home, config = chosen(db_path)
    need_databases(home)
    with contextlib.ExitStack() as until, plainly():
        if db_path is None:
            until.enter_context(hold_home(home))
        _refuse_replacing(home)
        databases = Databases.open(home.databases, config)
        until.callback(databases.close)
        yield home.databases, databases


def _refuse_replacing(home: Home) -> None:
    """Raises Refusal."""
    if is_replacing(home.databases):
        raise Refusal(
            f"{home.databases}: a restore was cut off while it replaced the databases. The next start of the node "
            "finishes it, or another restore"
        )


@contextlib.contextmanager
def copied(home: Home, config: Config) -> Iterator[Copy]:
    """The databases as they are, whether the node runs or not; nothing of them is changed."""
    need_databases(home)
    _refuse_replacing(home)
    remove_remains(home.databases)
    with tempfile.TemporaryDirectory(prefix=f"{REHEARSAL_PREFIX}{os.getpid()}-", dir=home.databases) as folder:
        copy = Copy.of(home, config, Path(folder))
        try:
            yield copy
        finally:
            copy.close()


def size_text(size: int) -> str:
    """Bytes, for people: `311 bytes`, `888.2 KiB`, `5.1 MiB`."""
    if size < 1_024:
        return f"{size} bytes"
    unit = next((unit for unit in (10, 20) if size < 1 << (unit + 10)), 30)
    return f"{size / (1 << unit):,.1f} { {10: 'KiB', 20: 'MiB', 30: 'GiB'}[unit] }"


class Progress:
    """Where a walk is: one line on a terminal, nothing in a file."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._steps = 0

    def told(self, step: Step) -> None:
        self._steps += 1
        if self._is_shown and not step.wrong and self._steps % SHOWN_EVERY == 0:
            echo_progress(f"{step.what} {step.at}{f' of {step.of}' if step.of else ''}")

    def line(self, text: str) -> None:
        """Of work that has no steps of `verify`: the caller says how often."""
        if self._is_shown:
            echo_progress(text)

    def end(self) -> None:
        if self._is_shown:
            echo_progress()
