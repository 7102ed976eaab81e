"""`dchat database prune`: forget what is old, at once."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from chain.state.errors import StateError
from consensus.formats.units import NS_PER_S
from dchat.cli.database.group import Progress, database, db_path_option, opened, size_text
from dchat.cli.terminal.base import Command, Refusal, echo, show_json
from dchat.cli.terminal.times import Length
from dchat.retention.disk_use import folder_bytes
from dchat.retention.offline import Reach, StoppedNode


@database.command("prune", cls=Command)
@click.option("--older-than", "older_than", type=Length(is_bare=False), required=True, help="Like 30d or 12h.")
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
                progress = Progress()
                progress.line(f"forgets {reach.blocks:,} blocks and {reach.states:,} states, and frees their disk ...")
                node.prune(reach)
                progress.end()
        except StateError as error:
            raise Refusal(str(error)) from None
    after = None if dry_run else sum(map(folder_bytes, paths))
    if not sys.stdout.isatty():
        show_json(told(reach, before=before, after=after))
        return
    echo(f"{'would go' if dry_run else 'gone'}: {reach.blocks:,} blocks and {reach.states:,} states")
    echo(f"stay: blocks {reach.limit.height} to {reach.height}, the lowest kept for {why(reach)}")
    echo(f"on disk: {size_text(before)}" + ("" if after is None else f" before, {size_text(after)} now"))


def why(reach: Reach) -> str:
    """What the lowest block that stays is needed for."""
    return reach.limit.why if reach.limit.height < reach.wanted else "their age"


def told(reach: Reach, *, before: int, after: int | None) -> dict[str, object]:
    """after: None: nothing was changed."""
    return {
        "dry_run": after is None,
        "latest_block_height": reach.height,
        "blocks": {"first": reach.base, "gone": reach.blocks, "stay_from": reach.limit.height},
        "states": {"first": reach.state_base, "gone": reach.states},
        "kept_for": why(reach),
        "bytes_before": before,
        "bytes_after": after,
    }
