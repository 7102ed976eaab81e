"""`dchat database sql`: what a node has stored, into the tables of a PostgreSQL server."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from consensus.node.engine import states_height
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from dchat.cli.database.group import Progress, chosen, copied, database, db_path_option, plainly
from dchat.cli.terminal.base import Command, Exit, Refusal, show_json
from dchat.home.home import load_genesis
from dchat.sql.errors import SqlError, SqlMissing
from dchat.sql.fill import Filled, fill
from dchat.sql.on_node import target_of
from dchat.sql.stored import Stored
from dchat.sql.writer import Writer
from dchat.upkeep.verify import Step


@database.command("sql", cls=Command)
@click.option(
    "--connection", help="postgresql://USER@HOST/DATABASE. Default: [sql] connection, which no list of processes shows."
)
@click.option("--schema", help="The schema with the tables. Default: [sql] schema_name.")
@db_path_option
def sql_command(connection: str | None, schema: str | None, db_path: Path | None) -> None:
    """Write blocks, transactions and events into a PostgreSQL database: what it has not got yet.

    The node may run meanwhile: a copy is read, as it is at the beginning. A stop anywhere is harmless; type it again,
    at any time. What a node does all the time: [sql] connection in its options (docs/sql.md).
    """
    home, config = chosen(db_path)
    options = config.sql
    try:
        if connection is not None:
            options.connection = connection
        if schema is not None:
            options.schema_name = schema
    except ValueError:  # its text has what was given, and a password may stand in it
        raise Refusal(
            "--connection or --schema cannot be used; allowed: postgresql://USER:PASSWORD@HOST/DATABASE, where / : @ # "
            "? and % of a password are written as %2F %3A %40 %23 %3F %25, and a schema of a-z, 0-9 and _",
            Exit.USAGE,
        ) from None
    if not options.connection:
        raise Refusal("no database is named: --connection, [sql] connection or DCHAT_SQL__CONNECTION", Exit.USAGE)
    progress, done = Progress(), Filled(0, 0, 0)
    try:
        with plainly(), copied(home, config) as copy:
            blocks, states = BlockStore(copy.blocks), StateStore(copy.state)
            stored = Stored(blocks, states, lambda: states_height(states))
            with closing(Writer.attach(target_of(config, load_genesis(home)))) as writer:
                done = Filled(writer.at.height, 0, 0)
                for done in fill(writer, stored):
                    progress.told(Step("blocks", done.height, stored.height))
    except SqlMissing as error:
        raise Refusal(str(error), Exit.USAGE) from None
    except SqlError as error:
        raise Refusal(str(error)) from None
    finally:
        progress.end()
    show_json({"height": done.height, "blocks": done.blocks, "transactions": done.transactions})
