"""Places between durable steps where a test may stop the process.

The hook is given to the engine; the product's does nothing. Names say what has just become durable.
Source: CometBFT v0.38, the fail points of state/execution.go and consensus/state.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

FailPoint: TypeAlias = Callable[[str], None]

FAIL_POINTS: Final = (
    "vote signed",
    "vote logged",
    "proposal logged",
    "block decided",
    "block saved",
    "height ended",
    "block executed",
    "results saved",
    "application committed",
    "evidence updated",
    "state saved",
)


def no_fail_point(name: str) -> None:
    """The product's: goes on."""
