"""A chain that began before consensus keys could be changed, and the upgrade that lets them be."""

from __future__ import annotations

from chain.currency.ledger.economic_params import STAKING, StakingParams, staking_of
from chain.upgrade.plan import LAST_DONE
from dchat.app.build_plan import UPGRADES
from tests.support.upgrade import chains as upgraded

NAMES = [upgrade.name for upgrade in UPGRADES]
BEFORE = NAMES.index("key-rotation")


def test_the_upgrade_lets_keys_be_changed_and_touches_no_other_param() -> None:
    chain = upgraded.new_chain(upgrades=UPGRADES[:BEFORE])
    usual = staking_of(chain.app.base)
    old = usual._replace(key_rotation_fee=0, key_rotations_max=0)
    chain.app.base.merge({STAKING: old})  # as a record of before: what is 0 is not written
    upgraded.ok(chain, upgraded.plan(chain, chain.height + 3, "key-rotation"))
    upgraded.to_height(chain, chain.height + 1)
    assert staking_of(chain.app.base) == old
    chain.restart(upgrades=UPGRADES[: BEFORE + 1])
    upgraded.ok(chain)
    assert staking_of(chain.app.base) == old._replace(
        key_rotation_fee=StakingParams().key_rotation_fee, key_rotations_max=1
    )
    assert chain.app.base.get(LAST_DONE).migrated == (("economy", 2),)
