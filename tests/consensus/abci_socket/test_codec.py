"""ABCI's messages there and back, and what is no message."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.abci.interface import (
    ApplyChunkResponse,
    ApplyChunkResult,
    BlockRequest,
    CheckTxRequest,
    CheckTxResponse,
    CheckTxType,
    CommitInfo,
    CommitResponse,
    ExtendedCommitInfo,
    ExtendedVoteInfo,
    ExtendVoteRequest,
    FinalizeBlockResponse,
    InfoRequest,
    InfoResponse,
    InitChainRequest,
    InitChainResponse,
    Misbehavior,
    MisbehaviorType,
    OfferSnapshotResult,
    PrepareProposalRequest,
    PrepareProposalResponse,
    ProcessProposalResponse,
    ProofOp,
    QueryRequest,
    QueryResponse,
    Snapshot,
    ValidatorUpdate,
    VerifyVoteExtensionRequest,
    VoteInfo,
)
from consensus.abci_socket.codec import (
    EXCEPTION,
    METHODS,
    ApplyChunk,
    Call,
    LoadChunk,
    OfferSnapshot,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    finalized,
)
from consensus.formats.errors import InvalidData
from consensus.formats.timestamps import TIME_NS_MAX, ZERO_TIME_NS
from consensus.formats.wire import INT64_MAX, INT64_MIN
from consensus.state.results import Event, EventAttribute, ExecTxResult
from consensus.stores.state_store import encode_response as encode_finalized
from consensus.types.params import ABCIParams, BlockParams, ConsensusParams, EvidenceParams, VersionParams
from crypto.keys import Ed25519PubKey
from proto.tendermint.abci import types_pb2 as pb

RECORDED = json.loads((Path(__file__).parent / "vectors" / "cometbft-0.38.26.json").read_text())
INT64 = st.integers(INT64_MIN, INT64_MAX)
UINT32, UINT64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
HEIGHT, POWER = st.integers(0, INT64_MAX), st.integers(0, INT64_MAX)
BYTES, TEXT = st.binary(max_size=40), st.text(max_size=20)
TXS = st.lists(BYTES, max_size=4).map(tuple)
TIME = st.integers(ZERO_TIME_NS, TIME_NS_MAX)
FLAG = st.sampled_from((1, 2, 3))
ROUND = st.integers(0, 2**31 - 1)
KEYS = st.binary(min_size=32, max_size=32).map(Ed25519PubKey)
UPDATES = st.lists(st.builds(ValidatorUpdate, KEYS, POWER), max_size=3).map(tuple)
COMMIT = st.builds(CommitInfo, ROUND, st.lists(st.builds(VoteInfo, BYTES, POWER, FLAG), max_size=3).map(tuple))
EXTENDED = st.builds(
    ExtendedCommitInfo,
    ROUND,
    st.lists(st.builds(ExtendedVoteInfo, BYTES, POWER, FLAG, BYTES, BYTES), max_size=3).map(tuple),
)
MISBEHAVIOR = st.lists(
    st.builds(Misbehavior, st.sampled_from(MisbehaviorType), BYTES, POWER, HEIGHT, TIME, POWER), max_size=2
).map(tuple)
PARAMS = st.builds(
    ConsensusParams,
    block=st.builds(BlockParams, INT64, INT64),
    evidence=st.builds(EvidenceParams, HEIGHT, HEIGHT, HEIGHT),
    version=st.builds(VersionParams, UINT64),
    abci=st.builds(ABCIParams, HEIGHT),
)
EVENTS = st.lists(
    st.builds(Event, TEXT, st.lists(st.builds(EventAttribute, TEXT, TEXT, st.booleans()), max_size=2).map(tuple)),
    max_size=2,
).map(tuple)
RESULT = st.builds(ExecTxResult, UINT32, BYTES, TEXT, TEXT, INT64, INT64, EVENTS, TEXT)
SNAPSHOT = st.builds(Snapshot, UINT64, UINT32, UINT32, BYTES, BYTES)
BLOCK = st.builds(BlockRequest, TXS, COMMIT, MISBEHAVIOR, BYTES, HEIGHT, TIME, BYTES, BYTES)
NOTHING: st.SearchStrategy[Any] = st.none()

REQUESTS: dict[str, st.SearchStrategy[Any]] = {
    "echo": TEXT,
    "flush": NOTHING,
    "info": st.builds(InfoRequest, TEXT, UINT64, UINT64, TEXT),
    "init_chain": st.builds(InitChainRequest, TIME, TEXT, PARAMS, UPDATES, BYTES, HEIGHT),
    "query": st.builds(QueryRequest, TEXT, BYTES, INT64, st.booleans()),
    "check_tx": st.builds(CheckTxRequest, BYTES, st.sampled_from(CheckTxType)),
    "commit": NOTHING,
    "list_snapshots": NOTHING,
    "offer_snapshot": st.builds(OfferSnapshot, SNAPSHOT, BYTES),
    "load_snapshot_chunk": st.builds(LoadChunk, UINT64, UINT32, UINT32),
    "apply_snapshot_chunk": st.builds(ApplyChunk, UINT32, BYTES, TEXT),
    "prepare_proposal": st.builds(
        PrepareProposalRequest, INT64, TXS, EXTENDED, MISBEHAVIOR, HEIGHT, TIME, BYTES, BYTES
    ),
    "process_proposal": BLOCK,
    "extend_vote": st.builds(ExtendVoteRequest, BYTES, HEIGHT, TIME, TXS, COMMIT, MISBEHAVIOR, BYTES, BYTES),
    "verify_vote_extension": st.builds(VerifyVoteExtensionRequest, BYTES, BYTES, HEIGHT, BYTES),
    "finalize_block": BLOCK,
}
RESPONSES: dict[str, st.SearchStrategy[Any]] = {
    EXCEPTION: TEXT,
    "echo": TEXT,
    "flush": NOTHING,
    "info": st.builds(InfoResponse, TEXT, TEXT, UINT64, HEIGHT, BYTES),
    "init_chain": st.builds(InitChainResponse, BYTES, st.none() | PARAMS, UPDATES),
    "query": st.builds(
        QueryResponse, UINT32, TEXT, TEXT, INT64, BYTES, BYTES,
        st.lists(st.builds(ProofOp, TEXT, BYTES, BYTES), max_size=2).map(tuple), INT64,
    ),
    "check_tx": st.tuples(UINT32, TEXT, TEXT, INT64).map(lambda told: CheckTxResponse(*told)),
    "commit": st.builds(CommitResponse, INT64),
    "list_snapshots": st.lists(SNAPSHOT, max_size=3).map(tuple),
    "offer_snapshot": st.sampled_from(OfferSnapshotResult),
    "load_snapshot_chunk": BYTES,
    "apply_snapshot_chunk": st.builds(
        ApplyChunkResponse, st.sampled_from(ApplyChunkResult), st.lists(UINT32, max_size=2).map(tuple),
        st.lists(TEXT, max_size=2).map(tuple),
    ),
    "prepare_proposal": st.builds(PrepareProposalResponse, TXS),
    "process_proposal": st.builds(ProcessProposalResponse, st.booleans()),
    "extend_vote": BYTES,
    "verify_vote_extension": st.booleans(),
    "finalize_block": st.builds(
        FinalizeBlockResponse, st.lists(RESULT, max_size=3).map(tuple), BYTES, UPDATES, st.none() | PARAMS,
        events=EVENTS,
    ),
}  # fmt: skip


def calls(values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Call]:
    return st.one_of([st.builds(Call, st.just(name), value) for name, value in values.items()])


def test_every_method_is_tried() -> None:
    assert REQUESTS.keys() == METHODS.keys()
    assert RESPONSES.keys() == METHODS.keys() | {EXCEPTION}
    of_the_schema = {field.name for field in pb.Request.DESCRIPTOR.oneofs_by_name["value"].fields}
    assert of_the_schema - METHODS.keys() == {"insert_tx", "reap_txs"}  # of no engine that ours meets


@given(calls(REQUESTS))
def test_a_request_survives(call: Call) -> None:
    assert decode_request(encode_request(call)) == call


@given(calls(RESPONSES))
def test_a_response_survives(call: Call) -> None:
    assert decode_response(encode_response(call)) == call


@given(RESPONSES["finalize_block"])
def test_a_block_encoded_in_slices_is_the_same(response: FinalizeBlockResponse) -> None:
    steps = encode_finalized(response)
    with pytest.raises(StopIteration) as done:
        while True:
            next(steps)
    assert decode_response(finalized(done.value.value)) == Call("finalize_block", response)


@given(st.binary(max_size=200))
def test_bytes_are_a_message_or_are_refused(data: bytes) -> None:
    for decode in (decode_request, decode_response):
        with contextlib.suppress(InvalidData):
            found: Call = decode(data)  # type: ignore[operator]
            assert found.method in METHODS or found.method == EXCEPTION


def request_of(**fields: Any) -> bytes:
    return pb.Request(**fields).SerializeToString()


@pytest.mark.parametrize(
    ("data", "decode", "why"),
    [
        pytest.param(b"", decode_request, "no method that is known", id="nothing asked"),
        pytest.param(request_of(insert_tx=pb.RequestInsertTx()), decode_request, "insert_tx", id="a later method"),
        pytest.param(b"\xff\xff", decode_request, "not protobuf", id="no protobuf"),
        pytest.param(request_of(check_tx={"type": 7}), decode_request, "type of a check is 7", id="a check's type"),
        pytest.param(
            request_of(finalize_block={"misbehavior": [{"type": 3}]}), decode_request, "misbehavior is 3", id="offence"
        ),
        pytest.param(
            request_of(process_proposal={"proposed_last_commit": {"votes": [{}]}}), decode_request,
            "block_id_flag is 0", id="a vote's flag",
        ),
        pytest.param(
            request_of(init_chain={"validators": [{"power": 1}]}), decode_request, "a validator update", id="no key"
        ),
        pytest.param(
            request_of(finalize_block={"time": {"seconds": 2**62}}), decode_request, "outside years", id="a time"
        ),
        pytest.param(b"", decode_response, "no method that is known", id="nothing answered"),
        pytest.param(
            pb.Response(process_proposal=pb.ResponseProcessProposal()).SerializeToString(), decode_response,
            "status is 0", id="no judgement",
        ),
        pytest.param(
            pb.Response(info=pb.ResponseInfo(last_block_height=-1)).SerializeToString(), decode_response,
            "last_block_height is -1", id="a height",
        ),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(data: bytes, decode: Callable[[bytes], Call], why: str) -> None:
    with pytest.raises(InvalidData, match=why):
        decode(data)


@pytest.mark.parametrize("method", sorted(RECORDED["requests"]))
def test_what_cometbft_asked_is_written_again_byte_for_byte(method: str) -> None:
    for text in RECORDED["requests"][method]:
        call = decode_request(bytes.fromhex(text))
        assert call.method == method
        assert encode_request(call).hex() == text


@pytest.mark.parametrize("method", sorted(RECORDED["responses"]))
def test_what_its_key_value_store_answered_is_written_again_byte_for_byte(method: str) -> None:
    for text in RECORDED["responses"][method]:
        call = decode_response(bytes.fromhex(text))
        assert call.method == method
        assert encode_response(call).hex() == text


def test_an_update_of_parameters_changes_the_sections_that_it_has() -> None:
    """CometBFT: a section that an application leaves out stays as it is."""
    message = pb.Response(finalize_block=pb.ResponseFinalizeBlock(app_hash=b"h"))
    message.finalize_block.consensus_param_updates.version.app = 5
    now = ConsensusParams(block=BlockParams(1_000, 7))
    found = decode_response(message.SerializeToString(), params=now).value.consensus_param_updates
    assert found == ConsensusParams(block=BlockParams(1_000, 7), version=VersionParams(5))


def test_a_message_has_a_limit() -> None:
    with pytest.raises(InvalidData, match="at most 10"):
        decode_request(encode_request(Call("echo", "a" * 20)), bytes_max=10)
