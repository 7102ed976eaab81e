"""Why a home, or a file of it, cannot be used: what an operator can mend. One root."""

from __future__ import annotations


class HomeError(Exception):
    """A home that a node cannot start from: which file, what is wrong, what to do."""


class AlreadyRunning(HomeError):
    """Another process holds this home."""


class IdentityError(HomeError):
    """An identity file that cannot be used: which, and why."""


class CannotTakeOver(HomeError):
    """The process that runs on the home does not hand over, or none runs; nothing was changed."""
