"""Why a trail cannot be told or believed. One root."""

from __future__ import annotations


class AutopsyError(Exception):
    """What was asked cannot be answered, or is no answer: of what, why."""


class NoTrail(AutopsyError):
    """A height whose steps are not here: which, and what is."""


class BadTrail(AutopsyError):
    """Bytes of a peer or of a file that are no trail, or contradict themselves: what of them, why."""
