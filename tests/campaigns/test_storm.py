"""A slice of the storm for CI: four processes, a fixed seed; the whole is `scripts/campaign storm`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat.devnet.network import free_ports
from tests.campaigns.storm import network_of, storm_on

TXS = 250
SEED = 11


@pytest.mark.network
async def test_a_storm_leaves_one_chain_and_true_books(tmp_path: Path) -> None:
    with network_of(tmp_path / "network", free_ports(4)) as net:
        storm = await storm_on(net, seed=SEED, txs=TXS)
    assert storm.committed >= TXS
    assert len(storm.succeeded) > 8
