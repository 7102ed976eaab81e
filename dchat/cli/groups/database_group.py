"""`dchat database` with all that joins it."""

from __future__ import annotations

import dchat.cli.database.prune_command  # noqa: F401  # its commands join the group
from dchat.cli.database.group import database

__all__ = ["database"]
