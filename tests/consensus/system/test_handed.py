"""Sockets that one process leaves to the next: nobody is refused, and what nobody takes is closed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from consensus.p2p.conn.sockets import TcpSockets
from consensus.system.handed import Handed, listening_sockets, share_port
from tests.support.patience import PATIENCE_S

HOST = "127.0.0.1"


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as made:
        yield made


@pytest.mark.parametrize(
    ("asked", "is_taken"),
    [
        pytest.param(lambda at: [at], True, id="its own address"),
        pytest.param(lambda at: [(HOST, 1)], False, id="another port"),
        pytest.param(lambda at: [("127.0.0.2", at[1])], False, id="another host"),
        pytest.param(lambda at: [at, ("::1", at[1], 0, 0)], False, id="one of two is missing"),
    ],
)
def test_a_part_is_given_what_listens_at_its_address(listening: socket.socket, asked: object, is_taken: bool) -> None:
    handed = Handed([listening.dup()])
    assert callable(asked)
    wanted = asked(listening.getsockname())
    taken = handed.take(wanted)
    assert bool(taken) == is_taken
    for one in taken:
        assert one.getsockname() == listening.getsockname()
        one.close()
    is_wanted = listening.getsockname() in wanted
    assert handed.close() == (0 if is_wanted else 1)  # what was asked for in vain is closed at once
    assert handed.close() == 0


def test_what_listens_is_found_and_nothing_else(listening: socket.socket) -> None:
    address = listening.getsockname()
    with socket.create_connection(address), listening.accept()[0]:
        found = listening_sockets()
        assert address in [one.getsockname() for one in found]
        for one in found:
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            one.close()


async def test_who_connects_between_two_processes_is_served_by_the_second() -> None:
    """The first has closed its own; the second has not begun."""
    first = await TcpSockets().listen(asyncio.Protocol, HOST, 0)
    sockets = [one for one in listening_sockets() if one.getsockname()[1] == first.port]
    port = first.port
    first.close()
    with socket.create_connection((HOST, port), timeout=PATIENCE_S):
        came = asyncio.Event()

        class Serves(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                transport.close()
                came.set()

        second = await TcpSockets(Handed(sockets)).listen(Serves, HOST, port)
        assert second.port == port
        async with asyncio.timeout(10):
            await came.wait()
        second.close()


def test_a_port_is_shared_only_once_that_was_said(listening: socket.socket) -> None:
    """Two nodes on one port are a mistake, but for the moment of a hand-over."""
    port = listening.getsockname()[1]

    def listen_too(*, shares: bool) -> socket.socket:
        other = socket.socket()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shares))
        try:
            other.bind((HOST, port))
            other.listen()
        except OSError:
            other.close()
            raise
        return other

    with pytest.raises(OSError, match="in use"):
        listen_too(shares=True)
    assert share_port(port)
    with pytest.raises(OSError, match="in use"):
        listen_too(shares=False)
    with listen_too(shares=True) as other:
        assert other.getsockname()[1] == port
    assert not share_port(1)
