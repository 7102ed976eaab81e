"""What a validator said that it can run, when its consensus key is another afterwards: it stays said, and counts."""

from __future__ import annotations

import pytest

from chain.currency.ledger.economic_params import StakingParams
from chain.currency.ledger.stake_records import consensus_address
from chain.tx.messages.economy import RotateConsensusKey, prove_possession
from chain.upgrade.plan import PLAN, READINESS
from consensus.abci.interface import VoteInfo
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from tests.support.chain.harness import CHAIN_ID, Chain
from tests.support.upgrade import chains as upgraded

NEXT = Ed25519PrivKey.from_seed(sha256(b"the next key"))


def rotate(chain: Chain, who: str) -> bytes:
    me = chain.address(who)
    return chain.tx(who, RotateConsensusKey(me, NEXT.pub_key.bytes, prove_possession(NEXT, CHAIN_ID, me)))


def test_who_is_ready_is_ready_by_its_next_key() -> None:
    chain = upgraded.new_chain(staking=StakingParams(key_rotation_fee=0))
    upgraded.ok(chain, *[upgraded.ready(chain, name, "v2") for name in ("v1", "v2", "v3")])
    old = consensus_address(chain.wallets["v1"].public_key)
    said = chain.app.base.get(READINESS + old)
    assert said is not None
    upgraded.ok(chain, rotate(chain, "v1"))
    assert chain.app.base.get(READINESS + old) is None
    assert chain.app.base.get(READINESS + NEXT.pub_key.address) == said._replace(consensus_key=NEXT.pub_key.bytes)
    for asked in (old, NEXT.pub_key.address):  # the engine's set has the old one for two blocks more
        shown = chain.app.queries.upgrade(of=[asked]).validators[0]
        assert (shown.address, list(shown.names)) == (asked, ["v2"])


@pytest.mark.parametrize("by", ["the old key", "the next key"])
def test_a_plan_is_not_postponed_because_a_key_changed(by: str) -> None:
    """By a commit that names the validator by the key that it had, and by one that has the new one."""
    chain = upgraded.new_chain(staking=StakingParams(key_rotation_fee=0))
    upgraded.ok(chain, *[upgraded.ready(chain, name, "v2") for name in ("v1", "v2", "v3")])
    upgraded.ok(chain, upgraded.plan(chain, chain.height + 3, ready_share_permyriad=7_500, postpone_blocks=10))
    due = chain.app.base.get(PLAN).height
    keys = [chain.wallets[name].public_key for name in upgraded.VALIDATORS]
    chain.votes = tuple([VoteInfo(consensus_address(key), 10, 2) for key in keys])
    upgraded.ok(chain, rotate(chain, "v1"))
    if by == "the next key":
        chain.votes = (VoteInfo(NEXT.pub_key.address, 10, 2), *chain.votes[1:])
    upgraded.to_height(chain, due - 1)
    plan = chain.app.base.get(PLAN)
    assert (plan.height, plan.postponed) == (due, 0)
