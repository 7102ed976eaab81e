"""What the machines say in the events that they emit: addresses, amounts and times as text, the same on every node.

Accounts and operators are bech32, validators' consensus addresses CometBFT's hex, amounts carry their unit as the
Cosmos SDK's coins do, times are RFC 3339. docs/events.md has the list of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from consensus.formats.timestamps import format_rfc3339
from consensus.state.results import Event
from crypto.bech32 import encode_address

REMEMBERED_ADDRESSES: Final = 65_536  # of those that pay and are paid lately: making the text takes 15 us
DENOM: Final = "udchat"

account = lru_cache(REMEMBERED_ADDRESSES)(encode_address)
time_text = format_rfc3339


def consensus(address: bytes) -> str:
    return f"{int.from_bytes(address, 'big'):040X}"


def coins(udchat: int) -> str:
    return f"{udchat}{DENOM}"


def some(found: Sequence[object]) -> str:
    """What an invariant found wrong, in words: `none`, or how many and the first three."""
    return f"{len(found)}: {', '.join(map(str, found[:3]))}" if found else "none"


__all__ = ["DENOM", "Event", "account", "coins", "consensus", "some", "time_text"]
