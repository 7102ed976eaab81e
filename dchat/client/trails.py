"""Another node's word of its blocks (dchat.v1.TrailService), bounded and checked as it comes in.

It is believed as far as it fits itself: what a step wrote must lead to the hashes that the node told before. Who lies
alike in both is one of those who differ, and is told as that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from chain.trail.steps import BlockTrail, Step, Writes
from dchat.autopsy.errors import AutopsyError, BadTrail
from dchat.autopsy.form import BLOCK_STEPS_MAX, STEP_WRITES_MAX, check_writes, read_head, read_steps, read_writes
from dchat.client.client import Client, ClientError
from proto.dchat.v1 import trail_service_pb2 as pb

DEADLINE_S = 30.0  # a large block is executed again for the answer
WRITES_BYTES_MAX = 128 << 20  # of a step: the whole format's limit of a block, some times over
PAGES_MAX = 5_000  # of an answer; an honest one of the largest block has 500 of steps and 2,000 of writes
T = TypeVar("T")


class Peer:
    """A witness: see `dchat.autopsy.search`. name: what it is called in the answer; default: its address."""

    def __init__(self, client: Client, name: str = "") -> None:
        self._client, self.name = client, name or client.address

    async def bounds(self) -> tuple[int, int]:
        answer = await self._ask(self._client.trails.ListTrails, pb.ListTrailsRequest(limit=1))
        lowest, highest = answer.lowest, answer.highest
        if highest < 1:
            raise AutopsyError("it has executed no block yet")
        if not 1 <= lowest <= highest:
            raise BadTrail(f"it says that it has the heights {lowest} to {highest}")
        return lowest, highest

    async def head(self, height: int) -> BlockTrail:
        answer = await self._ask(self._client.trails.ListTrails, pb.ListTrailsRequest(from_height=height, limit=1))
        if len(answer.trails) != 1:
            raise BadTrail(f"it answers with {len(answer.trails)} heights, asked for one")
        return _of(read_head(answer.trails[0]), height)

    async def steps(self, height: int) -> BlockTrail:
        """Without writes."""
        steps: list[Step] = []
        trail: BlockTrail | None = None
        count = pages = 0
        while trail is None or len(steps) < count:
            pages = _next_page(pages, f"height {height}")
            request = pb.ListTrailStepsRequest(height=height, from_step=len(steps))
            answer = await self._ask(self._client.trails.ListTrailSteps, request)
            head = replace(_of(read_head(answer.trail), height), again=answer.again)
            if trail is not None and (head != trail or answer.count != count or answer.again != trail.again):
                raise BadTrail(f"height {height}: its pages are not of one answer")
            trail, count = head, answer.count
            if count > BLOCK_STEPS_MAX or not answer.steps:
                raise BadTrail(f"height {height}: {len(answer.steps)} steps behind {len(steps)}, of {count}")
            if any(step.writes for step in answer.steps):
                raise BadTrail(f"height {height}: writes that nobody asked for")
            steps += read_steps(answer.steps, first=len(steps), count=count)
        return replace(trail, steps=tuple(steps))

    async def writes(self, trail: BlockTrail, index: int) -> Writes:
        found: dict[bytes, bytes | None] = {}
        after, has_more, pages, size = b"", True, 0, 0
        while has_more:
            pages = _next_page(pages, f"height {trail.height}, step {index}")
            request = pb.ListTrailWritesRequest(height=trail.height, step=index, after=after)
            answer = await self._ask(self._client.trails.ListTrailWrites, request)
            where = f"height {trail.height}, step {index}"
            page = read_writes(answer.writes, where, after=after)
            has_more = answer.has_more
            if (has_more and not page) or len(found) + len(page) > STEP_WRITES_MAX:
                raise BadTrail(f"{where}: {len(page)} writes behind {len(found)}, and more are said to follow")
            size += sum(len(key) + len(value or b"") for key, value in page.items())
            if size > WRITES_BYTES_MAX:
                raise BadTrail(f"{where}: more than {WRITES_BYTES_MAX} bytes of writes")
            found |= page
            after = max(page, default=after)
        check_writes(trail.steps, index, found)
        return found

    async def _ask(self, method: Callable[..., Awaitable[T]], request: Any) -> T:
        try:
            return await self._client.call(method, request, deadline_s=DEADLINE_S)
        except ClientError as error:
            raise AutopsyError(str(error)) from error


def _next_page(pages: int, where: str) -> int:
    """Its number. Raises BadTrail: pages of one entry each would be asked for days."""
    if pages == PAGES_MAX:
        raise BadTrail(f"{where}: no end after {PAGES_MAX} pages")
    return pages + 1


def _of(trail: BlockTrail, height: int) -> BlockTrail:
    if trail.height != height:
        raise BadTrail(f"it answers with height {trail.height}, asked for {height}")
    return trail
