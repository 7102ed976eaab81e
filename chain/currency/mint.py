"""New money: inflation that seeks a bonded ratio, paid into the fee collector at the begin of each block.

A block mints its share of a year, but never more than the time since the block before stands for: blocks that follow
each other fast must not multiply inflation. Nothing is minted while nothing is bonded, and none above 64 bits.
Source: staking sheet, section 4; the bound by time is ours.
"""

from __future__ import annotations

from typing import Final

from chain.branch import State
from chain.codec import UINT64_MAX
from chain.currency import dec
from chain.currency.bank import BONDED_POOL, held
from chain.currency.dec import ONE
from chain.currency.params import DISTRIBUTION as DISTRIBUTION_PARAMS
from chain.currency.params import MINT, DistributionParams, MintParams
from chain.currency.records import SUPPLY, Supply
from chain.currency.staking.records import MINTER, Minter, Now

YEAR_NS: Final = 31_557_600 * 10**9  # 365.25 days


def next_inflation(inflation: int, ratio: int, params: MintParams) -> int:
    """A Dec. ratio: the bonded share of the supply."""
    a_year = dec.mul(ONE - dec.quo(ratio, params.goal_bonded), params.inflation_change)
    following = inflation + dec.quo(a_year, params.blocks_per_year * ONE)
    return max(params.inflation_min, min(params.inflation_max, following))


def provision(annual: int, blocks_per_year: int) -> int:
    """udchat of one block. annual: a Dec of udchat."""
    return annual // blocks_per_year // ONE


def begin_block(state: State, now: Now, *, shares_fees: bool) -> None:
    """Burn a share of the fees of the last block, then mint. shares_fees: whether this block distributes them."""
    supply: Supply = state.get(SUPPLY)
    minter: Minter = state.get(MINTER)
    burned = _burned(state, supply) if shares_fees else 0
    minted = 0
    bonded = held(state, BONDED_POOL)
    inflation = minter.inflation
    total, fees = supply.total - burned, supply.collected_fees - burned
    if bonded:
        params: MintParams = state.get(MINT)
        inflation = next_inflation(inflation, bonded * ONE // total, params)
        annual = inflation * total
        elapsed_ns = max(0, now.time_ns - minter.last_time_ns)
        minted = min(provision(annual, params.blocks_per_year), annual * elapsed_ns // YEAR_NS // ONE)
        minted = min(minted, UINT64_MAX - total)
    if minted or burned:
        state.set(SUPPLY, Supply(total + minted, fees + minted))
    if bonded or burned:
        state.set(
            MINTER,
            minter._replace(
                inflation=inflation, last_time_ns=now.time_ns,
                minted=minter.minted + minted, burned=minter.burned + burned,
            ),
        )  # fmt: skip


def _burned(state: State, supply: Supply) -> int:
    """Of the fees: what is minted comes later into the same account."""
    if not supply.collected_fees:
        return 0
    params: DistributionParams = state.get(DISTRIBUTION_PARAMS)
    return supply.collected_fees * params.fee_burn // ONE
