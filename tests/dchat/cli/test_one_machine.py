"""What docs/operators says to type at a validator that runs: back up, restore, change keys, upgrade.

Two validators, homes of two users on one machine. `scripts/campaign operator` types the same on five machines.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.app_state import governance_params
from chain.app_state.governance_params import GovernanceParams
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from tests.campaigns.logs import double_signatures
from tests.support.docs.machines import ROOT, Machine, World
from tests.support.docs.pages import CHANGED
from tests.support.upgrade.builds import SPRING, make_build
from tests.support.upgrade.process import QUICK

pytestmark = pytest.mark.network

VOTING_S = 20  # in which two votes are typed, on a machine that may be busy
SHORTENED = ("deposit_period_s", "voting_period_s", "expedited_voting_period_s")
QUICKER = {"+ 57600": "+ 150"}  # blocks after the proposal: some more than that time has
STARTED = "nohup dchat validator --json-logs >> dchat.log 2>&1 &"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[World]:
    """alpha and epsilon, whose chain has its first block; alpha has money."""
    short = governance_params.to_text(GovernanceParams().shortened(VOTING_S))
    changes = {"governance": {name: short[name] for name in SHORTENED}}
    network = make_network(tmp_path / "made", validators=2, pace=QUICK, ports=free_ports(2), params=changes)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dchat").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dchat "$@"\n')
    (tools / "dchat").chmod(0o755)
    build, machines = make_build(tmp_path / "build", plan=SPRING), {}
    for name, node in zip(("alpha", "epsilon"), network.nodes, strict=True):
        folder = tmp_path / name
        folder.mkdir()
        environment = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(folder), "PYTHONPATH": str(ROOT)}
        machines[name] = Machine(name, folder, "127.0.0.1", (), environment)
        network.home_of(node).rename(machines[name].home)
        shutil.copy(build, folder / "dchat-spring")
    alpha, epsilon = machines.values()
    (network.folder / network.accounts["alice"]).rename(alpha.folder / "treasury.json")
    world = World(machines, ("alpha",), QUICKER)
    try:
        for machine in machines.values():
            assert machine.type(STARTED)[0] == 0
        code, printed = epsilon.type("until dchat query validators; do sleep 0.2; done")
        assert code == 0, printed
        yield world
    finally:
        world.stop()


def test_backup_restore_keys_and_upgrade_are_as_the_pages_say(pair: World) -> None:
    epsilon = pair.machines["epsilon"]
    before = epsilon.type("dchat show-node-id")[1].strip()
    for page in CHANGED:
        pair.carry_out(page)
    assert pair.names.known["epsilon-new-id"] != before
    assert len(list((epsilon.home / "config" / "retired").iterdir())) == 1
    for machine in pair.machines.values():
        assert "becoming the upgrade binary" in machine.log
    slots, twice = double_signatures([machine.home for machine in pair.machines.values()])
    assert slots
    assert not twice
