"""What the network can be told. Every limit has its reason beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.p2p.conn.address import NodeAddress, parse_address, parse_listen_address
from consensus.p2p.conn.budget import BudgetConfig
from consensus.p2p.conn.connection import ConnectionConfig
from consensus.p2p.conn.errors import BadAddress
from consensus.p2p.conn.node_key import is_node_id


@dataclass(frozen=True, slots=True)
class SwitchConfig:
    """Addresses are texts in either form. Raises BadAddress or ValueError where something does not make sense.

    The defaults of the first part are CometBFT's; durations are seconds.
    """

    listen_address: str = "tcp://0.0.0.0:26656"  # empty: do not listen
    external_address: str = ""  # what others are told; by default the listen address
    persistent_peers: tuple[str, ...] = ()  # redialled for ever; the id may be missing
    seeds: tuple[str, ...] = ()
    seed_mode: bool = False
    unconditional_peer_ids: frozenset[str] = frozenset()
    private_peer_ids: frozenset[str] = frozenset()
    max_inbound_peers: int = 40
    max_outbound_peers: int = 10  # binds address exchange; persistent peers are always dialed
    max_peers: int = 100  # inbound and outbound together; unconditional and persistent ones excepted
    allow_duplicate_ip: bool = False  # named peers are never turned away for it
    loopback_strangers_max: int = 8  # unnamed peers on this machine: loopback says nothing about who is behind it
    address_book_strict: bool = True  # only routable addresses enter the book
    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)

    dial_timeout_s: float = 3.0
    phase_timeout_s: float = 3.0  # each of hello, authentication, node info
    unauthenticated_max: int = 64  # connections that have not proved an identity yet (CVE-2020-5303)
    unauthenticated_per_ip_max: int = 16  # so that one host cannot hold all of them
    accepts_per_ip_per_s: int = 20  # a handshake costs us 1 ms: one host (IPv6: /64) takes at most 2 % of a core
    accepts_per_s: int = 60  # and all strangers together 6 %
    redial_first_s: float = 0.25  # a killed neighbour is back soon
    redial_max_s: float = 30.0
    stop_timeout_s: float = 2.0  # for queued messages to leave

    def __post_init__(self) -> None:
        for name in ("unconditional_peer_ids", "private_peer_ids"):
            for peer_id in getattr(self, name):
                if not is_node_id(peer_id):
                    raise ValueError(f"{name}: {peer_id!r} is not a node id (40 lowercase hex characters)")
        for name in ("max_inbound_peers", "max_outbound_peers", "max_peers", "unauthenticated_max"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        _ = self.listen_at, self.external, self.persistent_addresses, self.seed_addresses

    @property
    def listen_at(self) -> NodeAddress | None:
        return parse_listen_address(self.listen_address) if self.listen_address else None

    @property
    def external(self) -> NodeAddress | None:
        return parse_listen_address(self.external_address) if self.external_address else None

    @property
    def persistent_addresses(self) -> tuple[NodeAddress, ...]:
        return _addresses("persistent_peers", self.persistent_peers)

    @property
    def seed_addresses(self) -> tuple[NodeAddress, ...]:
        return _addresses("seeds", self.seeds)


def _addresses(name: str, texts: tuple[str, ...]) -> tuple[NodeAddress, ...]:
    try:
        return tuple(dict.fromkeys(parse_address(text, id_required=False) for text in texts))
    except BadAddress as error:
        raise BadAddress(f"{name}: {error}") from error
