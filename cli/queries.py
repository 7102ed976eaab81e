"""`dchat query` with all that joins it."""

from __future__ import annotations

import cli.event_commands
import cli.staking_commands  # noqa: F401  # its commands join the group
from cli.gov_commands import query_gov
from cli.query_commands import query

query.add_command(query_gov)

__all__ = ["query"]
