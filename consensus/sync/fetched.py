"""A block that a peer sent, and whether the commit in its successor proves it.

A proof costs what one look at a commit costs: all of its signatures, once, since it becomes our seen commit.
Source: CometBFT v0.38, blocksync/; known failures 14 and 15.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from consensus.channels.peer_messages import BlockResponse
from consensus.formats.bounds import COMMIT_SIGNATURE, count_fields
from consensus.formats.errors import InvalidData
from consensus.state.state import State
from consensus.types.block import Block, BlockBounds, Commit, ExtendedCommit
from consensus.types.commits import Verifier, verify_commit, votes_from_extended_commit
from consensus.types.ids import BlockID
from consensus.types.parts import PartSet

COPIES: Final = 3
TX_HELD_BYTES: Final = 160  # of objects: the transaction's own, its hash's
ITEM_HELD_BYTES: Final = 1_024  # of evidence, the larger one; and of a signature


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    peer_id: str
    block: Block
    parts: PartSet
    extended: ExtendedCommit | None

    @property
    def block_id(self) -> BlockID:
        return BlockID(self.block.hash, self.parts.header)

    @property
    def held_bytes(self) -> int:
        """What it takes in memory, about: its bytes as they came, in parts and in pieces, and the pieces' objects."""
        block, extended = self.block, self.extended
        signatures = 0 if block.last_commit is None else len(block.last_commit.signatures)
        if extended is not None:
            signatures += len(extended.signatures)
        objects = len(block.txs) * TX_HELD_BYTES + (len(block.evidence) + signatures) * ITEM_HELD_BYTES
        return COPIES * self.parts.byte_size + objects


class Lie(InvalidData):
    """What a peer sent contradicts what +2/3 signed."""

    def __init__(self, reason: str, *liars: str) -> None:
        super().__init__(reason)
        self.liars = liars


def decode_fetched(peer_id: str, response: BlockResponse, bounds: BlockBounds) -> Fetched:
    """For a thread, where the block is large. Raises InvalidData."""
    block = Block.decode(response.block, bounds=bounds)
    block.hash_pieces()
    extended = None
    if data := response.extended_commit:
        count_fields(data, (0, len(data)), COMMIT_SIGNATURE, "extended signatures", count_max=bounds.signatures)
        extended = ExtendedCommit.decode(data)
    fetched = Fetched(peer_id, block, PartSet.from_bytes(response.block), extended)
    assert fetched.block_id.part_set_header == fetched.parts.header  # hashed here: the block keeps its hash
    return fetched


def prove(state: State, first: Fetched, second: Fetched, verifier: Verifier) -> Commit:
    """The commit for the first, which follows `state`, that the second carries. Raises Lie.

    The commit is judged by itself before it is compared with the block, so that it is known who lied.
    """
    height = first.block.height
    commit = second.block.last_commit
    try:
        if commit is None:
            raise InvalidData(f"block {height + 1} has no last_commit")
        commit.validate()
        # All of it, not only +2/3: it becomes our seen commit, and is checked in full in the next block anyway.
        verify_commit(
            state.chain_id, state.validators, commit, block_id=commit.block_id, height=height, verifier=verifier
        )
    except InvalidData as error:
        raise Lie(f"block {height + 1} has a false last_commit: {error}", second.peer_id) from error
    if commit.block_id != first.block_id:
        raise Lie(f"it is {first.block.hash.hex()}, decided was {commit.block_id.hash.hex()}", first.peer_id)
    _check_extensions(state, first, verifier)
    return commit


def _check_extensions(state: State, first: Fetched, verifier: Verifier) -> None:
    height, extended = first.block.height, first.extended
    enabled = state.params.abci.extensions_enabled(height)
    if enabled != (extended is not None):
        raise Lie(f"extended commit {'missing' if enabled else 'not expected'}", first.peer_id)
    if extended is None:
        return
    try:
        plain = extended.commit()
        plain.validate()
        verify_commit(
            state.chain_id, state.validators, plain, block_id=first.block_id, height=height, verifier=verifier
        )
    except InvalidData as error:
        raise Lie(f"its extended commit is false: {error}", first.peer_id) from error
    for vote, validator in zip(votes_from_extended_commit(extended), state.validators, strict=True):
        if vote is None or vote.is_nil:
            continue
        if not vote.verify_extension(state.chain_id, validator.pub_key):
            raise Lie(f"the extension of {validator.address.hex()} is not signed by it", first.peer_id)
