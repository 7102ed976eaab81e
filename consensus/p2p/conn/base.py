"""What a reactor and the network see of each other.

Everything here runs on the event loop and is synchronous: `receive` handles one message and returns; long work is
the reactor's to hand off. A reactor is event-driven: when `try_send` says False the channel's queue is full, and
`writable` is called when it has room again. Nobody polls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from consensus.formats.units import MIB

if TYPE_CHECKING:
    from consensus.p2p.conn.node_info import NodeInfo


class PeerFault(Exception):
    """The peer broke the protocol. Raised in `Reactor.receive`: the peer is dropped, and the reason logged.

    `ban_s` above 0 keeps it from coming back for that many seconds.
    """

    def __init__(self, reason: str, *, ban_s: int = 0) -> None:
        super().__init__(reason)
        self.ban_s = ban_s


@dataclass(frozen=True, slots=True)
class ChannelDescriptor:
    """One multiplexed channel. Sizes in bytes; `send_queue_messages` and `send_queue_bytes` bound what waits per peer.

    `unasked_bytes_max`: larger messages are taken only after `Peer.expect`; 0: there is no such bound.
    """

    id: int
    name: str
    priority: int
    send_queue_messages: int
    receive_message_bytes_max: int
    unasked_bytes_max: int = 0
    send_queue_bytes: int = 32 * MIB  # one message always fits


class Peer(Protocol):
    @property
    def id(self) -> str:
        """40 hex characters."""
        ...

    @property
    def node_info(self) -> NodeInfo: ...

    @property
    def is_outbound(self) -> bool: ...

    @property
    def is_persistent(self) -> bool: ...

    @property
    def remote_address(self) -> str:
        """host:port of the socket's other end."""
        ...

    @property
    def round_trip_s(self) -> float:
        """The least that its answers to the last pings took; 0: none was answered yet."""
        ...

    def has_channel(self, channel_id: int) -> bool: ...

    def try_send(self, channel_id: int, message: bytes) -> bool:
        """Queue `message`. False: the queue is full (then `Reactor.writable` follows), or no such channel."""
        ...

    def queued_bytes(self, channel_id: int) -> int:
        """Of messages on this channel that it has not taken yet."""
        ...

    def queue_room(self, channel_id: int) -> int:
        """How many more messages `try_send` would take on this channel now; 0: then `Reactor.writable` follows."""
        ...

    def useless(self, what: str, weight: int = 1) -> None:
        """A message of it was of no use to us: counts against a leaky budget, past which the switch drops the peer.

        For what an honest peer may send now and then (part of no block, vote of an unknown validator); what none
        ever sends is a PeerFault. `what` is a constant text: it names the kind in logs and metrics. The peer is
        dropped in a later turn of the loop, never inside this call.
        """
        ...

    def useful(self) -> None:
        """It was the first to bring something that we needed: after many, the address book counts it as good."""
        ...

    def spend_cpu(self, ns: int) -> None:
        """Charge work that was done for it outside `Reactor.receive` (in a thread, or in a later turn)."""
        ...

    def expect(self, channel_id: int, bytes_max: int, within_s: float) -> None:
        """We asked this peer for a message of up to `bytes_max`: until then it may send one larger than the channel's
        `unasked_bytes_max`. Once for each that we ask for."""
        ...


class Reactor(Protocol):
    @property
    def channels(self) -> tuple[ChannelDescriptor, ...]: ...

    def add_peer(self, peer: Peer) -> None:
        """The peer is connected and its node info checked; messages may follow."""
        ...

    def remove_peer(self, peer: Peer, reason: str) -> None: ...

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        """Raises PeerFault when the peer broke the protocol."""
        ...

    def writable(self, channel_id: int, peer: Peer) -> None:
        """A queue that had refused a message has room again."""
        ...


class Network(Protocol):
    """What reactors see of the switch."""

    @property
    def peers(self) -> tuple[Peer, ...]: ...

    def broadcast(self, channel_id: int, message: bytes) -> None:
        """try_send to each peer that has the channel."""
        ...

    def drop_peer(self, peer: Peer, reason: str, *, ban_s: int = 0) -> None: ...
