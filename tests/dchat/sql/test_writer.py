"""Writing into a real PostgreSQL server: each block once, whatever stops it, and nothing that does not belong there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dchat.sql import connection, writer
from dchat.sql.errors import SqlError, SqlMissing, SqlRefused, SqlUnavailable
from dchat.sql.rows import COLUMNS, BlockRows
from dchat.sql.writer import At, Frame, Target, Writer
from tests.support.sql.chain import chain, hash_of
from tests.support.sql.server import PASSWORD, Server, sql_server

BLOCKS = list(chain(12))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with sql_server() as running:
        yield running


NUMBERS = count(1)


@pytest.fixture
def target(server: Server) -> Target:
    """A schema of its own: a database of its own would take ten times as long."""
    return Target(server.url("postgres"), f"test_{next(NUMBERS)}", "chain", "00" * 32)


def ask(server: Server, target: Target, query: str) -> list[tuple[Any, ...]]:
    return server.ask(target.connection, query, schema=target.schema)


def write(target: Target, *batches: Sequence[Frame]) -> At:
    with closing(Writer.attach(target)) as attached:
        for batch in batches:
            attached.write(batch)
        return attached.at


def assert_has(server: Server, target: Target, blocks: Sequence[Frame]) -> None:
    """Exactly these, in all tables."""
    want: dict[str, set[tuple[int, ...]]] = {name: set() for name in COLUMNS}
    for made in blocks:
        told = BlockRows(made.block, made.results)
        want["blocks"].add((made.height,))
        for piece in told.pieces():
            for name, rows in piece.by_table():
                want[name] |= {row[: len(KEYS[name])] for row in rows}
    for name, keys in KEYS.items():
        found = ask(server, target, f"SELECT {', '.join(keys)} FROM {name}")
        assert len(found) == len(want[name]), name
        assert set(found) == want[name], name
    heights = [made.height for made in blocks]
    assert ask(server, target, "SELECT first_height, height FROM chain") == [(heights[0], heights[-1])]


KEYS = {
    "blocks": ("height",), "transactions": ("height", "tx_index"), "messages": ("height", "tx_index", "message_index"),
    "events": ("height", "event_index"), "event_attributes": ("height", "event_index", "place"),
}  # fmt: skip


def test_blocks_come_in_and_the_next_writer_goes_on(server: Server, target: Target) -> None:
    assert write(target) == At()
    at = write(target, BLOCKS[:1], BLOCKS[1:5])
    assert (at.height, at.block_hash, at.first) == (5, hash_of(BLOCKS[4]).hex(), 1)
    assert write(target) == at
    write(target, BLOCKS[5:])
    assert_has(server, target, BLOCKS)
    assert ask(server, target, "SELECT count(*), sum(amount_udchat) FROM payments") == [
        (12, sum(height * 100_000 for height in range(1, 13)))
    ]
    assert ask(server, target, "SELECT blocks, transactions FROM days") == [(12, 24)]
    assert ask(server, target, "SELECT version FROM schema_versions ORDER BY 1") == [(1,), (2,)]


def bodies(server: Server, target: Target) -> list[int]:
    """The heights whose messages have bodies."""
    asked = "SELECT DISTINCT height FROM messages WHERE body <> '{}' ORDER BY 1"
    return [height for (height,) in ask(server, target, asked)]


def test_what_people_wrote_leaves_when_it_is_old_enough_and_rows_stay(
    server: Server, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the time of blocks: the newest there says how old another is."""
    write(target, BLOCKS)
    assert bodies(server, target) == list(range(1, 13)), "as shipped all stays"
    age = "extract(epoch FROM (SELECT max(time) FROM blocks) - time) FROM blocks WHERE height = 9"
    ((seconds,),) = ask(server, target, f"SELECT {age}")
    other = replace(target, schema=f"{target.schema}_kept", bodies_kept_s=int(seconds))
    monkeypatch.setattr(writer, "FORGOTTEN_MAX", 5)
    write(other, BLOCKS)
    assert bodies(server, other) == list(range(6, 13)), "so many at once"
    assert ask(server, other, "SELECT bodies_from FROM chain") == [(6,)]
    assert_has(server, other, BLOCKS)
    again = replace(target, schema=f"{target.schema}_again", bodies_kept_s=int(seconds))
    write(again, *([block] for block in BLOCKS))
    kept = bodies(server, again)
    assert kept == [9, 10, 11, 12]
    assert ask(server, again, "SELECT bodies_from FROM chain") == [(9,)]
    assert ask(server, again, "SELECT count(*) FROM transactions WHERE memo <> '' AND height < 9") == [(0,)]
    assert_has(server, again, BLOCKS)
    write(replace(again, bodies_kept_s=0))
    assert bodies(server, again) == kept, "nothing comes back"
    assert ask(server, again, "SELECT sum(amount_udchat) FROM payments") == ask(
        server, target, "SELECT sum(amount_udchat) FROM payments"
    )


