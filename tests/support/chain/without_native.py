"""The Python reference in the place of the native part (docs/native.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crypto import native


@contextmanager
def in_python() -> Iterator[None]:
    native.switch(False)
    try:
        yield
    finally:
        native.switch(True)
