"""Addresses of nodes: reading both written forms, validity, routability, groups.

Strangers write these texts: their length is bounded before anything else is looked at, and reading is linear.
`ID@host:port` (an optional `scheme://` is ignored) and multiaddresses `/ip4/HOST/tcp/PORT[/p2p/ID]`, also /ip6,
/dns, /dns4, /dns6. The id may be missing where the configuration allows it: the caller pins such an address to the
id first seen. Nothing is resolved here: a host is an IP or a name.
Source: CometBFT v0.38, spec/p2p/legacy-docs/peer.md, p2p/netaddress.go.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from functools import cached_property

from consensus.p2p.conn.errors import BadAddress
from consensus.p2p.conn.node_key import NODE_ID_CHARS, is_node_id

HOST_CHARS_MAX = 253  # RFC 1035
LABEL_CHARS_MAX = 63  # RFC 1035
ADDRESS_CHARS_MAX = 512  # the longest good one has some 320: scheme, id, host, port, or a multiaddress' words
SHOWN_CHARS_MAX = 80  # of a bad one, in an error

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_NOT_ROUTABLE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # RFC 1918
        "169.254.0.0/16", "fe80::/64",  # link-local, RFC 3927 and 4862
        "fc00::/7",  # unique local, RFC 4193
        "2001:10::/28",  # ORCHID, RFC 4843
        "127.0.0.0/8", "::1/128", "0.0.0.0/8",
    )
)  # fmt: skip
_DOCUMENTATION = ipaddress.ip_network("2001:db8::/32")
_HURRICANE_ELECTRIC = ipaddress.ip_network("2001:470::/32")


@dataclass(frozen=True)
class NodeAddress:
    """Where a node listens. `id` is 40 hex characters, or empty while it is not known yet."""

    id: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.id}@{self.host_port}" if self.id else self.host_port

    @property
    def host_port(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @cached_property
    def ip(self) -> IPAddress | None:
        """The host as an IP, None when it is a name. IPv4 inside IPv6 (::ffff:0:0/96) counts as IPv4."""
        try:
            ip = ipaddress.ip_address(self.host)
        except ValueError:
            return None
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        return ip

    def with_id(self, peer_id: str) -> NodeAddress:
        return replace(self, id=peer_id)

    @cached_property
    def is_valid(self) -> bool:
        """A good id and an IP that a packet could be sent to."""
        ip = self.ip
        if not is_node_id(self.id) or ip is None or ip.is_unspecified:
            return False
        return ip not in _DOCUMENTATION and str(ip) != "255.255.255.255"

    @property
    def is_local(self) -> bool:
        ip = self.ip
        return ip is not None and (ip.is_loopback or (ip.version == 4 and ip.packed[0] == 0))

    @cached_property
    def is_routable(self) -> bool:
        """Valid, and meant to be reached from anywhere."""
        ip = self.ip
        return self.is_valid and ip is not None and not any(ip in network for network in _NOT_ROUTABLE)

    def group(self, *, strict: bool) -> str:
        """The part of the internet that one operator is likely to hold: a bucket's key in the address book."""
        ip = self.ip
        if ip is None:
            return "unroutable"
        if strict and self.is_local:
            return "local"
        if strict and not self.is_routable:
            return "unroutable"
        return self._network

    @cached_property
    def _network(self) -> str:
        ip = self.ip
        assert ip is not None, "names have none"
        inner = ip if isinstance(ip, ipaddress.IPv4Address) else _embedded_ipv4(ip)
        if inner is not None:
            return f"{inner.packed[0]}.{inner.packed[1]}.0.0/16"
        bits = 36 if ip in _HURRICANE_ELECTRIC else 32
        return str(ipaddress.ip_network((ip, bits), strict=False))


def host_group(host: str) -> str:
    """What one holder of a host address has at no cost: an IPv4 address, an IPv6 /64; a name is itself."""
    ip = _socket_ip(host)
    if ip is None:
        return host
    return str(ip) if isinstance(ip, ipaddress.IPv4Address) else _prefix(ip, 8)


def site_group(host: str) -> str:
    """What a site has: an IPv6 /48. Empty for what is no IPv6 address."""
    ip = _socket_ip(host)
    return _prefix(ip, 6) if isinstance(ip, ipaddress.IPv6Address) else ""


def is_loopback(host: str) -> bool:
    ip = _socket_ip(host)
    return ip is not None and ip.is_loopback


def _socket_ip(host: str) -> IPAddress | None:
    """The IP of a socket's end, as IPv4 where it is one inside IPv6, its zone left out. None for a name."""
    try:
        ip = parse_ip(host.partition("%")[0])
    except ValueError:
        return None
    return ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None else ip


def _prefix(ip: ipaddress.IPv6Address, size: int) -> str:
    return f"{ipaddress.IPv6Address(ip.packed[:size] + bytes(16 - size))}/{8 * size}"


