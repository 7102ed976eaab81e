"""Addresses: both forms, what is refused, validity, routability, groups. After the p2p sheet, section 2."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.p2p.conn.address import NodeAddress, parse_address, parse_listen_address
from consensus.p2p.conn.errors import BadAddress

ID = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        (f"{ID}@127.0.0.1:8080", "127.0.0.1", 8080, f"{ID}@127.0.0.1:8080"),
        (f"tcp://{ID}@127.0.0.1:8080", "127.0.0.1", 8080, f"{ID}@127.0.0.1:8080"),
        (f"udp://{ID}@127.0.0.1:8080", "127.0.0.1", 8080, f"{ID}@127.0.0.1:8080"),
        (f"{ID}@val-1.example.org:26656", "val-1.example.org", 26656, f"{ID}@val-1.example.org:26656"),
        (f"{ID}@[2001:DB8:0::1]:1", "2001:db8::1", 1, f"{ID}@[2001:db8::1]:1"),
        (f"/ip4/10.1.2.3/tcp/7070/p2p/{ID}", "10.1.2.3", 7070, f"{ID}@10.1.2.3:7070"),
        (f"/ip6/::1/tcp/7070/p2p/{ID}", "::1", 7070, f"{ID}@[::1]:7070"),
        (f"/dns4/validator1/tcp/26656/p2p/{ID}", "validator1", 26656, f"{ID}@validator1:26656"),
        (f"/dns/a.b/tcp/1/p2p/{ID}", "a.b", 1, f"{ID}@a.b:1"),
    ],
)
def test_addresses_that_are_good(text: str, host: str, port: int, shown: str) -> None:
    address = parse_address(text)
    assert (address.id, address.host, address.port, str(address)) == (ID, host, port, shown)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no port"),
        ("@", "not a node id"),
        ("127.0.0.1:8080", "no node id"),
        ("tcp//127.0.0.1:8080", "host|no node id"),
        (f"tcp://{ID}@", "no port"),
        (f"tcp:{ID}@127.0.0.1:8080", "not a node id"),
        ("tcp://deadbeef@127.0.0.1:8080", "not a node id"),
        (f"{ID.upper()}@127.0.0.1:8080", "not a node id"),
        (f"{ID[:-1]}@127.0.0.1:8080", "not a node id"),
        (f"{ID}é@127.0.0.1:8080", "not a node id"),
        (f"{ID}@127.0.0.1:8080@x:1", "more than one"),
        (f"{ID}@127.0.0.1", "no port"),
        (f"{ID}@:8080", "host is empty"),
        (f"{ID}@127.0.0.1:", "port ''"),
        (f"{ID}@127.0.0.1:notint", "port 'notint'"),
        (f"{ID}@127.0.0.1:65536", "port '65536'"),
        (f"{ID}@127.0.0.1:-1", "port '-1'"),
        (f"{ID}@127.0.0.1:٣", "port"),
        (f"{ID}@127.0.0.256:1", "no IPv4"),
        (f"{ID}@127.0.0:1", "no IPv4"),
        (f"{ID}@bad host:1", "neither an IP"),
        (f"{ID}@{'a' * 254}:1", "neither an IP"),
        (f"{ID}@::1:8080", "brackets"),
        (f"{ID}@[127.0.0.1]:8080", "brackets"),
        ("/ip4/10.1.2.3/tcp/7070", "no node id"),
        (f"/ip4/10.1.2.3/udp/7070/p2p/{ID}", "expected /ip4"),
        (f"/ip4/10.1.2.3/tcp/7070/ipfs/{ID}", "expected /p2p/ID"),
        ("/ip4/10.1.2.3/tcp/7070/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf", "not a node id"),
        (f"/ip4/validator1/tcp/7070/p2p/{ID}", "no IPv4"),
        (f"/ip4/::1/tcp/7070/p2p/{ID}", "no IPv4"),
        (f"/ip6/10.0.0.1/tcp/7070/p2p/{ID}", "no IPv6"),
        (f"/ip4/10.1.2.3/tcp/70700/p2p/{ID}", "port '70700'"),
        ("/", "expected /ip4"),
    ],
)
def test_addresses_that_are_refused(text: str, why: str) -> None:
    with pytest.raises(BadAddress, match=why):
        parse_address(text)


def test_an_id_may_be_missing_where_that_is_allowed() -> None:
    assert parse_address("/ip4/10.1.2.3/tcp/7070", id_required=False) == NodeAddress("", "10.1.2.3", 7070)
    assert str(parse_address("a.example:1", id_required=False)) == "a.example:1"


@pytest.mark.parametrize(
    ("text", "host_port"),
    [
        ("tcp://0.0.0.0:26656", "0.0.0.0:26656"),
        (":26656", "0.0.0.0:26656"),
        ("/ip4/0.0.0.0/tcp/26656", "0.0.0.0:26656"),
        ("[::]:0", "[::]:0"),
    ],
)
def test_listen_addresses(text: str, host_port: str) -> None:
    assert parse_listen_address(text).host_port == host_port
    with pytest.raises(BadAddress, match="no node id"):
        parse_listen_address(f"{ID}@127.0.0.1:1")


@pytest.mark.parametrize(
    ("host", "valid", "routable", "group"),
    [
        ("8.8.8.8", True, True, "8.8.0.0/16"),
        ("127.0.0.1", True, False, "local"),
        ("0.0.0.0", False, False, "local"),
        ("0.1.2.3", True, False, "local"),
        ("255.255.255.255", False, False, "unroutable"),
        ("10.1.2.3", True, False, "unroutable"),
        ("172.16.0.1", True, False, "unroutable"),
        ("172.32.0.1", True, True, "172.32.0.0/16"),
        ("192.168.1.1", True, False, "unroutable"),
        ("169.254.1.1", True, False, "unroutable"),
        ("::", False, False, "unroutable"),
        ("::1", True, False, "local"),
        ("fe80::1", True, False, "unroutable"),
        ("fc00::1", True, False, "unroutable"),
        ("2001:db8::1", False, False, "unroutable"),
        ("2001:10::1", True, False, "unroutable"),
        ("2607:f8b0:4005::1", True, True, "2607:f8b0::/32"),
        ("2001:470:1f0b::1", True, True, "2001:470:1000::/36"),
        ("2002:0808:0404::1", True, True, "8.8.0.0/16"),
        ("2001::f7f7:fbfb", True, True, "8.8.0.0/16"),
        ("64:ff9b::808:404", True, True, "8.8.0.0/16"),
        ("::ffff:0:808:404", True, True, "8.8.0.0/16"),
        ("::ffff:8.8.4.4", True, True, "8.8.0.0/16"),
        ("a.name", False, False, "unroutable"),
    ],
)
def test_validity_routability_and_groups(host: str, valid: bool, routable: bool, group: str) -> None:
    address = NodeAddress(ID, host, 26656)
    assert (address.is_valid, address.is_routable, address.group(strict=True)) == (valid, routable, group)
    assert not NodeAddress("", host, 26656).is_valid


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_address, parse_listen_address):
        with contextlib.suppress(BadAddress):
            parse(text)
