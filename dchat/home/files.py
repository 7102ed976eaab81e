"""Replacing folders by others, all or nothing whenever the machine stops: a plan, durable before anything is moved,
says what goes where. Who holds the home next carries it out to its end; each step of it is done or still to be done, by
what lies where.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from consensus.system.files import replace_durably, sync_folder
from dchat.home.errors import HomeError

PLAN: Final = "replacing.json"  # beside the folders that are replaced
ASIDE: Final = "replaced-"  # of the folder that what was there goes to


def put_in_place(beside: Path, made: Path, *, also_aside: Sequence[Path] = ()) -> Path | None:
    """Put each folder in `made` in the place of the one of its name in `beside`; returns where those are now, and what
    is `also_aside`; None where there was nothing.

    made: in `beside` itself; nobody has anything in it open, and it is gone then. Raises OSError; what was begun is
    finished by `finish_replacing`.
    """
    assert made.parent == beside, made
    _sync_tree(made)
    sync_folder(beside)
    aside = Path(tempfile.mkdtemp(prefix=f"{ASIDE}{time.strftime('%Y%m%d-%H%M%S')}-", dir=beside))
    names = sorted(path.name for path in made.iterdir())
    plan = {"made": made.name, "names": names, "aside": aside.name, "also_aside": [path.name for path in also_aside]}
    replace_durably(beside / PLAN, json.dumps(plan))
    return finish_replacing(beside, also_aside=also_aside)


def is_replacing(beside: Path) -> bool:
    """Whether a stop cut off a replacing: what lies there is neither the old nor the new."""
    return (beside / PLAN).exists()


def finish_replacing(beside: Path, *, also_aside: Sequence[Path] = ()) -> Path | None:
    """Carry out what `put_in_place` began, if anything. Nobody else may use the folders. Raises HomeError, OSError.

    also_aside: where what it may have named is; the plan holds no path, for a home that is moved.
    """
    plan = beside / PLAN
    if not plan.exists():
        return None
    try:
        told = json.loads(plan.read_text())
        made, aside, names = told["made"], told["aside"], told["names"]
        for name in (made, aside, *names):
            _check_name(name)
        if len({made, aside, *names}) != len(names) + 2 or not aside.startswith(ASIDE):
            raise ValueError(f"{[made, aside, *names]} are not folders of their own")
        made, aside = beside / made, beside / aside
        going = [path for path in also_aside if path.name in told["also_aside"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HomeError(
            f"{plan}: it does not say which databases are being replaced ({error!r}): remove it, and restore again"
        ) from None
    aside.mkdir(exist_ok=True, mode=0o700)
    if made.exists():  # else all is in place, and another log may have begun
        for path in filter(Path.exists, going):
            if (aside / path.name).exists():
                shutil.rmtree(aside / path.name)  # a copy that was cut off, where that is another disk
            shutil.move(path, aside / path.name)
            sync_folder(path.parent)
    for name in names:
        if (made / name).exists():
            if (beside / name).exists():
                (beside / name).rename(aside / name)
            (made / name).rename(beside / name)
    for folder in (aside, beside):
        sync_folder(folder)
    if made.exists():
        made.rmdir()
    is_empty = not any(aside.iterdir())
    if is_empty:
        aside.rmdir()
    sync_folder(beside)
    plan.unlink()
    sync_folder(beside)
    return None if is_empty else aside


def _check_name(name: object) -> None:
    """A home may come from others: what its plan names lies beside it, and nothing else is moved or removed. Raises
    ValueError."""
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} is no folder beside it")


def _sync_tree(folder: Path) -> None:
    """Each file, then the names."""
    for path in folder.iterdir():
        if path.is_dir():
            _sync_tree(path)
            continue
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    sync_folder(folder)
