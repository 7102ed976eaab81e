"""Messages behind their lengths, however the bytes come; and addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.abci_socket.address import SocketAddress, parse_address
from consensus.abci_socket.errors import BadMessage, BadSocketAddress
from consensus.abci_socket.frames import MESSAGE_BYTES_MAX, Frames, frame
from crypto.hash import uvarint


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_messages_are_found_however_they_are_cut(messages: list[bytes], size: int) -> None:
    data = b"".join(frame(one) for one in messages)
    frames, found = Frames(), list[bytes]()
    for at in range(0, len(data), size):
        found += frames.feed(data[at : at + size])
    assert found == messages
    assert frames.is_between


def test_a_message_that_is_not_whole_is_waited_for() -> None:
    frames = Frames()
    assert frames.feed(frame(b"abc")[:-1]) == []
    assert not frames.is_between
    assert frames.feed(b"c") == [b"abc"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(uvarint(MESSAGE_BYTES_MAX + 1), f"{MESSAGE_BYTES_MAX + 1} bytes", id="one byte too many"),
        pytest.param(b"\xff\xff\xff\xff\x7f", "bytes; at most", id="a length of 35 bits"),
        pytest.param(b"\xff" * 5, "more than 5 bytes", id="a length without an end"),
    ],
)
def test_a_length_is_judged_before_its_message(data: bytes, why: str) -> None:
    with pytest.raises(BadMessage, match=why):
        Frames().feed(data)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("unix:///run/app.sock", SocketAddress("unix", path="/run/app.sock")),
        ("unix://app.sock", SocketAddress("unix", path="app.sock")),
        ("tcp://127.0.0.1:26658", SocketAddress("tcp", host="127.0.0.1", port=26_658)),
        ("tcp://[::1]:26658", SocketAddress("tcp", host="::1", port=26_658)),
        ("localhost:0", SocketAddress("tcp", host="localhost", port=0)),
    ],
)
def test_addresses(text: str, want: SocketAddress) -> None:
    assert parse_address(text) == want
    assert parse_address(str(want)) == want


@pytest.mark.parametrize(
    "text", ["", "unix://", "unix://" + "a" * 108, "tcp://:1", "tcp://h", "tcp://h:x", "tcp://h:65536", "grpc://h:1"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadSocketAddress, match="allowed"):
        parse_address(text)
