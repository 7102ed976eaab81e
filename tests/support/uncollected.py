"""What is measured or traced without a garbage collection in its midst: a finalizer runs wherever one comes, and what
it does would count as work of whoever is looked at; an error that is raised in it is nobody's to catch."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Python's collector waits until the end of the block."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
