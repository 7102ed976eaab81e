"""Who may have one of the places for peers: how many there are in all, inbound, and of one address."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address

from p2p.address import host_group
from p2p.config import SwitchConfig
from p2p.errors import Rejected
from p2p.link import Link
from p2p.peer import SwitchPeer


class Places:
    """`is_named(id)`: whether the operator named it; then no limit here binds it, and it takes nobody's place."""

    def __init__(self, config: SwitchConfig, is_named: Callable[[str], bool]) -> None:
        self._config = config
        self._is_named = is_named

    def check_address(self, link: Link, peers: Iterable[SwitchPeer], links: Iterable[Link]) -> None:
        """Raises Rejected for a second identity from one IP, unless that is allowed or the operator named it."""
        if self._config.allow_duplicate_ip or self._is_named(link.id):
            return
        place = host_group(link.remote_host)
        others = (*(peer.link for peer in peers), *(other for other in links if other.id))
        strangers = sum(
            other is not link
            and not other.is_closed
            and not self._is_named(other.id)
            and host_group(other.remote_host) == place
            for other in others
        )
        allowed = self._config.loopback_strangers_max if _is_loopback(link.remote_host) else 1
        if strangers >= allowed:
            raise Rejected(f"{place} is connected already (allow_duplicate_ip is off)")

    def check_room(self, peer_id: str, peers: Iterable[SwitchPeer], *, outbound: bool) -> None:
        """Raises Rejected when there is no room for one more such peer."""
        if self._is_named(peer_id):
            return
        counted = [peer for peer in peers if not self._is_named(peer.id)]
        if len(counted) >= self._config.max_peers:
            raise Rejected(f"max_peers ({self._config.max_peers}) are connected")
        inbound = sum(not peer.is_outbound for peer in counted)
        if not outbound and inbound >= self._config.max_inbound_peers:
            raise Rejected(f"max_inbound_peers ({self._config.max_inbound_peers}) are connected")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
