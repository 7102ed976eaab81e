"""The owner of the switch's own tasks: one that fails is begun anew, aloud, and ends none of the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from consensus.system.errors import traced

RESTART_FIRST_S: Final = 1.0
RESTART_MAX_S: Final = 60.0
STEADY_S: Final = 60.0  # a task that ran so long before it failed starts the back-off over

log = structlog.get_logger()


class Children:
    """Runs works as tasks of a TaskGroup until `cancel`. `failing`: name -> why, of those that wait to begin anew.

    `on_failed(name, error)` and `on_recovered(name)` tell the process, for /ready and metrics.
    """

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()
        self.failing: dict[str, str] = {}
        self.on_failed: Callable[[str, Exception], None] = lambda name, error: None
        self.on_recovered: Callable[[str], None] = lambda name: None
        self.group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        assert self.group is not None, "the switch does not run"
        task = self.group.create_task(self._keep(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            began = loop.time()
            try:
                await work()
                return
            except Exception as error:
                failures = 1 if loop.time() - began >= STEADY_S else failures + 1
                wait_s = min(RESTART_FIRST_S * 2 ** min(failures - 1, 16), RESTART_MAX_S)
                self._failed(name, error, wait_s)
            await asyncio.sleep(wait_s)
            self.failing.pop(name, None)
            self.on_recovered(name)

    def _failed(self, name: str, error: Exception, wait_s: float) -> None:
        self.failures[name] += 1
        self.failing[name] = f"{type(error).__name__}: {error}"
        log.error("a part of the network failed and begins anew", part=name, again_in_s=wait_s, exc_info=traced(error))
        try:
            self.on_failed(name, error)
        except Exception:
            log.exception("failed to tell of a failure", part=name)
