"""Calls that bring transactions and evidence, and those about the mempool.

What the mempool has no place for is an error, as the reference's admission errors are; what the application refuses is
a result with its code.
Source: CometBFT v0.38, rpc/core/mempool.go, evidence.go.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from consensus.abci.interface import CheckTxResponse
from consensus.formats.errors import InvalidData
from consensus.formats.json_text import Json
from consensus.mempool.admission.errors import CODESPACE, NO_ROOM, Refusal
from consensus.mempool.pool import Pool
from consensus.node.commit_watch import CommitWatch
from consensus.types.evidence import Evidence
from crypto.hash import sha256
from dchat.doors.evidence_desk import EvidenceDesk
from dchat.doors.jsonrpc.form import EMPTY_RESULT, Many, base64_of, check_form, hex_of, result_form
from dchat.doors.jsonrpc.params import Arg, Kind
from dchat.doors.jsonrpc.protocol import RpcError, failed
from dchat.doors.jsonrpc.table import Call, Method, per_page_of, table_of
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.errors import BadQuestion, NotYet
from dchat.doors.reads.reading import Reading
from proto.dchat.v1 import service_pb2 as pb

TX: Final = (Arg("tx", Kind.BYTES, b""),)
IN_CACHE: Final = frozenset({Refusal.ALREADY_HERE, Refusal.SEEN_BEFORE})

Place = Callable[[str, str], AbstractContextManager[None]]


class TxCalls:
    """check: the application's check_tx of one that is not to be admitted, for a client.
    place: of one more who waits for an event, by its name and its client; raises RpcError where there is none."""

    def __init__(
        self,
        answers: Answers,
        pool: Pool,
        watch: CommitWatch,
        evidence: EvidenceDesk,
        *,
        reading: Reading,
        check: Callable[[bytes, str], Awaitable[CheckTxResponse]],
        place: Place,
        commit_timeout_ms: int,
    ) -> None:
        self._answers, self._pool, self._watch, self._evidence = answers, pool, watch, evidence
        self._reading, self._check, self._place, self._commit_timeout_ms = reading, check, place, commit_timeout_ms
        self.table = table_of(
            Method("broadcast_tx_async", self.broadcast_tx_async, TX, writes=True),
            Method("broadcast_tx_sync", self.broadcast_tx_sync, TX, writes=True),
            Method("broadcast_tx_commit", self.broadcast_tx_commit, TX, waits=True, writes=True),
            Method("check_tx", self.check_tx, TX, cost=20),
            Method("unconfirmed_txs", self.unconfirmed_txs, (Arg("limit", Kind.INT),), cost=4),
            Method("num_unconfirmed_txs", self.num_unconfirmed_txs),
            Method(
                "broadcast_evidence", self.broadcast_evidence, (Arg("evidence", Kind.EVIDENCE),), cost=20, writes=True
            ),
        )

    async def broadcast_tx_async(self, call: Call, given: Mapping[str, Any]) -> Json:
        tx = given["tx"]
        answer = self._pool.offer([tx], client=call.client)[0]
        if answer is not None:
            self._raise_for(tx, answer)
        return _broadcast_form(tx, CheckTxResponse())

    async def broadcast_tx_sync(self, call: Call, given: Mapping[str, Any]) -> Json:
        tx = given["tx"]
        answer = await self._pool.submit(tx, client=call.client)
        self._raise_for(tx, answer)
        return _broadcast_form(tx, answer)

    async def broadcast_tx_commit(self, call: Call, given: Mapping[str, Any]) -> Json:
        tx = given["tx"]
        tx_hash = sha256(tx)
        with self._place(call.remote, call.client):
            future = self._watch.expect(tx_hash)
            try:
                answer = await self._pool.submit(tx, client=call.client)
                try:
                    self._raise_for(tx, answer)
                except RpcError as error:
                    raise failed(f"error on broadcastTxCommit: {error.data}") from None
                if answer.code:
                    return _commit_form(tx_hash, answer)
                try:
                    async with asyncio.timeout(self._commit_timeout_ms / 1_000):
                        dropped = await future
                except TimeoutError:
                    raise failed("timed out waiting for tx to be included in a block") from None
                if dropped is not None:
                    return _commit_form(tx_hash, dropped)
                return await self._reading.run(lambda: self._committed(tx_hash, answer), call.client)
            finally:
                self._watch.forget(tx_hash, future)

    def _committed(self, tx_hash: bytes, checked: CheckTxResponse) -> Json:
        place = self._answers.states.find_tx(tx_hash)
        stored = self._answers.states.load_stored(place[0]) if place is not None else None
        if place is None or stored is None:
            raise failed(f"tx ({hex_of(tx_hash)}) not found")
        return _commit_form(tx_hash, checked, result_form(stored.tx_results[place[1]]), place[0])

    def _raise_for(self, tx: bytes, answer: CheckTxResponse) -> None:
        """What the mempool says of itself, in the reference's words. Raises RpcError."""
        if answer.codespace != CODESPACE or not answer.code:
            return
        reason = Refusal(answer.code)
        if reason in IN_CACHE:
            raise failed("tx already exists in cache")
        if reason is Refusal.TOO_LARGE:
            most = self._pool.config.tx_bytes_max
            if len(tx) > most:
                raise failed(f"Tx too large. Max size is {most}, but got {len(tx)}")
            raise failed(f"tx pre check: {answer.log}")
        if reason in NO_ROOM:
            pool = self._pool
            size = f"number of txs {pool.size} (max: {pool.door_txs_max})"
            room = f"total txs bytes {pool.byte_size} (max: {pool.config.bytes_max})"
            raise failed(f"mempool is full: {size}, {room}: {answer.log}")
        if reason in (Refusal.STOPPED, Refusal.FAILED):
            raise failed(f"appConn mempool: {answer.log}")
        if reason is Refusal.TOO_MUCH_GAS:
            raise failed(f"tx pre check: {answer.log}")

    async def check_tx(self, call: Call, given: Mapping[str, Any]) -> Json:
        return check_form(await self._check(given["tx"], call.client))

    async def unconfirmed_txs(self, call: Call, given: Mapping[str, Any]) -> Json:
        first = [entry.tx for entry in itertools.islice(self._pool.entries(), per_page_of(given["limit"]))]
        txs = Many(base64.b64encode(tx).decode() for tx in first)
        return {**self._counted(len(first)), "txs": txs}

    async def num_unconfirmed_txs(self, call: Call, given: Mapping[str, Any]) -> Json:
        return {**self._counted(self._pool.size), "txs": None}

    def _counted(self, told: int) -> dict[str, Json]:
        return {"n_txs": str(told), "total": str(self._pool.size), "total_bytes": str(self._pool.byte_size)}

    async def broadcast_evidence(self, call: Call, given: Mapping[str, Any]) -> Json:
        evidence: Evidence | None = given["evidence"]
        if evidence is None:
            raise failed("no evidence was provided")

        def encoded() -> bytes:  # in a thread: it may name thousands of signers
            try:
                evidence.validate()
            except (InvalidData, ValueError) as error:
                raise failed(f"evidence.ValidateBasic failed: {error}") from None
            return evidence.encode_wrapped()

        try:
            request = pb.BroadcastEvidenceRequest(evidence=await self._reading.run(encoded, call.client))
            told = await self._evidence.take(request, call.client)
        except (BadQuestion, NotYet) as error:
            raise failed(f"failed to add evidence: {error}") from None
        return {"hash": base64_of(told.hash)}


def _broadcast_form(tx: bytes, answer: CheckTxResponse) -> Json:
    return {
        "code": answer.code, "data": "", "log": answer.log, "codespace": answer.codespace, "hash": hex_of(sha256(tx)),
    }  # fmt: skip


def _commit_form(tx_hash: bytes, checked: CheckTxResponse, result: Json = EMPTY_RESULT, height: int = 0) -> Json:
    return {
        "check_tx": check_form(checked), "tx_result": result, "hash": hex_of(tx_hash), "height": str(height),
    }  # fmt: skip
