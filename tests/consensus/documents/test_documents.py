"""Parameters, genesis documents, key and sign-state files, JSON, and the state record: data sheet 6, 12 to 14."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.documents import json as cj
from consensus.documents.files import (
    SignState,
    format_node_key,
    format_sign_state,
    format_validator_key,
    node_id,
    parse_node_key,
    parse_sign_state,
    parse_validator_key,
)
from consensus.documents.genesis import parse_genesis
from consensus.formats.errors import InvalidFile, InvalidGenesis, InvalidParams, InvalidValidators, Malformed
from consensus.formats.json_text import dumps
from consensus.state.state import State, check_validator_updates, next_block_state
from consensus.types.params import (
    ABCIParams,
    BlockParams,
    ConsensusParams,
    EvidenceParams,
    ValidatorParams,
    VersionParams,
)
from consensus.types.validators import TOTAL_POWER_MAX
from crypto.hash import sha256
from crypto.keys import Secp256k1PrivKey
from proto.tendermint.types import params_pb2
from tests.support.types.builders import DATA, Signers, key, two_blocks

RECORDED = DATA / "recorded" / "four-validators"

# -------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    "params",
    [
        ConsensusParams(block=BlockParams(max_bytes=0)),
        ConsensusParams(block=BlockParams(max_bytes=-2)),
        ConsensusParams(block=BlockParams(max_bytes=104_857_601)),
        ConsensusParams(block=BlockParams(max_gas=-2)),
        ConsensusParams(evidence=EvidenceParams(max_age_num_blocks=0)),
        ConsensusParams(evidence=EvidenceParams(max_age_duration_ns=0)),
        ConsensusParams(evidence=EvidenceParams(max_bytes=-1)),
        ConsensusParams(block=BlockParams(max_bytes=100), evidence=EvidenceParams(max_bytes=101)),
        ConsensusParams(validator=ValidatorParams(())),
        ConsensusParams(validator=ValidatorParams(("sr25519",))),
        ConsensusParams(abci=ABCIParams(-1)),
    ],
    ids=str,
)
def test_parameters_out_of_range(params: ConsensusParams) -> None:
    with pytest.raises(InvalidParams, match="allowed"):
        params.validate()


@pytest.mark.parametrize(
    "params",
    [
        ConsensusParams(),
        ConsensusParams(block=BlockParams(-1, -1), evidence=EvidenceParams(max_bytes=104_857_600)),
        ConsensusParams(BlockParams(1, 0), EvidenceParams(1, 1, 0), ValidatorParams(("secp256k1",)), VersionParams(9)),
    ],
)
def test_parameters_in_range_read_back(params: ConsensusParams) -> None:
    params.validate()
    assert ConsensusParams.decode(params.encode()) == params
    assert cj.params_from_json(cj.params_json(params), "params") == params


def test_updates_replace_whole_sections() -> None:
    update = params_pb2.ConsensusParams(block=params_pb2.BlockParams(max_bytes=5))
    updated = ConsensusParams(version=VersionParams(3)).updated(update)
    assert updated == ConsensusParams(block=BlockParams(5, 0), version=VersionParams(3))
    with pytest.raises(Malformed):
        ConsensusParams.decode(b"\xff")


@pytest.mark.parametrize(
    ("old", "new", "height", "fine"),
    [
        (0, 0, 5, True),
        (0, 6, 5, True),
        (0, 5, 5, False),
        (0, 1, 5, False),
        (7, 0, 5, True),
        (7, 9, 5, True),
        (7, 6, 5, True),
        (7, 5, 5, False),
        (5, 5, 5, True),
        (5, 0, 5, False),
        (5, 9, 5, False),
    ],
)
def test_when_vote_extensions_may_change(old: int, new: int, height: int, fine: bool) -> None:
    """ASA-2024-001: a change of the height that was not checked crashed nodes."""
    params, updated = (ConsensusParams(abci=ABCIParams(h)) for h in (old, new))
    if fine:
        params.validate_update(updated, height)
    else:
        with pytest.raises(InvalidParams):
            params.validate_update(updated, height)
    assert ABCIParams(5).extensions_enabled(5)
    assert not ABCIParams(5).extensions_enabled(4)
    assert not ABCIParams(0).extensions_enabled(4)


# ------------------------------------------------------------------------------------------------------ genesis

GENESIS: dict[str, Any] = json.loads((RECORDED / "genesis.json").read_text())


def changed(path: str, value: Any) -> str:
    doc = json.loads(json.dumps(GENESIS))
    at, *rest = path.split(".")
    target: Any = doc
    while rest:
        target = target[int(at) if at.isdigit() else at]
        at, *rest = rest
    target[int(at) if at.isdigit() else at] = value
    return json.dumps(doc)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("chain_id", "", "chain_id"),
        ("chain_id", "x" * 51, "chain_id has 51 bytes; allowed: 1 to 50"),
        ("chain_id", "\ud800", "surrogate"),
        ("chain_id", 5, "chain_id is an integer, expected a string"),
        ("initial_height", "-1", "initial_height is -1; allowed: 1 to"),
        ("initial_height", 1, "initial_height is an integer, expected an integer written as a string"),
        ("genesis_time", "yesterday", "genesis_time"),
        ("validators.2.power", "-5", rf"validators\[2\].power is -5; allowed: 1 to {TOTAL_POWER_MAX}"),
        ("validators.2.power", "0", r"validators\[2\].power is 0"),
        ("validators.2.power", str(TOTAL_POWER_MAX), "total voting power"),
        ("validators.2.power", "9" * 19, r"validators\[2\].power is 9{19}; allowed"),
        ("validators.1.address", "00" * 20, r"validators\[1\].address"),
        ("validators.1.address", "xyz", r"validators\[1\].address"),
        ("validators.1.pub_key.type", "x", r"validators\[1\].pub_key.type is 'x'; allowed"),
        ("validators.1.pub_key.value", "AAAA", r"validators\[1\].pub_key"),
        ("validators.1.pub_key.value", "!", r"validators\[1\].pub_key.value"),
        ("validators.1", {**GENESIS["validators"][0]}, "twice"),
        ("validators", {}, "validators is an object, expected a list"),
        ("consensus_params.block.max_bytes", "0", "consensus_params.block.max_bytes is 0; allowed"),
        ("consensus_params.validator.pub_key_types", [1], r"pub_key_types\[0\]"),
        ("app_hash", "0", "app_hash"),
    ],
)
def test_genesis_errors_name_the_field_and_what_is_allowed(path: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidGenesis, match=message):
        parse_genesis(changed(path, value))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a":NaN}', "[" * 100_000, '{"a":' * 100 + "1" + "}" * 100])
def test_texts_that_are_no_genesis(text: str) -> None:
    """SDK 2024-012: deep nesting ends in an error, not in the end of the stack."""
    with pytest.raises(InvalidGenesis):
        parse_genesis(text)


def test_genesis_is_completed_and_reads_back() -> None:
    doc = parse_genesis('{"chain_id":"c","app_state":{"b":1,"a":"<é>"}}', default_time_ns=5)
    assert (doc.genesis_time_ns, doc.initial_height, doc.consensus_params) == (5, 1, ConsensusParams())
    assert doc.app_state == '{"b":1,"a":"<é>"}'.encode()
    assert parse_genesis(doc.dumps()) == doc
    assert "\\u003c" in doc.dumps()
    with pytest.raises(InvalidGenesis, match="genesis_time"):
        parse_genesis('{"chain_id":"c"}')
    recorded = parse_genesis(json.dumps(GENESIS))
    assert parse_genesis(recorded.dumps()) == recorded
    state = recorded.state()
    assert state.next_height == 1
    assert state.next_validators == state.validators.increment()
    assert parse_genesis(changed("initial_height", "7")).state().next_height == 7


# -------------------------------------------------------------------------------------------------------- state


def test_updates_take_effect_two_heights_later() -> None:
    signers = Signers.of(1, 2)
    state, block = two_blocks(signers)
    new = key("new").pub_key
    params = ConsensusParams(version=VersionParams(2))
    after = next_block_state(
        state,
        block_id=block.block_id,
        header=block.header,
        tx_results=(),
        validator_updates=[(new, 9)],
        param_updates=params,
        app_hash=b"next",
    )
    assert new.address not in after.validators
    assert new.address in after.next_validators
    assert after.last_validators == state.validators
    assert after.validators == state.next_validators
    assert (after.last_height_validators_changed, after.last_height_params_changed) == (4, 3)
    assert (after.app_version, after.params, after.app_hash) == (2, params, b"next")
    assert State.decode(after.encode()) == after
    for updates in ([(Secp256k1PrivKey(sha256(b"k")).pub_key, 1)], [(new, -1)]):
        with pytest.raises(InvalidValidators):
            check_validator_updates(updates, state.params)
    check_validator_updates([(Secp256k1PrivKey(sha256(b"k")).pub_key, 0)], state.params)


def test_bytes_that_are_no_state() -> None:
    with pytest.raises(Malformed):
        State.decode(b"\xff")


# -------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("node", ["node0", "node1"])
def test_recorded_files_are_read_and_written_alike(node: str) -> None:
    text = {
        name: (RECORDED / node / f"{name}.json").read_text()
        for name in ("node_key", "priv_validator_key", "priv_validator_state")
    }
    assert format_node_key(parse_node_key(text["node_key"])) == text["node_key"]
    assert len(node_id(parse_node_key(text["node_key"]).pub_key)) == 40
    assert format_validator_key(parse_validator_key(text["priv_validator_key"])) == text["priv_validator_key"]
    state = parse_sign_state(text["priv_validator_state"])
    assert format_sign_state(state) == text["priv_validator_state"]
    assert parse_validator_key(text["priv_validator_key"]).pub_key.verify(state.sign_bytes, state.signature)


@given(
    st.builds(
        SignState,
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**31 - 1),
        st.integers(0, 3),
        st.binary(min_size=1, max_size=64),
        st.binary(min_size=1, max_size=200),
    )
)
def test_sign_states_read_back(state: SignState) -> None:
    assert parse_sign_state(format_sign_state(state)) == state


def test_the_first_sign_state() -> None:
    assert json.loads(format_sign_state(SignState())) == {"height": "0", "round": 0, "step": 0}
    assert parse_sign_state('{"height":"0","round":0,"step":0}') == SignState()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "null",
        "[]",
        '{"height":"5"}',
        '{"height":5,"round":0,"step":0}',
        '{"height":"-1","round":0,"step":0}',
        '{"height":"5","round":0,"step":4}',
        '{"height":"5","round":0,"step":3,"signature":"AA=="}',
        '{"height":"5","round":0,"step":3,"signature":"!","signbytes":"00"}',
        '{"height":"5","round":true,"step":3}',
        '{"height":"99999999999999999999","round":0,"step":3}',
    ],
)
def test_an_unreadable_sign_state_is_never_taken_for_a_fresh_one(text: str) -> None:
    """Failure 8: a signer that starts from nothing may sign twice."""
    with pytest.raises(InvalidFile):
        parse_sign_state(text)


def test_a_broken_key_file_does_not_print_its_key() -> None:
    secret = base64.b64encode(bytes(range(64))).decode()
    for text in (
        f'{{"priv_key":{{"type":"tendermint/PrivKeyEd25519","value":"{secret}"}}}}',
        f'{{"priv_key":{{"type":"tendermint/Other","value":"{secret}"}}}}',
        f'{{"priv_key":"{secret}"}}',
        "{}",
    ):
        for parse in (parse_node_key, parse_validator_key):
            with pytest.raises(InvalidFile) as error:
                parse(text)
            assert secret not in str(error.value)


# --------------------------------------------------------------------------------------------------------- JSON


def test_json_text_is_escaped_as_go_does() -> None:
    assert (
        dumps({"a": "<&>\u2028", "b": [1, None, True], "c": "é"})
        == '{"a":"\\u003c\\u0026\\u003e\\u2028","b":[1,null,true],"c":"é"}'
    )


@pytest.mark.parametrize(
    "value",
    [
        {"height": 1},
        {"height": "x"},
        {"height": "9223372036854775808"},
        {"height": "١"},
        {"round": "1"},
        {"round": 2**31},
        {"round": 1.0},
        {"round": True},
        {"signatures": {}},
        {"signatures": [[]]},
        {"block_id": {"hash": "0"}},
        {"block_id": {"parts": {"total": -1}}},
        {"block_id": []},
        {"signatures": [{"signature": "A"}]},
        {"signatures": [{"timestamp": "2020-01-01T00:00:00+01:00"}]},
        {"signatures": [{"block_id_flag": "2"}]},
        "commit",
    ],
    ids=str,
)
def test_json_that_is_no_commit(value: Any) -> None:
    with pytest.raises(Malformed, match="commit"):
        cj.commit_from_json(value, "commit")
