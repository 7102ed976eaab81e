"""The gRPC door's PaymentService: see proto/dchat/v1/payment_service.proto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chain.tx.messages.grants import INNER
from chain.tx.messages.payments import SUB_BYTES_MAX
from crypto.hash import ADDRESS_BYTES
from dchat.app.payment_queries import ROWS_MAX, PaymentQueries
from dchat.doors.grpc.state_reads import Context, StateReads, limit_of, of_size
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import payment_service_pb2 as pb
from proto.dchat.v1 import payment_service_pb2_grpc as rpc

if TYPE_CHECKING:
    from dchat.doors.grpc.guard import Guard

KIND_BYTES_MAX: Final = max(map(len, INNER))
NUMBER_BYTES: Final = 8
SERVICE: Final = "dchat.v1.PaymentService"


class PaymentService(StateReads, rpc.PaymentServiceServicer):
    def __init__(self, guard: Guard, answers: Answers, threads: Reading) -> None:
        super().__init__(guard, answers, threads)
        self._queries = PaymentQueries(answers.queries)

    async def ListDenominations(
        self, request: pb.ListDenominationsRequest, context: Context
    ) -> pb.ListDenominationsResponse:
        return await self._read(
            context,
            lambda: self._queries.denominations(
                creator=of_size("creator", request.creator, ADDRESS_BYTES) if request.creator else b"",
                after=_cursor(request.after, request.creator),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def ListHoldings(self, request: pb.ListHoldingsRequest, context: Context) -> pb.ListHoldingsResponse:
        return await self._read(
            context,
            lambda: self._queries.holdings(
                of_size("address", request.address, ADDRESS_BYTES),
                after=_cursor(request.after),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def ListPaymentRequests(
        self, request: pb.ListPaymentRequestsRequest, context: Context
    ) -> pb.ListPaymentRequestsResponse:
        return await self._read(
            context,
            lambda: self._queries.requests(
                **_one_of(payee=request.payee, payer=request.payer),
                after=_cursor(request.after, request.payee),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def ListStandingOrders(
        self, request: pb.ListStandingOrdersRequest, context: Context
    ) -> pb.ListStandingOrdersResponse:
        return await self._read(
            context,
            lambda: self._queries.orders(
                **_one_of(owner=request.owner, recipient=request.recipient),
                after=_cursor(request.after, request.owner),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def ListFeeGrants(self, request: pb.ListFeeGrantsRequest, context: Context) -> pb.ListFeeGrantsResponse:
        return await self._read(
            context,
            lambda: self._queries.fee_grants(
                **_one_of(granter=request.granter, grantee=request.grantee),
                after=_behind(request.after, 0),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def ListAuthorisations(
        self, request: pb.ListAuthorisationsRequest, context: Context
    ) -> pb.ListAuthorisationsResponse:
        return await self._read(
            context,
            lambda: self._queries.authorisations(
                **_one_of(granter=request.granter, grantee=request.grantee),
                after=_behind(request.after, KIND_BYTES_MAX),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def ListVestings(self, request: pb.ListVestingsRequest, context: Context) -> pb.ListVestingsResponse:
        return await self._read(
            context,
            lambda: self._queries.vestings(
                **_one_of(recipient=request.recipient, funder=request.funder),
                after=_behind(request.after, NUMBER_BYTES),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )


def _one_of(**named: bytes) -> dict[str, bytes]:
    """The one that is given, of two."""
    given = {name: value for name, value in named.items() if value}
    if len(given) != 1:
        raise BadQuestion(f"{' or '.join(named)}: one of them")
    return {name: of_size(name, value, ADDRESS_BYTES) for name, value in given.items()}


def _behind(after: bytes, more_max: int) -> bytes:
    """A cursor: an account, and up to so many bytes."""
    if after and not ADDRESS_BYTES <= len(after) <= ADDRESS_BYTES + more_max:
        raise BadQuestion("after: not a `next` of such a list")
    return after


def _cursor(after: bytes, creator: bytes = b"") -> bytes:
    """Creator ‖ name, of that creator if one is asked for."""
    if after and not (len(after) <= ADDRESS_BYTES + SUB_BYTES_MAX and after.startswith(creator)):
        raise BadQuestion("after: not a `next` of such a list")
    return after
