"""The messages of the stock channels 0x20 to 0x23, 0x30, 0x38 and 0x40, typed, with every check that costs the peer.

Decoding checks all that can be said without knowing the chain; what is left is said by the `check_*` functions.
Encodings of what goes to every peer (votes, parts, proposals) are made once: the pieces remember their bytes.
Source: CometBFT v0.38, spec/p2p/legacy-docs/messages; proto/tendermint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from consensus.core.events import VoteKind
from consensus.formats.bits import BITS_MAX, BitArray
from consensus.formats.errors import InvalidData, Malformed
from consensus.formats.units import MIB
from consensus.formats.wire import bytes_field, int_field, message_field, parse
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PARTS_MAX, Part
from consensus.types.vote import Proposal, Vote
from proto.tendermint.blocksync import types_pb2 as sync_pb
from proto.tendermint.consensus import types_pb2 as pb
from proto.tendermint.mempool import types_pb2 as mempool_pb

STATE_CHANNEL: Final = 0x20
DATA_CHANNEL: Final = 0x21
VOTE_CHANNEL: Final = 0x22
VOTE_SET_BITS_CHANNEL: Final = 0x23
MEMPOOL_CHANNEL: Final = 0x30
EVIDENCE_CHANNEL: Final = 0x38
BLOCK_SYNC_CHANNEL: Final = 0x40

CONSENSUS_MESSAGE_BYTES_MAX: Final = MIB  # the channels' limit upstream
BLOCK_SYNC_MESSAGE_BYTES_MAX: Final = 104_857_605  # a block of 100 MiB and its frame
RESPONSE_FIELDS_MAX: Final = 8  # of a block response: two, and what later versions may add
WIRE_STEP_MAX: Final = 8


class InvalidMessage(InvalidData):
    """A peer's message that breaks a rule: it costs the peer."""


# ------------------------------------------------------------------------------------------------ consensus


@dataclass(frozen=True, slots=True)
class NewRoundStep:
    """Where the sender is. seconds_since_start_time may be negative: the height has not started."""

    height: int
    round: int
    step: int
    seconds_since_start_time: int
    last_commit_round: int  # -1 at the initial height

    def encode(self) -> bytes:
        body = (
            int_field(b"\x08", self.height)
            + int_field(b"\x10", self.round)
            + int_field(b"\x18", self.step)
            + int_field(b"\x20", self.seconds_since_start_time)
            + int_field(b"\x28", self.last_commit_round)
        )
        return message_field(b"\x0a", body)


@dataclass(frozen=True, slots=True)
class NewValidBlock:
    """A block with a majority, and which of its parts the sender holds."""

    height: int
    round: int
    header: PartSetHeader
    parts: BitArray
    is_commit: bool

    def encode(self) -> bytes:
        body = (
            int_field(b"\x08", self.height)
            + int_field(b"\x10", self.round)
            + message_field(b"\x1a", self.header.encode())
            + message_field(b"\x22", self.parts.to_proto().SerializeToString())
            + int_field(b"\x28", int(self.is_commit))
        )
        return message_field(b"\x12", body)


@dataclass(frozen=True, slots=True)
class ProposalMessage:
    proposal: Proposal

    def encode(self) -> bytes:
        return message_field(b"\x1a", message_field(b"\x0a", self.proposal.encode()))


@dataclass(frozen=True, slots=True)
class ProposalPol:
    """The prevotes of `pol_round` that the sender holds."""

    height: int
    pol_round: int
    votes: BitArray

    def encode(self) -> bytes:
        body = (
            int_field(b"\x08", self.height)
            + int_field(b"\x10", self.pol_round)
            + message_field(b"\x1a", self.votes.to_proto().SerializeToString())
        )
        return message_field(b"\x22", body)


@dataclass(frozen=True, slots=True)
class BlockPart:
    height: int
    round: int
    part: Part

    def encode(self) -> bytes:
        body = int_field(b"\x08", self.height) + int_field(b"\x10", self.round)
        return message_field(b"\x2a", body + message_field(b"\x1a", self.part.encode()))


@dataclass(frozen=True, slots=True)
class VoteMessage:
    vote: Vote

    def encode(self) -> bytes:
        return message_field(b"\x32", message_field(b"\x0a", self.vote.encode()))


