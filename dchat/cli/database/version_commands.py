"""`dchat database version`, `migrate` and `rollback`."""

from __future__ import annotations

from pathlib import Path

import click

from chain.state import layout
from chain.state.store import Stores
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from dchat.cli.database.group import chosen, copied, database, db_path_option, held, need_databases, plainly
from dchat.cli.terminal.base import Command, Refusal, echo, show_json
from dchat.home.version import build_version
from dchat.upkeep.going_back import rollback
from storage.open import open_store
from storage.options import StoreOptions

NONE = "none"


@database.command("version", cls=Command)
@db_path_option
def version(db_path: Path | None) -> None:
    """Formats and heights of the databases, and what this build writes. The node may run meanwhile."""
    home, config = chosen(db_path)
    with plainly(), copied(home, config) as copy:
        blocks, states, stores = BlockStore(copy.blocks), StateStore(copy.state), Stores(copy.app)
        state = states.load()
        show_json(
            {
                "build": build_version(),
                "format": {"app": (copy.app.get(layout.FORMAT_KEY) or b"").decode() or NONE, "this_build": _OURS},
                "chain_id": None if state is None else state.chain_id,
                "blocks": {"lowest": blocks.base, "highest": blocks.height},
                "state": {"height": 0 if state is None else state.last_block_height},
                "app": {"oldest_version": stores.earliest_version, "height": stores.latest_version},
                "app_hash": stores.app_hash.hex(),
            }
        )


_OURS = layout.FORMAT.decode()


@database.command("migrate", cls=Command)
@db_path_option
def migrate(db_path: Path | None) -> None:
    """Bring the databases to the form that this build writes. Stop the node first.

    What blocks mean changes by upgrades alone, which migrate by themselves at their height (docs/upgrades.md).
    """
    home, config = chosen(db_path)
    need_databases(home)
    with held(home):
        store = open_store(config.database.backend, home.databases / "app", StoreOptions())
        try:
            found = (store.get(layout.FORMAT_KEY) or layout.FORMAT).decode()
        finally:
            store.close()
    if found != _OURS:
        raise Refusal(f"the databases have form {found}, and this build knows {_OURS}: use the build that wrote them")
    echo(f"nothing to do: the databases have form {found}, which this build writes")


@database.command("rollback", cls=Command)
@click.option("--steps", type=click.IntRange(min=1), default=1, show_default=True, help="Blocks to execute again.")
@db_path_option
def rollback_command(steps: int, db_path: Path | None) -> None:
    """Take engine and application back below the last blocks, which the next start executes again.

    Stop the node first. The blocks stay, and the record of signing is never touched.
    """
    home, config = chosen(db_path)
    need_databases(home)
    with held(home):
        done = rollback(home, config, steps=steps)
    echo(done.told)
