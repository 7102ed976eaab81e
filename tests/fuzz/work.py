"""Work counted, not timed: executed lines of the product, the same on every machine and under any load."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = str(Path(__file__).parents[2])
OURS = tuple(
    f"{ROOT}/{name}/" for name in ("bridge", "chain", "consensus", "crypto", "genesis", "mempool", "node", "p2p")
)


def lines_of(run: Callable[[], object]) -> int:
    """How many lines of the product `run` executes. What C code does is bounded by the lint of its callers: regular
    expressions (tests/p2p), numbers by the interpreter's own limit on digits."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if event == "call":
            return trace if frame.f_code.co_filename.startswith(OURS) else None
        if event == "line":
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count
