"""Keys and records in people's words: which store, what kind of record, whose; which of its fields differ."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from chain.kernel.branch import SPACES
from crypto.bech32 import encode_address
from crypto.hash import ADDRESS_BYTES
from dchat.app.composition import compose

TEXT_MAX: Final = 400  # of a field's value
FIELDS_MAX: Final = 64


@cache
def _decoders() -> dict[bytes, Any]:
    return dict(compose().decoders)


def store_of(key: bytes) -> str:
    name, beside = SPACES[key[0]]
    return f"{name}, beside the tree" if beside else name


def kind_of(key: bytes) -> str:
    """Of the record under `key` (with its tag); docs/state.md lists them all."""
    decode = _decoders().get(key[:2])
    record = getattr(decode, "__qualname__", "").partition(".")[0]
    letter = key[:2].decode("ascii", "replace") if key[1:2].isalpha() else key[:1].decode()
    return f"{record} ({letter})" if record and record != "<lambda>" else letter


def name_of(key: bytes) -> str:
    """What of the key is behind its kind: an address as such, else hex."""
    rest = key[2:]
    if len(rest) == ADDRESS_BYTES:
        return encode_address(rest)
    return rest.hex()


def fields_of(key: bytes, value: bytes) -> dict[str, str]:
    """Of the record; empty where its kind keeps plain bytes, or these are none of it. Bytes of anybody."""
    decode = _decoders().get(key[:2])
    if decode is None:
        return {}
    try:
        record = decode(value)
        named: Iterable[str] = getattr(record, "_fields", ()) or getattr(type(record), "__slots__", ())
        named = named or getattr(record, "__dataclass_fields__", ())
        return {name: shown(getattr(record, name)) for name in list(named)[:FIELDS_MAX]}
    except Exception:  # what a liar sent, or a damaged disk, fails anyhow
        return {}


def shown(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}..."
