"""The alert rules as they are shipped, with all their times divided by a factor: five minutes are ten seconds.

A rule keeps its expression, its thresholds and its words. What is a time in it is divided: ranges, offsets, `for`, and
the few numbers that are seconds, which stand in SECONDS below. So is the interval at which nodes are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

RULES: Final = Path(__file__).parents[3] / "deploy" / "monitoring" / "alert-rules.yaml"
READ_EVERY_S: Final = 15.0  # scrape_interval of prometheus.yml
FACTOR: Final = 30
LONG_FACTOR: Final = 360  # of rules that count by the hour
LONG: Final = frozenset({"DchatUpgradeNotReady", "DchatBackupFailing", "DchatDiskFillsUp"})

# Numbers of expressions that are seconds: as they stand there, and how many.
SECONDS: Final[Mapping[str, tuple[str, str, int]]] = {
    "DchatNoBlock": ("> 300 ", "> {} ", 300),
    "DchatDiskFillsUp": (", 3 * 86400)", ", {})", 3 * 86_400),
}
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TIME: Final = re.compile(r"(?P<before>\[|offset |^ +for: )(?P<number>\d+)(?P<unit>[smhd])\b", re.MULTILINE)
_ALERT: Final = re.compile(r"^( +- alert: (\w+)$)", re.MULTILINE)


def alerts() -> dict[str, str]:
    """Each alert's rule as text, by its name."""
    parts = _ALERT.split(RULES.read_text())
    return dict(zip(parts[2::3], parts[3::3], strict=True))


def factor_of(alert: str, factor: int = FACTOR) -> int:
    return LONG_FACTOR if alert in LONG else factor


def scaled(factor: int = FACTOR) -> str:
    """All rules in one group, each by its factor. Raises AssertionError: SECONDS names what is not there."""
    lines = ["groups:", "  - name: scaled", "    rules:"]
    for name, text in alerts().items():
        rule = _shorter(name, text, factor_of(name, factor))
        lines += [f"      - alert: {name}", *(line for line in rule.strip("\n").splitlines() if _is_of_rule(line))]
    return "\n".join(lines) + "\n"


def _shorter(name: str, text: str, factor: int) -> str:
    """In milliseconds: Prometheus takes no fractions."""
    if name in SECONDS:
        stands, becomes, seconds = SECONDS[name]
        assert text.count(stands) == 1, name
        text = text.replace(stands, becomes.format(f"{seconds / factor:g}"))

    def time(found: re.Match[str]) -> str:
        return f"{found['before']}{max(1, round(1000 * int(found['number']) * _UNITS[found['unit']] / factor))}ms"

    return _TIME.sub(time, text)


def _is_of_rule(line: str) -> bool:
    """Not the next group's head."""
    return line.startswith(" " * 8)
