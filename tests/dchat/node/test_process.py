"""What a node says when it starts, beside what tests/dchat/cli runs as a process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from structlog.testing import capture_logs

from dchat.config import Config
from dchat.config.genesis_options import GENESIS_OPTIONS
from dchat.home.home import Home
from dchat.node.process import _warn_about_genesis, advice
from tests.support.node.running import Running, running_node


def warnings(running: Running, config: Config) -> dict[str, tuple[str, str]]:
    with capture_logs() as said:
        _warn_about_genesis(config, running.node)
    return {line["option"]: (line["option_value"], line["chain_value"]) for line in said if "option" in line}


async def test_options_that_are_the_chains_are_warned_about_where_they_differ(tmp_path: Path) -> None:
    """The operator contract: on a running chain a differing value is a warning that names the chain's one."""
    async with running_node(tmp_path) as running, running.client() as client:
        await client.wait_for_height(1)
        usual = running.node.config
        assert warnings(running, usual) == {}
        other = usual.model_copy(deep=True)
        for section, key, _, _, _ in GENESIS_OPTIONS:
            model = getattr(other, section)
            object.__setattr__(model, key, getattr(model, key) / 2 if key.startswith("min_signed") else 7)
        object.__setattr__(other.consensus, "max_block_size", 1_000_000)
        assert warnings(running, other) == {
            "[consensus] max_block_size": ("1000000", "10485760"),
            "[staking] min_self_delegation": ("7", "100000"),
            "[staking] unbonding_time": ("7", "1209600"),
            "[slashing] downtime_jail_duration": ("7", "600"),
            "[slashing] double_sign_jail_duration": ("7", "86400"),
            "[slashing] missed_blocks_window": ("7", "10000"),
            "[slashing] min_signed_per_window": ("0.25", "0.5"),
        }


def test_what_the_last_line_says_of_a_block_that_was_executed_otherwise() -> None:
    home = Home.of(Path("/srv/node"))
    for field in ("app_hash", "last_results_hash", "next_validators_hash"):
        told = advice(home, f"consensus failed at height 3: HeaderMismatch: block 3: {field} is aa, expected bb")
        assert "`dchat debug autopsy --home /srv/node PEER`" in told
    assert advice(home, "consensus failed at height 3: HeaderMismatch: block 3: chain_id is a, expected b") == ""


HELD = """
import os, signal
from dchat.config.sources import load
from dchat.home.errors import HomeError
from dchat.home.home import Home
from dchat.node import process

def hold_home(home):
    os.kill(os.getpid(), signal.SIGHUP)  # as soon as the home is held, others know whom to tell
    raise HomeError("still here")

process.hold_home = hold_home
loaded = load(None, environment={})
process.run_validator(Home.of(__import__("pathlib").Path("nowhere"), loaded.config), loaded, reload=lambda: loaded)
"""


def test_a_reload_that_is_asked_for_while_it_starts_does_not_end_it() -> None:
    ended = subprocess.run([sys.executable, "-c", HELD], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "dchat: still here\n")


ABORTED = """
import os, signal
from dchat.config.sources import load
from dchat.home.home import Home
from dchat.node import process

def check_machine(home, config):
    os.kill(os.getpid(), signal.SIGABRT)

process.check_machine = check_machine
loaded = load(None, environment={})
process.run_validator(Home.of(__import__("pathlib").Path("nowhere"), loaded.config), loaded, reload=lambda: loaded)
"""


def test_a_node_that_is_aborted_says_where_it_was() -> None:
    """As by `cometbft debug kill`, which keeps that, or by a crash in native code."""
    ended = subprocess.run([sys.executable, "-c", ABORTED], check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGABRT
    assert ended.stderr.startswith("Fatal Python error: Aborted\n")
    assert re.search(r'File ".*/process.py", line \d+ in run_validator', ended.stderr), ended.stderr
