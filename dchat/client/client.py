"""A client of the gRPC door: every call of dchat.v1, with deadlines and plain errors.

Of one node, or of several, of which one is asked at a time: who does not answer, catches up, stands still while others
go on, or lies, is left for the next (docs/python-client.md, Several nodes). What a node answers is not believed here;
`dchat.client.verify` checks proofs. Amounts are udchat, addresses and hashes bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, ClassVar, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from chain.kernel.branch import RecordKind
from chain.tx.envelope.tx import TX_BYTES_MAX
from consensus.formats.units import MIB
from consensus.state.cursors import Cursor
from dchat.client.nodes.route import AWAY, LOOK_S, NobodyAnswers, Route, words_of
from dchat.client.nodes.tls import Tls
from dchat.shown.text import safe_line
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
STALL_S = 20.0  # of several nodes, who says nothing new for so long is compared with the others
COMPARE_S = 3.0  # for the others to say how far they are
PROGRESS_BLOCKS = 100  # after so many without an event a stream of them says so
AGAIN_S = 0.5  # between rounds in which no node could be used
BEHIND_BLOCKS = 2  # fewer is how far honest nodes are apart
BUSY = "RESOURCE_EXHAUSTED"  # what a door says to a client past its limits
OF_NODE = frozenset({BUSY, "UNKNOWN", "INTERNAL", "UNIMPLEMENTED", "DATA_LOSS"})  # another node may do better
MANY_MAX = 1_000  # transactions of one BroadcastMany
HEIGHT_MAX = 1 << 62  # above it a node's word is no height: the next one, and an expiry, still fit their fields

T = TypeVar("T")


class AskFailed(Exception):
    """What was asked of a node has no answer, or none that may be believed.

    of_node: another node may answer it. lied: and this one is asked nothing more.
    """

    of_node: ClassVar[bool] = False
    lied: ClassVar[bool] = False


class ClientError(AskFailed):
    """A call that the node refused, or could not answer. `status`: gRPC's name, like NOT_FOUND."""

    def __init__(self, message: str, *, status: str = "") -> None:
        super().__init__(message)
        self.status = status


class OtherChain(ClientError):
    """The node is of another chain than was named."""

    of_node = True
    lied = True  # or it was named by mistake: it is of no use either way


class OutOfOrder(ClientError):
    """A stream that goes back, or leaves something out."""

    of_node = True
    lied = True


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

    of_node = True


class NotFound(ClientError):
    """The node has no such thing."""


_STOPPING = "Cancelling all calls"  # gRPC's words, UNAVAILABLE, where a server stops under a call
_REFUSED = "Connection refused"  # the system's, in gRPC's
_OTHER_DOOR = "HTTP/2"  # gRPC's words for bytes that begin otherwise: "Failed parsing HTTP/2"
_TLS = ("Ssl handshake", "SSL_ERROR", "CERTIFICATE", "Peer name")  # its words where TLS fails
_WRONG_NAME = "Hostname Verification"
_CLOSED = "failed to connect to all addresses; last error: UNAVAILABLE"


class _Left(AskFailed):
    """The node that was streamed from is not asked any more."""


def explain(error: grpc.aio.AioRpcError, address: str, *, within_s: float = 0.0) -> ClientError:
    """The client's error for a call's. within_s: its deadline; 0: none."""
    code, details = error.code(), quoted(error.details() or "")
    if code in AWAY:
        if code is grpc.StatusCode.CANCELLED or details == _STOPPING:
            return NodeUnreachable(f"{address} is stopping: it ended the call ({details})", status=code.name)
        hint = "; this looks like an HTTP door: ask the node's gRPC door" if _OTHER_DOOR in details else ""
        if any(word in details for word in _TLS):
            hint = "; TLS: is its certificate vouched for by --tls-root, and does it want one of yours (--tls-cert)?"
        elif _WRONG_NAME in details:
            hint = "; TLS: what its certificate is for is said by --tls-name (server_name)"
        elif _CLOSED in details:
            hint = "; does this door want TLS (--tls, tls=), and a certificate of yours (--tls-cert)?"
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            late = f" within {within_s:g} s" if within_s else " in time"
            return NodeUnreachable(f"{address} did not answer{late}", status=code.name)
        why = "nothing listens there" if _REFUSED in details else details
        return NodeUnreachable(f"{address} did not answer: {why}{hint}", status=code.name)
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFound(details, status=code.name)
    return ClientError(f"{address} refused: {details or code.name}", status=code.name)


