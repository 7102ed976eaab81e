"""The gRPC door: the services of proto/dchat/v1/service.proto, health and reflection.

Every call has limits: size (the server's), rate per client, how many at once, and a deadline whatever the client
sets. An unacceptable transaction is answered with its code; a wrong question, or bytes that are none, is
INVALID_ARGUMENT, what is not here NOT_FOUND, too much RESOURCE_EXHAUSTED. An unexpected error is logged and answered
INTERNAL without its text.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar, cast

import structlog

from chain.tx.envelope.tx import TOUCHES
from consensus.abci.interface import CheckTxResponse
from consensus.formats.bounds import count_fields
from consensus.formats.errors import InvalidBlock, Malformed
from consensus.mempool.admission.entry import Waiting
from consensus.mempool.admission.errors import CODESPACE, NO_ROOM, Refusal
from consensus.mempool.journal import Journal
from consensus.mempool.pool import Pool
from consensus.node.commit_watch import CommitWatch
from crypto.hash import ADDRESS_BYTES, HASH_BYTES, sha256
from dchat.autopsy.own import OwnTrails
from dchat.config.models import GrpcSection
from dchat.doors.certificates import Certificates
from dchat.doors.evidence_desk import EvidenceDesk
from dchat.doors.grpc.bridge_door import SERVICE as BRIDGE
from dchat.doors.grpc.bridge_door import BridgeService
from dchat.doors.grpc.chat_door import CHANNELS, REPUTATION, ChannelService, ReputationService
from dchat.doors.grpc.governance_door import SERVICE as GOVERNANCE
from dchat.doors.grpc.governance_door import GovService
from dchat.doors.grpc.guard import Context, Guard, client_at
from dchat.doors.grpc.payment_door import SERVICE as PAYMENTS
from dchat.doors.grpc.payment_door import PaymentService
from dchat.doors.grpc.requests import Look
from dchat.doors.grpc.server import GrpcServer
from dchat.doors.grpc.staking_door import SERVICE as STAKING
from dchat.doors.grpc.staking_door import StakingService
from dchat.doors.grpc.trail_door import SERVICE as TRAILS
from dchat.doors.grpc.trail_door import TrailService
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import BadQuestion, Busy, NotThere, out_of_reach
from dchat.doors.reads.event_feed import EventFeed
from dchat.doors.reads.limits import RateLimit
from dchat.doors.reads.reading import Reading
from dchat.doors.reads.search import Searches
from proto.dchat.v1 import bridge_service_pb2_grpc as bridge_rpc
from proto.dchat.v1 import channel_service_pb2_grpc as channels_rpc
from proto.dchat.v1 import governance_service_pb2_grpc as gov_rpc
from proto.dchat.v1 import payment_service_pb2_grpc as payment_rpc
from proto.dchat.v1 import reputation_service_pb2_grpc as reputation_rpc
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import service_pb2_grpc as rpc
from proto.dchat.v1 import staking_service_pb2_grpc as staking_rpc
from proto.dchat.v1 import trail_service_pb2_grpc as trail_rpc

log = structlog.get_logger(__name__)

MANY_MAX = 5_000  # transactions of one BroadcastMany
TX_FIELD_BYTES_MIN = 2  # of each: its key, and the length of nothing
SERVICES = (
    "dchat.v1.TxService",
    "dchat.v1.ChainService",
    "dchat.v1.StateService",
    STAKING,
    GOVERNANCE,
    BRIDGE,
    PAYMENTS,
    CHANNELS,
    REPUTATION,
    TRAILS,
)

# What a call is worth in plain ones, of its client's rate.
COSTS = {
    "/dchat.v1.StateService/GetInvariants": 50,
    "/dchat.v1.GovService/GetTally": 20,
    "/dchat.v1.TrailService/ListTrails": 4,
    "/dchat.v1.TrailService/ListTrailSteps": 20,
    "/dchat.v1.TrailService/ListTrailWrites": 20,
    "/dchat.v1.ChainService/BroadcastEvidence": 20,
    "/dchat.v1.TxService/Simulate": 20,
    "/dchat.v1.TxService/ListPending": 4,
    "/dchat.v1.TxService/SearchTxs": 20,
    "/dchat.v1.ChainService/SearchBlocks": 20,
    "/dchat.v1.ChainService/GetBlock": 4,
    "/dchat.v1.ChainService/GetBlockResults": 4,
    "/dchat.v1.ChainService/StreamEvents": 4,
    "/dchat.v1.ChainService/StreamBlocks": 4,
}

BROADCAST_MANY = "/dchat.v1.TxService/BroadcastMany"
TXS_KEY = 0x0A  # of a BroadcastMany's transactions: field number and wire type


def _holds_few(data: bytes) -> None:
    """Counted before any is read, where there can be too many. Raises BadQuestion."""
    if len(data) <= TX_FIELD_BYTES_MIN * MANY_MAX:
        return
    try:
        count_fields(data, (0, len(data)), TXS_KEY, "transactions", count_max=MANY_MAX)
    except Malformed as error:
        what = f"the request of {len(data)} bytes is not a BroadcastManyRequest"
        raise BadQuestion(f"{BROADCAST_MANY}: {what}: {error}") from error
    except InvalidBlock as error:
        raise BadQuestion(f"{BROADCAST_MANY}: {error}; allowed: {MANY_MAX}") from error


LARGE: dict[str, Look] = {
    "/dchat.v1.TxService/Broadcast": lambda _: None,
    BROADCAST_MANY: _holds_few,
    "/dchat.v1.TxService/Simulate": lambda _: None,
    "/dchat.v1.ChainService/BroadcastEvidence": lambda _: None,
}

HELD_S = 0.5  # that a call waits whose transactions all find no room, unless a block makes some before
HELD_CLIENTS_MAX = 16  # of whom one call each waits so
PENDING_MAX = 256  # transactions in an answer: what one sender may have waiting
PENDING_BYTES_MAX = 262_144  # of them: most senders' all

T = TypeVar("T")


class Patience:
    """Who finds room for nothing is told so when there may be some: sooner it could only send it all again, in vain.

    Bounded: one call of each client, of HELD_CLIENTS_MAX at once; others are told without delay.
    """

    def __init__(self, watch: CommitWatch) -> None:
        self._watch = watch
        self._clients: set[str] = set()

    @property
    def held(self) -> int:
        """Calls that wait now."""
        return len(self._clients)

    async def until_room(self, client: str, responses: Sequence[CheckTxResponse]) -> None:
        """Until the next block, or for HELD_S, where all of these say that there is no room."""
        if client in self._clients or len(self._clients) >= HELD_CLIENTS_MAX or not responses:
            return
        if not all(response.code in NO_ROOM and response.codespace == CODESPACE for response in responses):
            return
        block = self._watch.next_block()
        self._clients.add(client)
        try:
            async with asyncio.timeout(HELD_S):
                await block.wait()
        except TimeoutError:
            pass
        finally:
            self._clients.discard(client)


class TxService(rpc.TxServiceServicer):
    def __init__(
        self, guard: Guard, answers: Answers, *, pool: Pool, watch: CommitWatch, journal: Journal, reading: Reading,
        searches: Searches,
    ) -> None:  # fmt: skip
        self._guard, self._answers, self._pool, self._watch = guard, answers, pool, watch
        self._journal, self._reading, self._searches = journal, reading, searches
        self._patience = Patience(watch)

    async def Broadcast(self, request: pb.BroadcastRequest, context: Context) -> pb.BroadcastResponse:
        client = client_at(context.peer())
        if request.wait == pb.WAIT_COMMIT:
            return await self._guard.call(context, lambda: self._until_commit(request.tx, client), is_wait=True)
        return await self._guard.call(context, lambda: self._admit(request.tx, client, durable=request.durable))

    async def _admit(self, tx: bytes, client: str, *, durable: bool) -> pb.BroadcastResponse:
        answer = admission(sha256(tx), await self._pool.submit(tx, client=client))
        if durable and not answer.code:
            try:
                await self._journal.keep(tx)
            except OSError as error:
                raise Busy(
                    "it was admitted, but this node cannot promise to remember it over a stop, since its disk refuses "
                    "the journal: wait for its block"
                ) from error
        return answer

    async def _until_commit(self, tx: bytes, client: str) -> pb.BroadcastResponse:
        tx_hash = sha256(tx)
        future = self._watch.expect(tx_hash)
        try:
            answer = admission(tx_hash, await self._pool.submit(tx, client=client))
            if answer.code:  # perhaps it is in a block already, of any age: its results are read anew
                return await self._reading.run(lambda: self._committed(tx_hash), client) or answer
            dropped = await future
            return self._committed(tx_hash) or (answer if dropped is None else admission(tx_hash, dropped))
        finally:
            self._watch.forget(tx_hash, future)

    def _committed(self, tx_hash: bytes) -> pb.BroadcastResponse | None:
        try:
            return self._answers.committed(tx_hash)
        except NotThere:
            return None

    async def BroadcastMany(self, request: pb.BroadcastManyRequest, context: Context) -> pb.BroadcastManyResponse:
        async def work() -> pb.BroadcastManyResponse:
            if len(request.txs) > MANY_MAX:
                raise BadQuestion(f"{len(request.txs)} transactions; allowed: {MANY_MAX}")
            txs, client = (
                list(request.txs),
                client_at(context.peer()),
            )  # each look into the request copies a transaction
            keys = [sha256(tx) for tx in txs]
            responses = await self._pool.submit_many(txs, client=client, keys=keys)
            await self._patience.until_room(client, responses)
            return pb.BroadcastManyResponse(results=list(map(admission, keys, responses)))

        return await self._guard.call(context, work)

    async def GetTx(self, request: pb.GetTxRequest, context: Context) -> pb.GetTxResponse:
        return await self._guard.call(
            context,
            lambda: self._reading.run(
                lambda: self._answers.tx(request.hash, prove=request.prove), client_at(context.peer())
            ),
        )

    async def ListPending(self, request: pb.ListPendingRequest, context: Context) -> pb.ListPendingResponse:
        return await self._guard.call(
            context, lambda: _now(lambda: pending(self._pool, request.address, self._answers.height, request.hash))
        )

    async def Simulate(self, request: pb.SimulateRequest, context: Context) -> pb.SimulateResponse:
        return await self._guard.call(
            context,
            lambda: self._reading.run(lambda: self._answers.simulated(request.tx), client_at(context.peer())),
        )

    async def SearchTxs(self, request: pb.SearchTxsRequest, context: Context) -> pb.SearchTxsResponse:
        return await self._guard.call(context, lambda: self._searches.txs(request, client_at(context.peer())))


def admission(tx_hash: bytes, response: CheckTxResponse) -> pb.BroadcastResponse:
    """The pool's answer. What is in the pool already is admitted: handing in again is no fault."""
    if not response.code:
        return pb.BroadcastResponse(hash=tx_hash, log=response.log)
    if (response.codespace, response.code) == (CODESPACE, Refusal.ALREADY_HERE):
        return pb.BroadcastResponse(hash=tx_hash, log=response.log)
    return pb.BroadcastResponse(hash=tx_hash, code=response.code, codespace=response.codespace, log=response.log)


