"""Backups on schedule: missed ones are made up, failed ones tried again, and nothing of it ends the node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from consensus.system.tasks import Faults
from dchat.backups import keeper as rooms
from dchat.backups.keeper import PART, Keeper
from dchat.backups.record import Record, read_record, write_record
from dchat.config import load
from dchat.home.home import Home
from tests.support.node.homes import Stopped, shared_stopped
from tests.support.node.running import running_node, until

HOUR_S = 3_600
NOW = 1_800_000_000  # Friday, 08:00:00 UTC


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return shared_stopped(tmp_path_factory)


class Clock:
    def __init__(self) -> None:
        self.s = float(NOW)

    def __call__(self) -> float:
        return self.s


def keeper_of(root: Path, kept: Path, *, clock: Clock | None = None, **more: object) -> Keeper:
    """Of a home whose file says nothing of backups: what the node was given counts."""
    config = load(root / "validator-config.toml", environment={}).config
    config.backup.enable, config.backup.folder, config.backup.schedule = True, str(kept), "0 * * * *"
    home = Home.of(root, config)
    return Keeper(home, config, Faults(), now=clock or Clock(), **more)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def kept_going(keeper: Keeper) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(keeper.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def child(text: str) -> tuple[str, ...]:
    """A command that does `text` of Python, whatever words follow."""
    return (sys.executable, "-c", text)


async def test_one_that_was_missed_is_made_up_once_by_a_process_of_its_own(stopped: Stopped, tmp_path: Path) -> None:
    root, kept = stopped.copy(tmp_path / "home"), tmp_path / "kept"
    keeper = keeper_of(root, kept)
    write_record(keeper._home, Record(str(kept), NOW - 5 * HOUR_S))
    with capture_logs() as said:
        async with kept_going(keeper):
            await until(lambda: keeper.metrics.made == 1, timeout_s=60)
            record = keeper.record
            await until(lambda: keeper.metrics.next_s > record.ended_s or keeper.metrics.next_s > NOW)
    assert (record.made, record.bytes) == (1, (kept / record.name).stat().st_size)
    assert [line["event"] for line in said] == ["made a backup"]
    assert keeper.status().last_height == record.height > 0
    assert [path.name for path in kept.iterdir()] == [record.name]
    assert (keeper._home.data / "backups.json").stat().st_mode & 0o777 == 0o600


async def test_before_its_time_none_is_made_and_then_one(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "LOOK_S", 0.01)
    root, clock = stopped.copy(tmp_path / "home"), Clock()
    runs = tmp_path / "runs"
    keeper = keeper_of(root, tmp_path, clock=clock, command=child(f"open({str(runs)!r}, 'a').write('x'); 1/0"))
    async with kept_going(keeper):
        await until(lambda: keeper.metrics.next_s == NOW + HOUR_S)
        clock.s -= 30 * 60  # back: it is not due any sooner, and not an hour later than it reads
        await until(lambda: keeper.metrics.next_s == NOW)
        assert not runs.exists()
        clock.s = NOW + 1
        await until(lambda: keeper.metrics.failed == 1, timeout_s=30)
    assert runs.read_text() == "x"


async def test_what_fails_is_said_counted_and_tried_again(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "RETRY_FIRST_S", 0.01)
    root, mount = stopped.copy(tmp_path / "home"), tmp_path / "mount"
    record = Record(str(mount / "kept"), NOW - 5 * HOUR_S)
    done = json.dumps(asdict(replace(record, made=1, ended_s=NOW)))
    text = f"import os; os.listdir({str(mount)!r}); open({str(root / 'data' / 'backups.json')!r}, 'w').write({done!r})"
    keeper = keeper_of(root, mount / "kept", command=child(text))
    write_record(keeper._home, record)
    with capture_logs() as said:
        async with kept_going(keeper):
            await until(lambda: keeper.metrics.failed >= 1, timeout_s=60)
            assert keeper.metrics.is_failing
            assert PART in keeper._faults.down
            mount.mkdir()
            await until(lambda: keeper.metrics.made == 1, timeout_s=60)
            await until(lambda: not keeper._faults.down)
    errors = [line for line in said if line["log_level"] == "error"]
    assert "No such file or directory" in errors[0]["reason"]
    assert not keeper.metrics.is_failing


async def test_a_node_that_stops_ends_the_process_that_makes_one(stopped: Stopped, tmp_path: Path) -> None:
    root, began = stopped.copy(tmp_path / "home"), tmp_path / "began"
    text = f"import os, time; open({str(began)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    keeper = keeper_of(root, tmp_path, command=child(text))
    write_record(keeper._home, Record(str(tmp_path), NOW - 5 * HOUR_S))
    async with kept_going(keeper):
        await until(lambda: began.exists() and began.read_text() != "", timeout_s=30)
    with pytest.raises(ProcessLookupError):
        os.kill(int(began.read_text()), 0)


async def test_one_that_takes_too_long_is_ended(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "RUN_S_MAX", 0.5)
    keeper = keeper_of(stopped.copy(tmp_path / "home"), tmp_path, command=child("import time; time.sleep(600)"))
    write_record(keeper._home, Record(str(tmp_path), NOW - 5 * HOUR_S))
    with capture_logs() as said:
        async with kept_going(keeper):
            await until(lambda: keeper.metrics.failed == 1, timeout_s=30)
    assert "it took longer than" in said[-1]["reason"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 5_000, '{"where": "x", "since_s": "soon"}', '{"where": "x", "since_s": -1}', "\xff"]
)
def test_a_record_that_cannot_be_read_is_begun_anew(text: str, stopped: Stopped, tmp_path: Path) -> None:
    home = keeper_of(stopped.copy(tmp_path / "home"), tmp_path)._home
    (home.data / "backups.json").write_bytes(text.encode("latin-1"))
    assert read_record(home, "x") is None
    write_record(home, Record("x", 5))
    assert read_record(home, "x") == Record("x", 5)
    assert read_record(home, "elsewhere") is None


async def test_a_running_node_makes_backups_and_tells_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By real processes: one in its place, restored into another home, and the same app hash there."""
    from click.testing import CliRunner

    from dchat.cli.main import dchat

    options = f'[backup]\nenable = true\nfolder = "{tmp_path}/kept"\nschedule = "* * * * *"\n'
    monkeypatch.setattr(rooms, "next_after", lambda schedule, time_s: time_s)  # at once
    monkeypatch.setattr(rooms, "LOOK_S", 0.05)
    async with running_node(tmp_path / "network", options=options) as running:
        keeper = running.node.keeper
        assert keeper is not None
        await until(lambda: keeper.metrics.made >= 1, timeout_s=60)
        record = keeper.record
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{running.ports[1]}"
            async with session.get(f"{url}/status") as answer:
                told = (await answer.json())["storage"]["backups"]
            async with session.get(f"{url}/metrics") as answer:
                metrics = await answer.text()
        assert (told["made"] >= 1, told["last_height"] >= record.height, told["is_failing"]) == (True, True, False)
        for name in ("made_total", "failures_total", "last_success_timestamp_seconds", "last_bytes", "failing"):
            assert f"dchat_backup_{name} " in metrics
        home = running.network.home_of(running.network.nodes[0])
        block = running.node.views.answers.blocks.load_block(record.height + 1)
    path = str(tmp_path / "kept" / record.name)
    ended = CliRunner().invoke(dchat, ["database", "restore", "--input", path, "--home", str(home)], prog_name="dchat")
    assert ended.exit_code == 0, ended.output
    assert block is not None
    assert f"app_hash {block.header.app_hash.hex()}" in ended.output
