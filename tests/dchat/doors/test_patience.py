"""A client whose transactions find no room is told so when a block has made some, and holds up nobody meanwhile."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from consensus.abci.interface import CheckTxResponse
from consensus.mempool.admission.errors import Refusal, refuse
from consensus.node.commit_watch import CommitWatch
from dchat.doors.grpc import door
from dchat.doors.grpc.door import HELD_CLIENTS_MAX, Patience
from tests.support.engine.bench import until

FULL = [refuse(Refusal.FULL, "full"), refuse(Refusal.LANE_FULL, "full"), refuse(Refusal.SENDER_FULL, "full")]


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> CommitWatch:
    """Of a chain that says itself when a block is saved. No wait ends by itself."""
    monkeypatch.setattr(door, "HELD_S", 3_600.0)
    return CommitWatch(lambda tx_hash: False)


async def started(patience: Patience, client: str) -> asyncio.Task[None]:
    before, task = patience.held, asyncio.create_task(patience.until_room(client, FULL))
    await until(lambda: patience.held > before)
    return task


async def test_a_call_that_finds_no_room_is_answered_after_the_next_block(watch: CommitWatch) -> None:
    patience = Patience(watch)
    held = await started(patience, "a")
    assert not held.done()
    watch.block_saved(cast(Any, SimpleNamespace(height=1)))
    async with asyncio.timeout(5):
        await held
    assert patience.held == 0


@pytest.mark.parametrize("responses", [
    pytest.param([], id="none"),
    pytest.param([*FULL, CheckTxResponse()], id="one was admitted"),
    pytest.param([*FULL, refuse(Refusal.ALREADY_HERE, "")], id="one is here already"),
    pytest.param([*FULL, CheckTxResponse(code=Refusal.FULL, codespace="tx")], id="another's code of that number"),
])  # fmt: skip
async def test_other_answers_go_out_at_once(watch: CommitWatch, responses: list[CheckTxResponse]) -> None:
    async with asyncio.timeout(5):
        await Patience(watch).until_room("a", responses)


async def test_one_call_of_a_client_waits_and_of_so_many_clients(watch: CommitWatch) -> None:
    patience = Patience(watch)
    held = [await started(patience, f"c{number}") for number in range(HELD_CLIENTS_MAX)]
    async with asyncio.timeout(5):
        await patience.until_room("c0", FULL)
        await patience.until_room("one more", FULL)
    held[0].cancel()  # its client went away
    await asyncio.gather(held[0], return_exceptions=True)
    held[0] = await started(patience, "one more")
    watch.block_saved(cast(Any, SimpleNamespace(height=1)))
    async with asyncio.timeout(5):
        await asyncio.gather(*held)


async def test_without_a_block_the_wait_ends(watch: CommitWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HELD_S", 0.01)
    async with asyncio.timeout(5):
        await Patience(watch).until_room("a", FULL)
