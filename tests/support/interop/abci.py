"""An application behind a socket, as a real CometBFT node calls it: so much of ABCI 0.38 as tests of state sync need.

Test tooling, not a door of the product. `Restoring` gives the product's application what snapshots need; blocks it does
not execute: it says so, and the node ends. `Serving` is a chain of empty states, of each of which it has snapshots.
Source: CometBFT v0.38, spec/abci/abci++_client_server.md (messages behind their length, a varint).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from consensus.abci.interface import Application, InfoRequest, Snapshot
from crypto.hash import sha256
from proto.tendermint.abci import types_pb2 as pb

MESSAGE_BYTES_MAX = 64 * 1024 * 1024


class Calls(Protocol):
    """Answers a request of a kind by its name; None: with an empty answer."""

    def answer(self, kind: str, request: Any) -> Any: ...


async def read_varint(reader: asyncio.StreamReader) -> int:
    value = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


@contextlib.asynccontextmanager
async def serving(calls: Calls, socket: Path) -> AsyncIterator[str]:
    """Gives the address for `--proxy_app`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = await read_varint(reader)
                assert size <= MESSAGE_BYTES_MAX, size
                request = pb.Request.FromString(await reader.readexactly(size))
                answer = answer_of(calls, request).SerializeToString()
                writer.write(varint(len(answer)) + answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, str(socket))
    try:
        yield f"unix://{socket}"
    finally:
        server.close()


def answer_of(calls: Calls, request: pb.Request) -> pb.Response:
    kind = request.WhichOneof("value")
    assert kind is not None
    response = pb.Response()
    getattr(response, kind).SetInParent()
    if kind == "echo":
        response.echo.message = request.echo.message
    elif kind != "flush":
        answer = calls.answer(kind, getattr(request, kind))
        if isinstance(answer, pb.ResponseException):
            return pb.Response(exception=answer)
        if answer is not None:
            getattr(response, kind).CopyFrom(answer)
    return response


def snapshot_pb(snapshot: Snapshot) -> pb.Snapshot:
    return pb.Snapshot(
        height=snapshot.height, format=snapshot.format, chunks=snapshot.chunks, hash=snapshot.hash,
        metadata=snapshot.metadata,
    )  # fmt: skip


class Restoring:
    """What a node that is new asks of our application. chunks: (number, sender) of those that were applied."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.offered: list[Snapshot] = []
        self.chunks: list[tuple[int, str]] = []

    def answer(self, kind: str, request: Any) -> Any:
        match kind:
            case "info":
                told = self._app.info(InfoRequest("", 0, 0))
                return pb.ResponseInfo(
                    app_version=told.app_version, last_block_height=told.last_block_height,
                    last_block_app_hash=told.last_block_app_hash,
                )  # fmt: skip
            case "offer_snapshot":
                one = request.snapshot
                snapshot = Snapshot(one.height, one.format, one.chunks, one.hash, one.metadata)
                self.offered.append(snapshot)
                result = self._app.offer_snapshot(snapshot, request.app_hash)
                return pb.ResponseOfferSnapshot(result=pb.ResponseOfferSnapshot.Result.Name(result))
            case "apply_snapshot_chunk":
                answer = self._app.apply_snapshot_chunk(request.index, request.chunk, request.sender)
                self.chunks.append((request.index, request.sender))
                return pb.ResponseApplySnapshotChunk(
                    result=pb.ResponseApplySnapshotChunk.Result.Name(answer.result),
                    refetch_chunks=answer.refetch_chunks, reject_senders=answer.reject_senders,
                )  # fmt: skip
            case "list_snapshots" | "query":
                return None
        return pb.ResponseException(error=f"{kind}: this stand-in restores snapshots and executes nothing")


class Serving:
    """A chain whose state after a block is its height. Each `interval` heights a snapshot; it serves the last three."""

    def __init__(self, *, interval: int, chunks: int, chunk_bytes: int) -> None:
        self._interval, self._count, self._bytes = interval, chunks, chunk_bytes
        self.height = 0
        self.served = 0

    def chunk(self, height: int, number: int) -> bytes:
        return (sha256(b"%d %d" % (height, number)) * (self._bytes // 32 + 1))[: self._bytes]

    def snapshot(self, height: int) -> Snapshot:
        """metadata: the hash of each chunk."""
        metadata = b"".join(sha256(self.chunk(height, number)) for number in range(self._count))
        return Snapshot(height, 1, self._count, sha256(metadata), metadata)

    @staticmethod
    def app_hash(height: int) -> bytes:
        return sha256(b"the state after %d" % height)

    def answer(self, kind: str, request: Any) -> Any:
        match kind:
            case "info":
                known = self.app_hash(self.height) if self.height else b""
                return pb.ResponseInfo(last_block_height=self.height, last_block_app_hash=known)
            case "prepare_proposal":
                return pb.ResponsePrepareProposal(txs=request.txs)
            case "process_proposal":
                return pb.ResponseProcessProposal(status=pb.PROPOSAL_STATUS_ACCEPT)
            case "finalize_block":
                self.height = request.height
                results = [pb.ExecTxResult() for _ in request.txs]
                return pb.ResponseFinalizeBlock(tx_results=results, app_hash=self.app_hash(self.height))
            case "list_snapshots":
                newest = self.height - self.height % self._interval
                heights = range(newest, max(0, newest - 3 * self._interval), -self._interval)
                return pb.ResponseListSnapshots(snapshots=[snapshot_pb(self.snapshot(one)) for one in heights])
            case "load_snapshot_chunk":
                self.served += 1
                return pb.ResponseLoadSnapshotChunk(chunk=self.chunk(request.height, request.chunk))
        return None
