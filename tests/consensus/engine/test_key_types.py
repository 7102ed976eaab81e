"""What votes, commits and blocks may take follows from the types of their signers' keys, and is looked at first."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest

from consensus.engine.incoming.checks import (
    BadSignatureFromPeer,
    check_proposal,
    check_vote,
    extension_bytes_max,
    verify_together,
)
from consensus.formats.bounds import commit_sig_bytes
from consensus.formats.errors import InvalidBlock, InvalidCommit, InvalidProposal, InvalidVote
from consensus.formats.wire import INT64_MAX
from consensus.stores.wal import PAYLOAD_BYTES_MAX
from consensus.types.block import Block, max_data_bytes
from consensus.types.commit import Commit, CommitSig, commit_bytes_max
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.params import ValidatorParams
from consensus.types.vote import Proposal
from crypto.batch import Check, SignatureCache
from crypto.keys import ED25519, KEY_TYPES, ML_DSA_65, SECP256K1, SIGNATURE_BYTES_MAX, signature_bytes
from tests.support.types.builders import CHAIN_ID, DATA, START_NS, Signers, block_id, genesis_state, two_blocks

ED, PQ = ED25519, ML_DSA_65
LONGEST_NS = 253_402_300_799_999_999_999  # the last nanosecond of year 9999: the longest encoding of a time


class Unseen(SignatureCache):
    """Nothing may be verified."""

    def verify(self, check: Check) -> bool:
        raise AssertionError(f"a signature of {len(check[2])} bytes was verified")


@pytest.mark.parametrize(
    ("types", "commit_bytes"),
    [
        ((ED,), 94 + 111),
        ((ED,) * 4, 94 + 4 * 111),
        ((SECP256K1, ED), 94 + 2 * 111),
        ((PQ,), 94 + 3_358),
        ((ED, PQ, ED, PQ), 94 + 2 * 111 + 2 * 3_358),
    ],
)
def test_what_a_commit_takes_follows_from_its_signers(types: tuple[str, ...], commit_bytes: int) -> None:
    signers = Signers.of_types(*types)
    assert signers.validators.commit_bytes_max == commit_bytes_max(signers.validators.pub_keys) == commit_bytes
    assert signers.validators.key_types == set(types)
    state = genesis_state(signers)
    assert state.commit_bytes_max == commit_bytes
    assert max_data_bytes(10_000_000, commit_bytes=commit_bytes) == 10_000_000 - 11 - 626 - commit_bytes
    bounds = replace(state, last_validators=signers.validators).block_bounds(tx_bytes_min=1)
    assert bounds.commit_bytes == commit_bytes
    largest = 3_358 if PQ in types else 111
    assert state.any_block_bounds(1, growth=2).commit_bytes == 94 + 10_000 * largest
    params = replace(state.params, validator=ValidatorParams((ED, PQ)))
    assert replace(state, params=params).any_block_bounds(1, growth=2).commit_bytes == 94 + 10_000 * 3_358


def test_with_ml_dsa_alone_the_sizes_are_cometbfts() -> None:
    sizes = json.loads(gzip.decompress((DATA / "ml-dsa-65" / "cometbft.json.gz").read_bytes()))
    assert sizes["max_signature_size"] == SIGNATURE_BYTES_MAX
    for row in sizes["sizes"]:
        commit_bytes = 94 + commit_sig_bytes(SIGNATURE_BYTES_MAX) * row["validators"]
        assert commit_bytes == row["commit_bytes"]
        assert max_data_bytes(22_020_096, commit_bytes=commit_bytes, evidence_bytes=1_000) == row["data_bytes"]


@pytest.mark.parametrize("kind", [ED, PQ])
def test_no_commit_is_larger_than_reckoned(kind: str) -> None:
    keys = [one.pub_key for one in Signers.of_types(kind, kind, kind).keys.values()]
    slots = [CommitSig(2, key.address, LONGEST_NS, b"\xff" * signature_bytes(key)) for key in keys]
    largest = BlockID(b"\xff" * 32, PartSetHeader(2**32 - 1, b"\xff" * 32))
    commit = Commit(INT64_MAX, 2**31 - 1, largest, tuple(slots))
    assert commit_bytes_max(keys) - 32 < len(commit.encode()) <= commit_bytes_max(keys)


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_a_signature_of_another_length_is_refused_unseen(kind: str) -> None:
    """Also a good length of another type: an ML-DSA-65 signature on an Ed25519 chain, and the other way round."""
    signers = Signers.of_types(kind, kind)
    good = signers.vote(0, block_id())
    check_vote(good, signers.validators, CHAIN_ID, SignatureCache())
    size = len(good.signature)
    assert size == KEY_TYPES[kind].signature_bytes
    lengths = {1, size - 1, size + 1, 63, 65, 3_308, 64, 3_309} - {size}
    for length in lengths:
        vote = replace(good, signature=good.signature.ljust(length, b"\0")[:length])
        wanted = BadSignatureFromPeer if length <= SIGNATURE_BYTES_MAX else InvalidVote
        with pytest.raises(wanted, match=f"{length} bytes"):
            check_vote(vote, signers.validators, CHAIN_ID, Unseen())
        verify_together([vote, vote], signers.validators, CHAIN_ID, Unseen())
        with pytest.raises(InvalidProposal):
            _check(signers, length)
    for length in (0, SIGNATURE_BYTES_MAX + 1):
        with pytest.raises(InvalidVote, match=f"has {length} bytes; allowed: 1 to 3309"):
            check_vote(replace(good, signature=bytes(length)), signers.validators, CHAIN_ID, Unseen())
        with pytest.raises(InvalidCommit, match=f"has {length} bytes; allowed: 1 to 3309"):
            replace(good.commit_sig(), signature=bytes(length)).validate()


def _check(signers: Signers, length: int) -> None:
    proposal = Proposal(1, 0, -1, block_id(), START_NS).signed(bytes(length))
    check_proposal(proposal, genesis_state(signers), Unseen())


@pytest.mark.parametrize("kind", [ED, PQ])
def test_a_proposal_is_taken_by_its_proposers_type(kind: str) -> None:
    signers = Signers.of_types(kind, ED, PQ)
    state = genesis_state(signers)
    proposal = Proposal(1, 0, -1, block_id(), START_NS)
    key = signers.keys[state.validators.proposer_of(0).address]
    check_proposal(proposal.signed(key.sign(proposal.sign_bytes(CHAIN_ID))), state, SignatureCache())


def test_votes_of_a_mixed_set_are_verified_together() -> None:
    signers = Signers.of_types(ED, PQ, ED, PQ)
    votes = [signers.vote(index, block_id()) for index in range(4)]
    cache = SignatureCache()
    verify_together(votes, signers.validators, CHAIN_ID, cache)
    assert len(cache) == 4
    for vote in votes:
        check_vote(vote, signers.validators, CHAIN_ID, cache)


@pytest.mark.parametrize(
    ("types", "padding", "told"),
    [
        ((ED,) * 4, 0, None),
        ((ED,) * 4, 3_309 - 64, "last commit of"),
        ((PQ,) * 4, 0, None),
        ((PQ,) * 4, 600, "last commit of"),
        ((ED, PQ, PQ, ED), 0, None),
    ],
    ids=["ed25519", "ed25519 with signatures of ML-DSA's size", "ml-dsa", "ml-dsa, too long", "mixed"],
)
def test_a_block_with_longer_signatures_ends_at_its_bounds(
    types: tuple[str, ...], padding: int, told: str | None
) -> None:
    state, block = two_blocks(Signers.of_types(*types))
    bounds = state.block_bounds(tx_bytes_min=1)
    assert block.last_commit is not None
    slots = [replace(slot, signature=slot.signature + bytes(padding)) for slot in block.last_commit.signatures]
    encoded = replace(block, last_commit=replace(block.last_commit, signatures=tuple(slots))).encode()
    if told is None:
        assert Block.decode(encoded, bounds=bounds) == block
        return
    with pytest.raises(InvalidBlock, match=told):
        Block.decode(encoded, bounds=bounds)


def test_an_extension_leaves_room_for_its_signatures_in_the_log() -> None:
    ed, pq = (KEY_TYPES[kind].from_secret(bytes(32)).pub_key for kind in (ED, PQ))
    assert extension_bytes_max(ed) == PAYLOAD_BYTES_MAX - 1_024
    assert extension_bytes_max(ed) - extension_bytes_max(pq) == 2 * (3_309 - 64)
