"""The optional native part (native/, Rust): the one place that imports it, and its switch.

Without it, or with DCHAT_NODE__NATIVE=off, all of it is done in Python, which is the reference: both give the same
answers, so that nodes with it and without agree (tests/crypto/test_native.py). Whoever has something to be done asks
`is_used`.
Source: docs/native.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dchat_native import RecordCache as RecordCache  # noqa: PLC0414 - for the stores
    from dchat_native import TreeUpdate as TreeUpdate  # noqa: PLC0414

try:
    import dchat_native as _built
except ImportError:
    _built = None  # type: ignore[assignment]  # whoever calls has asked `is_used`

FORM: Final = 5  # of what is built: another one is not used
VARIABLE: Final = "DCHAT_NODE__NATIVE"  # of any process of ours; a node has it as the option [node] native, too
OFF: Final = frozenset({"off", "false", "no", "0", "f", "n"})  # what options take for false


def _fits() -> bool:
    return _built is not None and getattr(_built, "FORM", 0) == FORM


_used = _fits() and os.environ.get(VARIABLE, "").strip().lower() not in OFF


def is_used() -> bool:
    """Whether it is built, fits this tree, and is not switched off."""
    return _used


def switch(on: bool) -> None:
    """Use it where it is there, or do not."""
    global _used  # noqa: PLW0603 - one switch for the process: results do not depend on it
    _used = on and _fits()


def state() -> str:
    """`on`, or why not, for people."""
    if _used:
        return "on"
    if _fits():
        return "off"
    return "not built" if _built is None else "built from another tree: scripts/env builds it again"


def verify_batch(checks: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """For each (public key, message, signature) whether the Ed25519 signature holds by ZIP-215, in order.

    What has a wrong size does not hold. Releases the GIL once, for all.
    """
    return _built.verify_batch(checks)


def check_page(content: bytes) -> tuple[bytes, bool]:
    """(root, whether it is what `chain.state.smt` writes for this page) of a page's record. Raises ValueError."""
    return _built.check_page(content)


def undo_runs(prefix: bytes, replaced: Sequence[tuple[bytes, bytes | None]]) -> list[tuple[bytes, bytes | None]]:
    """What `chain.state.layout.UndoRuns.add` makes of them."""
    return _built.undo_runs(prefix, replaced)


def record_cache(bytes_max: int) -> RecordCache:
    """Holds records of the stores, and for `tree_update` their pages, as the last commit left them."""
    return _built.RecordCache(bytes_max)


def tree_update(prefix: bytes, version: bytes, *, is_whole: bool) -> TreeUpdate:
    """One update of a tree of `chain.state.smt`, in steps, for records as `chain.state.layout` lays them.

    prefix: 2 bytes, of the keys of the store's pages. version: 8 bytes, in front of new records. is_whole: what is
    replaced is kept whole, not as a delta.
    """
    return _built.TreeUpdate(prefix, version, is_whole)
