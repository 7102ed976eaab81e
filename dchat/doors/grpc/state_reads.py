"""What the services that read the state have in common: each read in a thread and at one height; what a question may
say of pages and addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from dchat.doors.grpc.guard import client_at
from dchat.doors.reads.answers import Answers, reading
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.reading import Reading

if TYPE_CHECKING:
    import grpc.aio

    from dchat.doors.grpc.guard import Guard

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
T = TypeVar("T")


class StateReads:
    """Reads run in a thread: an older version is found by a walk, a list may read past much before its first row."""

    def __init__(self, guard: Guard, answers: Answers, threads: Reading) -> None:
        self._guard, self._answers, self._threads = guard, answers, threads

    async def _read(self, context: Context, look: Callable[[], T]) -> T:
        def work() -> T:
            with reading():
                return look()

        return await self._guard.call(context, lambda: self._threads.run(work, client_at(context.peer())))

    def _height(self, height: int) -> int:
        return self._answers.state_height(height, prove=False)


def limit_of(limit: int, most: int, default: int | None = None) -> int:
    """Of rows. 0: the default, or else the most. Raises: BadQuestion."""
    default = most if default is None else default
    if not 0 <= limit <= most:
        raise BadQuestion(f"limit is {limit}; allowed: 1 to {most}, 0 for {default}")
    return limit or default


def of_size(name: str, value: bytes, size: int, *, may_lack: bool = False) -> bytes:
    """may_lack: or empty. Raises: BadQuestion."""
    if (value or not may_lack) and len(value) != size:
        raise BadQuestion(f"{name} has {len(value)} bytes; expected {size}")
    return value
