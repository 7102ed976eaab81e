"""What a node cannot do as its operator asks: its own machine or options are at fault, never a peer. One root."""

from __future__ import annotations

import errno


class NodeError(Exception):
    """What the operator asked of this node cannot be: which, why, what would."""


class CannotListen(NodeError):
    """An address that the options name cannot be listened at: which, why, and which option chooses another."""


class RehearsalFailed(NodeError):
    """The copy could not be made or used: which database, why."""


class CannotUpgrade(NodeError):
    """The binary or the backup is not as it must be: which, and what is expected."""


class TooFewHandles(NodeError):
    """This process may not have the file handles that a node needs at the least: how many, and what for."""

    errno = errno.EMFILE
