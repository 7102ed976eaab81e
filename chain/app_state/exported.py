"""An app_state that is the state of an earlier chain at one of its heights: all of its records, and what lies beside
the trees, as they are in a snapshot (`chain.state.snapshot`).

    {"exported": {"format": "1", "chain_id": text, "height": digits, "roots": {store: hex}, "chunks": [base64],
                  "chunk_hashes": [hex]}}

The roots make the app hash that the earlier chain's next header has: whoever knows that header knows whether the
document says the truth. `chunks` may be left out: the hashes name them, so the document is the same one by its
`digest`, and a node whose stores hold that state already needs no more (`dchat database import`).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from chain.app_state.document import APP_STATE_BYTES_MAX
from chain.app_state.economy import InvalidAppState
from chain.state.roots import STORE_NAMES
from chain.state.snapshot import CHUNK_BYTES_MAX, CHUNKS_MAX, FORMAT, Manifest
from consensus.formats.chain_ids import CHAIN_ID_BYTES_MAX
from consensus.formats.json_text import UINT64_MAX
from crypto.hash import HASH_BYTES, sha256

NAME: Final = "exported"
MARK: Final = b'{"exported":'  # how an app_state of this form begins in its compact form
_WHERE: Final = f"app_state.{NAME}"
_FIELDS: Final = ("format", "chain_id", "height", "roots", "chunk_hashes")
_DIGITS: Final = frozenset("0123456789")
_TEXT_MAX: Final = 4 * (CHUNK_BYTES_MAX // 3 + 1)


class Exported(NamedTuple):
    """chain_id: of the earlier chain. manifest: of its height. chunks: all, or none where they are elsewhere."""

    chain_id: str
    manifest: Manifest
    chunks: Sequence[bytes] = ()

    @property
    def detached(self) -> bytes:
        """As an app_state without the chunks."""
        roots = zip(STORE_NAMES, self.manifest.roots, strict=True)
        value = {
            "format": str(FORMAT),
            "chain_id": self.chain_id,
            "height": str(self.manifest.height),
            "roots": {name: root.hex() for name, root in roots},
            "chunk_hashes": [one.hex() for one in self.manifest.chunk_hashes],
        }
        return json.dumps({NAME: value}, ensure_ascii=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> bytes:
        """The same for a document with and without chunks."""
        return sha256(self.detached)


def is_exported(app_state: bytes) -> bool:
    return app_state.startswith(MARK)


def read_exported(app_state: bytes) -> Exported:
    """Of compact JSON, as genesis documents are read. Every chunk has its hash. Raises InvalidAppState."""
    if len(app_state) > APP_STATE_BYTES_MAX:
        raise InvalidAppState(
            f"app_state: {len(app_state)} bytes, allowed: {APP_STATE_BYTES_MAX}; bring a larger state in with "
            "`dchat database import --input FILE`, which reads it piece by piece"
        )
    try:
        root = json.loads(app_state.decode("ascii"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InvalidAppState(f"app_state is no ASCII JSON: {error}") from error
    value = root.get(NAME) if isinstance(root, dict) and list(root) == [NAME] else None
    if not isinstance(value, dict):
        raise InvalidAppState(f"{_WHERE} is no object, or does not stand alone")
    return _read(value)


def _read(value: Mapping[str, Any]) -> Exported:
    if strange := sorted(set(value) - {"chunks"} ^ set(_FIELDS)):
        allowed = ", ".join((*_FIELDS, "chunks"))
        raise InvalidAppState(f"{_WHERE}.{strange[0][:40]}: unknown or missing; allowed: {allowed}")
    if value["format"] != str(FORMAT):
        raise InvalidAppState(f"{_WHERE}.format: this build reads {FORMAT} alone")
    chain_id = value["chain_id"]
    if not isinstance(chain_id, str) or not 0 < len(chain_id) <= CHAIN_ID_BYTES_MAX:
        raise InvalidAppState(f"{_WHERE}.chain_id: allowed: a text of 1 to {CHAIN_ID_BYTES_MAX} characters")
    height, roots, hashes = value["height"], value["roots"], value["chunk_hashes"]
    is_number = isinstance(height, str) and 0 < len(height) <= 20 and _DIGITS.issuperset(height)
    if not is_number or not 0 < int(height) <= UINT64_MAX or str(int(height)) != height:
        raise InvalidAppState(f"{_WHERE}.height: allowed: digits of 1 and more")
    if not isinstance(roots, dict) or sorted(roots) != sorted(STORE_NAMES):
        raise InvalidAppState(f"{_WHERE}.roots: allowed: an object of {', '.join(STORE_NAMES)}")
    if not isinstance(hashes, list) or not 0 < len(hashes) <= CHUNKS_MAX:
        raise InvalidAppState(f"{_WHERE}.chunk_hashes: allowed: a list of 1 to {CHUNKS_MAX}")
    manifest = Manifest(
        int(height),
        tuple(_hash(f"{_WHERE}.roots.{name}", roots[name]) for name in STORE_NAMES),
        tuple(_hash(f"{_WHERE}.chunk_hashes[{number}]", one) for number, one in enumerate(hashes)),
    )
    if "chunks" not in value:
        return Exported(chain_id, manifest)
    chunks = value["chunks"]
    if not isinstance(chunks, list) or len(chunks) != len(hashes):
        raise InvalidAppState(f"{_WHERE}.chunks: allowed: a list of {len(hashes)}, as many as there are chunk_hashes")
    return Exported(chain_id, manifest, tuple(_chunks(chunks, manifest)))


def _chunks(texts: Sequence[object], manifest: Manifest) -> Iterator[bytes]:
    for number, text in enumerate(texts):
        yield chunk_of(text, number, manifest.chunk_hashes[number])


def chunk_of(text: object, number: int, expected: bytes | None) -> bytes:
    """The chunk that stands in a document as `text`. expected: its hash, if that is known. Raises InvalidAppState."""
    where = f"{_WHERE}.chunks[{number}]"
    if not isinstance(text, str) or len(text) > _TEXT_MAX:
        raise InvalidAppState(f"{where}: allowed: base64 of 1 to {CHUNK_BYTES_MAX} bytes")
    try:
        chunk = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidAppState(f"{where} is no base64") from None
    if not 0 < len(chunk) <= CHUNK_BYTES_MAX:
        raise InvalidAppState(f"{where}: {len(chunk)} bytes; allowed: 1 to {CHUNK_BYTES_MAX} bytes")
    if expected is not None and sha256(chunk) != expected:
        raise InvalidAppState(f"{where} does not have the hash that stands for it: the document was changed or damaged")
    return chunk


def _hash(where: str, text: object) -> bytes:
    if isinstance(text, str) and len(text) == 2 * HASH_BYTES:
        try:
            found = bytes.fromhex(text)
            if found.hex() == text:
                return found
        except ValueError:
            pass
    raise InvalidAppState(f"{where}: allowed: {2 * HASH_BYTES} digits of lower-case hex")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidAppState("app_state: a name stands twice in an object")
    return found


__all__ = ["MARK", "NAME", "Exported", "chunk_of", "is_exported", "read_exported"]
