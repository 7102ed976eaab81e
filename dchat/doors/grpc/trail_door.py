"""The gRPC door's TrailService: see proto/dchat/v1/trail_service.proto.

A block whose execution is not remembered is executed again for the answer, which is a costly read: one at a time, in a
tenth of a core, and the last one is kept for the pages that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from chain.state.errors import StateError
from chain.trail.steps import BlockTrail
from dchat.autopsy import answers
from dchat.autopsy.errors import AutopsyError
from dchat.autopsy.form import HEADS_MAX, KEY_BYTES_MAX, STEPS_MAX
from dchat.autopsy.own import OwnTrails
from dchat.doors.grpc.guard import client_at
from dchat.doors.grpc.state_reads import Context, limit_of
from dchat.doors.reads.errors import BadQuestion, NotThere
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import trail_service_pb2 as pb
from proto.dchat.v1 import trail_service_pb2_grpc as rpc

if TYPE_CHECKING:
    from dchat.doors.grpc.guard import Guard

SERVICE: Final = "dchat.v1.TrailService"
T = TypeVar("T")


class TrailService(rpc.TrailServiceServicer):
    def __init__(self, guard: Guard, trails: OwnTrails, reading: Reading) -> None:
        self._guard, self._trails, self._reading = guard, trails, reading

    async def ListTrails(self, request: pb.ListTrailsRequest, context: Context) -> pb.ListTrailsResponse:
        def work() -> pb.ListTrailsResponse:
            return _told(lambda: answers.heads(self._trails, request.from_height, limit_of(request.limit, HEADS_MAX)))

        client = client_at(context.peer())
        return await self._guard.call(context, lambda: self._reading.run(work, client))

    async def ListTrailSteps(self, request: pb.ListTrailStepsRequest, context: Context) -> pb.ListTrailStepsResponse:
        async def work() -> pb.ListTrailStepsResponse:
            limit = limit_of(request.limit, STEPS_MAX)
            trail = await self._trail(request.height, client)
            return await self._reading.run(lambda: answers.steps(trail, request.from_step, limit), client)

        client = client_at(context.peer())
        return await self._guard.call(context, work)

    async def ListTrailWrites(self, request: pb.ListTrailWritesRequest, context: Context) -> pb.ListTrailWritesResponse:
        async def work() -> pb.ListTrailWritesResponse:
            if len(request.after) > KEY_BYTES_MAX:
                raise BadQuestion(f"after has {len(request.after)} bytes; allowed: {KEY_BYTES_MAX}")
            trail = await self._trail(request.height, client)
            return await self._reading.run(
                lambda: _told(lambda: answers.writes(trail, request.step, request.after)), client
            )

        client = client_at(context.peer())
        return await self._guard.call(context, work)

    async def _trail(self, height: int, client: str) -> BlockTrail:
        """Costly where it is to be made: then the next costly read waits many times as long, pages of this one not."""
        made = await self._reading.run(lambda: _told(lambda: self._trails.made(height)), client)
        if made is not None:
            return made
        return await self._reading.shared(
            ("trail", height), lambda is_wanted: _told(lambda: self._trails.trail(height, is_wanted)), client
        )


def _told(work: Callable[[], T]) -> T:
    try:
        return work()
    except (AutopsyError, StateError) as error:
        raise NotThere(str(error)) from None
