"""Units of money and gas, each once. Amounts are whole udchat, a gas price is udchat for a million gas."""

from __future__ import annotations

from typing import Final

UDCHAT_PER_DCHAT: Final = 10**6
GAS_PER_MGAS: Final = 10**6
GAS_PRICE_MAX: Final = 10**7  # udchat for a million gas: a hundred times what is usual; a vote costs 0.4 DCHAT


def in_dchat(udchat: int) -> str:
    """As people say it: `9.740603 DCHAT`, `5 DCHAT`."""
    whole, rest = divmod(udchat, UDCHAT_PER_DCHAT)
    return f"{whole}.{str(rest).zfill(6).rstrip('0')} DCHAT" if rest else f"{whole} DCHAT"


def fee_of(gas_limit: int, gas_price: int) -> int:
    """In udchat, rounded up. gas_price: udchat for a million gas."""
    return -(-gas_limit * gas_price // GAS_PER_MGAS)
