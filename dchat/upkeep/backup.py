"""Backing up a home's databases while its node runs, and bringing them back.

A restore unpacks beside the databases, walks all of it (`verify`), and only then puts it in their place; what was there
is set aside. The record of signing is never lowered: where the backup knows of later signatures of the same key, it is
raised to them, and an absent one stays absent. How far the log goes is of no use beside older databases: it is set
aside too.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from chain.state.store import Stores
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from dchat.config import Config
from dchat.home.files import put_in_place
from dchat.home.home import REHEARSAL_PREFIX, Home, load_genesis, load_public_key
from dchat.home.version import build_version
from dchat.upkeep.archive import Facts, Told, quiet, read_archive, write_archive
from dchat.upkeep.copies import DATABASES, Copy, hold_databases, remove_remains
from dchat.upkeep.errors import BadBackup, UpkeepError
from dchat.upkeep.locks import Lock, decrypt, encrypt
from dchat.upkeep.sign_record import mark_moved, raise_sign_state, read_sign_state
from dchat.upkeep.verify import Step, verify
from genesis.digest import genesis_digest, rendered_digest
from storage.errors import StorageError
from storage.open import open_store
from storage.options import StoreOptions

MADE: Final = "restored"  # the folder, for a moment, of what takes the databases' place
SIGNED_AHEAD_MAX: Final = 10_000  # heights: databases that catch up lag behind what their key signed before
WRONG_MAX: Final = 2_000  # characters that are told of one fault
LINE_BYTES_MAX: Final = 1 << 16
ROOM_SHARE: Final = 4  # a restore needs so many fourths of the backup's size free, at least
ROOM_KEPT: Final = 16  # and leaves one of so many parts of what is free, whatever a backup unpacks to


@dataclass(frozen=True)
class Restored:
    facts: Facts
    aside: Path | None  # where what was there before is
    raised: bool  # the record of signing


def backup(home: Home, config: Config, output: Path, *, compress: bool, lock: Lock | None, told: Told = quiet) -> Facts:
    """Write a backup into a new file, mode 0600, on disk when this returns; the node may run, and is not asked.

    told: as `write_archive` says. What fails may leave a part of it. Raises UpkeepError, StorageError, HomeError,
    OSError.
    """
    remove_remains(home.databases)
    with _working_folder(home.databases) as name:
        folder = Path(name)
        copy = Copy.of(home, config, folder)
        try:
            facts = _facts_of(home, copy)
        finally:
            copy.close()
        plain = folder / "plain" if lock is not None else output  # what is not encrypted stays in the home
        _write_plain(plain, facts, folder, compress=compress, told=told)
        if lock is not None:
            encrypt(plain, output, lock)
    return facts


def _write_plain(path: Path, facts: Facts, folder: Path, *, compress: bool, told: Told) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        write_archive(out, facts, folder, compress=compress, told=told)
        out.flush()
        os.fsync(out.fileno())


def _working_folder(beside: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=f"{REHEARSAL_PREFIX}{os.getpid()}-", dir=beside)


def _facts_of(home: Home, copy: Copy) -> Facts:
    state, blocks = StateStore(copy.state).load(), BlockStore(copy.blocks)
    if state is None or not blocks.height:
        raise UpkeepError(f"{home.databases}: there is no block yet")
    validator, signed = "", (0, 0, 0)
    if home.validator_key.exists() and home.sign_state.exists():
        validator = load_public_key(home).address.hex()
        signed = read_sign_state(home).position
    return Facts(
        chain_id=state.chain_id, genesis_hash=genesis_hash(home), height=state.last_block_height,
        app_hash=state.app_hash.hex(), build=build_version(), validator=validator, signed=signed,
    )  # fmt: skip


def genesis_hash(home: Home) -> str:
    """Raises HomeError."""
    return genesis_digest(load_genesis(home)).hex()


def _is_of(home: Home, noted: str) -> bool:
    """Whether a backup that noted this hash of its genesis is of the home's. Raises HomeError."""
    genesis = load_genesis(home)
    return noted == genesis_digest(genesis).hex() or noted == rendered_digest(genesis).hex()


def restore(home: Home, source: Path, *, lock: Lock | None, told: Callable[[Step], None]) -> Restored:
    """Replace the databases by a backup's, after all of it was verified. The node must not run, and the caller holds
    the home. Raises BadBackup, UpkeepError, StorageError, HomeError, OSError."""
    home.databases.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_remains(home.databases)
    with hold_databases(home.databases), _working_folder(home.databases) as name:
        folder = Path(name) / "restored"
        facts = _unpack(source, Path(name), folder, lock)
        if home.genesis.exists() and not _is_of(home, facts.genesis_hash):
            raise BadBackup(f"it is of chain {facts.chain_id}, of another genesis than {home.genesis}")
        _check_signed(home, facts)
        _check(folder, facts, told)
        raised = _raise_sign_state(home, facts)  # first: a stop leaves no older databases without it
        mark_moved(home)
        made = home.databases / MADE
        shutil.rmtree(made, ignore_errors=True)
        folder.rename(made)
        aside = put_in_place(home.databases, made, also_aside=(home.wal,))
    return Restored(facts, aside, raised)


