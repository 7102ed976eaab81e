"""`python -m tests.fuzz.run NAME [libFuzzer's flags]`: atheris on one target, or on `all`, whose first byte chooses.

What a target raises beside its refusals ends the run, with the input in a file crash-... of the working folder.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable

import atheris
import structlog

from tests.fuzz.mutate import mutated
from tests.fuzz.work import PRODUCT


def chosen(name: str) -> Callable[[bytes], object]:
    """What takes one input."""
    with atheris.instrument_imports(include=list(PRODUCT)):
        from tests.fuzz.targets import TARGETS
    if name != "all":
        return TARGETS[name].once
    targets = list(TARGETS.values())
    return lambda data: targets[data[0] % len(targets)].once(data[1:]) if data else None


def mutate(data: bytes, size_max: int, seed: int) -> bytes:
    """Half by the wire format, half by libFuzzer. Bytes in front that are no part of a message stay."""
    rng = random.Random(seed)
    if rng.random() < 0.5:
        return bytes(atheris.Mutate(data, size_max))
    head = rng.choice((0, 0, 0, 1, 3, 4))
    changed = data[:head] + mutated(data[head:], rng)
    return changed if len(changed) <= size_max else bytes(atheris.Mutate(data, size_max))


def main() -> None:
    name, *flags = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    run = chosen(name)
    atheris.Setup([sys.argv[0], *flags], run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
