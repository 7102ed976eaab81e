"""What holds for all tests: no property fails because a shared machine was busy; work is bounded by counting it.

A traceback that a test's node logs is text: drawn by `rich`, with the values of all variables, each takes two seconds
of the processor, and a test that waits for what comes after it failed on a busy machine.

Python 3.11 counts the depth of a syntax tree for the whole interpreter (python/cpython 106905, mended in 3.12): a
garbage collection in the midst of one, whose finalizer draws a traceback and so parses another, fails the first with
a SystemError. pytest and hypothesis parse whole modules; here no collection comes between.
"""

import ast
import gc
from typing import Any

import structlog
from hypothesis import settings

_parse = ast.parse


def parse_uncollected(*args: Any, **kinds: Any) -> ast.AST:
    collects = gc.isenabled()
    gc.disable()
    try:
        return _parse(*args, **kinds)
    finally:
        if collects:
            gc.enable()


ast.parse = parse_uncollected  # type: ignore[assignment]

settings.register_profile("counted", deadline=None)
settings.load_profile("counted")

structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)