def pending(pool: Pool, address: bytes, height: int, tx_hash: bytes = b"") -> pb.ListPendingResponse:
    """Raises BadQuestion."""
    if tx_hash:
        if address or len(tx_hash) != HASH_BYTES:
            raise BadQuestion(f"hash has {len(tx_hash)} bytes; expected {HASH_BYTES}, and no address beside it")
        return _pending_one(pool, tx_hash, height)
    if len(address) != ADDRESS_BYTES:
        raise BadQuestion(f"address has {len(address)} bytes; expected {ADDRESS_BYTES}")
    answer = pb.ListPendingResponse(height=height)
    size = 0
    for touched in sorted({prefix + address for prefix in TOUCHES.values()}):
        before: dict[bytes, bytes] = {}  # order -> the last one of it
        for one, dearer in pool.waiting_at(touched, PENDING_MAX + 1):
            facts, is_held = one.facts, isinstance(one, Waiting)
            size += len(one.tx)
            if len(answer.txs) == PENDING_MAX or size > PENDING_BYTES_MAX:
                answer.has_more = True
                return answer
            assert facts is not None, one.key.hex()
            answer.txs.add(
                hash=one.key, tx=one.tx, lane=facts.lane, expiry_height=facts.expiry_height,
                since_height=one.held_height if isinstance(one, Waiting) else one.height,
                priority=facts.priority, dearer=dearer, held=is_held,
                why=_why(facts, dearer, is_held, before.get(facts.order_key)),
            )  # fmt: skip
            if facts.order_key:
                before[facts.order_key] = one.key
    return answer


