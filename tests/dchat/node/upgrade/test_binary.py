"""The upgrade's binary is one open file from its hash to its execution (audit 18), and nothing at the height keeps the
process from its exit code (cosmos-sdk#11952)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.upgrade.plan import Plan
from consensus.privval.record import slots_path
from dchat.config import load
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Pace, make_network
from dchat.home.home import Home, make_keys
from dchat.home.home_lock import hold_home
from dchat.node.errors import CannotUpgrade
from dchat.node.upgrade import (
    EXIT_UPGRADE,
    INFO_FILE,
    OpenBinary,
    Swap,
    copy_data,
    file_sha256,
    write_info,
)
from dchat.signer.files import SignerFiles
from tests.support.upgrade.builds import Daemon, make_build
from tests.support.upgrade.readiness import write_binary

ROOT = Path(__file__).parents[4]
QUICK = Pace(block_time=150, timeout_propose=1_000, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)


def say(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(f"#!/bin/sh\necho {text} $1\n")
    draft.chmod(0o755)
    draft.replace(path)


def test_what_was_verified_is_executed_whatever_takes_its_name(tmp_path: Path) -> None:
    """audit 18: the file was hashed by its name and executed by its name; in between it could become another."""
    path = tmp_path / "next"
    say(path, "good")
    code = (
        "import sys, pathlib\n"
        "from dchat.node.upgrade import OpenBinary\n"
        "from chain.upgrade.plan import Plan\n"
        "path, evil, digest = *map(pathlib.Path, sys.argv[1:3]), sys.argv[3]\n"
        "binary = OpenBinary(path)\n"
        "binary.verify(Plan('spring', 9, binary_sha256=(bytes.fromhex(digest),)))\n"
        "evil.replace(path)\n"
        "binary.execute(['validator'])\n"
    )
    evil = tmp_path / "evil"
    digest = file_sha256(path)
    say(evil, "evil")
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(evil), digest],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "good validator\n", "")
    assert file_sha256(path) != digest


async def test_what_was_verified_is_asked(tmp_path: Path) -> None:
    path = write_binary(tmp_path / "next", names="spring\n")
    with OpenBinary(path) as binary:
        binary.verify(None)
        write_binary(path, names="winter\n", version="dchat 6.6.6\n")
        assert (await binary.names(), await binary.version()) == (["spring"], "0.2.0")


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_binary_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "next"
    say(path, "good")
    path.chmod(mode)
    with pytest.raises(CannotUpgrade, match=rf"mode {mode:04o}.*chmod go-w"):
        OpenBinary(path)


def test_a_folder_that_cannot_take_the_info_keeps_nobody_from_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home.of(tmp_path / "home")
    (home.data / INFO_FILE).mkdir(parents=True)
    monkeypatch.setenv("DAEMON_HOME", str(tmp_path / "daemon"))
    assert write_info(home, Plan("spring", 9), 9) == [tmp_path / "daemon" / "data" / INFO_FILE]


def test_a_backup_that_broke_off_is_not_taken_for_one(tmp_path: Path) -> None:
    """cosmos-sdk#11952: the disk was full, say; at the next start the half of a copy was kept as the backup."""
    home, folder = Home.of(tmp_path / "home"), tmp_path / "backup"
    home.data.mkdir(parents=True)
    for name in ("a", "b"):
        (home.data / name).write_text(name)
    os.mkfifo(home.data / "c")  # cannot be copied
    with pytest.raises(CannotUpgrade, match="cannot copy"):
        copy_data(home, folder)
    assert not folder.exists()
    (home.data / "c").unlink()
    copy_data(home, folder)
    assert sorted(path.name for path in tmp_path.rglob("backup*/*")) == ["a", "b"]


def test_no_record_of_signing_is_in_a_backup(tmp_path: Path) -> None:
    """Failure 9: an old one that is brought back would let a key sign twice, the next key's too."""
    home, folder = Home.of(tmp_path / "home"), tmp_path / "backup"
    make_keys(home)
    SignerFiles(home.next_validator_key, home.next_sign_state).make()
    for state in (home.sign_state, home.next_sign_state):
        slots_path(state).write_bytes(b"slots")
    (home.data / "kept").write_text("kept")
    with hold_home(home):
        copy_data(home, folder)
    assert [path.name for path in folder.rglob("*")] == ["kept"]


