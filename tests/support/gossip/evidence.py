"""A small chain's validators, their evidence, and a pool that knows its blocks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from consensus.abci.interface import Slices
from consensus.evidence.pool import EvidencePool
from consensus.state.state import State
from consensus.types.evidence import DuplicateVoteEvidence
from consensus.types.ids import NIL_BLOCK_ID, BlockID, PartSetHeader
from consensus.types.params import ConsensusParams, EvidenceParams
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PREVOTE, Vote
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey
from storage.memory import MemoryStore

CHAIN = "evidence-chain"


SECOND_NS = 10**9


KEYS = [Ed25519PrivKey.from_seed(sha256(b"evidence %d" % index)) for index in range(4)]


SET = ValidatorSet.new((key.pub_key, 10 + index) for index, key in enumerate(KEYS))


# Expired after 20 blocks and 20 seconds; a block a second.
PARAMS = ConsensusParams(evidence=EvidenceParams(max_age_num_blocks=20, max_age_duration_ns=20 * SECOND_NS))


class Stored:
    """Blocks `base` to `height`, and the sets of all heights from `sets_base`."""

    def __init__(self, height: int, base: int = 1, sets_base: int = 1) -> None:
        self.height, self.base, self.sets_base = height, base, sets_base

    def load_meta(self, height: int) -> Any:
        if not self.base <= height <= self.height:
            return None
        return SimpleNamespace(header=SimpleNamespace(time_ns=height * SECOND_NS))

    def load_validators(self, height: int) -> ValidatorSet | None:
        return SET if height >= self.sets_base else None

    load_members = load_validators

    def load(self) -> State:
        return state(self.height)


def state(height: int) -> State:
    return State(
        CHAIN, 1, height, last_block_time_ns=height * SECOND_NS, validators=SET, last_validators=SET, params=PARAMS
    )


def vote(height: int, block: bytes | None, *, key: int = 0, round: int = 0) -> Vote:
    signer = KEYS[key]
    block_id = NIL_BLOCK_ID if block is None else BlockID(sha256(block), PartSetHeader(1, sha256(block)))
    index = SET.index_of(signer.pub_key.address)
    assert index is not None
    unsigned = Vote(PREVOTE, height, round, block_id, 7, signer.pub_key.address, index)
    return unsigned.signed(signer.sign(unsigned.sign_bytes(CHAIN)))


def evidence(height: int = 5, *, key: int = 0) -> DuplicateVoteEvidence:
    votes = vote(height, b"a", key=key), vote(height, b"b", key=key)
    return DuplicateVoteEvidence.from_votes(*votes, validators=SET, time_ns=height * SECOND_NS)


def run(slices: Slices[None]) -> None:
    """At once, to the end."""
    for _ in slices:
        pass


def pool_at(height: int, db: MemoryStore | None = None, **stored: int) -> EvidencePool:
    source: Any = Stored(height, **stored)
    return EvidencePool(db if db is not None else MemoryStore(), source, source)


GOOD = evidence(5)
