"""Reading calls about denominations, holdings and requests for payment, over one saved version, as dchat.v1 messages.

Lists are bounded, and go on behind a key without reading what is before it.
Source: proto/dchat/v1/payment_service.proto.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

from chain.currency.denominations.records import DENOMINATION, HOLDING, denom_of, name_of
from chain.currency.payments.requests import BY_PAYER, REQUEST
from chain.kernel.branch import Base
from crypto.hash import ADDRESS_BYTES
from dchat.app.queries import Queries
from proto.dchat.v1 import payment_service_pb2 as pb

ROWS_MAX: Final = 100


class PaymentQueries:
    """height: 0 is the latest. Raises, in every call: VersionUnavailable."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def _open(self, height: int) -> tuple[int, Base]:
        view = self._queries.view(height)
        return view.version, self._queries.base_of(view)

    def denominations(
        self, *, creator: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListDenominationsResponse:
        version, base = self._open(height)
        rows, following = _page(base, DENOMINATION, creator, after, limit)
        answer = pb.ListDenominationsResponse(height=version, next=following)
        for name, record in rows:
            denom = denom_of(name)
            row = answer.denominations.add(name=name_of(denom))
            row.denom.creator, row.denom.sub = denom
            row.denomination.MergeFromString(record.encode())
        return answer

    def holdings(
        self, account: bytes, *, after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListHoldingsResponse:
        version, base = self._open(height)
        rows, following = _page(base, HOLDING + account, b"", after, limit)
        answer = pb.ListHoldingsResponse(height=version, next=following)
        for name, record in rows:
            denom = denom_of(name)
            row = answer.holdings.add(name=name_of(denom))
            row.denom.creator, row.denom.sub = denom
            row.holding.MergeFromString(record.encode())
        return answer

    def requests(
        self, *, payee: bytes = b"", payer: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListPaymentRequestsResponse:
        """Of a payee, or of a payer whom they name."""
        version, base = self._open(height)
        prefix = REQUEST if payee else BY_PAYER + payer
        rows, following = _page(base, prefix, payee, after, limit)
        answer = pb.ListPaymentRequestsResponse(height=version, next=following)
        for name, _ in rows:
            request = base.get(REQUEST + name)
            assert request is not None, "what a payer is known by stands beside the record"
            row = answer.requests.add(payee=name[:ADDRESS_BYTES], reference=name[ADDRESS_BYTES:].decode("ascii"))
            row.request.MergeFromString(request.encode())
        return answer


def _page(base: Base, prefix: bytes, creator: bytes, after: bytes, limit: int) -> tuple[list[tuple[bytes, Any]], bytes]:
    """(what stands behind the prefix, record) of up to `limit`, of that creator or payee, above `after`; and the last
    of them if there are more."""
    start = prefix + after + b"\x00" if after else b""
    found = base.scan(prefix + creator, start)
    rows = [(key[len(prefix) :], record) for key, record in itertools.islice(found, limit + 1)]
    return rows[:limit], rows[limit - 1][0] if len(rows) > limit else b""
