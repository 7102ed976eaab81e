"""Evidence against a running node's own key."""

from __future__ import annotations

from dataclasses import replace

from consensus.types.evidence import DuplicateVoteEvidence
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import Vote
from crypto.keys import PrivKey
from dchat.home.home import Home, load_validator_key
from tests.support.node.running import Running


def signed(key: PrivKey, chain_id: str, vote: Vote) -> Vote:
    return replace(vote, signature=key.sign(vote.sign_bytes(chain_id)))


def two_votes(one: Running, height: int) -> DuplicateVoteEvidence:
    """Two precommits of the node's own key at a height that it has decided."""
    node = one.node
    key = load_validator_key(Home.of(one.network.home_of(one.network.nodes[0])))
    answers, chain_id = node.views.answers, node.genesis.chain_id
    header, validators = answers.load_block(height).header, answers.states.load_validators(height)
    assert validators is not None
    votes = [
        signed(
            key, chain_id,
            Vote(2, height, 0, BlockID(bytes((n,)) * 32, PartSetHeader(1, bytes((n,)) * 32)), header.time_ns,
                 key.pub_key.address, 0),
        )
        for n in (1, 2)
    ]  # fmt: skip
    return DuplicateVoteEvidence.from_votes(votes[0], votes[1], validators=validators, time_ns=header.time_ns)
