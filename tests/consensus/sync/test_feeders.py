"""Liars that are most of those whom we chose, and that hand on each block as it is made."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.channels import peer_messages as m
from consensus.channels.peer_messages import BLOCK_SYNC_CHANNEL
from consensus.formats.units import NS_PER_S
from consensus.sync.blocks import BlockSyncReactor
from consensus.sync.claims import Pace
from tests.support.sync.blocks import Sync, chain
from tests.support.sync.blocks import sync as sync  # noqa: PLC0414 - the fixture


class Feeder(BlockSyncReactor):
    """Claims a height that nobody has, and answers what it was asked for as soon as that is made."""

    def _send_status(self, peer: Any) -> None:
        peer.try_send(BLOCK_SYNC_CHANNEL, m.StatusResponse(10**12, 1).encode())

    def _serve(self, peer: Any, height: int) -> None:
        self.__dict__.setdefault("held", []).append((peer, height))

    def feed(self) -> None:
        held = self.__dict__.get("held", [])
        for item in list(held):
            peer, height = item
            data = self._blocks.load_block_bytes(height)
            if data is not None:
                held.remove(item)
                peer.try_send(BLOCK_SYNC_CHANNEL, m.BlockResponse(data).encode())


@pytest.mark.parametrize(
    ("ahead_s", "within_s"),
    [
        pytest.param(0, 8, id="our clock is right: the last block is seconds old"),
        pytest.param(-20, 25, id="it is behind: blocks come as they are made"),
        pytest.param(3_600, 25, id="it is an hour ahead"),
    ],
)
async def test_they_do_not_keep_a_node_out_of_consensus(sync: Sync, ahead_s: int, within_s: int) -> None:
    blocks, has = chain(80), 20
    sync.clock.advance(has + ahead_s)
    others = [sync.add(blocks[:has]), *(sync.add(blocks[:has], Feeder) for _ in range(3))]
    for at in range(within_s):
        applied = await sync.run(1)
        if applied is not None:
            break
        for reactor in others:
            reactor._blocks.blocks[has + at + 1] = blocks[has + at]
        for feeder in others[1:]:
            feeder.feed()
    assert applied == (0 if ahead_s else sync.height), "what brought no more than is made is no sync"
    assert sync.height >= has + at - 1
    assert sync.banned() == set()


@pytest.mark.parametrize(
    ("made_s", "want"),
    [
        pytest.param([1] * 11, True, id="as they are made"),
        pytest.param([2] * 11, False, id="twice as fast"),
        pytest.param([1] * 10, False, id="too short a time"),
        pytest.param([0] * 5 + [6] + [2] * 20, False, id="from behind"),
        pytest.param([2] * 21 + [1] * 10, True, id="the last span counts"),
        pytest.param([1] * 5 + [0] * 4 + [5] + [1] * 11, True, id="some were held back"),
    ],
)
def test_at_whose_pace_blocks_come(made_s: list[int], want: bool) -> None:
    """made_s: by how much later each block is than the one before; one comes a second."""
    pace, time_s = Pace(), 0
    for at, later_s in enumerate(made_s):
        time_s += later_s
        pace.applied(at * NS_PER_S, time_s * NS_PER_S)
    assert pace.is_theirs is want
