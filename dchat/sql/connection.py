"""The connection string: what it may be, the library that takes it, and that no password gets into a text.

The library is psycopg 3, which is installed with dchat-validator[sql] alone, and imported when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from dchat.sql.errors import SqlMissing, SqlRefused, SqlUnavailable

if TYPE_CHECKING:
    import psycopg

INSTALL: Final = "pip install 'dchat-validator[sql]' brings it, in a checkout .venv/bin/pip install -e '.[sql]'"
HIDDEN: Final = "***"
TEXT_MAX: Final = 400  # of what a server says
# What the library does by itself when a connection hangs: a server that is gone is found within half a minute.
PATIENCE: Final[dict[str, Any]] = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000, "application_name": "dchat",
    "client_encoding": "UTF8",  # whatever the environment or the database says
}  # fmt: skip


def library() -> Any:
    """psycopg. Raises SqlMissing: what to install."""
    try:
        return importlib.import_module("psycopg")
    except ImportError as error:
        raise SqlMissing(f"writing into SQL needs psycopg 3, which cannot be imported ({error}): {INSTALL}") from None


def hidden(text: str, connection: str) -> str:
    """A text about a connection as one line, without the password that stands in the connection string."""
    secrets: set[str] = {connection}
    try:
        parts = urlsplit(connection)
        given = [parts.password or "", *parse_qs(parts.query).get("password", ())]
    except ValueError:
        given = []
    for secret in given:
        secrets |= {secret, unquote(secret)}
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return " ".join(text.split())[:TEXT_MAX]


def connect(connection: str) -> psycopg.Connection[Any]:
    """A connection that commits by itself what is in no transaction. Raises SqlUnavailable, SqlRefused, SqlMissing."""
    lib = library()
    try:
        found: psycopg.Connection[Any] = lib.connect(connection, autocommit=True, **PATIENCE)
        return found
    except lib.OperationalError as error:
        raise SqlUnavailable(hidden(str(error), connection)) from None
    except lib.Error as error:  # of the string itself
        raise SqlRefused(f"[sql] connection cannot be used: {hidden(str(error), connection)}") from None
