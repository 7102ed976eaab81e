"""An event loop of simulated time, in which a node can vanish between two callbacks.

Time moves only when nothing is ready, to the next timer; there are no sockets, threads or waits, and what is ready runs
first in, first out. So a run is a function of what the callbacks do.

Every callback, timer and task carries in its context the `Life` that scheduled it. When a life ends, as a process ends
that is killed, none of them runs any more: no `finally`, no good-bye to peers, no last write.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple, Unpack

H = TypeVar("H", bound=asyncio.Handle)
Ts = TypeVarTuple("Ts")

TASKS_KEPT = 2_000  # of a life before those that are done are let go

CLOSES_MAX = 5  # waits in the `finally` of a coroutine, one inside another


class Life:
    """One start of a node, until it stops."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_over = False
        self.stops = False  # it was asked to
        self.stall: Stall | None = None
        self.tasks: list[asyncio.Task[Any]] = []  # kept: a task that is collected would still run its `finally`
        self.context = contextvars.copy_context()
        self.context.run(LIFE.set, self)

    def keep(self, task: asyncio.Task[Any]) -> None:
        if len(self.tasks) >= TASKS_KEPT:
            self.tasks = [kept for kept in self.tasks if not kept.done() or kept._log_traceback]
        self.tasks.append(task)

    def failures(self) -> list[BaseException]:
        """What tasks failed with that nobody asked for."""
        unseen = [task for task in self.tasks if task.done() and task._log_traceback]
        errors = [task.exception() for task in unseen if not task.cancelled()]
        return [error for error in errors if error is not None]


class Stall:
    """What waits for a life that does not run until `until_s`."""

    def __init__(self, until_s: float) -> None:
        self.until_s = until_s
        self._held: list[tuple[float, asyncio.Handle]] = []

    def take(self, due_s: float, handle: asyncio.Handle) -> None:
        self._held.append((due_s, handle))

    def in_order(self) -> list[asyncio.Handle]:
        """By when they were due; those of one moment as they came."""
        return [handle for _, handle in sorted(self._held, key=lambda held: held[0])]


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


class Deadlock(Exception):
    """Nothing is ready and nothing is due any more."""


class _Jump:
    """In the place of a selector: instead of waiting, moves the time on."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock
        self._loop.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """`failures` are the exceptions of callbacks; `spawn` starts a task of a life."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.failures: list[BaseException] = []
        self._selector = _Jump(self)
        self._lives: list[Life] = []
        self._is_dropping = False
        self._stalls = 0  # of lives, now
        self.set_task_factory(_make_task)  # type: ignore[arg-type]
        self.set_exception_handler(lambda _, context: self._failed(context))

    def time(self) -> float:
        return self.now_s

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        stall = self._stall_of(context)
        if stall is not None:
            handle = asyncio.Handle(callback, args, self, context)
            stall.take(self.now_s, handle)
            return handle
        return self._unless_over(super().call_soon(callback, *args, context=context))

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        stall = self._stall_of(context)
        if stall is not None and when <= stall.until_s:
            timer = asyncio.TimerHandle(when, callback, args, self, context)
            stall.take(max(when, self.now_s), timer)
            return timer
        return self._unless_over(super().call_at(when, callback, *args, context=context))

    def _stall_of(self, context: contextvars.Context | None) -> Stall | None:
        if not self._stalls:
            return None
        life = LIFE.get() if context is None else context.get(LIFE)
        return None if life is None or life.is_over else life.stall

    def stall(self, life: Life, for_s: float) -> None:
        """Nothing of `life` runs for so long; then all that is due runs at once, as after a pause of the machine."""
        if life.is_over or life.stall is not None:
            return
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        stall = life.stall = Stall(self.now_s + for_s)
        nothing = asyncio.Handle(lambda: None, (), self, contextvars.Context())
        nothing.cancel()
        for place, handle in enumerate(ready):
            if handle._context.get(LIFE) is life:
                stall.take(self.now_s, handle)
                ready[place] = nothing
        for handle in scheduled:
            if handle._when <= stall.until_s and not handle._cancelled and handle._context.get(LIFE) is life:
                stall.take(handle._when, handle)
                handle._scheduled = False
        scheduled[:] = [handle for handle in scheduled if handle._scheduled]
        heapq.heapify(scheduled)
        self._stalls += 1
        self.call_at(stall.until_s, self._go_on, life, context=contextvars.Context())

    def _go_on(self, life: Life) -> None:
        assert life.stall is not None
        stall, life.stall = life.stall, None
        self._stalls -= 1
        if not life.is_over:
            self._ready.extend(stall.in_order())  # type: ignore[attr-defined]

    def spawn(self, life: Life, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        if life not in self._lives:
            self._lives.append(life)
        return self.create_task(work, context=life.context.copy())

    def end(self, life: Life) -> None:
        """Nothing of `life` runs from here on, but for the callback that may be running now."""
        life.is_over = True
        for handle in (*self._ready, *self._scheduled):  # type: ignore[attr-defined]
            self._unless_over(handle)

    def drop_all(self) -> None:
        """End the coroutines that still wait, of all lives: one that is collected while it waits would complain."""
        self._is_dropping = True
        self.set_exception_handler(lambda _, context: None)
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            for _ in range(CLOSES_MAX):
                with contextlib.suppress(RuntimeError):  # it waits again in a `finally`
                    task.get_coro().close()
                    break

    def _unless_over(self, handle: H) -> H:
        life = handle._context.get(LIFE)  # type: ignore[attr-defined]
        if self._is_dropping or (life is not None and life.is_over):
            handle.cancel()
        return handle

    def _process_events(self, events: list[Any]) -> None:
        assert not events

    def _failed(self, context: dict[str, Any]) -> None:
        error = context.get("exception") or RuntimeError(context["message"])
        self.failures.append(error)


def _make_task(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], context: contextvars.Context | None = None
) -> asyncio.Task[Any]:
    context = contextvars.copy_context() if context is None else context
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    life = context.get(LIFE)
    if life is not None:
        life.keep(task)
    return task


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> None:
    """Run `main(loop)` to its end; what it left running is dropped, not finished."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(main(loop))
    finally:
        loop.drop_all()
        loop.close()
