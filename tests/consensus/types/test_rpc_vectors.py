"""Blocks, headers, proofs and files that other implementations made. Provenance: tests/data/README.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consensus.documents import json as cj
from consensus.documents.files import parse_validator_key
from consensus.documents.genesis import genesis_from_json, parse_genesis
from consensus.formats.json_text import parse_base64
from consensus.types.block import Block, BlockID
from consensus.types.commits import median_time, verify_commit
from consensus.types.evidence import DuplicateVoteEvidence, evidence_hash
from crypto.hash import sha256
from tests.support.types.builders import DATA

RPC = DATA / "rpc_v0_38"


def answer(name: str) -> Any:
    return json.loads((RPC / f"{name}.json").read_text())["result"]


def blocks() -> list[tuple[str, Any]]:
    single = [(name, answer(name)) for name in ("block_at_height_1", "block_at_height_10")]
    found = [(f"block_search[{i}]", item) for i, item in enumerate(answer("block_search")["blocks"])]
    events = [(f"subscribe_newblock_{i}", answer(f"subscribe_newblock_{i}")["data"]["value"]) for i in range(5)]
    return single + found + events


GENESIS = genesis_from_json(answer("genesis")["genesis"])


@pytest.mark.parametrize(("name", "raw"), blocks(), ids=lambda value: value if isinstance(value, str) else "")
def test_blocks_hash_and_verify(name: str, raw: Any) -> None:
    block = cj.block_from_json(raw["block"], "block")
    block.validate()
    assert cj.block_json(block) == raw["block"]
    assert block.block_id == cj.block_id_from_json(raw["block_id"], "block_id")
    assert Block.decode(block.encode()) == block
    validators = GENESIS.validator_set()
    assert block.last_commit is not None
    if block.height > 1 and block.header.validators_hash == validators.hash:
        last_id = block.header.last_block_id
        verify_commit("dockerchain", validators, block.last_commit, block_id=last_id, height=block.height - 1)
        assert median_time(block.last_commit, validators) == block.header.time_ns


def test_most_recorded_commits_were_checked() -> None:
    """So that the condition in the test above cannot swallow it."""
    hashes = [raw["block"]["header"]["validators_hash"] for _, raw in blocks()]
    assert hashes.count(GENESIS.validator_set().hash.hex().upper()) > 40


def test_a_block_with_evidence_of_another_chain() -> None:
    """The fixture writes the evidence's numbers in snake case, unlike a node: renamed here before reading."""
    raw = answer("block_search_evidence")["blocks"][0]
    names = {"total_voting_power": "TotalVotingPower", "validator_power": "ValidatorPower", "timestamp": "Timestamp"}
    for item in raw["block"]["evidence"]["evidence"]:
        item["value"] = {names.get(name, name): value for name, value in item["value"].items()}
    block = cj.block_from_json(raw["block"], "block")
    (evidence,) = block.evidence
    assert isinstance(evidence, DuplicateVoteEvidence)
    assert evidence.vote_a.is_nil
    evidence.validate()
    assert evidence_hash(block.evidence) == block.header.evidence_hash
    assert block.hash == cj.block_id_from_json(raw["block_id"], "block_id").hash
    assert block.block_id == cj.block_id_from_json(raw["block_id"], "block_id")
    assert block.header.version.block == 11
    assert cj.block_json(block) == raw["block"]


def test_transaction_proofs() -> None:
    txs = answer("tx_search_with_prove")["txs"]
    assert txs
    for raw in txs:
        tx = parse_base64(raw["tx"], "tx")
        proof = cj.proof_from_json(raw["proof"]["proof"], "proof")
        proof.verify(bytes.fromhex(raw["proof"]["root_hash"]), sha256(tx))
        assert raw["hash"] == sha256(tx).hex().upper()
        result = cj.exec_tx_result_from_json(raw["tx_result"], "tx_result")
        assert cj.exec_tx_result_json(result) == raw["tx_result"]


def test_genesis_and_params() -> None:
    doc = parse_genesis(json.dumps(answer("genesis")["genesis"]))
    assert doc.to_json() == answer("genesis")["genesis"]
    raw = answer("consensus_params")["consensus_params"]
    params = cj.params_from_json(raw, "params")
    assert params == doc.consensus_params
    assert params.hash.hex() == "048091bc7ddc283f77bfbf91d73c44da58c3df8a9cbc867405d8b7f3daada22f"


def test_a_header_with_a_known_hash() -> None:
    """The file writes `part_set_header` for `parts`: renamed here before reading."""
    raw = json.loads((DATA / "files" / "header_with_known_hash.json").read_text())
    raw["last_block_id"]["parts"] = raw["last_block_id"].pop("part_set_header")
    header = cj.header_from_json(raw, "header")
    assert header.hash.hex().upper() == "F30A71F2409FB15AACAEDB6CC122DFA2525BEE9CAE521721B06BFDCA291B8D56"
    assert header.last_block_id != BlockID()


@pytest.mark.parametrize("kind", ["ed25519", "secp256k1"])
def test_key_files(kind: str) -> None:
    text = (DATA / "files" / f"priv_validator_key.{kind}.json").read_text()
    key = parse_validator_key(text)
    raw = json.loads(text)
    assert key.type == kind
    assert key.pub_key.address.hex().upper() == raw["address"]
    assert cj.pub_key_json(key.pub_key) == raw["pub_key"]
    assert key.pub_key.verify(b"m", key.sign(b"m"))
