"""Why a question at a door gets no answer, in words for whoever asked. One root; each door has its code for each."""

from __future__ import annotations


class Unanswered(Exception):
    """A question that gets no answer: whose fault it is, the classes below say."""


class NotThere(Unanswered):
    """Never was, is not yet, or is pruned: which."""


class NotYet(Unanswered):
    """What this node would need to answer is not here: it may be behind, or have pruned it."""


class BadQuestion(Unanswered):
    """A question that no state could answer: which field, what is allowed."""


class Busy(Unanswered):
    """Too many at once, or too fast: try later."""


class Flooding(Busy):
    """Asks more than twice as fast as it may, for long: its connection is worth nothing any more."""
