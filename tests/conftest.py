"""What holds for all tests: no property fails because a shared machine was busy; work is bounded by counting it.

A traceback that a test's node logs is text: drawn by `rich`, with the values of all variables, each takes two seconds
of the processor, and a test that waits for what comes after it failed on a busy machine.
"""

import structlog
from hypothesis import settings

settings.register_profile("counted", deadline=None)
settings.load_profile("counted")

structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)
