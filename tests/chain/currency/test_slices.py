"""How much a block does between two yields: by what its transactions use, not by how many they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chain.tx.messages.economy import Delegate
from consensus.abci.interface import ExtendedCommitInfo, PrepareProposalRequest
from tests.support.economy.world import DCHAT, UNIT, World

MESSAGES = 32


def driven(slices: Iterator[None]) -> tuple[Any, int]:
    """The result, and how often it yielded."""
    yields = 0
    while True:
        try:
            next(slices)
            yields += 1
        except StopIteration as stop:
            return stop.value, yields


def test_each_transaction_of_many_messages_is_a_slice_of_its_own() -> None:
    """audit 17: forty of them, of 32 messages each, were one: 189 ms in which the loop heard nobody."""
    validators = [f"v{index}" for index in range(MESSAGES)]
    people = [f"a{index}" for index in range(12)]
    world = World(dict.fromkeys(validators, 1_000 * UNIT), dict.fromkeys(people, 10**6 * DCHAT), gas_price=100_000)
    txs = tuple([
        world.tx(who, *[Delegate(world.address(who), world.address(to), UNIT) for to in validators]) for who in people
    ])  # fmt: skip
    height = world.height + 1
    last = ExtendedCommitInfo(0, ())
    request = PrepareProposalRequest(1 << 22, txs, last, (), height, world.time_ns, bytes(32), bytes(20))
    proposed, yields = driven(world.app.prepare_proposal(request))
    assert proposed.txs == txs
    assert yields >= len(txs)
    world.time_ns += 10**9
    answer, yields = driven(world.app.process_proposal(world.request(txs)))
    assert answer.accepted, answer.reason
    assert yields >= len(txs)
