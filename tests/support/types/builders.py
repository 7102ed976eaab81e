"""Validators, votes and chains made for tests; keys follow from names, so every run has the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from consensus.formats.units import NS_PER_MS, NS_PER_S
from consensus.state.state import State, next_block_state
from consensus.state.validation import make_block
from consensus.types.block import Block, BlockID, Commit, PartSetHeader
from consensus.types.commits import commit_from_votes
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, Vote
from crypto.hash import sha256
from crypto.keys import KEY_TYPES, Ed25519PrivKey, PrivKey

DATA = Path(__file__).parents[2] / "data"
CHAIN_ID = "test-chain"
START_NS = 1_700_000_000 * NS_PER_S


@cache
def key(name: str) -> Ed25519PrivKey:
    return Ed25519PrivKey.from_seed(sha256(name.encode()))


def block_id(name: str = "block", total: int = 1) -> BlockID:
    return BlockID(sha256(name.encode()), PartSetHeader(total, sha256(b"parts of " + name.encode())))


@dataclass(frozen=True)
class Signers:
    """A validator set with the keys to sign for it."""

    validators: ValidatorSet
    keys: dict[bytes, PrivKey]

    @staticmethod
    def of(*powers: int, names: str = "val") -> Signers:
        keys = [key(f"{names}{number}") for number in range(len(powers))]
        validators = ValidatorSet.new((k.pub_key, power) for k, power in zip(keys, powers, strict=True))
        return Signers(validators, {k.pub_key.address: k for k in keys})

    @staticmethod
    def of_types(*types: str) -> Signers:
        """Of equal powers; types: of their keys."""
        keys = [KEY_TYPES[kind].from_secret(sha256(b"val%d" % number)) for number, kind in enumerate(types)]
        return Signers(ValidatorSet.new((k.pub_key, 10) for k in keys), {k.pub_key.address: k for k in keys})

    def vote(self, index: int, target: BlockID, **fields: object) -> Vote:
        """A signed precommit of height 1, round 0, at START_NS + index ms, unless `fields` say otherwise."""
        address = self.validators[index].address
        vote = Vote(PRECOMMIT, 1, 0, target, START_NS + index * NS_PER_MS, address, index)
        vote = replace(vote, **fields)  # type: ignore[arg-type]
        return vote.signed(self.keys[address].sign(vote.sign_bytes(CHAIN_ID)))

    def commit(
        self, target: BlockID, *, height: int = 1, round: int = 0, nil: Sequence[int] = (), absent: Sequence[int] = ()
    ) -> Commit:
        votes = [
            None
            if index in absent
            else self.vote(index, BlockID() if index in nil else target, height=height, round=round)
            for index in range(len(self.validators))
        ]
        return commit_from_votes(height, round, target, votes)


def genesis_state(signers: Signers) -> State:
    return State(
        chain_id=CHAIN_ID,
        initial_height=1,
        last_block_time_ns=START_NS - NS_PER_S,
        validators=signers.validators,
        next_validators=signers.validators.increment(),
    )


def two_blocks(signers: Signers) -> tuple[State, Block]:
    """The state after a first block, and a second block that follows it."""
    state = genesis_state(signers)
    first = make_block(
        state, txs=[b"a"], last_commit=Commit(), evidence=(), proposer_address=signers.validators.proposer_of(0).address
    )
    state = next_block_state(
        state,
        block_id=first.block_id,
        header=first.header,
        tx_results=[],
        validator_updates=[],
        param_updates=None,
        app_hash=b"app",
    )
    commit = signers.commit(first.block_id)
    second = make_block(
        state,
        txs=[b"b", b"c"],
        last_commit=commit,
        evidence=(),
        proposer_address=state.validators.proposer_of(0).address,
    )
    return state, second
