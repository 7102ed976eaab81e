"""Every worked example of the staking sheet, sections 1 to 4, in its own numbers."""

from __future__ import annotations

import pytest

from chain.currency.ledger import dec
from chain.currency.ledger.bank import BONDED_POOL, NOT_BONDED_POOL
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import MintParams, SlashingParams
from chain.currency.ledger.stake_records import (
    HISTORICAL,
    POWER_UNIT,
    REDELEGATIONS,
    UNBONDED,
    UNBONDING,
    Redelegation,
    RedelegationEntry,
    UnbondingEntry,
    Validator,
)
from chain.currency.rewards import mint
from chain.currency.rewards.distribution import withdraw_address
from chain.currency.staking import stake
from chain.tx.addresses import module_address
from tests.support.economy.sandbox import Sandbox, address

P = POWER_UNIT
HALF = ONE // 2


def worth(tokens: int, shares: int) -> Validator:
    return Validator(bytes(20), bytes(32), "", False, UNBONDED, tokens, shares * ONE, 0, 0, 0, 0, 0, 0, 1)


# ------------------------------------------------------------------------------ 1: shares


@pytest.mark.parametrize(
    ("tokens", "shares", "asked", "got"), [(100, 100, 50, 50), (50, 100, 50, 25), (50, 100, 10, 5)]
)
def test_tokens_of_shares(tokens: int, shares: int, asked: int, got: int) -> None:
    assert worth(tokens, shares).tokens_of(asked * ONE) == got * ONE


def test_removed_shares_take_whole_tokens() -> None:
    assert worth(5102, 115).tokens_of(29 * ONE) // ONE == 1286


def test_new_shares_are_cut() -> None:
    assert worth(95, 100).shares_of(10) == dec.parse("10.526315789473684210")


# ------------------------------------------------------------------------------ 2: slashing


def ten() -> Sandbox:
    """A validator with 10 power units, of others none that matter; the height is 12."""
    box = Sandbox({"v": 10 * P, "w": 10 * P, "x": 1000 * P})
    box.at(12)
    return box


def with_unbonding(box: Sandbox) -> None:
    """4 units that began to unbond at height 11."""
    box.fund(NOT_BONDED_POOL, 4 * P)
    entry = UnbondingEntry(11, 10**12, 4 * P, 4 * P)
    stake.put_unbonding(box.branch, address("v"), address("d"), (entry,))
    stake.UNBONDING_QUEUE.push(box.branch, 10**12, address("v") + address("d"))


def with_redelegation(box: Sandbox) -> None:
    """6 units moved from v to w at height 11."""
    box.at(11)
    box.delegate("d", "w", 6 * P)
    shares = box.delegation("d", "w")
    assert shares is not None
    moved = RedelegationEntry(11, 10**12, 6 * P, shares.shares)
    key = address("v") + address("d") + address("w")
    stake._put_redelegation(box.branch, address("v"), address("d"), address("w"), (moved,))
    stake.REDELEGATION_QUEUE.push(box.branch, 10**12, key)
    found: Redelegation = box.branch.get(REDELEGATIONS + key)
    assert found.entries == (moved,)
    box.at(12)


def test_a_an_unbonding_pays_first() -> None:
    box = ten()
    with_unbonding(box)
    bonded, other = box.pools
    assert box.slash("v", height=10, power=10, fraction=HALF) == 3 * P
    assert box.unbonding("d", "v") == [2 * P]
    assert box.pools == (bonded - 3 * P, other - 2 * P)
    assert box.validator("v").tokens == 7 * P
    box.at(13)
    for entry, tokens in ((0, 4), (0, 1), (0, 0)):
        before = box.validator("v").tokens
        assert box.slash("v", height=9, power=10, fraction=HALF) == before - tokens * P
        assert box.unbonding("d", "v") == [entry * P]
        assert box.validator("v").tokens == tokens * P
        box.laws_but_the_set()
    box.end()
    assert box.validator("v").status == UNBONDING
    box.laws()


