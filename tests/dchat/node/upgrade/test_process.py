"""Real processes: halting, swapping, skipping, rolling back, rehearsing. One validator, so that a test is short."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from consensus.mempool.admission.errors import CODESPACE, Refusal
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.node.upgrade import EXIT_UPGRADE, INFO_FILE, file_sha256
from proto.dchat.v1.service_pb2 import GetUpgradeResponse
from tests.support.upgrade.builds import SPRING, Daemon, make_build, run, until
from tests.support.upgrade.process import QUICK, height_of, plan_in

pytestmark = pytest.mark.network

TO_THE_SECOND = ("--upgrade-name", "spring", "--upgrade-binary")


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("builds")
    return make_build(folder / "first"), make_build(folder / "second", plan=SPRING)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    network = make_network(tmp_path / "net", validators=1, pace=QUICK, ports=free_ports(1), upgrade_authority="alice")
    one = Daemon(network, 1, tmp_path / "log")
    yield one
    one.kill()


def status_of(binary: Path, one: Daemon) -> dict[str, Any]:
    """What `dchat upgrade status` says."""
    status: dict[str, Any] = json.loads(run(binary, "upgrade", "status", "--home", one.home))
    return status


async def until_told(one: Daemon, condition: Callable[[GetUpgradeResponse], bool]) -> GetUpgradeResponse:
    """The first answer about upgrades that is as wanted."""
    deadline = time.monotonic() + 60
    while True:
        told = await one.reach(1)
        if condition(told):
            return told
        assert time.monotonic() < deadline, told
        await asyncio.sleep(0.05)


async def page(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.text()


async def test_halt_serve_exit_and_manual_swap(daemon: Daemon, builds: tuple[Path, Path]) -> None:
    """Sheet, section 6, on a real node; a build that does not know the plan is never more than a reader."""
    first, second = builds
    daemon.environment["DCHAT_UPGRADE__SERVE_FOR"] = "50"
    daemon.start(first)
    height = await plan_in(daemon, 12)
    message = f'UPGRADE "spring" NEEDED at height: {height}: see docs'
    await until(lambda: daemon.log.exists() and message in daemon.log.read_text().splitlines())
    info = daemon.home / "data" / INFO_FILE
    assert json.loads(info.read_text()) == {
        "name": "spring", "time": "0001-01-01T00:00:00Z", "height": height, "info": "see docs"
    }  # fmt: skip
    assert info.stat().st_mode & 0o777 == 0o600
    assert await height_of(daemon) == height - 1  # the doors still answer
    status = status_of(first, daemon)
    assert (status["halted"], status["plan"]["name"]) == (message, "spring")
    async with daemon.client as client:
        refused = await client.broadcast(b"a transaction")
    assert (refused.codespace, refused.code) == (CODESPACE, Refusal.STOPPED)  # read-only
    assert daemon.process is not None
    daemon.process.terminate()
    assert await daemon.wait_exit() == EXIT_UPGRADE
    assert run(second, "pre-upgrade", "--home", daemon.home) == ""
    run(first, "pre-upgrade", "--home", daemon.home, code=30)

    daemon.start(second)
    told = await daemon.reach(height + 2)
    assert daemon.said(f'applying upgrade "spring" at height: {height}')
    assert [(done.name, done.height) for done in told.done] == [("spring", height)]
    assert told.app_version == 2
    daemon.kill()

    daemon.start(first)  # the build before, after the upgrade
    assert await daemon.wait_exit() == EXIT_UPGRADE
    assert daemon.said("wrong app version 2, upgrade handler is missing for spring upgrade plan")
    daemon.start(first, *TO_THE_SECOND, second)  # a unit file that nobody changed still gets there
    await daemon.reach(height + 4)


async def test_automatic_swap_with_backup_keeps_pid_and_arguments(daemon: Daemon, builds: tuple[Path, Path]) -> None:
    first, second = builds
    backup = daemon.home.parent / "backups"
    daemon.start(
        first,
        *TO_THE_SECOND,
        second,
        "--upgrade-height",
        5_000,  # the chain's plan counts before it
        "--upgrade-backup",
        backup,
        "--log-level",
        "info",
    )
    process = daemon.process
    assert process is not None
    await until_told(daemon, lambda told: list(told.validators[0].names) == ["spring"])
    height = await height_of(daemon) + 60
    alice = daemon.network.folder / daemon.network.accounts["alice"]
    to_node = ("--home", daemon.home, "--from", alice)
    run(first, "upgrade", "plan", *to_node, "--name", "spring", "--height", height, "--binary", second)
    told = await daemon.reach(height + 3)
    assert told.done[0].height == height
    assert process.poll() is None  # the same process
    assert (daemon.home / "data" / "validator.pid").read_text().strip() == str(process.pid)
    copy = backup / f"data-backup-spring-{height}"
    again = run(second, "upgrade", "rehearse", "spring", "--home", daemon.home, code=1)
    assert f"there is nothing to do: the chain has the upgrade 'spring' at height {height}" in again
    assert (copy / "app" / "CURRENT").exists()
    assert not (copy / "priv_validator_state.json").exists()  # known failure 9


async def test_a_validator_announces_by_itself_and_takes_back_what_is_not_true(
    daemon: Daemon, builds: tuple[Path, Path]
) -> None:
    """Issue 4, section 4: readiness is announced on chain, signed, and seen by everybody who asks."""
    first, second = builds
    ports = daemon.network.node(1).ports
    daemon.start(first, *TO_THE_SECOND, second)
    told = await until_told(daemon, lambda told: list(told.validators[0].names) == ["spring"])
    announced = told.validators[0]
    assert "announce readiness for the upgrade spring" in (daemon.home / "audit.log").read_text()
    assert announced.software == run(second, "--version").split()[1]
    assert "dchat_upgrade_ready_power_ratio" not in await page(f"http://127.0.0.1:{ports.metrics}/metrics")

    daemon.kill()  # a restart finds it on chain, and sends nothing
    daemon.start(first, *TO_THE_SECOND, second)
    await until(lambda: daemon.log.read_text().count("this validator's readiness is on chain") == 2, timeout_s=60)
    told = await daemon.reach(await height_of(daemon) + 4)
    assert told.validators[0] == announced
    assert daemon.log.read_text().count("handed in the transaction of the announcement") == 1

    await plan_in(daemon, 5_000, binary_sha256=(b"\xab" * 32,))
    await until_told(daemon, lambda told: not told.validators[0].names)
    assert daemon.said("the upgrade binary is not ready")
    status = status_of(first, daemon)
    assert (status["plan"]["name"], status["ready_power"], status["total_power"]) == ("spring", 0, 1_000)
    assert "dchat_upgrade_ready_power_ratio 0.0" in await page(f"http://127.0.0.1:{ports.metrics}/metrics")

    await plan_in(daemon, 5_000, binary_sha256=(bytes.fromhex(file_sha256(second)),))
    told = await until_told(daemon, lambda told: told.ready_power == told.total_power)
    assert told.validators[0].announced_height > announced.announced_height
    assert status_of(first, daemon)["ready_power"] == 1_000
    assert "dchat_upgrade_ready_power_ratio 1.0" in await page(f"http://127.0.0.1:{ports.metrics}/metrics")
    upgrade = json.loads(await page(f"http://127.0.0.1:{ports.http}/status"))["upgrade"]
    assert (upgrade["ready_power"], upgrade["total_power"]) == (1_000, 1_000)
    assert upgrade["plan"]["binary_sha256"] == [file_sha256(second)]
    assert daemon.log.read_text().count("handed in the transaction of the announcement") == 3


async def test_with_announce_off_only_the_operators_word_is_on_chain(daemon: Daemon, builds: tuple[Path, Path]) -> None:
    first, second = builds
    daemon.environment["DCHAT_UPGRADE__ANNOUNCE"] = "false"
    daemon.start(first, *TO_THE_SECOND, second)
    await plan_in(daemon, 5_000)
    await until(lambda: daemon.said("the upgrade binary is ready"))
    told = await daemon.reach(await height_of(daemon) + 5)
    assert (told.ready_power, list(told.validators[0].names)) == (0, [])
    alice = daemon.network.folder / daemon.network.accounts["alice"]
    to_node = ("--home", daemon.home, "--from", alice)
    run(first, "upgrade", "ready", *to_node, "--name", "spring", "--software", "0.2.0")
    status = status_of(first, daemon)
    assert status["ready_power"] == status["total_power"] == 1_000
    assert (status["validators"][0]["names"], status["validators"][0]["software"]) == (["spring"], "0.2.0")
    run(first, "upgrade", "ready", *to_node, "--withdraw")
    assert status_of(first, daemon)["ready_power"] == 0


async def test_a_binary_with_another_checksum_is_not_run(daemon: Daemon, builds: tuple[Path, Path]) -> None:
    first, second = builds
    daemon.environment["DCHAT_UPGRADE__SERVE_FOR"] = "0"
    daemon.start(first, *TO_THE_SECOND, second)
    await plan_in(daemon, 10, binary_sha256=(b"\xab" * 32,))
    assert await daemon.wait_exit() == EXIT_UPGRADE
    assert daemon.said("the upgrade binary is refused")
    assert not daemon.said("becoming the upgrade binary")


async def test_a_binary_that_lacks_the_upgrade_ends_instead_of_swapping_for_ever(
    daemon: Daemon, builds: tuple[Path, Path]
) -> None:
    first, second = builds
    binary = daemon.home.parent / "build"
    shutil.copy(second, binary)
    daemon.environment["DCHAT_UPGRADE__SERVE_FOR"] = "0"
    daemon.start(first, *TO_THE_SECOND, binary)
    await plan_in(daemon, 30)
    shutil.copy(first, binary)  # later than the start, which would refuse it
    assert await daemon.wait_exit(timeout_s=60) == EXIT_UPGRADE
    assert daemon.said("the upgrade binary does not know the upgrade")
    assert daemon.log.read_text().count("becoming the upgrade binary") == 1


async def test_a_binary_that_lacks_the_upgrade_is_refused_before_the_home_is_asked_for(
    daemon: Daemon, builds: tuple[Path, Path]
) -> None:
    first, _ = builds
    flags = ("validator", "--home", daemon.home, *TO_THE_SECOND, first)
    sentence = "does not know the upgrade 'spring'; it knows: "
    assert sentence in run(first, *flags, code=EXIT_UPGRADE)
    daemon.start(first)
    await daemon.reach(1)
    height = await height_of(daemon)
    assert sentence in run(first, *flags, "--validate", code=2)
    assert sentence in run(first, *flags, "--takeover", code=EXIT_UPGRADE)
    await daemon.reach(height + 3)
    assert daemon.process is not None
    assert daemon.process.poll() is None
    assert not daemon.said("handed over")
    assert "operator key used" not in (daemon.home / "audit.log").read_text()


async def test_halt_height_skip_rollback_and_rehearsal(daemon: Daemon, builds: tuple[Path, Path]) -> None:
    """Known failures 16 and 17."""
    first, second = builds
    daemon.start(first)
    height = await plan_in(daemon, 12)
    await daemon.reach(height - 4)
    # the rehearsal runs beside the node, by the new build, and changes nothing of it
    (daemon.home / "data" / "rehearsal-999999999-killed").mkdir()  # no process has that number
    report = _rehearse(second, daemon)
    assert (report["ok"], report["broken"], report["name"]) == (True, [], "spring")
    assert report["versions_after"]["chat"] == 4
    assert report["versions_before"]["chat"] == 3
    assert report["replayed"] == 5
    assert not list((daemon.home / "data").glob("rehearsal-*"))
    await until(lambda: daemon.said("NEEDED at height"))
    daemon.kill()
    daemon.start(first, "--skip-upgrade-height", height)
    await daemon.reach(height + 2)
    assert daemon.said(f'UPGRADE "spring" SKIPPED at {height}: see docs')
    run(first, "rollback", "--home", daemon.home, code=1)  # it runs
    halt = await height_of(daemon) + 5
    daemon.kill()
    daemon.start(first, "--halt-height", halt)
    assert await daemon.wait_exit() == 0
    assert daemon.said(f"halt per configuration height {halt} time 0")
    said = run(first, "rollback", "--home", daemon.home)
    assert f"rolled back to height {halt - 2} " in said
    daemon.start(first)
    await daemon.reach(halt + 1)
    assert daemon.said("applying a stored block again")


def _rehearse(second: Path, daemon: Daemon) -> dict[str, object]:
    command = [str(second), "upgrade", "rehearse", "spring", "--home", str(daemon.home), "--blocks", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)  # nothing else on standard output
    assert "applying upgrade" in done.stderr
    return report
