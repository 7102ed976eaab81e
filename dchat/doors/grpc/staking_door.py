"""The gRPC door's StakingService: see proto/dchat/v1/staking_service.proto."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crypto.hash import ADDRESS_BYTES
from dchat.app.economy_queries import ROWS_MAX, EconomyQueries
from dchat.doors.grpc.state_reads import Context, StateReads, limit_of, of_size
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import BadQuestion
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import staking_service_pb2 as pb
from proto.dchat.v1 import staking_service_pb2_grpc as rpc

if TYPE_CHECKING:
    from dchat.doors.grpc.guard import Guard

SERVICE: Final = "dchat.v1.StakingService"


class StakingService(StateReads, rpc.StakingServiceServicer):
    def __init__(self, guard: Guard, answers: Answers, threads: Reading) -> None:
        super().__init__(guard, answers, threads)
        self._queries = EconomyQueries(answers.queries)

    async def GetStakingValidator(
        self, request: pb.GetStakingValidatorRequest, context: Context
    ) -> pb.GetStakingValidatorResponse:
        def look() -> pb.GetStakingValidatorResponse:
            if bool(request.operator) == bool(request.consensus_address):
                raise BadQuestion("one of operator and consensus_address names the validator")
            _address("operator", request.operator)
            _address("consensus_address", request.consensus_address)
            return self._queries.validator(
                operator=request.operator,
                consensus_address=request.consensus_address,
                height=self._height(request.height),
            )

        return await self._read(context, look)

    async def ListStakingValidators(
        self, request: pb.ListStakingValidatorsRequest, context: Context
    ) -> pb.ListStakingValidatorsResponse:
        return await self._read(
            context,
            lambda: self._queries.validators(
                status=int(request.status),
                after=_address("after", request.after),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def ListDelegations(self, request: pb.ListDelegationsRequest, context: Context) -> pb.ListDelegationsResponse:
        return await self._read(context, lambda: self._queries.delegations(**self._pairs(request)))

    async def ListUnbondings(self, request: pb.ListUnbondingsRequest, context: Context) -> pb.ListUnbondingsResponse:
        return await self._read(context, lambda: self._queries.unbondings(**self._pairs(request)))

    def _pairs(self, request: pb.ListDelegationsRequest | pb.ListUnbondingsRequest) -> dict[str, Any]:
        if not request.delegator and not request.operator:
            raise BadQuestion("delegator or operator, or both, say whose")
        return {
            "delegator": _address("delegator", request.delegator),
            "operator": _address("operator", request.operator),
            "after": _address("after", request.after),
            "limit": limit_of(request.limit, ROWS_MAX),
            "height": self._height(request.height),
        }

    async def ListRedelegations(
        self, request: pb.ListRedelegationsRequest, context: Context
    ) -> pb.ListRedelegationsResponse:
        return await self._read(
            context,
            lambda: self._queries.redelegations(
                _required("delegator", request.delegator),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def GetRewards(self, request: pb.GetRewardsRequest, context: Context) -> pb.GetRewardsResponse:
        return await self._read(
            context,
            lambda: self._queries.rewards(
                _required("delegator", request.delegator),
                operator=_address("operator", request.operator),
                height=self._height(request.height),
            ),
        )

    async def ListSlashes(self, request: pb.ListSlashesRequest, context: Context) -> pb.ListSlashesResponse:
        return await self._read(
            context,
            lambda: self._queries.slashes(
                _required("operator", request.operator),
                limit=limit_of(request.limit, ROWS_MAX),
                height=self._height(request.height),
            ),
        )

    async def GetStakingPools(self, request: pb.GetStakingPoolsRequest, context: Context) -> pb.GetStakingPoolsResponse:
        return await self._read(context, lambda: self._queries.pools(self._height(request.height)))


def _address(name: str, value: bytes) -> bytes:
    """Empty, or an address."""
    return of_size(name, value, ADDRESS_BYTES, may_lack=True)


def _required(name: str, value: bytes) -> bytes:
    if not value:
        raise BadQuestion(f"{name} is missing")
    return _address(name, value)
