"""Unix sockets of a node's home, which its owner alone may open.

They lie in a folder of their own, never among the data: what copies a folder of data, as a supervisor does before an
upgrade, fails at a socket that a killed process left.
Source: docs/operating.md, Files; unix(7).
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import Final

PATH_BYTES_MAX: Final = 107  # of Linux's sockaddr_un, which ends with a zero
MODE: Final = 0o600


def fits(path: Path) -> bool:
    """Whether a socket can have this path."""
    return len(os.fsencode(path)) <= PATH_BYTES_MAX


def own_socket(path: Path) -> socket.socket:
    """One that lies at `path` and does not listen yet, of its owner alone from its first instant. Raises OSError.

    By the socket's own mode, which its file is made with: the umask is the process's, and a file or a folder that a
    thread makes meanwhile would have it, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_socket(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), MODE)
        made.bind(str(path))
        path.chmod(MODE)  # where a umask took from it
    except OSError:
        made.close()
        raise
    return made


def remove_socket(path: Path) -> None:
    """That a process which ended left; anything else there is not ours to remove."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