def _is_of_key(home: Home, facts: Facts) -> bool:
    if not facts.validator or not home.validator_key.exists():
        return False
    return load_public_key(home).address.hex() == facts.validator


def _check_signed(home: Home, facts: Facts) -> None:
    """A record of signing is never lowered again: a backup by somebody else could silence the key for ever. Raises
    BadBackup, HomeError."""
    if not _is_of_key(home, facts) or not home.sign_state.exists():
        return
    known = max(facts.height, read_sign_state(home).height)
    if facts.signed[0] > known + SIGNED_AHEAD_MAX:
        raise BadBackup(
            f"it says that this home's key signed at height {facts.signed[0]}, and its last block is {facts.height}; "
            f"allowed: {SIGNED_AHEAD_MAX} above that and above the home's own record. If it did, carry the record here "
            "first: `dchat signer export` and `dchat signer import`"
        )


def _raise_sign_state(home: Home, facts: Facts) -> bool:
    """To what the backup knows that the home's key signed."""
    return _is_of_key(home, facts) and raise_sign_state(home, facts.signed)


def _unpack(source: Path, work: Path, folder: Path, lock: Lock | None) -> Facts:
    if shutil.disk_usage(work).free * ROOM_SHARE < source.stat().st_size * (ROOM_SHARE + 1):
        raise UpkeepError(f"{work.parent}: there is no room to unpack {source}")
    plain = work / "plain"
    archive = plain if decrypt(source, plain, lock) else source
    with archive.open("rb") as file:
        free = shutil.disk_usage(work).free
        facts = read_archive(file, folder, bytes_max=free - free // ROOM_KEPT)
    plain.unlink(missing_ok=True)
    return facts


def _check(folder: Path, facts: Facts, told: Callable[[Step], None]) -> None:
    """Walk all of it. Raises BadBackup."""
    missing = [name for name in DATABASES if not (folder / name / "CURRENT").exists()]
    if missing:
        raise BadBackup(f"the database {missing[0]} is not in it")
    wrong, found = [], None
    for line in _walked(folder):
        match line:
            case {"what": str(what), "at": int(at), "of": int(of), "wrong": str(why)}:
                told(Step(what, at, of, why))
                wrong += [why] if why else []
            case _:
                found = line
    if not wrong and found != {"chain_id": facts.chain_id, "height": facts.height}:
        wrong.append("it is not of the height and the chain that it says")
    if wrong:
        raise BadBackup(f"what is in it is damaged in {len(wrong)} places, the first: {wrong[0]}")


def _walked(folder: Path) -> Iterator[Any]:
    """What `tell_walk` tells of three databases that somebody else made, from a process of its own: LevelDB ends one
    that reads a table which was made for that. Raises BadBackup."""
    code = f"import sys; from {__name__} import tell_walk; tell_walk(sys.argv[1])"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DCHAT_")}  # as secrets
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    with subprocess.Popen(
        (sys.executable, "-c", code, str(folder)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            while line := process.stdout.readline(LINE_BYTES_MAX):
                yield json.loads(line)
            code_of_end = process.wait()
        finally:
            process.kill()
    if code_of_end:
        how = f"by signal {-code_of_end}" if code_of_end < 0 else f"with code {code_of_end}"
        raise BadBackup(f"what is in it ends the process that reads it ({how}): it is damaged, or made for that")


def tell_walk(folder: str) -> None:
    """Write a line of JSON for each step of `verify`, then of which chain and height the databases are."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # what it may end of is no fault to be looked into
    try:
        copy = Copy(Path(folder), *(open_store("leveldb", Path(folder) / name, StoreOptions()) for name in DATABASES))
        try:
            for step in verify(copy):
                _tell(asdict(replace(step, wrong=step.wrong[:WRONG_MAX])))
            state, version = StateStore(copy.state).load(), Stores(copy.app).latest_version
            if state is not None and version >= 0:
                _tell({"chain_id": state.chain_id, "height": state.last_block_height})
        finally:
            copy.close()
    except StorageError as error:
        _tell(asdict(Step("databases", 0, 0, str(error)[:WRONG_MAX])))


def _tell(line: object) -> None:
    sys.stdout.write(f"{json.dumps(line)}\n")
    sys.stdout.flush()
