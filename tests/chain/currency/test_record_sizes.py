"""No record of the currency store grows with what others choose: at the extremes of the params, and with every number
as wide as it gets, each is below the stores' bound of a value. What has no such bound is a leaf each.
"""

from __future__ import annotations

from typing import Any

import pytest

from chain.currency.denominations import records as denominations
from chain.currency.economy import DECODERS as ECONOMY
from chain.currency.grants import authorisations, fee_grants
from chain.currency.ledger import economic_params as params
from chain.currency.ledger import records as accounts
from chain.currency.ledger import stake_records as records
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import RANGES, VALIDATORS_MAX, WINDOW_MAX
from chain.currency.machine import DECODERS as MACHINE
from chain.currency.machine import MARKS
from chain.currency.payments import requests, standing
from chain.currency.rewards.distribution import ACCRUALS, CHUNK, SLOTS, Accruals, Slots
from chain.currency.staking.rotation import KEPT_MAX
from chain.currency.staking.signing import LIVENESS, OFFENCES_MAX, SIGNING, Liveness, SigningInfo
from chain.currency.staking.stake import SHARES_MAX
from chain.currency.vesting import vesting
from chain.kernel.branch import RECORD_BYTES_MAX
from chain.kernel.items import Failed
from chain.kernel.marks import Marks
from chain.tx.messages import KINDS
from chain.tx.messages.economy import MONIKER_BYTES_MAX
from chain.tx.messages.grants import GRANT_KINDS_MAX, RECIPIENTS_MAX
from chain.tx.messages.payments import PERIOD_S_MAX, PERIODS_MAX, REQUEST_MEMO_BYTES_MAX, SUB_BYTES_MAX, Denom
from chain.tx.policies import KEYS_MAX, Group, threshold_policy

TOP = (1 << 64) - 1  # udchat, heights
TIME = (1 << 63) - 1
DEC = TOP * ONE
FLOW = 1 << 256  # a sum since genesis, which no supply bounds: as if each of 2^64 blocks moved 2^192
WHO = b"\xff" * 20
KEY = b"\xff" * 32
POWER = TOP // records.POWER_UNIT
POLICY = threshold_policy(1, [Group(1, (bytes((number,)) * 32,)) for number in range(KEYS_MAX)])
NAME = max(KINDS, key=len)
ENTRIES = RANGES["entries_max"].high
MEMBERS = RANGES["validators_max"].high

GREATEST: dict[bytes, Any] = {  # by the record's tag and letter
    accounts.ACCOUNT: accounts.Account(WHO, TOP, POLICY, ((KEY, TOP),) * (KEYS_MAX + 1)),  # one of keys that left
    fee_grants.FEE_GRANT: fee_grants.FeeGrant(TOP, TIME, TOP, TOP, TOP, TIME, (NAME,) * GRANT_KINDS_MAX, TOP),
    denominations.DENOMINATION: denominations.Denomination(WHO, TOP, TOP, True),
    denominations.HOLDING: denominations.Holding(TOP, True),
    standing.ORDER: standing.StandingOrder(
        WHO, Denom(WHO, "s" * SUB_BYTES_MAX), TOP, TOP, TOP, TOP, TOP, TOP, 2, TOP, TOP
    ),
    requests.REQUEST: requests.PaymentRequest(
        WHO, Denom(WHO, "s" * SUB_BYTES_MAX), TOP, "m" * REQUEST_MEMO_BYTES_MAX, TIME
    ),
    authorisations.AUTHORISATION: authorisations.Authorisation(TOP, TIME, (WHO,) * RECIPIENTS_MAX, TOP),
    vesting.VESTINGS: vesting.Vesting(TOP, TOP, TIME, True, True, ((PERIOD_S_MAX, TOP),) * PERIODS_MAX),
    accounts.SUPPLY: accounts.Supply(TOP, TOP),
    accounts.PARAMS: accounts.CurrencyParams(TOP, TOP),
    **{key: kind(*[RANGES[name].high for name in kind._fields]) for key, kind in params.MODULES.values()},
    **dict.fromkeys(
        (records.VALIDATOR, records.TOLD),
        records.Validator(
            WHO, KEY, "m" * MONIKER_BYTES_MAX, True, records.BONDED, TOP, SHARES_MAX, TOP, TIME, ONE, ONE, ONE, TIME,
            TOP, TOP,
        ),
    ),
    records.ROTATIONS: records.KeyRotations((records.KeyRotation(WHO, TOP, TIME),) * KEPT_MAX),
    records.DELEGATION: records.Delegation(SHARES_MAX, TOP, DEC, TOP, TOP),
    records.UNBONDINGS: records.Unbonding((records.UnbondingEntry(TOP, TIME, TOP, TOP),) * ENTRIES),
    records.REDELEGATIONS: records.Redelegation((records.RedelegationEntry(TOP, TIME, TOP, SHARES_MAX),) * ENTRIES),
    records.ACTIVE: records.ActiveSet(((WHO, POWER),) * MEMBERS),
    records.HISTORICAL: records.Historical(FLOW, TOP),
    records.REWARDS: records.Rewards(DEC, TOP, DEC, DEC, TOP),
    records.SLASHES: records.SlashEvent(TOP, ONE, TOP, TOP, records.REASON_LIGHT_CLIENT_ATTACK),
    records.SLASHES_BEGUN: records.BegunSlash(
        WHO, TIME, POWER, ONE, records.REASON_LIGHT_CLIENT_ATTACK, TOP, TIME, TOP,
        records.REDELEGATIONS_BEGUN + WHO + TOP.to_bytes(8) + WHO + WHO,
    ),
    records.SLASH_LINE: records.SlashLine(TOP, TOP),
    records.POOL: records.CommunityPool(DEC),
    records.MINTER: records.Minter(ONE, TIME, TOP, FLOW, FLOW),
    SLOTS: Slots((WHO,) * MEMBERS),
    ACCRUALS: Accruals(((DEC, DEC),) * CHUNK, records.Pulse(TOP, DEC, FLOW, FLOW, ONE, TIME, WHO)),
    SIGNING: SigningInfo(
        TOP, TOP, TOP, TOP, TOP, (1 << WINDOW_MAX) - 1, TOP, TIME, True, (TOP,) * OFFENCES_MAX, TOP, TOP
    ),
    LIVENESS: Liveness((WHO,) * MEMBERS, True),  # of the commit's members
    records.FAILED.prefix: Failed(TOP, (1 << 32) - 1, records.MARK),
    standing.FAILED.prefix: Failed(TOP, (1 << 32) - 1, b""),
    next(iter(MARKS.decoders)): Marks(TOP, KEY),
}  # fmt: skip


def test_every_kind_of_record_is_listed() -> None:
    assert set(GREATEST) == {*ECONOMY, *MACHINE}
    assert MEMBERS == VALIDATORS_MAX


@pytest.mark.parametrize("prefix", [pytest.param(prefix, id=prefix.decode()) for prefix in sorted(GREATEST)])
def test_the_greatest_of_each_kind_fits(prefix: bytes) -> None:
    """audit 23: a block whose record does not fit cannot be executed, by anybody, ever."""
    assert 0 < len(GREATEST[prefix].encode()) <= RECORD_BYTES_MAX
