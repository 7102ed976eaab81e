"""A home's genesis at a later start: known by its hash, without being read through again.

A document of a million accounts takes seconds and hundreds of MB to parse, and after the first block only its head is
asked for. The first start of a node leaves a note beside its databases: the file's size and SHA-256, the digest by
which the databases know it, and the document without `app_state`. A file that still has that hash is the one that was
read and found valid; the note itself carries a checksum, and one that does not fit is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import structlog

from consensus.documents.genesis import GenesisDoc, parse_genesis
from consensus.formats.errors import InvalidGenesis
from consensus.formats.units import MIB
from consensus.system.files import replace_durably
from genesis.digest import KeptGenesis, genesis_digest
from genesis.reading import Progress, read_genesis

KEPT_BYTES_MIN: Final = MIB  # what is smaller is read in no time
NOTE_BYTES_MAX: Final = 64 * MIB  # validators without end
_FORM: Final = 1
_READ_BYTES: Final = MIB
_TOLD_BYTES: Final = 32 * MIB  # a line each second or two

log = structlog.get_logger(__name__)


class _Read(NamedTuple):
    """What is known of a file once it was read. head: the document without `app_state`."""

    size: int
    hash: str
    digest: bytes
    head: GenesisDoc


_last: dict[Path, _Read] = {}  # one at most: a first start looks at its document several times before it notes it


def load_kept(path: Path, note: Path, *, default_time_ns: int, bytes_min: int = KEPT_BYTES_MIN) -> GenesisDoc:
    """The document at `path`; its head alone where `note` knows the file, or this process read it before.

    Raises OSError, InvalidGenesis.
    """
    if path.stat().st_size < bytes_min:
        return parse_genesis(path.read_bytes(), default_time_ns=default_time_ns)
    if (kept := _known(path, note)) is not None:
        return kept
    if (read := _again(path)) is not None:
        return _kept(path, read)
    doc, read = _look(path, default_time_ns)
    _last.clear()
    _last[path] = read
    return doc


def keep(path: Path, note: Path, *, default_time_ns: int, bytes_min: int = KEPT_BYTES_MIN) -> GenesisDoc:
    """As `load_kept`; a large document that is not known yet is noted. The note is a help: where it cannot be written
    the document is read through again next time."""
    if path.stat().st_size < bytes_min:
        return load_kept(path, note, default_time_ns=default_time_ns, bytes_min=bytes_min)
    if (kept := _known(path, note)) is not None:
        return kept
    read = _again(path) or _look(path, default_time_ns)[1]
    told = {
        "form": _FORM, "size": read.size, "sha256": read.hash, "digest": read.digest.hex(),
        "document": read.head.to_json(),
    }  # fmt: skip
    body = json.dumps(told, separators=(",", ":"))
    with contextlib.suppress(OSError):
        replace_durably(note, f"{hashlib.sha256(body.encode()).hexdigest()}\n{body}\n")
    return _kept(path, read)


def _again(path: Path) -> _Read | None:
    """What this process read before, if the file has that hash still."""
    read = _last.get(path)
    if read is None or read.size != path.stat().st_size or read.hash != _hash_of_file(path):
        return None
    return read


def _look(path: Path, default_time_ns: int) -> tuple[GenesisDoc, _Read]:
    log.info("reading the genesis", file=str(path), mib=path.stat().st_size // MIB)
    doc, digest, size, hash_ = _read(path, default_time_ns, _Told())
    return doc, _Read(size, hash_, digest, doc.without_app_state())


def _kept(path: Path, read: _Read) -> KeptGenesis:
    return KeptGenesis(read.head, read.digest, lambda: _app_state(path, read.hash, read.head))


def _known(path: Path, note: Path) -> KeptGenesis | None:
    told = _read_note(note)
    if told is None or told["size"] != path.stat().st_size or told["sha256"] != _hash_of_file(path):
        return None
    head = parse_genesis(json.dumps(told["document"]))
    return KeptGenesis(head, bytes.fromhex(told["digest"]), lambda: _app_state(path, told["sha256"], head))


def _read_note(note: Path) -> dict[str, Any] | None:
    try:
        if note.stat().st_size > NOTE_BYTES_MAX:
            return None
        checksum, _, body = note.read_text().rstrip("\n").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if hashlib.sha256(body.encode()).hexdigest() != checksum:
        return None
    told: dict[str, Any] = json.loads(body)
    return told if told.get("form") == _FORM else None


def _hash_of_file(path: Path) -> str:
    """Read through in pieces."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            found.update(piece)
    return found.hexdigest()


def _app_state(path: Path, hash_: str, head: GenesisDoc) -> bytes:
    doc, _, _, found = _read(path, head.genesis_time_ns, lambda read: None)
    if found != hash_:
        raise InvalidGenesis(f"{path}: it was replaced since this node started")
    return doc.app_state


class _Told:
    """Says in the log how far the reading is."""

    def __init__(self) -> None:
        self._next = _TOLD_BYTES

    def __call__(self, read: int) -> None:
        if read >= self._next:
            log.info("reading the genesis", mib=read // MIB)
            self._next += _TOLD_BYTES


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.hash, self.size = hashlib.sha256(), 0

    def read(self, size: int = -1, /) -> bytes:
        piece = self._file.read(size)
        self.hash.update(piece)
        self.size += len(piece)
        return piece


def _read(path: Path, default_time_ns: int, progress: Progress) -> tuple[GenesisDoc, bytes, int, str]:
    """(document, its digest, the file's size and SHA-256). Raises OSError, InvalidGenesis."""
    with path.open("rb") as opened:
        file = _Hashed(opened)
        if (read := read_genesis(file, default_time_ns=default_time_ns, progress=progress)) is not None:
            return read.doc, read.digest, file.size, file.hash.hexdigest()
        opened.seek(0)
        text = opened.read()
    doc = parse_genesis(text, default_time_ns=default_time_ns)
    return doc, genesis_digest(doc), len(text), hashlib.sha256(text).hexdigest()


__all__ = ["KEPT_BYTES_MIN", "keep", "load_kept"]