def _embedded_ipv4(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 inside 6to4, Teredo, NAT64 and translated addresses."""
    raw = ip.packed
    if raw[:2] == b"\x20\x02":
        return ipaddress.IPv4Address(raw[2:6])
    if raw[:4] == b"\x20\x01\0\0":
        return ipaddress.IPv4Address(bytes(b ^ 0xFF for b in raw[12:]))
    if raw[:12] == b"\0\x64\xff\x9b" + bytes(8) or raw[:12] == bytes(8) + b"\xff\xff\0\0":
        return ipaddress.IPv4Address(raw[12:])
    return None


def parse_address(text: str, *, id_required: bool = True) -> NodeAddress:
    """Read either form. Raises BadAddress, which says what is wrong and what is allowed."""
    _check_length(text)
    address = _parse_multiaddress(text) if text.startswith("/") else _parse_plain(text)
    if id_required and not address.id:
        raise BadAddress(f"address {text!r}: no node id; write ID@host:port or /ip4/HOST/tcp/PORT/p2p/ID")
    return address


def parse_listen_address(text: str) -> NodeAddress:
    """Read where to listen: `host:port`, `tcp://host:port`, `/ip4/HOST/tcp/PORT`; port 0 lets the system choose."""
    _check_length(text)
    address = _parse_multiaddress(text) if text.startswith("/") else _parse_plain(text, empty_host="0.0.0.0")
    if address.id:
        raise BadAddress(f"listen address {text!r}: an address to listen on has no node id")
    return address


def _check_length(text: str) -> None:
    if len(text) > ADDRESS_CHARS_MAX:
        shown = text[:SHOWN_CHARS_MAX]
        raise BadAddress(f"address {shown!r}... has {len(text)} characters, at most {ADDRESS_CHARS_MAX} allowed")


def parse_ip(text: str) -> IPAddress:
    """Raises ValueError for what is no IP, zones (`fe80::1%eth0`) included: they mean nothing elsewhere."""
    if len(text) > HOST_CHARS_MAX or "%" in text:
        raise ValueError(f"{text[:SHOWN_CHARS_MAX]!r} is no IP address without a zone")
    return ipaddress.ip_address(text)


def _parse_plain(text: str, *, empty_host: str = "") -> NodeAddress:
    rest = text.split("://", 1)[-1]
    peer_id = ""
    if "@" in rest:
        before, _, behind = rest.rpartition("@")
        if ":" in before and not is_node_id(before.partition("@")[0]):  # a password: no error says it
            raise BadAddress(
                f"address '***@{behind}': what stands before the host is not a node id: {NODE_ID_CHARS} lowercase hex "
                "characters"
            )
        peer_id, _, rest = rest.partition("@")
        if "@" in rest:
            raise BadAddress(f"address {text!r}: more than one '@'")
        _check_id(peer_id, text)
    host, colon, port = rest.rpartition(":")
    if not colon:
        raise BadAddress(
            f"address {text!r}: no port; expected ID@host:port, host:port or "
            "/ip4/HOST/tcp/PORT/p2p/ID, one address (several are given one by one)"
        )
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise BadAddress(f"address {text!r}: only an IPv6 address stands in brackets")
    elif ":" in host:
        raise BadAddress(f"address {text!r}: an IPv6 address needs brackets: [{host}]:{port}")
    return NodeAddress(peer_id, _check_host(host or empty_host, text), _check_port(port, text))


_MULTIADDRESS_HOSTS = {"ip4": 4, "ip6": 6, "dns": 0, "dns4": 0, "dns6": 0}


def _parse_multiaddress(text: str) -> NodeAddress:
    parts = text.split("/")[1:]
    if len(parts) not in {4, 6} or parts[0] not in _MULTIADDRESS_HOSTS or parts[2] != "tcp":
        raise BadAddress(f"address {text!r}: expected /ip4|ip6|dns|dns4|dns6/HOST/tcp/PORT[/p2p/ID]")
    version = _MULTIADDRESS_HOSTS[parts[0]]
    host = _check_host(parts[1], text)
    address = NodeAddress("", host, _check_port(parts[3], text))
    if version and (address.ip is None or ipaddress.ip_address(host).version != version):
        raise BadAddress(f"address {text!r}: {parts[1]!r} is no IPv{version} address")
    if len(parts) == 6:
        if parts[4] != "p2p":
            raise BadAddress(f"address {text!r}: expected /p2p/ID at the end, got /{parts[4]}")
        _check_id(parts[5], text)
        address = address.with_id(parts[5])
    return address


def _check_id(peer_id: str, text: str) -> None:
    if not is_node_id(peer_id):
        raise BadAddress(f"address {text!r}: id {peer_id!r} is not a node id: {NODE_ID_CHARS} lowercase hex characters")


def _check_host(host: str, text: str) -> str:
    if not host:
        raise BadAddress(f"address {text!r}: the host is empty")
    try:
        return str(parse_ip(host))
    except ValueError:
        if not _is_host_name(host):
            raise BadAddress(f"address {text!r}: host {host!r} is neither an IP nor a host name") from None
        if host.replace(".", "").isdigit():
            raise BadAddress(f"address {text!r}: {host!r} is no IPv4 address") from None
        return host


def _is_host_name(host: str) -> bool:
    """Labels between dots, the last dot may be there or not; underscores are allowed, as in names of services."""
    if len(host) > HOST_CHARS_MAX:
        return False
    labels = host.removesuffix(".").split(".")
    return not host.startswith("-") and all(
        0 < len(label) <= LABEL_CHARS_MAX and _LABEL_CHARS.issuperset(label) for label in labels
    )


def _check_port(port: str, text: str) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535):
        raise BadAddress(f"address {text!r}: port {port!r} is not 0 to 65535")
    return int(port)
