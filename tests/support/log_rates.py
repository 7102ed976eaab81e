"""The log limits that live as long as the process, as they are when it begins.

A module's `LogLimit` counts over all tests of a worker: a test that spends the lines of a kind leaves none to the
next, which then waits for a line that nobody writes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from consensus.system.log_limit import LogLimit

ROOMS = ("consensus.", "dchat.")
NAMES = ("loud", "_limited")


def refill_log_limits() -> None:
    for limit in _limits():
        limit._kinds.clear()
        limit._sources.clear()


def _limits() -> Iterator[LogLimit]:
    for name, module in list(sys.modules.items()):
        if name.startswith(ROOMS):
            for attribute in NAMES:
                if isinstance(limit := getattr(module, attribute, None), LogLimit):
                    yield limit