@pytest.mark.parametrize("place", ["data", "data/backups", "data/../data/backups"])
def test_a_backup_inside_of_what_it_copies_is_refused_at_the_start(tmp_path: Path, place: str) -> None:
    """cosmos-omnibus#104: it would copy itself into itself, at the height."""
    say(tmp_path / "build", "x")
    flags = {"upgrade.name": "v2", "upgrade.binary": str(tmp_path / "build"), "upgrade.backup": place}
    config = load(environment={}, flags=flags).config
    home = Home.of(tmp_path, config)
    with pytest.raises(CannotUpgrade, match="inside of"):
        Swap.of(home, config)


# ------------------------------------------------------------------------------------------------ real processes


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    network = make_network(tmp_path / "net", validators=1, pace=QUICK, ports=free_ports(1), upgrade_authority="alice")
    one = Daemon(network, 1, tmp_path / "log")
    yield one
    one.kill()


@pytest.mark.network
async def test_the_code_and_the_line_come_though_the_info_cannot_be_written(daemon: Daemon, tmp_path: Path) -> None:
    """cosmos-sdk#11952: before, another exit code, and no UPGRADE line. And audit 18: the line is one line of plain
    text, whatever the plan says for people; before, its escapes reached the terminal of whoever looks."""
    daemon.environment["DCHAT_UPGRADE__SERVE_FOR"] = "0"
    (daemon.home / "data" / INFO_FILE).mkdir(parents=True)  # no file can take this name
    from tests.support.upgrade.process import plan_in

    daemon.start(make_build(tmp_path / "build"))
    height = await plan_in(daemon, 8, info="see docs\x1b[2J\u202e\ndchat: all is well")
    assert await daemon.wait_exit() == EXIT_UPGRADE
    written = daemon.log.read_text()
    line = f'UPGRADE "spring" NEEDED at height: {height}: see docs\\u001b[2J\\u202e\\ndchat: all is well'
    assert line in written.split("\n"), written[-2000:]
    assert not {"\x1b", "\u202e"} & set(written)
    assert daemon.said("could not write the upgrade's info")


FAILING_STOP = """
import asyncio, sys
from pathlib import Path
import dchat.node.process as process
from dchat.config import load
from dchat.home.home import Home
from dchat.node.runtime import Node

ended, stop = sys.argv[2], Node.stop

async def failing(self):
    await stop(self)
    raise OSError(28, "no space left on device")

Node.stop = failing
begin = process._Process._begin_own_tasks

def ends(self, node, key):
    begin(self, node, key)
    self._end(*((70, "consensus failed at height 5") if ended == "failure" else (0, "SIGTERM")))

process._Process._begin_own_tasks = ends
root = Path(sys.argv[1])
loaded = load(root / "validator-config.toml", environment={})
sys.exit(process.run_validator(Home.of(root, loaded.config), loaded, reload=lambda: loaded))
"""


@pytest.mark.network
@pytest.mark.parametrize(
    ("ended", "code", "line"),
    [
        pytest.param("failure", 70, "dchat: consensus failed at height 5", id="why it ended counts"),
        pytest.param(
            "signal",
            1,
            "dchat: did not stop cleanly: the disk is full: free some, then start the node again: nothing is damaged, "
            "and nothing that it acknowledged is lost",
            id="told",
        ),
    ],
)
def test_a_stop_that_fails_changes_no_exit_code(tmp_path: Path, ended: str, code: int, line: str) -> None:
    """A sibling of cosmos-sdk#11952: an error of the stop took the place of why the node ended."""
    network = make_network(tmp_path / "net", validators=1, pace=QUICK, ports=free_ports(1))
    done = subprocess.run(
        [sys.executable, "-c", FAILING_STOP, str(network.home_of(network.nodes[0])), ended],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()[-1]) == (code, line), done.stderr[-2000:]


def test_a_process_that_came_by_a_hand_over_does_not_hand_on_the_flag(tmp_path: Path) -> None:
    """The next build would ask on the home's socket for a home that nobody has, and end."""
    path = tmp_path / "next"
    path.write_text('#!/bin/sh\necho "$@"\n')
    path.chmod(0o755)
    code = (
        "import pathlib, sys\n"
        "from dchat.home.home import Home\n"
        "from dchat.node.upgrade import OpenBinary, Swap, become\n"
        "path = pathlib.Path(sys.argv.pop(1))\n"
        "become(Swap('spring', 0, path), OpenBinary(path), Home.of(path.parent), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), "validator", "--takeover", "--json-logs"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["validator --json-logs"]), done.stderr
