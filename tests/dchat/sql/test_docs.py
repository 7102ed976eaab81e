"""`dchat database sql`, and what docs/sql.md says to ask."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from consensus.stores.state_store import StateStore
from crypto.bech32 import encode_address
from dchat.cli.main import dchat
from dchat.home.home import load_genesis
from dchat.sql.writer import Target, Writer
from storage.leveldb import LevelStore
from tests.support.node.homes import Stopped, home_at, make_stopped
from tests.support.node.running import running_node
from tests.support.sql.compare import assert_same
from tests.support.sql.server import PASSWORD, Server, sql_server

PAGE = Path(__file__).parents[3] / "docs" / "sql.md"
QUERIES = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with sql_server() as running:
        yield running


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return make_stopped(tmp_path_factory.mktemp("network"))


def run(home: Path, *words: object, code: int = 0, env: dict[str, str] | None = None) -> Result:
    words = ("database", "sql", *words, "--home", home)
    ended = CliRunner().invoke(dchat, [*map(str, words)], prog_name="dchat", env=env)
    assert ended.exit_code == code, (words, ended.output, ended.exception)
    assert PASSWORD not in ended.output
    return ended


def height_of(home: Path) -> int:
    store = LevelStore(str(home / "data" / "state"))
    with closing(store):
        state = StateStore(store).load()
        assert state is not None
        return state.last_block_height


async def test_a_stopped_nodes_blocks_come_into_sql_and_once(server: Server, stopped: Stopped, tmp_path: Path) -> None:
    """What is missing alone, by the command again, and by the node when it goes on."""
    url = server.new_database("of_a_command")
    older, home = height_of(stopped.older), height_of(stopped.home)
    told = json.loads(run(stopped.older, "--connection", url).output)
    assert told == {"height": older, "blocks": older, "transactions": 1}
    told = json.loads(run(stopped.home, env={"DCHAT_SQL__CONNECTION": url}).output)
    assert told == {"height": home, "blocks": home - older, "transactions": 1}
    told = json.loads(run(stopped.home, "--connection", url).output)
    assert told == {"height": home, "blocks": 0, "transactions": 0}
    told = json.loads(run(stopped.older, "--connection", url).output)
    assert told == {"height": home, "blocks": 0, "transactions": 0}, "it is behind what is there already"
    told = json.loads(run(stopped.home, "--connection", url, "--schema", "another").output)
    assert told["blocks"] == home
    async with running_node(stopped.home.parent) as running, running.client() as client:
        assert await assert_same(client, server, url) == home
        assert await assert_same(client, server, url, schema="another") == home


def test_what_is_asked_of_sql_is_answered(server: Server, stopped: Stopped) -> None:
    url = server.new_database("of_the_docs")
    run(stopped.home, "--connection", url)
    (tx_hash,) = server.ask(url, "SELECT hash FROM transactions ORDER BY height LIMIT 1")[0]
    given = {"bob": encode_address(stopped.recipient), "hash": tx_hash}
    assert len(QUERIES) == 5
    rows = []
    with psycopg.connect(url, options="-c search_path=dchat") as sql:
        for query in QUERIES:
            ready = re.sub(r"(?<!:):([a-z]+)", r"%(\1)s", query)
            rows.append(sql.execute(ready, given).fetchall())
    to_bob, fees, found, failed, after = rows
    assert [row[2] * 1_000_000 for row in to_bob] == [5, 5]
    assert [row[1:3] for row in fees] == [("currency", 2)]
    assert [row[3] for row in found] == ["payment"]
    assert failed == []
    assert all(row[0] for row in after)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        pytest.param((), 2, "no database is named", id="none"),
        pytest.param(("--connection", f"mysql://u:{PASSWORD}@h/d"), 2, "allowed: postgresql://", id="another kind"),
        pytest.param(("--connection", "URL", "--schema", 'x"; DROP'), 2, "a schema of a-z", id="schema"),
        pytest.param(("--connection", "postgresql:///d?host=/nowhere"), 1, "/nowhere", id="no server"),
        pytest.param(
            ("--connection", "URL", "--db-path", "/nowhere"), 2, "/nowhere: there are no databases", id="no databases"
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    words: tuple[str, ...], code: int, said: str, server: Server, stopped: Stopped
) -> None:
    url = server.url("postgres")
    ended = run(stopped.home, *(url if word == "URL" else word for word in words), code=code)
    assert said in ended.output


def test_a_node_that_writes_there_is_not_disturbed(server: Server, stopped: Stopped) -> None:
    genesis = load_genesis(home_at(stopped.home))
    target = Target(server.url("postgres"), "taken", genesis.chain_id, "00")
    with closing(Writer.attach(target)):
        ended = run(stopped.home, "--connection", target.connection, "--schema", "taken", code=1)
    assert "another node" in ended.output
    assert os.fspath(server.folder) not in ended.output
