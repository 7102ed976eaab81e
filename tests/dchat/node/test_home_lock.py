"""Who holds a home, and who ends those that do: a look at a home refuses nobody, a dead terminal stops no stopping."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from dchat.cli.local import testnet_control
from dchat.devnet import processes
from dchat.devnet.network import free_ports, make_network
from dchat.home import home_lock
from dchat.home.errors import AlreadyRunning
from dchat.home.home import Home


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
