"""A genesis document with an earlier chain's state, written and read piece by piece: no more than one chunk is held.

Every chunk stands in a line of its own, as `dchat database export` writes it and as a tool that indents leaves it. A
document in other lines is read whole, up to the size that a start reads.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from chain.app_state.document import APP_STATE_BYTES_MAX
from chain.app_state.economy import InvalidAppState
from chain.app_state.exported import NAME, Exported, chunk_of, is_exported, read_exported
from consensus.documents.genesis import GenesisDoc, parse_genesis
from consensus.formats.errors import InvalidGenesis
from consensus.formats.json_text import dumps
from consensus.formats.units import MIB
from crypto.hash import sha256
from dchat.export.errors import BadDocument

LINE_BYTES_MAX: Final = 4 * MIB  # a chunk in base64, with its indentation
SMALL_BYTES_MAX: Final = 64 * MIB  # all but the chunks: validators, and 100,000 hashes
CHUNKS, HASHES = '"@chunks@"', '"@hashes@"'  # stand in the text where these go
BEGIN: Final = b'"chunks": ['
ENDS: Final = (b"]", b"],")


@dataclass(frozen=True)
class Document:
    """doc: with a detached state, if it has an earlier chain's. chunks: of that, from the file, each time anew."""

    doc: GenesisDoc
    exported: Exported | None
    chunks: Callable[[], Iterator[bytes]]


class Writes(Protocol):
    def write(self, data: bytes, /) -> object: ...


def write_document(out: Writes, doc: GenesisDoc, exported: Exported, chunks: Iterable[bytes]) -> Exported:
    """exported: without hashes of chunks; returned with them. doc: its app_state is not looked at."""
    value = json.loads(exported.detached)
    value[NAME] = {**value[NAME], "chunks": ["@chunks@"], "chunk_hashes": ["@hashes@"]}
    del value[NAME]["chunk_hashes"]
    value[NAME]["chunk_hashes"] = ["@hashes@"]  # after the chunks, of which they are made
    text = dumps(replace(doc, app_state=json.dumps(value).encode()).to_json(), indent=2)
    rest, end = text.rsplit(HASHES, 1)
    head, between = rest.rsplit(CHUNKS, 1)
    hashes: list[bytes] = []
    out.write(head.encode())
    for chunk in chunks:
        out.write(b"%b%b" % (_next(head, hashes), json.dumps(base64.b64encode(chunk).decode()).encode()))
        hashes.append(sha256(chunk))
    out.write(between.encode())
    indent = rest[rest.rindex("\n") :]
    out.write(f",{indent}".join(f'"{one.hex()}"' for one in hashes).encode())
    out.write(end.encode() + b"\n")
    return exported._replace(manifest=replace(exported.manifest, chunk_hashes=tuple(hashes)))


def _next(head: str, before: list[bytes]) -> bytes:
    return f",{head[head.rindex(chr(10)) :]}".encode() if before else b""


def read_document(path: Path) -> Document:
    """Every chunk is looked at once, and has its hash. Raises BadDocument, OSError."""
    if not path.is_file():
        raise BadDocument(f"{path} is no file: it is read more than once")
    try:
        with path.open("rb") as file:
            found = _read_in_lines(file)
        if found is None:
            return _read_whole(path)
        small, hashes = found
        doc = parse_genesis(small)
        if not is_exported(doc.app_state):
            raise InvalidAppState("app_state: there are chunks, and no exported state that they are of")
        exported = read_exported(doc.app_state)
        if exported.manifest.chunk_hashes != tuple(hashes):
            raise InvalidAppState(
                f"app_state.{NAME}.chunks do not have the hashes that stand for them: the document was changed"
            )
    except (InvalidGenesis, InvalidAppState) as error:
        raise BadDocument(f"{path}: {error}") from error
    return Document(replace(doc, app_state=exported.detached), exported, lambda: _chunks_of(path))


def _read_whole(path: Path) -> Document:
    """Raises InvalidGenesis, InvalidAppState, BadDocument, OSError."""
    if (size := path.stat().st_size) > APP_STATE_BYTES_MAX:
        raise BadDocument(
            f"{path}: {size} bytes, and its chunks do not stand in lines of their own; allowed: {APP_STATE_BYTES_MAX}, "
            "or the lines that `dchat database export` writes (`jq .` makes them)"
        )
    doc = parse_genesis(path.read_bytes())
    if not is_exported(doc.app_state):
        return Document(doc, None, lambda: iter(()))
    exported = read_exported(doc.app_state)
    return Document(replace(doc, app_state=exported.detached), exported, lambda: iter(exported.chunks))


def _read_in_lines(file: BinaryIO) -> tuple[bytes, list[bytes]] | None:
    """The document without its chunks, and their hashes. None: it has not these lines."""
    small: list[bytes] = []
    size, hashes, inside, seen = 0, list[bytes](), False, False
    while line := file.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            return None
        word = line.strip()
        if inside:
            if word in ENDS:
                inside = False
                small[-1] = small[-1].rstrip()[: -len(BEGIN)]  # the field goes with its chunks
                small.append(b"" if word == ENDS[1] else _without_comma(small))
                continue
            hashes.append(sha256(_chunk_in(word, len(hashes))))
            continue
        small.append(line)
        size += len(line)
        if size > SMALL_BYTES_MAX:
            return None
        if word == BEGIN and not seen:
            inside = seen = True
    return (b"".join(small), hashes) if seen and not inside else None


def _without_comma(small: list[bytes]) -> bytes:
    """The chunks were the last field: the comma before them goes."""
    for number in range(len(small) - 1, -1, -1):
        if text := small[number].rstrip():
            small[number] = text.removesuffix(b",")
            break
    return b""


def _chunk_in(word: bytes, number: int) -> bytes:
    text = word.removesuffix(b",").decode("ascii", "replace")
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        raise InvalidAppState(f"app_state.{NAME}.chunks[{number}]: allowed: base64 in quotes, alone in its line")
    return chunk_of(text[1:-1], number, None)


def _chunks_of(path: Path) -> Iterator[bytes]:
    """Once more, as they are used: their hashes are held against the document's by who takes them."""
    inside, number = False, 0
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES_MAX + 1):
            word = line.strip()
            if inside and word in ENDS:
                return
            if inside:
                yield _chunk_in(word, number)
                number += 1
            inside = inside or word == BEGIN
