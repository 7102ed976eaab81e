"""`dchat tx` with all that joins it."""

from __future__ import annotations

import cli.evidence_commands
import cli.staking_commands  # noqa: F401  # its commands join the group
from cli.gov_commands import tx_gov
from cli.tx_commands import tx

tx.add_command(tx_gov)

__all__ = ["tx"]
