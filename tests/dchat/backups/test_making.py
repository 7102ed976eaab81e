"""Backups by command: to a folder and to S3, what is kept of them, and what a start says of [backup]."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from dchat.backups.kept import DAY_S, name_of
from dchat.backups.making import series_of_home
from dchat.cli.main import dchat
from tests.support.node.homes import Stopped, home_at, shared_stopped
from tests.support.node.s3 import BUCKET, ENVIRONMENT, REGION, Store, Stored, s3_store


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return shared_stopped(tmp_path_factory)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with s3_store() as store:
        yield store


def run(home: Path, *words: object, said: str = "", code: int = 0) -> Result:
    """`dchat database ...`; `said` is in what it printed."""
    ended = CliRunner().invoke(dchat, ["database", *map(str, words), "--home", str(home)], prog_name="dchat")
    assert ended.exit_code == code, (words, ended.output, ended.exception)
    assert said in ended.output, (words, ended.output)
    return ended


def listed(home: Path, *words: object) -> list[dict[str, object]]:
    return list(json.loads(run(home, "backups", *words).output))


def options(home: Path, **told: object) -> None:
    lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
    with (home / "validator-config.toml").open("a") as file:
        file.write("\n[backup]\n" + "\n".join(lines) + "\n")


def files_of(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted((home / "data").rglob("*")) if path.is_file()}


def test_by_itself_the_command_keeps_one_where_the_options_say_and_the_old_ones_go(
    stopped: Stopped, tmp_path: Path
) -> None:
    home, kept = stopped.copy(tmp_path / "home"), tmp_path / "kept"
    run(home, "backup-key", "--output", home / "backup.key")
    options(home, folder=str(kept), encryption=True, encryption_key_file="backup.key", keep_at_least=2)
    series, now = series_of_home(home_at(home)), int(time.time())
    kept.mkdir()
    old = [name_of(series, height=1, time_s=now - days * DAY_S) for days in (31, 32, 1)]
    others = [name_of("chain.ffffffff", height=1, time_s=now - 99 * DAY_S), "notes.txt", f".{series}.1.new"]
    for name in (*old, *others):
        (kept / name).write_bytes(b"x")
    run(home, "backup", said=f"removed {old[1]}\nremoved {old[0]}\nbacked up height")
    newest = listed(home)[0]
    names = sorted(path.name for path in kept.iterdir())
    assert names == sorted([old[2], others[0], others[1], Path(str(newest["path"])).name])
    assert Path(str(newest["path"])).stat().st_mode & 0o777 == 0o600
    run(home, "restore", "--input", newest["path"], code=1, said="it is encrypted")
    run(home, "restore", "--input", newest["path"], "--key-file", home / "backup.key", said="restored height")


def test_a_backup_goes_to_s3_and_comes_back(stopped: Stopped, tmp_path: Path, store: Store) -> None:
    home, other = stopped.copy(tmp_path / "home"), stopped.copy(tmp_path / "other")
    for one in (home, other):
        options(one, backend="s3", s3_bucket=BUCKET, s3_region=REGION, s3_endpoint=store.url, s3_prefix="dchat/")
    told = run(home, "backup", said=f"to s3://{BUCKET}/dchat/").output
    run(home, "backup", "--output", f"s3://{BUCKET}/by-hand/one", "--compress", said=f"s3://{BUCKET}/by-hand/one bytes")
    run(home, "backup", "--output", f"s3://{BUCKET}/by-hand/one", code=1, said="never overwritten")
    assert [f"backed up height {one['height']} " in told for one in listed(other)] == [True]
    assert listed(other, "--at", f"s3://{BUCKET}/by-hand") == []  # no name of ours: it was chosen
    shutil.rmtree(other / "data" / "app")
    run(other, "restore", "--input", f"s3://{BUCKET}/by-hand/one", said="restored height")
    run(other, "restore", "--input", str(listed(other)[0]["path"]), said="restored height")
    run(other, "verify", said="ok: blocks 1 to")
    before = files_of(other)
    run(other, "restore", "--input", f"s3://{BUCKET}/by-hand/two", code=1, said="does not exist")
    kept = store.objects["by-hand/one"]
    kept.data = kept.data[:-1]
    run(other, "restore", "--input", f"s3://{BUCKET}/by-hand/one", code=1, said="is damaged")
    run(other, "restore", "--input", "s3://B/x", code=1, said="is no place; allowed: s3://BUCKET/KEY")
    assert files_of(other) == before


def test_a_backup_that_fails_leaves_nothing_and_removes_nothing(stopped: Stopped, tmp_path: Path, store: Store) -> None:
    home = stopped.copy(tmp_path / "home")
    options(home, backend="s3", s3_bucket=BUCKET, s3_region=REGION, s3_endpoint=store.url, keep_at_least=1)
    old = name_of(series_of_home(home_at(home)), height=1, time_s=int(time.time()) - 99 * DAY_S)
    store.objects[old] = store.objects[f"x{old}"] = Stored(b"x", {})
    before = files_of(home)
    store.refuse = {"part"}
    run(home, "backup", code=1, said="AccessDenied")
    store.refuse = {"complete"}
    run(home, "backup", code=1, said="AccessDenied")
    assert sorted(store.objects) == sorted([old, f"x{old}"])
    assert not store.uploads
    after = files_of(home)
    after.pop(home / "data" / "backup.lock")
    assert after == before
    store.refuse = {"delete"}
    run(home, "backup", code=1, said="but older ones could not be removed")
    store.refuse = set()
    run(home, "backup", said=f"removed {old}")


def test_a_disk_that_a_backup_would_fill_is_left_alone(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = stopped.copy(tmp_path / "home")
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 30, 1 << 30, 200 << 20))
    run(home, "backup", "--output", tmp_path / "x", code=75, said="MB are free; a backup may take")
    assert not (tmp_path / "x").exists()


def test_only_one_process_at_a_time_makes_one(stopped: Stopped, tmp_path: Path) -> None:
    import fcntl

    home = stopped.copy(tmp_path / "home")
    with (home / "data" / "backup.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        run(home, "backup", "--output", tmp_path / "x", code=1, said="another process makes a backup")
    run(home, "backup", "--output", f"{tmp_path}/kept/", said="backed up height")
    (tmp_path / "taken").write_bytes(b"another's")
    draws = run(home, "backup", "--output", tmp_path / "taken", code=1, said="never overwritten").output
    assert "wrote" not in draws, "it is said before anything is written"
    told = run(home, "backup", "--output", tmp_path / "one", said="backed up height").output
    assert f"writes one file, {tmp_path / 'one'}; a folder is named with / at its end" in told
    run(home, "backup", "--output", tmp_path / "none" / "x", code=1, said=f"{tmp_path / 'none'} is no folder")
    assert len(listed(home, "--at", tmp_path / "kept")) == 1


def test_a_list_of_what_is_kept_makes_no_folder(stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    run(home, "backups", "--at", tmp_path / "kpet", code=2, said="is no folder")
    assert not (tmp_path / "kpet").exists()


def test_where_no_place_is_named_both_ways_to_name_one_are_told(stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    for command in ("backup", "backups"):
        told = run(home, command, code=1, said="[backup] folder names no place").output
        assert "--output" in told
        assert "--at" in told


@pytest.mark.parametrize(
    ("told", "said"),
    [
        pytest.param({}, "folder is empty", id="nowhere"),
        pytest.param({"backend": "s3"}, "s3_bucket is empty", id="no bucket"),
        pytest.param({"folder": "kept", "encryption": True}, "needs encryption_key_file", id="no key"),
        pytest.param({"folder": "kept", "schedule": "61 * * * *"}, "is no schedule", id="no schedule"),
        pytest.param({"backend": "s3", "s3_bucket": "A B"}, "s3_bucket", id="no bucket's name"),
        pytest.param({"s3_endpoint": "https://user:pw@host"}, "s3_endpoint", id="credentials in an option"),
        pytest.param({"retention_days": -1}, "retention_days", id="days below 0"),
        pytest.param({"keep_at_least": 0}, "keep_at_least", id="none at all"),
    ],
)  # fmt: skip
def test_a_start_says_what_is_wrong_with_the_options(
    told: dict[str, object], said: str, stopped: Stopped, tmp_path: Path
) -> None:
    home = stopped.copy(tmp_path / "home")
    options(home, enable=True, **told)
    ended = CliRunner().invoke(dchat, ["validator", "--validate", "--home", str(home)], prog_name="dchat")
    assert ended.exit_code == 2, ended.output
    assert said in ended.output


@pytest.mark.parametrize(
    ("told", "said"),
    [
        pytest.param({"folder": "none/kept"}, "is its disk mounted?", id="no folder"),
        pytest.param(
            {"folder": "kept", "encryption": "aes-256-gcm", "encryption_key_file": "genesis"},
            "no key of age is in it", id="a key of another kind",
        ),
        pytest.param({"backend": "s3", "s3_bucket": "bucket"}, "pip install", id="no library"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_used_now_keeps_no_validator_from_its_start(
    told: dict[str, object], said: str, stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = stopped.copy(tmp_path / "home")
    (home / "genesis").write_bytes(os.urandom(32).hex().encode())
    options(home, enable=True, **told)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with capture_logs() as lines:
        ended = CliRunner().invoke(dchat, ["validator", "--validate", "--home", str(home)], prog_name="dchat")
    assert ended.exit_code == 0, ended.output
    assert [said in line["reason"] for line in lines if "backup" in line["event"]] == [True]
