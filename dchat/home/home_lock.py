"""One process per home: two would sign with one key."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import TextIO

from dchat.home.errors import AlreadyRunning
from dchat.home.home import Home


@contextlib.contextmanager
def hold_home(home: Home) -> Iterator[None]:
    """One process per home: two would sign with one key. The file holds the pid for people and for the testnet."""
    home.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with home.pid_file.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            pid = file.read().strip()
            raise AlreadyRunning(f"{home.pid_file}: process {pid} runs on this home already") from None
        _write_pid(file)
        yield
        # the name stays: removing it would let a third process lock another file of the same name
        with contextlib.suppress(OSError):  # a disk that fails changes no exit code
            file.truncate(0)


def _write_pid(file: TextIO) -> None:
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
