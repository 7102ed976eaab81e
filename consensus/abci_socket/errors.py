"""What can go wrong between an engine and an application on two ends of a socket."""

from __future__ import annotations

from consensus.formats.errors import InvalidData, InvalidDocument
from consensus.system.errors import EXIT_APPLICATION, ConsensusFailure


class BadSocketAddress(InvalidDocument):
    """An address of a socket that cannot be read as one."""


class BadMessage(InvalidData):
    """Bytes on the socket that are no message of ABCI 2.0: whoever sent them is at fault, and loses the connection."""


class ApplicationGone(ConsensusFailure):
    """The application closed the connection, or cannot be reached: without it no block can be executed."""

    exit_code, is_outside = EXIT_APPLICATION, True


class ApplicationFailed(ConsensusFailure):
    """The application answered a call with an exception, or with what is no answer to it."""

    exit_code, is_outside = EXIT_APPLICATION, True


class WrongCall(InvalidData):
    """The engine asked for what cannot be at this point, as a commit before a block was finalized."""
