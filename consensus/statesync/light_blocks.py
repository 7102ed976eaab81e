"""Light blocks from peers of our own kind (channel 0x62), one question a peer at a time. What they say is not verified.

A peer's answers come in the order of its questions, and say no height where there is none: so there is one at a time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from consensus.channels.state_sync_messages import (
    LIGHT_BLOCK_CHANNEL,
    LIGHT_BLOCK_MESSAGE_BYTES_MAX,
    LightBlockRequest,
)
from consensus.p2p.conn.base import Peer, PeerFault
from consensus.system.errors import EngineError
from consensus.types.light import LightBlock

ANSWER_S: Final = 10.0
BAN_S: Final = 300


class NoLightBlock(EngineError):
    """This peer has none of the height."""


class NoReply(EngineError):
    """This peer left, is busy, or said nothing in time."""


@dataclass(slots=True, eq=False)
class _Asked:
    peer: Peer
    height: int
    answer: asyncio.Future[LightBlock]


class PeerLightBlocks:
    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._asked: dict[str, _Asked] = {}
        self._late: dict[str, int] = {}  # peer id -> answers that we gave up waiting for

    @property
    def peers(self) -> list[Peer]:
        """Whom one can ask now: named ones first, then those that we dialed; who is late with an answer last."""
        able = [peer for peer in self._peers.values() if peer.id not in self._asked]
        return sorted(able, key=lambda it: (self._late.get(it.id, 0), not it.is_persistent, not it.is_outbound))

    def add_peer(self, peer: Peer) -> None:
        if peer.has_channel(LIGHT_BLOCK_CHANNEL):
            self._peers[peer.id] = peer

    def remove_peer(self, peer: Peer) -> None:
        if self._peers.get(peer.id) is peer:
            del self._peers[peer.id]
            self._late.pop(peer.id, None)
            asked = self._asked.get(peer.id)
            if asked is not None and not asked.answer.done():
                asked.answer.set_exception(NoReply("it left"))

    async def ask(self, peer: Peer, height: int) -> LightBlock:
        """Raises NoLightBlock, NoReply."""
        if self._peers.get(peer.id) is not peer or peer.id in self._asked or self._late.get(peer.id):
            raise NoReply("it is not there, or has a question of ours")
        asked = _Asked(peer, height, asyncio.get_running_loop().create_future())
        self._asked[peer.id] = asked
        try:
            if not peer.try_send(LIGHT_BLOCK_CHANNEL, LightBlockRequest(height).encode()):
                raise NoReply("it takes no questions")
            peer.expect(LIGHT_BLOCK_CHANNEL, LIGHT_BLOCK_MESSAGE_BYTES_MAX, 6 * ANSWER_S)
            async with asyncio.timeout(ANSWER_S):
                return await asked.answer
        except TimeoutError:
            raise NoReply(f"it said nothing about header {height} for {ANSWER_S:g} s") from None
        finally:
            if self._asked.get(peer.id) is asked:
                del self._asked[peer.id]
                if not asked.answer.done() or asked.answer.cancelled():
                    self._late[peer.id] = self._late.get(peer.id, 0) + 1

    def take(self, peer: Peer, block: LightBlock | None) -> None:
        """Raises PeerFault."""
        if self._late.get(peer.id):
            self._late[peer.id] -= 1
            peer.useless("a light block that came too late")
            return
        asked = self._asked.get(peer.id)
        if asked is None or asked.peer is not peer or asked.answer.done():
            peer.useless("a light block that was not asked for")
            return
        if block is None:
            asked.answer.set_exception(NoLightBlock(f"it has no header {asked.height}"))
            return
        if block.height != asked.height:
            raise PeerFault(f"state sync: asked for header {asked.height}, got {block.height}", ban_s=BAN_S)
        asked.answer.set_result(block)
        peer.useful()
