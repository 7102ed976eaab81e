"""What the files of this room have, together, for the chat machine."""

from __future__ import annotations

from collections.abc import Iterator

from chain.chat.identities import names
from chain.kernel.branch import Readable, Scan


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    yield from names.invariants(state, scan)
