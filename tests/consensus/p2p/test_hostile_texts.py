"""Every text that a peer sends, at its worst and longest: refused or read, in work that its length bounds.

Work is lines of Python run and, for what C does between two of them, a generous CPU alarm that only a blow-up reaches.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.p2p.conn.address import ADDRESS_CHARS_MAX, parse_address, parse_listen_address
from consensus.p2p.conn.base import PeerFault
from consensus.p2p.conn.errors import BadAddress, BadNodeInfo
from consensus.p2p.conn.node_info import NODE_INFO_BYTES_MAX, NodeInfo
from consensus.p2p.pex import MESSAGE_BYTES_MAX, _checked
from proto.tendermint.p2p import types_pb2
from tests.support.p2p.peers import info
from tests.support.uncollected import uncollected

ID = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
REFUSAL_CHARS_MAX = 12 * ADDRESS_CHARS_MAX  # escaped, and told twice
ALARM_CPU_S = 5  # the old host pattern needed longer than the universe for what is fed here


class TooMuchWork(Exception):
    pass


@contextmanager
def bounded_work(lines_max: int) -> Iterator[None]:
    """Raises TooMuchWork when the block runs more lines, or C code for seconds on end.

    No collection comes between: a finalizer of what another test left would be counted, and end in an error of its own.
    """
    lines = 0

    def count(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        if lines > lines_max:
            raise TooMuchWork(f"more than {lines_max} lines")
        return count

    def alarm(signum: int, frame: FrameType | None) -> None:
        raise TooMuchWork(f"{ALARM_CPU_S} s of CPU")

    before = signal.signal(signal.SIGPROF, alarm)
    tracer = sys.gettrace()
    signal.setitimer(signal.ITIMER_PROF, ALARM_CPU_S)
    sys.settrace(count)
    try:
        with uncollected():
            yield
    finally:
        sys.settrace(tracer)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def why_refused(read: Callable[[Any], object], value: Any) -> str:
    """The refusal's text; empty when it was read."""
    try:
        read(value)
    except (BadAddress, BadNodeInfo, PeerFault) as error:
        return str(error)
    return ""


def worst_hosts(size: int) -> dict[str, str]:
    return {
        "letters, then what fits nowhere": "a" * (size - 1) + "!",
        "one label": "a" * size,
        "labels of one": ("a." * size)[:size],
        "dots": "." * size,
        "digits": "1" * size,
        "an IPv6 that never ends": ("1:" * size)[:size],
        "a zone": "fe80::1%" + "z" * (size - 8),
        "at signs": "@" * size,
        "schemes": ("a://" * size)[:size],
        "slashes": "/" * size,
        "brackets": "[" * size,
        "not ASCII": "é" * size,
        "surrogate pairs": "\U0001f600" * (size // 4),
        "a line break": "a\n" * (size // 2),
    }


SIZES = (25, 63, 64, 253, 254, ADDRESS_CHARS_MAX - 50, ADDRESS_CHARS_MAX, NODE_INFO_BYTES_MAX)
FORMS: dict[str, Callable[[str], str]] = {
    "host": lambda text: f"{ID}@{text}:26656",
    "whole": lambda text: text,
    "id": lambda text: f"{text}@127.0.0.1:26656",
    "port": lambda text: f"{ID}@127.0.0.1:{text}",
    "scheme": lambda text: f"{text}://{ID}@127.0.0.1:1",
    "multiaddress": lambda text: f"/dns4/{text}/tcp/1/p2p/{ID}",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", FORMS)
def test_addresses(form: str, size: int) -> None:
    """audit 1: 25 letters as `listen_addr` held the loop and the interpreter for 19 s, each letter twice as long"""
    for name, text in worst_hosts(size).items():
        for parse in (parse_address, parse_listen_address):
            with bounded_work(2_000):
                refusal = why_refused(parse, FORMS[form](text))
            assert len(refusal) < REFUSAL_CHARS_MAX, (name, "an error is no copy of what was sent")


@pytest.mark.parametrize("field", ["listen_address", "id", "network", "version", "moniker", "tx_index", "rpc_address"])
def test_node_info(field: str) -> None:
    """audit 1: each text of a node info, as long as the wire lets it be."""

    def judge(data: bytes) -> None:
        theirs = NodeInfo.decode(data)
        theirs.validate()
        info("a").check_compatible(theirs)

    for name, text in worst_hosts(NODE_INFO_BYTES_MAX - 200).items():
        for value in (text, f"tcp://{text}:26656", text[:25] + "!:26656", text[:200] + ":1"):
            data = replace(info("b"), **{field: value}).encode()
            with bounded_work(12 * NODE_INFO_BYTES_MAX):
                refusal = why_refused(judge, data)
            assert len(refusal) < REFUSAL_CHARS_MAX, (field, name)


@pytest.mark.parametrize("field", ["id", "ip"])
def test_exchanged_addresses(field: str) -> None:
    """audit 1: the texts of an address that a peer passes on; a zone is no part of an IP that somebody else can use."""
    for text in worst_hosts(MESSAGE_BYTES_MAX - 60).values():
        for value in (text, text[:40], text[:253]):
            row = types_pb2.NetAddress(**({"id": ID, "ip": "10.0.0.1", "port": 1} | {field: value}))
            with bounded_work(2_000):
                refusal = why_refused(_checked, row)
            assert len(refusal) < REFUSAL_CHARS_MAX


@pytest.mark.parametrize("ip", ["fe80::1%eth0", "::1%" + "z" * 200, "::1%\x1b[31m"])
def test_a_zone_is_no_part_of_an_address(ip: str) -> None:
    """audit 1: it names an interface of somebody else's machine, in any letters that he likes."""
    with pytest.raises(PeerFault):
        _checked(types_pb2.NetAddress(id=ID, ip=ip, port=1))
    with pytest.raises(BadAddress):
        parse_address(f"{ID}@[{ip}]:1")


@given(st.text(st.sampled_from("a.-_:@[]/%1é"), max_size=2 * ADDRESS_CHARS_MAX))
def test_any_text(text: str) -> None:
    """audit 1"""
    for parse in (parse_address, parse_listen_address):
        with bounded_work(2_000):
            why_refused(parse, text)
