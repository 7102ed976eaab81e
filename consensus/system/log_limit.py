"""Log lines that somebody outside can cause, held to a rate: a flood must cost neither the loop nor the disk.

Of one kind of line (its event text) each source gets one within `SOURCE_S`, all sources together `LINES_PER_S`;
what was left out is told in the next line of its source as `suppressed`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

SOURCE_S: Final = 10.0
LINES_PER_S: Final = 2.0  # of one kind, from all sources
LINES_BURST: Final = 20.0
SOURCES_MAX: Final = 1_024  # remembered (kind, source) pairs; past this the oldest is forgotten
KINDS_MAX: Final = 256  # event texts are constants of ours; a bound all the same


class LogLimit:
    """A logger for such lines. `limit.warning("refused a vote", peer.id, why=str(error))` logs `peer=...` with it.

    `log` is a structlog logger, `source_name` what the source is called in the line, `time_s` any monotonic clock.
    """

    __slots__ = ("_kinds", "_log", "_source_name", "_sources", "_time_s")

    def __init__(self, log: Any, *, source_name: str = "peer", time_s: Callable[[], float] = time.monotonic) -> None:
        self._log, self._source_name, self._time_s = log, source_name, time_s
        self._sources: dict[tuple[str, str], list[float]] = {}  # [when its last line was, suppressed since]
        self._kinds: dict[str, list[float]] = {}  # [lines left, when that was so]

    def debug(self, event: str, source: str, **fields: Any) -> None:
        self._say(self._log.debug, event, source, fields)

    def info(self, event: str, source: str, **fields: Any) -> None:
        self._say(self._log.info, event, source, fields)

    def warning(self, event: str, source: str, **fields: Any) -> None:
        self._say(self._log.warning, event, source, fields)

    def error(self, event: str, source: str, **fields: Any) -> None:
        self._say(self._log.error, event, source, fields)

    def _say(self, say: Callable[..., Any], event: str, source: str, fields: dict[str, Any]) -> None:
        suppressed = self.admit(event, source)
        if suppressed is None:
            return
        if suppressed:
            fields["suppressed"] = suppressed
        say(event, **{self._source_name: source}, **fields)

    def admit(self, event: str, source: str) -> int | None:
        """How many lines of this kind and source were left out before this one; None: this one is left out too."""
        now = self._time_s()
        key = (event, source)
        known = self._sources.get(key)
        if known is not None and now - known[0] < SOURCE_S:
            known[1] += 1
            return None
        if not self._has_room(event, now):
            self._remember(key, [-SOURCE_S if known is None else known[0], 1 + (known[1] if known else 0)])
            return None
        self._remember(key, [now, 0])
        return int(known[1]) if known is not None else 0

    def _remember(self, key: tuple[str, str], entry: list[float]) -> None:
        self._sources.pop(key, None)
        self._sources[key] = entry
        if len(self._sources) > SOURCES_MAX:
            del self._sources[next(iter(self._sources))]

    def _has_room(self, event: str, now: float) -> bool:
        kind = self._kinds.get(event)
        if kind is None:
            if len(self._kinds) >= KINDS_MAX:
                self._kinds.clear()
            kind = self._kinds[event] = [LINES_BURST, now]
        kind[0] = min(LINES_BURST, kind[0] + (now - kind[1]) * LINES_PER_S)
        kind[1] = now
        if kind[0] < 1:
            return False
        kind[0] -= 1
        return True
