"""`dchat database` with all that joins it."""

from __future__ import annotations

import dchat.cli.database.backup_commands
import dchat.cli.database.genesis_commands
import dchat.cli.database.look_commands
import dchat.cli.database.prune_command
import dchat.cli.database.reindex_command
import dchat.cli.database.sql_command
import dchat.cli.database.version_commands  # noqa: F401  # its commands join the group
from dchat.cli.database.group import database

__all__ = ["database"]
