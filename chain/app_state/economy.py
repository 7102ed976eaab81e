"""The economic part of a genesis document's app_state: params of staking, slashing, distribution and mint, and the
validators that the chain begins with.

Rates are decimal text ("0.05"), everything else digits. Evidence's age is not here: it is the consensus parameters'.
Part of `chain.app_state.document`, which reads the document strictly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from chain.currency.economy import GenesisStake
from chain.currency.ledger import dec
from chain.currency.ledger import economic_params as params
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import (
    DistributionParams,
    EconomicParams,
    InvalidParam,
    MintParams,
    SlashingParams,
    StakingParams,
)
from chain.currency.ledger.stake_records import POWER_UNIT
from chain.tx.codec import UINT64_MAX
from chain.tx.messages.economy import MONIKER_BYTES_MAX
from chain.tx.messages.kinds.fields import consensus_key_of
from consensus.abci.interface import ValidatorUpdate
from consensus.types.params import EvidenceParams
from crypto.bech32 import InvalidAddress, decode_address, encode_address
from crypto.errors import InvalidKey
from crypto.keys import PubKey

SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {  # name -> what the section has
    "staking": ("params", "validators"),
    "slashing": ("params",),
    "distribution": ("params",),
    "mint": ("params", "inflation"),
}
_OF_CONSENSUS: Final = frozenset(("evidence_age_s_max", "evidence_age_blocks_max"))
_VALIDATOR: Final = (
    "operator", "consensus_key", "tokens", "moniker", "commission_rate", "commission_max_rate",
    "commission_max_change_rate", "min_self_delegation",
)  # fmt: skip
_STAKING, _SLASHING, _DISTRIBUTION, _MINT = StakingParams(), SlashingParams(), DistributionParams(), MintParams()
P = TypeVar("P", StakingParams, SlashingParams, DistributionParams, MintParams)


class InvalidAppState(ValueError):
    """A genesis document whose app_state this application cannot begin with. Says where and what is allowed."""


class InvalidEconomics(InvalidAppState):
    """Where: below app_state."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"app_state.{detail}")