def test_b_a_redelegation_pays_at_its_destination() -> None:
    box = ten()
    with_redelegation(box)
    for fraction, at_w, tokens in ((HALF, 13, 8), (ONE, 10, 4), (ONE, 10, 0)):
        box.slash("v", height=10, power=10, fraction=fraction)
        assert box.validator("w").tokens == at_w * P
        assert box.validator("v").tokens == tokens * P
        box.laws_but_the_set()
    assert box.delegation("d", "w") is None
    box.end()
    assert box.validator("v").status == UNBONDING
    box.laws()


def test_c_both_cover_the_whole() -> None:
    box = ten()
    with_unbonding(box)
    with_redelegation(box)
    _, other = box.pools
    assert box.slash("v", height=10, power=10, fraction=HALF) == 0
    assert box.pools[1] == other - 2 * P
    assert box.validator("w").tokens == 13 * P
    assert box.validator("v").tokens == 10 * P
    box.end()
    box.laws()


def test_d_before_the_first_height() -> None:
    box = ten()
    assert box.slash("v", height=-2, power=10, fraction=HALF) == 5 * P
    assert box.validator("v").tokens == 5 * P


def test_e_leaving_the_destination_does_not_escape() -> None:
    """GHSA-86h5-xcpx-cfqc, SDK 2024-005: redelegate, undelegate at once at the destination."""
    box = Sandbox({"v": 10, "w": 10, "x": 10})
    box.at(10)
    box.delegate("d", "v", 10)
    box.at(11)
    assert box.redelegate("d", "v", "w", 10) == 10
    assert box.undelegate("d", "w", 10) == 10
    box.at(12)
    box.slash("v", height=10, power=0, fraction=ONE * 9 // 10)
    assert box.unbonding("d", "w") == [1]
    before = stake.bank.held(box.branch, address("d"))
    box.at(5_000)
    box.end()
    assert stake.bank.held(box.branch, address("d")) == before + 1


def test_same_height_spares_what_left() -> None:
    """Steps 2 and 3 are for earlier infractions; then the validator's own tokens pay all."""
    box = ten()
    with_unbonding(box)
    box.slash("v", height=12, power=10, fraction=HALF)
    assert box.unbonding("d", "v") == [4 * P]
    assert box.validator("v").tokens == 5 * P


def test_a_slash_ahead_of_time_is_a_fault() -> None:
    box = ten()
    with pytest.raises(AssertionError):
        box.slash("v", height=13, power=10, fraction=HALF)


@pytest.mark.parametrize(("share", "signed"), [("0.25", 2), ("0.15", 2), ("0.05", 0)])
def test_min_signed_rounds_half_to_even(share: str, signed: int) -> None:
    params = SlashingParams(missed_blocks_window=10, min_signed_per_window=dec.parse(share))
    assert params.missed_max == 10 - signed


# ------------------------------------------------------------------------------ 3: rewards


def test_equal_powers_and_commission() -> None:
    box = Sandbox({"v": 100, "w": 100}, rates={"v": HALF}, tax=ONE // 50)
    assert box.allocate(100, v=100, w=100) == 2 * ONE
    assert (box.rewards("v").outstanding, box.rewards("w").outstanding) == (49 * ONE, 49 * ONE)
    assert box.rewards("v").commission == dec.parse("24.5")
    assert box.rewards("w").commission == 0
    box.laws()


def test_truncated_shares_leave_the_rest_to_the_pool() -> None:
    box = Sandbox({"v": 11, "w": 10, "x": 10}, tax=ONE // 50)
    pool = box.allocate(634195840, v=11, w=10, x=10)
    assert box.rewards("v").outstanding == dec.parse("220536488.877419354317441612")
    for name in ("w", "x"):
        assert box.rewards(name).outstanding == dec.parse("200487717.161290322219767270")
    assert pool == dec.parse("12683916.800000001243023848")
    box.laws()


def test_no_power_all_to_the_pool() -> None:
    box = Sandbox({"v": 11})
    assert box.allocate(77, v=0) == 77 * ONE


def test_two_delegators() -> None:
    box = Sandbox({"v": 100}, rates={"v": HALF})
    box.at(1)
    box.allocate(20, v=1)
    box.at(2)
    box.delegate("d1", "v", 100)
    box.allocate(20, v=1)
    box.at(3)
    # d0's first 10 were not withdrawn by d1's coming
    assert box.earned("v", "v") == 15 * ONE
    assert box.earned("d1", "v") == 5 * ONE
    assert box.rewards("v").commission == 20 * ONE
    references = sum(record.references for _, record in box.scan(HISTORICAL + address("v")))
    assert references == 3
    box.laws()


def test_two_delegators_and_slashes_between() -> None:
    box = Sandbox({"v": 100 * P}, rates={"v": HALF})
    box.at(1)
    box.allocate(30 * P, v=1)
    box.at(3)
    box.slash("v", height=2, power=100, fraction=HALF)
    box.at(4)
    box.delegate("d1", "v", 100 * P)
    box.at(5)
    box.allocate(30 * P, v=1)
    box.at(6)
    box.slash("v", height=5, power=150, fraction=HALF)
    box.at(7)
    assert box.validator("v").tokens == 75 * P
    assert abs(box.earned("v", "v") - 20 * P * ONE) <= 3 * P
    assert abs(box.earned("d1", "v") - 10 * P * ONE) <= 3 * P
    box.end()
    box.laws()


def test_fractions_go_to_the_pool() -> None:
    box = Sandbox({"v": 1})
    box.delegate("a", "v", 1)
    box.delegate("b", "v", 1)
    box.at(1)
    before = box.allocate(10, v=1)
    assert box.withdraw("a", "v") == 3
    from chain.currency.rewards.distribution import pool_of

    assert pool_of(box.branch).amount - before == dec.parse("0.333333333333333333")
    box.laws()


# ------------------------------------------------------------------------------ 4: mint

YEAR = 6_311_520
PARAMS = MintParams(inflation_max=ONE, inflation_min=0, blocks_per_year=YEAR)


@pytest.mark.parametrize(("ratio", "change"), [
    ("0", "0.000000020597257079"), ("0.5", "0.000000005226169707"), ("1", "-0.000000010144917666"), ("0.67", "0"),
])  # fmt: skip
def test_inflation_seeks_the_goal(ratio: str, change: str) -> None:
    at = dec.parse("0.13")
    assert dec.text(mint.next_inflation(at, dec.parse(ratio), PARAMS) - at) == change


@pytest.mark.parametrize(("ratio", "at", "bound"), [("0", "0.2", "0.2"), ("1", "0.07", "0.07")])
def test_inflation_is_clamped(ratio: str, at: str, bound: str) -> None:
    params = MintParams(blocks_per_year=YEAR)
    assert mint.next_inflation(dec.parse(at), dec.parse(ratio), params) == dec.parse(bound)


@pytest.mark.parametrize(("annual", "block"), [(6_311_520, 1), (12_623_040, 2), (3_155_760, 0)])
def test_a_blocks_provision(annual: int, block: int) -> None:
    assert mint.provision(annual * ONE, YEAR) == block


def test_a_blocks_provision_from_the_start() -> None:
    supply = 10**12
    inflation = mint.next_inflation(dec.parse("0.13"), dec.parse("0.5"), PARAMS)
    assert mint.provision(inflation * supply, YEAR) == 20597


# ------------------------------------------------------------------------------ 7: accounts


def test_module_addresses() -> None:
    assert module_address("gov").hex() == "7b5fe22b5446f7c62ea27b8bd71cef94e03f3df2"
    assert BONDED_POOL != NOT_BONDED_POOL
    assert withdraw_address(Sandbox({"v": 1}).branch, address("v")) == address("v")
