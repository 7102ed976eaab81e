"""What the doors tell of stake: the same figures as the state, of the height that is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chain.currency.ledger import dec
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams, MintParams
from chain.kernel.branch import Base
from chain.tx.messages.economy import Delegate, Redelegate, SetWithdrawAddress, Undelegate
from dchat.app.economy_queries import EconomyQueries
from proto.dchat.v1 import staking_service_pb2 as pb
from proto.dchat.v1 import state_pb2
from tests.support.economy.world import UNIT, World


@pytest.fixture(scope="module")
def world() -> World:
    world = World(
        {"v1": 1000 * UNIT, "v2": 500 * UNIT, "v3": 400 * UNIT}, {"ann": 100 * UNIT, "bob": 100 * UNIT},
        mint=MintParams(), inflation=ONE // 10, rates={"v1": ONE // 10}, distribution=DistributionParams(),
    )  # fmt: skip
    ann, bob, v1, v2 = (world.address(name) for name in ("ann", "bob", "v1", "v2"))
    world.do("ann", Delegate(ann, v1, 10 * UNIT))
    world.do("bob", Delegate(bob, v1, 20 * UNIT))
    world.do("ann", Redelegate(ann, v1, v2, 3 * UNIT))
    world.do("ann", Undelegate(ann, v1, 2 * UNIT))
    world.do("ann", SetWithdrawAddress(ann, bob))
    world.blocks(11, absent=["v3"])
    return world


@pytest.fixture(scope="module")
def queries(world: World) -> EconomyQueries:
    return EconomyQueries(world.app.queries)


def test_validators(world: World, queries: EconomyQueries) -> None:
    listed = queries.validators().validators
    assert [row.operator for row in listed] == sorted(world.address(name) for name in world.keys)
    paged = [queries.validators(after=after, limit=1).validators[0] for after in (b"", listed[0].operator)]
    assert paged == list(listed[:2])
    bonded = queries.validators(status=state_pb2.BOND_STATUS_BONDED).validators
    assert {row.moniker for row in bonded} == {"v1", "v2"}
    answer = queries.validator(consensus_address=world.keys["v1"].address)
    assert answer == queries.validator(operator=world.address("v1"))
    shown = answer.validator
    assert (shown.tokens, shown.power, shown.shares) == (1025 * UNIT, 1025, dec.text(1025 * UNIT * ONE))
    assert (shown.commission_rate, shown.jailed) == ("0.1", False)
    assert dec.parse(shown.commission) > 0
    assert not queries.validator(operator=bytes(20)).HasField("validator")


def test_signing(world: World, queries: EconomyQueries) -> None:
    jailed = queries.validator(operator=world.address("v3")).validator
    signing = jailed.signing
    assert jailed.jailed
    assert signing.missed_total >= 6
    assert (signing.window, signing.missed_max, signing.missed_in_window) == (10, 5, 0)
    assert signing.jailed_until_time_ns > 0
    before = queries.validator(operator=world.address("v3"), height=world.height - 6).validator
    assert not before.jailed
    assert before.signing.missed_in_window == before.signing.missed_total > 0
    [slash] = queries.slashes(world.address("v3")).slashes
    assert (slash.reason, slash.burned) == ("missing_signature", 4 * UNIT)
    assert queries.slashes(world.address("v1")).slashes == pb.ListSlashesResponse().slashes


def test_stakes(world: World, queries: EconomyQueries) -> None:
    ann, bob, v1, v2 = (world.address(name) for name in ("ann", "bob", "v1", "v2"))
    mine = queries.delegations(delegator=ann).delegations
    assert {(row.operator, row.amount) for row in mine} == {(v1, 5 * UNIT), (v2, 3 * UNIT)}
    its = queries.delegations(operator=v1).delegations
    assert {(row.delegator, row.amount) for row in its} == {(ann, 5 * UNIT), (bob, 20 * UNIT), (v1, 1000 * UNIT)}
    first = queries.delegations(operator=v1, limit=1).delegations[0].delegator
    rest = queries.delegations(operator=v1, after=first).delegations
    assert [row.delegator for row in rest] == sorted({ann, bob, v1} - {first})
    assert [row.amount for row in queries.delegations(delegator=ann, operator=v2).delegations] == [3 * UNIT]
    for waiting in (queries.unbondings(delegator=ann), queries.unbondings(operator=v1)):
        assert [(row.delegator, row.operator) for row in waiting.unbondings] == [(ann, v1)]
        assert [entry.balance for entry in waiting.unbondings[0].entries] == [2 * UNIT]
    [moved] = queries.redelegations(ann).redelegations
    assert (moved.source, moved.destination, moved.initial_balance) == (v1, v2, 3 * UNIT)


def test_rewards_are_what_a_withdrawal_pays(world: World, queries: EconomyQueries) -> None:
    ann = world.address("ann")
    answer = queries.rewards(ann)
    assert answer.withdraw_address == world.address("bob")
    assert len(answer.rewards) == 2
    for row in answer.rewards:
        name = next(name for name in world.keys if world.address(name) == row.operator)
        assert dec.parse(row.amount) == world.earned("ann", name) > 0
    assert len(queries.rewards(ann, operator=world.address("v1")).rewards) == 1


def test_pools_and_params(world: World, queries: EconomyQueries) -> None:
    pools = queries.pools()
    assert (pools.bonded, pools.active_validators) == ((1025 + 503) * UNIT, 2)
    assert pools.not_bonded == (396 + 2) * UNIT
    assert pools.supply == (1900 + 200) * UNIT + int(pools.minted) - int(pools.burned)
    params = json.loads(world.app.queries.params_json())
    assert params["staking"]["params"]["validators_max"] == "100"
    assert params["slashing"]["params"]["slash_double_sign"] == "0.05"
    assert params["mint"]["params"]["goal_bonded"] == "0.67"


def test_a_page_reads_nothing_of_the_pages_before_it(
    world: World, queries: EconomyQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 13: each page of a validator's delegators read all before it: 3 us each, of a million that one may have."""
    ann, v1 = world.address("ann"), world.address("v1")
    real, read = Base.scan, [0]

    def scan(self: Base, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]:
        for pair in real(self, prefix, start):
            read[0] += 1
            yield pair

    monkeypatch.setattr(Base, "scan", scan)
    lists: list[tuple[Callable[..., Any], dict[str, bytes], Callable[[Any], list[bytes]]]] = [
        (queries.validators, {}, lambda page: [row.operator for row in page.validators]),
        (queries.delegations, {"operator": v1}, lambda page: [row.delegator for row in page.delegations]),
        (queries.delegations, {"delegator": ann}, lambda page: [row.operator for row in page.delegations]),
        (queries.unbondings, {"operator": v1}, lambda page: [row.delegator for row in page.unbondings]),
        (queries.unbondings, {"delegator": ann}, lambda page: [row.operator for row in page.unbondings]),
    ]
    for ask, whose, rows_of in lists:
        whole, after = rows_of(ask(**whose)), b""
        assert whole == sorted(whole)
        for row in whole:
            read[0] = 0
            assert rows_of(ask(**whose, after=after, limit=1)) == [row]
            assert read[0] == 1
            after = row
        assert rows_of(ask(**whose, after=after)) == []
        assert read[0] == 1
    assert queries.delegations(operator=v1, delegator=ann, after=ann).delegations == []
    assert len(queries.delegations(operator=v1, delegator=ann).delegations) == 1
