"""What docs/operators says to type to back a validator up, and to bring it back.

Two validators, homes of two users on one machine. `scripts/campaign operator` types the same on five machines.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from tests.campaigns.logs import double_signatures
from tests.support.docs.machines import ROOT, Machine, World
from tests.support.docs.pages import KEPT
from tests.support.upgrade.process import QUICK

pytestmark = pytest.mark.network

NO_WATCH = {"DCHAT_CONSENSUS__DOUBLE_SIGN_CHECK_HEIGHT": "0"}  # ten blocks after a restore: here none comes without it
STARTED = "nohup dchat validator --json-logs >> dchat.log 2>&1 &"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[World]:
    """alpha and epsilon, whose chain runs."""
    network = make_network(tmp_path / "made", validators=2, pace=QUICK, ports=free_ports(2))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dchat").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dchat "$@"\n')
    (tools / "dchat").chmod(0o755)
    machines = {}
    for name, node in zip(("alpha", "epsilon"), network.nodes, strict=True):
        folder = tmp_path / name
        folder.mkdir()
        path = f"{tools}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), **NO_WATCH}
        machines[name] = Machine(name, folder, "127.0.0.1", (), environment)
        network.home_of(node).rename(machines[name].home)
    world = World(machines, ("alpha",))
    try:
        for machine in machines.values():
            assert machine.type(STARTED)[0] == 0
        code, printed = machines["epsilon"].type("until dchat query validators; do sleep 0.2; done", timeout_s=300)
        assert code == 0, printed
        yield world
    finally:
        world.stop()


def test_backup_and_restore_are_as_the_pages_say(pair: World) -> None:
    for page in KEPT:
        pair.carry_out(page)
    slots, twice = double_signatures([machine.home for machine in pair.machines.values()])
    assert slots
    assert not twice