def test_every_table_says_what_it_is(server: Server, target: Target) -> None:
    write(target)
    silent = ask(
        server,
        target,
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v') "
        "AND obj_description(oid) IS NULL",
    )
    assert silent == []


class Stop(BaseException):
    pass


@pytest.mark.parametrize("stop_at", range(1, 12))
def test_a_stop_at_any_statement_leaves_all_of_a_batch_or_nothing(
    stop_at: int, server: Server, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(target, BLOCKS[:3])
    attached = Writer.attach(target)
    calls = 0

    def counted(name: str) -> None:
        real = getattr(Writer, name)

        def call(self: Writer, *words: object) -> object:
            nonlocal calls
            calls += 1
            if calls == stop_at:
                raise Stop
            return real(self, *words)

        monkeypatch.setattr(Writer, name, call)

    counted("_copy")
    counted("_move")
    try:
        attached.write(BLOCKS[3:5])
        written = BLOCKS[:5]
    except Stop:
        written = BLOCKS[:3]
    monkeypatch.undo()
    assert (stop_at > 10) == (len(written) == 5)
    attached.close()
    assert_has(server, target, written)
    write(target, BLOCKS[len(written) :])
    assert_has(server, target, BLOCKS)


def test_a_server_that_goes_in_the_middle(server: Server, target: Target) -> None:
    """As by a kill of its processes: what was committed stays, the rest is written by the next connection."""
    attached = Writer.attach(target)
    attached.write(BLOCKS[:4])
    server.stop("immediate")
    with pytest.raises(SqlUnavailable):
        attached.write(BLOCKS[4:6])
    attached.close()
    with pytest.raises(SqlUnavailable):
        Writer.attach(target)
    server.start()
    assert write(target, BLOCKS[4:]).height == 12
    assert_has(server, target, BLOCKS)


def test_a_block_that_comes_twice_is_refused_by_the_database_itself(server: Server, target: Target) -> None:
    write(target, BLOCKS[:3])
    attached = Writer.attach(target)
    attached.at = At(2, hash_of(BLOCKS[1]).hex(), BlockRows(*BLOCKS[1][1:]).app_hash, 1)
    with pytest.raises(SqlError, match="duplicate key"):
        attached.write(BLOCKS[2:3])
    attached.close()
    assert_has(server, target, BLOCKS[:3])


def test_of_two_writers_one_waits(server: Server, target: Target) -> None:
    first = Writer.attach(target)
    with pytest.raises(SqlUnavailable, match="another node"):
        Writer.attach(target)
    other = Writer.attach(replace(target, schema="of_the_other"))
    first.write(BLOCKS[:2])
    first.close()
    assert write(target, BLOCKS[2:4]).height == 4
    other.close()


def test_one_that_lost_the_lock_writes_nothing(server: Server, target: Target) -> None:
    write(target, BLOCKS[:2])
    late = Writer.attach(target)
    late._sql.execute("SELECT pg_advisory_unlock_all()")
    write(target, BLOCKS[2:4])
    with pytest.raises(SqlError):
        late.write(BLOCKS[2:3])
    late.at = late.at._replace(height=0)
    late.close()
    assert_has(server, target, BLOCKS[:4])


@pytest.mark.parametrize(
    ("change", "why"), [({"chain_id": "other"}, "chain chain"), ({"genesis_hash": "11"}, "genesis 00")]
)
def test_another_chains_database_is_refused(change: dict[str, str], why: str, server: Server, target: Target) -> None:
    write(target, BLOCKS[:2])
    with pytest.raises(SqlRefused, match=why):
        Writer.attach(replace(target, **change))  # type: ignore[arg-type]
    assert_has(server, target, BLOCKS[:2])


def test_another_history_of_the_chain_is_refused(server: Server, target: Target) -> None:
    write(target, BLOCKS[:3])
    other = list(chain(5, history=" elsewhere"))
    with closing(Writer.attach(target)) as attached, pytest.raises(SqlRefused, match="not the same history"):
        attached.write(other[3:])
    assert_has(server, target, BLOCKS[:3])


@pytest.mark.parametrize("wrong", [1, 3])
def test_results_that_the_chain_does_not_have_are_taken_out_again(wrong: int, server: Server, target: Target) -> None:
    """The last block of a node that executed wrongly: the next header says so, once it was mended."""
    bad = list(chain(3, wrong=[wrong]))
    write(target, bad[:wrong])
    with closing(Writer.attach(target)) as attached:
        assert attached.write(BLOCKS[wrong : wrong + 1]) == 0
        assert attached.at.height == wrong - 1
        attached.write(BLOCKS[wrong - 1 :])
    assert_has(server, target, BLOCKS)


def test_results_that_are_wrong_within_a_batch_are_refused(server: Server, target: Target) -> None:
    write(target, BLOCKS[:1])
    bad = list(chain(4, wrong=[3]))
    with closing(Writer.attach(target)) as attached, pytest.raises(SqlRefused, match="results of block 3"):
        attached.write(bad[1:])
    assert_has(server, target, BLOCKS[:1])


def test_a_chain_may_begin_at_any_height(server: Server, target: Target) -> None:
    late = list(chain(3, first=501, last_hash=b"\x05" * 32))
    write(target, late)
    assert_has(server, target, late)


def test_tables_of_somebody_else_and_of_a_newer_build_are_left_alone(server: Server, target: Target) -> None:
    with psycopg.connect(target.connection, autocommit=True) as sql:
        sql.execute("CREATE SCHEMA theirs")
        sql.execute("CREATE TABLE theirs.blocks (height text)")
    with pytest.raises(SqlRefused, match="of somebody else"):
        Writer.attach(replace(target, schema="theirs"))
    assert ask(server, target, "SELECT to_regclass('theirs.chain')") == [(None,)]
    write(target, BLOCKS[:1])
    with psycopg.connect(target.connection, autocommit=True) as sql:
        sql.execute(f"INSERT INTO {target.schema}.schema_versions (version) VALUES (99)")  # type: ignore[arg-type]
    with pytest.raises(SqlRefused, match="version 99"):
        Writer.attach(target)


def test_a_later_schema_is_carried_out_once(
    server: Server, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(target, BLOCKS[:1])
    later = tmp_path / "schema_3.sql"
    later.write_text("ALTER TABLE blocks ADD COLUMN more integer; COMMENT ON COLUMN blocks.more IS 'More';")
    monkeypatch.setattr(writer, "SCHEMAS", {**writer.SCHEMAS, 3: later})
    write(target, BLOCKS[1:2])
    write(target, BLOCKS[2:3])
    assert ask(server, target, "SELECT version FROM schema_versions ORDER BY 1") == [(1,), (2,), (3,)]
    later.write_text("ALTER TABLE blocks ADD COLUMN other integer; SELECT 1/0;")
    monkeypatch.setattr(writer, "SCHEMAS", {**writer.SCHEMAS, 4: later})
    with pytest.raises(SqlRefused, match="division by zero"):
        Writer.attach(target)
    assert ask(server, target, "SELECT max(version) FROM schema_versions") == [(3,)]
    assert not ask(
        server,
        target,
        "SELECT 1 FROM information_schema.columns WHERE column_name = 'other' AND table_name = 'blocks'",
    )


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_all_texts_is_refused_before_anything(
    encoding: str, server: Server, target: Target
) -> None:
    """What a server has that was installed without a locale: it took blocks, and no second start could go on."""
    name = f"in_{encoding.lower()}"
    with psycopg.connect(target.connection, autocommit=True) as sql:
        sql.execute(f"DROP DATABASE IF EXISTS {name}")  # type: ignore[arg-type]
        sql.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")  # type: ignore[arg-type]
    with pytest.raises(SqlRefused, match=f"encoding is {encoding}.*allowed: UTF8"):
        Writer.attach(replace(target, connection=server.url(name)))


def test_what_the_environment_says_of_encodings_is_not_heard(
    server: Server, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    assert write(target, BLOCKS[:2]).height == 2
    assert write(target, BLOCKS[2:3]).height == 3


def test_who_may_not_write_is_told(server: Server, target: Target) -> None:
    with psycopg.connect(target.connection, autocommit=True) as sql:
        sql.execute("DROP ROLE IF EXISTS reader")
        sql.execute(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    with pytest.raises(SqlRefused, match="permission denied"):
        Writer.attach(replace(target, connection=server.url("postgres", user="reader")))


@pytest.mark.parametrize("wrong", ["user", "password", "database", "socket"])
def test_no_password_is_in_what_is_said(wrong: str, server: Server, target: Target) -> None:
    words = {"user": {"user": "nobody_here"}, "password": {"password": PASSWORD + "x"}}.get(wrong, {})
    url = server.url("not_there" if wrong == "database" else "postgres", **words)
    if wrong == "socket":
        url = url.replace(str(server.folder), "/nowhere")
    with pytest.raises(SqlUnavailable) as raised:
        Writer.attach(replace(target, connection=url))
    assert PASSWORD not in str(raised.value) + repr(raised.value) + repr(target)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://u:hunter2@h/d", "for u: hunter2 is wrong"),
        ("postgresql://u:hunter%32@h/d", "hunter2 or hunter%32"),
        ("postgresql://u@h/d?password=hunter2", "hunter2"),
        ("postgresql://u:hunter2@[/d", "in postgresql://u:hunter2@[/d there is no port"),
    ],
)
def test_a_password_in_a_servers_words_is_hidden(url: str, text: str) -> None:
    assert "hunter" not in connection.hidden(f"the server\nsays: {text}", url)


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    def missing(_: str) -> object:
        raise ImportError("No module named 'psycopg'")

    monkeypatch.setattr(connection.importlib, "import_module", missing)
    with pytest.raises(SqlMissing, match=r"pip install 'dchat-validator\[sql\]'"):
        Writer.attach(target)
