"""The pace and the amounts of the tests that run whole networks, and one of four processes."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, Pace, make_network

DCHAT = 1_000_000


PACE = Pace(block_time=300, timeout_propose=800, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)


@contextmanager
def four_running(folder: Path) -> Iterator[Network]:
    """Four validators, each a process; whatever of them still runs is killed at the end."""
    made = make_network(folder, validators=4, pace=PACE, ports=free_ports(4))
    try:
        for node in made.nodes:
            processes.start(made, node)
        yield made
    finally:
        for node in made.nodes:
            if processes.running_pid(made, node) is not None:
                processes.kill(made, node)


def height(network: Network, index: int) -> int:
    """Of the node with this index, by its HTTP door. -1: it does not answer."""
    url = f"http://{network.host}:{network.nodes[index].ports.http}/status"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(json.load(answer)["latest_block_height"])
    except OSError:
        return -1


def until_height(network: Network, index: int, at_least: int, *, within_s: float) -> int:
    deadline = time.monotonic() + within_s
    while (now := height(network, index)) < at_least:
        assert time.monotonic() < deadline, now
        time.sleep(0.1)
    return now
