"""Building a genesis document for a new chain: who validates, who has what, and the limits of a block."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from chain.currency.ledger import dec
from chain.currency.ledger.economic_params import SlashingParams, StakingParams
from chain.currency.ledger.stake_records import POWER_UNIT
from chain.tx.gas import block_gas_for
from chain.tx.messages.kinds.fields import consensus_key_of
from chain.tx.units import UDCHAT_PER_DCHAT
from consensus.documents.genesis import GenesisDoc, GenesisValidator
from consensus.formats.chain_ids import new_chain_id_flaw
from consensus.formats.errors import InvalidGenesis
from consensus.formats.units import NS_PER_S
from consensus.types.params import BlockParams, ConsensusParams, EvidenceParams, ValidatorParams
from crypto.errors import InvalidKey
from crypto.keys import KEY_TYPES, PubKey
from genesis.app_state import EconomicsGenesis, GenesisStake, build_app_state, with_stakes

BLOCK_BYTES_MAX = 10_485_760  # the operator contract's max_block_size
BLOCK_GAS_MAX = block_gas_for(3_000)  # the default propose time-out, in ms
TOKENS_PER_POWER = POWER_UNIT // UDCHAT_PER_DCHAT  # voting power is stake in units of 1,000 DCHAT


def build_genesis(
    *,
    chain_id: str,
    time_ns: int,
    stakes: Sequence[GenesisStake],
    balances: Mapping[bytes, int],
    economics: EconomicsGenesis | None = None,
    block_bytes_max: int = BLOCK_BYTES_MAX,
    block_gas_max: int = BLOCK_GAS_MAX,
    upgrade_authority: bytes = b"",
    key_types: Sequence[str] = (),
) -> GenesisDoc:
    """A valid document. stakes: the validators; balances: account address -> udchat, above 0, beside the stakes.
    key_types: that consensus keys may have, beside those that the validators' have.

    Evidence is punishable as long as stake unbonds: what has left already cannot be slashed (ASA-2024-004).
    Raises: InvalidGenesis; InvalidAppState.
    """
    if flaw := new_chain_id_flaw(chain_id):
        raise InvalidGenesis(f"genesis: {flaw}")
    economics = with_stakes(economics or EconomicsGenesis(), stakes)
    keys = [_key_of(stake) for stake in stakes]
    state = build_app_state(balances, economics=economics, upgrade_authority=upgrade_authority)
    doc = GenesisDoc(
        chain_id=chain_id,
        genesis_time_ns=time_ns,
        consensus_params=ConsensusParams(
            block=BlockParams(max_bytes=block_bytes_max, max_gas=block_gas_max),
            evidence=EvidenceParams(
                max_age_duration_ns=economics.staking.unbonding_s * NS_PER_S,
                max_bytes=min(EvidenceParams().max_bytes, block_bytes_max),
            ),
            validator=ValidatorParams(_allowed({*key_types, *(key.type for key in keys)})),
        ),
        validators=tuple(
            GenesisValidator(key, stake.power, stake.moniker) for key, stake in zip(keys, stakes, strict=True)
        ),
        app_state=json.dumps(state, ensure_ascii=True, separators=(",", ":")).encode(),
    )
    doc.validate()
    return doc


def _key_of(stake: GenesisStake) -> PubKey:
    """Raises InvalidGenesis."""
    try:
        return consensus_key_of(stake.consensus_key)
    except InvalidKey as error:
        raise InvalidGenesis(f"genesis: the consensus key of {stake.moniker!r}: {error}") from None


def _allowed(kinds: set[str]) -> tuple[str, ...]:
    """In the order of the table; `validate` refuses what is not in it. Of nobody's key: the usual."""
    known = tuple(name for name in KEY_TYPES if name in kinds)
    return (*known, *sorted(kinds.difference(known))) or ValidatorParams().pub_key_types


def stake_of(
    operator: bytes, consensus_key: bytes, dchat: int, *, moniker: str, min_self_delegation_dchat: int = 1
) -> GenesisStake:
    """A genesis validator with a stake in DCHAT; one that has no power gets the least that has."""
    tokens = max(dchat * UDCHAT_PER_DCHAT, POWER_UNIT)
    least = max(1, min(min_self_delegation_dchat * UDCHAT_PER_DCHAT, tokens))
    return GenesisStake(operator, consensus_key, tokens, moniker, min_self_delegation=least)


def economics_of(
    *,
    stake_dchat: int,
    min_self_delegation_dchat: int,
    unbonding_s: int,
    missed_blocks_window: int,
    min_signed_per_window: str,
    downtime_jail_s: int,
    double_sign_jail_s: int,
) -> EconomicsGenesis:
    """The params that a node's configuration names, for a new chain; the others have their defaults.

    stake_dchat: what this configuration's validators stake; the chain's minimum is no higher.
    min_signed_per_window: a decimal.
    """
    usual = StakingParams()
    stake = max(1, stake_dchat) * UDCHAT_PER_DCHAT
    return EconomicsGenesis(
        staking=usual._replace(
            unbonding_s=max(1, unbonding_s),
            min_stake=min(usual.min_stake, stake),
            min_self_delegation=max(1, min(min_self_delegation_dchat * UDCHAT_PER_DCHAT, stake)),
        ),
        slashing=SlashingParams()._replace(
            missed_blocks_window=missed_blocks_window,
            min_signed_per_window=dec.parse(min_signed_per_window),
            downtime_jail_s=downtime_jail_s,
            double_sign_jail_s=double_sign_jail_s,
        ),
    )


__all__ = [
    "BLOCK_BYTES_MAX",
    "BLOCK_GAS_MAX",
    "TOKENS_PER_POWER",
    "build_genesis",
    "economics_of",
    "stake_of",
]
