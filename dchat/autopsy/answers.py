"""What a node answers to who asks for its trails: in pages, each bounded."""

from __future__ import annotations

from chain.trail.steps import BlockTrail
from dchat.autopsy.errors import NoTrail
from dchat.autopsy.form import HEADS_MAX, STEPS_MAX, head_of, page_of, step_message
from dchat.autopsy.own import OwnTrails
from proto.dchat.v1 import trail_service_pb2 as pb


def heads(own: OwnTrails, from_height: int, limit: int) -> pb.ListTrailsResponse:
    """Raises NoTrail."""
    lowest, highest = own.lowest, own.highest
    answer = pb.ListTrailsResponse(lowest=lowest, highest=max(0, highest))
    if highest < lowest:
        return answer
    first = from_height or max(lowest, highest - limit + 1)
    if not lowest <= first <= highest:
        raise NoTrail(f"from_height is {from_height}; this node has {lowest} to {highest}")
    for height in range(first, min(first + min(limit, HEADS_MAX), highest + 1)):
        answer.trails.append(_head(own.head(height)))
    return answer


def steps(trail: BlockTrail, first: int, limit: int) -> pb.ListTrailStepsResponse:
    answer = pb.ListTrailStepsResponse(trail=_head(trail), count=len(trail.steps), again=trail.again)
    answer.steps.extend([step_message(step) for step in trail.steps[first : first + min(limit, STEPS_MAX)]])
    return answer


def writes(trail: BlockTrail, step: int, after: bytes) -> pb.ListTrailWritesResponse:
    """Raises NoTrail."""
    if step >= len(trail.steps):
        raise NoTrail(f"block {trail.height} has the steps 0 to {len(trail.steps) - 1}, and no {step}")
    return page_of(trail.steps[step].writes, after)


def _head(trail: BlockTrail) -> pb.TrailHead:
    return head_of(trail.height, trail.block_hash, trail.app_hash, trail.roots)
