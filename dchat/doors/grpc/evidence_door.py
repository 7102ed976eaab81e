"""Evidence that somebody outside of the network hands in: a light client that was lied to, a watcher with two votes.

It goes the way of what peers send: verified before it is kept, then gossiped, then in a block that punishes.
"""

from __future__ import annotations

import asyncio
from typing import Final

from consensus.evidence.pool import EvidencePool
from consensus.formats.errors import EvidenceUnverifiable
from dchat.doors.reads.answers import BadQuestion, NotYet
from proto.dchat.v1 import service_pb2 as pb

EVIDENCE_BYTES_MAX: Final = 1_048_576  # as much as a block takes of it by the format's default


class EvidenceDesk:
    def __init__(self, pool: EvidencePool) -> None:
        self._pool = pool
        self._one_at_a_time = asyncio.Lock()

    async def take(self, request: pb.BroadcastEvidenceRequest) -> pb.BroadcastEvidenceResponse:
        """One after the other, and aside: what is read and verified of a large piece would hold the loop.

        Raises BadQuestion: it is no evidence, or proves nothing; NotYet: what is needed to judge it is not here.
        """
        size = len(request.evidence)
        if not 0 < size <= EVIDENCE_BYTES_MAX:
            raise BadQuestion(f"evidence has {size} bytes; allowed: 1 to {EVIDENCE_BYTES_MAX}")
        try:
            async with self._one_at_a_time:
                evidence, is_new = await self._pool.add_encoded(request.evidence)
        except EvidenceUnverifiable as error:
            raise NotYet(f"this node cannot judge it: {error}") from error
        except ValueError as error:  # InvalidData and its kinds, or a key that is none
            raise BadQuestion(f"evidence: {error}") from error
        return pb.BroadcastEvidenceResponse(hash=evidence.hash, is_new=is_new)