@dataclass(frozen=True, slots=True)
class HasVote:
    height: int
    round: int
    kind: VoteKind
    index: int

    def encode(self) -> bytes:
        body = (
            int_field(b"\x08", self.height)
            + int_field(b"\x10", self.round)
            + int_field(b"\x18", self.kind)
            + int_field(b"\x20", self.index)
        )
        return message_field(b"\x3a", body)


@dataclass(frozen=True, slots=True)
class VoteSetMaj23:
    """The sender has seen +2/3 for `block_id` (zero: nil)."""

    height: int
    round: int
    kind: VoteKind
    block_id: BlockID

    def encode(self) -> bytes:
        return message_field(b"\x42", _vote_set_fields(self))


@dataclass(frozen=True, slots=True)
class VoteSetBits:
    """Whose votes for `block_id` the sender holds. The bit array may have size 0."""

    height: int
    round: int
    kind: VoteKind
    block_id: BlockID
    votes: BitArray

    def encode(self) -> bytes:
        votes = message_field(b"\x2a", self.votes.to_proto().SerializeToString())
        return message_field(b"\x4a", _vote_set_fields(self) + votes)


def _vote_set_fields(message: VoteSetMaj23 | VoteSetBits) -> bytes:
    return (
        int_field(b"\x08", message.height)
        + int_field(b"\x10", message.round)
        + int_field(b"\x18", message.kind)
        + message_field(b"\x22", message.block_id.encode())
    )


ConsensusMessage: TypeAlias = (
    NewRoundStep
    | NewValidBlock
    | ProposalMessage
    | ProposalPol
    | BlockPart
    | VoteMessage
    | HasVote
    | VoteSetMaj23
    | VoteSetBits
)

# Which channel each message belongs to; on another channel of the reactor it is ignored.
CHANNEL_OF: Final[dict[type[ConsensusMessage], int]] = {
    NewRoundStep: STATE_CHANNEL,
    NewValidBlock: STATE_CHANNEL,
    HasVote: STATE_CHANNEL,
    VoteSetMaj23: STATE_CHANNEL,
    ProposalMessage: DATA_CHANNEL,
    ProposalPol: DATA_CHANNEL,
    BlockPart: DATA_CHANNEL,
    VoteMessage: VOTE_CHANNEL,
    VoteSetBits: VOTE_SET_BITS_CHANNEL,
}


def _at(what: str, height: int, round: int) -> None:
    if height < 0 or round < 0:
        raise InvalidMessage(f"{what}: height {height} and round {round} must not be negative")


def _kind(what: str, value: int) -> VoteKind:
    if value not in {1, 2}:
        raise InvalidMessage(f"{what}: type is {value}; allowed: 1 prevote, 2 precommit")
    return VoteKind(value)


def _new_round_step(message: pb.NewRoundStep) -> NewRoundStep:
    _at("NewRoundStep", message.height, message.round)
    if not 1 <= message.step <= WIRE_STEP_MAX:
        raise InvalidMessage(f"NewRoundStep: step is {message.step}; allowed: 1 to {WIRE_STEP_MAX}")
    if message.last_commit_round < -1:
        raise InvalidMessage(f"NewRoundStep: last_commit_round is {message.last_commit_round}, must be -1 or more")
    return NewRoundStep(
        message.height, message.round, message.step, message.seconds_since_start_time, message.last_commit_round
    )


def _new_valid_block(message: pb.NewValidBlock) -> NewValidBlock:
    _at("NewValidBlock", message.height, message.round)
    header = PartSetHeader.from_proto(message.block_part_set_header)
    header.validate()
    parts = BitArray.from_proto(message.block_parts)
    if parts.size != header.total or not 1 <= header.total <= PARTS_MAX:
        raise InvalidMessage(
            f"NewValidBlock: {parts.size} bits for {header.total} parts; they must agree and be 1 to {PARTS_MAX}"
        )
    return NewValidBlock(message.height, message.round, header, parts, message.is_commit)


def _proposal(message: pb.Proposal) -> ProposalMessage:
    proposal = Proposal.from_proto(message.proposal)
    proposal.validate()
    return ProposalMessage(proposal)


def _proposal_pol(message: pb.ProposalPOL) -> ProposalPol:
    _at("ProposalPOL", message.height, message.proposal_pol_round)
    votes = BitArray.from_proto(message.proposal_pol)
    if not votes.size:
        raise InvalidMessage(f"ProposalPOL: a bit array of 0 bits; allowed: 1 to {BITS_MAX}")
    return ProposalPol(message.height, message.proposal_pol_round, votes)


