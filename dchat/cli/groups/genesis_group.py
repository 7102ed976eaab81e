"""`dchat genesis` with all that joins it."""

from __future__ import annotations

import dchat.cli.genesis.commands
import dchat.cli.genesis.documents
import dchat.cli.genesis.installing  # noqa: F401  # its commands join the group
from dchat.cli.genesis.group import genesis

__all__ = ["genesis"]
