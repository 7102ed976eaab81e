"""How lengths of time and times are said, in every command: `90s`, `10m`, `1h`, `7d`; a time is so long from now, by
this machine's clock, or `2027-01-31T12:00:00Z`. A number alone is seconds where lengths are asked for; of times, which
are days and weeks away, it is refused.
"""

from __future__ import annotations

import time
from typing import Final

import click

from consensus.formats.errors import InvalidData
from consensus.formats.timestamps import parse_rfc3339
from consensus.formats.units import NS_PER_S
from dchat.config.units import duration_ms

TEXT_MAX: Final = 40
SLACK_S: Final = 3_600
LENGTHS: Final = "90s, 10m, 1h, 7d"
TIMES: Final = f"{LENGTHS} (from now), or 2027-01-31T12:00:00Z"


def length_of(text: str) -> int:
    """Seconds of `90s`, `10m`, `1h`, `7d`, `600`. Raises ValueError."""
    said = text.strip()
    wrong = f"{text[:TEXT_MAX]!r} is no length of time; allowed: {LENGTHS}, or seconds"
    if len(said) > TEXT_MAX or not said.isascii():
        raise ValueError(wrong)
    if said.isdigit():
        return int(said)
    try:
        milliseconds = duration_ms(said)
    except ValueError:
        raise ValueError(wrong) from None
    assert isinstance(milliseconds, int)
    if milliseconds % 1_000:
        raise ValueError(f"{text!r} is no whole number of seconds; allowed: {LENGTHS}")
    return milliseconds // 1_000


def time_of(text: str) -> int:
    """Block time in ns, of `7d` (from now on, by this machine's clock) or an RFC 3339 time. Raises ValueError."""
    said = text.strip()
    try:
        return parse_rfc3339(said)
    except InvalidData:
        pass
    if said.isascii() and said.isdigit():
        raise ValueError(f"{text[:TEXT_MAX]!r} of what? Say a unit: {said[:TEXT_MAX]}d")
    try:
        return time.time_ns() + length_of(said) * NS_PER_S
    except ValueError:
        raise ValueError(f"{text[:TEXT_MAX]!r} is no time; allowed: {TIMES}") from None


class Length(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """See `length_of`. least: seconds. is_bare: a number alone is seconds; else it is asked of what."""

    name = "LENGTH"

    def __init__(self, *, least: int = 0, is_bare: bool = True) -> None:
        self.least, self.is_bare = least, is_bare

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        said = str(value).strip()
        if not self.is_bare and said.isascii() and said.isdigit():
            self.fail(f"{said[:TEXT_MAX]!r} of what? Say a unit: {said[:TEXT_MAX]}d", param, ctx)
        try:
            seconds = value if isinstance(value, int) else length_of(said)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds < self.least:
            self.fail(f"{value!r} is too short; allowed: {self.least}s and more", param, ctx)
        return seconds


class Time(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """See `time_of`; later than now. most_s: how far it may be away. What the chain allows is counted from its block's
    time, so an hour more passes here."""

    name = "TIME"

    def __init__(self, *, most_s: int | None = None) -> None:
        self.most_s = most_s

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        now_ns = time.time_ns()
        try:
            found = time_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if self.most_s is None:
            return found
        if found <= now_ns + NS_PER_S - 1:
            self.fail(f"{value!r} is not later than now; allowed: {TIMES}", param, ctx)
        if found > now_ns + (self.most_s + SLACK_S) * NS_PER_S:
            self.fail(f"{value!r} is too far away; allowed: up to {self.most_s // 86_400}d from now", param, ctx)
        return found
