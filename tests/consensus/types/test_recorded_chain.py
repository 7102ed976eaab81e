"""A chain that four CometBFT 0.38.26 nodes made, recomputed from its genesis. Provenance: tests/data/README.md."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from consensus.documents import json as cj
from consensus.formats.errors import InvalidEvidence
from consensus.formats.json_text import parse_base64
from consensus.state.results import results_hash
from consensus.state.state import State
from consensus.state.validation import HeaderMismatch, validate_block
from consensus.types.block import Block, BlockID
from consensus.types.commits import median_time, verify_commit, verify_commit_light, verify_commit_light_trusting
from consensus.types.evidence import DuplicateVoteEvidence, decode_evidence, evidence_hash, verify_evidence
from consensus.types.validators import ValidatorSet
from crypto.hash import sha256
from tests.support.types.recorded_chain import CHAIN, chain


def test_the_recording_is_whole() -> None:
    """What the other tests rely on to mean something: rounds, nil and absent votes, evidence, many parts, changes."""
    heights = chain().heights
    assert [h.block.height for h in heights] == list(range(1, 140))
    flags = Counter(slot.block_id_flag for h in heights for slot in h.commit.signatures)
    assert flags[1] > 0
    assert flags[2] > 300
    assert flags[3] > 0
    assert sum(h.commit.round > 0 for h in heights) > 0
    assert sum(len(h.block.evidence) for h in heights) == 6
    assert max(h.block_id.part_set_header.total for h in heights) > 3
    assert len({h.before.validators.hash for h in heights}) > 10


def test_block_ids_from_the_blocks_bytes() -> None:
    for h in chain().heights:
        assert h.block.hash == h.block_id.hash
        assert h.block.block_id == h.block_id, h.block.height
        assert Block.decode(h.block.part_set().to_bytes()) == h.block


def test_every_block_follows_the_state_before_it() -> None:
    """All header hashes, last commit's signatures, median time, proposer in the set; and the set's H+2 rule."""
    recorded = chain()
    for h in recorded.heights:
        validate_block(h.before, h.block, verifier=recorded.cache.verify_many)
        header = h.block.header
        if h.block.height > 1:
            assert h.block.last_commit is not None
            assert header.time_ns == median_time(h.block.last_commit, h.before.last_validators)
            previous = recorded.heights[h.block.height - 2]
            assert header.last_results_hash == results_hash(
                cj.exec_tx_result_from_json(item, "r") for item in previous.raw["results"]["txs_results"] or ()
            )
        assert header.evidence_hash == evidence_hash(h.block.evidence)
        params = cj.params_from_json(h.raw["consensus_params"]["consensus_params"], "params")
        assert params == h.before.params
        assert params.hash == header.consensus_hash


def test_every_commit_verifies_against_the_set_of_its_height() -> None:
    recorded = chain()
    for h in recorded.heights:
        arguments = ("vectors-1", h.before.validators, h.commit)
        power = verify_commit(
            *arguments, block_id=h.block_id, height=h.block.height, verifier=recorded.cache.verify_many
        )
        assert 3 * power > 2 * h.before.validators.total_power
        verify_commit_light(*arguments, block_id=h.block_id, height=h.block.height, verifier=recorded.cache.verify_many)
        verify_commit_light_trusting(*arguments, all_signatures=True, verifier=recorded.cache.verify_many)


def test_validator_sets_priorities_and_proposers() -> None:
    """Sets follow from genesis and the updates in the results; the header names the proposer of the round."""
    later_rounds = 0
    for h in chain().heights:
        validators = h.before.validators
        assert [cj.validator_json(v) for v in validators] == h.raw["validators"]["validators"], h.block.height
        reported = ValidatorSet.from_existing(
            [cj.validator_from_json(v, "validator") for v in h.raw["validators"]["validators"]]
        )
        assert list(reported) == list(validators)
        assert reported.hash == validators.hash == h.block.header.validators_hash
        assert ValidatorSet.decode(validators.encode()) == validators
        proposer = h.block.header.proposer_address
        if h.commit.round == 0:
            assert validators.proposer_of(0).address == proposer, h.block.height
        else:  # a block may have been proposed in an earlier round than the one that decided it
            rounds = [validators.proposer_of(r).address for r in range(h.commit.round + 1)]
            assert proposer in rounds
            later_rounds += proposer == rounds[-1]
    assert later_rounds > 0


def test_evidence_proves_its_point() -> None:
    recorded = chain()
    seen = 0
    for h in recorded.heights:
        for evidence in h.block.evidence:
            assert isinstance(evidence, DuplicateVoteEvidence)
            assert decode_evidence(evidence.encode_wrapped()) == evidence
            seen += 1

            def verify(item: DuplicateVoteEvidence, before: State = h.before) -> None:
                verify_evidence(
                    item,
                    recorded,
                    chain_id="vectors-1",
                    last_height=before.last_block_height,
                    last_time_ns=before.last_block_time_ns,
                    params=before.params.evidence,
                )

            verify(evidence)
            for changes in (
                {"timestamp_ns": evidence.timestamp_ns + 1},
                {"validator_power": evidence.validator_power + 1},
                {"total_voting_power": evidence.total_voting_power - 1},
                {"vote_b": replace(evidence.vote_b, signature=evidence.vote_a.signature)},
            ):
                with pytest.raises(InvalidEvidence):
                    verify(replace(evidence, **changes))
            validators = recorded.validators(evidence.height)
            assert validators is not None
            made = DuplicateVoteEvidence.from_votes(
                evidence.vote_b, evidence.vote_a, validators=validators, time_ns=evidence.timestamp_ns
            )
            assert made == evidence
    assert seen == 6


def test_transaction_proofs() -> None:
    with gzip.open(CHAIN / "tx-proofs.jsonl.gz", "rt") as lines:
        proofs = [json.loads(line) for line in lines]
    assert len(proofs) > 20
    for raw in proofs:
        recorded = chain().at(int(raw["height"]))
        assert recorded is not None
        tx = parse_base64(raw["tx"], "tx")
        assert sha256(tx).hex().upper() == raw["hash"]
        assert recorded.block.txs[raw["index"]] == tx
        proof = cj.proof_from_json(raw["proof"]["proof"], "proof")
        proof.verify(recorded.block.header.data_hash, sha256(tx))
        assert recorded.block.data.proof(raw["index"]) == proof
        assert cj.proof_json(proof) == raw["proof"]["proof"]


def test_json_is_written_as_it_was_read() -> None:
    for h in chain().heights:
        assert cj.block_json(h.block) == h.raw["block"]["block"]
        assert cj.block_id_json(h.block_id) == h.raw["block"]["block_id"]
        assert cj.commit_json(h.commit) == h.raw["commit"]["signed_header"]["commit"]
        assert cj.params_json(h.before.params) == h.raw["consensus_params"]["consensus_params"]
        for name, read, write in (
            ("txs_results", cj.exec_tx_result_from_json, cj.exec_tx_result_json),
            ("validator_updates", cj.validator_update_from_json, cj.validator_update_json),
        ):
            for item in h.raw["results"][name] or ():
                assert write(read(item, name)) == item
    raw = json.loads((CHAIN / "genesis.json").read_text())
    assert chain().genesis.to_json() == {**raw, "initial_height": "1"}


def test_states_read_back() -> None:
    for h in chain().heights:
        assert State.decode(h.before.encode()) == h.before


@pytest.mark.parametrize(
    "name",
    ["version", "chain_id", "last_block_id", "app_hash", "consensus_hash", "last_results_hash", "validators_hash"],
)
def test_a_state_that_differs_refuses_the_block(name: str) -> None:
    recorded = chain().heights[40]
    changed: dict[str, Any] = {
        "version": {"app_version": 2},
        "chain_id": {"chain_id": "vectors-2"},
        "last_block_id": {"last_block_id": BlockID()},
        "app_hash": {"app_hash": b"other"},
        "consensus_hash": {
            "params": replace(recorded.before.params, block=replace(recorded.before.params.block, max_gas=1))
        },
        "last_results_hash": {"last_results_hash": bytes(32)},
        "validators_hash": {
            "validators": recorded.before.validators.update([(recorded.before.validators.pub_keys[0], 1)])
        },
    }[name]
    with pytest.raises(HeaderMismatch) as error:
        validate_block(replace(recorded.before, **changed), recorded.block, verifier=chain().cache.verify_many)
    assert error.value.field == name
