"""A client of the gRPC door: every call of dchat.v1, with deadlines and plain errors.

What a node answers is not believed here; `dchat.client.verify` checks proofs. Amounts are udchat, addresses and hashes
bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from chain.kernel.branch import RecordKind
from chain.tx.envelope.tx import TX_BYTES_MAX
from consensus.formats.units import MIB
from consensus.state.cursors import Cursor
from dchat.home.text import safe_line
from proto.dchat.v1 import bridge_service_pb2_grpc as bridge_rpc
from proto.dchat.v1 import channel_service_pb2_grpc as channels_rpc
from proto.dchat.v1 import governance_service_pb2_grpc as gov_rpc
from proto.dchat.v1 import payment_service_pb2_grpc as payment_rpc
from proto.dchat.v1 import reputation_service_pb2_grpc as reputation_rpc
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import service_pb2_grpc as rpc
from proto.dchat.v1 import staking_service_pb2_grpc as staking_rpc
from proto.dchat.v1 import trail_service_pb2_grpc as trail_rpc

DEFAULT_ADDRESS = "127.0.0.1:26670"
MESSAGE_BYTES_MAX = 64 * MIB  # a block of the format's limit fits
SMALL_BYTES_MAX = 16 * MIB  # what whoever signs has to read: records, and two headers with 10,000 validators each
QUOTE_CHARACTERS_MAX = 1_000  # of a node's own words in ours
DEADLINE_S = 10.0
COMMIT_DEADLINE_S = 60.0
HEIGHT_DEADLINE_S = 60.0
STREAM_IDLE_S = 60.0  # of events that are saved: a message comes with every hundred blocks, if not sooner
MANY_MAX = 1_000  # transactions of one BroadcastMany
HEIGHT_MAX = 1 << 62  # above it a node's word is no height: the next one, and an expiry, still fit their fields

T = TypeVar("T")


class AskFailed(Exception):
    """What was asked of a node has no answer, or none that may be believed."""


class ClientError(AskFailed):
    """A call that the node refused, or could not answer. `status`: gRPC's name, like NOT_FOUND."""

    def __init__(self, message: str, *, status: str = "") -> None:
        super().__init__(message)
        self.status = status


def quoted(text: str) -> str:
    """A node's words within a sentence of ours: one line, of bounded length, without control characters.

    What a node says must not look like what this program says: a line of its own could claim that it was paid.
    """
    shown = safe_line(text[: QUOTE_CHARACTERS_MAX + 1])
    return shown if len(text) <= QUOTE_CHARACTERS_MAX else f"{shown[:QUOTE_CHARACTERS_MAX]} (and so on)"


def whole_param(params: pb.GetParamsResponse, module: str, name: str, *, most: int) -> int:
    """A param that a node states. most: what a chain allows.

    Raises ClientError: it states none, or one that no chain has, and what is signed by it would cost what it likes.
    """
    try:
        value = int(json.loads(params.json)[module]["params"][name])
    except (ValueError, LookupError, TypeError, ArithmeticError, RecursionError):
        raise ClientError(f"the node's params have no {module}.{name}: ask another node") from None
    if not 0 <= value <= most:
        raise ClientError(
            f"the node says that {module}.{name} is {str(value)[:40]}; no chain has more than {most}: ask another node"
        )
    return value


class NodeUnreachable(ClientError):
    """Nobody answered in time."""


class NotFound(ClientError):
    """The node has no such thing."""


# CANCELLED: a node that stops ends the calls that it holds; what became of them is not known, as if it had not answered
_UNREACHABLE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})

_STOPPING = "Cancelling all calls"  # gRPC's words, UNAVAILABLE, where a server stops under a call
_REFUSED = "Connection refused"  # the system's, in gRPC's
_OTHER_DOOR = "HTTP/2"  # gRPC's words for bytes that begin otherwise: "Failed parsing HTTP/2"


def explain(error: grpc.aio.AioRpcError, address: str, *, within_s: float = 0.0) -> ClientError:
    """The client's error for a call's. within_s: its deadline; 0: none."""
    code, details = error.code(), quoted(error.details() or "")
    if code in _UNREACHABLE:
        if code is grpc.StatusCode.CANCELLED or details == _STOPPING:
            return NodeUnreachable(f"{address} is stopping: it ended the call ({details})", status=code.name)
        hint = "; this looks like an HTTP door: ask the node's gRPC door" if _OTHER_DOOR in details else ""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            late = f" within {within_s:g} s" if within_s else " in time"
            return NodeUnreachable(f"{address} did not answer{late}", status=code.name)
        why = "nothing listens there" if _REFUSED in details else details
        return NodeUnreachable(f"{address} did not answer: {why}{hint}", status=code.name)
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound(details, status=code.name)
    return ClientError(f"{address} refused: {details or code.name}", status=code.name)


