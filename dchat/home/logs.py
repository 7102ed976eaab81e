"""What the process says: one event a line on standard error, key=value or JSON. No secrets, no colours in files.

Tracebacks show lines of code and never the values of variables: one of them may be a key.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

from dchat.shown.text import safe, safe_line, without_userinfo

LIBRARIES_FORMAT = "%(levelname)s %(name)s %(message)s"
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_level = 20
_levels: dict[str, int] = {}  # of rooms that have one of their own


class LossyStream:
    """Standard error for lines that may be lost: no full disk under the log, and no reader that left, ends a node.

    What could not be written is counted, and told in front of the next line that can be. Past the stream's buffer: what
    stays there would be tried again by the interpreter at its end, and turn the exit code into 120.
    """

    def __init__(self, stream: TextIO, *, json_lines: bool = False) -> None:
        self._stream, self._json_lines, self._lock = stream, json_lines, threading.Lock()
        self.lost = 0  # lines since the last that was written
        self._why = ""

    def write(self, text: str) -> int:
        text = without_userinfo(text)
        with self._lock:
            try:
                self._put(self._loss() + text)
                self.lost = 0
            except (OSError, ValueError) as error:
                self.lost += max(1, text.count("\n"))
                self._why = getattr(error, "strerror", None) or str(error)
        return len(text)

    def _loss(self) -> str:
        """A line of what was lost, behind whatever part of a line was written; empty: nothing was."""
        if not self.lost:
            return ""
        told = {"level": "error", "event": "log lines were lost", "lines": self.lost, "error": self._why}
        if self._json_lines:
            return f"\n{json.dumps(told)}\n"
        return "\n" + " ".join(f"{name}={json.dumps(value)}" for name, value in told.items()) + "\n"

    def flush(self) -> None:
        """Nothing is held."""

    def isatty(self) -> bool:
        return self._stream.isatty()

    def _put(self, text: str) -> None:
        try:
            handle = self._stream.fileno()
        except (OSError, ValueError):  # a stand-in that has no file, as in tests
            self._stream.write(text)
            self._stream.flush()
            return
        data = memoryview(text.encode(errors="backslashreplace"))
        while data:
            data = data[os.write(handle, data) :]


def write_line(line: str) -> None:
    """To whom started us, if somebody listens still."""
    LossyStream(sys.stderr).write(f"{line}\n")


def last_line(code: int, text: str) -> int:
    """Why the process ends, after all other lines; returns `code`, with which it ends."""
    write_line(safe_line(f"dchat: {text}"))
    return code


def configure(*, level: str, json_lines: bool, name: str = "", levels: Sequence[str] = ()) -> None:
    """Set up structlog. name: of the node, on each line. levels: `consensus.p2p=debug`, of a room and what is in it.
    Callable again: levels and form change at once."""
    global _level  # noqa: PLW0603 - the process has one log
    _level = _LEVELS[level]
    _levels.clear()
    for one in levels:
        room, _, own = one.partition("=")
        _levels[room] = _LEVELS[own]
    stream: Any = LossyStream(sys.stderr, json_lines=json_lines)
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if json_lines
        else structlog.dev.ConsoleRenderer(
            colors=False, pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
        )
        if sys.stderr.isatty()
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    )
    structlog.configure(
        processors=[
            _drop_below_level,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([] if json_lines else [_safe_values]),  # JSON escapes them itself
            renderer,
        ],
        logger_factory=lambda *names: _Named(stream, *names),
        cache_logger_on_first_use=False,
    )
    if name:
        structlog.contextvars.bind_contextvars(node=name)
    # Libraries' warnings come through the same stream.
    logging.basicConfig(level=max(_level, logging.WARNING), stream=stream, format=LIBRARIES_FORMAT)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_JsonFormatter(name) if json_lines else _SafeFormatter(LIBRARIES_FORMAT))


class _Named(structlog.WriteLogger):
    """Knows of which module it is."""

    def __init__(self, file: TextIO, name: str = "") -> None:
        super().__init__(file)
        self.module = name


class _JsonFormatter(logging.Formatter):
    """What libraries say, as a line of the same form as ours."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        told = {"event": record.getMessage(), "logger": record.name, "level": record.levelname.lower()}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if self._node:
            told["node"] = self._node
        moment = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        return json.dumps({**told, "timestamp": moment})


class _SafeFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return safe(super().format(record))


def _safe_values(_: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Text from outside is in many values: monikers, addresses, reasons, errors. None of them begins a line."""
    for name, value in event.items():
        if value is not None and not isinstance(value, bool | int | float):
            event[name] = safe(value) if name == "exception" else safe_line(str(value))
    return event


def _drop_below_level(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    wanted = {"critical": 50, "exception": 40, "warn": 30}.get(method) or _LEVELS.get(method, 20)
    if wanted < (_of_module(getattr(logger, "module", "")) if _levels else _level):
        raise structlog.DropEvent
    return event


def _of_module(module: str) -> int:
    """The level of the smallest room around it that has one."""
    while module:
        if (found := _levels.get(module)) is not None:
            return found
        module = module.rpartition(".")[0]
    return _level


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing is logged inside: for work that is done only to see whether it can be done."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)
