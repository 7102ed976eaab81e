"""`dchat database verify` and `stats`: they only read, also while the node runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chain.state import layout
from consensus.evidence import pool as evidence
from consensus.formats.errors import InvalidFile
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.record import read_record
from consensus.privval.signer import RECORD_DAMAGED, record_fault
from consensus.stores import block_store, event_index, state_store
from consensus.system.disk import OsDisk
from dchat.cli.database.group import (
    Progress,
    chosen,
    copied,
    database,
    db_path_option,
    need_databases,
    plainly,
    size_text,
)
from dchat.cli.terminal.base import Command, Exit, Refusal, echo, show_json
from dchat.home.errors import HomeError
from dchat.home.home import Home, load_genesis, load_public_key
from dchat.node.runtime import GENESIS_KEY
from dchat.upkeep.copies import DATABASES, Copy
from dchat.upkeep.verify import verify
from genesis.digest import genesis_digest, rendered_digest
from storage.errors import LOOK_FURTHER
from storage.level_files import damages

COUNTED_SHOWN_EVERY = 20_000  # records between two changes of the line


@database.command("verify", cls=Command)
@db_path_option
def verify_command(db_path: Path | None) -> None:
    """Walk every file, block, commit, result, index entry and tree; say what is wrong, and where.

    The node may run meanwhile. Exit code 74 when anything is wrong.
    """
    home, config = chosen(db_path)
    need_databases(home)
    progress = Progress()
    wrong = [_told(str(error)) for error in _damaged_files(home)]
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    for line in wrong:
        echo(f"wrong: {line}")
    if not wrong:
        with plainly(), copied(home, config) as copy:
            for line in _damaged_documents(home, copy) if db_path is None else ():
                wrong.append(line)
                echo(f"wrong: {line}")
            for step in verify(copy):
                progress.told(step)
                begins.setdefault(step.what, step.at)
                ends[step.what] = step.at
                if step.wrong:
                    progress.end()
                    wrong.append(_told(step.wrong.replace(str(copy.folder), str(home.databases))))
                    echo(f"wrong: {wrong[-1]}")
    progress.end()
    if wrong:
        raise Refusal(
            f"{len(wrong)} {'fault' if len(wrong) == 1 else 'faults'}; what to do: docs/database.md", Exit.DISK
        )
    first, last = begins.get("blocks", 0), ends.get("blocks", 0)
    echo(f"ok: blocks {first} to {last}, {ends.get('trees', 0)} records of the state")


def _told(line: str) -> str:
    """Without the advice to ask this command."""
    return line.replace(LOOK_FURTHER, "")


def _damaged_documents(home: Home, copy: Copy) -> Iterator[str]:
    """Keys, the record of signing and the genesis, as far as they are there: what a start would refuse."""
    checks = (
        (home.node_key, lambda: NodeKey.load(home.node_key)),
        (home.validator_key, lambda: _check_key(home)),
        (home.genesis, lambda: _check_genesis(home, copy)),
    )
    for path, check in checks:
        if path.exists():
            try:
                check()
            except (HomeError, ValueError) as error:
                yield str(error)


def _check_key(home: Home) -> None:
    """Raises HomeError."""
    key = load_public_key(home)
    if not home.sign_state.exists():
        return
    try:
        why = record_fault(read_record(OsDisk(), home.sign_state, key.address), key)
    except InvalidFile as error:
        why = str(error)
    if why:
        raise HomeError(f"{home.sign_state}: {why}. {RECORD_DAMAGED}")


def _check_genesis(home: Home, copy: Copy) -> None:
    """Raises HomeError."""
    genesis, known = load_genesis(home), copy.state.get(GENESIS_KEY)
    if known not in (None, genesis_digest(genesis)) and known != rendered_digest(genesis):
        raise HomeError(
            f"{home.genesis}: it is not the genesis that these databases began with: copy the chain's own there"
        )


def _damaged_files(home: Home) -> list[Exception]:
    """What the tables themselves tell. The logs, and what belongs together, are looked at when a copy is opened."""
    found: list[Exception] = []
    for name in DATABASES:
        path = str(home.databases / name)
        with plainly():
            found += damages(path) if (home.databases / name / "CURRENT").exists() else ()
    return found


KINDS = {
    "blocks": {
        "blocks": block_store.BLOCK, "headers": block_store.META, "commits": block_store.COMMIT,
        "seen_commits": block_store.SEEN, "index_of_hashes": block_store.HASH,
    },
    "state": {
        "results": state_store.RESULTS, "index_of_transactions": state_store.TX,
        "events_of_transactions": event_index.OF_TXS, "events_of_blocks": event_index.OF_BLOCKS,
        "validators": state_store.VALIDATORS, "parameters": state_store.PARAMS, "evidence": evidence.COMMITTED,
    },
    "app": {
        "values": layout.VALUE, "trees": layout.PAGE, "side_records": layout.SIDE, "history": layout.UNDO,
        "roots": layout.ROOTS,
    },
}  # fmt: skip


@database.command("stats", cls=Command)
@db_path_option
def stats(db_path: Path | None) -> None:
    """What takes how much room, and how many records of each kind there are: JSON where nobody looks.

    The node may run meanwhile. Records are counted without what the disk adds or compresses.
    """
    home, config = chosen(db_path)
    told: dict[str, Any] = {}
    progress = Progress()
    with plainly(), copied(home, config) as copy:
        for name in DATABASES:
            store = getattr(copy, name)
            files = [path.stat().st_size for path in (home.databases / name).iterdir() if path.is_file()]
            kinds: dict[str, Any] = {}
            for kind, prefix in KINDS[name].items():
                count = size = 0
                for key, value in store.scan(prefix, layout.prefix_end(prefix)):
                    count, size = count + 1, size + len(key) + len(value)
                    if count % COUNTED_SHOWN_EVERY == 0:
                        progress.line(f"{name}: {kind.replace('_', ' ')} {count:,}")
                kinds[kind] = {"records": count, "bytes": size}
            told[name] = {"bytes_on_disk": sum(files), "files": len(files), "kinds": kinds}
    progress.end()
    if not sys.stdout.isatty():
        show_json(told)
        return
    for name, one in told.items():
        echo(f"{name}: {size_text(one['bytes_on_disk'])} on disk, in {one['files']} files")
        for kind, has in one["kinds"].items():
            echo(f"  {kind.replace('_', ' '):<22}{has['records']:>14,} records {size_text(has['bytes']):>14}")
