"""The calls about blocks and votes, to and from protobuf. Decoding raises BadMessage or Malformed.

Source: CometBFT v0.38, proto/tendermint/abci/types.proto.
"""

from __future__ import annotations

from typing import Any, Final

from consensus.abci.interface import (
    BlockRequest,
    ExtendVoteRequest,
    FinalizeBlockResponse,
    PrepareProposalRequest,
    ProcessProposalResponse,
)
from consensus.abci_socket.errors import BadMessage
from consensus.abci_socket.values import (
    commit_from,
    commit_to,
    extended_commit_from,
    extended_commit_to,
    misbehavior_from,
    misbehavior_to,
    updates_from,
    updates_to,
)
from consensus.formats.timestamps import read_timestamp, timestamp_proto
from consensus.state.results import Event, ExecTxResult
from consensus.types.params import ConsensusParams
from proto.tendermint.abci import types_pb2 as pb

VERIFY_ACCEPT: Final = 1  # of VerifyStatus; 2 rejects
ACCEPT, REJECT = 1, 2  # of ProposalStatus


def prepare_to(one: PrepareProposalRequest) -> pb.RequestPrepareProposal:
    return pb.RequestPrepareProposal(
        max_tx_bytes=one.max_tx_bytes, txs=one.txs, local_last_commit=extended_commit_to(one.local_last_commit),
        misbehavior=misbehavior_to(one.misbehavior), height=one.height, time=timestamp_proto(one.time_ns),
        next_validators_hash=one.next_validators_hash, proposer_address=one.proposer_address,
    )  # fmt: skip


def prepare_from(m: pb.RequestPrepareProposal) -> PrepareProposalRequest:
    return PrepareProposalRequest(
        m.max_tx_bytes, tuple(m.txs), extended_commit_from(m.local_last_commit), misbehavior_from(m.misbehavior),
        m.height, read_timestamp(m, "time"), m.next_validators_hash, m.proposer_address,
    )  # fmt: skip


def _block_fields(one: BlockRequest | ExtendVoteRequest) -> dict[str, Any]:
    return {
        "txs": one.txs, "misbehavior": misbehavior_to(one.misbehavior), "hash": one.hash, "height": one.height,
        "time": timestamp_proto(one.time_ns), "next_validators_hash": one.next_validators_hash,
        "proposer_address": one.proposer_address,
    }  # fmt: skip


def _block_from(m: pb.RequestProcessProposal | pb.RequestFinalizeBlock, commit: pb.CommitInfo) -> BlockRequest:
    return BlockRequest(
        tuple(m.txs), commit_from(commit), misbehavior_from(m.misbehavior), m.hash, m.height,
        read_timestamp(m, "time"), m.next_validators_hash, m.proposer_address,
    )  # fmt: skip


def process_to(one: BlockRequest) -> pb.RequestProcessProposal:
    return pb.RequestProcessProposal(proposed_last_commit=commit_to(one.last_commit), **_block_fields(one))


def process_from(m: pb.RequestProcessProposal) -> BlockRequest:
    return _block_from(m, m.proposed_last_commit)


def finalize_to(one: BlockRequest) -> pb.RequestFinalizeBlock:
    return pb.RequestFinalizeBlock(decided_last_commit=commit_to(one.last_commit), **_block_fields(one))


def finalize_from(m: pb.RequestFinalizeBlock) -> BlockRequest:
    return _block_from(m, m.decided_last_commit)


def process_response_to(one: ProcessProposalResponse) -> pb.ResponseProcessProposal:
    """Why not has no field: it stays in the application's log."""
    status = pb.ProposalStatus.Name(ACCEPT if one.accepted else REJECT)
    return pb.ResponseProcessProposal(status=status)


def process_response_from(m: pb.ResponseProcessProposal, params: ConsensusParams) -> ProcessProposalResponse:
    if m.status not in (ACCEPT, REJECT):
        raise BadMessage(f"process_proposal: status is {m.status}; allowed: {ACCEPT} (accept), {REJECT} (reject)")
    return ProcessProposalResponse(m.status == ACCEPT)


def extend_to(one: ExtendVoteRequest) -> pb.RequestExtendVote:
    return pb.RequestExtendVote(proposed_last_commit=commit_to(one.last_commit), **_block_fields(one))


def extend_from(m: pb.RequestExtendVote) -> ExtendVoteRequest:
    return ExtendVoteRequest(
        m.hash, m.height, read_timestamp(m, "time"), tuple(m.txs), commit_from(m.proposed_last_commit),
        misbehavior_from(m.misbehavior), m.next_validators_hash, m.proposer_address,
    )  # fmt: skip


def verify_status(accepted: bool) -> Any:
    return pb.VerifyStatus.Name(VERIFY_ACCEPT if accepted else 2)


def finalize_response_to(one: FinalizeBlockResponse) -> pb.ResponseFinalizeBlock:
    params = one.consensus_param_updates
    return pb.ResponseFinalizeBlock(
        events=[pb.Event.FromString(event.encode()) for event in one.events],
        tx_results=[result.to_proto() for result in one.tx_results],
        validator_updates=updates_to(one.validator_updates),
        consensus_param_updates=None if params is None else params.to_proto(),
        app_hash=one.app_hash,
    )  # fmt: skip


def finalize_response_from(m: pb.ResponseFinalizeBlock, params: ConsensusParams) -> FinalizeBlockResponse:
    new = params.updated(m.consensus_param_updates) if m.HasField("consensus_param_updates") else None
    return FinalizeBlockResponse(
        tuple([ExecTxResult.from_proto(one) for one in m.tx_results]), m.app_hash, updates_from(m.validator_updates),
        new, events=tuple([Event.from_proto(one) for one in m.events]),
    )  # fmt: skip
