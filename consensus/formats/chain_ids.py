"""What a chain may be called: one rule for those that begin, another for those that exist.

A name goes into signatures, files and terminals. CometBFT bounds it at 50 bytes and nothing else, so a chain of others
may have any name and is read as it is; where a person types one it can be shown, and a new chain's is plain.
Source: CometBFT v0.38, types/genesis.go, MaxChainIDLen.
"""

from __future__ import annotations

import re
from typing import Final

CHAIN_ID_BYTES_MAX: Final = 50
SHOWN_MAX: Final = 60  # characters of a wrong one

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}", re.ASCII)
assert CHAIN_ID_BYTES_MAX == 50  # as the pattern has it


def chain_id_flaw(text: str) -> str:
    """Why no chain that a person names can be called so; empty: one can."""
    size = len(text.encode(errors="surrogatepass"))
    if not 0 < size <= CHAIN_ID_BYTES_MAX:
        return f"the chain id {_shown(text)} has {size} bytes; allowed: 1 to {CHAIN_ID_BYTES_MAX}"
    if not text.isprintable():
        return f"the chain id {_shown(text)} has characters that cannot be shown; allowed: those that can"
    return ""


def new_chain_id_flaw(text: str) -> str:
    """Why no new chain may be called so; empty: it may."""
    if _PLAIN.fullmatch(text):
        return ""
    return (
        f"no new chain is called {_shown(text)}; allowed: 1 to {CHAIN_ID_BYTES_MAX} letters (a-z, A-Z), digits and "
        ". _ -, a letter or a digit first"
    )


def _shown(text: str) -> str:
    return ascii(text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "...")
