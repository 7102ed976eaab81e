"""A home knows its genesis again, whatever build looks at it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from consensus.documents.genesis import GenesisDoc, GenesisValidator, parse_genesis
from consensus.types.params import BlockParams, ConsensusParams
from crypto.keys import Ed25519PrivKey
from genesis.digest import genesis_digest, rendered_digest

KEY = Ed25519PrivKey.from_seed(bytes(32)).pub_key
DOC = GenesisDoc(
    "golden-1", 1_700_000_000_000_000_000, 7, ConsensusParams(), (GenesisValidator(KEY, 3, "né"),), b"\x05",
    b'{"b":{"d":"1","c":[2,"\xc3\xa9"]},"a":null}',
)  # fmt: skip
GOLDEN = "0159bc68f94e8bb26fadca3f26d5672cb379b72107b3a7c1cc19d30325297ac055"


def test_no_build_may_give_another_hash_for_the_same_document() -> None:
    """It is noted in every home and backup: where it changed, a build would refuse its own databases."""
    assert genesis_digest(DOC).hex() == GOLDEN


def test_how_the_file_is_written_does_not_matter() -> None:
    again = parse_genesis(DOC.dumps())
    assert genesis_digest(again) == genesis_digest(DOC)
    assert genesis_digest(replace(DOC, app_state=b'{"a":null,"b":{"c":[2,"\\u00e9"],"d":"1"}}')) == genesis_digest(DOC)
    assert rendered_digest(again) == rendered_digest(DOC)


OTHERS: dict[str, Callable[[GenesisDoc], Any]] = {
    "chain_id": lambda doc: "golden-2",
    "genesis_time_ns": lambda doc: doc.genesis_time_ns + 1,
    "initial_height": lambda doc: 8,
    "consensus_params": lambda doc: ConsensusParams(block=BlockParams(max_gas=5)),
    "validators": lambda doc: (GenesisValidator(KEY, 4, "né"),),
    "app_hash": lambda doc: b"\x06",
    "app_state": lambda doc: doc.app_state.replace(b"1", b"2"),
}


def test_no_field_was_left_out() -> None:
    assert set(OTHERS) == {field.name for field in fields(GenesisDoc)}


@pytest.mark.parametrize("field", OTHERS)
def test_every_value_counts(field: str) -> None:
    other = replace(DOC, **{field: OTHERS[field](DOC)})
    assert genesis_digest(other) != genesis_digest(DOC)
