"""A signing key, and signatures collected for a value."""

from __future__ import annotations

from consensus.engine.incoming.inputs import ProposalIn, VoteIn, decode_logged
from consensus.stores.wal import Wal

SignKey = tuple[bytes, int, int, int]


def collect_signatures(wal: Wal, into: dict[SignKey, set[bytes]], name: bytes = b"") -> None:
    """Own signatures in a log, by signer, height, round and step; the block that they are for."""
    for record in wal.all_messages():
        logged = decode_logged(record)
        if isinstance(logged, VoteIn) and not logged.peer_id:
            vote = logged.vote
            into[name, vote.height, vote.round, vote.type].add(vote.signature)
        elif isinstance(logged, ProposalIn) and not logged.peer_id:
            into[name, logged.proposal.height, logged.proposal.round, 32].add(logged.proposal.signature)
