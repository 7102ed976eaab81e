"""dchat export-user-data: all that a node has of somebody, and nothing of others."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dchat.cli.audit.export_command import LISTS, PAGE, Door, List
from dchat.cli.main import dchat
from dchat.doors.grpc.door import SERVICES
from dchat.doors.rest.table import routes_of
from tests.support.node.running import Running, running_node


class Pages(Door):
    """Of a node that has `count` rows in each list, told as the schemas say."""

    def __init__(self, count: int) -> None:
        super().__init__("http://node")
        self._count = count

    def _get(self, path: str, params: dict[str, str | int]) -> dict[str, Any] | None:
        one = next(one for one in LISTS.values() if one.path.format(a="aa") == path)
        fields = response_of(one).fields_by_name
        assert "after" not in params or one.more
        begin, field = int(str(params.get("after", "0"))), next(f for f in fields.values() if f.is_repeated)
        end = min(begin + int(params["limit"]), self._count)
        rows = [{one.last or "n": str(number + 1)} for number in range(begin, end)]
        told = {"height": "7", field.name: rows}
        return {**told, "next": str(end) if end < self._count else ""} if "next" in fields else told


def response_of(one: List) -> Any:
    path = one.path.replace("{a}", "")
    for route in routes_of(SERVICES):
        if route.verb == "GET" and re.sub(r"\{\w+\}", "", route.path) == path:
            return route.method.output_type
    raise AssertionError(one.path)


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 3 * PAGE + 7])
@pytest.mark.parametrize("name", LISTS)
def test_every_row_of_every_page_is_taken(name: str, count: int) -> None:
    """audit 88: what goes on was looked for under another name: of each list the first hundred rows were all."""
    one, door = LISTS[name], Pages(count)
    response = response_of(one)
    assert not one.last or one.last in next(f for f in response.fields if f.is_repeated).message_type.fields_by_name
    rows = door.all_of(name, one, "aa")
    if one.more:
        assert [row[one.last or "n"] for row in rows] == [str(number + 1) for number in range(count)]
        assert not door.cut
    else:
        assert (len(rows), door.cut) == (min(count, PAGE), [name] if count >= PAGE else [])


async def call(running: Running, *words: str) -> tuple[int, str]:
    home = running.network.home_of(running.network.nodes[0])
    told = await asyncio.to_thread(CliRunner().invoke, dchat, ["--home", str(home), *words])
    return told.exit_code, told.output


@pytest.mark.network
async def test_what_is_kept_of_somebody_is_in_one_file_for_its_owner_alone(tmp_path: Path) -> None:
    async with running_node(tmp_path / "net") as running:
        files = {
            name: str(running.network.folder / running.network.accounts[name]) for name in ("alice", "bob", "carol")
        }
        for words in (
            ["tx", "register", "--name", "alice", "--from", files["alice"]],
            ["tx", "pay", "--to", files["bob"], "--amount", "5", "--from", files["alice"]],
            ["tx", "pay", "--to", files["bob"], "--amount", "7", "--from", files["carol"]],
        ):
            assert (await call(running, *words))[0] == 0, words
        told = {}
        for name, file in files.items():
            out = tmp_path / f"{name}.json"
            code, said = await call(running, "export-user-data", file, "--output", str(out))
            assert code == 0, said
            assert out.stat().st_mode & 0o777 == 0o600
            told[name] = json.loads(out.read_text())
        assert {name: len(one["transactions"]) for name, one in told.items()} == {"alice": 2, "bob": 2, "carol": 1}
        assert told["alice"]["records"]["identity"]["identity"]["name"] == "alice"
        assert (
            told["bob"]["records"]["profile"]["value"] is None if "value" in told["bob"]["records"]["profile"] else True
        )
        mentioned = json.dumps(told["carol"]["transactions"])
        assert running.account("alice").address.hex() not in mentioned
        code, said = await call(running, "export-user-data", files["bob"], "--output", str(tmp_path / "bob.json"))
        assert (code, "not overwritten" in said) == (1, True)
        code, said = await call(
            running, "export-user-data", files["bob"], "--output", str(tmp_path / "x"), "--url", "http://127.0.0.1:1"
        )
        assert code == 4, said
