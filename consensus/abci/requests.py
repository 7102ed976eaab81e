"""Blocks, commits and evidence as the application interface speaks of them. Pure.

Source: CometBFT v0.38, state/execution.go (buildLastCommitInfo), types/evidence.go (ABCI).
"""

from __future__ import annotations

from collections.abc import Sequence

from consensus.abci.interface import (
    BlockRequest,
    CommitInfo,
    ExtendedCommitInfo,
    ExtendedVoteInfo,
    ExtendVoteRequest,
    Misbehavior,
    MisbehaviorType,
    VoteInfo,
)
from consensus.types.block import Block, Commit, ExtendedCommit
from consensus.types.evidence import DuplicateVoteEvidence, Evidence
from consensus.types.validators import ValidatorSet

NO_COMMIT = CommitInfo(0, ())
NO_EXTENDED_COMMIT = ExtendedCommitInfo(0, ())


def commit_info(commit: Commit | None, validators: ValidatorSet) -> CommitInfo:
    """Who signed the last block. validators: of the commit's height. Empty for the first block's commit."""
    if commit is None or not commit.signatures:
        return NO_COMMIT
    votes = tuple(
        VoteInfo(key.address, power, slot.block_id_flag)
        for key, power, slot in zip(validators.pub_keys, validators.powers, commit.signatures, strict=True)
    )
    return CommitInfo(commit.round, votes)


def extended_commit_info(commit: ExtendedCommit | None, validators: ValidatorSet) -> ExtendedCommitInfo:
    if commit is None:
        return NO_EXTENDED_COMMIT
    votes = tuple(
        ExtendedVoteInfo(key.address, power, slot.commit_sig.block_id_flag, slot.extension, slot.extension_signature)
        for key, power, slot in zip(validators.pub_keys, validators.powers, commit.signatures, strict=True)
    )
    return ExtendedCommitInfo(commit.round, votes)


def misbehavior(evidence: Sequence[Evidence]) -> tuple[Misbehavior, ...]:
    """One per misbehaving validator, at the evidence's height and time."""
    found: list[Misbehavior] = []
    for item in evidence:
        if isinstance(item, DuplicateVoteEvidence):
            kind, offenders = MisbehaviorType.DUPLICATE_VOTE, [(item.vote_a.validator_address, item.validator_power)]
        else:
            kind = MisbehaviorType.LIGHT_CLIENT_ATTACK
            offenders = [(validator.address, validator.voting_power) for validator in item.byzantine_validators]
        found += [
            Misbehavior(kind, address, power, item.height, item.timestamp_ns, item.total_voting_power)
            for address, power in offenders
        ]
    return tuple(found)


def block_request(block: Block, last_validators: ValidatorSet) -> BlockRequest:
    """last_validators: the set of the height before the block's."""
    header = block.header
    return BlockRequest(
        txs=block.txs,
        last_commit=commit_info(block.last_commit, last_validators),
        misbehavior=misbehavior(block.evidence),
        hash=block.hash,
        height=header.height,
        time_ns=header.time_ns,
        next_validators_hash=header.next_validators_hash,
        proposer_address=header.proposer_address,
    )


def extend_vote_request(block: Block, last_validators: ValidatorSet) -> ExtendVoteRequest:
    """Of the block that is precommitted. last_validators: as of `block_request`."""
    asked = block_request(block, last_validators)
    return ExtendVoteRequest(
        asked.hash, asked.height, asked.time_ns, asked.txs, asked.last_commit, asked.misbehavior,
        asked.next_validators_hash, asked.proposer_address,
    )  # fmt: skip
