"""The hash by which a home knows its genesis again.

Every build must give the same for the same document, also one that renders documents otherwise: it is of the values
alone, in a form that is written down here and nowhere else. A golden test holds it; a change is another FORM.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

from chain.app_state.exported import NAME
from consensus.documents.genesis import GenesisDoc
from crypto.hash import sha256

FORM: Final = b"\x01"  # stands in front of the hash where it is noted
_DOMAIN: Final = b"dchat/genesis/1\n"


class KeptGenesis(GenesisDoc):
    """A document whose `app_state` is read when it is asked for, each time; nothing of it stays in memory.

    digest: as `genesis_digest` gives it.
    """

    __slots__ = ("_read", "digest")

    def __init__(self, head: GenesisDoc, digest: bytes, read: Callable[[], bytes]) -> None:
        for field in fields(head):
            if field.name != "app_state":
                object.__setattr__(self, field.name, getattr(head, field.name))
        object.__setattr__(self, "digest", digest)
        object.__setattr__(self, "_read", read)

    digest: bytes
    _read: Callable[[], bytes]

    @property
    def app_state(self) -> bytes:
        """Raises OSError; InvalidGenesis: the file is another one by now."""
        return self._read()

    def without_app_state(self) -> GenesisDoc:
        head = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "app_state"}
        return GenesisDoc(**head)


def genesis_digest(doc: GenesisDoc) -> bytes:
    """FORM and 32 bytes."""
    if isinstance(doc, KeptGenesis):
        return doc.digest
    return digest_with(doc, sha256(canonical_state(json.loads(doc.app_state)) if doc.app_state else b""))


def canonical_state(app_state: Any) -> bytes:
    """The text whose hash the digest is of."""
    return _canonical(_named(app_state))


def digest_with(doc: GenesisDoc, state_hash: bytes) -> bytes:
    """As `genesis_digest`, of a document whose `app_state` has that hash; of one without it is that of nothing."""
    params = doc.consensus_params
    values = {
        "chain_id": doc.chain_id,
        "genesis_time_ns": doc.genesis_time_ns,
        "initial_height": doc.initial_height,
        "params": [
            params.block.max_bytes, params.block.max_gas, params.evidence.max_age_num_blocks,
            params.evidence.max_age_duration_ns, params.evidence.max_bytes, list(params.validator.pub_key_types),
            params.version.app, params.abci.vote_extensions_enable_height,
        ],
        "validators": [[v.pub_key.type, v.pub_key.bytes.hex(), v.power, v.name] for v in doc.validators],
        "app_hash": doc.app_hash.hex(),
    }  # fmt: skip
    return FORM + sha256(_DOMAIN + _canonical(values) + b"\n" + state_hash)


def _named(app_state: Any) -> Any:
    """An earlier chain's state is named by the hashes of its chunks: with or without these, it is one document."""
    exported = app_state.get(NAME) if isinstance(app_state, dict) else None
    if not isinstance(exported, dict):
        return app_state
    return {**app_state, NAME: {key: value for key, value in exported.items() if key != "chunks"}}


def rendered_digest(doc: GenesisDoc) -> bytes:
    """What builds before FORM noted: of the text that they wrote. Only to know their homes again."""
    return sha256(doc.dumps().encode())


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


__all__ = ["KeptGenesis", "canonical_state", "digest_with", "genesis_digest", "rendered_digest"]
