"""One event loop in a thread, on which a blocking client's work is done, for any number of callers' threads.

Loops are used again and not closed before the process ends: gRPC tells all loops of a process through one socket, and
an event that comes late, for one that is closed, would take those of others with it.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Iterator
from typing import Any, Final, TypeVar

T = TypeVar("T")

END_S: Final = 10.0  # for the thread to end, once it is told
_NOTHING: Final = object()
_idle: list[asyncio.AbstractEventLoop] = []  # as many as clients were open at once


class Loop:
    """Runs until `close`, or until nobody has it any more."""

    def __init__(self) -> None:
        self._loop = _idle.pop() if _idle else asyncio.new_event_loop()
        self._thread = threading.Thread(target=_work, args=(self._loop,), name="dchat client", daemon=True)
        self._thread.start()
        self._finish = weakref.finalize(self, _end, self._loop, self._thread)  # also as the interpreter ends

    @property
    def is_closed(self) -> bool:
        return not self._finish.alive

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What it returns or raises; interrupted, it is cancelled. Raises RuntimeError: closed, or asked by itself."""
        if self.is_closed or threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("this client is closed" if self.is_closed else "this would wait for itself")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise RuntimeError("this client was closed meanwhile") from None
        except BaseException:
            future.cancel()
            raise

    def iterate(self, stream: AsyncGenerator[T]) -> Iterator[T]:
        """What it yields, one after another as they are asked for; ended early, its end is waited for."""
        try:
            while (found := self.run(_next(stream))) is not _NOTHING:
                yield found  # type: ignore[misc]  # one of its own
        finally:
            if not self.is_closed and threading.current_thread() is not self._thread:
                with contextlib.suppress(RuntimeError):  # closed meanwhile, and the stream with it
                    self.run(stream.aclose())

    def close(self) -> None:
        """End what runs, and the thread."""
        self._finish()


async def _next(stream: AsyncGenerator[T]) -> T | object:
    return await anext(stream, _NOTHING)


def _work(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(END_S)
    if not thread.is_alive():
        _idle.append(loop)


@atexit.register
def _close_idle() -> None:
    for loop in _idle:
        loop.close()
