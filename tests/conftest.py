"""What holds for all tests: no property fails because a shared machine was busy; work is bounded by counting it.

A traceback that a test's node logs is text: drawn by `rich`, with the values of all variables, each takes two seconds
of the processor, and a test that waits for what comes after it failed on a busy machine.

Python 3.11 counts the depth of a syntax tree for the whole interpreter (python/cpython 106905, mended in 3.12): a
garbage collection in the midst of one, whose finalizer draws a traceback and so parses another, fails the first with
a SystemError. pytest and hypothesis parse whole modules; here no collection comes between.

What is marked `campaign` runs by `scripts/campaign whole` alone (tests/support/counts.py); what takes longest begins
first (tests/support/order.py).
"""

import ast
import os
from typing import Any

import pytest
import structlog
from hypothesis import settings

from tests.support.counts import counted, left_out
from tests.support.log_rates import refill_log_limits
from tests.support.order import long_first
from tests.support.uncollected import uncollected

_parse = ast.parse


def parse_uncollected(*args: Any, **kinds: Any) -> ast.AST:
    with uncollected():
        return _parse(*args, **kinds)


ast.parse = parse_uncollected  # type: ignore[assignment]

settings.register_profile("counted", deadline=None, max_examples=counted(40, whole=100))
settings.load_profile("counted")

structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(autouse=True)
def _full_log_limits() -> None:
    refill_log_limits()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if left := left_out(items):
        config.hook.pytest_deselected(items=left)
    kept = [item for item in items if item not in left]
    items[:] = long_first(kept, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
