"""A genesis time that is ahead: validators wait for it, whatever their clocks do meanwhile, and say so."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from consensus.core.events import Step
from consensus.documents.genesis import GenesisDoc
from consensus.engine import timers
from consensus.formats.errors import InvalidGenesis
from consensus.formats.timestamps import TIME_NS_MAX
from consensus.formats.units import NS_PER_S
from consensus.system.clock import LoopClock
from tests.support.engine.bench import FAST, Home, genesis_of, make_node
from tests.support.engine.memnet import MemoryNetwork

HOUR_NS = 3_600 * NS_PER_S


class SetClock(LoopClock):
    """One that somebody sets."""

    def __init__(self) -> None:
        self.off_ns = 0

    def now_ns(self) -> int:
        return super().now_ns() + self.off_ns


def genesis_ahead(seconds: float, validators: int = 4) -> GenesisDoc:
    return replace(genesis_of(validators), genesis_time_ns=time.time_ns() + int(seconds * NS_PER_S))


async def started(genesis: GenesisDoc, *clocks: SetClock) -> MemoryNetwork:
    nodes = [await make_node(genesis, index, Home(), config=FAST, clock=clock) for index, clock in enumerate(clocks)]
    network = MemoryNetwork(nodes)
    await network.start()
    return network


async def test_validators_wait_for_the_genesis_time_and_begin_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """tendermint#2294: two validators made block 1 at once, then stood still for good."""
    monkeypatch.setattr(timers, "GENESIS_LOOK_MS", 50, raising=False)
    genesis = genesis_ahead(1.5)
    with capture_logs() as said:
        network = await started(genesis, *(SetClock() for _ in range(4)))
        while time.time_ns() < genesis.genesis_time_ns - 10**8:
            assert all(node.driver.core.step is Step.NEW_HEIGHT and not node.height for node in network.nodes)
            await asyncio.sleep(0.02)
        await network.reach(4)
    assert not any(node.fatal for node in network.nodes)
    assert time.time_ns() > genesis.genesis_time_ns
    assert any(line["event"] == "waiting for the genesis time" for line in said)
    await network.stop()


async def test_a_clock_that_is_set_during_the_wait_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """tendermint#2294: the wait is for a time, not for a duration."""
    monkeypatch.setattr(timers, "GENESIS_LOOK_MS", 20, raising=False)
    clocks = [SetClock() for _ in range(4)]
    network = await started(genesis_ahead(1_000), *clocks)
    await asyncio.sleep(0.1)
    assert all(node.driver.core.step is Step.NEW_HEIGHT for node in network.nodes)
    for clock in clocks:
        clock.off_ns = HOUR_NS
    await network.reach(3)
    await network.stop()


async def test_whose_clock_is_behind_follows_those_who_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """tendermint#2294: +2/3 that are past the genesis time do not wait for the last one, nor does it for its clock."""
    clocks = [SetClock() for _ in range(4)]
    clocks[0].off_ns = -HOUR_NS
    network = await started(genesis_ahead(-1), *clocks)
    await network.reach(4)
    assert not any(node.fatal for node in network.nodes)
    await network.stop()


def test_a_genesis_time_at_the_end_of_time_is_refused() -> None:
    """audit 2: a chain that begins in the last year that can be written has no second block."""
    with pytest.raises(InvalidGenesis, match="genesis_time"):
        replace(genesis_of(1), genesis_time_ns=TIME_NS_MAX).validate()
