"""ABCI 2.0's messages to and from the values of consensus.abci.interface. Pure.

A call is a method and its value; the value's type is the interface's where that has one, else it stands here. Every
field that the interface has survives the way there and back; what it has not (info and data of a check, the info of a
query) is empty on the way out and left on the way in. Decoding raises BadMessage, or Malformed from the formats: bytes
that are no protobuf, no method, a method of a later version, a number that is no value of its kind.
Source: CometBFT v0.38, proto/tendermint/abci/types.proto; spec/abci/abci++_methods.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from consensus.abci.interface import (
    ApplyChunkResponse,
    ApplyChunkResult,
    CheckTxRequest,
    CheckTxResponse,
    CheckTxType,
    CommitResponse,
    InfoRequest,
    InfoResponse,
    InitChainRequest,
    InitChainResponse,
    OfferSnapshotResult,
    PrepareProposalResponse,
    QueryRequest,
    QueryResponse,
    Snapshot,
    VerifyVoteExtensionRequest,
)
from consensus.abci_socket.blocks import (
    VERIFY_ACCEPT,
    extend_from,
    extend_to,
    finalize_from,
    finalize_response_from,
    finalize_response_to,
    finalize_to,
    prepare_from,
    prepare_to,
    process_from,
    process_response_from,
    process_response_to,
    process_to,
    verify_status,
)
from consensus.abci_socket.errors import BadMessage
from consensus.abci_socket.frames import MESSAGE_BYTES_MAX
from consensus.abci_socket.values import (
    enum_of,
    proof_from,
    proof_to,
    snapshot_from,
    snapshot_to,
    updates_from,
    updates_to,
)
from consensus.formats.timestamps import read_timestamp, timestamp_proto
from consensus.formats.wire import message_field, parse
from consensus.types.params import ConsensusParams
from proto.tendermint.abci import types_pb2 as pb

NO_PARAMS: Final = ConsensusParams()


class Call(NamedTuple):
    """method: as the field of Request and Response is called."""

    method: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class OfferSnapshot:
    snapshot: Snapshot
    app_hash: bytes


class LoadChunk(NamedTuple):
    height: int
    format: int
    chunk: int


@dataclass(frozen=True, slots=True)
class ApplyChunk:
    index: int
    chunk: bytes
    sender: str


@dataclass(frozen=True, slots=True)
class Method:
    """How the value of a call, and of its answer, is written and read."""

    request_to: Callable[[Any], Any]
    request_from: Callable[[Any], Any]
    response_to: Callable[[Any], Any]
    response_from: Callable[[Any, ConsensusParams], Any]


def _info_from(m: pb.RequestInfo) -> InfoRequest:
    return InfoRequest(m.version, m.block_version, m.p2p_version, m.abci_version)


def _info_to(one: InfoRequest) -> pb.RequestInfo:
    return pb.RequestInfo(
        version=one.version, block_version=one.block_version, p2p_version=one.p2p_version, abci_version=one.abci_version
    )


def _told_to(one: InfoResponse) -> pb.ResponseInfo:
    return pb.ResponseInfo(
        data=one.data, version=one.version, app_version=one.app_version, last_block_height=one.last_block_height,
        last_block_app_hash=one.last_block_app_hash,
    )  # fmt: skip


def _told_from(m: pb.ResponseInfo, params: ConsensusParams) -> InfoResponse:
    if m.last_block_height < 0:
        raise BadMessage(f"info: last_block_height is {m.last_block_height}; allowed: 0 or more")
    return InfoResponse(m.data, m.version, m.app_version, m.last_block_height, m.last_block_app_hash)


def _init_to(one: InitChainRequest) -> pb.RequestInitChain:
    return pb.RequestInitChain(
        time=timestamp_proto(one.time_ns), chain_id=one.chain_id, consensus_params=one.consensus_params.to_proto(),
        validators=updates_to(one.validators), app_state_bytes=one.app_state_bytes, initial_height=one.initial_height,
    )  # fmt: skip


def _init_from(m: pb.RequestInitChain) -> InitChainRequest:
    return InitChainRequest(
        read_timestamp(m, "time"), m.chain_id, NO_PARAMS.updated(m.consensus_params), updates_from(m.validators),
        m.app_state_bytes, m.initial_height,
    )  # fmt: skip


def _began_to(one: InitChainResponse) -> pb.ResponseInitChain:
    params = None if one.consensus_params is None else one.consensus_params.to_proto()
    return pb.ResponseInitChain(
        consensus_params=params, validators=updates_to(one.validators), app_hash=one.app_hash
    )  # fmt: skip


def _began_from(m: pb.ResponseInitChain, params: ConsensusParams) -> InitChainResponse:
    new = params.updated(m.consensus_params) if m.HasField("consensus_params") else None
    return InitChainResponse(m.app_hash, new, updates_from(m.validators))


def _query_to(one: QueryRequest) -> pb.RequestQuery:
    return pb.RequestQuery(data=one.data, path=one.path, height=one.height, prove=one.prove)


def _query_from(m: pb.RequestQuery) -> QueryRequest:
    return QueryRequest(m.path, m.data, m.height, m.prove)


def _found_to(one: QueryResponse) -> pb.ResponseQuery:
    return pb.ResponseQuery(
        code=one.code, log=one.log, index=one.index, key=one.key, value=one.value, height=one.height,
        proof_ops=proof_to(one.proof_ops) if one.proof_ops else None, codespace=one.codespace,
    )  # fmt: skip


def _found_from(m: pb.ResponseQuery, params: ConsensusParams) -> QueryResponse:
    return QueryResponse(m.code, m.log, m.codespace, m.index, m.key, m.value, proof_from(m.proof_ops), m.height)


def _check_to(one: CheckTxRequest) -> pb.RequestCheckTx:
    return pb.RequestCheckTx(tx=one.tx, type=pb.CheckTxType.Name(one.type))


def _check_from(m: pb.RequestCheckTx) -> CheckTxRequest:
    return CheckTxRequest(m.tx, enum_of(CheckTxType, m.type, "the type of a check"))


def _checked_to(one: CheckTxResponse) -> pb.ResponseCheckTx:
    return pb.ResponseCheckTx(code=one.code, log=one.log, gas_wanted=one.gas_wanted, codespace=one.codespace)


def _checked_from(m: pb.ResponseCheckTx, params: ConsensusParams) -> CheckTxResponse:
    return CheckTxResponse(m.code, m.log, m.codespace, m.gas_wanted)


def _verify_to(one: VerifyVoteExtensionRequest) -> pb.RequestVerifyVoteExtension:
    return pb.RequestVerifyVoteExtension(
        hash=one.hash, validator_address=one.validator_address, height=one.height, vote_extension=one.vote_extension
    )


def _verify_from(m: pb.RequestVerifyVoteExtension) -> VerifyVoteExtensionRequest:
    return VerifyVoteExtensionRequest(m.hash, m.validator_address, m.height, m.vote_extension)


def _listed_from(m: pb.ResponseListSnapshots, params: ConsensusParams) -> tuple[Snapshot, ...]:
    return tuple([snapshot_from(one) for one in m.snapshots])


def _applied_to(one: ApplyChunkResponse) -> pb.ResponseApplySnapshotChunk:
    name = pb.ResponseApplySnapshotChunk.Result.Name(one.result)
    return pb.ResponseApplySnapshotChunk(
        result=name, refetch_chunks=one.refetch_chunks, reject_senders=one.reject_senders
    )  # fmt: skip


def _applied_from(m: pb.ResponseApplySnapshotChunk, params: ConsensusParams) -> ApplyChunkResponse:
    result = enum_of(ApplyChunkResult, m.result, "the result of a chunk")
    return ApplyChunkResponse(result, tuple(m.refetch_chunks), tuple(m.reject_senders))


def _offered_to(one: OfferSnapshotResult) -> pb.ResponseOfferSnapshot:
    name = pb.ResponseOfferSnapshot.Result.Name(one)
    return pb.ResponseOfferSnapshot(result=name)


METHODS: Final[dict[str, Method]] = {
    "echo": Method(
        lambda text: pb.RequestEcho(message=text), lambda m: m.message,
        lambda text: pb.ResponseEcho(message=text), lambda m, params: m.message,
    ),
    "flush": Method(
        lambda nothing: pb.RequestFlush(), lambda m: None, lambda nothing: pb.ResponseFlush(), lambda m, params: None
    ),
    "info": Method(_info_to, _info_from, _told_to, _told_from),
    "init_chain": Method(_init_to, _init_from, _began_to, _began_from),
    "query": Method(_query_to, _query_from, _found_to, _found_from),
    "check_tx": Method(_check_to, _check_from, _checked_to, _checked_from),
    "commit": Method(
        lambda nothing: pb.RequestCommit(), lambda m: None,
        lambda one: pb.ResponseCommit(retain_height=one.retain_height),
        lambda m, params: CommitResponse(m.retain_height),
    ),
    "list_snapshots": Method(
        lambda nothing: pb.RequestListSnapshots(), lambda m: None,
        lambda found: pb.ResponseListSnapshots(snapshots=[snapshot_to(one) for one in found]), _listed_from,
    ),
    "offer_snapshot": Method(
        lambda one: pb.RequestOfferSnapshot(snapshot=snapshot_to(one.snapshot), app_hash=one.app_hash),
        lambda m: OfferSnapshot(snapshot_from(m.snapshot), m.app_hash), _offered_to,
        lambda m, params: enum_of(OfferSnapshotResult, m.result, "the answer to a snapshot"),
    ),
    "load_snapshot_chunk": Method(
        lambda one: pb.RequestLoadSnapshotChunk(height=one.height, format=one.format, chunk=one.chunk),
        lambda m: LoadChunk(m.height, m.format, m.chunk),
        lambda chunk: pb.ResponseLoadSnapshotChunk(chunk=chunk), lambda m, params: m.chunk,
    ),
    "apply_snapshot_chunk": Method(
        lambda one: pb.RequestApplySnapshotChunk(index=one.index, chunk=one.chunk, sender=one.sender),
        lambda m: ApplyChunk(m.index, m.chunk, m.sender), _applied_to, _applied_from,
    ),
    "prepare_proposal": Method(
        prepare_to, prepare_from, lambda one: pb.ResponsePrepareProposal(txs=one.txs),
        lambda m, params: PrepareProposalResponse(tuple(m.txs)),
    ),
    "process_proposal": Method(process_to, process_from, process_response_to, process_response_from),
    "extend_vote": Method(
        extend_to, extend_from, lambda extension: pb.ResponseExtendVote(vote_extension=extension),
        lambda m, params: m.vote_extension,
    ),
    "verify_vote_extension": Method(
        _verify_to, _verify_from, lambda accepted: pb.ResponseVerifyVoteExtension(status=verify_status(accepted)),
        lambda m, params: m.status == VERIFY_ACCEPT,
    ),
    "finalize_block": Method(finalize_to, finalize_from, finalize_response_to, finalize_response_from),
}  # fmt: skip
FINALIZED_TAG: Final = b"\xaa\x01"  # field 21 of Response, of bytes
EXCEPTION: Final = "exception"  # an answer alone; its value is a text


def encode_request(call: Call) -> bytes:
    message = pb.Request()
    getattr(message, call.method).CopyFrom(METHODS[call.method].request_to(call.value))
    getattr(message, call.method).SetInParent()
    return message.SerializeToString()


def decode_request(data: bytes, *, bytes_max: int = MESSAGE_BYTES_MAX) -> Call:
    """Raises BadMessage, Malformed."""
    message = parse(pb.Request, data, bytes_max=bytes_max, what="a request")
    name = message.WhichOneof("value")
    method = METHODS.get(name or "")
    if name is None or method is None:
        raise BadMessage(f"a request of {name or 'no method that is known'}; known: {', '.join(METHODS)}")
    return Call(name, method.request_from(getattr(message, name)))


def encode_response(call: Call) -> bytes:
    """call: the method that was asked, or EXCEPTION, and its answer."""
    message = pb.Response()
    if call.method == EXCEPTION:
        message.exception.error = call.value
        message.exception.SetInParent()
    else:
        getattr(message, call.method).CopyFrom(METHODS[call.method].response_to(call.value))
        getattr(message, call.method).SetInParent()
    return message.SerializeToString()


def finalized(response: bytes) -> bytes:
    """A response to finalize_block, of that message's own bytes: a large one is encoded in slices."""
    return message_field(FINALIZED_TAG, response)


def decode_response(data: bytes, *, params: ConsensusParams = NO_PARAMS, bytes_max: int = MESSAGE_BYTES_MAX) -> Call:
    """params: in force, to which the answer's sections are changes. Raises BadMessage, Malformed."""
    message = parse(pb.Response, data, bytes_max=bytes_max, what="a response")
    name = message.WhichOneof("value")
    if name == EXCEPTION:
        return Call(EXCEPTION, message.exception.error)
    method = METHODS.get(name or "")
    if name is None or method is None:
        raise BadMessage(f"a response to {name or 'no method that is known'}; known: {', '.join(METHODS)}")
    return Call(name, method.response_from(getattr(message, name), params))
