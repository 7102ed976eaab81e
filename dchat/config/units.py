"""Durations and sizes as a file or a flag says them."""

from __future__ import annotations

import re

from consensus.formats.units import MIB

DURATION_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*(ms|s|m|h|d)", re.ASCII)
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)  # int() takes no text of thousands of digits
MEGABYTES_MAX = 65_535  # a size of databases above this is read as bytes: both were written in old files


def duration_ms(value: object) -> object:
    """Milliseconds of `3000`, `"3000ms"`, `"3s"`, `"2m"`; anything else is left for pydantic to refuse."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is None:
            if _NUMBER.fullmatch(value.strip()):
                return int(value)
            raise ValueError(f'"{value}" is not a duration; allowed: 1500, "1500ms", "1.5s", "2m"')
        return round(float(match[1]) * DURATION_UNITS_MS[match[2]])
    return value


def duration_s(value: object) -> object:
    """Seconds of `600`, `"600s"`, `"14d"`."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        milliseconds = duration_ms(value)
        assert isinstance(milliseconds, int)
        return milliseconds // 1_000
    return int(value) if isinstance(value, str) else value


def megabytes(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value > MEGABYTES_MAX:
        return value // MIB
    return value