class Client:
    """One node. Use as `async with Client("127.0.0.1:26670") as node:`; connects with the first call.

    answer_bytes_max: of one answer; a larger one is an error.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        tls_root: Path | None = None,
        answer_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        self.address = address
        options = [
            ("grpc.max_receive_message_length", answer_bytes_max),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            # a node that was restarted is back within a second, not gRPC's two minutes
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        if tls_root is None:
            self._channel = grpc.aio.insecure_channel(address, options=options)
        else:
            credentials = grpc.ssl_channel_credentials(tls_root.read_bytes())
            self._channel = grpc.aio.secure_channel(address, credentials, options=options)
        self.payments = payment_rpc.PaymentServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self.members = channels_rpc.ChannelServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self.reputation = reputation_rpc.ReputationServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self.bridge = bridge_rpc.BridgeServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self.txs = rpc.TxServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self.chain = rpc.ChainServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self.gov = gov_rpc.GovServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self.state = rpc.StateServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self.staking = staking_rpc.StakingServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self.trails = trail_rpc.TrailServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close(None)

    async def call(self, method: Callable[..., Awaitable[T]], request: Any, *, deadline_s: float = DEADLINE_S) -> T:
        """One call. Raises ClientError, NotFound, NodeUnreachable."""
        try:
            return await method(request, timeout=deadline_s)
        except grpc.aio.AioRpcError as error:
            raise explain(error, self.address, within_s=deadline_s) from None

    # ------------------------------------------------------------------------------------------- transactions

    async def broadcast(
        self, tx: bytes, *, wait_commit: bool = False, durable: bool = False, deadline_s: float | None = None
    ) -> pb.BroadcastResponse:
        """Hand one in. The answer's code says whether it was admitted (and, waited for, what became of it).

        durable: admitted means that the node would remember it over a crash.
        """
        assert len(tx) <= TX_BYTES_MAX, len(tx)
        request = pb.BroadcastRequest(tx=tx, durable=durable)
        request.wait = pb.WAIT_COMMIT if wait_commit else pb.WAIT_ADMISSION
        limit = deadline_s if deadline_s is not None else (COMMIT_DEADLINE_S if wait_commit else DEADLINE_S)
        return await self.call(self.txs.Broadcast, request, deadline_s=limit)

    async def broadcast_many(self, txs: Sequence[bytes]) -> list[pb.BroadcastResponse]:
        """Hand in up to MANY_MAX; answers in their order."""
        response = await self.call(self.txs.BroadcastMany, pb.BroadcastManyRequest(txs=txs), deadline_s=30.0)
        return list(response.results)

    async def simulate(self, tx: bytes) -> pb.SimulateResponse:
        """What it would do in the next block, by the node's word. tx: an envelope, with or without signatures."""
        return await self.call(self.txs.Simulate, pb.SimulateRequest(tx=tx))

    async def tx(self, tx_hash: bytes, *, prove: bool = False) -> pb.GetTxResponse:
        """With prove it waits for the next header, which proves what became of the transaction."""
        if prove:
            found = await self.call(self.txs.GetTx, pb.GetTxRequest(hash=tx_hash))
            await self.wait_for_height(found.height + 1)
        return await self.call(self.txs.GetTx, pb.GetTxRequest(hash=tx_hash, prove=prove))

    # -------------------------------------------------------------------------------------------------- chain

    async def broadcast_evidence(self, evidence: bytes) -> pb.BroadcastEvidenceResponse:
        """evidence: tendermint.types.Evidence, encoded."""
        return await self.call(self.chain.BroadcastEvidence, pb.BroadcastEvidenceRequest(evidence=evidence))

    async def status(self) -> pb.GetStatusResponse:
        answer: pb.GetStatusResponse = await self.call(self.chain.GetStatus, pb.GetStatusRequest())
        if not 0 <= answer.latest_block_height <= HEIGHT_MAX:
            raise ClientError(f"{self.address} says that its last block is {answer.latest_block_height}; no chain's is")
        return answer

    async def block(self, height: int = 0, *, block_hash: bytes = b"") -> pb.GetBlockResponse:
        return await self.call(self.chain.GetBlock, pb.GetBlockRequest(height=height, hash=block_hash))

    async def blocks(self, *, max_height: int = 0, limit: int = 20) -> pb.ListBlocksResponse:
        return await self.call(self.chain.ListBlocks, pb.ListBlocksRequest(max_height=max_height, limit=limit))

    async def commit(self, height: int) -> pb.GetCommitResponse:
        return await self.call(self.chain.GetCommit, pb.GetCommitRequest(height=height))

    async def validators(self, height: int = 0) -> pb.GetValidatorsResponse:
        return await self.call(self.chain.GetValidators, pb.GetValidatorsRequest(height=height))

    async def stream_blocks(
        self, from_height: int = 0, *, with_results: bool = False
    ) -> AsyncIterator[pb.StreamBlocksResponse]:
        """Blocks in order without a gap, then live. Ends by an error when the node stops, or leaves one out."""
        request = pb.StreamBlocksRequest(from_height=from_height, with_results=with_results)
        expected = from_height
        try:
            async for block in self.chain.StreamBlocks(request):
                height = block.block.header.height
                if expected and height != expected:
                    raise ClientError(f"{self.address} streamed block {height}, expected {expected}: ask another node")
                expected = height + 1
                yield block
        except grpc.aio.AioRpcError as error:
            raise explain(error, self.address) from None

    async def block_results(self, height: int = 0) -> pb.GetBlockResultsResponse:
        return await self.call(self.chain.GetBlockResults, pb.GetBlockResultsRequest(height=height), deadline_s=30.0)

    async def search_txs(
        self, query: str, *, after: str = "", oldest_first: bool = False, limit: int = 30
    ) -> pb.SearchTxsResponse:
        """Transactions by what they did (docs/search.md). after: an earlier answer's cursor."""
        request = pb.SearchTxsRequest(query=query, after=after, oldest_first=oldest_first, limit=limit)
        return await self.call(self.txs.SearchTxs, request, deadline_s=30.0)

    async def search_blocks(
        self, query: str, *, after: str = "", oldest_first: bool = False, limit: int = 30
    ) -> pb.SearchBlocksResponse:
        """Blocks by what they did themselves."""
        request = pb.SearchBlocksRequest(query=query, after=after, oldest_first=oldest_first, limit=limit)
        return await self.call(self.chain.SearchBlocks, request, deadline_s=30.0)

    async def stream_events(
        self,
        *,
        after: Cursor | None = None,
        from_height: int = 0,
        to_height: int = 0,
        types: Sequence[str] = (),
        where: Sequence[tuple[str, str]] = (),
    ) -> AsyncGenerator[pb.StreamEventsResponse]:
        """Events in the chain's order, each once: after a cursor, or from a height on, or from the next block on.

        A message without an event tells how far the stream has come: resume from the last cursor that came, of either
        kind. to_height: ends after this block; 0: goes on live, and ends by an error when the node stops.
        Raises ClientError where the node tells one twice or goes back, NodeUnreachable where it stops before the end.
        """
        request = pb.StreamEventsRequest(from_height=from_height, to_height=to_height, types=types)
        if after is not None:
            request.after.height, request.after.index = after
        for key, value in where:
            request.where.add(key=key, value=value)
        last, stream = after, aiter(self.chain.StreamEvents(request))
        try:
            while True:
                async with asyncio.timeout(STREAM_IDLE_S if to_height else None):
                    told = await anext(stream, None)
                if told is None:
                    return
                cursor = Cursor(told.cursor.height, told.cursor.index)
                if (last is not None and cursor <= last) or (to_height and cursor.height > to_height):
                    raise ClientError(f"{self.address} streamed {cursor} after {last}: ask another node")
                last = cursor
                yield told
        except TimeoutError:
            raise NodeUnreachable(f"{self.address} said nothing for {STREAM_IDLE_S:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise explain(error, self.address) from None

    async def wait_for_height(self, height: int, *, deadline_s: float | None = None) -> int:
        """Return once the node has saved `height`. Raises NodeUnreachable at the deadline: HEIGHT_DEADLINE_S."""
        limit_s = HEIGHT_DEADLINE_S if deadline_s is None else deadline_s
        try:
            async with asyncio.timeout(limit_s):
                latest = (await self.status()).latest_block_height
                if latest >= height:
                    return latest
                async for block in self.stream_blocks(latest + 1):
                    if block.block.header.height >= height:
                        return block.block.header.height
        except TimeoutError:
            pass
        raise NodeUnreachable(
            f"{self.address} did not reach height {height} within {limit_s:g} s; where the chain stands, "
            "`dchat validator recover` on a node's home says why"
        )

    async def provable_height(self) -> int:
        """The latest height as of now, once the header that proves its state is there as well."""
        height = (await self.status()).latest_block_height
        await self.wait_for_height(height + 1)
        return height

    # -------------------------------------------------------------------------------------------------- state

    async def account(self, address: bytes, *, height: int = 0, prove: bool = False) -> pb.GetAccountResponse:
        request = pb.GetAccountRequest(address=address, height=height, prove=prove)
        return await self.call(self.state.GetAccount, request)

    async def identity(
        self, address: bytes = b"", *, name: str = "", height: int = 0, prove: bool = False
    ) -> pb.GetIdentityResponse:
        request = pb.GetIdentityRequest(address=address, name=name, height=height, prove=prove)
        return await self.call(self.state.GetIdentity, request)

    async def channel(
        self, channel_id: bytes = b"", *, name: str = "", height: int = 0, prove: bool = False
    ) -> pb.GetChannelResponse:
        request = pb.GetChannelRequest(channel_id=channel_id, name=name, height=height, prove=prove)
        return await self.call(self.state.GetChannel, request)

    async def channels(self, *, after: bytes = b"", limit: int = 20) -> pb.ListChannelsResponse:
        return await self.call(self.state.ListChannels, pb.ListChannelsRequest(after=after, limit=limit))

    async def message(
        self, channel_id: bytes, index: int, *, height: int = 0, prove: bool = False
    ) -> pb.GetMessageResponse:
        request = pb.GetMessageRequest(channel_id=channel_id, index=index, height=height, prove=prove)
        return await self.call(self.state.GetMessage, request)

    async def messages(
        self, channel_id: bytes, *, from_index: int = 0, limit: int = 100, height: int = 0, prove: bool = False
    ) -> pb.ListMessagesResponse:
        request = pb.ListMessagesRequest(
            channel_id=channel_id, from_index=from_index, limit=limit, height=height, prove=prove
        )
        return await self.call(self.state.ListMessages, request)

    async def pending(self, address: bytes) -> pb.ListPendingResponse:
        """What the account has waiting at this node."""
        return await self.call(self.txs.ListPending, pb.ListPendingRequest(address=address))

    async def pending_tx(self, tx_hash: bytes) -> pb.ListPendingResponse:
        """What waits at this node under that hash, whosesoever it is."""
        return await self.call(self.txs.ListPending, pb.ListPendingRequest(hash=tx_hash))

    async def bundle(self, replay_id: bytes, *, height: int = 0, prove: bool = False) -> pb.GetBundleResponse:
        request = pb.GetBundleRequest(replay_id=replay_id, height=height, prove=prove)
        return await self.call(self.state.GetBundle, request)

    async def record(
        self, kind: RecordKind, name: bytes, *, height: int = 0, prove: bool = False
    ) -> pb.GetRecordResponse:
        """A record of any kind, whose key is the kind's prefix and `name`. Raises ClientError: it is none."""
        answer = await self.stored(kind.store, kind.key(name), height=height, prove=prove)
        try:
            kind.schema.FromString(answer.value)
        except DecodeError as error:
            raise ClientError(f"{self.address} answered bytes that are no record of {kind.what}") from error
        return answer

    async def stored(self, store: str, key: bytes, *, height: int = 0, prove: bool = False) -> pb.GetRecordResponse:
        """The bytes under a key."""
        request = pb.GetRecordRequest(store=store, key=key, height=height, prove=prove)
        answer: pb.GetRecordResponse = await self.call(self.state.GetRecord, request)
        return answer

    async def invariants(self, height: int = 0) -> pb.GetInvariantsResponse:
        return await self.call(self.state.GetInvariants, pb.GetInvariantsRequest(height=height), deadline_s=60.0)

    async def upgrade(self, height: int = 0) -> pb.GetUpgradeResponse:
        return await self.call(self.state.GetUpgrade, pb.GetUpgradeRequest(height=height))

    async def params(self, height: int = 0) -> pb.GetParamsResponse:
        return await self.call(self.state.GetParams, pb.GetParamsRequest(height=height))
