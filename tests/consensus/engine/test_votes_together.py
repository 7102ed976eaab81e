"""Votes that wait together are verified together where that costs less, and judged one by one all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from consensus.core.events import VoteKind
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, PREVOTE, Vote
from crypto import native
from crypto.keys import ed25519_verify
from tests.support.engine.bench import until
from tests.support.engine.driver import Bench, make_bench

A = BlockID(b"a" * 32, PartSetHeader(1, b"p" * 32))


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """As with the native part; the sizes of the batches that it is given."""
    sizes: list[int] = []

    def verify_batch(checks: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        sizes.append(len(checks))
        return [ed25519_verify(key, message, signature) for key, message, signature in checks]

    monkeypatch.setattr(native, "is_used", lambda: True)
    monkeypatch.setattr(native, "verify_batch", verify_batch)
    return sizes


async def give(bench: Bench, votes: Sequence[Vote], peer: str = "peer") -> None:
    for vote in votes:
        bench.driver.add_vote(vote, peer)
    await until(lambda: not bench.driver._inbox)
    await bench.settle()


def counted(bench: Bench, type: int) -> int:
    return bench.driver.core.votes(VoteKind(type), 0).bitmap


def bits(*indices: int) -> int:
    return sum(1 << index for index in indices)


async def test_what_one_peer_has_waiting_is_one_batch(batches: list[int]) -> None:
    bench = await make_bench()
    await give(bench, [bench.vote(index, type, A) for type in (PREVOTE, PRECOMMIT) for index in bench.others])
    assert batches == [6]
    assert counted(bench, PREVOTE) & bits(*bench.others) == bits(*bench.others)
    assert counted(bench, PRECOMMIT) & bits(*bench.others) == bits(*bench.others)
    assert not bench.faults


async def test_a_bad_one_among_them_is_its_senders_and_its_own(batches: list[int]) -> None:
    bench = await make_bench()
    first, second, third = (bench.vote(index, PREVOTE, A) for index in bench.others)
    await give(bench, [first, second, replace(third, signature=first.signature)])
    assert batches == [3]
    assert counted(bench, PREVOTE) & bits(*bench.others) == bits(*bench.others[:2])
    assert [peer for peer, _ in bench.faults] == ["peer"]
    await give(bench, [third], "honest")
    assert counted(bench, PREVOTE) & bits(*bench.others) == bits(*bench.others)
    assert len(bench.faults) == 1


async def test_what_cannot_count_is_in_no_batch(batches: list[int]) -> None:
    bench = await make_bench()
    good = bench.vote(bench.others[0], PREVOTE, A)
    strange = bench.vote(bench.others[1], PREVOTE, A)
    await give(
        bench,
        [
            good,
            replace(strange, validator_index=4),
            replace(strange, validator_address=b"x" * 20),
            replace(strange, block_id=BlockID(b"a" * 32)),
            replace(strange, signature=b"s"),
        ],
    )
    assert batches == []
    assert counted(bench, PREVOTE) & bits(*bench.others) == bits(bench.others[0])


async def test_nobody_pays_for_what_another_has_waiting(batches: list[int]) -> None:
    bench = await make_bench()
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PREVOTE, A), f"peer {index}")
    await until(lambda: not bench.driver._inbox)
    assert batches == []
    assert counted(bench, PREVOTE) & bits(*bench.others) == bits(*bench.others)


async def test_without_the_native_part_each_is_verified_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "is_used", lambda: False)
    bench = await make_bench()
    await give(bench, [bench.vote(index, PREVOTE, A) for index in bench.others])
    assert counted(bench, PREVOTE) & bits(*bench.others) == bits(*bench.others)
