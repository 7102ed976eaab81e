"""No record of governance grows with what others choose: with every number as wide as it gets, each finds room."""

from __future__ import annotations

from typing import Any

import pytest

from chain.app_state.governance_params import RANGES, GovernanceParams
from chain.chat.ballots import DECODERS as CHAT
from chain.chat.ballots import FAILED, PROPOSAL, VOTE, CastVote, Proposal, Result
from chain.currency.ledger.economic_params import VALIDATORS_MAX
from chain.currency.ledger.stake_records import POWER_UNIT, ActiveSet
from chain.kernel.branch import RECORD_BYTES_MAX
from chain.kernel.items import Failed
from chain.tx.messages.governance import ACTIONS_MAX, CONTENT_BYTES_MAX, ID_MAX, TITLE_BYTES_MAX, WHOLE
from governance.actions import GOVERNANCE_PARAMS
from governance.module import COUNTS_MAX, DECODERS
from governance.pinned_stake import KEPT, Kept
from governance.records import DEPOSITS, FAILED_ITEMS, TALLIES, TALLY, Deposit, Tallies
from governance.tally import Tally

TOP = (1 << 64) - 1  # udchat, heights
DEC = TOP * 10**18
TIME = (1 << 63) - 1
WHO = b"\xff" * 20
TEXT = "s" * (CONTENT_BYTES_MAX - TITLE_BYTES_MAX)  # as if all that the message may hold were text

GREATEST: dict[bytes, Any] = {  # by the record's tag and letter
    PROPOSAL: Proposal(
        ID_MAX, WHO, "t" * TITLE_BYTES_MAX, TEXT, (), FAILED, True, TIME, TIME, TIME, TIME, TIME, 255,
        Result(*[TOP for _ in Result._fields]), (1 << 32) - 1, ACTIONS_MAX, TIME, TIME,
    ),
    VOTE: CastVote(tuple([(option, WHOLE) for option in (1, 2, 3, 4)]), TIME),
    GOVERNANCE_PARAMS: GovernanceParams(*[RANGES[name][1] for name in GovernanceParams._fields]),
    DEPOSITS: Deposit(TOP),
    TALLIES: Tallies(COUNTS_MAX, TIME, TIME),
    TALLY: Tally(ID_MAX, TIME, 255, True, WHO, WHO, VALIDATORS_MAX, DEC, DEC, DEC, DEC, DEC, TOP, TIME),
    FAILED_ITEMS.prefix: Failed(TIME, (1 << 32) - 1, bytes(9)),
    KEPT: Kept(((TIME, ActiveSet(((WHO, TOP // POWER_UNIT),) * VALIDATORS_MAX).encode()),)),
}  # fmt: skip


def test_every_kind_of_record_is_listed() -> None:
    assert set(GREATEST) == {*CHAT, *DECODERS}


@pytest.mark.parametrize("prefix", [pytest.param(prefix, id=prefix.decode()) for prefix in sorted(GREATEST)])
def test_the_greatest_of_each_kind_fits(prefix: bytes) -> None:
    """audit 23: a block whose record does not fit cannot be executed, by anybody, ever."""
    assert 0 < len(GREATEST[prefix].encode()) <= RECORD_BYTES_MAX
