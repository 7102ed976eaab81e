"""What docs/operators says to type at a validator that runs: back up, restore, change keys, upgrade.

Two validators, homes of two users on one machine. `scripts/campaign operator` types the same on five machines.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chain.app_state import governance_params
from chain.app_state.governance_params import GovernanceParams
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, Pace, make_network
from tests.campaigns.logs import double_signatures
from tests.support.docs.machines import ROOT, Machine, World
from tests.support.docs.pages import KEPT
from tests.support.docs.votes import change_of_key, until_it_votes
from tests.support.upgrade.builds import SPRING, make_build

pytestmark = pytest.mark.network

BLOCK_MS = 400
PACE = Pace(block_time=BLOCK_MS, timeout_propose=1_000, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)
NO_WATCH = {"DCHAT_CONSENSUS__DOUBLE_SIGN_CHECK_HEIGHT": "0"}  # ten blocks after a restore: here none comes without it
TYPED_S_MAX = 5.0  # of a command that does nothing: more is a moment's
SHORTENED = ("deposit_period_s", "voting_period_s", "expedited_voting_period_s")
ASKED_FOR_S = 600.0  # a busy machine is later at the upgrade's height
STARTED = "nohup dchat validator --json-logs >> dchat.log 2>&1 &"


def machine_at(folder: Path, tools: Path) -> Machine:
    folder.mkdir()
    path = f"{tools}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), **NO_WATCH}
    return Machine(folder.name, folder, "127.0.0.1", (), environment)


def time_to_vote(machine: Machine) -> tuple[int, int]:
    """Seconds in which both vote, one after the other, and blocks until after that, from before the proposal was typed;
    by what a command takes on this machine now."""
    took = []
    for _ in range(3):  # the quickest: the first one may compile, and a busy moment passes
        began = time.monotonic()
        assert machine.type("dchat identity --help", timeout_s=300)[0] == 0
        took.append(time.monotonic() - began)
    typed_s = min(*took, TYPED_S_MAX)
    voting_s = 20 + int(16 * typed_s)  # what else runs may begin only now
    return voting_s, (voting_s + 5 + int(8 * typed_s)) * 1_000 // BLOCK_MS


def network_of(folder: Path, voting_s: int) -> Network:
    short = governance_params.to_text(GovernanceParams().shortened(voting_s))
    changes = {"governance": {name: short[name] for name in SHORTENED}}
    return make_network(folder, validators=2, pace=PACE, ports=free_ports(2), params=changes)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """alpha and epsilon, whose chain runs; alpha has money, and both the new build."""
    root = tmp_path_factory.mktemp("m")  # short: below it is HOME/run/admin.sock, whose path has 107 bytes at most
    tools = root / "tools"
    tools.mkdir()
    (tools / "dchat").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dchat "$@"\n')
    (tools / "dchat").chmod(0o755)
    machines = {name: machine_at(root / name, tools) for name in ("alpha", "epsilon")}
    voting_s, blocks = time_to_vote(machines["alpha"])
    network, build = network_of(root / "made", voting_s), make_build(root / "build", plan=SPRING)
    for machine, node in zip(machines.values(), network.nodes, strict=True):
        network.home_of(node).rename(machine.home)
        shutil.copy(build, machine.folder / "dchat-spring")
    (network.folder / network.accounts["alice"]).rename(machines["alpha"].folder / "treasury.json")
    world = World(machines, ("alpha",), {"+ 57600": f"+ {blocks}"}, ASKED_FOR_S)
    try:
        for machine in machines.values():
            assert machine.type(STARTED)[0] == 0
        code, printed = machines["epsilon"].type("until dchat query validators; do sleep 0.2; done", timeout_s=300)
        assert code == 0, printed
        yield world
    finally:
        world.stop()


def none_signed_twice(pair: World) -> None:
    slots, twice = double_signatures([machine.home for machine in pair.machines.values()])
    assert slots
    assert not twice


def told(machine: Machine, command: str, *, code: int = 0) -> Any:
    ended, printed = machine.type(command)
    assert ended == code, printed
    return json.loads(printed)


def test_backup_and_restore_are_as_the_pages_say(pair: World) -> None:
    for page in KEPT:
        pair.carry_out(page)
    none_signed_twice(pair)


def test_changes_of_keys_are_as_the_page_says(pair: World) -> None:
    """No vote is missed by the first key's last one and the next key's first; of node keys the old one is nobody's."""
    alpha, epsilon = pair.machines.values()
    place = tomllib.loads((epsilon.home / "validator-config.toml").read_text())["network"]["listen_address"]
    again = until_it_votes(epsilon, alpha, timeout_s=ASKED_FOR_S)
    pair.carry_out("keys.md")
    last, first = change_of_key(epsilon, alpha)
    assert again <= last
    assert first == last + 1, "neither decides a block without the other"
    old, new = (pair.names.known[name] for name in ("epsilon-id", "epsilon-new-id"))
    assert old != new
    assert [peer["id"] for peer in told(alpha, "dchat network peer-list")["peers"]] == [new]
    refused = told(alpha, f"dchat network connect --address {old}@{place} 2>/dev/null", code=1)
    assert f"dialed {old}" in refused["reason"], refused
    assert f"{new} answered" in refused["reason"], refused
    assert old not in (alpha.home / "validator-config.toml").read_text()
    none_signed_twice(pair)


def test_an_upgrade_is_as_the_page_says(pair: World) -> None:
    """The last: from here on both run another build."""
    pair.carry_out("upgrade.md")
    for machine in pair.machines.values():
        assert "becoming the upgrade binary" in machine.log
    none_signed_twice(pair)
