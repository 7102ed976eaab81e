"""The Python client (docs/python-client.md): `connect` here for asyncio, in `dchat.client.blocking` without it.

It believes nothing that can be proved. Below stand what it is made of: a client of the gRPC door, proofs, settled
transactions, a wallet. Its names are loaded when they are asked for: a node that asks its peers needs few of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dchat.client.client import AskFailed, ClientError, NodeUnreachable, NotFound, OutOfOrder
    from dchat.client.front import messages
    from dchat.client.front.accounts import load_identity, new_identity, shared_account
    from dchat.client.front.amounts import address_of, channel_of, parse_amount
    from dchat.client.front.chat import Dchat, Event, connect
    from dchat.client.front.kept import KeepFailed
    from dchat.client.nodes.tls import Tls
    from dchat.client.verify import ProofFailed, Trust
    from dchat.client.wallet import Outcome, TxExpired, TxRefused, Undecided
    from dchat.home.identity import Identity

_NAMES: Final = {
    "dchat.client.client": ("AskFailed", "ClientError", "NodeUnreachable", "NotFound", "OutOfOrder"),
    "dchat.client.front.accounts": ("load_identity", "new_identity", "shared_account"),
    "dchat.client.front.amounts": ("address_of", "channel_of", "parse_amount"),
    "dchat.client.front.chat": ("Dchat", "Event", "connect"),
    "dchat.client.front.kept": ("KeepFailed",),
    "dchat.client.nodes.tls": ("Tls",),
    "dchat.client.verify": ("ProofFailed", "Trust"),
    "dchat.client.wallet": ("Outcome", "TxExpired", "TxRefused", "Undecided"),
    "dchat.home.identity": ("Identity",),
}
_PLACES: Final = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "AskFailed",
    "ClientError",
    "Dchat",
    "Event",
    "Identity",
    "KeepFailed",
    "NodeUnreachable",
    "NotFound",
    "OutOfOrder",
    "Outcome",
    "ProofFailed",
    "Tls",
    "Trust",
    "TxExpired",
    "TxRefused",
    "Undecided",
    "address_of",
    "channel_of",
    "client",
    "connect",
    "light_provider",
    "load_identity",
    "messages",
    "new_identity",
    "pack",
    "pack_make",
    "pack_verify",
    "parse_amount",
    "proved",
    "refusals",
    "settled",
    "shared_account",
    "stall",
    "trails",
    "verify",
    "wallet",
]


def __getattr__(name: str) -> Any:
    if name == "messages":
        return importlib.import_module("dchat.client.front.messages")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
