"""Reading calls about denominations, holdings, requests for payment, orders, grants and vestings, over one saved
version, as dchat.v1 messages.

Lists are bounded, and go on behind a key without reading what is before it.
Source: proto/dchat/v1/payment_service.proto.
"""

from __future__ import annotations

import itertools
from typing import Any, Final

from chain.currency.denominations.records import DENOMINATION, HOLDING, denom_of, name_of
from chain.currency.grants import authorisations, fee_grants
from chain.currency.payments.requests import BY_PAYER, REQUEST
from chain.currency.payments.standing import BY_RECIPIENT, ORDER, is_void
from chain.currency.vesting.vesting import BY_FUNDER, VESTINGS
from chain.kernel.branch import Base, Key
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

    def orders(
        self, *, owner: bytes = b"", recipient: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListStandingOrdersResponse:
        """Of an owner, or to a recipient."""
        version, base = self._open(height)
        prefix = ORDER if owner else BY_RECIPIENT + recipient
        rows, following = _page(base, prefix, owner, after, limit)
        answer = pb.ListStandingOrdersResponse(height=version, next=following)
        for name, _ in rows:
            order = base.get(ORDER + name)
            assert order is not None, "what a recipient is known by stands beside the record"
            row = answer.orders.add(owner=name[:ADDRESS_BYTES], reference=name[ADDRESS_BYTES:].decode("ascii"))
            row.order.MergeFromString(order.encode())
            row.void = is_void(base, name, order)
        return answer

    def fee_grants(
        self, *, granter: bytes = b"", grantee: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListFeeGrantsResponse:
        """Of a granter, or of a grantee."""
        version, base = self._open(height)
        answer = pb.ListFeeGrantsResponse(height=version)
        found = _of_one(base, fee_grants.FEE_GRANT, granter, fee_grants.BY_GRANTEE, grantee, after, limit)
        rows, answer.next = found
        for (one, other, _), record in rows:
            row = answer.grants.add(granter=one, grantee=other, void=fee_grants.is_void(base, one, record))
            row.grant.MergeFromString(record.encode())
        return answer

    def authorisations(
        self, *, granter: bytes = b"", grantee: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListAuthorisationsResponse:
        """Of a granter, or of a grantee."""
        version, base = self._open(height)
        answer = pb.ListAuthorisationsResponse(height=version)
        found = _of_one(base, authorisations.AUTHORISATION, granter, authorisations.BY_GRANTEE, grantee, after, limit)
        rows, answer.next = found
        for (one, other, kind), record in rows:
            row = answer.authorisations.add(granter=one, grantee=other, kind=kind.decode("ascii"))
            row.authorisation.MergeFromString(record.encode())
            row.void = authorisations.is_void(base, one, record)
        return answer

    def vestings(
        self, *, recipient: bytes = b"", funder: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListVestingsResponse:
        """Of a recipient, or of a funder."""
        version, base = self._open(height)
        answer = pb.ListVestingsResponse(height=version)
        rows, answer.next = _of_one(base, VESTINGS, recipient, BY_FUNDER, funder, after, limit)
        for (one, other, number), record in rows:
            row = answer.vestings.add(recipient=one, funder=other, number=int.from_bytes(number, "big"))
            row.vesting.MergeFromString(record.encode())
        return answer


def _of_one(
    base: Base, kind: Key[Any], first: bytes, index: Key[Any], second: bytes, after: bytes, limit: int
) -> tuple[list[tuple[tuple[bytes, bytes, bytes], Any]], bytes]:
    """((first, second, what follows them in the key), record) of what lies under two accounts: of the first, or by the
    index of the second. The cursor is what follows whoever was asked about."""
    rows, following = _page(base, kind + first if first else index + second, b"", after, limit)
    found = []
    for rest, stored in rows:
        other, tail = rest[:ADDRESS_BYTES], rest[ADDRESS_BYTES:]
        name = (first, other, tail) if first else (other, second, tail)
        record = stored if first else base.get(kind + b"".join(name))
        assert record is not None, "what the second is known by stands beside the record"
        found.append((name, record))
    return found, following


def _page(base: Base, prefix: bytes, creator: bytes, after: bytes, limit: int) -> tuple[list[tuple[bytes, Any]], bytes]:
    """(what stands behind the prefix, record) of up to `limit`, of that creator or payee, above `after`; and the last
    of them if there are more."""
    start = prefix + after + b"\x00" if after else b""
    found = base.scan(prefix + creator, start)
    rows = [(key[len(prefix) :], record) for key, record in itertools.islice(found, limit + 1)]
    return rows[:limit], rows[limit - 1][0] if len(rows) > limit else b""
