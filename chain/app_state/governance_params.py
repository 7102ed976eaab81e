"""The params of governance: what each may be, how it is written as text, and what must hold between them.

Shares are in units of 10^-18, amounts udchat, times seconds.
Source: Cosmos SDK v0.50, x/gov/README.md; docs/governance.md for the voting period of 24 hours, which operators were
promised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from chain.currency.ledger import dec
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import InvalidParam
from chain.tx.codec import uint_field, varint
from proto.dchat.v1 import governance_pb2 as pb

DAY_S: Final = 86_400
PERIOD_S_MAX: Final = 30 * DAY_S  # whatever a vote got wrong, another can right within as much
AMOUNT_MAX: Final = 10**11  # 100,000 DCHAT


class GovernanceParams(NamedTuple):
    min_deposit: int = 10**7
    expedited_min_deposit: int = 5 * 10**7
    deposit_period_s: int = 172_800
    voting_period_s: int = 86_400
    expedited_voting_period_s: int = 43_200
    quorum: int = 334 * ONE // 1_000
    threshold: int = ONE // 2
    expedited_threshold: int = 667 * ONE // 1_000
    veto_threshold: int = 334 * ONE // 1_000
    min_deposit_ratio: int = ONE // 100
    cancel_ratio: int = ONE // 2
    cancel_to_treasury: int = 0
    burn_vetoed: int = 1
    burn_without_quorum: int = 0
    burn_without_deposit: int = 0
    votes_kept_s: int = 30 * 86_400

    def encode(self) -> bytes:
        fields = [
            uint_field(varint(8 * number), value)  # the field's key, of wire type 0
            for number, value in enumerate(self, start=1)
        ]
        return b"".join(fields)

    @staticmethod
    def decode(stored: bytes) -> GovernanceParams:
        r = pb.GovernanceParams.FromString(stored)
        return GovernanceParams(*[getattr(r, name) for name in GovernanceParams._fields])

    def shortened(self, voting_period_s: int) -> GovernanceParams:
        """For test networks: the same, with a voting period of so many seconds and the other periods to match."""
        return self._replace(
            deposit_period_s=2 * voting_period_s, voting_period_s=voting_period_s,
            expedited_voting_period_s=max(1, voting_period_s // 2),
        )  # fmt: skip

    def min_deposit_of(self, expedited: bool) -> int:
        return self.expedited_min_deposit if expedited else self.min_deposit

    def voting_period_of(self, expedited: bool) -> int:
        """Seconds."""
        return self.expedited_voting_period_s if expedited else self.voting_period_s

    def least_deposit(self, expedited: bool) -> int:
        """What each deposit has at least, udchat: the share of the minimum, cut, and never nothing."""
        return max(1, self.min_deposit_of(expedited) * self.min_deposit_ratio // ONE)


# What each may be: none may have a value under which no proposal passes any more. Turnout can't be asked beyond what
# keeps the chain going, more than all can't be for it, and a veto is more than a few votes.
_SHARE: Final = (0, ONE)
_MAJORITY: Final = (ONE // 2, 9 * ONE // 10)
_FLAG: Final = (0, 1)
_PERIOD: Final = (1, PERIOD_S_MAX)
RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "min_deposit": (1, AMOUNT_MAX),
    "expedited_min_deposit": (1, AMOUNT_MAX),
    "deposit_period_s": _PERIOD,
    "voting_period_s": _PERIOD,
    "expedited_voting_period_s": _PERIOD,
    "quorum": (0, 2 * ONE // 3),
    "threshold": _MAJORITY,
    "expedited_threshold": _MAJORITY,
    "veto_threshold": (ONE // 10, ONE),
    "min_deposit_ratio": _SHARE,
    "cancel_ratio": _SHARE,
    "cancel_to_treasury": _FLAG,
    "burn_vetoed": _FLAG,
    "burn_without_quorum": _FLAG,
    "burn_without_deposit": _FLAG,
    "votes_kept_s": (0, 366 * DAY_S),
}
SHARES: Final = frozenset(
    ("quorum", "threshold", "expedited_threshold", "veto_threshold", "min_deposit_ratio", "cancel_ratio")
)
_DIGITS: Final = frozenset("0123456789")


def check(params: GovernanceParams) -> None:
    """Each by itself, then together. Raises: InvalidParam."""
    for name, value in zip(params._fields, params, strict=True):
        low, high = RANGES[name]
        if not low <= value <= high:
            shown = [_text(name, number) for number in (value, low, high)]
            raise InvalidParam(f"governance.{name} is {shown[0]}; allowed: {shown[1]} to {shown[2]}")
    if params.expedited_min_deposit < params.min_deposit:
        raise InvalidParam(f"governance.expedited_min_deposit is below min_deposit, {params.min_deposit}")
    if params.expedited_voting_period_s > params.voting_period_s:
        raise InvalidParam(f"governance.expedited_voting_period_s is above voting_period_s, {params.voting_period_s}")
    if params.expedited_threshold < params.threshold:
        raise InvalidParam(f"governance.expedited_threshold is below threshold, {dec.text(params.threshold)}")


def to_text(params: GovernanceParams) -> dict[str, str]:
    """As genesis documents and queries show them."""
    return {name: _text(name, value) for name, value in zip(params._fields, params, strict=True)}


def changed(params: GovernanceParams, values: Mapping[str, str]) -> GovernanceParams:
    """With `values` (name -> text), checked. Raises: InvalidParam."""
    for name in values:
        if name not in RANGES:
            raise InvalidParam(f"governance.{str(name)[:40]} is unknown; allowed: {', '.join(RANGES)}")
    after = params._replace(**{name: _number(name, value) for name, value in values.items()})
    check(after)
    return after


def range_text(name: str) -> tuple[str, str]:
    """The least and the greatest value."""
    low, high = RANGES[name]
    return _text(name, low), _text(name, high)


def _text(name: str, value: int) -> str:
    return dec.text(value) if name in SHARES else str(value)


def _number(name: str, value: object) -> int:
    """Raises: InvalidParam."""
    is_share = name in SHARES
    kind = "digits, with up to 18 places after a point" if is_share else "digits without leading zeros"
    if isinstance(value, str) and len(value) <= 40:
        try:
            if is_share:
                return dec.parse(value)
            if value and _DIGITS.issuperset(value) and str(int(value)) == value:
                return int(value)
        except ValueError:
            pass
    raise InvalidParam(f"governance.{name} is {str(value)[:80]!r}; allowed: a string of {kind}")