@dataclass(frozen=True, slots=True)
class EconomicsGenesis:
    """inflation: at the beginning, a Dec. validators: with their stakes, in any order."""

    staking: StakingParams = _STAKING
    slashing: SlashingParams = _SLASHING
    distribution: DistributionParams = _DISTRIBUTION
    mint: MintParams = _MINT
    inflation: int = 13 * ONE // 100
    validators: Sequence[GenesisStake] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "staking": {
                "params": params.to_text(self.staking),
                "validators": [_validator_json(entry) for entry in sorted(self.validators)],
            },
            "slashing": {"params": {k: v for k, v in params.to_text(self.slashing).items() if k not in _OF_CONSENSUS}},
            "distribution": {"params": params.to_text(self.distribution)},
            "mint": {"params": params.to_text(self.mint), "inflation": dec.text(self.inflation)},
        }

    def check(self) -> None:
        """Raises: InvalidEconomics. That evidence's age fits is `params_with`'s."""
        try:
            fitting = self.slashing._replace(evidence_age_s_max=1)
            params.check(self.staking, fitting, self.distribution, self.mint)
        except InvalidParam as error:
            raise InvalidEconomics(str(error)) from error
        if not 0 <= self.inflation <= ONE:
            raise InvalidEconomics(f"mint.inflation is {dec.text(self.inflation)}; allowed: 0 to 1")
        if len(self.validators) > self.staking.validators_max:
            raise InvalidEconomics(
                f"staking.validators: {len(self.validators)}, allowed: {self.staking.validators_max}"
            )
        for name, values in (
            ("operator", [entry.operator for entry in self.validators]),
            ("consensus_key", [entry.consensus_key for entry in self.validators]),
        ):
            if len(set(values)) != len(values):
                raise InvalidEconomics(f"staking.validators: two have one {name}")
        if sum(entry.tokens for entry in self.validators) > UINT64_MAX:
            raise InvalidEconomics(f"staking.validators: their tokens are above {UINT64_MAX} together")
        for number, entry in enumerate(self.validators):
            _check_validator(f"staking.validators[{number}]", entry)

    def params_with(self, evidence: EvidenceParams) -> dict[str, EconomicParams]:
        """Module -> params, complete. Raises: InvalidEconomics, when evidence outlives unbonding."""
        slashing = self.slashing._replace(
            evidence_age_s_max=max(1, evidence.max_age_duration_ns // params.NS_PER_S),
            evidence_age_blocks_max=evidence.max_age_num_blocks,
        )
        try:
            params.check(self.staking, slashing, self.distribution, self.mint)
        except InvalidParam as error:
            raise InvalidEconomics(str(error)) from error
        return {
            "staking": self.staking, "slashing": slashing, "distribution": self.distribution, "mint": self.mint,
        }  # fmt: skip

    def updates(self, given: Sequence[ValidatorUpdate]) -> tuple[ValidatorUpdate, ...]:
        """The validators for the engine. Raises: InvalidEconomics, when the document names others than these.

        given: the document's; none: these are the set. Without staking validators the document's stay, unpaid.
        """
        own: dict[PubKey, int] = {consensus_key_of(entry.consensus_key): entry.power for entry in self.validators}
        if not own:
            return ()
        if not given:
            return tuple(ValidatorUpdate(key, power) for key, power in own.items())
        named = {update.pub_key: update.power for update in given}
        if named != own:
            wrong = [key for key in (*own, *named) if own.get(key) != named.get(key)]
            address = wrong[0].address
            raise InvalidEconomics(
                f"staking.validators: the document's validators differ; consensus address {address.hex()} has power "
                f"{named.get(wrong[0])} there and stake for {own.get(wrong[0])} here"
            )
        return ()


def with_stakes(economics: EconomicsGenesis, validators: Sequence[GenesisStake]) -> EconomicsGenesis:
    return replace(economics, validators=tuple(validators))


def parse_economics(sections: Mapping[str, Mapping[str, Any]]) -> EconomicsGenesis:
    """sections: objects that have exactly the names of SECTIONS. Raises: InvalidEconomics."""
    validators = sections["staking"]["validators"]
    if not isinstance(validators, list):
        raise InvalidEconomics("staking.validators is no list")
    found = EconomicsGenesis(
        _params("staking", sections, StakingParams),
        _params("slashing", sections, SlashingParams),
        _params("distribution", sections, DistributionParams),
        _params("mint", sections, MintParams),
        _rate("mint.inflation", sections["mint"]["inflation"]),
        tuple(_validator(f"staking.validators[{number}]", entry) for number, entry in enumerate(validators)),
    )
    found.check()
    return found


def _params(name: str, sections: Mapping[str, Mapping[str, Any]], kind: type[P]) -> P:
    where = f"{name}.params"
    names = [field for field in kind._fields if field not in _OF_CONSENSUS]
    given = _object(where, sections[name]["params"], names, optional=params.LATER)
    names = [field for field in names if field in given]
    try:
        values = {field: params.value_from_text(where, field, given[field]) for field in names}
    except InvalidParam as error:
        raise InvalidEconomics(str(error)) from error
    return kind(**dict.fromkeys(params.LATER.intersection(kind._fields), 0) | values)


def _validator(where: str, value: object) -> GenesisStake:
    entry = _object(where, value, _VALIDATOR)
    if any(not isinstance(entry[name], str) for name in _VALIDATOR):
        raise InvalidEconomics(f"{where}: all fields are text")
    try:
        operator = decode_address(entry["operator"])
        key = bytes.fromhex(entry["consensus_key"])
    except (InvalidAddress, ValueError) as error:
        raise InvalidEconomics(f"{where}: {error}") from error
    return GenesisStake(
        operator, key, _integer(f"{where}.tokens", entry["tokens"]), entry["moniker"],
        _rate(f"{where}.commission_rate", entry["commission_rate"]),
        _rate(f"{where}.commission_max_rate", entry["commission_max_rate"]),
        _rate(f"{where}.commission_max_change_rate", entry["commission_max_change_rate"]),
        _integer(f"{where}.min_self_delegation", entry["min_self_delegation"]),
    )  # fmt: skip


def _check_validator(where: str, entry: GenesisStake) -> None:
    try:
        consensus_key_of(entry.consensus_key)
    except InvalidKey as error:
        raise InvalidEconomics(f"{where}.consensus_key: {error}") from error
    if not POWER_UNIT <= entry.tokens <= UINT64_MAX:
        raise InvalidEconomics(f"{where}.tokens is {entry.tokens}; allowed: {POWER_UNIT} and more, for a power of 1")
    if not 1 <= entry.min_self_delegation <= entry.tokens:
        raise InvalidEconomics(f"{where}.min_self_delegation is {entry.min_self_delegation}; allowed: 1 to the tokens")
    if not entry.commission_rate <= entry.commission_max_rate <= ONE:
        raise InvalidEconomics(f"{where}: commission_rate is at most commission_max_rate, which is at most 1")
    if entry.commission_max_change_rate > entry.commission_max_rate:
        raise InvalidEconomics(f"{where}: commission_max_change_rate is at most commission_max_rate")
    if len(entry.moniker.encode()) > MONIKER_BYTES_MAX:
        raise InvalidEconomics(f"{where}.moniker: above {MONIKER_BYTES_MAX} bytes of UTF-8")


def _validator_json(entry: GenesisStake) -> dict[str, str]:
    return {
        "operator": encode_address(entry.operator),
        "consensus_key": entry.consensus_key.hex(),
        "tokens": str(entry.tokens),
        "moniker": entry.moniker,
        "commission_rate": dec.text(entry.commission_rate),
        "commission_max_rate": dec.text(entry.commission_max_rate),
        "commission_max_change_rate": dec.text(entry.commission_max_change_rate),
        "min_self_delegation": str(entry.min_self_delegation),
    }


def _rate(where: str, value: object) -> int:
    if isinstance(value, str):
        try:
            return dec.parse(value)
        except ValueError as error:
            raise InvalidEconomics(f"{where}: {error}") from error
    raise InvalidEconomics(f"{where} is no text")


def _integer(where: str, value: object) -> int:
    try:
        return params.value_from_text(where, "blocks_per_year", value)
    except InvalidParam as error:
        raise InvalidEconomics(f"{where}: {error}") from error


def _object(
    where: str, value: object, names: Sequence[str], *, optional: frozenset[str] = frozenset()
) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidEconomics(f"{where} is no object")
    strange = sorted((set(value) ^ set(names)) - (optional - set(value)))
    if strange:
        raise InvalidEconomics(f"{where}.{strange[0]}: unknown or missing; allowed: {', '.join(names)}")
    return value
