"""Entries of a ceremony: who changes one is found out, each fault names its field, the order of files is nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from chain.app_state.document import parse_app_state
from chain.app_state.economy import EconomicsGenesis
from consensus.p2p.conn.node_key import NodeKey
from crypto.keys import KEY_TYPES, Ed25519PrivKey
from crypto.mldsa import ML_DSA_65
from genesis.ceremony import ENTRY_BYTES_MAX, Entry, InvalidCeremony, collect, parse_entry, peers_text

STAKE = 1_000_000 * 10**6


def keys(number: int) -> tuple[Ed25519PrivKey, Ed25519PrivKey, NodeKey]:
    """Consensus, operator, node."""
    seeds = [bytes((number, kind)) * 16 for kind in (1, 2, 3)]
    return Ed25519PrivKey.from_seed(seeds[0]), Ed25519PrivKey.from_seed(seeds[1]), NodeKey.from_seed(seeds[2])


def entry(number: int, **changed: Any) -> Entry:
    consensus, operator, node = keys(number)
    said = Entry(
        "example-1", f"node{number}", operator.pub_key.bytes, consensus.pub_key.bytes, node.public_key,
        peer=f"{node.id}@10.0.0.{number}:26656", stake=STAKE, balance=10**9, min_self_delegation=10**6,
    )  # fmt: skip
    said = replace(said, **changed)
    return said.signed("operator", operator.sign).signed("node", node.sign).signed("consensus", consensus.sign)


def made(*entries: Entry) -> Any:
    return collect(
        {f"{one.moniker}.json": one for one in entries}, chain_id="example-1", time_ns=1_700_000_000 * 10**9,
        economics=EconomicsGenesis(), balances={bytes(20): 5},
    )  # fmt: skip


def test_an_entry_is_read_as_it_was_written() -> None:
    assert parse_entry(entry(1).dumps().encode()) == entry(1)


def test_the_order_of_files_does_not_matter_and_what_was_asked_for_is_there() -> None:
    one, two = entry(1), entry(2, stake=2 * STAKE)
    doc = made(one, two)
    assert doc == made(two, one)
    assert {validator.name: validator.power for validator in doc.validators} == {"node1": 1_000, "node2": 2_000}
    assert dict(parse_app_state(doc.app_state).balances) == {bytes(20): 5, one.operator: 10**9, two.operator: 10**9}
    assert sorted(peers_text([one, two]).splitlines()) == sorted(
        [f"{one.peer}  # node1", f"{two.peer}  # node2"]
    )  # fmt: skip


CHANGED: dict[str, Any] = {
    "chain_id": "example-2", "moniker": "other", "stake": str(2 * STAKE), "balance": "7", "min_self_delegation": "1",
    "commission_rate": "0.2", "commission_max_rate": "0.3", "commission_max_change_rate": "0.02",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_whoever_changes_an_entry_is_found_out(name: str) -> None:
    document = json.loads(entry(1).dumps())
    assert document[name] != CHANGED[name]
    document[name] = CHANGED[name]
    with pytest.raises(InvalidCeremony, match=r"signatures.consensus: not of this entry by consensus_key") as told:
        parse_entry(json.dumps(document).encode())
    assert len(told.value.faults) == 3


def test_an_address_of_another_node_is_found_out() -> None:
    document = json.loads(entry(1).dumps())
    document["peer"] = entry(2).peer
    with pytest.raises(InvalidCeremony, match="peer: the node id is"):
        parse_entry(json.dumps(document).encode())


BROKEN: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda said: said.pop("stake"), "stake is missing"),
    (lambda said: said.update(more="x"), "more is unknown"),
    (lambda said: said.update(stake=5), "stake is no text"),
    (lambda said: said.update(stake="-5"), "stake: '-5' is no whole number of udchat"),
    (lambda said: said.update(stake="5"), "stake is 0.000005 DCHAT; allowed: 1000 DCHAT and more"),
    (lambda said: said.update(consensus_key="ab"), "consensus_key: 1 bytes, expected 32"),
    (lambda said: said.update(operator="dchat1x"), "operator: "),
    (lambda said: said.update(operator=json.loads(entry(2).dumps())["operator"]), "the account of operator_key is"),
    (lambda said: said.update(peer="nowhere"), "peer: address 'nowhere': no port"),
    (lambda said: said.update(peer=f"{entry(1).id}@0.0.0.0:26656"), "peer: nobody reaches 0.0.0.0:26656"),
    (lambda said: said.update(commission_rate="0.9"), "commission_rate: at most commission_max_rate"),
    (lambda said: said.update(commission_rate="a"), "commission_rate: 'a'; allowed: digits"),
    (lambda said: said.update(moniker=""), "moniker: 0 bytes"),
    (lambda said: said.update(moniker="a\nb"), "moniker: 3 bytes"),
    (lambda said: said.update(signatures={"me": "00"}), "signatures: expected an object of consensus, operator, node"),
    (lambda said: said.update(signatures={"node": "00"}), "signatures.node: expected 128 hex characters"),
    (lambda said: said.update(type="dchat/identity/v1"), "it is of the type 'dchat/identity/v1'"),
]


@pytest.mark.parametrize(("change", "said"), BROKEN)
def test_a_fault_names_its_field(change: Callable[[dict[str, Any]], Any], said: str) -> None:
    document = json.loads(entry(1).dumps())
    change(document)
    with pytest.raises(InvalidCeremony) as told:
        parse_entry(json.dumps(document).encode())
    assert any(fault.startswith(said) or said in fault for fault in told.value.faults), told.value.faults


@pytest.mark.parametrize("raw", [b"", b"no", b"[]", b"[" * 9_000, b"{" + b" " * ENTRY_BYTES_MAX + b"}", b"\xff", b"5"])
def test_what_is_no_entry_is_told(raw: bytes) -> None:
    with pytest.raises(InvalidCeremony):
        parse_entry(raw)


def test_a_name_twice_is_told() -> None:
    text = entry(1).dumps().replace('"stake"', '"stake": "9", "stake"', 1)
    with pytest.raises(InvalidCeremony, match="a name appears twice"):
        parse_entry(text.encode())


def test_every_fault_of_every_file_is_told_at_once() -> None:
    stranger = entry(3, chain_id="other-1")
    unsigned = replace(entry(4), signatures={"operator": entry(4).signatures["operator"]})
    with pytest.raises(InvalidCeremony) as told:
        collect(
            {"1.json": entry(1), "copy.json": entry(1), "3.json": stranger, "4.json": unsigned}, chain_id="example-1",
            time_ns=1, economics=EconomicsGenesis(), balances={},
        )  # fmt: skip
    faults = "\n".join(told.value.faults)
    for said in (
        "copy.json: operator is that of 1.json, too",
        "copy.json: consensus_key is that of 1.json",
        "copy.json: peer is that of 1.json",
        "3.json: chain_id is 'other-1'; the others begin 'example-1'",
        "4.json: signatures.consensus is missing: run `dchat genesis sign`",
        "4.json: signatures.node is missing",
    ):
        assert said in faults


def with_ml_dsa(number: int) -> Entry:
    key = KEY_TYPES[ML_DSA_65].from_secret(bytes((number, 9)) * 16)
    unsigned = entry(number, consensus_key=key.pub_key.bytes)
    _, operator, node = keys(number)
    plain = replace(unsigned, signatures={})
    return plain.signed("operator", operator.sign).signed("node", node.sign).signed("consensus", key.sign)


def test_an_entry_with_a_key_of_ml_dsa() -> None:
    """The chain then allows the types that its validators' keys have, and those that were asked for."""
    one, two = entry(1), with_ml_dsa(2)
    written = two.dumps().encode()
    assert len(written) < ENTRY_BYTES_MAX
    assert parse_entry(written) == two
    doc = made(one, two)
    assert doc.consensus_params.validator.pub_key_types == ("ed25519", "ml_dsa_65")
    assert {one.pub_key.type for one in doc.validators} == {"ed25519", "ml_dsa_65"}
    assert made(one).consensus_params.validator.pub_key_types == ("ed25519",)
    alone = collect(
        {"node2.json": two}, chain_id="example-1", time_ns=0, economics=EconomicsGenesis(), balances={bytes(20): 5}
    )
    assert alone.consensus_params.validator.pub_key_types == ("ml_dsa_65",)
    open_to = collect(
        {"node1.json": one}, chain_id="example-1", time_ns=0, economics=EconomicsGenesis(), balances={bytes(20): 5},
        key_types=("ml_dsa_65",),
    )  # fmt: skip
    assert open_to.consensus_params.validator.pub_key_types == ("ed25519", "ml_dsa_65")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda said: said.update(consensus_key=said["consensus_key"][2:]), "1951 bytes, expected 32"),
        (lambda said: said["signatures"].update(consensus="00" * 64), "expected 6618 hex characters"),
        (lambda said: said["signatures"].update(consensus="00" * 3_309), "not of this entry by consensus_key"),
        (lambda said: said.update(node_key=said["consensus_key"]), "node_key: expected 64 hex"),
    ],
)
def test_a_changed_entry_with_a_key_of_ml_dsa_is_found_out(change: Callable[[Any], None], told: str) -> None:
    said = json.loads(with_ml_dsa(2).dumps())
    change(said)
    with pytest.raises(InvalidCeremony, match=told):
        parse_entry(json.dumps(said).encode())
