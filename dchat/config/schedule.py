"""When something is to be done: five fields of cron, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

SCHEDULE_CHARS_MAX: Final = 200
_ALLOWED: Final = 'five fields "minute hour day month weekday" in UTC, like "0 3 * * *" or "*/15 * * * *"'


def next_after(schedule: str, time_s: int) -> int:
    """The first time (unix) after `time_s` that the schedule names. Raises ValueError: it is none, or names none."""
    from cronsim import CronSim, CronSimError  # by whom nothing is scheduled, none is needed

    if len(schedule) > SCHEDULE_CHARS_MAX or len(schedule.split()) != 5:
        raise ValueError(f'"{schedule[:60]}" is no schedule; allowed: {_ALLOWED}')
    try:
        return int(next(CronSim(schedule, datetime.fromtimestamp(time_s, UTC))).timestamp())
    except (CronSimError, AssertionError) as error:
        raise ValueError(f'"{schedule}" is no schedule ({error}); allowed: {_ALLOWED}') from None
    except (StopIteration, OverflowError):
        raise ValueError(f'"{schedule}" names no day that comes; allowed: {_ALLOWED}') from None