def _block_part(message: pb.BlockPart) -> BlockPart:
    _at("BlockPart", message.height, message.round)
    if message.part.index >= PARTS_MAX:  # else a bitmap of what the peer holds could take half a gigabyte
        raise InvalidMessage(f"BlockPart: index {message.part.index}, at most {PARTS_MAX - 1}")
    return BlockPart(message.height, message.round, Part.from_proto(message.part))


def _vote(message: pb.Vote) -> VoteMessage:
    if not message.HasField("vote"):
        raise InvalidMessage("Vote: the vote is missing")
    vote = Vote.from_proto(message.vote)
    vote.validate()
    return VoteMessage(vote)


def _has_vote(message: pb.HasVote) -> HasVote:
    _at("HasVote", message.height, message.round)
    if message.index < 0:
        raise InvalidMessage(f"HasVote: index {message.index} is negative")
    return HasVote(message.height, message.round, _kind("HasVote", message.type), message.index)


def _vote_set_maj23(message: pb.VoteSetMaj23) -> VoteSetMaj23:
    _at("VoteSetMaj23", message.height, message.round)
    block_id = BlockID.from_proto(message.block_id)
    block_id.validate()
    return VoteSetMaj23(message.height, message.round, _kind("VoteSetMaj23", message.type), block_id)


def _vote_set_bits(message: pb.VoteSetBits) -> VoteSetBits:
    _at("VoteSetBits", message.height, message.round)
    block_id = BlockID.from_proto(message.block_id)
    block_id.validate()
    votes = BitArray.from_proto(message.votes)
    return VoteSetBits(message.height, message.round, _kind("VoteSetBits", message.type), block_id, votes)


def decode_consensus(data: bytes) -> ConsensusMessage:
    """A message of channels 0x20 to 0x23. Raises InvalidData (InvalidMessage and the types' own): drop the peer."""
    message = parse(pb.Message, data, bytes_max=CONSENSUS_MESSAGE_BYTES_MAX, what="consensus message")
    match message.WhichOneof("sum"):
        case "vote":
            return _vote(message.vote)
        case "block_part":
            return _block_part(message.block_part)
        case "has_vote":
            return _has_vote(message.has_vote)
        case "new_round_step":
            return _new_round_step(message.new_round_step)
        case "proposal":
            return _proposal(message.proposal)
        case "new_valid_block":
            return _new_valid_block(message.new_valid_block)
        case "proposal_pol":
            return _proposal_pol(message.proposal_pol)
        case "vote_set_maj23":
            return _vote_set_maj23(message.vote_set_maj23)
        case "vote_set_bits":
            return _vote_set_bits(message.vote_set_bits)
    raise InvalidMessage("consensus message: none of the known kinds")


def check_new_round_step(message: NewRoundStep, initial_height: int) -> None:
    """What needs the genesis. Raises InvalidMessage."""
    height, last = message.height, message.last_commit_round
    if height < initial_height:
        raise InvalidMessage(f"NewRoundStep: height {height} is below the initial height {initial_height}")
    if (last == -1) != (height == initial_height):
        raise InvalidMessage(
            f"NewRoundStep: last_commit_round is {last} at height {height}; "
            f"it is -1 exactly at the initial height {initial_height}"
        )


def check_proposal(proposal: Proposal) -> None:
    """No block has more than PARTS_MAX parts. Raises InvalidMessage.

    The chain's own limit is a parameter of each height: who is a height ahead or behind may have another.
    """
    total = proposal.block_id.part_set_header.total
    if total > PARTS_MAX:
        raise InvalidMessage(f"proposal {proposal.height}/{proposal.round}: {total} parts, at most {PARTS_MAX}")


# -------------------------------------------------------------------------------------------------- mempool


def encode_txs(txs: Sequence[bytes]) -> bytes:
    """Channel 0x30's message."""
    return message_field(b"\x0a", b"".join(bytes_field(b"\x0a", tx) or b"\x0a\x00" for tx in txs))


def decode_txs(data: bytes, *, bytes_max: int) -> Sequence[bytes]:
    """Raises InvalidMessage when it is not a Txs message."""
    try:
        message = parse(mempool_pb.Message, data, bytes_max=bytes_max, what="mempool message")
    except Malformed as error:
        raise InvalidMessage(str(error)) from error
    if message.WhichOneof("sum") != "txs":
        raise InvalidMessage("mempool message: none of the known kinds")
    return message.txs.txs


