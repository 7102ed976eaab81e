"""Node info: encoding, and each check in upstream's order. Table after the p2p sheet, section 3."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.p2p.conn.errors import BadNodeInfo, ForeignChain
from consensus.p2p.conn.node_info import NodeInfo
from tests.support.p2p.peers import info


def test_it_survives_the_wire() -> None:
    ours = info("a", app_protocol=3, rpc_address="tcp://127.0.0.1:26657", tx_index="off", genesis_hash=b"\x01" * 33)
    assert NodeInfo.decode(ours.encode()) == ours
    empty = info("a", tx_index="")
    assert NodeInfo.decode(empty.encode()) == empty
    assert empty.encode().endswith(b"\x42\x00")  # `other` is always written, also when nothing is in it


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"id": "abc"}, "listen_addr"),
        ({"listen_address": "not-an-address"}, "listen_addr"),
        ({"listen_address": ""}, "listen_addr"),
        ({"version": " "}, "version"),
        ({"version": "é"}, "version"),
        ({"version": "\n1"}, "version"),
        ({"channels": bytes(range(17))}, "17 channels"),
        ({"channels": b"\x20\x20"}, "twice"),
        ({"moniker": ""}, "moniker"),
        ({"moniker": "  "}, "moniker"),
        ({"moniker": "a\tb"}, "moniker"),
        ({"moniker": "ünïcode"}, "moniker"),
        ({"tx_index": "yes"}, "tx_index"),
        ({"rpc_address": " "}, "rpc_address"),
        ({"rpc_address": "\x01"}, "rpc_address"),
        ({"genesis_hash": bytes(65)}, "genesis_hash of 65 bytes"),
        ({"moniker": "", "tx_index": "yes", "version": "é"}, "version"),
        ({"moniker": "", "tx_index": "yes"}, "moniker"),
    ],
)
def test_contents_that_are_refused(changes: dict[str, Any], why: str) -> None:
    info("a").validate()
    with pytest.raises(BadNodeInfo, match=why):
        info("a", **changes).validate()


@pytest.mark.parametrize(
    "changes",
    [{"version": ""}, {"tx_index": ""}, {"rpc_address": ""}, {"channels": b""}, {"channels": bytes(range(16))}],
)
def test_contents_that_are_good(changes: dict[str, Any]) -> None:
    info("a", **changes).validate()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"block_protocol": 10}, "block protocol is 10, expected 11"),
        ({"network": "other"}, "network is 'other'"),
        ({"channels": b"\x01"}, "no channel"),
        ({"block_protocol": 10, "network": "other"}, "block protocol"),
        ({"network": "other", "channels": b""}, "network"),
    ],
)
def test_peers_that_do_not_fit(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadNodeInfo, match=why):
        info("a").check_compatible(info("b", **changes))


@pytest.mark.parametrize(
    "changes", [{"p2p_protocol": 99}, {"app_protocol": 99}, {"version": "9"}, {"channels": b"\x22\x99"}]
)
def test_peers_that_fit(changes: dict[str, Any]) -> None:
    """p2p and app versions are not compared; one common channel is enough."""
    info("a").check_compatible(info("b", **changes))
    replace(info("a"), channels=b"").check_compatible(info("b", **changes))


@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [
        pytest.param(b"\x01a", b"\x01a", True, id="the same"),
        pytest.param(b"\x01a", b"\x01b", False, id="another genesis of the same chain id"),
        pytest.param(b"\x01a", b"", True, id="upstream's nodes tell none"),
        pytest.param(b"", b"\x01a", True, id="nor do we"),
        pytest.param(b"\x01a", b"\x02b", True, id="hashes of another form cannot be compared"),
    ],
)
def test_nodes_that_began_with_another_genesis_say_so(ours: bytes, theirs: bytes, fits: bool) -> None:
    one, other = info("a", genesis_hash=ours), info("b", genesis_hash=theirs)
    with (
        contextlib.nullcontext()
        if fits
        else pytest.raises(ForeignChain, match=f"another genesis: .* is {theirs.hex()}")
    ):
        one.check_compatible(NodeInfo.decode(other.encode()))


@given(st.binary(max_size=100))
def test_random_bytes_are_refused_or_read(data: bytes) -> None:
    with contextlib.suppress(BadNodeInfo):
        NodeInfo.decode(data).validate()
