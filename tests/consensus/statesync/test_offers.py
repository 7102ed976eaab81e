"""Which snapshot is tried next, where most that is offered is a lie, and what liars may fill memory with."""

from __future__ import annotations

from typing import Any

from consensus.abci.interface import Snapshot
from consensus.channels.state_sync_messages import SNAPSHOT_MESSAGE_BYTES_MAX
from consensus.statesync import syncer
from consensus.statesync.offers import PER_PEER_MAX, Offers
from tests.support.statesync.world import CHAIN, HEIGHT, World, play, restore, snapshot_of

GOOD = snapshot_of(HEIGHT)
METADATA = SNAPSHOT_MESSAGE_BYTES_MAX - 100


class Somebody:
    def __init__(self, name: str, *, is_chosen: bool = False) -> None:
        self.id, self.is_outbound, self.is_persistent = name * 40, is_chosen, False


def offered(offers: Offers, peer: Any, *snapshots: Snapshot) -> None:
    offers.asked(peer)
    for snapshot in snapshots:
        assert offers.add(peer, snapshot)


def tried(offers: Offers) -> Snapshot:
    best = offers.best()
    assert best is not None
    return best.snapshot


def above(number: int) -> list[Snapshot]:
    """Of heights that never come."""
    return [snapshot_of(CHAIN.height + 1_000 * number + more) for more in range(PER_PEER_MAX)]


def test_a_liar_costs_one_try_and_not_one_an_offer() -> None:
    async def scenario(world: World) -> None:
        world.server("a", *above(1))
        world.server("b", GOOD)
        restored = await restore(world, world.new(), within_s=2 * syncer.OTHERS_S)
        assert restored.height == HEIGHT

    play(scenario)


def test_who_comes_back_with_other_lies_is_tried_last() -> None:
    offers, liar, honest = Offers(), Somebody("a"), Somebody("b")
    offered(offers, liar, *above(1))
    offered(offers, honest, GOOD)
    offers.forget(tried(offers))
    offered(offers, liar, *above(2))
    assert tried(offers) == GOOD


def test_what_nobody_offers_whom_we_chose_goes_last_however_many_they_are() -> None:
    offers = Offers()
    for name in "cdef":
        offered(offers, Somebody(name), *above(1))
    offered(offers, Somebody("a", is_chosen=True), GOOD)
    assert tried(offers) == GOOD
    offers.refuse(GOOD)
    assert tried(offers).height > CHAIN.height


def test_a_peer_fills_no_more_than_two_of_the_largest() -> None:
    offers, liar = Offers(), Somebody("a")
    offered(offers, liar, *(Snapshot(at + 1, 1, 1, b"hash", bytes(METADATA)) for at in range(PER_PEER_MAX)))
    assert len(offers) == 2
    offered(offers, liar, Snapshot(1, 1, 1, b"hash", bytes(METADATA)))
    assert len(offers) == 1
    offers.refuse(tried(offers))
    offered(offers, liar, Snapshot(1, 1, 1, b"hash", bytes(METADATA)))
    assert offers.best() is None
