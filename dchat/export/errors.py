"""What cannot be exported or imported, and why: its operator can mend it."""

from __future__ import annotations

from dchat.upkeep.errors import UpkeepError


class CannotExport(UpkeepError):
    """There is no such state here, or none that a chain could begin with."""


class BadDocument(UpkeepError):
    """A document that no chain can begin with: which file, where in it, what is allowed."""


class CannotImport(UpkeepError):
    """The home has a chain already, or another genesis."""
