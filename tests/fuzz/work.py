"""Work counted, not timed: executed lines of the product, the same on every machine and under any load."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tests.support.uncollected import uncollected

ROOT = str(Path(__file__).parents[2])
PRODUCT: Final = ("bridge", "chain", "consensus", "crypto", "dchat", "genesis", "governance", "light", "storage")
Step = tuple[str, int, int]  # a file of the product, a line of it, and the line after it; 0: a function's first
OURS: Final = tuple(f"{ROOT}/{name}/" for name in PRODUCT)


def lines_of(run: Callable[[], object]) -> int:
    """How many lines of the product `run` executes. What C code does is bounded by the lint of its callers: regular
    expressions (tests/consensus/p2p), numbers by the interpreter's own limit on digits."""
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
        with uncollected():
            run()
    finally:
        sys.settrace(before)
    return count


def steps_of(run: Callable[[], object]) -> frozenset[Step]:
    """Through which steps of the product `run` goes."""
    found: set[Step] = set()

    def local(name: str) -> Callable[[FrameType, str, Any], Any]:
        last = 0

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            if event == "line":
                found.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return trace

        return trace

    def begin(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        return local(name) if event == "call" and name.startswith(OURS) else None

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        with uncollected():
            run()
    finally:
        sys.settrace(before)
    return frozenset(found)
