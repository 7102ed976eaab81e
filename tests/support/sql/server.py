"""A PostgreSQL server in a folder of its own, on a Unix socket, from the system's package; skipped where there is none.

    apt install postgresql

It refuses to run as root: then it runs as `postgres`, or `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

PASSWORD = "p/w:7@rd%#?"  # each of these means something in a connection string
USER = "dchat_test"
PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")
SETTINGS = {"listen_addresses": "''", "fsync": "off", "shared_buffers": "32MB", "max_connections": "20"}


def program(name: str) -> str | None:
    """Of the newest version there is."""
    found = shutil.which(name)
    for place in PLACES:
        paths = sorted(Path(place).glob(f"*/bin/{name}"), key=lambda path: path.parts[-3].zfill(4))
        found = found or (str(paths[-1]) if paths else None)
    return found


@dataclass
class Server:
    folder: Path
    prefix: tuple[str, ...]

    def run(self, name: str, *words: str) -> None:
        found = program(name)
        assert found is not None, name
        done = subprocess.run(
            [*self.prefix, found, *words], check=False, capture_output=True, text=True, cwd="/", timeout=60
        )
        assert not done.returncode, (name, words, done.stdout, done.stderr)

    def start(self) -> None:
        settings = " ".join(f"-c {key}={value}" for key, value in SETTINGS.items())
        words = ("-w", "-l", str(self.folder / "log"), "-o", f"{settings} -k {self.folder}")
        self.run("pg_ctl", "-D", str(self.folder / "data"), *words, "start")

    def stop(self, mode: str = "fast") -> None:
        """immediate: as by a kill."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def url(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={self.folder}"

    def new_database(self, name: str) -> str:
        """Its connection string."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as sql:
            sql.execute(f"DROP DATABASE IF EXISTS {name}")  # type: ignore[arg-type]
            sql.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return self.url(name)

    def ask(self, url: str, query: str, *values: Any, schema: str = "dchat") -> list[tuple[Any, ...]]:
        with psycopg.connect(url, options=f"-c search_path={schema}") as sql:
            return sql.execute(query, values or None).fetchall()  # type: ignore[arg-type]

    @contextmanager
    def at_one_moment(self, url: str, schema: str) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
        """Asks the database as it is now, whatever is written meanwhile."""
        with psycopg.connect(url, options=f"-c search_path={schema}") as sql:
            sql.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield lambda query: sql.execute(query).fetchall()  # type: ignore[arg-type]


@contextmanager
def sql_server() -> Iterator[Server]:
    """Running. Skips the test, aloud, where there is no server to run."""
    if program("initdb") is None or program("pg_ctl") is None:
        pytest.skip("no PostgreSQL server on this machine: apt install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="dchat-sql-", dir="/tmp"))  # a socket's path has 107 bytes at most
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        user = next((name for name in ("postgres", "nobody") if _exists(name)), None)
        if user is None or shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL refuses to run as root, and there is no user postgres or nobody, or no setpriv")
        prefix = ("setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups")
        shutil.chown(folder, user)
    folder.chmod(0o755)
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    server = Server(folder, prefix)
    try:
        words = ("-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "-N")
        server.run("initdb", "-D", str(folder / "data"), *words)
        server.start()
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
