"""What the driver takes in, one after the other, and how each stands in the write-ahead log.

A majority claimed by a peer is logged too (CometBFT does not): it can make an equivocator's vote count, so a replay
without it could forget a lock.
Source: CometBFT v0.38, spec/consensus/wal.md, consensus/wal.go and msgs.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from consensus.core.events import Built, Elapsed, Step, VoteKind
from consensus.formats.timestamps import duration_proto, encode_timestamp, timestamp_ns
from consensus.formats.units import NS_PER_MS, NS_PER_S
from consensus.formats.wire import bytes_field, int_field, message_field
from consensus.types.block import Block
from consensus.types.ids import NIL_BLOCK_ID, BlockID
from consensus.types.parts import Part
from consensus.types.vote import Proposal, Vote
from proto.tendermint.consensus import types_pb2, wal_pb2

WIRE_STEP_NAMES: Final = {
    1: "RoundStepNewHeight",
    2: "RoundStepNewRound",
    3: "RoundStepPropose",
    4: "RoundStepPrevote",
    5: "RoundStepPrevoteWait",
    6: "RoundStepPrecommit",
    7: "RoundStepPrecommitWait",
    8: "RoundStepCommit",
}
WIRE_STEPS: Final = {name: step for step, name in WIRE_STEP_NAMES.items()}
# A time-out is logged under the wire step that it belongs to, and read back from it.
TIMEOUT_WIRE_STEPS: Final = {Step.NEW_HEIGHT: 1, Step.NEW_ROUND: 2, Step.PROPOSE: 3, Step.PREVOTE: 5, Step.PRECOMMIT: 7}
TIMEOUT_STEPS: Final = {wire: step for step, wire in TIMEOUT_WIRE_STEPS.items()}


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """The application's answer to a wish for a proposal, as a block."""

    built: Built
    block: Block


@dataclass(frozen=True, slots=True)
class ProposalIn:
    proposal: Proposal
    peer_id: str  # "": ours, here and below


@dataclass(frozen=True, slots=True)
class PartIn:
    height: int
    round: int
    part: Part
    peer_id: str


@dataclass(frozen=True, slots=True)
class VoteIn:
    vote: Vote
    peer_id: str


@dataclass(frozen=True, slots=True)
class MajorityIn:
    kind: VoteKind
    height: int
    round: int
    block_id: BlockID | None  # None: nil
    peer_id: str


Message: TypeAlias = ProposalIn | PartIn | VoteIn | MajorityIn


@dataclass(frozen=True, slots=True)
class TimedOut:
    elapsed: Elapsed
    after_ms: int


@dataclass(frozen=True, slots=True)
class EnteredStep:
    height: int
    round: int
    wire_step: int


@dataclass(frozen=True, slots=True)
class EndedHeight:
    height: int


Logged: TypeAlias = Message | TimedOut | EnteredStep | EndedHeight


def _message_bytes(message: Message) -> bytes:
    """A consensus Message: one field of the oneof, which holds its message."""
    match message:
        case ProposalIn(proposal):
            return message_field(b"\x1a", message_field(b"\x0a", proposal.encode()))
        case PartIn(height, round, part):
            body = int_field(b"\x08", height) + int_field(b"\x10", round) + message_field(b"\x1a", part.encode())
            return message_field(b"\x2a", body)
        case VoteIn(vote):
            return message_field(b"\x32", message_field(b"\x0a", vote.encode()))
        case MajorityIn(kind, height, round, block_id):
            body = int_field(b"\x08", height) + int_field(b"\x10", round) + int_field(b"\x18", kind)
            return message_field(b"\x42", body + message_field(b"\x22", (block_id or NIL_BLOCK_ID).encode()))


def encode_logged(logged: Logged, time_ns: int) -> bytes:
    """The TimedWALMessage's protobuf bytes."""
    match logged:
        case TimedOut(elapsed, after_ms):
            body = message_field(b"\x0a", duration_proto(after_ms * NS_PER_MS).SerializeToString())
            body += int_field(b"\x10", elapsed.height) + int_field(b"\x18", elapsed.round)
            message = message_field(b"\x1a", body + int_field(b"\x20", TIMEOUT_WIRE_STEPS[elapsed.step]))
        case EnteredStep(height, round, wire_step):
            body = int_field(b"\x08", height) + int_field(b"\x10", round)
            message = message_field(b"\x0a", body + bytes_field(b"\x1a", WIRE_STEP_NAMES[wire_step].encode()))
        case EndedHeight(height):
            message = message_field(b"\x22", int_field(b"\x08", height))
        case _:
            body = message_field(b"\x0a", _message_bytes(logged)) + bytes_field(b"\x12", logged.peer_id.encode())
            message = message_field(b"\x12", body)
    return message_field(b"\x0a", encode_timestamp(time_ns)) + message_field(b"\x12", message)


def decode_logged(record: wal_pb2.TimedWALMessage) -> Logged | None:
    """None for a kind of message that this engine does not log. Raises InvalidData for content out of range."""
    message = record.msg
    match message.WhichOneof("sum"):
        case "msg_info":
            return _decode_message(message.msg_info.msg, message.msg_info.peer_id)
        case "timeout_info":
            info = message.timeout_info
            after_ms = (info.duration.seconds * NS_PER_S + info.duration.nanos) // NS_PER_MS
            step = TIMEOUT_STEPS.get(info.step)
            return None if step is None else TimedOut(Elapsed(step, info.height, info.round), after_ms)
        case "event_data_round_state":
            state = message.event_data_round_state
            return EnteredStep(state.height, state.round, WIRE_STEPS.get(state.step, 1))
        case "end_height":
            return EndedHeight(message.end_height.height)
    return None


def _decode_message(message: types_pb2.Message, peer_id: str) -> Message | None:
    match message.WhichOneof("sum"):
        case "proposal":
            return ProposalIn(Proposal.from_proto(message.proposal.proposal), peer_id)
        case "block_part":
            part = message.block_part
            return PartIn(part.height, part.round, Part.from_proto(part.part), peer_id)
        case "vote":
            return VoteIn(Vote.from_proto(message.vote.vote), peer_id)
        case "vote_set_maj23":
            claim = message.vote_set_maj23
            block_id = BlockID.from_proto(claim.block_id)
            value = None if block_id.is_zero else block_id
            return MajorityIn(VoteKind(claim.type), claim.height, claim.round, value, peer_id)
    return None


def logged_time_ns(record: wal_pb2.TimedWALMessage) -> int:
    """When the record was written. Raises Malformed."""
    return timestamp_ns(record.time)
