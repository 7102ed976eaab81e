"""Writes blocks into the tables, each exactly once.

Blocks, what they did, and the row of `chain` that says how far it is written change in one transaction: a stop
anywhere leaves all of a block or nothing, and the row says where to go on. Every block must follow the last one by its
header (its hash, and the app hash), so a database of another chain, or of another history, gets nothing. One writer
has the lock; one that lost it with its connection finds the row changed, and writes nothing either.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dchat.sql.connection import connect, hidden, library
from dchat.sql.errors import SqlError, SqlRefused, SqlUnavailable
from dchat.sql.rows import COLUMNS, BlockRows, Row

if TYPE_CHECKING:
    import psycopg

SERVER_VERSION_MIN: Final = 120_000  # generated columns
ENCODING: Final = "UTF8"  # as a server calls it; one that was installed without a locale has SQL_ASCII
FORGOTTEN_MAX: Final = 1_000  # blocks whose bodies leave with one transaction
LEAVES_S: Final = 2.0  # in which the server notices that a writer is gone
READ_ONLY: Final = "25006"  # SQLSTATE: of a server that follows another one
SCHEMAS: Final = {
    int(path.stem.removeprefix("schema_")): path for path in sorted(Path(__file__).parent.glob("schema_*.sql"))
}
SCHEMA_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Frame(NamedTuple):
    """A block as a node has it stored."""

    height: int
    block: bytes
    results: bytes

    @property
    def size(self) -> int:
        return len(self.block) + len(self.results)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and for which chain. connection holds a password: it is in no text, `repr` included."""

    connection: str
    schema: str
    chain_id: str
    genesis_hash: str
    bodies_kept_s: int = 0  # how long what people wrote stays, by the time of blocks; 0: for ever

    def __repr__(self) -> str:
        return f"Target(schema={self.schema!r}, chain_id={self.chain_id!r})"


class At(NamedTuple):
    """The last block there is in SQL; height 0: none. `first`: the lowest."""

    height: int = 0
    block_hash: str = ""
    app_hash: str = ""
    first: int = 0


class WrongResults(SqlError):
    """The last block in SQL has results that the chain does not have."""


