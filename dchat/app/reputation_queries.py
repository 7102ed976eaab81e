"""Reading calls about scores and reports, over one saved version, as dchat.v1 messages.

Lists are bounded, and go on behind a key without reading what is before it.
Source: proto/dchat/v1/reputation_service.proto.
"""

from __future__ import annotations

import itertools
from typing import Final

from chain.chat.reputation.records import BY_WEIGHT, REPORT, WEIGHT_BYTES, place_of
from chain.chat.reputation.scores import ACTS_MAX, period_of, score_at
from chain.currency.grants.fee_grants import last_time_ns
from dchat.app.queries import Queries
from proto.dchat.v1 import reputation_service_pb2 as pb

ROWS_MAX: Final = 100


class ReputationQueries:
    """height: 0 is the latest. Raises, in every call: VersionUnavailable."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def score(self, address: bytes, *, height: int = 0) -> pb.GetScoreResponse:
        """After that block, by its time: what is stored is as it was when it was touched."""
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        has = score_at(base, address, period_of(last_time_ns(base)))
        return pb.GetScoreResponse(
            height=view.version, score=has.score, share=has.share, acts_left=ACTS_MAX - len(has.acted),
            period=has.period,
        )  # fmt: skip

    def reports(
        self, channel_id: bytes, *, after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListReportsResponse:
        """Those that are open, the heaviest first."""
        view = self._queries.view(height)
        base = self._queries.base_of(view)
        prefix = BY_WEIGHT + channel_id
        found = base.scan(prefix, prefix + after + b"\x00" if after else b"")
        rows = [key[len(prefix) :] for key, _ in itertools.islice(found, limit + 1)]
        answer = pb.ListReportsResponse(height=view.version, next=rows[limit - 1] if len(rows) > limit else b"")
        for row in rows[:limit]:
            about = row[WEIGHT_BYTES:]
            report = base.get(REPORT + channel_id + about)
            assert report is not None, "what is queued by weight stands beside the record"
            index, member = place_of(about)
            answer.reports.add(index=index, member=member).report.MergeFromString(report.encode())
        return answer
