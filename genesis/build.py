"""Building a genesis document for a new chain: who validates, who has what, and the limits of a block."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from chain.gas import block_gas_for
from consensus.types.params import BlockParams, ConsensusParams
from genesis.app_state import UDCHAT_PER_DCHAT, build_app_state
from genesis.doc import GenesisDoc, GenesisValidator

BLOCK_BYTES_MAX = 10_485_760  # the operator contract's max_block_size
BLOCK_GAS_MAX = block_gas_for(3_000)  # the default propose time-out, in ms
TOKENS_PER_POWER = 1_000  # voting power is stake in units of 1,000 DCHAT


def build_genesis(
    *,
    chain_id: str,
    time_ns: int,
    validators: Sequence[GenesisValidator],
    balances: Mapping[bytes, int],
    block_bytes_max: int = BLOCK_BYTES_MAX,
    block_gas_max: int = BLOCK_GAS_MAX,
    upgrade_authority: bytes = b"",
) -> GenesisDoc:
    """A valid document. balances: account address -> udchat, above 0. Raises InvalidGenesis."""
    state = build_app_state(balances, upgrade_authority=upgrade_authority)
    doc = GenesisDoc(
        chain_id=chain_id,
        genesis_time_ns=time_ns,
        consensus_params=ConsensusParams(block=BlockParams(max_bytes=block_bytes_max, max_gas=block_gas_max)),
        validators=tuple(validators),
        app_state=json.dumps(state, ensure_ascii=True, separators=(",", ":")).encode(),
    )
    doc.validate()
    return doc


def power_of_stake(tokens: int) -> int:
    """Voting power of a stake in DCHAT; at least 1."""
    return max(1, tokens // TOKENS_PER_POWER)


__all__ = ["BLOCK_BYTES_MAX", "BLOCK_GAS_MAX", "UDCHAT_PER_DCHAT", "build_genesis", "power_of_stake"]
