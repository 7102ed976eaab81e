"""Block ids that share a part-set header or a block hash: whoever names which first, the decided block is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.core.events import Step, VoteKind
from consensus.types.block import Block
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PartSet
from consensus.types.vote import PRECOMMIT, PREVOTE
from tests.support.engine.bench import until
from tests.support.engine.driver import Bench, make_bench, restart

Send = Callable[[Bench], None]


@dataclass(frozen=True)
class Ids:
    """Of one block: its own id, and what a liar makes of it."""

    block: Block
    again: PartSet  # the same block in other bytes: a field that nobody knows follows it

    @property
    def good(self) -> BlockID:
        return self.block.block_id

    @property
    def parts(self) -> PartSet:
        return self.block.part_set()

    @property
    def lies(self) -> list[BlockID]:
        header = self.parts.header
        return [
            BlockID(b"x" * 32, header),  # another hash over the same parts
            BlockID(b"y" * 32, header),
            BlockID(self.good.hash, self.again.header),  # the same hash over other parts
            BlockID(b"x" * 32, self.again.header),
            BlockID(self.good.hash, PartSetHeader(header.total + 1, header.hash)),  # parts that cannot be
        ]

    @property
    def all(self) -> list[BlockID]:
        return [self.good, *self.lies]


def ids_of(bench: Bench) -> Ids:
    block = bench.block(tuple(b"k%d=" % number + b"v" * 40_000 for number in range(3)))
    return Ids(block, PartSet.from_bytes(block.encode() + b"\x78\x01"))


def send_parts(bench: Bench, parts: PartSet, peer: str) -> None:
    for index in range(parts.header.total):
        part = parts.get(index)
        assert part is not None
        bench.driver.add_part(1, 0, part, peer)


def hostile(bench: Bench, ids: Ids) -> list[Send]:
    """What a lying validator, which is the proposer, and peers without a key can send; and the honest ones' share."""
    liar = bench.proposer
    sends: list[Send] = [lambda b, p=parts: send_parts(b, p, "p1") for parts in (ids.parts, ids.again)]  # type: ignore[misc]
    for number, block_id in enumerate(ids.all):
        sends.append(lambda b, i=block_id: b.driver.add_proposal(b.proposal(i), "p2"))  # type: ignore[misc]
        for type in (PREVOTE, PRECOMMIT):
            sends.append(lambda b, i=block_id, t=type: b.driver.add_vote(b.vote(liar, t, i), "p3"))  # type: ignore[misc]
            sends.append(
                lambda b, i=block_id, t=type, n=number: b.driver.add_peer_majority(VoteKind(t), 1, 0, i, f"q{n}")  # type: ignore[misc]
            )
    for honest in (index for index in bench.others if index != liar):
        for type in (PREVOTE, PRECOMMIT):
            sends.append(lambda b, h=honest, t=type: b.driver.add_vote(b.vote(h, t, ids.good), "p4"))  # type: ignore[misc]
    return sends


async def the_others_decide(bench: Bench, ids: Ids) -> None:
    """What honest peers' gossip brings in the end; the block is committed."""
    for type in (PREVOTE, PRECOMMIT):
        bench.driver.add_peer_majority(VoteKind(type), 1, 0, ids.good, "honest")
        for index in bench.others:
            bench.driver.add_vote(bench.vote(index, type, ids.good), "honest")
    await bench.settle()
    send_parts(bench, ids.parts, "honest")
    await until(lambda: bench.node.height == 1 or bool(bench.node.fatal))
    assert not bench.node.fatal
    meta = bench.node.executor.blocks.load_meta(1)
    assert meta is not None
    assert meta.block_id == ids.good
    assert bench.node.executor.blocks.load_parts(1).to_bytes() == ids.parts.to_bytes()  # type: ignore[union-attr]


async def play(data: st.DataObject) -> None:
    bench = await make_bench()
    try:
        ids = ids_of(bench)
        sends = data.draw(st.permutations(hostile(bench, ids)))
        sends = sends[: data.draw(st.integers(0, len(sends)))]
        stop_at = data.draw(st.one_of(st.none(), st.integers(0, len(sends))))
        for number, send in enumerate(sends):
            if number == stop_at:
                bench = await restart(bench)
            if bench.node.height == 0:
                send(bench)
            if data.draw(st.booleans()):
                await bench.settle()
        if bench.node.height == 0:
            await the_others_decide(bench, ids)
        assert not bench.node.fatal
    finally:
        await bench.driver.stop()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_order_of_ids_that_share_parts_or_hash_ends_in_the_decided_block(data: st.DataObject) -> None:
    """audit 3: a proposal (hash X, parts P) to one node, (B, P) to the others, left that one in COMMIT for ever."""
    asyncio.run(play(data))


@pytest.mark.parametrize("parts_first", [True, False])
@pytest.mark.parametrize("lie", range(5))
async def test_a_liars_id_over_the_blocks_parts_does_not_keep_the_block_out(lie: int, parts_first: bool) -> None:
    """audit 3, also after a restart."""
    bench = await make_bench()
    ids = ids_of(bench)
    bench.driver.add_proposal(bench.proposal(ids.lies[lie]), "liar")
    await until(lambda: bench.driver.round_state.proposal is not None)
    if parts_first:
        send_parts(bench, ids.parts, "liar")
        send_parts(bench, ids.again, "liar")
    await bench.settle()
    back = await restart(bench)
    await until(
        lambda: back.driver.core.step is not Step.NEW_HEIGHT and not back.driver.metrics.is_catching_up_from_wal
    )
    await the_others_decide(back, ids)
    await back.driver.stop()


async def test_a_part_is_not_taken_for_the_one_in_its_place_in_another_set() -> None:
    """audit 3's kin: a part of a set that is open was a "duplicate" where the wanted set held its own of that index."""
    bench = await make_bench()
    proposed, wanted = bench.block((b"a=1",)), bench.block((b"a=2",))
    bench.driver.add_proposal(bench.proposal(proposed.block_id), "peer")
    await until(lambda: bench.driver.round_state.proposal is not None)
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PREVOTE, wanted.block_id), "peer")
    await bench.settle()
    send_parts(bench, wanted.part_set(), "peer")
    await until(lambda: wanted.block_id in bench.driver.round_state.blocks)
    send_parts(bench, proposed.part_set(), "peer")
    await until(lambda: bench.driver.round_state.blocks.get(proposed.block_id) == proposed)
    await bench.driver.stop()