class Client:
    """One node, or several of which one is asked at a time. Use as `async with Client("127.0.0.1:26670") as node:`;
    connects with the first call.

    address: of the node that is asked now. tls: None: without. answer_bytes_max: of one answer; a larger one is an
    error. Raises ValueError: a file of TLS cannot be used.
    """

    route: Route | None = None  # None: a client of somebody else's making

    def __init__(
        self,
        address: str | Sequence[str] = DEFAULT_ADDRESS,
        *,
        tls: Tls | None = None,
        answer_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        addresses = [address] if isinstance(address, str) else list(address)
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", answer_bytes_max),
            ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
            # a node that was restarted is back within a second, not gRPC's two minutes
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        credentials = tls.credentials() if tls is not None else None

        def connect(one: str) -> Any:
            if tls is None or credentials is None:
                return grpc.aio.insecure_channel(one, options=options)
            return grpc.aio.secure_channel(one, credentials, options=options + tls.options)

        self.chain_id = ""  # that nodes must be of; empty: that of the first which could be used
        self.route = Route(addresses, connect, looks=self._looks, moved=self._moved)
        self.address = addresses[0]
        self.payments = payment_rpc.PaymentServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated
        self.members = channels_rpc.ChannelServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated
        self.reputation = reputation_rpc.ReputationServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated
        self.bridge = bridge_rpc.BridgeServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated
        self.txs = rpc.TxServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated
        self.chain = rpc.ChainServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated
        self.gov = gov_rpc.GovServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated
        self.state = rpc.StateServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated
        self.staking = staking_rpc.StakingServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated
        self.trails = trail_rpc.TrailServiceStub(self.route)  # type: ignore[no-untyped-call]  # generated

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        assert self.route is not None
        await self.route.close()

    async def call(self, method: Callable[..., Awaitable[T]], request: Any, *, deadline_s: float = DEADLINE_S) -> T:
        """One call, of one node after another until one answers. Raises ClientError, NotFound, NodeUnreachable."""
        try:
            return await method(request, timeout=deadline_s)
        except grpc.aio.AioRpcError as error:
            raise explain(error, self.address, within_s=deadline_s) from None
        except NobodyAnswers as error:
            raise NodeUnreachable(quoted(str(error)), status=grpc.StatusCode.UNAVAILABLE.name) from None

    # ------------------------------------------------------------------------------------------- which node is asked

    @property
    def others(self) -> int:
        """How many nodes could be asked instead of the one that is."""
        return self.route.others if self.route is not None else 0

    def leave(self, why: str, *, address: str, lied: bool = False) -> bool:
        """Ask the next node from now on, unless that happened already. False: there is none."""
        if self.route is None or address not in self.route.addresses:
            return False
        return self.route.leave(why, at=self.route.addresses.index(address), lied=lied)

    async def at_each(self, work: Callable[[], Awaitable[T]]) -> T:
        """`work`, which asks, and hands in nothing but what was handed in: again at the next node, as long as one fails
        by its own fault and another is there. Raises what `work` does."""
        for _ in range(self.others):
            address = self.address
            try:
                return await work()
            except AskFailed as error:
                is_its = error.of_node or (isinstance(error, ClientError) and error.status in OF_NODE)
                if not is_its or not self.leave(str(error), address=address, lied=error.lied):
                    raise
        return await work()

    def _moved(self, address: str) -> None:
        self.address = address

    async def _looks(self, at: int) -> str:
        """Why a node cannot be used, or nothing."""
        try:
            status = await self._status_of(at, LOOK_S)
        except grpc.aio.AioRpcError as error:
            return words_of(error, within_s=LOOK_S)
        if status.catching_up:
            return f"is catching up, at height {status.latest_block_height}"
        if self.chain_id and status.chain_id != self.chain_id:
            return f"is a node of chain {quoted(status.chain_id)!r}, another is of {self.chain_id!r}"
        self.chain_id = self.chain_id or quoted(status.chain_id)
        return ""

    async def _status_of(self, at: int, within_s: float) -> pb.GetStatusResponse:
        """Raises AioRpcError."""
        assert self.route is not None
        stub = rpc.ChainServiceStub(self.route.channel(at))  # type: ignore[no-untyped-call]  # generated
        answer: pb.GetStatusResponse = await stub.GetStatus(pb.GetStatusRequest(), timeout=within_s)
        return answer

    async def leave_if_behind(self, address: str, *, told: int | None = None) -> bool:
        """Whether a node that said nothing new was left: others, by their word, have blocks that it lacks, or of which
        it should have told. told: the height up to which its silence is in order; None: any."""
        if self.route is None or not self.others or address != self.address:
            return False
        nodes = range(len(self.route.addresses))
        answers = await asyncio.gather(*[self._status_of(at, COMPARE_S) for at in nodes], return_exceptions=True)
        heights = [one.latest_block_height if isinstance(one, pb.GetStatusResponse) else -1 for one in answers]
        own, best = heights[self.route.addresses.index(address)], max(heights)
        if own >= 0 and best < own + BEHIND_BLOCKS and (told is None or best < told + BEHIND_BLOCKS):
            return False
        why = f"says nothing of block {best}, and is at {own}" if own >= 0 else "does not answer"
        return self.leave(why, address=address)

    async def _resumed(
        self, begin: Callable[[], AsyncGenerator[T]], *, told: Callable[[], int], patience_s: float
    ) -> AsyncGenerator[T]:
        """What `begin` makes, which begins behind what came already: again at the next node, where one fails.

        told: the height up to which silence is in order. patience_s: how long it is tried again where every node fails.
        Raises what `begin` does.
        """
        loop = asyncio.get_running_loop()
        failed, since = 0, loop.time()
        while True:
            address = self.address
            try:
                async with aclosing(begin()) as stream:
                    async for found in self._watched(stream, address, told):
                        failed, since = 0, loop.time()
                        yield found
                return
            except _Left:
                continue
            except ClientError as error:
                failed += 1
                is_over = failed > self.others and loop.time() >= since + patience_s
                if not error.of_node or (error.lied and not self.others) or is_over:
                    raise
                self.leave(str(error), address=address, lied=error.lied)
                if failed > self.others:
                    await asyncio.sleep(AGAIN_S)

    async def _watched(self, stream: AsyncGenerator[T], address: str, told: Callable[[], int]) -> AsyncGenerator[T]:
        """Raises _Left: it said nothing for long, while others went on."""
        if not self.others:
            async for found in stream:
                yield found
            return
        while True:
            waiting = asyncio.ensure_future(anext(stream))
            try:
                while not (await asyncio.wait({waiting}, timeout=STALL_S))[0]:
                    if await self.leave_if_behind(address, told=told()):
                        raise _Left
                found = waiting.result()
            except StopAsyncIteration:
                return
            finally:
                if not waiting.done():
                    waiting.cancel()
                    await asyncio.gather(waiting, return_exceptions=True)
                elif not waiting.cancelled():
                    waiting.exception()  # it may have failed while the node was being left: asked for, nobody warns
            yield found

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
        self, from_height: int = 0, *, with_results: bool = False, patience_s: float = 0.0
    ) -> AsyncGenerator[pb.StreamBlocksResponse]:
        """Blocks in order without a gap, then live; of several nodes the next goes on where one ends.

        patience_s: how long it tries again where none answers. Ends by an error when the last node stops, or leaves one
        out (OutOfOrder).
        """
        expected = from_height
        if not expected and self.others:
            expected = (await self.status()).latest_block_height + 1

        def begin() -> AsyncGenerator[pb.StreamBlocksResponse]:
            return self._blocks_from(expected, with_results=with_results)

        async with aclosing(self._resumed(begin, told=lambda: expected - 1, patience_s=patience_s)) as stream:
            async for block in stream:
                expected = block.block.header.height + 1
                yield block

    async def _blocks_from(self, expected: int, *, with_results: bool) -> AsyncGenerator[pb.StreamBlocksResponse]:
        request = pb.StreamBlocksRequest(from_height=expected, with_results=with_results)
        address = self.address
        try:
            async with aclosing(self.chain.StreamBlocks(request)) as stream:
                async for block in stream:
                    height = block.block.header.height
                    if expected and height != expected:
                        raise OutOfOrder(f"{address} streamed block {height}, expected {expected}: ask another node")
                    expected = height + 1
                    yield block
        except grpc.aio.AioRpcError as error:
            raise explain(error, address) from None
        except NobodyAnswers as error:
            raise NodeUnreachable(quoted(str(error)), status=grpc.StatusCode.UNAVAILABLE.name) from None
        if self.others:  # a stream without an end that ended: the node stops
            raise NodeUnreachable(f"{address} ended the stream")

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
        patience_s: float = 0.0,
    ) -> AsyncGenerator[pb.StreamEventsResponse]:
        """Events in the chain's order, each once: after a cursor, or from a height on, or from the next block on.

        A message without an event tells how far the stream has come: resume from the last cursor that came, of either
        kind. Of several nodes the next goes on behind that, where one ends. to_height: ends after this block; 0: goes
        on live. patience_s: how long it tries again where no node answers. Ends by an error when the last node stops.
        Raises OutOfOrder where the node tells one twice or goes back, NodeUnreachable where it stops before the end.
        """
        if after is None and not from_height and self.others:  # the next node's next block may be a later one
            from_height = (await self.status()).latest_block_height + 1
        last = after

        def begin() -> AsyncGenerator[pb.StreamEventsResponse]:
            request = pb.StreamEventsRequest(to_height=to_height, types=types)
            if last is not None:
                request.after.height, request.after.index = last
            if last is after:  # nothing came yet
                request.from_height = from_height
            for key, value in where:
                request.where.add(key=key, value=value)
            return self._events_of(request, last)

        def quiet() -> int:
            return (last.height if last is not None else from_height) + PROGRESS_BLOCKS

        async with aclosing(self._resumed(begin, told=quiet, patience_s=patience_s)) as stream:
            async for told in stream:
                last = Cursor(told.cursor.height, told.cursor.index)
                yield told

    async def _events_of(
        self, request: pb.StreamEventsRequest, last: Cursor | None
    ) -> AsyncGenerator[pb.StreamEventsResponse]:
        to_height, address = request.to_height, self.address
        try:
            async with aclosing(self.chain.StreamEvents(request)) as stream:
                while True:
                    async with asyncio.timeout(STREAM_IDLE_S if to_height else None):
                        told = await anext(stream, None)
                    if told is None:
                        break
                    cursor = Cursor(told.cursor.height, told.cursor.index)
                    if (last is not None and cursor <= last) or (to_height and cursor.height > to_height):
                        raise OutOfOrder(f"{address} streamed {cursor} after {last}: ask another node")
                    last = cursor
                    yield told
        except TimeoutError:
            raise NodeUnreachable(f"{address} said nothing for {STREAM_IDLE_S:g} s") from None
        except grpc.aio.AioRpcError as error:
            raise explain(error, address) from None
        except NobodyAnswers as error:
            raise NodeUnreachable(quoted(str(error)), status=grpc.StatusCode.UNAVAILABLE.name) from None
        if self.others and (not to_height or last is None or last.height < to_height):
            raise NodeUnreachable(f"{address} ended the stream")

    async def wait_for_height(self, height: int, *, deadline_s: float | None = None) -> int:
        """Return once the node has saved `height`. Raises NodeUnreachable at the deadline: HEIGHT_DEADLINE_S."""
        limit_s = HEIGHT_DEADLINE_S if deadline_s is None else deadline_s
        try:
            async with asyncio.timeout(limit_s):
                latest = (await self.status()).latest_block_height
                if latest >= height:
                    return latest
                async with aclosing(self.stream_blocks(latest + 1)) as blocks:
                    async for block in blocks:
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
