"""The burnt share of fees: what its param says, of fees alone, out of the supply, and seen by who asks."""

from __future__ import annotations

import json

import pytest

from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams
from chain.tx.messages import Payment
from dchat.app.economy_queries import EconomyQueries
from tests.support.economy.world import DCHAT, UNIT, World

FEE = 1_000_003


def totals(world: World) -> tuple[int, int]:
    """(supply, burned), as the query tells."""
    told = EconomyQueries(world.app.queries).pools()
    return told.supply, int(told.burned)


@pytest.mark.parametrize(
    ("share", "burned"),
    [
        pytest.param(0, 0, id="none"),
        pytest.param(ONE // 5, FEE // 5, id="a fifth, cut to whole udchat"),
        pytest.param(1, 0, id="the least share of a little is nothing"),
        pytest.param(ONE, FEE, id="all"),
    ],
)
def test_a_share_of_the_fees_is_burned(share: int, burned: int) -> None:
    world = World(
        {"v1": 1000 * UNIT}, {"ann": 100 * DCHAT, "bob": 1}, gas_price=100_000,
        distribution=DistributionParams(0, 0, 0, share),
    )  # fmt: skip
    world.blocks(2)
    supply, before = totals(world)
    paid = world.tx("ann", Payment(world.address("ann"), world.address("bob"), 7 * DCHAT), fee=FEE)
    assert world.block(paid).tx_results[0].code == 0
    assert totals(world) == (supply, before), "the block that takes a fee burns none of it yet"
    world.block()
    assert totals(world) == (supply - burned, before + burned), "of the fee, not of what was paid"
    world.blocks(3)
    assert totals(world) == (supply - burned, before + burned), "once"


def test_the_share_is_a_param_that_anybody_can_read() -> None:
    world = World({"v1": 1000 * UNIT}, {"ann": 100 * DCHAT}, distribution=DistributionParams(0, 0, 0, ONE // 4))
    assert json.loads(world.app.queries.params_json())["distribution"]["params"]["fee_burn"] == "0.25"
    world.set_params(distribution={"fee_burn": "0.5"})
    world.block()
    assert json.loads(world.app.queries.params_json())["distribution"]["params"]["fee_burn"] == "0.5"
