"""Our node under a supervisor that follows Cosmovisor's rules: real processes of two builds, one validator."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from chain.upgrade.migrations import Upgrade
from dchat.cli.commands.status_commands import sync_info
from dchat.cli.main import dchat
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home.home import Home
from dchat.node.upgrade import INFO_FILE
from proto.dchat.v1.service_pb2 import GetStatusResponse
from tests.support.upgrade.builds import SPRING, Daemon, make_build, until
from tests.support.upgrade.process import QUICK, height_of, plan_in
from tests.support.upgrade.supervisor import Supervisor, SupervisorFailed, lay_out

LONG_S = "600"  # a supervisor that waited for the exit would be seen


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("builds")
    return make_build(folder / "first"), make_build(folder / "second", plan=SPRING)


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    """Its network and its doors; the supervisor starts it."""
    network = make_network(tmp_path / "net", validators=1, pace=QUICK, ports=free_ports(1), upgrade_authority="alice")
    return Daemon(network, 1, tmp_path / "log")


def supervisor_of(daemon: Daemon, **options: float) -> Supervisor:
    arguments = ("--home", str(daemon.home), "--log-level", "info")
    return Supervisor(daemon.home, daemon.log, arguments, {"DCHAT_UPGRADE__SERVE_FOR": LONG_S}, **options)


@pytest.mark.network
@pytest.mark.parametrize(("grace_s", "comes_early"), [
    pytest.param(0.0, False, id="killed"),
    pytest.param(20.0, True, id="interrupted, and the file was there before its height"),
])  # fmt: skip
async def test_it_crosses_the_height_once_and_with_the_same_arguments(
    daemon: Daemon, builds: tuple[Path, Path], grace_s: float, comes_early: bool
) -> None:
    lay_out(daemon.home, genesis=builds[0], upgrades={"spring": builds[1]})
    one = supervisor_of(daemon, grace_s=grace_s)
    running = asyncio.create_task(one.run())
    height = await plan_in(daemon, 40 if comes_early else 12)
    if comes_early:  # as a restored copy of the data would bring it
        write_info(daemon, "spring", height)
        await until(lambda: one.early > 0)
        assert await height_of(daemon) < height
    told = await daemon.reach(height + 3)
    assert not running.done()
    running.cancel()
    await asyncio.wait((running,))
    assert [(done.name, done.height) for done in told.done] == [("spring", height)]
    assert one.launches == [("genesis", *one.arguments), ("spring", *one.arguments)]
    assert (one.early > 0) == comes_early
    assert one.current == daemon.home / "cosmovisor" / "upgrades" / "spring"
    assert (daemon.home / "data-backup-today" / "app" / "CURRENT").exists()
    assert ("signal=SIGINT" in daemon.log.read_text()) == bool(grace_s)


def write_info(daemon: Daemon, name: str, height: int) -> None:
    text = json.dumps({"name": name, "time": "0001-01-01T00:00:00Z", "height": height})
    (daemon.home / "data" / INFO_FILE).write_text(text)


@pytest.mark.network
async def test_it_stops_where_the_new_binary_does_not_know_the_upgrade(
    daemon: Daemon, builds: tuple[Path, Path]
) -> None:
    lay_out(daemon.home, genesis=builds[0], upgrades={"spring": builds[0]})
    one = supervisor_of(daemon)
    running = asyncio.create_task(one.run())
    await plan_in(daemon, 12)
    with pytest.raises(SupervisorFailed, match="pre-upgrade said no"):
        async with asyncio.timeout(60):
            await running
    assert len(one.launches) == 1
    assert daemon.said("this build does not know spring; it knows: look-alikes, memberships, key-rotation")


@pytest.mark.parametrize(("info", "known", "code"), [
    pytest.param('{"name":"spring","time":"0001-01-01T00:00:00Z","height":9}', ("autumn", "spring"), 0, id="known"),
    pytest.param('{"name":"spring","time":"0001-01-01T00:00:00Z","height":9}', ("autumn",), 30, id="unknown"),
    pytest.param('{"name":"spring","time":"0001-01-01T00:00:00Z","height":9}', (), 30, id="it knows none"),
    pytest.param("{}", ("spring",), 30, id="no upgrade info"),
    pytest.param("", ("spring",), 30, id="empty"),
    pytest.param(None, (), 0, id="nothing is wanted"),
])  # fmt: skip
def test_what_pre_upgrade_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: str | None, known: tuple[str, ...], code: int
) -> None:
    """Asked as Cosmovisor asks: without --home."""
    monkeypatch.delenv("DCHAT_HOME", raising=False)
    monkeypatch.setenv("DAEMON_HOME", str(tmp_path))
    monkeypatch.setattr("dchat.cli.commands.upgrade_commands.UPGRADES", tuple(map(Upgrade, known)))
    data = Home.of(tmp_path).data
    data.mkdir()
    if info is not None:
        (data / INFO_FILE).write_text(info)
    assert CliRunner().invoke(dchat, ["pre-upgrade"]).exit_code == code


def test_a_node_that_left_consensus_stands_at_the_height_that_it_does_not_execute() -> None:
    """Cosmovisor waits while the height is lower than the file's."""
    status = GetStatusResponse(latest_block_height=14)
    assert sync_info(status, halted=False) == {"latest_block_height": "14", "catching_up": False}
    assert sync_info(status, halted=True)["latest_block_height"] == "15"
