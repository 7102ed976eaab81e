"""How long a test waits for what must come."""

from __future__ import annotations

from typing import Final

# Of the clock. It bounds a test that would hang, and measures nothing: a machine on which others work gives a test a
# twentieth of a core. What must come in a certain time is counted in work, or in simulated time.
PATIENCE_S: Final = 120.0
