"""Build the app_state part of a genesis document: balances and the machines' parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chain.genesis import AppState, BridgeGenesis, ChatGenesis, CurrencyGenesis, check_params, parse_app_state

UDCHAT_PER_DCHAT = 10**6

__all__ = ["UDCHAT_PER_DCHAT", "BridgeGenesis", "ChatGenesis", "CurrencyGenesis", "build_app_state", "parse_app_state"]


def build_app_state(
    balances: Mapping[bytes, int],
    *,
    currency: CurrencyGenesis | None = None,
    chat: ChatGenesis | None = None,
    bridge: BridgeGenesis | None = None,
    upgrade_authority: bytes = b"",
) -> dict[str, Any]:
    """JSON-ready. balances: account address (20 bytes) -> udchat, above 0. upgrade_authority: an address, or none.

    Raises: InvalidAppState, when a parameter is out of its range.
    """
    state = AppState(
        dict(balances),
        currency or CurrencyGenesis(),
        chat or ChatGenesis(),
        bridge or BridgeGenesis(),
        upgrade_authority,
    )
    check_params("app_state.currency.params", state.currency)
    check_params("app_state.chat.params", state.chat)
    check_params("app_state.bridge.params", state.bridge)
    return state.to_json()
