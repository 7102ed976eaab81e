"""Writing an operator's files: secrets are for the owner alone, nothing secret is ever overwritten."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

SECRET_MODE = 0o600
LINKLESS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # what exFAT, VFAT and shares of others' systems say of links


@contextlib.contextmanager
def whole(path: Path) -> Iterator[None]:
    """Around the writing of a file that was made just now: what could not be written is taken away, and errors name it.
    Half a secret, which is never overwritten, would stand in the way of the next try."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = error.filename or str(path)
        raise


def _make_folder(folder: Path, mode: int) -> None:
    """Raises NotADirectoryError where a file has its name: that is no file of ours that is there already."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    folder.mkdir(parents=True, exist_ok=True, mode=mode)


def write_new_secret(path: Path, text: str) -> None:
    """Write a file that must not be there yet, mode 0600, on disk before this returns.

    Raises FileExistsError. The folder is made if missing.
    """
    _make_folder(path.parent, 0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_MODE)
    with whole(path), os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def write_new(path: Path, text: str) -> None:
    """Write a file that others may read. Raises FileExistsError."""
    _make_folder(path.parent, 0o777)
    opened = path.open("x", encoding="utf-8")
    with whole(path), opened as file:
        file.write(text)


def replace_durably(path: Path, text: str) -> None:
    """Write a file, or put another in its place; on disk, whole, when this returns."""
    draft = path.with_name(f"{path.name}.new")
    with whole(draft), draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def give_name(own: Path, path: Path) -> None:
    """Let a file that was written beside have its name, whole or not at all; `own` may be left. Raises FileExistsError,
    OSError."""
    try:
        os.link(own, path)
    except OSError as error:
        if error.errno not in LINKLESS:
            raise
        if path.exists():  # no link: of two processes that write one name at once, the later one has it
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        own.rename(path)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_private(path: Path) -> bool:
    """Nobody but the owner may read or write it."""
    return path.stat().st_mode & 0o077 == 0
