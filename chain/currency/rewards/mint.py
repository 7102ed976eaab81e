"""New money: inflation that seeks a bonded ratio, paid into the fee collector at the begin of each block.

A block mints its share of a year, but never more than the time since the block before stands for: blocks that follow
each other fast must not multiply inflation. Nothing is minted while nothing is bonded, and none above 64 bits.
Source: Cosmos SDK v0.50, x/mint/README.md; the bound by time is ours.
"""

from __future__ import annotations

from typing import Final

from chain.currency.ledger import dec
from chain.currency.ledger.bank import BONDED_POOL, held
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DISTRIBUTION as DISTRIBUTION_PARAMS
from chain.currency.ledger.economic_params import MINT, MintParams
from chain.currency.ledger.records import SUPPLY
from chain.currency.ledger.stake_records import Now
from chain.currency.rewards import distribution
from chain.kernel.branch import State
from chain.kernel.event_text import Event, coins
from chain.tx.codec import UINT64_MAX
from consensus.formats.units import NS_PER_S

YEAR_NS: Final = 31_557_600 * NS_PER_S  # 365.25 days


def next_inflation(inflation: int, ratio: int, params: MintParams) -> int:
    """A Dec. ratio: the bonded share of the supply."""
    a_year = dec.mul(ONE - dec.quo(ratio, params.goal_bonded), params.inflation_change)
    following = inflation + dec.quo(a_year, params.blocks_per_year * ONE)
    return max(params.inflation_min, min(params.inflation_max, following))


def provision(annual: int, blocks_per_year: int) -> int:
    """udchat of one block. annual: a Dec of udchat."""
    return annual // blocks_per_year // ONE


def begin_block(state: State, now: Now) -> int:
    """Burn a share of the fees of the last block, then mint. Returns what there is to share out, in udchat.

    The fee collector is empty then; supply's record follows when the pulse is settled.
    """
    supply = state.get(SUPPLY)
    pulse = distribution.pulse_of(state)
    fees = supply.collected_fees
    burned = _burned(state, fees)
    minted = 0
    bonded = held(state, BONDED_POOL)
    inflation = pulse.inflation
    if bonded:
        total = distribution.total_supply(state) - burned
        params = state.get(MINT)
        inflation = next_inflation(inflation, bonded * ONE // total, params)
        annual = inflation * total
        elapsed_ns = max(0, now.time_ns - pulse.last_time_ns)
        minted = min(provision(annual, params.blocks_per_year), annual * elapsed_ns // YEAR_NS // ONE)
        minted = min(minted, UINT64_MAX - total)
    if fees:
        state.set(SUPPLY, supply.with_fees(0))
    distribution.set_pulse(
        state,
        pulse._replace(
            inflation=inflation, last_time_ns=now.time_ns,
            minted=pulse.minted + minted, burned=pulse.burned + burned,
        ),
    )  # fmt: skip
    if minted:
        state.emit(Event.of("mint", inflation=dec.text(inflation), amount=coins(minted)))
    return fees - burned + minted


def _burned(state: State, fees: int) -> int:
    """Of the fees alone, not of what is minted."""
    if not fees:
        return 0
    params = state.get(DISTRIBUTION_PARAMS)
    return fees * params.fee_burn // ONE
