"""Four machines begin a chain, and a fifth joins as a validator, by what docs/operators says to type and no more.

`scripts/campaign operator` goes on from there: dashboards, a restore, hand-overs, an upgrade.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.docs.machines import Machine, World, world
from tests.support.docs.pages import BEGUN

pytestmark = pytest.mark.network

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon")
QUICK = {"DCHAT_CONSENSUS__BLOCK_TIME": "1s", "DCHAT_CONSENSUS__TIMEOUT_COMMIT": "0"}


@pytest.fixture
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("m")  # short: below it is HOME/run/admin.sock, whose path has 107 bytes at most
    with world(folder, NAMES, each=4, options=QUICK) as made:
        yield made


def test_a_chain_of_four_machines_and_a_fifth_that_joins(machines: World) -> None:
    machines.carry_out(BEGUN[0])
    homes = [machine.home for name, machine in machines.machines.items() if name in machines.each]
    assert len({(home / "config" / "genesis.json").read_bytes() for home in homes}) == 1
    for kind in ("identity.json", "config/node_key.json", "config/priv_validator_key.json"):
        assert len({(home / kind).read_bytes() for home in homes}) == 4, kind
    for page in BEGUN[1:]:
        machines.carry_out(page)
    epsilon = machines.machines["epsilon"]
    rows = json.loads(epsilon.type("dchat query staking validators --status bonded")[1])["validators"]
    assert {row["moniker"] for row in rows} == set(NAMES)
    assert {str(row["tokens"]) for row in rows} == {str(1_000_000 * 10**6)}
    while len(set_of(epsilon)) < 5:  # two blocks after it was bonded; ASKED_FOR_S bounds what the pages wait for
        assert epsilon.log.count("committed") < 1_000, epsilon.log[-3_000:]
    assert (
        "handed in the transaction of the stake" not in epsilon.log
    )  # it was told to by a command, and by nothing else


def set_of(machine: Machine) -> list[str]:
    """The addresses of those who vote, by this machine's node."""
    return [row["address"] for row in json.loads(machine.type("dchat query validators")[1])["validators"]]
