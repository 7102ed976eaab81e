"""`dchat database reindex`: the indexes by hash and that of events, made anew."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from dchat.cli.database.group import Progress, database, db_path_option, opened
from dchat.cli.terminal.base import Command, Exit, Refusal, echo, show_json
from dchat.upkeep.reindex import Reindexing


@database.command("reindex", cls=Command)
@db_path_option
def reindex_command(db_path: Path | None) -> None:
    """Make the indexes anew: of transactions and of blocks by hash, and of events, by which they are searched.

    Stop the node first. What is missing is written, what leads elsewhere is put right, what leads nowhere goes, and at
    last all is looked at again. A stop in the middle is harmless: type it again. Exit code 74 when a block cannot be
    read: its transactions are indexed when it is mended. The index of events begins then with the first block whose
    results are kept, whatever `[index] tx_index` said before.
    """
    progress, faults = Progress(), 0
    with opened(db_path) as (_, databases):
        work = Reindexing(databases.blocks, databases.state)
        for step in work.run():
            progress.told(step)
            if step.wrong:
                progress.end()
                faults += 1
                echo(f"wrong: {step.wrong}")
        progress.end()
    show_json(
        {
            "transactions": asdict(work.transactions),
            "hashes_of_blocks": asdict(work.hashes),
            "events": asdict(work.events),
        }
    )
    if faults:
        raise Refusal(f"{faults} {'fault' if faults == 1 else 'faults'}; what to do: docs/database.md", Exit.DISK)
