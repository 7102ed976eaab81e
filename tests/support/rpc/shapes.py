"""Whether two answers have one shape: the same keys, and values of the same kinds in the same forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# Strings whose form says what they are: a client parses them.
FORMS = (
    ("integer", re.compile(r"-?[0-9]+")),
    ("time", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,9})?Z")),
    ("hash", re.compile(r"[0-9A-F]{64}")),
    ("address", re.compile(r"[0-9A-F]{40}")),
)


def kind_of(value: Any) -> str:
    if isinstance(value, str):
        return next((name for name, form in FORMS if form.fullmatch(value)), "text")
    return {dict: "object", list: "list", bool: "truth", int: "number", type(None): "null"}[type(value)]


def differences(
    theirs: Any, ours: Any, where: str = "", *, loose: frozenset[str] = frozenset(), is_ordered: bool = True
) -> Iterator[str]:
    """loose: paths (`a.b[].c`) whose strings are not compared by form: what an application or an operator chooses.
    is_ordered: keys stand in the same order."""
    kinds = kind_of(theirs), kind_of(ours)
    if kinds[0] != kinds[1]:
        is_nil = "null" in kinds and not ({"object", "number", "truth"} & set(kinds))  # a nil slice, or one with items
        is_empty = "text" in kinds and "" in (theirs, ours)
        is_text = where in loose and isinstance(theirs, str) and isinstance(ours, str)
        if not (is_nil or is_empty or is_text):
            yield f"{where}: theirs is {kinds[0]} ({str(theirs)[:60]}), ours {kinds[1]} ({str(ours)[:60]})"
        return
    if isinstance(theirs, dict):
        in_order = list if is_ordered else sorted
        if in_order(theirs) != in_order(ours):
            yield f"{where}: theirs has {list(theirs)}, ours {list(ours)}"
        for name in theirs.keys() & ours.keys():
            yield from differences(
                theirs[name], ours[name], f"{where}.{name}" if where else name, loose=loose, is_ordered=is_ordered
            )
    elif isinstance(theirs, list) and theirs and ours:
        for one in ours:
            yield from differences(theirs[0], one, f"{where}[]", loose=loose, is_ordered=is_ordered)
