"""Why a query cannot be read."""

from __future__ import annotations


class InvalidQuery(ValueError):
    """A query that cannot be read: whoever asked is at fault. The text is CometBFT's, where it has one."""


class QueryTooLong(InvalidQuery):
    """A query of more bytes than are looked at."""

    def __init__(self, *, bytes_max: int) -> None:
        super().__init__("maximum query length exceeded")
        self.bytes_max = bytes_max
