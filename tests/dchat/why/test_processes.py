"""`dchat why` on a real process of four that was held for seconds: while it runs, by its door, and when it ended."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat
from dchat.devnet import processes
from dchat.devnet.network import Network
from tests.support.cli.network import four_running

pytestmark = pytest.mark.network
HELD_S = 4.0
HELD_BLOCKS = 40  # that four seconds may cost, and some


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with four_running(tmp_path) as made:
        yield made


def why(*words: str) -> tuple[int, Any]:
    ended = CliRunner().invoke(dchat, ["why", *words], prog_name="dchat")
    return ended.exit_code, json.loads(ended.stdout) if ended.stdout.startswith("{") else None


def highest(home: str) -> int:
    answer = why("1", "--home", home)[1]
    return int(answer["kept"]["highest"]) if answer and answer["kept"] else 0


def until_higher(home: str, height: int) -> int:
    deadline = time.monotonic() + 120
    while (now := highest(home)) <= height:
        assert time.monotonic() < deadline, now
        time.sleep(0.2)
    return now


def test_a_process_that_was_held_says_so(network: Network) -> None:
    node = network.nodes[0]
    home, url = str(network.home_of(node)), f"http://{network.host}:{node.ports.http}"
    before = until_higher(home, 4)
    pid = processes.running_pid(network, node)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    time.sleep(HELD_S)  # what is shown is the hold itself
    os.kill(pid, signal.SIGCONT)
    held, deadline = list[dict[str, Any]](), time.monotonic() + 120
    while "overloaded" not in {answer["cause"] for answer in held}:  # it goes on, and catches up with what it missed
        assert time.monotonic() < deadline, held
        heights = range(before - 1, min(until_higher(home, before), before + HELD_BLOCKS))
        held = [answer for answer in (why(str(height), "--home", home)[1] for height in heights) if answer["missed"]]
    first = next(answer for answer in held if answer["cause"] == "overloaded")
    assert "this process did not run for " in first["why"]
    code, told = why(str(first["height"]), "--url", url)
    assert (code, told["cause"], told["record"]) == (0, first["cause"], first["record"])
    processes.stop(network, (node,))
    code, told = why(str(first["height"]), "--home", home)
    assert (code, told["why"]) == (0, first["why"])
    code, told = why("999999", "--home", home)
    assert (code, told["record"]) == (3, None)
