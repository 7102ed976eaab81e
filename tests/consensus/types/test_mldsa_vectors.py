"""A set with keys of two types, as CometBFT v0.38.26 writes, signs and hashes it (tests/data/README.md)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from consensus.documents.genesis import genesis_from_json
from consensus.documents.json import (
    commit_from_json,
    commit_json,
    pub_key_from_json,
    pub_key_json,
    validator_update_from_json,
    validator_update_json,
)
from consensus.formats.errors import BadSignature
from consensus.types.block import BlockID, PartSetHeader
from consensus.types.commit import Commit, ExtendedCommit
from consensus.types.commits import verify_commit, verify_commit_light, verify_commit_light_trusting
from consensus.types.evidence import DuplicateVoteEvidence, decode_evidence
from consensus.types.validators import ValidatorSet
from consensus.types.vote import Proposal, Vote
from crypto.hash import sha256
from crypto.keys import KEY_TYPES, ML_DSA_65, PrivKey, encode_pub_key, pub_key_from_proto, signature_bytes
from proto.tendermint.crypto import keys_pb2

FILE = Path(__file__).parents[2] / "data" / "ml-dsa-65" / "cometbft.json.gz"
VECTORS: dict[str, Any] = json.loads(gzip.decompress(FILE.read_bytes()))
CHAIN = VECTORS["chain_id"]
KEYS: list[PrivKey] = [KEY_TYPES[one["type"]].from_secret(bytes.fromhex(one["seed"])) for one in VECTORS["keys"]]
SET = ValidatorSet.decode(bytes.fromhex(VECTORS["set"]))
COMMIT = Commit.decode(bytes.fromhex(VECTORS["commit"]))
BLOCK_ID = BlockID(sha256(b"block"), PartSetHeader(3, sha256(b"parts")))


@pytest.mark.parametrize("index", range(len(KEYS)))
def test_keys(index: int) -> None:
    key, told = KEYS[index], VECTORS["keys"][index]
    assert key.pub_key.address.hex().upper() == told["address"]
    assert encode_pub_key(key.pub_key).hex() == told["proto"]
    assert pub_key_from_proto(keys_pb2.PublicKey.FromString(bytes.fromhex(told["proto"]))) == key.pub_key
    assert pub_key_json(key.pub_key) == told["json"]
    assert pub_key_from_json(told["json"], "key") == key.pub_key
    assert validator_update_json((key.pub_key, 7)) == told["update"]
    assert validator_update_from_json(told["update"], "update") == (key.pub_key, 7)


def test_a_set_of_both_types() -> None:
    made = ValidatorSet.new([(key.pub_key, 10 + index) for index, key in enumerate(KEYS)])
    assert made == SET
    assert made.encode().hex() == VECTORS["set"]
    assert made.hash.hex() == VECTORS["set_hash"]


def test_votes_and_their_extensions() -> None:
    for encoded in VECTORS["votes"]:
        vote = Vote.decode(bytes.fromhex(encoded))
        vote.validate()
        key = SET.pub_keys[vote.validator_index]
        assert vote.encode().hex() == encoded
        assert len(vote.signature) == signature_bytes(key)
        assert vote.verify(CHAIN, key)
        assert vote.verify_extension(CHAIN, key)
        assert not vote.verify("another", key)


def test_commits_are_hashed_and_verified() -> None:
    assert COMMIT.encode().hex() == VECTORS["commit"]
    assert COMMIT.hash.hex() == VECTORS["commit_hash"]
    assert commit_json(COMMIT) == VECTORS["commit_json"]
    assert commit_from_json(VECTORS["commit_json"], "commit") == COMMIT
    assert verify_commit(CHAIN, SET, COMMIT, block_id=BLOCK_ID, height=5) == SET.total_power
    verify_commit_light(CHAIN, SET, COMMIT, block_id=BLOCK_ID, height=5)
    verify_commit_light_trusting(CHAIN, SET, COMMIT, all_signatures=True)
    extended = ExtendedCommit.decode(bytes.fromhex(VECTORS["extended_commit"]))
    extended.validate(extensions_enabled=True)
    assert extended.encode().hex() == VECTORS["extended_commit"]
    assert extended.commit() == COMMIT


@pytest.mark.parametrize("index", range(len(KEYS)))
def test_a_bad_signature_of_either_type_fails_the_commit(index: int) -> None:
    encoded = bytearray(COMMIT.encode())
    at = bytes(encoded).index(COMMIT.signatures[index].signature)
    encoded[at] ^= 1
    with pytest.raises(BadSignature) as caught:
        verify_commit(CHAIN, SET, Commit.decode(bytes(encoded)), block_id=BLOCK_ID, height=5)
    assert caught.value.index == index


def test_a_proposal() -> None:
    proposal = Proposal.decode(bytes.fromhex(VECTORS["proposal"]))
    proposal.validate()
    assert KEYS[0].type == ML_DSA_65
    assert proposal.verify(CHAIN, KEYS[0].pub_key)
    assert proposal.encode().hex() == VECTORS["proposal"]


def test_evidence_of_two_votes() -> None:
    evidence = decode_evidence(bytes.fromhex(VECTORS["evidence"]))
    assert isinstance(evidence, DuplicateVoteEvidence)
    evidence.validate()
    assert evidence.hash.hex() == VECTORS["evidence_hash"]
    offender = SET.by_address(evidence.accused[0])
    assert offender is not None
    assert offender.pub_key.type == ML_DSA_65
    assert all(vote.verify(CHAIN, offender.pub_key) for vote in (evidence.vote_a, evidence.vote_b))


def test_a_genesis_with_both_types() -> None:
    doc = genesis_from_json(VECTORS["genesis"])
    doc.validate()
    assert doc.consensus_params.validator.pub_key_types == ("ed25519", ML_DSA_65)
    assert {one.pub_key for one in doc.validators} == set(SET.pub_keys)
    assert json.loads(doc.dumps())["validators"] == VECTORS["genesis"]["validators"]
