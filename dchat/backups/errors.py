"""What cannot be done with a place of backups, and why. No credential is in a text."""

from __future__ import annotations

from dchat.upkeep.errors import UpkeepError


class TargetFailed(UpkeepError):
    """A folder or a bucket did not do what was asked: which, what, why."""


class NoSuchBackup(TargetFailed):
    """What was asked for is not there."""
