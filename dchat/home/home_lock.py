"""One process per home, and per record of signatures: two would sign with one key."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

import structlog

from consensus.privval.errors import SignerStateInUse
from consensus.privval.succession import settle
from consensus.system.disk import OsDisk
from dchat.home.errors import AlreadyRunning, HomeError
from dchat.home.files import finish_replacing
from dchat.home.home import Home
from storage.level_files import is_held

PROBES: Final = 50
PROBE_S: Final = 0.01
log = structlog.get_logger()

ENDING_PROBES: Final = 200  # 2 s: of a process that was killed the kernel frees large memory before its last files


@contextlib.contextmanager
def hold_home(home: Home) -> Iterator[None]:
    """One process per home: two would sign with one key. The file holds the pid for people and for the testnet. The
    record's own lock is held, too: a signer that was given the home's files by name is no process of the home.

    What a stop left of a restore, or of a change of the consensus key, is finished first. Of a process that was killed
    this lock is free a moment before those of its databases: they are waited for. Raises AlreadyRunning, HomeError,
    OSError.
    """
    home.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with home.pid_file.open("a+") as file, contextlib.ExitStack() as held:
        if not _locked(file):
            file.seek(0)
            who = f"process {pid}" if (pid := file.read().strip()) else "another process"
            raise AlreadyRunning(f"{home.pid_file}: {who} runs on this home already: stop it first")
        _write_pid(file)
        try:
            held.enter_context(_recorded(home))
            if settle(OsDisk(), home.places):
                log.warning("finished a change of the consensus key that a stop had interrupted")
            if home.databases.is_dir():
                _wait_for_databases(home.databases)
                finish_replacing(home.databases, also_aside=(home.wal,))
            yield
        finally:
            # the name stays: removing it would let a third process lock another file of the same name
            with contextlib.suppress(OSError):  # a disk that fails changes no exit code
                file.truncate(0)


@contextlib.contextmanager
def hold_record(state: Path) -> Iterator[None]:
    """One process signs by a record. Raises SignerStateInUse; HomeError: the record is a link; OSError."""
    if state.is_symlink():
        raise HomeError(
            f"{state} is a symbolic link: each record takes the place of the one before it, and what the link leads to "
            "would stay old. Put the file itself here, or name its folder"
        )
    with state.with_suffix(".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SignerStateInUse(f"{state}: another process signs by this record: stop it first") from None
        yield


@contextlib.contextmanager
def _recorded(home: Home) -> Iterator[None]:
    """Raises AlreadyRunning, HomeError, OSError."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(hold_record(home.sign_state))
        except SignerStateInUse as error:
            raise AlreadyRunning(str(error)) from None
        yield


def finish_change(home: Home) -> None:
    """Before anybody misses the key that a stop left halfway to its place. Raises HomeError, OSError."""
    if not home.validator_key.exists() and home.next_validator_key.exists():
        with contextlib.suppress(AlreadyRunning), hold_home(home):
            pass


def _locked(file: TextIO) -> bool:
    """Take the lock. A shared holder only looks whether a process runs here, for an instant: wait for it to go."""
    for _ in range(PROBES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # a process that runs
        fcntl.flock(file, fcntl.LOCK_UN)
        time.sleep(PROBE_S)
    return False


def _wait_for_databases(folder: Path) -> None:
    """Until no other process has one of them open. Who still has one then is named when it is opened."""
    for _ in range(ENDING_PROBES):
        if not any(is_held(str(lock.parent)) for lock in folder.glob("*/LOCK")):
            return
        time.sleep(PROBE_S)


def _write_pid(file: TextIO) -> None:
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
