"""A proposer under every set of parameters that is legal: less in the block, never an exception."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.execution.executor import BlockExecutor
from consensus.state.state import State
from consensus.state.validation import validate_block
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.types.block import beside_data_bytes
from consensus.types.commit import ExtendedCommit
from consensus.types.commits import extended_commit_from_votes
from consensus.types.evidence import DuplicateVoteEvidence, Evidence, encode_evidence_list
from consensus.types.params import BlockParams, ConsensusParams, EvidenceParams
from consensus.types.parts import BLOCK_BYTES_MAX, PartSet, parts_max
from crypto.batch import SignatureCache
from storage.memory import MemoryStore
from tests.support.counts import counted
from tests.support.engine.kvapp import KeyValueApp, ListPool, NoEvidence
from tests.support.types.builders import Signers, block_id, two_blocks

VALIDATORS = (1, 4, 40, 150)
SIGNATURES = SignatureCache()


class FullPool(NoEvidence):
    def __init__(self, items: list[Evidence]) -> None:
        super().__init__()
        self.items = items

    def pending(self, bytes_max: int) -> tuple[list[Evidence], int]:
        """As the real one: what fits, oldest first."""
        chosen: list[Evidence] = []
        for item in self.items:
            if len(encode_evidence_list([*chosen, item])) > bytes_max:
                break
            chosen.append(item)
        return chosen, len(encode_evidence_list(chosen))


@cache
def chain(validators: int) -> tuple[State, Signers, list[Evidence], ExtendedCommit]:
    """The state after a first block, and 60 pieces of evidence against its validators."""
    signers = Signers.of(*([1_000] * validators))
    state, _ = two_blocks(signers)
    votes = [[signers.vote(0, block_id(name), round=round) for name in ("one", "another")] for round in range(60)]
    pieces = [DuplicateVoteEvidence.from_votes(a, b, validators=signers.validators, time_ns=1) for a, b in votes]
    precommits = [signers.vote(index, state.last_block_id) for index in range(validators)]
    return state, signers, list(pieces), extended_commit_from_votes(1, 0, state.last_block_id, precommits)


@st.composite
def params(draw: st.DrawFn) -> ConsensusParams:
    """Any that `validate` lets pass; around what header, commit and evidence need more often."""
    edges = st.integers(1, 40_000) | st.integers(1, BLOCK_BYTES_MAX) | st.sampled_from([1, -1, 1_048_576])
    block = BlockParams(max_bytes=draw(edges))
    limit = ConsensusParams(block=block).block_bytes_max
    evidence = draw(st.integers(0, limit) | st.just(limit) | st.just(min(limit, 1_048_576)) | st.just(0))
    drawn = ConsensusParams(block=block, evidence=EvidenceParams(max_bytes=evidence))
    drawn.validate()
    return drawn


@settings(max_examples=counted(62, whole=250), deadline=None)
@given(params(), st.sampled_from(VALIDATORS), st.integers(0, 60), st.integers(0, 50))
def test_a_block_is_built_and_can_be_gathered(drawn: ConsensusParams, validators: int, pieces: int, txs: int) -> None:
    """cometbft#5984, penumbra#4635: a pool full of evidence under block.max_bytes 1,048,576 ended the process."""
    state, signers, evidence, commit = chain(validators)
    state = replace(state, params=drawn)
    pool = ListPool()
    pool.txs = [b"k%d=" % number + b"v" * 300 for number in range(txs)]
    executor = BlockExecutor(
        KeyValueApp(MemoryStore()), BlockStore(MemoryStore()), StateStore(MemoryStore()), pool=pool,
        evidence=FullPool(evidence[:pieces]), workers=InlineWorkers(), clock=LoopClock(),
    )  # fmt: skip
    block = asyncio.run(executor.build(state, commit, signers.validators.proposer_of(0).address))
    validate_block(state, block, verifier=SIGNATURES.verify_many)
    parts = block.part_set()
    assert parts.header.total <= parts_max(state.block_bytes_max)
    gathered = PartSet(parts.header, bytes_max=state.block_bytes_max)
    for index in range(parts.header.total):
        part = parts.get(index)
        assert part is not None
        gathered.add(part)
    assert gathered.is_complete
    if len(block.evidence) < pieces:  # none is left out without need
        room = min(drawn.evidence.max_bytes, state.block_bytes_max - beside_data_bytes(state.commit_bytes_max))
        assert len(encode_evidence_list(evidence[: len(block.evidence) + 1])) > room
