"""Where in a block a transaction is, by a node that lies about it."""

from __future__ import annotations

import asyncio

import pytest

from dchat.client.verify import ProofFailed
from proto.dchat.v1 import service_pb2 as pb
from tests.support.cli.pack_world import POSTED, FakeNode, verifier, world


def answer(name: str) -> pb.GetTxResponse:
    return asyncio.run(FakeNode(world()).tx(world().hashes[name], prove=True))


def test_the_last_of_five_is_not_taken_for_the_last_of_two() -> None:
    """audit 28: its path is the same, so that a node could tell any such place; the receipt knows."""
    told = answer("failed")
    assert (told.height, told.index, told.proof.proof.total) == (POSTED, 4, 5)
    asyncio.run(verifier().tx(told, told.hash))
    for proof in (told.proof.proof, told.result_proof):
        proof.index, proof.total = 1, 2
    told.index = 1
    with pytest.raises(ProofFailed, match=f"is number 4 of block {POSTED}, the node says 1"):
        asyncio.run(verifier().tx(told, told.hash))
