"""Build the app_state part of a genesis document: balances, the machines' parameters, the validators' stakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chain.app_state.document import (
    AppState,
    BridgeGenesis,
    ChatGenesis,
    CurrencyGenesis,
    InvalidAppState,
    check_params,
    check_refill,
    parse_app_state,
)
from chain.app_state.economy import EconomicsGenesis, with_stakes
from chain.app_state.governance_params import GovernanceParams
from chain.app_state.governance_params import check as check_governance
from chain.app_state.vesting import VestingGenesis, check_vestings
from chain.currency.economy import GenesisStake
from chain.currency.ledger.economic_params import InvalidParam

__all__ = [
    "BridgeGenesis",
    "ChatGenesis",
    "CurrencyGenesis",
    "EconomicsGenesis",
    "GenesisStake",
    "GovernanceParams",
    "build_app_state",
    "parse_app_state",
    "with_stakes",
]


def build_app_state(
    balances: Mapping[bytes, int],
    *,
    currency: CurrencyGenesis | None = None,
    chat: ChatGenesis | None = None,
    bridge: BridgeGenesis | None = None,
    economics: EconomicsGenesis | None = None,
    governance: GovernanceParams | None = None,
    upgrade_authority: bytes = b"",
    vestings: Sequence[VestingGenesis] = (),
) -> dict[str, Any]:
    """JSON-ready. balances: account address (20 bytes) -> udchat, above 0; stakes are beside them.
    upgrade_authority: an address, or none. vestings: beside the balances, too.

    Raises: InvalidAppState, when a parameter or a stake is out of its range.
    """
    state = AppState(
        dict(balances),
        currency or CurrencyGenesis(),
        chat or ChatGenesis(),
        bridge or BridgeGenesis(),
        upgrade_authority,
        economics or EconomicsGenesis(),
        governance or GovernanceParams(),
        tuple(vestings),
    )
    check_params("app_state.currency.params", state.currency)
    check_params("app_state.chat.params", state.chat)
    check_params("app_state.bridge.params", state.bridge)
    check_refill("app_state.chat.params", state.chat, state.bridge)
    state.economics.check()
    check_vestings(state.vestings)
    try:
        check_governance(state.governance)
    except InvalidParam as error:
        raise InvalidAppState(f"app_state: {error}") from error
    return state.to_json()
