"""The economic params: what each may be, how it is written as text, and what must hold between them.

One record for each module in the currency store; genesis and governance read and check them through here alone.
Rates are Decs (units of 10^-18), amounts udchat, times seconds.
Source: Cosmos SDK v0.50, README.md of x/staking, x/slashing, x/distribution and x/mint; docs/economics.md, Params, for
the defaults that differ from theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from chain.currency.ledger import dec
from chain.currency.ledger.dec import ONE
from chain.kernel.branch import Key, Readable, State, decoders_of
from chain.tx.codec import uint_field
from chain.tx.units import UDCHAT_PER_DCHAT
from consensus.formats.units import NS_PER_S as NS_PER_S  # noqa: PLC0414  # the staking room reads it here
from proto.dchat.v1 import state_pb2 as pb

_DIGITS: Final = frozenset("0123456789")
VALIDATORS_MAX: Final = 2_000  # their set is one record, which has at most 64 KiB
WINDOW_MAX: Final = 100_000  # a validator's misses are one record of as many bits


class InvalidParam(ValueError):
    """A value that a param cannot have. Says which, and what is allowed."""


class StakingParams(NamedTuple):
    """key_rotation_fee: for another consensus key. key_rotations_max: of a validator in an unbonding time; 0: none, as
    in records and documents of before there were any."""

    unbonding_s: int = 1_209_600
    validators_max: int = 100
    entries_max: int = 7
    min_commission: int = 0
    min_stake: int = 1_000_000 * UDCHAT_PER_DCHAT
    min_self_delegation: int = 100_000 * UDCHAT_PER_DCHAT
    key_rotation_fee: int = 10 * UDCHAT_PER_DCHAT
    key_rotations_max: int = 1

    def encode(self) -> bytes:
        return _encode(self)

    @staticmethod
    def decode(stored: bytes) -> StakingParams:
        return StakingParams(*_values(pb.StakingParams.FromString(stored), StakingParams._fields))


class SlashingParams(NamedTuple):
    """evidence_age_*: the engine's, kept here so that the machine judges by the same."""

    missed_blocks_window: int = 10_000
    min_signed_per_window: int = ONE // 2
    downtime_jail_s: int = 600
    double_sign_jail_s: int = 86_400
    tombstone: int = 1
    slash_double_sign: int = ONE // 20
    slash_downtime: int = ONE // 100
    evidence_age_s_max: int = 172_800
    evidence_age_blocks_max: int = 100_000

    def encode(self) -> bytes:
        return _encode(self)

    @staticmethod
    def decode(stored: bytes) -> SlashingParams:
        return SlashingParams(*_values(pb.SlashingParams.FromString(stored), SlashingParams._fields))

    @property
    def missed_max(self) -> int:
        """As many misses in a window go unpunished."""
        return self.missed_blocks_window - dec.half_even(self.min_signed_per_window * self.missed_blocks_window)


class DistributionParams(NamedTuple):
    community_tax: int = ONE // 50
    base_proposer_reward: int = ONE // 100
    bonus_proposer_reward: int = ONE // 25
    fee_burn: int = ONE // 5

    def encode(self) -> bytes:
        return _encode(self)

    @staticmethod
    def decode(stored: bytes) -> DistributionParams:
        return DistributionParams(*_values(pb.DistributionParams.FromString(stored), DistributionParams._fields))


class MintParams(NamedTuple):
    inflation_change: int = 13 * ONE // 100
    inflation_max: int = ONE // 5
    inflation_min: int = 7 * ONE // 100
    goal_bonded: int = 67 * ONE // 100
    blocks_per_year: int = 10_519_200  # of three seconds

    def encode(self) -> bytes:
        return _encode(self)

    @staticmethod
    def decode(stored: bytes) -> MintParams:
        return MintParams(*_values(pb.MintParams.FromString(stored), MintParams._fields))


EconomicParams: TypeAlias = StakingParams | SlashingParams | DistributionParams | MintParams

STAKING: Final = Key.sure(b"uS", StakingParams)
SLASHING: Final = Key.sure(b"uG", SlashingParams)
DISTRIBUTION: Final = Key.sure(b"uD", DistributionParams)
MINT: Final = Key.sure(b"uM", MintParams)

MODULES: Final[Mapping[str, tuple[bytes, type[EconomicParams]]]] = {  # in the order of their params in a genesis
    "staking": (STAKING, StakingParams),
    "slashing": (SLASHING, SlashingParams),
    "distribution": (DISTRIBUTION, DistributionParams),
    "mint": (MINT, MintParams),
}
DECODERS: Final = decoders_of(STAKING, SLASHING, DISTRIBUTION, MINT)
LATER: Final = frozenset(("key_rotation_fee", "key_rotations_max"))  # 0 in documents of before there were any


class Range(NamedTuple):
    low: int
    high: int
    is_rate: bool = False


