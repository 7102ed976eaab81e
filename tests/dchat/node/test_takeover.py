"""Hand-over on four real processes, a slice for CI: one that is taken, one that is asked for and then left, and none to
take from; the whole is `scripts/campaign takeover`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, make_network
from tests.campaigns.logs import double_signatures
from tests.campaigns.takeover import hand_over
from tests.support.cli.network import PACE, four_running, height, until_height

pytestmark = pytest.mark.network
WITHIN_S = 120.0


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with four_running(tmp_path) as made:
        yield made


def ask(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(WITHIN_S)
    connection.connect(str(path))
    return connection


def test_a_home_goes_from_process_to_process(network: Network, tmp_path: Path) -> None:
    home = network.home_of(network.nodes[0])
    path = home / "run" / "takeover.sock"
    until_height(network, 0, 3, within_s=WITHIN_S)
    assert path.stat().st_mode & 0o777 == 0o600
    first = processes.running_pid(network, network.nodes[0])

    hand_over(home, tmp_path / "second.log")
    second = processes.running_pid(network, network.nodes[0])
    assert second not in (first, None)
    at = until_height(network, 0, height(network, 1) + 3, within_s=WITHIN_S)

    with ask(path) as stranger:  # what is no question changes nothing
        stranger.sendall(b"x" * 10_000)
        assert stranger.recv(100).startswith(b"no ")
    with ask(path) as leaver:  # asks, is given the home, and is gone
        leaver.sendall(b"takeover 2\n")
        told = b""
        while b"yours " not in told:
            piece = leaver.recv(100)
            assert piece, told
            told += piece
    until_height(network, 0, at + 3, within_s=WITHIN_S)
    assert processes.running_pid(network, network.nodes[0]) == second  # the same process, begun again
    slots, twice = double_signatures([network.home_of(node) for node in network.nodes])
    assert slots > 20
    assert twice == []


def test_where_nobody_runs_nothing_is_taken(tmp_path: Path) -> None:
    made = make_network(tmp_path, validators=1, pace=PACE, ports=free_ports(1))
    home = made.home_of(made.nodes[0])
    words = [sys.executable, "-m", "dchat", "validator", "--takeover", "--home", str(home)]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=WITHIN_S, env=os.environ, check=False)
    assert ended.returncode == 1
    assert "no process hands over" in ended.stderr + ended.stdout
    assert "start without --takeover" in ended.stderr + ended.stdout
