"""Reading calls about what the bridge holds, over one saved version, as dchat.v1 messages.

Lists are bounded, and go on behind a key without reading what is before it.
Source: proto/dchat/v1/bridge_service.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.escrow_records import BY_PARTY, ESCROW
from chain.kernel.branch import Base
from dchat.app.queries import Queries
from proto.dchat.v1 import bridge_service_pb2 as pb

ROWS_MAX: Final = 100


class BridgeQueries:
    """height: 0 is the latest. Raises, in every call: VersionUnavailable."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def escrows(
        self, *, party: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListEscrowsResponse:
        """Those that concern somebody, or all."""
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        answer = pb.ListEscrowsResponse(height=view.version)
        for found in _names(base, BY_PARTY + party if party else ESCROW, after):
            escrow = base.get(ESCROW + found)
            assert escrow is not None, "what a party is known by stands beside the record"
            row = answer.escrows.add(id=found)
            row.escrow.MergeFromString(escrow.encode())
            if len(answer.escrows) == limit:
                break
        return answer


def _names(base: Base, prefix: bytes, after: bytes) -> Iterator[bytes]:
    """What follows the prefix in the keys under it, above `after`."""
    for key, _ in base.scan(prefix, prefix + after + b"\x00" if after else b""):
        yield key[len(prefix) :]
