"""A large genesis document read in pieces, so that neither its text nor its objects are in memory at once.

What is long in `app_state`, the accounts of a chain or the chunks of an earlier one's state, is read element by element
and kept as the compact text that the application is given. What `parse_genesis` makes of the whole text is the
reference: this gives the same document, or leaves it to that, with its errors, whatever is unusual.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

from consensus.documents.genesis import GenesisDoc, genesis_from_json
from consensus.formats.errors import Malformed
from consensus.formats.units import MIB
from genesis.digest import canonical_state, digest_with

READ_BYTES: Final = MIB
BATCH: Final = 1_000  # elements that are made into text together; an array of no more is kept as it is
DEPTH_MAX: Final = 24  # half of what a document may have: what is deeper is left to the reference

Progress = Callable[[int], None]  # told of the bytes that were read so far


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Unusual(Malformed):
    """This document is not one that is read in pieces."""

    def __init__(self) -> None:
        super().__init__("genesis: to be read whole")


class Read(NamedTuple):
    """digest: as `genesis_digest` gives it."""

    doc: GenesisDoc
    digest: bytes


class _Text:
    """The text of a file, of which only what is being read is in memory."""

    def __init__(self, file: Source, progress: Progress) -> None:
        self._file, self._progress = file, progress
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._read = 0
        self._text, self._at = "", 0
        self._decode = json.JSONDecoder(parse_constant=_refuse).raw_decode

    def _more(self) -> bool:
        """As much again as is not read yet, so that a long value is not looked at too often."""
        piece = self._file.read(max(READ_BYTES, len(self._text) - self._at))
        self._read += len(piece)
        self._progress(self._read)
        self._text = self._text[self._at :] + self._decoder.decode(piece, final=not piece)
        self._at = 0
        return bool(piece)

    def next_char(self) -> str:
        """The first that is no white space, which is not read by it; empty at the end."""
        while True:
            while self._at < len(self._text) and (char := self._text[self._at]) in " \n\t\r":
                self._at += 1
            if self._at < len(self._text):
                return char
            if not self._more():
                return ""

    def take(self, allowed: str) -> str:
        """The next character, which has to be one of these."""
        char = self.next_char()
        if not char or char not in allowed:
            raise _Unusual
        self._at += 1
        return char

    def value(self) -> Any:
        """The next one, whole."""
        self.next_char()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except (ValueError, RecursionError):
                if self._more():
                    continue
                raise _Unusual from None
            length = end - self._at
            if len(self._text) - end <= 2 and self._more():
                continue  # a number may go on, behind `.` or `e+`
            self._at += length
            return value


class _Long:
    """The elements of a long array as text. In the tree its `name` stands for it."""

    def __init__(self, number: int) -> None:
        self.name = f"\x00{number}\x00"
        self.compact: list[bytes] = []
        self.canonical: list[bytes] = []

    def add(self, elements: list[Any]) -> None:
        comma = b"," if self.compact else b""
        compact = comma + _COMPACT(elements)[1:-1].encode()
        canonical = comma + _CANONICAL(elements)[1:-1].encode()
        self.compact.append(compact)
        self.canonical.append(compact if compact == canonical else canonical)  # of ours they are the same


_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_CANONICAL: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode


def read_genesis(file: Source, *, default_time_ns: int, progress: Progress = lambda read: None) -> Read | None:
    """The document, with `app_state` as `parse_genesis` gives it; None, when that has to read it.

    Raises InvalidGenesis.
    """
    text = _Text(file, progress)
    long: list[_Long] = []
    try:
        root = _object(text, lambda name: _state(text, long, 1) if name == "app_state" else text.value())
        if text.next_char():
            raise _Unusual
        if _depth(root) > DEPTH_MAX:
            raise _Unusual
        head = genesis_from_json({**root, "app_state": None}, default_time_ns)
        head.validate()
        state = root.get("app_state")
        hash_, compact = hashlib.sha256(), io.BytesIO()
        if state is None:
            return Read(head, digest_with(head, hash_.digest()))
        for piece in _pieces(canonical_state(state), [(one.name, one.canonical) for one in long]):
            hash_.update(piece)
        for piece in _pieces(_COMPACT(state).encode(), [(one.name, one.compact) for one in long], let_go=True):
            compact.write(piece)
    except (Malformed, UnicodeError, RecursionError):
        return None
    return Read(replace(head, app_state=compact.getvalue()), digest_with(head, hash_.digest()))


def _object(text: _Text, read: Callable[[str], Any]) -> dict[str, Any]:
    """read: the value of a name."""
    text.take("{")
    found: dict[str, Any] = {}
    if text.next_char() == "}":
        text.take("}")
        return found
    while True:
        if text.next_char() != '"':
            raise _Unusual
        name = text.value()
        text.take(":")
        found[name] = read(name)
        if text.take(",}") == "}":
            return found


def _state(text: _Text, long: list[_Long], depth: int) -> Any:
    """A value in which long arrays are of names that stand for them."""
    if depth > DEPTH_MAX:
        raise _Unusual
    match text.next_char():
        case "{":
            return _object(text, lambda name: _state(text, long, depth + 1))
        case "[":
            return _array(text, long)
        case _:
            return text.value()


def _array(text: _Text, long: list[_Long]) -> Any:
    text.take("[")
    if text.next_char() == "]":
        text.take("]")
        return []
    spilled: _Long | None = None
    batch: list[Any] = []
    while True:
        batch.append(text.value())
        is_last = text.take(",]") == "]"
        if is_last and spilled is None:
            return batch
        if is_last or len(batch) == BATCH:
            if _depth(batch) > DEPTH_MAX:
                raise _Unusual
            if spilled is None:
                spilled = _Long(len(long))
                long.append(spilled)
            spilled.add(batch)
            batch = []
        if is_last:
            assert spilled is not None
            return [spilled.name]


def _depth(value: Any) -> int:
    """Levels of objects and arrays; no more than one above DEPTH_MAX are counted."""
    level, depth = [value], 0
    while level and depth <= DEPTH_MAX:
        depth += 1
        level = [
            child
            for one in level
            if isinstance(one, (dict, list))
            for child in (one.values() if isinstance(one, dict) else one)
            if isinstance(child, (dict, list))
        ]
    return depth


def _pieces(text: bytes, long: list[tuple[str, list[bytes]]], *, let_go: bool = False) -> Iterator[bytes]:
    """`text` with what the names in it stand for. let_go: of each piece once it was given."""
    places = []
    for name, pieces in long:
        token = _CANONICAL(name).encode()
        if token not in text:
            continue  # of what a document says twice, or of what does not count
        if text.count(token) != 1:
            raise _Unusual  # a document that speaks of it
        places.append((text.index(token), len(token), pieces))
    at = 0
    for start, length, pieces in sorted(places, key=lambda place: place[0]):
        yield text[at:start]
        for number, piece in enumerate(pieces):
            yield piece
            if let_go:
                pieces[number] = b""
        at = start + length
    yield text[at:]


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


__all__ = ["Progress", "Read", "Source", "read_genesis"]
