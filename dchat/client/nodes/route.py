"""Calls to one of several nodes: whoever does not answer, or is blamed for something, is left for the next.

It has the face of a gRPC channel, so that generated stubs are made on it as on any. Each call goes to the node that is
asked now; one that nobody answers goes on to the next, until each was asked once. That is safe for all calls of
dchat.v1: they read, or hand in what is executed once however often it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final

import grpc
import grpc.aio

NODES_MAX: Final = 32  # as many as a light client compares with
LOOK_S: Final = 5.0  # of a node that is asked for the first time: whether it can be used
# CANCELLED: a node that stops ends the calls that it holds; what became of them is not known, as if it had not answered
AWAY: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
BUSY: Final = grpc.StatusCode.RESOURCE_EXHAUSTED  # another node may have room


class NobodyAnswers(Exception):
    """None of the nodes can be used. reasons: by address."""

    def __init__(self, reasons: dict[str, str]) -> None:
        told = "; ".join(f"{address}: {why}" for address, why in reasons.items())
        super().__init__(f"none of {len(reasons)} nodes can be used: {told}")
        self.reasons = reasons


class Route:
    """looks: of a node before it is used, where there are several: why it cannot be, or nothing. moved: is told of each
    address that is asked from now on. Raises ValueError."""

    def __init__(
        self,
        addresses: Sequence[str],
        connect: Callable[[str], Any],
        *,
        looks: Callable[[int], Awaitable[str]],
        moved: Callable[[str], None],
    ) -> None:
        if not 1 <= len(addresses) <= NODES_MAX or len(set(addresses)) != len(addresses):
            raise ValueError(f"{len(addresses)} nodes are named; allowed: 1 to {NODES_MAX}, each once")
        self.addresses = tuple(addresses)
        self.at = 0  # which is asked now
        self.reasons: dict[str, str] = {}  # why each was left the last time
        self._connect, self._looks, self._moved = connect, looks, moved
        self._channels: dict[int, Any] = {}
        self._barred: set[int] = set()  # they lied
        self._seen: set[int] = {0} if len(addresses) == 1 else set()  # looked at, since they are asked
        self._looking = asyncio.Lock()

    @property
    def others(self) -> int:
        """How many could be asked instead."""
        return len(set(range(len(self.addresses))) - self._barred - {self.at})

    def channel(self, at: int) -> Any:
        if at not in self._channels:
            self._channels[at] = self._connect(self.addresses[at])
        return self._channels[at]

    def leave(self, why: str, *, at: int, lied: bool = False) -> bool:
        """Ask the next from now on, and of one that lied nothing more. at: whose fault it is; where another is asked
        already it changes nothing. False: there is nobody else."""
        self.reasons[self.addresses[at]] = why
        if lied:
            self._barred.add(at)
        if at != self.at:
            return True
        for step in range(1, len(self.addresses)):
            following = (at + step) % len(self.addresses)
            if following not in self._barred:
                self._seen.discard(following)
                self._seen.discard(at)
                self.at = following
                self._moved(self.addresses[following])
                return True
        return False

    async def settle(self) -> int:
        """Which node is asked: one that can be used. Raises NobodyAnswers."""
        if self.at in self._seen:
            return self.at
        async with self._looking:
            for _ in self.addresses:
                at = self.at
                if at in self._seen:
                    return at
                why = await self._looks(at)
                if at != self.at:  # it was left meanwhile
                    continue
                if not why:
                    self._seen.add(at)
                    return at
                if not self.leave(why, at=at):
                    break
        raise NobodyAnswers(self._told())

    def _told(self) -> dict[str, str]:
        return {address: self.reasons.get(address, "was not asked") for address in self.addresses}

    def nobody(self) -> NobodyAnswers:
        return NobodyAnswers(self._told())

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close(None)

    # ------------------------------------------------------------------------------ the face of a channel, for stubs

    def unary_unary(self, path: str, *args: Any, **kwargs: Any) -> Any:
        methods: dict[int, Any] = {}

        async def call(request: Any, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - gRPC's name
            last: grpc.aio.AioRpcError | None = None
            for _ in self.addresses:
                at = await self.settle()
                if at not in methods:
                    methods[at] = self.channel(at).unary_unary(path, *args, **kwargs)
                try:
                    return await methods[at](request, timeout=timeout)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in AWAY and error.code() is not BUSY:
                        raise
                    if not self.leave(words_of(error, within_s=timeout or 0.0), at=at):
                        raise
                    last = error
            if last is not None and last.code() is BUSY:
                raise last
            raise self.nobody()

        return call

    def unary_stream(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """From one node, to its end: who reads it knows where to go on at another."""

        async def stream(request: Any) -> AsyncGenerator[Any]:
            at = await self.settle()
            call = self.channel(at).unary_stream(path, *args, **kwargs)(request)
            try:
                async for answer in call:
                    yield answer
            finally:
                call.cancel()

        return stream

    def stream_unary(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("no call of dchat.v1 sends a stream")

    stream_stream = stream_unary


def words_of(error: grpc.aio.AioRpcError, *, within_s: float = 0.0) -> str:
    """Why a node did not answer, in short."""
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"did not answer within {within_s:g} s" if within_s else "did not answer in time"
    return str(error.details() or error.code().name)[:200]
