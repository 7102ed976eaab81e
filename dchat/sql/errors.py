"""What keeps blocks from SQL. None of it stops the node."""

from __future__ import annotations


class SqlError(Exception):
    """Root of this room's errors."""


class SqlUnavailable(SqlError):
    """The server is not there, or did not take what it was given: it is tried again."""


class SqlRefused(SqlError):
    """The database is not to be written to as it is: only who runs it can change that."""


class SqlMissing(SqlError):
    """The library is not installed, or the connection string cannot be one."""
