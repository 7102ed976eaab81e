"""What requests and responses are made of, to and from protobuf. Decoding raises BadMessage or Malformed.

Source: CometBFT v0.38, proto/tendermint/abci/types.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import TypeVar

from consensus.abci.interface import (
    CommitInfo,
    ExtendedCommitInfo,
    ExtendedVoteInfo,
    Misbehavior,
    MisbehaviorType,
    ProofOp,
    Snapshot,
    ValidatorUpdate,
    VoteInfo,
)
from consensus.abci_socket.errors import BadMessage
from consensus.formats.timestamps import read_timestamp, timestamp_proto
from crypto.errors import InvalidKey
from crypto.keys import pub_key_from_proto, pub_key_to_proto
from proto.tendermint.abci import types_pb2 as pb
from proto.tendermint.crypto import proof_pb2
from proto.tendermint.types import validator_pb2 as validators_pb

E = TypeVar("E", bound=IntEnum)
FLAGS = (1, 2, 3)  # absent, commit, nil


def enum_of(kind: type[E], value: int, what: str) -> E:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(str(int(one)) for one in kind)
        raise BadMessage(f"{what} is {value}; allowed: {allowed}") from None


def updates_to(updates: Iterable[ValidatorUpdate]) -> list[pb.ValidatorUpdate]:
    return [pb.ValidatorUpdate(pub_key=pub_key_to_proto(one.pub_key), power=one.power) for one in updates]


def updates_from(messages: Iterable[pb.ValidatorUpdate]) -> tuple[ValidatorUpdate, ...]:
    try:
        return tuple([ValidatorUpdate(pub_key_from_proto(one.pub_key), one.power) for one in messages])
    except InvalidKey as error:
        raise BadMessage(f"a validator update: {error}") from error


def _flag(value: int) -> int:
    if value not in FLAGS:
        raise BadMessage(f"block_id_flag is {value}; allowed: 1 (absent), 2 (commit), 3 (nil)")
    return value


def _flag_to(flag: int) -> validators_pb.BlockIDFlag:
    return validators_pb.BlockIDFlag.Name(flag)  # type: ignore[return-value]  # a name serves where a number does


def commit_to(info: CommitInfo) -> pb.CommitInfo:
    votes = [
        pb.VoteInfo(validator=pb.Validator(address=v.address, power=v.power), block_id_flag=_flag_to(v.block_id_flag))
        for v in info.votes
    ]
    return pb.CommitInfo(round=info.round, votes=votes)


def commit_from(message: pb.CommitInfo) -> CommitInfo:
    votes = [VoteInfo(v.validator.address, v.validator.power, _flag(v.block_id_flag)) for v in message.votes]
    return CommitInfo(message.round, tuple(votes))


def extended_commit_to(info: ExtendedCommitInfo) -> pb.ExtendedCommitInfo:
    votes = [
        pb.ExtendedVoteInfo(
            validator=pb.Validator(address=v.address, power=v.power), block_id_flag=_flag_to(v.block_id_flag),
            vote_extension=v.vote_extension, extension_signature=v.extension_signature,
        )
        for v in info.votes
    ]  # fmt: skip
    return pb.ExtendedCommitInfo(round=info.round, votes=votes)


def extended_commit_from(message: pb.ExtendedCommitInfo) -> ExtendedCommitInfo:
    votes = [
        ExtendedVoteInfo(
            v.validator.address, v.validator.power, _flag(v.block_id_flag), v.vote_extension, v.extension_signature
        )
        for v in message.votes
    ]
    return ExtendedCommitInfo(message.round, tuple(votes))


def misbehavior_to(items: Iterable[Misbehavior]) -> list[pb.Misbehavior]:
    return [
        pb.Misbehavior(
            type=pb.MisbehaviorType.Name(one.type), validator=pb.Validator(address=one.address, power=one.power),
            height=one.height, time=timestamp_proto(one.time_ns), total_voting_power=one.total_voting_power,
        )
        for one in items
    ]  # fmt: skip


def misbehavior_from(messages: Sequence[pb.Misbehavior]) -> tuple[Misbehavior, ...]:
    return tuple([
        Misbehavior(
            enum_of(MisbehaviorType, one.type, "the type of a misbehavior"), one.validator.address,
            one.validator.power, one.height, read_timestamp(one, "time"), one.total_voting_power,
        )
        for one in messages
    ])  # fmt: skip


def snapshot_to(one: Snapshot) -> pb.Snapshot:
    return pb.Snapshot(
        height=one.height, format=one.format, chunks=one.chunks, hash=one.hash, metadata=one.metadata
    )  # fmt: skip


def snapshot_from(one: pb.Snapshot) -> Snapshot:
    return Snapshot(one.height, one.format, one.chunks, one.hash, one.metadata)


def proof_to(ops: Iterable[ProofOp]) -> proof_pb2.ProofOps:
    return proof_pb2.ProofOps(ops=[proof_pb2.ProofOp(type=op.type, key=op.key, data=op.data) for op in ops])


def proof_from(message: proof_pb2.ProofOps) -> tuple[ProofOp, ...]:
    return tuple([ProofOp(op.type, op.key, op.data) for op in message.ops])