# ------------------------------------------------------------------------------------------------ block sync


@dataclass(frozen=True, slots=True)
class BlockRequest:
    height: int

    def encode(self) -> bytes:
        return message_field(b"\x0a", int_field(b"\x08", self.height))


@dataclass(frozen=True, slots=True)
class NoBlockResponse:
    height: int

    def encode(self) -> bytes:
        return message_field(b"\x12", int_field(b"\x08", self.height))


@dataclass(frozen=True, slots=True)
class BlockResponse:
    """block, extended_commit: protobuf bytes as they came, the second empty when the height has no extensions."""

    block: bytes
    extended_commit: bytes = b""

    @property
    def byte_size(self) -> int:
        return len(self.block) + len(self.extended_commit)

    def encode(self) -> bytes:
        return message_field(b"\x1a", message_field(b"\x0a", self.block) + bytes_field(b"\x12", self.extended_commit))


@dataclass(frozen=True, slots=True)
class StatusRequest:
    def encode(self) -> bytes:
        return b"\x22\x00"


@dataclass(frozen=True, slots=True)
class StatusResponse:
    """The heights that the sender serves."""

    height: int
    base: int

    def encode(self) -> bytes:
        return message_field(b"\x2a", int_field(b"\x08", self.height) + int_field(b"\x10", self.base))


BlockSyncMessage: TypeAlias = BlockRequest | NoBlockResponse | BlockResponse | StatusRequest | StatusResponse


def _read_uvarint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise Malformed("protobuf: a varint of more than ten bytes")


def _message_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a message that has no others: their exact bytes, without a re-encoding."""
    position = 0
    while position < len(data):
        tag, position = _read_uvarint(data, position)
        if tag & 7 != 2:
            raise Malformed(f"protobuf: field {tag >> 3} is not length-delimited")
        size, position = _read_uvarint(data, position)
        if position + size > len(data):
            raise Malformed(f"protobuf: field {tag >> 3} runs past the end")
        yield tag >> 3, data[position : position + size]
        position += size


def _block_response(data: bytes) -> BlockResponse:
    """As many fields as a message has at most are read: an answer may have 26 MB, and a field two bytes."""
    pieces: dict[int, bytes] = {}
    try:
        for number, content in _message_fields(data):
            if number in pieces:
                raise Malformed(f"BlockResponse: field {number} is there twice")
            if len(pieces) >= RESPONSE_FIELDS_MAX:
                raise Malformed(f"BlockResponse: more than {RESPONSE_FIELDS_MAX} fields")
            pieces[number] = content
    except IndexError as error:
        raise Malformed("BlockResponse: cut off") from error
    block = pieces.get(1, b"")
    if not block:
        raise InvalidMessage("BlockResponse: the block is missing")
    return BlockResponse(block, pieces.get(2, b""))


def decode_block_sync(data: bytes) -> BlockSyncMessage:
    """A message of channel 0x40; the block inside is not decoded. Raises InvalidData: drop the peer."""
    if data[:1] == b"\x1a":
        _, start = _read_length(data)
        return _block_response(data[start:])
    message = parse(sync_pb.Message, data, bytes_max=CONSENSUS_MESSAGE_BYTES_MAX, what="block sync message")
    match message.WhichOneof("sum"):
        case "block_request":
            return BlockRequest(_height("BlockRequest", message.block_request.height))
        case "no_block_response":
            return NoBlockResponse(_height("NoBlockResponse", message.no_block_response.height))
        case "status_request":
            return StatusRequest()
        case "status_response":
            status = message.status_response
            _height("StatusResponse", status.height)
            if not 0 <= status.base <= status.height:
                raise InvalidMessage(f"StatusResponse: base {status.base} is not in 0 to height {status.height}")
            return StatusResponse(status.height, status.base)
    raise InvalidMessage("block sync message: none of the known kinds")


def _read_length(data: bytes) -> tuple[int, int]:
    """Length and start of the one field that the message consists of. Raises Malformed."""
    try:
        size, start = _read_uvarint(data, 1)
    except IndexError as error:
        raise Malformed("block sync message: cut off") from error
    if start + size != len(data):
        raise Malformed(f"block sync message: {len(data) - start} bytes follow, its length says {size}")
    return size, start


def _height(what: str, height: int) -> int:
    if height < 0:
        raise InvalidMessage(f"{what}: height {height} is negative")
    return height
