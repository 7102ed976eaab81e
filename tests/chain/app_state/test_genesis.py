"""The app_state of a genesis: read one way by every node (IBC 2025-004), and nothing that could divide by zero later
(SDK 2025-003)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from bridge.records import ESCROW_ADDRESS
from chain.app_state.document import (
    LATER,
    RANGES,
    BridgeGenesis,
    ChatGenesis,
    CurrencyGenesis,
    InvalidAppState,
    parse_app_state,
)
from chain.kernel.branch import Branch
from consensus.types.params import EvidenceParams
from crypto.bech32 import encode_address
from crypto.keys import Ed25519PrivKey
from dchat.app.composition import begin
from genesis.app_state import build_app_state
from genesis.build import build_genesis, stake_of

ANN = bytes(range(20))


def document() -> dict[str, Any]:
    return build_app_state({ANN: 5, bytes(20): 7})


def test_there_and_back() -> None:
    state = parse_app_state(json.dumps(document()).encode())
    assert dict(state.balances) == {ANN: 5, bytes(20): 7}
    assert (state.currency, state.chat, state.bridge) == (CurrencyGenesis(), ChatGenesis(), BridgeGenesis())
    assert state.to_json() == document()


def at(*path: Any) -> Callable[[dict[str, Any], Any], None]:
    def change(target: Any, value: Any) -> None:
        for name in path[:-1]:
            target = target[name]
        target[path[-1]] = value

    return change


@pytest.mark.parametrize(("change", "value", "text"), [
    (at("gold"), {}, "app_state.gold is unknown"),
    (at("chat"), [], "app_state.chat is no object"),
    (at("chat", "Params"), {}, "app_state.chat.Params is unknown"),
    (at("chat", "params", "message_bytes_max"), 5, "a string of digits"),
    (at("chat", "params", "message_bytes_max"), "05", "a string of digits"),
    (at("chat", "params", "message_bytes_max"), "+5", "a string of digits"),
    (at("chat", "params", "message_bytes_max"), "5.0", "a string of digits"),
    (at("chat", "params", "message_bytes_max"), "", "a string of digits"),
    (at("chat", "params", "message_bytes_max"), "٥", "ASCII"),
    (at("chat", "params", "message_bytes_max"), str(2**64), "a string of digits"),
    (at("chat", "params", "message_bytes_max"), "99999999", "allowed: 1 to"),
    (at("chat", "params", "message_bytes_max"), "0", "allowed: 1 to"),
    (at("bridge", "params", "registration_price"), "1", "what registration_price, 1 udchat, buys: 0"),
    (at("bridge", "params", "messages_per_dchat"), "0", "allowed: 1 to"),
    (at("currency", "accounts"), {}, "is no list"),
    (at("currency", "accounts"), [], "is empty"),
    (at("currency", "accounts", 0, "balance"), "0", "allowed: 1 and more"),
    (at("currency", "accounts", 0, "balance"), str(2**64 - 1), "together"),
    (at("currency", "accounts", 0, "address"), encode_address(ANN), "appears twice"),
    (at("currency", "accounts", 0, "address"), "dchat1qqqq", "address"),
    (at("currency", "accounts", 0, "address"), 7, "is no text"),
])  # fmt: skip
def test_refused_with_place_and_range(change: Callable[[dict[str, Any], Any], None], value: Any, text: str) -> None:
    changed = document()
    change(changed, value)
    with pytest.raises(InvalidAppState, match=text):
        parse_app_state(json.dumps(changed, ensure_ascii=False).encode())


def test_an_account_may_be_written_in_any_way_that_it_could_be() -> None:
    changed = document()
    first, second = changed["currency"]["accounts"]
    changed["currency"]["accounts"] = [
        {"balance": second["balance"], "address": second["address"]},
        {**first, "address": first["address"].upper()},
    ]
    state = parse_app_state(json.dumps(changed, indent=3).encode())
    assert dict(state.balances) == {ANN: 5, bytes(20): 7}


ACCOUNT = {"address": encode_address(ANN), "balance": "5"}


@pytest.mark.parametrize("path", [
    ("chat",), ("chat", "params"), ("chat", "params", "message_bytes_max"), ("currency",), ("currency", "accounts"),
    ("currency", "accounts", 0, "balance"), ("currency", "accounts", 0, "address"), ("governance",),
    ("governance", "params"), ("governance", "params", "voting_period_s"), ("staking",), ("staking", "validators"),
    ("staking", "params"), ("upgrade",), ("upgrade", "authority"),
], ids=lambda path: ".".join(map(str, path)))  # fmt: skip
def test_what_looks_like_an_account_is_one_among_the_accounts_alone(path: tuple[Any, ...]) -> None:
    changed = document() | {"upgrade": {}}
    at(*path)(changed, ACCOUNT)
    with pytest.raises(InvalidAppState):
        parse_app_state(json.dumps(changed).encode())
    with pytest.raises(InvalidAppState):
        parse_app_state(json.dumps(ACCOUNT).encode())


@pytest.mark.parametrize("data", [
    b"", b"{", b"null", b"[" * 100_000, b'{"chat": 1, "chat": 2}', b"\xff", b"NaN", b'{"a": Infinity}',
    b'{"a": ' + b"1" * 9_999 + b"}",
])  # fmt: skip
def test_what_is_no_document(data: bytes) -> None:
    with pytest.raises(InvalidAppState):
        parse_app_state(data)


def test_missing_fields_are_named() -> None:
    for section in ("currency", "chat", "bridge"):
        for name in document()[section]["params"].keys() - LATER:
            changed = document()
            del changed[section]["params"][name]
            with pytest.raises(InvalidAppState, match=f"{section}.params.{name} is missing"):
                parse_app_state(json.dumps(changed).encode())


def test_every_param_has_a_range() -> None:
    names = {field.name for kind in (CurrencyGenesis, ChatGenesis, BridgeGenesis) for field in fields(kind)}
    assert names == set(RANGES)
    with pytest.raises(InvalidAppState, match="allowed: 1 to"):
        build_app_state({ANN: 1}, chat=ChatGenesis(message_bytes_max=0))


def test_the_escrow_begins_empty() -> None:
    """SDK 2024-003: accounts of the chain itself are filled by machines alone."""
    state = parse_app_state(json.dumps(build_app_state({ESCROW_ADDRESS: 1})).encode())
    with pytest.raises(InvalidAppState, match="own accounts begin empty"):
        begin(Branch(lambda key: None), state, initial_height=1, time_ns=0, evidence=EvidenceParams())


def test_defaults_bound_blocks_and_keep_evidence_as_long_as_stake() -> None:
    """ASA-2024-004: what can be slashed can be proved guilty. ASA-2023-002: a default block is far below 21 MiB."""
    stake = stake_of(ANN, Ed25519PrivKey.from_seed(bytes(32)).pub_key.bytes, 1_000_000, moniker="ann")
    doc = build_genesis(chain_id="c", time_ns=0, stakes=[stake], balances={})
    params = doc.consensus_params
    unbonding_s = int(json.loads(doc.app_state)["staking"]["params"]["unbonding_s"])
    assert params.evidence.max_age_duration_ns == unbonding_s * 10**9
    # Evidence expires only when it is past both bounds; time alone keeps it long enough.
    assert params.evidence.max_age_num_blocks >= 1
    assert params.block.max_bytes == 10_485_760
    assert params.block.max_gas > 0
    assert params.evidence.max_bytes < params.block.max_bytes
