"""Unix sockets of a node's home, which its owner alone may open.

They lie in a folder of their own, never among the data: what copies a folder of data, as a supervisor does before an
upgrade, fails at a socket that a killed process left.
Source: docs/operating.md, Files; unix(7).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PATH_BYTES_MAX: Final = 107  # of Linux's sockaddr_un, which ends with a zero


def fits(path: Path) -> bool:
    """Whether a socket can have this path."""
    return len(os.fsencode(path)) <= PATH_BYTES_MAX


@contextlib.contextmanager
def place_for(path: Path) -> Iterator[None]:
    """What is bound within is its owner's alone. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_socket(path)
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def remove_socket(path: Path) -> None:
    """That a process which ended left; anything else there is not ours to remove."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
