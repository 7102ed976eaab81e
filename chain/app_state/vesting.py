"""What vests from the beginning, as it stands in a genesis document beside the balances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chain.app_state.economy import InvalidAppState
from chain.tx.codec import UINT64_MAX
from chain.tx.errors import InvalidField
from chain.tx.messages.payments import PERIODS_MAX, TIME_NS_MAX, check_periods
from crypto.bech32 import encode_address


class VestingGenesis(NamedTuple):
    """As `CreateVesting`; its amount is that of its periods, (length in s, udchat) each. funder: who may take back what
    has not vested, where `clawback` says so."""

    recipient: bytes
    funder: bytes
    number: int
    start_ns: int
    linear: bool
    clawback: bool
    periods: tuple[tuple[int, int], ...]

    @property
    def amount(self) -> int:
        return sum(part for _, part in self.periods)

    def to_json(self) -> dict[str, Any]:
        return {
            "recipient": encode_address(self.recipient),
            "funder": encode_address(self.funder),
            "number": str(self.number),
            "start_ns": str(self.start_ns),
            "linear": self.linear,
            "clawback": self.clawback,
            "periods": [{"length_s": str(length_s), "amount": str(part)} for length_s, part in self.periods],
        }


def check_vestings(vestings: Sequence[VestingGenesis]) -> None:
    """Raises: InvalidAppState."""
    seen = set()
    for number, entry in enumerate(vestings):
        where = f"app_state.currency.vesting[{number}]"
        if not 1 <= len(entry.periods) <= PERIODS_MAX:
            raise InvalidAppState(f"{where}.periods: {len(entry.periods)}, allowed: 1 to {PERIODS_MAX}")
        if entry.start_ns > TIME_NS_MAX:
            raise InvalidAppState(f"{where}.start_ns is {entry.start_ns}; allowed: {TIME_NS_MAX} at most")
        try:
            check_periods(where, entry.amount, entry.periods, linear=entry.linear)
        except InvalidField as error:
            raise InvalidAppState(str(error)) from error
        if entry[:3] in seen:
            raise InvalidAppState(f"{where}: this recipient, funder and number stand twice")
        seen.add(entry[:3])
    if sum(entry.amount for entry in vestings) > UINT64_MAX:
        raise InvalidAppState(f"app_state.currency.vesting: above {UINT64_MAX} udchat together")
