"""`dchat top`: what it shows of nodes that answer, that are away, that lie; its keys; and once a real terminal."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dchat.cli.commands.status_commands import parse
from dchat.cli.debug import why_command
from dchat.cli.main import dchat
from dchat.cli.top import tables
from dchat.cli.top.command import show_tables
from dchat.cli.top.readings import Rates, Reading, Watch, Watched
from dchat.devnet.leases import free_ports
from tests.support.node.certificates import Authority
from tests.support.node.running import Running, running_node

pytest.importorskip("textual", reason="no textual in this environment (./scripts/env --dev): DCHAT TOP IS NOT TESTED")
from textual.pilot import Pilot
from textual.widgets import DataTable

from dchat.cli.top.screen import Top

AWAY = "does not listen"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_node(tmp_path) as running:
        yield running


def url_of(running: Running) -> str:
    return f"http://127.0.0.1:{running.ports[1]}"


def rows_of(app: Top, name: str) -> list[list[str]]:
    table = app.query_one(f"#{name}", DataTable)
    return [[str(value) for value in table.get_row_at(at)] for at in range(table.row_count)]


async def until(pilot: Pilot[None], condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, pilot.app.export_screenshot()[-3_000:]
        await pilot.pause(0.05)


# ------------------------------------------------------------------------------------------- the dashboard


async def test_it_shows_nodes_that_answer_and_why_others_do_not(node: Running) -> None:
    away = f"http://127.0.0.1:{free_ports(1)[0].http}"
    app = Top(Watch([Watched("mine", url_of(node)), Watched("away", away)]), every_s=0.1)
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: app.rounds > 1)
        mine, other = rows_of(app, "nodes")
        assert (mine[0], other[0], other[3]) == ("mine", "away", AWAY)
        first = int(mine[1])
        await until(pilot, lambda: int(rows_of(app, "nodes")[0][1]) > first)  # it is live
        await until(pilot, lambda: rows_of(app, "votes"))
        assert [row[:2] for row in rows_of(app, "votes")] == [["validator1", "1000"]]
        assert rows_of(app, "blocks")[0][3] == "validator1"
        svg = app.export_screenshot()
        assert "1&#160;of&#160;2&#160;nodes&#160;answer" in svg


async def test_keys_choose_a_node_hold_and_leave(node: Running) -> None:
    app = Top(Watch([Watched("one", url_of(node)), Watched("two", url_of(node))]), every_s=0.05)
    async with app.run_test(size=(140, 40)) as pilot:
        await until(pilot, lambda: app.rounds > 0)
        title = app.query_one("#blocks", DataTable)
        for key, name in (("n", "two"), ("n", "one"), ("p", "two"), ("1", "one"), ("down", "two")):
            await pilot.press(key)
            await until(pilot, lambda name=name: str(title.border_title) == f"latest blocks of {name}")
        await pilot.press("space")
        await pilot.pause()
        held = app.rounds
        height = rows_of(app, "nodes")[0][1]
        for _ in range(5):
            await pilot.pause(0.1)
        assert (app.rounds <= held + 1, rows_of(app, "nodes")[0][1]) == (True, height)
        await pilot.press("space")
        await until(pilot, lambda: app.rounds > held + 1)
        await pilot.press("tab")
        assert app.focused is not None
        assert app.focused.id == "votes"
        await pilot.press("q")
    assert app.return_code == 0


async def test_a_narrow_terminal_has_the_tables_one_above_the_other(node: Running) -> None:
    app = Top(Watch([Watched("one", url_of(node))]), every_s=0.1)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.rounds > 0)
        assert app.screen.has_class("-narrow")
        nodes = app.query_one("#nodes", DataTable)
        assert nodes.virtual_size.width <= nodes.size.width, "nothing is cut"
        for said in ("peers", "app&#160;hash", "answer", "waits"):
            assert said in app.export_screenshot(), said
        await pilot.resize_terminal(150, 40)
        await until(pilot, lambda: app.screen.has_class("-wide") and not app.screen.has_class("-narrow"))
        await until(pilot, lambda: len(rows_of(app, "nodes")[0]) == len(tables.NODE_COLUMNS))


# ----------------------------------------------------------------------------------------------- its data


LIES: list[dict[str, Any]] = [
    {}, {"status": {"peers": 5, "mempool_lanes": [], "latest_block_height": "x"}},
    {"status": {"peers": [5, {"round_trip_seconds": "x"}]}, "consensus": {"votes": {"a": 1}, "nil_votes": [1]}},
    {"consensus": {"votes": [None, {"prevote": {}, "precommit": 4}], "nil_votes": {"x" * 10_000: 1, "y": "z"}}},
    {"blocks": [{"txs_by_chain": 7, "time": 9, "proposer_address": None}], "status": {"catching_up": True}},
    {"status": {"sync_progress": "x", "catching_up": 7}},
    {"status": {"latest_app_hash": "\x1b[2J\n\u202e" * 99, "chain_id": "\x1b]0;x\x07" * 99}},
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_what_a_lying_door_says_is_lines_of_bounded_text(lie: dict[str, Any]) -> None:
    one = Reading(Watched("n\x1b[31m", "http://x"), **lie)
    shown = [
        tables.rows_of([one]),
        tables.votes_of(one, {}),
        tables.blocks_of(one, {}),
        tables.peers_of(one),
        tables.nil_of(one),
    ]
    for rows in shown:
        for row in rows:
            assert all(text.isprintable() and len(text) <= 120 for text in row), row
    assert tables.summary([one]).isprintable()


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-" + "9" * 4_299, "1e999", "NaN", "-Infinity", "9" * 20])
def test_numbers_that_no_node_has_are_shown_and_end_nothing(number: str) -> None:
    """audit 83: one node of many ended the dashboard of all."""
    peer = {"id": "x", "round_trip_seconds": 0, "bytes_in": 0}
    told = {
        "sync_progress": 0, "latest_block_height": 0, "peers": [peer], "catching_up": 0, "nil_votes": {"a": 0, "b": 0}
    }  # fmt: skip
    said = parse(json.dumps(told).replace(": 0", f": {number}").encode())
    one = Reading(Watched("n", "http://x"), status=said, consensus=said)
    for rows in (tables.rows_of([one]), tables.peers_of(one), tables.nil_of(one)):
        assert all(text.isprintable() and len(text) <= 120 for row in rows for text in row), rows
    assert len(tables.summary([one])) < 200
    rates = Rates()
    assert all(rates.of("in", value, at) >= 0 for value, at in ((0, 1.0), (said["peers"][0]["bytes_in"], 2.0)))


@pytest.mark.parametrize("lie", [None, 5, {}, {"a": 1}, "x", [5], [None], [{}]], ids=repr)
def test_a_lying_node_ends_no_why_either(lie: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """audit 83: lists of `dchat why --url` that were none ended it with a traceback."""
    told: dict[str, Any] = {"height": 7, "missed": ["prevote"], "why": "w", "cause": "c", "do": "d"}
    for record in ({"rounds": lie, "own": []}, {"rounds": [{"round": 0}], "own": lie}, lie):
        why_command._show({**told, "causes": lie, "record": record})
    assert capsys.readouterr().out.count("height 7: prevote") >= 2


def test_one_look_fits_into_80_columns_and_has_no_empty_tables(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"latest_block_height": 1_234_567, "latest_app_hash": "AB" * 32, "chain_id": "c", "peer_count": 12}
    one = Reading(Watched("validator1", "http://x"), status=said, consensus={"step": "precommit"}, took_ms=12.0)
    away = Reading(Watched("validator2", "http://y"), fault=AWAY)
    show_tables([away, one], {})
    shown = capsys.readouterr().out
    for text in ("app hash", "abababab", "12 ms", "0/0/0", AWAY, "votes, as validator1 has them"):
        assert text in shown, shown
    assert "…" not in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    show_tables([away, away], {})
    assert "votes" not in capsys.readouterr().out


def test_at_a_terminal_one_node_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    url = f"http://127.0.0.1:{free_ports(1)[0].http}"
    done = CliRunner().invoke(dchat, ["top", "--once", "--url", url])
    assert (done.exit_code, done.stdout) == (4, "")
    assert done.stderr == f"dchat: {url}: {AWAY}; --url URL names another\n"


def test_two_states_at_one_height_are_said_aloud() -> None:
    def at(height: int, app_hash: str) -> Reading:
        said = {"latest_block_height": height, "latest_app_hash": app_hash, "chain_id": "c"}
        return Reading(Watched("n", "http://x"), status=said)

    assert tables.summary([at(7, "A"), at(7, "A")]) == "c at 7, 2 of 2 nodes answer, all at one state"
    assert tables.summary([at(7, "A"), at(8, "B")]) == "c at 8, 2 of 2 nodes answer"
    assert tables.summary([at(7, "A")]) == "c at 7, 1 of 1 nodes answer, one node asked: nothing to compare"
    away = Reading(Watched("m", "http://y"), fault="away")
    assert tables.summary([at(7, "A"), away]) == "c at 7, 1 of 2 nodes answer, one node answers: nothing to compare"
    assert "DIFFERENT STATES AT ONE HEIGHT" in tables.summary([at(7, "A"), at(7, "B")])


def test_a_counter_that_falls_begins_anew() -> None:
    rates = Rates()
    assert [rates.of("txs", count, now) for now, count in ((0.0, 0), (1.0, 10), (2.0, 20), (3.0, 5), (4.0, 6))] == [
        0.0, 10.0, 10.0, 0.0, 1.0,
    ]  # fmt: skip


async def test_another_networks_node_at_our_port_is_not_taken_for_ours(node: Running) -> None:
    async with Watch([Watched("n", url_of(node), node_id="00" * 20), Watched("n", url_of(node) + "/nowhere")]) as watch:
        one, other = await watch.read()
    assert one.fault == "another network's node has its port"
    assert other.fault.startswith("answered 404: there is no such path")


async def test_lanes_are_told(node: Running) -> None:
    async with Watch([Watched("n", url_of(node))]) as watch:
        (one,) = await watch.read()
    assert set(one.status["mempool_lanes"]) <= {"chat", "currency", "bridge"}


# ---------------------------------------------------------------------------------------------- the command


def test_without_a_terminal_it_is_one_look_in_json_and_says_who_is_away() -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0].http}"
    done = CliRunner().invoke(dchat, ["top", "--url", url])
    assert (done.exit_code, json.loads(done.stdout)[0]["fault"]) == (4, AWAY)
    assert done.stderr == f"dchat: {url}: {AWAY}; --url URL names another\n"
    for arguments, said in (
        (["--url", "ftp://x"], "is no http(s) address"), (["--testnet", "/nowhere"], "is missing"),
        (["--url", url, "--testnet", "/nowhere"], "exclude each other"), (["--url", url, "--tls"], "are for https"),
    ):  # fmt: skip
        refused = CliRunner().invoke(dchat, ["top", *arguments])
        assert (refused.exit_code, said in refused.stderr) == (2, True), refused.stderr


async def test_it_speaks_tls_with_whom_it_is_told_to_trust(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls", "root")
    files = authority.vouch("node.example", "127.0.0.1")
    options = f'\n[tls]\ncert_file = "{files.cert}"\nkey_file = "{files.key}"\n'
    async with running_node(tmp_path / "net", options=options) as running:
        url = f"https://127.0.0.1:{running.ports[1]}"
        async with Watch([Watched("n", url)]) as watch:
            (one,) = await watch.read()
            assert one.fault == "its certificate is not vouched for: --tls-root FILE names who does"
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dchat", "top", "--url", url, "--tls-root", str(authority.file),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, _ = await done.communicate()
        assert (done.returncode, json.loads(told)[0]["fault"]) == (0, None)


@pytest.mark.skipif(
    shutil.which("tmux") is None, reason="no tmux here (apt install tmux): A REAL TERMINAL IS NOT TRIED"
)
async def test_in_a_real_terminal_it_draws_and_q_gives_the_terminal_back(node: Running, tmp_path: Path) -> None:
    socket = str(tmp_path / "tmux")

    def tmux(*said: str) -> str:
        return subprocess.run(
            ["tmux", "-S", socket, "-f", "/dev/null", *said], capture_output=True, text=True, check=True
        ).stdout

    async def until_shown(text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in (shown := await asyncio.to_thread(tmux, "capture-pane", "-p")):
            assert time.monotonic() < deadline, shown
            await asyncio.sleep(0.1)

    command = f"{sys.executable} -m dchat top --url {url_of(node)}; echo left with $?; cat"
    await asyncio.to_thread(tmux, "new-session", "-d", "-x", "120", "-y", "36", command)
    try:
        for text in ("1 of 1 nodes answer", "votes at", "latest blocks of", "Next node"):
            await until_shown(text)
        await asyncio.to_thread(tmux, "send-keys", "q")
        await until_shown("left with 0")
    finally:
        await asyncio.to_thread(tmux, "kill-server")
