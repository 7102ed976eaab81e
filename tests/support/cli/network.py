"""The pace and the amounts of the tests that run whole networks, and one of four processes."""

from __future__ import annotations

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
