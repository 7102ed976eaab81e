"""Connections that are made before this node's parts exist: dialed, authenticated, and held until they do.

A process that takes over from another one dials while its databases are opened. Which channels it speaks, its reactors
say, so what it says of itself is held back: to the other side it is a handshake that takes its time, and no peer yet.
Nobody waits for ever: the other side's own time-out for a node info ends what is held too long, and it is dialed again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from consensus.p2p.conn.link import Link
from consensus.p2p.conn.node_info import NodeInfo


class Holding:
    """is_on: from `hold` to `end`."""

    def __init__(self) -> None:
        self.is_on = False
        self._over = asyncio.Event()
        self._failure: OSError | None = None
        self._links: dict[Link, None] = {}

    def hold(self) -> None:
        self.is_on = True

    def add(self, link: Link) -> None:
        """It proved who it is."""
        self._links[link] = None

    def release(self) -> None:
        """All parts are there, or none will be."""
        self._over.set()

    async def until_released(self) -> None:
        await self._over.wait()

    async def tries(self, work: Awaitable[None]) -> bool:
        """Whether it could be done; `check` raises why not, where no group of tasks wraps it."""
        try:
            await work
        except OSError as error:
            self._failure = error
        return self._failure is None

    def check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def end(self, info: NodeInfo) -> None:
        """Say who we are to those who are held; whoever comes from here on hears it at once."""
        self.is_on = False
        links, self._links = self._links, {}
        for link in links:
            link.go_on(info)
