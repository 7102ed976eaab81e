"""Channel 0x70: what nodes of this implementation say among themselves.

One message carries any number of announcements: which parts and votes of a height the sender holds, which
transactions it has and which it asks for, and who its neighbours are. Two rooms listen (consensus and mempool
gossip), so the channel has a reactor of its own that decodes once and hands on.

A neighbour list is what keeps copies rare. Whoever holds a thing sends it, or announces it, to each neighbour that
lacks it. Who received it from S therefore need not hurry towards a peer that S is connected to as well: it waits for
long, and is nearly always overtaken by that peer's own announcement. Only towards peers that S does not know does it
relay soon. In a full mesh nothing is relayed, and hardly anything announced; who sends copies is told sooner.
Source: docs/decisions/0004; proto/dchat/p2p/v1/gossip.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from google.protobuf.message import DecodeError

from consensus.core.events import VoteKind
from consensus.formats.bits import BITS_MAX
from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.base import ChannelDescriptor, Peer, PeerFault
from consensus.system.clock import Clock, Timer
from consensus.types.ids import PartSetHeader
from consensus.types.parts import PARTS_MAX
from crypto.hash import HASH_BYTES
from proto.dchat.p2p.v1 import gossip_pb2 as pb

EXTENSION_CHANNEL: Final = 0x70
MESSAGE_BYTES_MAX: Final = 262_144  # 8,000 hashes: more than any mempool here announces in one window
HASHES_MAX: Final = 4_096  # per message; a longer list is split
NEIGHBOURS_MAX: Final = 1_024
ANNOUNCEMENTS_MAX: Final = 64  # part and vote bitmaps per message: both kinds of 32 rounds
NODE_ID_BYTES: Final = 20
TELL_EVERY_NS: Final = NS_PER_S // 4  # our list of neighbours, to all: 2 ms of the loop with 60 of them
TELL_BURST: Final = 16  # at once, as the first peers come

DESCRIPTOR: Final = ChannelDescriptor(
    id=EXTENSION_CHANNEL,
    name="extension",
    priority=7,
    send_queue_messages=200,
    receive_message_bytes_max=MESSAGE_BYTES_MAX,
)


@dataclass(frozen=True, slots=True)
class HasPart:
    """The parts that the sender holds of the block with this part-set header. mask: bit i is part i.

    exact: said after a stall: what the mask lacks has not arrived and may be sent again.
    """

    height: int
    round: int
    header: PartSetHeader
    mask: int
    exact: bool = False


@dataclass(frozen=True, slots=True)
class HasVotes:
    """The votes of one kind and round that the sender holds. mask: bit i is validator i. exact: as in HasPart."""

    height: int
    round: int
    kind: VoteKind
    mask: int
    exact: bool = False


@dataclass(frozen=True, slots=True)
class ExtensionMessage:
    """Hashes are 32 bytes each. neighbours: 40-character node ids; None when the message does not speak of them."""

    has_parts: tuple[HasPart, ...] = ()
    has_votes: tuple[HasVotes, ...] = ()
    have_txs: tuple[bytes, ...] = ()
    want_txs: tuple[bytes, ...] = ()
    neighbours: frozenset[str] | None = None


def _mask_bytes(mask: int) -> bytes:
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def encode(message: ExtensionMessage) -> bytes:
    """Protobuf bytes. At most HASHES_MAX hashes of a kind: callers split."""
    out = pb.Message()
    for part in message.has_parts:
        out.has_parts.add(
            height=part.height,
            round=part.round,
            total=part.header.total,
            hash=part.header.hash,
            bits=_mask_bytes(part.mask),
            exact=part.exact,
        )
    for votes in message.has_votes:
        out.has_votes.add(
            height=votes.height,
            round=votes.round,
            kind=votes.kind,
            bits=_mask_bytes(votes.mask),
            exact=votes.exact,
        )
    if message.have_txs:
        assert len(message.have_txs) <= HASHES_MAX, len(message.have_txs)
        out.have_tx.hashes = b"".join(message.have_txs)
    if message.want_txs:
        assert len(message.want_txs) <= HASHES_MAX, len(message.want_txs)
        out.want_tx.hashes = b"".join(message.want_txs)
    if message.neighbours is not None:
        out.neighbours.ids = bytes.fromhex("".join(sorted(message.neighbours)))
        out.neighbours.SetInParent()
    return out.SerializeToString()


def _split_hashes(what: str, data: bytes) -> tuple[bytes, ...]:
    if len(data) % HASH_BYTES or len(data) > HASHES_MAX * HASH_BYTES:
        raise PeerFault(f"{what}: {len(data)} bytes are not at most {HASHES_MAX} hashes of {HASH_BYTES}")
    return tuple(data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES))


def _part(message: pb.HasPart) -> HasPart:
    total, bits = message.total, message.bits
    mask = int.from_bytes(bits, "little") if len(bits) * 8 <= PARTS_MAX + 7 else -1
    if message.height < 1 or message.round < 0 or not 1 <= total <= PARTS_MAX or len(message.hash) != HASH_BYTES:
        raise PeerFault(f"HasPart of {message.height}/{message.round} with {total} parts is malformed")
    if not 0 <= mask < 1 << total:
        raise PeerFault(f"HasPart: bits beyond its {total} parts")
    return HasPart(message.height, message.round, PartSetHeader(total, message.hash), mask, message.exact)


def _votes(message: pb.HasVotes) -> HasVotes:
    if message.height < 1 or message.round < 0 or message.kind not in {1, 2} or len(message.bits) * 8 > BITS_MAX:
        raise PeerFault(f"HasVotes of {message.height}/{message.round} kind {message.kind} is malformed")
    mask = int.from_bytes(message.bits, "little")
    return HasVotes(message.height, message.round, VoteKind(message.kind), mask, message.exact)


def decode(data: bytes) -> ExtensionMessage:
    """Raises PeerFault for anything that this implementation would not have sent."""
    try:
        message = pb.Message.FromString(data)
    except DecodeError as error:
        raise PeerFault(f"channel 0x70: not a gossip message: {error}") from error
    if len(message.has_parts) + len(message.has_votes) > ANNOUNCEMENTS_MAX:
        raise PeerFault(f"channel 0x70: more than {ANNOUNCEMENTS_MAX} bitmaps in a message")
    neighbours: frozenset[str] | None = None
    if message.HasField("neighbours"):
        ids = message.neighbours.ids
        if len(ids) % NODE_ID_BYTES or len(ids) > NEIGHBOURS_MAX * NODE_ID_BYTES:
            raise PeerFault(f"Neighbours: {len(ids)} bytes are not at most {NEIGHBOURS_MAX} ids of {NODE_ID_BYTES}")
        step = NODE_ID_BYTES
        neighbours = frozenset(ids[start : start + step].hex() for start in range(0, len(ids), step))
    return ExtensionMessage(
        tuple(_part(part) for part in message.has_parts),
        tuple(_votes(votes) for votes in message.has_votes),
        _split_hashes("HaveTx", message.have_tx.hashes) if message.HasField("have_tx") else (),
        _split_hashes("WantTx", message.want_tx.hashes) if message.HasField("want_tx") else (),
        neighbours,
    )


class ExtensionHandler(Protocol):
    """A room that listens on channel 0x70."""

    def receive_extension(self, peer: Peer, message: ExtensionMessage) -> None:
        """Raises PeerFault."""
        ...

    def extension_writable(self, peer: Peer) -> None: ...


class ExtensionReactor:
    """Owns channel 0x70: says who our neighbours are, remembers theirs, hands the rest to the handlers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._handlers: list[ExtensionHandler] = []
        self._peers: dict[str, Peer] = {}
        self._neighbours: dict[str, frozenset[str]] = {}
        self._told: dict[str, frozenset[str]] = {}  # what each was sent last
        self._owed: dict[str, Peer] = {}  # peers whose queue was full when our list was due
        self._tell_due_ns = 0  # monotonic: when the list may be told again, TELL_BURST times at once
        self._tell_timer: Timer | None = None

    def add_handler(self, handler: ExtensionHandler) -> None:
        self._handlers.append(handler)

    @property
    def channels(self) -> tuple[ChannelDescriptor, ...]:
        return (DESCRIPTOR,)

    @property
    def peers(self) -> Sequence[Peer]:
        """Connected peers of this implementation."""
        return tuple(self._peers.values())

    def is_ours(self, peer: Peer) -> bool:
        """Whether channel 0x70 is spoken with it. This reactor hears of a peer first: it stands first in the switch."""
        return peer.id in self._peers

    def are_neighbours(self, first_id: str, second_id: str) -> bool:
        """Whether the first says that it is connected to the second."""
        return second_id in self._neighbours.get(first_id, ())

    def stop(self) -> None:
        if self._tell_timer is not None:
            self._tell_timer.cancel()
            self._tell_timer = None

    def add_peer(self, peer: Peer) -> None:
        if peer.has_channel(EXTENSION_CHANNEL):
            self._peers[peer.id] = peer
            self._tell_neighbours()

    def remove_peer(self, peer: Peer, reason: str) -> None:
        if self._peers.get(peer.id) is peer:
            del self._peers[peer.id]
            self._told.pop(peer.id, None)
            self._neighbours.pop(peer.id, None)
            self._owed.pop(peer.id, None)
            self._tell_neighbours()

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        decoded = decode(message)
        if decoded.neighbours is not None and self._peers.get(peer.id) is peer:
            self._neighbours[peer.id] = decoded.neighbours
        for handler in self._handlers:
            handler.receive_extension(peer, decoded)

    def writable(self, channel_id: int, peer: Peer) -> None:
        if self._owed.pop(peer.id, None) is not None:
            self._send_neighbours(peer)
        for handler in self._handlers:
            handler.extension_writable(peer)

    def _tell_neighbours(self) -> None:
        """Strangers that come and go cost a list for each peer: so many at most, whoever comes."""
        now_ns = self._clock.monotonic_ns()
        if self._tell_timer is None and self._tell_due_ns - now_ns <= (TELL_BURST - 1) * TELL_EVERY_NS:
            self._tell_all(now_ns)
        elif self._tell_timer is None:
            self._tell_timer = self._clock.call_later(TELL_EVERY_NS / NS_PER_S, self._tell_later)

    def _tell_later(self) -> None:
        self._tell_timer = None
        self._tell_all(self._clock.monotonic_ns())

    def _tell_all(self, now_ns: int) -> None:
        self._tell_due_ns = max(self._tell_due_ns, now_ns) + TELL_EVERY_NS
        for peer in tuple(self._peers.values()):
            self._send_neighbours(peer)

    def _send_neighbours(self, peer: Peer) -> None:
        """Nothing where it was told the same."""
        others = frozenset(islice(self._peers, NEIGHBOURS_MAX)) - {peer.id}
        if others == self._told.get(peer.id):
            return
        if peer.try_send(EXTENSION_CHANNEL, encode(ExtensionMessage(neighbours=others))):
            self._told[peer.id] = others
        else:
            self._owed[peer.id] = peer
