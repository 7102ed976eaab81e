"""A connected peer, as reactors see it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from consensus.p2p.conn.budget import PeerBudget
from consensus.p2p.conn.connection import MultiplexConnection
from consensus.p2p.conn.link import Link
from consensus.p2p.conn.node_info import SHOWN_CHARS_MAX, NodeInfo

STALLED_S: Final = 10.0  # the largest block takes a line of 5 MB a second less than half of it


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """One peer for doors and operators. Byte counts are those of the socket."""

    id: str
    moniker: str
    remote_address: str
    listen_address: str
    version: str
    is_outbound: bool
    is_persistent: bool
    connected_since_ns: int
    bytes_in: int
    bytes_out: int
    held_s: float  # how long it was not read from, for what messages cost
    useless_messages: int  # by weight, of all time
    useless_now: float  # of these, what is not forgiven yet
    round_trip_s: float  # the least of the last pings; 0 until one was answered


class SwitchPeer:
    """Implements consensus.p2p.conn.base.Peer."""

    __slots__ = (
        "_channels",
        "budget",
        "connected_since_ns",
        "connection",
        "expect",
        "gave_offence",
        "gone",
        "id",
        "is_outbound",
        "is_persistent",
        "link",
        "node_info",
        "queue_room",
        "queued_bytes",
        "remote_address",
        "spend_cpu",
        "try_send",
        "useful",
        "useless",
    )

    try_send: Callable[[int, bytes], bool]
    queue_room: Callable[[int], int]
    queued_bytes: Callable[[int], int]

    def __init__(
        self, link: Link, info: NodeInfo, budget: PeerBudget, *, is_persistent: bool, connected_since_ns: int
    ) -> None:
        self.link = link
        self.id = link.id
        self.node_info = info
        self.is_outbound = link.is_outbound
        self.is_persistent = is_persistent
        self.remote_address = link.remote
        self.connected_since_ns = connected_since_ns
        self._channels = frozenset(info.channels)
        self.budget = budget
        self.useless = budget.useless
        self.useful = budget.useful
        self.spend_cpu = budget.spend_cpu
        self.expect = budget.expect
        self.gave_offence = False
        self.gone = asyncio.Event()  # set after the reactors have heard that it left

    def attach(self, connection: MultiplexConnection) -> None:
        """Bound once: the two calls of the hot path go straight to the connection."""
        self.connection = connection
        self.try_send = connection.try_send
        self.queue_room = connection.queue_room
        self.queued_bytes = connection.queued_bytes

    @property
    def moniker(self) -> str:
        """As lines and doors show it: what it says of itself may have thousands of characters."""
        return self.node_info.moniker[:SHOWN_CHARS_MAX]

    @property
    def round_trip_s(self) -> float:
        return self.connection.round_trip_s

    def has_channel(self, channel_id: int) -> bool:
        return channel_id in self._channels

    @property
    def channels(self) -> frozenset[int]:
        return self._channels

    @property
    def remote_host(self) -> str:
        return self.link.remote_host

    def add_traffic(self, total: Counter[tuple[str, int]]) -> None:
        """{("in" or "out", channel id): bytes of packets}."""
        for channel_id, (received, sent) in self.connection.bytes_by_channel().items():
            total["in", channel_id] += received
            total["out", channel_id] += sent

    def status(self) -> PeerStatus:
        return PeerStatus(
            id=self.id,
            moniker=self.moniker,
            remote_address=self.remote_address,
            listen_address=self.node_info.listen_address,
            version=self.node_info.version[:SHOWN_CHARS_MAX],
            is_outbound=self.is_outbound,
            is_persistent=self.is_persistent,
            connected_since_ns=self.connected_since_ns,
            bytes_in=self.link.bytes_in,
            bytes_out=self.link.bytes_out,
            held_s=self.budget.held_s,
            useless_messages=self.budget.useless_by_kind.total(),
            useless_now=self.budget.useless_now,
            round_trip_s=self.connection.told_round_trip_s,
        )

    def __repr__(self) -> str:
        return f"SwitchPeer({self.id}@{self.remote_address})"


def who_frees_memory(
    peers: Iterable[SwitchPeer], is_named: Callable[[str], bool], now_s: float
) -> tuple[SwitchPeer | None, bool]:
    """Who goes where all unfinished messages together are too much, and whether it gave offence.

    Who holds most that nobody asked for, a named one only if no stranger holds any. Where it is what was asked for that
    is too much, likewise: who has not ended an answer for `STALLED_S`, else a newcomer would go before a liar that was
    of use once; of several, who brought least of use so far; then who takes longest. That is no offence.
    now_s: of the loop.
    """
    there = [peer for peer in peers if not peer.link.is_closed]
    unasked = [peer for peer in there if peer.budget.unasked_bytes]
    if unasked and unasked[0].budget.shared.has_too_much_unasked:
        return max(unasked, key=lambda peer: (not is_named(peer.id), peer.budget.unasked_bytes)), True

    def merit(peer: SwitchPeer) -> tuple[bool, bool, int, float]:
        since = peer.connection.asked_since
        return is_named(peer.id), now_s - since < STALLED_S, peer.budget.useful_messages, since

    return min((peer for peer in there if peer.budget.asked_bytes), key=merit, default=None), False
