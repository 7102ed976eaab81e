"""One chain's life: a validator joins, stake moves, one is down and comes back, one signs twice and does not."""

from __future__ import annotations

from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams, MintParams
from chain.tx.messages.economy import (
    CreateValidator,
    Delegate,
    Redelegate,
    Undelegate,
    Unjail,
    WithdrawCommission,
    WithdrawRewards,
)
from tests.support.economy.world import UNIT, World, amount, consensus_key, possession


def test_a_chain_lives() -> None:
    world = World(
        {"v1": 1000 * UNIT, "v2": 900 * UNIT, "v3": 800 * UNIT},
        {"ann": 500 * UNIT, "v4": 2000 * UNIT, "v1": UNIT, "v2": UNIT},
        gas_price=100_000, distribution=DistributionParams(), mint=MintParams(), inflation=ONE // 10,
        rates={"v1": ONE // 10},
    )  # fmt: skip
    ann, v1, v2, v4 = (world.address(name) for name in ("ann", "v1", "v2", "v4"))
    world.blocks(3)
    world.do("ann", Delegate(ann, v1, 10 * UNIT))
    world.keys["v4"] = consensus_key("v4")
    world.do(
        "v4", CreateValidator(v4, world.keys["v4"].bytes, "v4", 0, ONE, ONE, UNIT, 1000 * UNIT, possession("v4", v4))
    )
    assert world.names(world.height + 1) == {"v1", "v2", "v3"}
    assert world.names(world.height + 2) == {"v1", "v2", "v3", "v4"}
    world.blocks(3)
    world.do("ann", Redelegate(ann, v1, v2, 5 * UNIT))
    world.do("ann", Undelegate(ann, v2, 2 * UNIT))
    assert amount(world.do("ann", WithdrawRewards(ann, v1))) > 0
    world.do("v1", WithdrawCommission(v1))
    world.blocks(14, absent=["v2"])
    assert world.validator("v2").jailed
    world.block(misbehavior=[world.double_sign("v1")])
    world.blocks(5, seconds=300)
    world.do("v2", Unjail(v2))
    world.blocks(4)
    assert world.names(world.height) == {"v2", "v3", "v4"}
    assert world.validator("v1").jailed
    assert world.unbonding("ann", "v2").entries == ()
