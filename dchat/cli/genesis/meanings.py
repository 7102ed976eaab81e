"""What each param of a chain means, in a line; and its value as people say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chain.tx.units import in_dchat

MEANINGS: Final[Mapping[str, str]] = {
    "currency.gas_price": "the least that a million gas costs",
    "currency.unordered_expiry_blocks_max": "how many blocks ahead an unordered transaction may expire",
    "chat.message_bytes_max": "of one message",
    "chat.unordered_expiry_blocks_max": "how many blocks ahead an unordered transaction may expire",
    "chat.refill_period_s": "after so long an identity has its free and lent messages again",
    "chat.free_messages": "that every identity has in each period",
    "chat.free_bytes": "that every identity has in each period",
    "chat.lent_messages": "in each period, for whoever has locked 1,000 DCHAT",
    "chat.lent_bytes": "in each period, for whoever has locked 1,000 DCHAT",
    "chat.unlock_delay_s": "before what was locked can be had back",
    "bridge.starter_messages": "that a registration brings, once",
    "bridge.starter_bytes": "that a registration brings, once",
    "bridge.messages_per_dchat": "that 1 DCHAT buys",
    "bridge.bytes_per_dchat": "that 1 DCHAT buys",
    "bridge.receipt_blocks": "for which a bundle's receipt can be proved",
    "bridge.unordered_expiry_blocks_max": "how many blocks ahead a bridge transaction may expire",
    "bridge.registration_price": "of an identity",
    "staking.unbonding_s": "for which stake that leaves can still be slashed, before it is free",
    "staking.validators_max": "that vote; those with the most stake",
    "staking.entries_max": "undelegations that may be on their way at once, of one delegator from one validator",
    "staking.min_commission": "the least share that a validator may keep of its delegators' rewards",
    "staking.min_stake": "which a validator that joins stakes itself; those of the genesis: 1,000 DCHAT and more",
    "staking.min_self_delegation": "the least that an operator must stake itself",
    "staking.key_rotation_fee": "that a change of a validator's consensus key costs its operator",
    "staking.key_rotations_max": "changes of a validator's consensus key in an unbonding time; 0: none",
    "slashing.missed_blocks_window": "blocks over which presence is counted",
    "slashing.min_signed_per_window": "the share of them that a validator must sign, or it is jailed",
    "slashing.downtime_jail_s": "of jail for having been away",
    "slashing.double_sign_jail_s": "of jail for having signed twice",
    "slashing.tombstone": "1: a validator that signed twice never comes back",
    "slashing.slash_double_sign": "the share of its stake that signing twice burns",
    "slashing.slash_downtime": "the share of its stake that being away burns",
    "distribution.community_tax": "the share of all rewards that goes to the treasury",
    "distribution.base_proposer_reward": "the share of a block's fees that its proposer has for itself",
    "distribution.bonus_proposer_reward": "the share that it has beside that, by how many votes it took in",
    "distribution.fee_burn": "the share of all fees that is burned",
    "mint.inflation": "new money in a year, at the beginning, as a share of all",
    "mint.inflation_change": "by how much inflation may change in a year",
    "mint.inflation_max": "of new money in a year",
    "mint.inflation_min": "of new money in a year",
    "mint.goal_bonded": "the share of all money that should be staked: inflation rises below it",
    "mint.blocks_per_year": "by which a year is counted",
    "governance.min_deposit": "with which a proposal is voted on",
    "governance.expedited_min_deposit": "the same of one in a hurry",
    "governance.deposit_period_s": "in which the deposit must come together",
    "governance.voting_period_s": "of voting",
    "governance.expedited_voting_period_s": "of voting on one in a hurry",
    "governance.quorum": "the share of the stake that must vote",
    "governance.threshold": "the share of yes, of those who do not abstain",
    "governance.expedited_threshold": "the same of one in a hurry",
    "governance.veto_threshold": "the share of vetoes that ends a proposal",
    "governance.min_deposit_ratio": "the share of the deposit that each payment to it must have",
    "governance.cancel_ratio": "the share of the deposit that withdrawing a proposal costs",
    "governance.cancel_to_treasury": "1: that goes to the treasury; 0: it is burned",
    "governance.burn_vetoed": "1: the deposit of a proposal that was vetoed is burned",
    "governance.burn_without_quorum": "1: the deposit of a proposal without a quorum is burned",
    "governance.burn_without_deposit": "1: a deposit that did not come together is burned",
    "governance.votes_kept_s": "for which votes can be asked for after a proposal ended",
}
_MONEY: Final = frozenset((
    "gas_price", "registration_price", "min_stake", "min_self_delegation", "key_rotation_fee", "min_deposit",
    "expedited_min_deposit",
))  # fmt: skip
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def shown(name: str, value: str) -> str:
    """`14 d`, `0.25 DCHAT`, or as it is. name: without its module."""
    if name in _MONEY:
        return in_dchat(int(value))
    if name.endswith("_s"):
        seconds = int(value)
        for size, unit in _UNITS:
            if seconds and seconds % size == 0:
                return f"{seconds // size} {unit}"
        return f"{seconds} s"
    return str(value)
