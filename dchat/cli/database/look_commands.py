"""`dchat database verify` and `stats`: they only read, also while the node runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chain.state import layout
from consensus.evidence import pool as evidence
from consensus.stores import block_store, state_store
from dchat.cli.database.group import Progress, chosen, copied, database, db_path_option, need_databases, plainly
from dchat.cli.terminal.base import Command, Exit, Refusal, echo, show_json
from dchat.home.home import Home
from dchat.upkeep.copies import DATABASES
from dchat.upkeep.verify import verify
from storage.level_files import damages


@database.command("verify", cls=Command)
@db_path_option
def verify_command(db_path: Path | None) -> None:
    """Walk every file, block, commit, result, index entry and tree; say what is wrong, and where.

    The node may run meanwhile. Exit code 74 when anything is wrong.
    """
    home, config = chosen(db_path)
    need_databases(home)
    progress = Progress()
    wrong = [str(error) for error in _damaged_files(home)]
    ends: dict[str, int] = {}
    for line in wrong:
        echo(f"wrong: {line}")
    if not wrong:
        with plainly(), copied(home, config) as copy:
            for step in verify(copy):
                progress.told(step)
                ends[step.what] = step.at
                if step.wrong:
                    progress.end()
                    wrong.append(step.wrong.replace(str(copy.folder), str(home.databases)))
                    echo(f"wrong: {wrong[-1]}")
    progress.end()
    if wrong:
        raise Refusal(
            f"{len(wrong)} {'fault' if len(wrong) == 1 else 'faults'}; what to do: docs/database.md", Exit.DISK
        )
    echo(f"ok: blocks to {ends.get('blocks', 0)}, {ends.get('trees', 0)} records of the state")


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
        "results": state_store.RESULTS, "index_of_transactions": state_store.TX, "validators": state_store.VALIDATORS,
        "parameters": state_store.PARAMS, "evidence": evidence.COMMITTED,
    },
    "app": {
        "values": layout.VALUE, "trees": layout.PAGE, "side_records": layout.SIDE, "history": layout.UNDO,
        "roots": layout.ROOTS,
    },
}  # fmt: skip


@database.command("stats", cls=Command)
@db_path_option
def stats(db_path: Path | None) -> None:
    """What takes how much room, and how many records of each kind there are. The node may run meanwhile."""
    home, config = chosen(db_path)
    told: dict[str, Any] = {}
    with plainly(), copied(home, config) as copy:
        for name in DATABASES:
            store = getattr(copy, name)
            files = [path.stat().st_size for path in (home.databases / name).iterdir() if path.is_file()]
            kinds: dict[str, Any] = {}
            for kind, prefix in KINDS[name].items():
                count = size = 0
                for key, value in store.scan(prefix, layout.prefix_end(prefix)):
                    count, size = count + 1, size + len(key) + len(value)
                kinds[kind] = {"records": count, "bytes": size}
            told[name] = {"bytes_on_disk": sum(files), "files": len(files), "kinds": kinds}
    show_json(told)
