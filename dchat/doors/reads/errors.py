"""Why a question at a door gets no answer, in words for whoever asked. One root; each door has its code for each."""

from __future__ import annotations


class Unanswered(Exception):
    """A question that gets no answer: whose fault it is, the classes below say."""


class NotThere(Unanswered):
    """Never was, is not yet, or is pruned: which."""


def out_of_reach(what: str, height: int, *, earliest: int, latest: int) -> NotThere:
    """what: of that height. For a client that takes the latest from the text, too (`dchat.client.light_provider`)."""
    if height > latest:
        return NotThere(f"{what} is not there yet: the latest is {latest}")
    return NotThere(f"{what} is not kept any more: this node has {earliest} to {latest}")


class NotYet(Unanswered):
    """What this node would need to judge what it is given is not here: it may be behind, or have pruned it."""


class NotServing(Unanswered):
    """This node answers nothing of the kind yet: why, and how far it is."""


class BadQuestion(Unanswered):
    """A question that no state could answer: which field, what is allowed."""


class Busy(Unanswered):
    """Too many at once, or too fast: try later."""


class Flooding(Busy):
    """Asks more than twice as fast as it may, for long: its connection is worth nothing any more."""
