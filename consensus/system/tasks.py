"""Who owns a node's tasks, and what becomes of one that fails: nothing of the node ends without a line.

What the chain needs (vital) ends the process, with a code and a last line, when it fails or merely returns. Anything
else begins anew after a wait that grows, is said aloud, and is told by /ready and a metric until it has run for a
while. What nobody owns (a callback of the loop that raises) is told in the same places.
Source: known failure 19 (every task has an owner).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from consensus.system.errors import EXIT_CONSENSUS_FAILURE, exit_code_of, traced
from consensus.system.machine import last_words

EXIT_TASK_FAILED: Final = EXIT_CONSENSUS_FAILURE
RESTART_FIRST_S: Final = 1.0
RESTART_MAX_S: Final = 60.0
STEADY_S: Final = 60.0  # what ran so long is well again
UNOWNED: Final = "callback"  # the name under which errors are counted that no task of ours raised

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]


class Faults:
    """What fails in this process, for /ready and the metrics. `needed` holds the parts that serving depends on."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()  # by the part's name, since the start
        self._down: dict[str, str] = {}
        self._needed: set[str] = set()

    @property
    def down(self) -> dict[str, str]:
        """Part -> why: failed, and not well again yet."""
        return dict(self._down)

    @property
    def not_served(self) -> str | None:
        """The first part that is down and that serving needs; None: there is none."""
        return next((f"{name} failed: {why}" for name, why in self._down.items() if name in self._needed), None)

    def failed(self, name: str, error: BaseException, *, needed: bool = False) -> None:
        self.failures[name] += 1
        self._down[name] = f"{type(error).__name__}: {error}"
        if needed:
            self._needed.add(name)

    def recovered(self, name: str) -> None:
        self._down.pop(name, None)


class Tasks:
    """Owner of the long-lived tasks of one node; `stop` leaves none. `fatal` ends the process (code, last line)."""

    def __init__(self, fatal: Callable[[int, str], None], faults: Faults) -> None:
        self._fatal, self._faults = fatal, faults
        self._running: dict[str, asyncio.Task[None]] = {}

    @property
    def names(self) -> frozenset[str]:
        """Of the tasks that run or wait to begin anew."""
        return frozenset(self._running)

    def vital(self, name: str, work: Work) -> None:
        """Run `work`, without which the chain does not go on: its end is the process's."""
        self._start(name, self._run_vital(name, work))

    def side(self, name: str, work: Work, *, needed: bool = False) -> None:
        """Run `work`, without which the chain goes on: begun anew when it fails, done when it returns.

        needed: this node is not ready for clients while it is down.
        """
        self._start(name, self._run_side(name, work, needed=needed))

    async def stop(self, name: str | None = None) -> None:
        """Cancel one task, or all; returns when they are gone."""
        chosen = [task for key, task in self._running.items() if name is None or key == name]
        for task in chosen:
            task.cancel()
        await asyncio.gather(*chosen, return_exceptions=True)

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have errors told that reach nobody: of callbacks, timers, tasks that nobody awaits."""
        loop.set_exception_handler(self._unowned)

    def _start(self, name: str, run: Any) -> None:
        assert name not in self._running, name
        task = asyncio.get_running_loop().create_task(run, name=name)
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))

    async def _run_vital(self, name: str, work: Work) -> None:
        try:
            await work()
        except Exception as error:
            self._faults.failed(name, error, needed=True)
            log.critical("a task that the chain needs failed", task=name, why=last_words(error), exc_info=traced(error))
            self._fatal(exit_code_of(error), f"{name} failed: {last_words(error)}")
        else:
            self._fatal(EXIT_TASK_FAILED, f"{name} ended, which it must not while the node runs")

    async def _run_side(self, name: str, work: Work, *, needed: bool) -> None:
        loop = asyncio.get_running_loop()
        wait_s = RESTART_FIRST_S
        while True:
            began = loop.time()
            well = loop.call_later(STEADY_S, self._faults.recovered, name)
            try:
                await work()
            except Exception as error:
                if loop.time() - began >= STEADY_S:
                    wait_s = RESTART_FIRST_S
                self._faults.failed(name, error, needed=needed)
                log.error(
                    "a task failed and begins anew; the chain goes on", task=name, after_s=wait_s,
                    why=last_words(error), exc_info=traced(error),
                )  # fmt: skip
            else:
                self._faults.recovered(name)
                return
            finally:
                well.cancel()
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RESTART_MAX_S)

    def _unowned(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Exception):
            loop.default_exception_handler(context)
            return
        self._faults.failures[UNOWNED] += 1
        log.error(
            "an error reached nobody; the node goes on", what=str(context.get("message", "")), why=last_words(error),
            exc_info=traced(error),
        )  # fmt: skip
