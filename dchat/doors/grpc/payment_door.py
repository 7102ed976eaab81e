"""The gRPC door's PaymentService: see proto/dchat/v1/payment_service.proto."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from chain.tx.messages.grants import INNER
from chain.tx.messages.payments import SUB_BYTES_MAX
from crypto.hash import ADDRESS_BYTES
from dchat.app.payment_queries import ROWS_MAX, PaymentQueries
from dchat.doors.grpc.guard import client_at
from dchat.doors.reads.answers import Answers, reading
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import payment_service_pb2 as pb
from proto.dchat.v1 import payment_service_pb2_grpc as rpc

if TYPE_CHECKING:
    import grpc.aio

    from dchat.doors.grpc.guard import Guard

KIND_BYTES_MAX: Final = max(map(len, INNER))
NUMBER_BYTES: Final = 8
SERVICE: Final = "dchat.v1.PaymentService"

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
T = TypeVar("T")


class PaymentService(rpc.PaymentServiceServicer):
    """Reads run in a thread: an older version is found by a walk."""

    def __init__(self, guard: Guard, answers: Answers, threads: Reading) -> None:
        self._guard, self._answers, self._threads = guard, answers, threads
        self._queries = PaymentQueries(answers.queries)

    async def _read(self, context: Context, look: Callable[[], T]) -> T:
        def work() -> T:
            with reading():
                return look()

        return await self._guard.call(context, lambda: self._threads.run(work, client_at(context.peer())))

    def _height(self, height: int) -> int:
        return self._answers.state_height(height, prove=False)

    async def ListDenominations(
        self, request: pb.ListDenominationsRequest, context: Context
    ) -> pb.ListDenominationsResponse:
        return await self._read(
            context,
            lambda: self._queries.denominations(
                creator=_address("creator", request.creator) if request.creator else b"",
                after=_cursor(request.after, request.creator),
                limit=_limit(request.limit),
                height=self._height(request.height),
            ),
        )

    async def ListHoldings(self, request: pb.ListHoldingsRequest, context: Context) -> pb.ListHoldingsResponse:
        return await self._read(
            context,
            lambda: self._queries.holdings(
                _address("address", request.address),
                after=_cursor(request.after),
                limit=_limit(request.limit),
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
                limit=_limit(request.limit),
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
                limit=_limit(request.limit),
                height=self._height(request.height),
            ),
        )

    async def ListFeeGrants(self, request: pb.ListFeeGrantsRequest, context: Context) -> pb.ListFeeGrantsResponse:
        return await self._read(
            context,
            lambda: self._queries.fee_grants(
                **_one_of(granter=request.granter, grantee=request.grantee),
                after=_behind(request.after, 0),
                limit=_limit(request.limit),
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
                limit=_limit(request.limit),
                height=self._height(request.height),
            ),
        )

    async def ListVestings(self, request: pb.ListVestingsRequest, context: Context) -> pb.ListVestingsResponse:
        return await self._read(
            context,
            lambda: self._queries.vestings(
                **_one_of(recipient=request.recipient, funder=request.funder),
                after=_behind(request.after, NUMBER_BYTES),
                limit=_limit(request.limit),
                height=self._height(request.height),
            ),
        )


def _one_of(**named: bytes) -> dict[str, bytes]:
    """The one that is given, of two."""
    given = {name: value for name, value in named.items() if value}
    if len(given) != 1:
        raise BadQuestion(f"{' or '.join(named)}: one of them")
    return {name: _address(name, value) for name, value in given.items()}


def _behind(after: bytes, more_max: int) -> bytes:
    """A cursor: an account, and up to so many bytes."""
    if after and not ADDRESS_BYTES <= len(after) <= ADDRESS_BYTES + more_max:
        raise BadQuestion("after: not a `next` of such a list")
    return after


def _limit(limit: int) -> int:
    if not 0 <= limit <= ROWS_MAX:
        raise BadQuestion(f"limit is {limit}; allowed: 1 to {ROWS_MAX}, 0 for {ROWS_MAX}")
    return limit or ROWS_MAX


def _address(name: str, value: bytes) -> bytes:
    if len(value) != ADDRESS_BYTES:
        raise BadQuestion(f"{name} has {len(value)} bytes; expected {ADDRESS_BYTES}")
    return value


def _cursor(after: bytes, creator: bytes = b"") -> bytes:
    """Creator ‖ name, of that creator if one is asked for."""
    if after and not (len(after) <= ADDRESS_BYTES + SUB_BYTES_MAX and after.startswith(creator)):
        raise BadQuestion("after: not a `next` of such a list")
    return after
