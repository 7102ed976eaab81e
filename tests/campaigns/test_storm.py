"""A slice of the storm for CI: four processes, a fixed seed; the whole is `scripts/campaign storm`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chain.tx.errors import Overspend
from dchat.client.wallet import Outcome, TxRefused
from dchat.devnet.leases import free_ports
from tests.campaigns.storm import PURSE_UDCHAT, Purses, network_of, purse_of, storm_on
from tests.support.chain.harness import wallet
from tests.support.economy.life import NAMES
from tests.support.economy.world import DCHAT

TXS = 150
SEED = 11


@pytest.mark.network
async def test_a_storm_leaves_one_chain_and_true_books(tmp_path: Path) -> None:
    with network_of(tmp_path / "network", free_ports(4)) as net:
        storm = await storm_on(net, seed=SEED, txs=TXS)
    assert storm.committed >= TXS
    assert len(storm.succeeded) > 8


class Poor:
    """A session of somebody whose money is gone."""

    wallet = wallet("carol")

    async def send(self, *_: Any, **__: Any) -> None:
        raise TxRefused(Outcome(bytes(32), bytes(32), Overspend.code, Overspend.codespace, "nothing is left"))


async def test_a_purse_that_cannot_be_filled_is_counted_and_the_storm_goes_on() -> None:
    life = SimpleNamespace(
        height=30, seen=Counter(), balance=lambda name: 0, udchat_of=lambda address: 3, address=lambda name: bytes(20)
    )
    await Purses(cast(Any, Poor())).fill(cast(Any, life))
    assert life.seen["purses that stayed empty"] == life.seen["purses"] == len(NAMES)


@pytest.mark.parametrize("left", [0, 1, 19_999 * DCHAT, 1_000_000 * DCHAT, 10**15])
def test_however_often_all_of_them_are_poor_something_is_left(left: int) -> None:
    for _ in range(50):
        purse = purse_of(left)
        assert 0 < purse <= PURSE_UDCHAT
        assert len(NAMES) * purse <= max(left // 2, len(NAMES))
        left = max(0, left - len(NAMES) * purse)
