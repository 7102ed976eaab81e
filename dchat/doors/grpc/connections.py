"""The connections of the gRPC door, of one client only so many.

The library accepts them in threads of its own, bounds their number in all, and tells of none. So the process looks
at its own sockets, twice a second: those of the door's port belong to gRPC, and what passes a client's share, or what
the door wants to be rid of, is shut down, which the library sees as its peer's leaving. Linux: /proc/self/fd.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog

from consensus.system.log_limit import LogLimit
from dchat.doors.reads.limits import Proxies, client_of, share_of

SWEEP_S: Final = 0.5
HANDLES: Final = "/proc/self/fd"
FULL_SHARE: Final = (7, 8)  # of all connections: past it, those of who has most go, so that others find a place

log = structlog.get_logger(__name__)
_limited = LogLimit(log, source_name="client")


class GrpcConnections:
    """port: the door's. `run` until cancelled."""

    def __init__(self, port: int, connections_max: int, proxies: Proxies | None = None) -> None:
        """proxies: whose connections are many clients'."""
        self._proxies = proxies or Proxies()
        self._port, self._connections_max = port, connections_max
        self._thread = ThreadPoolExecutor(1, "grpc connections")  # all looking is done there
        # by inode, in the order in which they were seen: the peer's address; None: no connection of the door's
        self._known: dict[int, tuple[str, int] | None] = {}
        self.size = self.shut_down = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                await asyncio.sleep(SWEEP_S)
                try:
                    await loop.run_in_executor(self._thread, self.sweep)
                except Exception as error:  # what could not be looked at now is looked at next time
                    _limited.error("failed to look at the gRPC connections", "any", error=repr(error), exc_info=error)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def shut(self, peer: str) -> None:
        """End the connection of a peer as gRPC names it, `ipv4:1.2.3.4:567`."""
        with contextlib.suppress(RuntimeError):  # the door closes, and all connections with it
            self._thread.submit(self._shut_peer, peer)

    def sweep(self) -> None:
        """Look, and shut down what is too much, the newest first."""
        handles = dict(self._look())
        ours = [(inode, peer) for inode, peer in self._known.items() if peer is not None]
        held = Counter(client_of(peer[0]) for _, peer in ours)
        of_proxies = {client_of(peer[0]) for _, peer in ours if self._proxies.has(peer[0])}
        self.size = total = len(ours)
        full = self._connections_max * FULL_SHARE[0] // FULL_SHARE[1]
        for inode, peer in reversed(ours):
            client = client_of(peer[0])
            is_greediest = total > full and held[client] == max(held.values()) and held[client] > 1
            share = self._connections_max if client in of_proxies else share_of(self._connections_max, client)
            if held[client] > share or (is_greediest and client not in of_proxies):
                held[client] -= 1
                total -= 1
                _limited.warning("shut down a gRPC connection: too many", client, connections=held[client] + 1)
                self._shut(handles[inode], inode)

    def _shut_peer(self, peer: str) -> None:
        host, _, port = urllib.parse.unquote(peer).partition(":")[2].rpartition(":")
        handles = dict(self._look())
        for inode, known in self._known.items():
            if known is not None and str(known[1]) == port and client_of(known[0]) == client_of(host.strip("[]")):
                self._shut(handles[inode], inode)

    def _look(self) -> Iterator[tuple[int, int]]:
        """(inode, handle) of each socket of the process; `_known` is brought up to date."""
        seen: dict[int, tuple[str, int] | None] = {}
        found = {}
        for name in os.listdir(HANDLES):
            handle = int(name)
            with contextlib.suppress(OSError):  # closed meanwhile
                status = os.fstat(handle)
                if stat.S_ISSOCK(status.st_mode):
                    inode = status.st_ino
                    found[inode] = handle
                    seen[inode] = self._known[inode] if inode in self._known else self._peer_of(handle)
        before = {inode: peer for inode, peer in self._known.items() if inode in seen}
        self._known = {**before, **seen}
        return iter(found.items())

    def _peer_of(self, handle: int) -> tuple[str, int] | None:
        with socket.socket(fileno=os.dup(handle)) as own:
            if own.family not in (socket.AF_INET, socket.AF_INET6) or own.type != socket.SOCK_STREAM:
                return None
            try:
                if own.getsockname()[1] != self._port:
                    return None
                peer = own.getpeername()
            except OSError:  # it listens, or its peer has left
                return None
        return str(peer[0]), int(peer[1])

    def _shut(self, handle: int, inode: int) -> None:
        with contextlib.suppress(OSError):
            duplicate = os.dup(handle)  # of whatever has the number now: so it is looked at again
            with socket.socket(fileno=duplicate) as own:
                if os.fstat(duplicate).st_ino == inode:
                    own.shutdown(socket.SHUT_RDWR)
                    self.shut_down += 1