def _pending_one(pool: Pool, tx_hash: bytes, height: int) -> pb.ListPendingResponse:
    answer, entry = pb.ListPendingResponse(height=height), pool.get(tx_hash)
    if entry is None:
        return answer
    whose = pending(pool, entry.facts.touches[0][-ADDRESS_BYTES:], height)  # its first signer's
    answer.txs.extend([one for one in whose.txs if one.hash == tx_hash])
    return answer


def _why(facts: CheckTxResponse, dearer: int, is_held: bool, before: bytes | None) -> str:
    if is_held:
        return f"held until what comes before it in its order is here (it has number {facts.order})"
    if before is not None:
        return f"behind {before.hex()} of the same order"
    if dearer:
        return f"{dearer} of its lane pay more for their gas: pay more to go before them (dchat tx replace)"
    return "for the next block that has room"


async def _now(work: Callable[[], T]) -> T:
    return work()


class ChainService(rpc.ChainServiceServicer):
    def __init__(
        self,
        guard: Guard,
        answers: Answers,
        *,
        watch: CommitWatch,
        events: EventFeed,
        evidence: EvidenceDesk,
        status: Callable[[], pb.GetStatusResponse],
        reading: Reading,
        searches: Searches,
    ) -> None:
        self._guard, self._answers, self._watch, self._events, self._status = guard, answers, watch, events, status
        self._evidence, self._reading, self._searches = evidence, reading, searches

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        return await self._guard.call(context, lambda: _now(self._status))

    async def GetBlock(self, request: pb.GetBlockRequest, context: Context) -> pb.GetBlockResponse:
        """The block's bytes go out as they are stored."""
        return await self._guard.call(
            context,
            lambda: self._reading.run(
                lambda: cast(Any, self._answers.block_encoded(request.height, request.hash)), client_at(context.peer())
            ),
        )

    async def ListBlocks(self, request: pb.ListBlocksRequest, context: Context) -> pb.ListBlocksResponse:
        return await self._guard.call(
            context,
            lambda: self._reading.run(
                lambda: self._answers.list_blocks(request.max_height, request.limit), client_at(context.peer())
            ),
        )

    async def GetCommit(self, request: pb.GetCommitRequest, context: Context) -> pb.GetCommitResponse:
        def work() -> pb.GetCommitResponse:
            light, canonical = self._answers.light_block(request.height)
            answer = pb.GetCommitResponse(canonical=canonical)
            answer.light_block.MergeFromString(light.encode())
            return answer

        return await self._guard.call(context, lambda: self._reading.run(work, client_at(context.peer())))

    async def GetValidators(self, request: pb.GetValidatorsRequest, context: Context) -> pb.GetValidatorsResponse:
        return await self._guard.call(
            context,
            lambda: self._reading.run(lambda: self._answers.validators(request.height), client_at(context.peer())),
        )

    async def StreamBlocks(
        self, request: pb.StreamBlocksRequest, context: Context
    ) -> AsyncIterator[pb.StreamBlocksResponse]:
        """A slow reader holds up only itself: blocks are read from disk as it takes them."""
        client = client_at(context.peer())
        async with self._guard.stream(context):
            height = request.from_height or self._answers.height + 1
            if height < max(1, self._answers.base):
                raise out_of_reach(f"block {height}", height, earliest=self._answers.base, latest=self._answers.height)
            while True:
                event = self._watch.next_block()
                if height > self._answers.height:
                    await event.wait()
                    continue
                slices = self._answers.streamed(height, with_results=request.with_results)
                yield cast(Any, await self._events.share.drive(slices, client))
                height += 1

    async def GetBlockResults(self, request: pb.GetBlockResultsRequest, context: Context) -> pb.GetBlockResultsResponse:
        share, client = self._events.share, client_at(context.peer())
        return await self._guard.call(
            context, lambda: share.drive(cast(Any, self._answers.block_results(request.height)), client)
        )

    async def BroadcastEvidence(
        self, request: pb.BroadcastEvidenceRequest, context: Context
    ) -> pb.BroadcastEvidenceResponse:
        return await self._guard.call(context, lambda: self._evidence.take(request, client_at(context.peer())))

    async def SearchBlocks(self, request: pb.SearchBlocksRequest, context: Context) -> pb.SearchBlocksResponse:
        return await self._guard.call(context, lambda: self._searches.blocks(request, client_at(context.peer())))

    async def StreamEvents(
        self, request: pb.StreamEventsRequest, context: Context
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        """A slow reader holds up only itself, as with blocks."""
        telling = self._events.stream(request, client=client_at(context.peer()))
        async with self._guard.stream(context), contextlib.aclosing(telling) as events:
            async for told in events:
                yield told


class StateService(rpc.StateServiceServicer):
    """Single values of the latest state are read at once; what is proved, listed or of another height in a thread: an
    older value is found by a walk through what each block since replaced."""

    def __init__(
        self, guard: Guard, answers: Answers, upgrade: Callable[[int], pb.GetUpgradeResponse], reading: Reading
    ) -> None:
        self._guard, self._answers, self._upgrade, self._reading = guard, answers, upgrade, reading

    async def _ask(self, context: Context, work: Callable[[Any], T], request: Any) -> T:
        if getattr(request, "prove", True) or request.height:
            return await self._list(context, work, request)
        return await self._guard.call(context, lambda: _now(lambda: work(request)))

    async def _list(self, context: Context, work: Callable[[Any], T], request: Any) -> T:
        return await self._guard.call(
            context, lambda: self._reading.run(lambda: work(request), client_at(context.peer()))
        )

    async def GetAccount(self, request: pb.GetAccountRequest, context: Context) -> pb.GetAccountResponse:
        return await self._ask(context, self._answers.account, request)

    async def GetIdentity(self, request: pb.GetIdentityRequest, context: Context) -> pb.GetIdentityResponse:
        return await self._ask(context, self._answers.identity, request)

    async def GetChannel(self, request: pb.GetChannelRequest, context: Context) -> pb.GetChannelResponse:
        return await self._ask(context, self._answers.channel, request)

    async def ListChannels(self, request: pb.ListChannelsRequest, context: Context) -> pb.ListChannelsResponse:
        return await self._ask(context, self._answers.list_channels, request)

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        return await self._ask(context, self._answers.message, request)

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        return await self._list(context, self._answers.list_messages, request)

    async def GetBundle(self, request: pb.GetBundleRequest, context: Context) -> pb.GetBundleResponse:
        return await self._ask(context, self._answers.bundle, request)

    async def GetRecord(self, request: pb.GetRecordRequest, context: Context) -> pb.GetRecordResponse:
        return await self._ask(context, self._answers.record, request)

    async def GetParams(self, request: pb.GetParamsRequest, context: Context) -> pb.GetParamsResponse:
        return await self._ask(context, lambda asked: self._answers.params(asked.height), request)

    async def GetUpgrade(self, request: pb.GetUpgradeRequest, context: Context) -> pb.GetUpgradeResponse:
        return await self._ask(context, lambda asked: self._upgrade(asked.height), request)

    async def GetInvariants(self, request: pb.GetInvariantsRequest, context: Context) -> pb.GetInvariantsResponse:
        """One reading of the whole state for all who ask for the same height, and no two at once."""
        height = request.height
        return await self._guard.call(
            context,
            lambda: self._reading.shared(
                ("invariants", height),
                lambda is_wanted: self._answers.invariants(height, is_wanted),
                client_at(context.peer()),
            ),
        )


class GrpcDoor(GrpcServer):
    """The server. `start`, then `stop`."""

    def __init__(
        self,
        options: GrpcSection,
        *,
        rate: RateLimit,
        answers: Answers,
        pool: Pool,
        watch: CommitWatch,
        events: EventFeed,
        evidence: EvidenceDesk,
        journal: Journal,
        status: Callable[[], pb.GetStatusResponse],
        upgrade: Callable[[int], pb.GetUpgradeResponse],
        trails: OwnTrails,
        searches: Searches,
        tls: Certificates | None = None,
        connections_max: int | None = None,
        reading: Reading | None = None,
    ) -> None:
        """connections_max: fewer than the option says, where there are too few file handles."""
        super().__init__(
            options,
            SERVICES,
            rate=rate,
            tls=tls,
            connections_max=connections_max,
            costs=COSTS,
            large=LARGE,
        )
        self._reading = reading = reading or Reading()
        server, guard = self.registered, self.guard
        sending = TxService(
            guard, answers, pool=pool, watch=watch, journal=journal, reading=reading, searches=searches
        )  # fmt: skip
        chain = ChainService(
            guard, answers, watch=watch, events=events, evidence=evidence, status=status, reading=reading,
            searches=searches,
        )  # fmt: skip
        rpc.add_TxServiceServicer_to_server(sending, server)  # type: ignore[no-untyped-call]
        rpc.add_ChainServiceServicer_to_server(chain, server)  # type: ignore[no-untyped-call]
        rpc.add_StateServiceServicer_to_server(StateService(guard, answers, upgrade, reading), server)  # type: ignore[no-untyped-call]
        staking_rpc.add_StakingServiceServicer_to_server(StakingService(guard, answers, reading), server)  # type: ignore[no-untyped-call]
        gov_rpc.add_GovServiceServicer_to_server(GovService(guard, answers, reading), server)  # type: ignore[no-untyped-call]
        bridge_rpc.add_BridgeServiceServicer_to_server(BridgeService(guard, answers, reading), server)  # type: ignore[no-untyped-call]
        payment_rpc.add_PaymentServiceServicer_to_server(PaymentService(guard, answers, reading), server)  # type: ignore[no-untyped-call]
        channels_rpc.add_ChannelServiceServicer_to_server(ChannelService(guard, answers, reading), server)  # type: ignore[no-untyped-call]
        reputation_rpc.add_ReputationServiceServicer_to_server(ReputationService(guard, answers, reading), server)  # type: ignore[no-untyped-call]
        trail_rpc.add_TrailServiceServicer_to_server(TrailService(guard, trails, reading), server)  # type: ignore[no-untyped-call]

    async def stop(self, grace_s: float = 1.0) -> None:
        await super().stop(grace_s)
        await self._reading.close()
