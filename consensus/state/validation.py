"""Whether a block may follow a state; and the block that a proposer makes of one.

Source: CometBFT v0.38, spec/core/data_structures.md (Block, Header), state/validation.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from consensus.formats.errors import InvalidBlock, InvalidCommit, InvalidHeader
from consensus.state.state import State
from consensus.types.block import Block, Data
from consensus.types.commit import Commit
from consensus.types.commits import Verifier, median_time, verify_commit
from consensus.types.evidence import Evidence, encode_evidence_list, evidence_hash
from consensus.types.header import Header
from crypto.batch import verify_many


def make_block(
    state: State, *, txs: Sequence[bytes], last_commit: Commit, evidence: Sequence[Evidence], proposer_address: bytes
) -> Block:
    """The block that follows `state` with these contents; its time follows from `last_commit`."""
    initial = state.next_height == state.initial_height
    time_ns = state.last_block_time_ns if initial else median_time(last_commit, state.last_validators)
    data = Data(tuple(txs))
    header = Header(
        version=state.version,
        chain_id=state.chain_id,
        height=state.next_height,
        time_ns=time_ns,
        last_block_id=state.last_block_id,
        last_commit_hash=last_commit.hash,
        data_hash=data.hash,
        validators_hash=state.validators.hash,
        next_validators_hash=state.next_validators.hash,
        consensus_hash=state.params.hash,
        app_hash=state.app_hash,
        last_results_hash=state.last_results_hash,
        evidence_hash=evidence_hash(evidence),
        proposer_address=proposer_address,
    )
    return Block(header, data, tuple(evidence), last_commit)


def validate_block(
    state: State,
    block: Block,
    *,
    verifier: Verifier = verify_many,
) -> None:
    """Check that `block` may follow `state`: form, every hash, last commit, proposer, time, size of evidence.

    A function of the chain alone: every node, now and later, answers alike. Our clock is not asked, as CometBFT's is
    not: the median of the votes dates a block, and a node whose clock is off must not part from the others.
    Whether the evidence proves its point is `verify_evidence`'s question; whose turn it is, the round's.
    Raises InvalidBlock.
    """
    block.validate()
    header = block.header
    for name, got, expected in (
        ("version", header.version, state.version),
        ("chain_id", header.chain_id, state.chain_id),
        ("height", header.height, state.next_height),
        ("last_block_id", header.last_block_id, state.last_block_id),
        ("app_hash", header.app_hash, state.app_hash),
        ("consensus_hash", header.consensus_hash, state.params.hash),
        ("last_results_hash", header.last_results_hash, state.last_results_hash),
        ("validators_hash", header.validators_hash, state.validators.hash),
        ("next_validators_hash", header.next_validators_hash, state.next_validators.hash),
    ):
        if got != expected:
            raise HeaderMismatch(header.height, name, expected=expected, got=got)
    if header.proposer_address not in state.validators:
        raise InvalidHeader(f"block {header.height}: proposer {header.proposer_address.hex()} is no validator")
    _validate_last_commit(state, block, verifier)
    _validate_time(state, block)
    evidence_bytes = len(encode_evidence_list(block.evidence))
    if evidence_bytes > state.params.evidence.max_bytes:
        raise InvalidBlock(
            f"block {header.height}: {evidence_bytes} bytes of evidence, at most {state.params.evidence.max_bytes}"
        )


# Of a header, what comes of executing the blocks before it: where one differs, a node executed otherwise.
EXECUTED_FIELDS: Final = ("app_hash", "last_results_hash", "next_validators_hash", "consensus_hash")


def tells_other_execution(reason: str) -> bool:
    """Whether the words of a failure say that this node executed a block otherwise than the others."""
    return any(f"{field} is " in reason for field in EXECUTED_FIELDS)


def executed_otherwise(failure: BaseException | None) -> bool:
    """Whether it is that for which consensus was left: the driver notes its reason at the error."""
    return failure is not None and tells_other_execution(" ".join(getattr(failure, "__notes__", ())))


class HeaderMismatch(InvalidHeader):
    """A header field differs from what the state demands."""

    def __init__(self, height: int, name: str, *, expected: object, got: object) -> None:
        super().__init__(f"block {height}: {name} is {_show(got)}, expected {_show(expected)}")
        self.height, self.field, self.expected, self.got = height, name, expected, got


def _show(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _validate_last_commit(state: State, block: Block, verifier: Verifier) -> None:
    commit = block.last_commit
    assert commit is not None, "Block.validate demands it"
    if block.height == state.initial_height:
        if commit.signatures:
            raise InvalidCommit(f"block {block.height} is the first and must have no last_commit signatures")
        return
    verify_commit(
        state.chain_id,
        state.last_validators,
        commit,
        block_id=state.last_block_id,
        height=block.height - 1,
        verifier=verifier,
    )


def _validate_time(state: State, block: Block) -> None:
    """The time is derived from the signatures that `_validate_last_commit` verified, and from nothing else."""
    time_ns, height = block.header.time_ns, block.height
    if height == state.initial_height:
        if time_ns != state.last_block_time_ns:
            raise InvalidHeader(f"block {height}: time is {time_ns}, the genesis's is {state.last_block_time_ns}")
        return
    assert block.last_commit is not None, "Block.validate demands it"
    if time_ns <= state.last_block_time_ns:
        raise InvalidHeader(f"block {height}: time {time_ns} is not after the last block's {state.last_block_time_ns}")
    expected = median_time(block.last_commit, state.last_validators)
    if time_ns != expected:
        raise InvalidHeader(f"block {height}: time is {time_ns}, the median of last_commit is {expected}")
