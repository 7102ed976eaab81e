"""Evidence that somebody outside of the network hands in: a light client that was lied to, a watcher with two votes.

It goes the way of what peers send: verified before it is kept, then gossiped, then in a block that punishes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from consensus.evidence.pool import EvidencePool
from consensus.formats.errors import EvidenceUnverifiable, EvidenceUnwanted
from consensus.formats.units import MIB
from dchat.doors.reads.errors import BadQuestion, NotYet
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import service_pb2 as pb

T = TypeVar("T")

EVIDENCE_BYTES_MAX: Final = MIB  # as much as a block takes of it by the format's default


class EvidenceDesk:
    def __init__(self, pool: EvidencePool, reading: Reading) -> None:
        self._pool, self._reading = pool, reading

    async def take(self, request: pb.BroadcastEvidenceRequest, client: str) -> pb.BroadcastEvidenceResponse:
        """Aside, since what is read and verified of a large piece would hold the loop; in turn with what clients read,
        and of the same share, since who proves nothing loses nothing.

        Raises BadQuestion: it is no evidence, or proves nothing; NotYet: what is needed to judge it is not here.
        """
        size = len(request.evidence)
        if not 0 < size <= EVIDENCE_BYTES_MAX:
            raise BadQuestion(f"evidence has {size} bytes; allowed: 1 to {EVIDENCE_BYTES_MAX}")

        async def run(work: Callable[[], T]) -> T:
            return await self._reading.run(work, client)

        try:
            evidence, is_new = await self._pool.add_encoded(request.evidence, run)
        except EvidenceUnwanted as error:
            raise BadQuestion(f"evidence: {error}") from error
        except EvidenceUnverifiable as error:
            raise NotYet(f"this node cannot judge it: {error}") from error
        except ValueError as error:  # InvalidData and its kinds, or a key that is none
            raise BadQuestion(f"evidence: {error}") from error
        return pb.BroadcastEvidenceResponse(hash=evidence.hash, is_new=is_new)
