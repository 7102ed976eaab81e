"""A timer of the loop's clock keeps its promise, whatever the loop counts in."""

import asyncio
import time

import pytest
import uvloop

from consensus.system.clock import LoopClock, not_before

DELAYS_S = [0.0004, 0.001, 0.0016, 0.0023, 0.0051, 0.0057]


@pytest.mark.parametrize("delay_s", DELAYS_S)
def test_a_timer_never_comes_early(delay_s: float) -> None:
    """libuv's do, by up to a millisecond: a relay that found nothing due set its timer again 3,400 times a second."""

    async def early() -> list[float]:
        clock, found = LoopClock(), []
        for turn in range(20):
            done = asyncio.Event()
            began = time.monotonic()
            clock.call_later(delay_s, done.set)
            while time.monotonic() - began < turn % 4 * 0.000_3:
                pass  # the loop's own time is then older than ours
            await done.wait()
            found.append(time.monotonic() - began)
        return [took for took in found if took < delay_s]

    assert uvloop.run(early()) == []


@pytest.mark.parametrize(("delay_s", "asked_s"), [(0, 0), (-1, 0), (0.000_1, 0.002), (0.005, 0.006), (0.005_1, 0.007)])
def test_what_is_asked_of_a_loop(delay_s: float, asked_s: float) -> None:
    assert not_before(delay_s) == asked_s
