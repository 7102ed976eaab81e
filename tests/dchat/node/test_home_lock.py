"""Who holds a home, and who ends those that do: a look at a home refuses nobody, a dead terminal stops no stopping."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from dchat.cli.local import testnet_control
from dchat.cli.main import dchat
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home import home_lock
from dchat.home.errors import AlreadyRunning, HomeError
from dchat.home.home import Home, make_keys
from storage.errors import StoreUnavailable
from storage.leveldb import LevelStore

ROOT = Path(__file__).parents[3]


def test_a_look_at_a_home_refuses_no_process_that_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.of(tmp_path)
    home.data.mkdir(parents=True)
    with home.pid_file.open("a+") as looker:
        fcntl.flock(looker, fcntl.LOCK_SH)
        monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(looker, fcntl.LOCK_UN))
        with home_lock.hold_home(home):
            assert home.pid_file.read_text().strip().isdigit()


def test_a_holder_that_wrote_no_pid_yet_is_named_without_one(tmp_path: Path) -> None:
    home = Home.of(tmp_path)
    home.data.mkdir(parents=True)
    with home.pid_file.open("a+") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunning, match="another process runs on this home"), home_lock.hold_home(home):
            pass


HOLDS = """
import sys
from storage.leveldb import LevelStore
store = LevelStore(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def process_with(database: Path) -> Iterator[subprocess.Popen[str]]:
    """It has the database open, as of a node that is being killed, and does not have the home's lock any more."""
    words = [sys.executable, "-c", HOLDS, str(database)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        try:
            yield holder
        finally:
            holder.kill()


def test_databases_that_a_killed_process_still_has_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.of(tmp_path)
    home.databases.mkdir(parents=True)
    with process_with(home.databases / "app") as holder:
        waits: list[float] = []

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            holder.kill()
            holder.wait()

        monkeypatch.setattr("time.sleep", sleep)
        with home_lock.hold_home(home):
            LevelStore(str(home.databases / "app")).close()
        assert len(waits) == 1


def test_a_process_that_keeps_a_database_is_told_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.of(tmp_path)
    home.databases.mkdir(parents=True)
    with process_with(home.databases / "app"):
        waited: list[float] = []
        monkeypatch.setattr("time.sleep", waited.append)
        with home_lock.hold_home(home), pytest.raises(StoreUnavailable, match=r"databases/app|data/app"):
            LevelStore(str(home.databases / "app"))
        assert 1 <= sum(waited) <= 5


@pytest.mark.parametrize("code", [errno.EIO, errno.EPIPE])
def test_validators_are_stopped_when_the_terminal_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    network = make_network(tmp_path / "net", validators=1, ports=free_ports(1))
    stopped: list[object] = []

    def dead(*_: object) -> None:
        raise OSError(code, "the terminal is gone")

    async def ended(_: object) -> None:
        pass

    monkeypatch.setattr(processes, "end_as_by_interrupt", lambda: None)
    monkeypatch.setattr(processes, "stop", lambda _, nodes: stopped.extend(nodes))
    monkeypatch.setattr(testnet_control, "_start_all", lambda _: None)
    monkeypatch.setattr(testnet_control, "_watch", ended)
    monkeypatch.setattr(testnet_control, "echo", dead)
    testnet_control._run(network, detach=False)
    assert stopped == list(network.nodes)


def test_who_leaves_a_home_by_an_error_is_named_there_no_more(tmp_path: Path) -> None:
    home = Home.of(tmp_path)
    with pytest.raises(ValueError, match="half way"), home_lock.hold_home(home):
        raise ValueError("half way")
    assert home.pid_file.read_text() == ""


def signer_of(home: Home) -> list[str]:
    """Given the home's files by their names."""
    files = ["--key-file", str(home.validator_key), "--state-file", str(home.sign_state)]
    return ["signer", *files, "--chain-id", "one", "--connect", "unix:///nowhere"]


def test_no_signer_signs_by_the_record_of_a_node_that_runs_however_it_is_named(tmp_path: Path) -> None:
    """Audit 73."""
    home = Home.of(tmp_path)
    make_keys(home)
    with home_lock.hold_home(home):
        done = CliRunner().invoke(dchat, signer_of(home))
        assert done.exit_code == 1, done.output
        assert "another process signs by this record: stop it first" in done.output
    with (
        home_lock.hold_record(home.sign_state),
        pytest.raises(AlreadyRunning, match="signs by this record"),
        home_lock.hold_home(home),
    ):
        pass
    with home_lock.hold_home(home):
        pass


def test_nothing_signs_by_a_record_that_is_a_link(tmp_path: Path) -> None:
    """Audit 74: the next record takes the link's place, and who comes by the other name signs by the old one."""
    home, elsewhere = Home.of(tmp_path / "home"), tmp_path / "state.json"
    make_keys(home)
    home.sign_state.rename(elsewhere)
    home.sign_state.symlink_to(elsewhere)
    with pytest.raises(HomeError, match="is a symbolic link"), home_lock.hold_home(home):
        pass
    done = CliRunner().invoke(dchat, signer_of(home))
    assert done.exit_code == 2, done.output
    assert "is a symbolic link" in done.output
