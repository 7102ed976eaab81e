"""What a file is that was given for another kind: a fault says it in words, and never shows a secret of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

KINDS: Final = {
    "dchat/identity/v1": "an identity file",
    "dchat/account/v1": "an account of several keys",
    "dchat/draft/v1": "a draft of a transaction",
    "dchat/key-proof/v1": "a proof of a key",
}

Pairs = Callable[[list[tuple[str, Any]]], dict[str, Any]]


def document_of(raw: bytes, *types: str, pairs: Pairs | None = None) -> dict[str, Any]:
    """The JSON of a file of one of these types. pairs: makes an object of its fields. Raises ValueError."""
    try:
        document = json.loads(raw, object_pairs_hook=pairs)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or document.get("type") not in types:
        expected = " or ".join(KINDS[kind] for kind in types)
        raise ValueError(f"it is {_what(document)}; expected {expected}")
    return document


def fault_text(error: Exception) -> str:
    """Of what reading a document raises, for a person."""
    if isinstance(error, KeyError):
        return f"the field {error.args[0]} is missing"
    if isinstance(error, TypeError):
        return "a field has another form than it should"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return "it is not JSON"
    return str(error)


def _what(document: object) -> str:
    if not isinstance(document, dict):
        return "JSON, but no object"
    kind = document.get("type")
    if isinstance(kind, str) and kind in KINDS:
        return KINDS[kind]
    if "genesis_time" in document:
        return "a genesis"
    if "priv_key" in document:
        return "a key of a node or a validator"
    if isinstance(kind, str):
        return f"JSON of the type {kind[:64]!r}"
    return "JSON of another kind"
