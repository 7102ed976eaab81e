"""Blocks whose hashes are known."""

from __future__ import annotations

from dataclasses import replace

from consensus.formats.timestamps import parse_rfc3339
from consensus.types.block import (
    Block,
    BlockID,
    Header,
    PartSetHeader,
    Version,
)
from crypto.hash import sha256

KNOWN = Header(
    version=Version(1, 2),
    chain_id="chainId",
    height=3,
    time_ns=parse_rfc3339("2019-10-13T16:14:44Z"),
    last_block_id=BlockID(bytes(32), PartSetHeader(6, bytes(32))),
    last_commit_hash=sha256(b"last_commit_hash"),
    data_hash=sha256(b"data_hash"),
    validators_hash=sha256(b"validators_hash"),
    next_validators_hash=sha256(b"next_validators_hash"),
    consensus_hash=sha256(b"consensus_hash"),
    app_hash=sha256(b"app_hash"),
    last_results_hash=sha256(b"last_results_hash"),
    evidence_hash=sha256(b"evidence_hash"),
    proposer_address=sha256(b"proposer_address")[:20],
)


def rehashed(block: Block, **header: object) -> Block:
    """The block with its own hashes right, so that only the rule under test is broken."""
    assert block.last_commit is not None
    hashes = {"data_hash": block.data.hash, "last_commit_hash": block.last_commit.hash}
    return replace(block, header=replace(block.header, **{**hashes, **header}))
