"""A document that is read in pieces is the one that `parse_genesis` makes of the whole text, or is left to that."""

from __future__ import annotations

import io
import json
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consensus.documents.genesis import GenesisDoc, parse_genesis
from consensus.formats.errors import InvalidGenesis
from crypto.bech32 import encode_address
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from genesis import reading
from genesis.build import build_genesis, stake_of
from genesis.digest import genesis_digest
from genesis.reading import read_genesis

NOW_NS = 1_700_000_000 * 10**9
HEAD = {"chain_id": "pieces-1", "genesis_time": "2026-01-02T03:04:05Z"}

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
    st.sampled_from(["\x000\x00", "\x001\x00", "\\u00000\\u0000", "ä\u2028\U0001f600", '"', "]", "},{"]),
)  # fmt: skip
NAMES = st.one_of(st.sampled_from(["app_state", "exported", "chunks", "accounts", "b", "a"]), st.text(max_size=3))
STATES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=12), st.dictionaries(NAMES, inner, max_size=4))
)


def read(text: str | bytes, **kinds: Any) -> tuple[GenesisDoc, bytes] | None:
    data = text.encode() if isinstance(text, str) else text
    found = read_genesis(io.BytesIO(data), default_time_ns=NOW_NS, **kinds)
    return None if found is None else (found.doc, found.digest)


def reference(text: str | bytes) -> tuple[GenesisDoc, bytes]:
    doc = parse_genesis(text, default_time_ns=NOW_NS)
    return doc, genesis_digest(doc)


@given(
    state=STATES,
    indent=st.sampled_from([None, 0, 2]),
    piece=st.integers(1, 40),
    batch=st.integers(1, 4),
    reverse=st.booleans(),
)
@example(state={"accounts": [{"a": 1}] * 9 + ["\x000\x00"]}, indent=None, piece=7, batch=2, reverse=False)
@example(state={"accounts": [1, 2, 3], "b": "\x000\x00"}, indent=None, piece=7, batch=2, reverse=False)
@example(state={"exported": {"chunks": ["x"] * 9, "a": 1}}, indent=2, piece=3, batch=2, reverse=True)
def test_any_state_is_read_as_the_whole_text_is(
    state: object, indent: int | None, piece: int, batch: int, reverse: bool
) -> None:
    members = [*HEAD.items(), ("app_state", state)]
    text = json.dumps(dict(reversed(members) if reverse else members), indent=indent, ensure_ascii=piece % 2 == 0)
    try:
        expected = reference(text)
    except UnicodeEncodeError:  # half of a surrogate pair
        assert read(text.encode(errors="surrogatepass")) is None
        return
    with patch.object(reading, "READ_BYTES", piece), patch.object(reading, "BATCH", batch):
        found = read(text)
    assert found == expected or (found is None and "\\u0000" in text)


@given(st.text(alphabet='{}[]",:01.e-nulltrue \n\\x00aä', max_size=60))
def test_what_is_no_document_is_never_taken_for_one(text: str) -> None:
    whole = '{"chain_id":"pieces-1","app_state":' + text
    try:
        expected = reference(whole)
    except InvalidGenesis:
        assert read(whole) is None
        return
    assert read(whole) in (expected, None)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"chain_id":"x","app_state":[1,2]} x', id="more behind it"),
        pytest.param('{"chain_id":"x","app_state":[1,2', id="cut"),
        pytest.param('{"chain_id":"x","app_state":[1 2]}', id="no comma"),
        pytest.param('{"chain_id":"x","app_state":[NaN]}', id="no number"),
        pytest.param('\ufeff{"chain_id":"x","app_state":[1]}', id="a mark in front"),
        pytest.param('{"chain_id":"x","app_state":' + "[" * 70 + "]" * 70 + "}", id="too deep"),
        pytest.param('{"chain_id":"x","app_state":[' + "[" * 70 + "]" * 70 + "]}", id="an element too deep"),
        pytest.param('{"chain_id":"x","app_state":{1:2}}', id="a name that is none"),
        pytest.param(b'{"chain_id":"x","app_state":["\xff"]}', id="no UTF-8"),
        pytest.param('{"chain_id":["x"],"app_state":[]}', id="a head that is none"),
        pytest.param("[]", id="no object"),
    ],
)
def test_what_is_unusual_is_left_to_the_reference(text: str | bytes) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"chain_id":"x","app_state":[1,2,3,4,5],"app_state":{"b":[6,7,8,9],"a":1}}', id="said twice"),
        pytest.param('{"chain_id":"x","app_state":{"a":[1,2,3,4],"b":1,"a":[5,6,7,8]}}', id="a name twice"),
        pytest.param('{"chain_id":"x","app_state":null}', id="null"),
        pytest.param('{"chain_id":"x"}', id="none"),
        pytest.param('{"chain_id":"x","app_state":{}}', id="empty"),
    ],
)
def test_names_count_as_they_do_for_the_whole(text: str) -> None:
    with patch.object(reading, "BATCH", 2):
        assert read(text) == reference(text)


def test_a_document_of_many_accounts_is_told_of_as_it_is_read() -> None:
    key = Ed25519PrivKey.from_seed(b"v" * 32).pub_key.bytes
    balances = {sha256(b"%d" % number)[:20]: 1 + number for number in range(3_500)}
    text = build_genesis(
        chain_id="kept-1", time_ns=NOW_NS, stakes=[stake_of(b"o" * 20, key, 1_000, moniker="zoë")], balances=balances
    ).dumps()
    told: list[int] = []
    with patch.object(reading, "READ_BYTES", 10_000):
        found = read(text, progress=told.append)
    assert found == reference(text)
    assert found is not None
    assert encode_address(max(balances)).encode() in found[0].app_state
    assert told == sorted(told)
    assert told[-1] == len(text.encode())
    assert len(told) > 10


def test_a_wrong_head_has_the_same_error() -> None:
    text = json.dumps({"chain_id": "x" * 99, "app_state": {"accounts": list(range(5_000))}})
    with pytest.raises(InvalidGenesis) as whole:
        parse_genesis(text)
    with pytest.raises(InvalidGenesis) as pieces:
        read(text)
    assert str(pieces.value) == str(whole.value)