class Writer:
    """Of one connection. Raises SqlUnavailable: try again with a new one; SqlRefused: that would change nothing."""

    def __init__(self, connection: psycopg.Connection[Any], target: Target) -> None:
        self._sql, self._target, self.at = connection, target, At()

    @staticmethod
    def attach(target: Target) -> Writer:
        """Connect, take the lock, make or bring up the tables, and look whose they are."""
        if not SCHEMA_NAME.fullmatch(target.schema):
            raise SqlRefused(f"[sql] schema_name is {target.schema!r}; allowed: a-z, 0-9 and _, up to 63 characters")
        writer = Writer(connect(target.connection), target)
        try:
            with writer._told():
                writer._begin()
        except BaseException:
            writer.close()
            raise
        return writer

    def close(self) -> None:
        self._sql.close()

    # ------------------------------------------------------------------------------------------------ beginning

    def _begin(self) -> None:
        if self._sql.info.server_version < SERVER_VERSION_MIN:
            raise SqlRefused("the server is older than PostgreSQL 12; use a newer one")
        if (encoding := self._sql.info.parameter_status("server_encoding")) != ENCODING:
            raise SqlRefused(
                f"the database's encoding is {encoding}, which cannot hold all that people write; allowed: {ENCODING} "
                f"(CREATE DATABASE dchat ENCODING '{ENCODING}' TEMPLATE template0)"
            )
        schema = self._target.schema
        if not self._one("SELECT 1 FROM pg_namespace WHERE nspname = %s", schema):
            self._sql.execute(f"CREATE SCHEMA {schema}")  # its form was looked at
        self._sql.execute(f"SET search_path TO {schema}")
        self._sql.execute("SET synchronous_commit TO on")
        if not self._is_alone():
            raise SqlUnavailable(
                f"another node (or command) writes into schema {schema}, and one may at a time; two nodes need two "
                "schemas or databases ([sql] schema_name)"
            )
        with self._sql.transaction():
            self._migrate()
        self.at = self._read()

    def _is_alone(self) -> bool:
        """Whether nobody else writes into the schema. A server notices a moment late that one went away."""
        asked, deadline = f"dchat.{self._target.schema}", time.monotonic() + LEAVES_S
        while not self._one("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", asked)[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(LEAVES_S / 20)
        return True

    def _migrate(self) -> None:
        latest = max(SCHEMAS)
        known = 0
        if self._one("SELECT to_regclass('schema_versions')")[0] is not None:
            known = self._one("SELECT coalesce(max(version), 0) FROM schema_versions")[0]
        if known > latest:
            raise SqlRefused(
                f"schema {self._target.schema} has version {known}, and this build writes {latest}: use the newer build"
            )
        for version in range(known + 1, latest + 1):
            self._sql.execute(SCHEMAS[version].read_bytes())
            self._sql.execute("INSERT INTO schema_versions (version) VALUES (%s)", (version,))

    def _read(self) -> At:
        row = self._one("SELECT chain_id, genesis_hash, height, block_hash, app_hash, first_height FROM chain")
        if not row:
            return At()
        ours = self._target.chain_id, self._target.genesis_hash
        if row[:2] != ours:
            raise SqlRefused(
                f"schema {self._target.schema} belongs to chain {row[0]} with genesis {row[1]}, and this is {ours[0]} "
                f"with {ours[1]}: name another schema or database"
            )
        return At(*row[2:])

    def _one(self, query: str, *values: Any) -> tuple[Any, ...]:
        """The first row; empty: there is none."""
        found: tuple[Any, ...] | None = self._sql.execute(query, values or None).fetchone()
        return found or ()

    # ------------------------------------------------------------------------------------------------- writing

    def write(self, frames: Sequence[Frame]) -> int:
        """Write blocks that follow `at`, all or none; returns how many transactions they have.

        Where the last block there has results that the chain does not have, it is taken out instead, and `at` goes
        back by one: its block is wanted again.
        """
        assert frames
        assert not self.at.height or frames[0].height == self.at.height + 1, (frames[0].height, self.at)
        try:
            with self._told(), self._sql.transaction():
                at, transactions = self._put(frames)
        except WrongResults:
            with self._told(), self._sql.transaction():
                at, transactions = self._without_last(), 0
        self.at = at
        return transactions

    def _put(self, frames: Sequence[Frame]) -> tuple[At, int]:
        at, rows, transactions = self.at, [], 0
        for frame in frames:
            told = BlockRows(frame.block, frame.results)
            self._check_follows(at, told)
            for piece in told.pieces():
                for table, of_table in piece.by_table():
                    self._copy(table, of_table)
            rows.append(told.row())
            transactions += told.transactions
            at = At(told.height, told.hash, told.app_hash, at.first or told.height)
        self._copy("blocks", rows)
        self._move(at)
        self._forget(at)
        return at, transactions

    def _forget(self, at: At) -> None:
        """What people wrote in blocks that are too old leaves, of so many blocks at once."""
        if not self._target.bodies_kept_s:
            return
        last = self._one(
            "SELECT height FROM blocks WHERE time < (SELECT time FROM blocks WHERE height = %s)"
            " - make_interval(secs => %s) ORDER BY time DESC LIMIT 1",
            at.height, self._target.bodies_kept_s,
        )  # fmt: skip
        first = max(at.first, self._one("SELECT bodies_from FROM chain")[0])
        if not last or last[0] < first:
            return
        until = min(last[0], first + FORGOTTEN_MAX - 1)
        self._sql.execute("UPDATE messages SET body = '{}' WHERE height BETWEEN %s AND %s", (first, until))
        self._sql.execute(
            "UPDATE transactions SET memo = '' WHERE height BETWEEN %s AND %s AND memo <> ''", (first, until)
        )
        self._sql.execute("UPDATE chain SET bodies_from = %s", (until + 1,))

    def _check_follows(self, at: At, told: BlockRows) -> None:
        if not at.height:
            return
        assert told.height == at.height + 1, (told.height, at)
        if told.follows != at.block_hash:
            raise SqlRefused(
                f"block {at.height} is {at.block_hash} in SQL, and {told.follows} on this node's chain: they have not "
                "the same history. Name another schema or database"
            )
        if told.app_hash_before != at.app_hash:
            if at.height == self.at.height:
                raise WrongResults
            raise SqlRefused(
                f"the results of block {at.height} are not those that the chain has: `dchat database verify`"
            )

    def _copy(self, table: str, rows: Sequence[Row]) -> None:
        if not rows:
            return
        with self._sql.cursor().copy(f"COPY {table} ({', '.join(COLUMNS[table])}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def _move(self, at: At) -> None:
        """The row of `chain`, if it still is as this writer knows it."""
        if not self.at.height:
            self._sql.execute(
                "INSERT INTO chain (chain_id, genesis_hash, first_height, height, block_hash, app_hash) "
                "VALUES (%s, %s, %s, %s, %s, %s)",
                (self._target.chain_id, self._target.genesis_hash, at.first, at.height, at.block_hash, at.app_hash),
            )
            return
        moved = self._sql.execute(
            "UPDATE chain SET height = %s, block_hash = %s, app_hash = %s, written_at = now() "
            "WHERE height = %s AND block_hash = %s",
            (at.height, at.block_hash, at.app_hash, self.at.height, self.at.block_hash),
        ).rowcount
        if moved != 1:
            raise SqlUnavailable(f"somebody else wrote into schema {self._target.schema} meanwhile")

    def _without_last(self) -> At:
        height = self.at.height
        for table in COLUMNS:
            self._sql.execute(f"DELETE FROM {table} WHERE height = %s", (height,))
        before = self._one("SELECT height, hash, app_hash FROM blocks WHERE height = %s", height - 1)
        if not before:
            self._sql.execute("DELETE FROM chain")
            return At()
        at = At(before[0], before[1], before[2], self.at.first)
        self._move(at)
        return at

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The library's errors as ours."""
        psycopg = library()
        try:
            yield
        except psycopg.Error as error:
            text = hidden(str(error), self._target.connection)
            if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or error.sqlstate == READ_ONLY:
                raise SqlUnavailable(text) from None
            if isinstance(error, psycopg.errors.DuplicateTable):
                text += (
                    f": schema {self._target.schema} has tables of somebody else; name another one ([sql] schema_name)"
                )
            raise SqlRefused(f"the server refused: {text}") from None
