"""`python -m tests.fuzz.run NAME [libFuzzer's flags]`: atheris on one target, or on `all`, whose first byte chooses.

What a target raises beside its refusals ends the run, with the input in a file crash-... of the working folder.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import atheris
import structlog

PRODUCT = ["bridge", "chain", "consensus", "crypto", "genesis", "mempool", "node", "p2p"]


def chosen(name: str) -> Callable[[bytes], object]:
    """What takes one input."""
    with atheris.instrument_imports(include=PRODUCT):
        from tests.fuzz.targets import TARGETS
    if name != "all":
        return TARGETS[name].once
    targets = list(TARGETS.values())
    return lambda data: targets[data[0] % len(targets)].once(data[1:]) if data else None


def main() -> None:
    name, *flags = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    run = chosen(name)
    atheris.Setup([sys.argv[0], *flags], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
