"""What cannot be done with a node's files, and why: its operator can mend it. One root."""

from __future__ import annotations


class UpkeepError(Exception):
    """What was asked cannot be done: with which file, why, what would help."""


class NoRoomForBackup(UpkeepError):
    """The disk has too little room for it: nothing was begun."""


class CopyFailed(UpkeepError):
    """A database could not be copied: which, why."""


class BadBackup(UpkeepError):
    """A backup that is damaged, another chain's, or cannot be decrypted: nothing was replaced."""
