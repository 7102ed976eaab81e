"""Times of five cron fields, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dchat.config.schedule import next_after


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("schedule", "after", "want"),
    [
        ("* * * * *", "2026-11-29T17:00:00", "2026-11-29T17:01:00"),
        ("* * * * *", "2026-11-29T17:00:59", "2026-11-29T17:01:00"),
        ("0 3 * * *", "2026-11-29T03:00:00", "2026-11-30T03:00:00"),
        ("*/15 * * * *", "2026-12-31T23:50:00", "2027-01-01T00:00:00"),
        ("0 0 29 2 *", "2026-11-29T00:00:00", "2028-02-29T00:00:00"),
        ("30 2 * * SUN", "2026-03-28T00:00:00", "2026-03-29T02:30:00"),  # a night that some clocks lack: ours is UTC
    ],
)
def test_the_next_time(schedule: str, after: str, want: str) -> None:
    assert next_after(schedule, unix(after)) == unix(want)


@pytest.mark.parametrize(
    "schedule",
    ["", "daily", "* * * *", "* * * * * *", "60 * * * *", "0 24 * * *", "0 0 31 2 *", "*/0 * * * *", "a b c d e",
     "1," * 200 + "1 * * * *", "-1 * * * *", "0 0 30 2 *", "5#6 * * * 5#6"],
)  # fmt: skip
def test_what_is_no_schedule_says_what_is_one(schedule: str) -> None:
    with pytest.raises(ValueError, match="allowed: five fields"):
        next_after(schedule, unix("2026-11-29T17:00:00"))