_SHARE: Final = Range(0, ONE, True)
RANGES: Final[Mapping[str, Range]] = {
    "unbonding_s": Range(1, 10 * 365 * 86_400),
    "validators_max": Range(1, VALIDATORS_MAX),
    "entries_max": Range(1, 100),
    "min_commission": _SHARE,
    "min_stake": Range(1, 10**18),
    "min_self_delegation": Range(1, 10**18),
    "key_rotation_fee": Range(0, 10**18),
    "key_rotations_max": Range(0, 8),  # the latest 64 are remembered (`KEPT_MAX`): several unbonding times
    "missed_blocks_window": Range(1, WINDOW_MAX),
    "min_signed_per_window": _SHARE,
    "downtime_jail_s": Range(0, 10 * 365 * 86_400),
    "double_sign_jail_s": Range(0, 10 * 365 * 86_400),
    "tombstone": Range(0, 1),
    "slash_double_sign": _SHARE,
    "slash_downtime": _SHARE,
    "evidence_age_s_max": Range(1, 10 * 365 * 86_400),
    "evidence_age_blocks_max": Range(1, 10**8),  # nodes keep the blocks: a decade
    "community_tax": _SHARE,
    "base_proposer_reward": _SHARE,
    "bonus_proposer_reward": _SHARE,
    "fee_burn": _SHARE,
    "inflation_change": _SHARE,
    "inflation_max": _SHARE,
    "inflation_min": _SHARE,
    "goal_bonded": Range(1, ONE, True),  # a divisor (SDK 2025-003)
    "blocks_per_year": Range(1, 10**10),  # a divisor
}


def staking_of(state: Readable) -> StakingParams:
    return state.get(STAKING)


def slashing_of(state: Readable) -> SlashingParams:
    return state.get(SLASHING)


def check(staking: StakingParams, slashing: SlashingParams, distribution: DistributionParams, mint: MintParams) -> None:
    """All of them together. Raises: InvalidParam."""
    for name, params in (("staking", staking), ("slashing", slashing), ("distribution", distribution), ("mint", mint)):
        check_ranges(name, params)
    if slashing.evidence_age_s_max > staking.unbonding_s:
        raise InvalidParam(
            f"slashing.evidence_age_s_max is {slashing.evidence_age_s_max}; allowed: staking.unbonding_s, "
            f"{staking.unbonding_s}, at most: who left must still be punishable"
        )
    shares = distribution.community_tax + distribution.base_proposer_reward + distribution.bonus_proposer_reward
    if shares > ONE:
        raise InvalidParam(
            f"distribution: tax and proposer rewards are {dec.text(shares)} together; allowed: 1 at most"
        )
    if mint.inflation_min > mint.inflation_max:
        raise InvalidParam(f"mint.inflation_min is above inflation_max, {dec.text(mint.inflation_max)}")


def check_ranges(where: str, params: Any) -> None:
    """Each by itself. Raises: InvalidParam."""
    for name, value in zip(params._fields, params, strict=True):
        low, high, is_rate = RANGES[name]
        if not low <= value <= high:
            shown = [dec.text(number) if is_rate else str(number) for number in (value, low, high)]
            raise InvalidParam(f"{where}.{name} is {shown[0]}; allowed: {shown[1]} to {shown[2]}")


def to_text(params: EconomicParams) -> dict[str, str]:
    """As genesis documents and queries show them."""
    return {
        name: dec.text(value) if RANGES[name].is_rate else str(value)
        for name, value in zip(params._fields, params, strict=True)
    }


def range_text(name: str) -> tuple[str, str]:
    """The least and the greatest value."""
    low, high, is_rate = RANGES[name]
    return (dec.text(low), dec.text(high)) if is_rate else (str(low), str(high))


def value_from_text(where: str, name: str, value: object) -> int:
    """Raises: InvalidParam. Whether it is in its range is `check`'s."""
    is_rate = RANGES[name].is_rate
    if isinstance(value, str):
        try:
            number = dec.parse(value) if is_rate else int(value) if _DIGITS.issuperset(value) else -1
        except ValueError:
            number = -1
        if 0 <= number < 1 << 64 and (is_rate or str(number) == value):
            return number
    kind = "digits, with up to 18 places after a point" if is_rate else "digits"
    raise InvalidParam(f"{where}.{name} is {str(value)[:80]!r}; allowed: a string of {kind}")


def changed(state: Readable, changes: Mapping[str, Mapping[str, str]]) -> dict[str, EconomicParams]:
    """The params of each module that `changes` (module -> name -> text) names, changed and found valid together
    with those that stay. Writes nothing. Raises: InvalidParam.
    """
    found: dict[str, Any] = {name: state.get(key) for name, (key, _) in MODULES.items()}
    for module, values in changes.items():
        if module not in MODULES:
            raise InvalidParam(f"{module[:40]!r} is no module with params; allowed: {', '.join(MODULES)}")
        for name, value in values.items():
            if name not in found[module]._fields:
                raise InvalidParam(f"{module}.{name[:40]} is unknown; allowed: {', '.join(found[module]._fields)}")
            found[module] = found[module]._replace(**{name: value_from_text(module, name, value)})
    check(found["staking"], found["slashing"], found["distribution"], found["mint"])
    return {module: found[module] for module in MODULES if module in changes}


def set_all(state: State, params: Mapping[str, EconomicParams]) -> None:
    """Write params that were checked, module -> record. What depends on them follows at the block's end or begin."""
    for name, (key, _) in MODULES.items():
        if name in params:
            state.set(key, params[name])


def _encode(params: EconomicParams) -> bytes:
    return (
        b"".join(uint_field(bytes((8 * number,)), value) for number, value in enumerate(params, start=1)) or b"\x08\0"
    )


def _values(record: Any, names: tuple[str, ...]) -> list[int]:
    return [getattr(record, name) for name in names]
