"""`dchat database prune`: forget what is old, at once."""

from __future__ import annotations

import time
from pathlib import Path

import click

from chain.state.errors import StateError
from consensus.formats.units import NS_PER_S
from dchat.cli.database.group import database, db_path_option, opened
from dchat.cli.terminal.base import Command, Refusal, show_json
from dchat.cli.terminal.times import Length
from dchat.retention.disk_use import folder_bytes
from dchat.retention.offline import Reach, StoppedNode


@database.command("prune", cls=Command)
@click.option("--older-than", "older_than", type=Length(), required=True, help="Like 30d or 12h, counted from now.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@db_path_option
def prune_command(older_than: int, dry_run: bool, db_path: Path | None) -> None:
    """Forget blocks, results and states older than an age, as far as nothing needs them, and free their disk.

    Stop the node first. Evidence, unbonding stake, restarts and peers that are behind keep what they need: `kept_for`
    says what the lowest block that stays is needed for. A stop in the middle is harmless: the next start goes on.
    """
    with opened(db_path) as (folder, databases):
        paths = [folder / name for name in ("blocks", "state", "app")]
        try:
            node = StoppedNode(databases.blocks, databases.state, databases.app)
            reach = node.reach(older_than * NS_PER_S, now_ns=time.time_ns())
            if reach is None:
                raise Refusal("there is no block yet: nothing to forget")
            before = sum(map(folder_bytes, paths))
            if not dry_run:
                node.prune(reach)
        except StateError as error:
            raise Refusal(str(error)) from None
    after = None if dry_run else sum(map(folder_bytes, paths))
    show_json(told(reach, before=before, after=after))


def told(reach: Reach, *, before: int, after: int | None) -> dict[str, object]:
    """after: None: nothing was changed."""
    return {
        "dry_run": after is None,
        "latest_block_height": reach.height,
        "blocks": {"first": reach.base, "gone": reach.blocks, "stay_from": reach.limit.height},
        "states": {"first": reach.state_base, "gone": reach.states},
        "kept_for": reach.limit.why if reach.limit.height < reach.wanted else "their age",
        "bytes_before": before,
        "bytes_after": after,
    }
