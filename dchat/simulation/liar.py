"""A lying peer: connected to every node, it speaks the wire and says what it likes; it may hold a validator's key.

It sees everything (the round state of a running node), which is more than a real one can. Whoever drops it sees it
again under another identity. What it says is drawn from its own generator: lies.py is the list.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consensus.channels.peer_messages import (
    BLOCK_SYNC_CHANNEL,
    DATA_CHANNEL,
    EVIDENCE_CHANNEL,
    MEMPOOL_CHANNEL,
    STATE_CHANNEL,
    VOTE_CHANNEL,
    VOTE_SET_BITS_CHANNEL,
)
from consensus.engine.driver import ConsensusDriver
from consensus.engine.round_state import HeightState
from consensus.execution.executor import BlockExecutor
from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.base import ChannelDescriptor, Peer
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.switch import Switch
from consensus.simulation.clock import START_NS
from consensus.simulation.loop import Life, VirtualLoop
from consensus.simulation.network import Network
from consensus.state.state import State
from crypto.keys import PrivKey
from dchat.simulation.laws import Judge

CHANNELS = (
    STATE_CHANNEL, DATA_CHANNEL, VOTE_CHANNEL, VOTE_SET_BITS_CHANNEL, MEMPOOL_CHANNEL, EVIDENCE_CHANNEL,
    BLOCK_SYNC_CHANNEL, 0x70,
)  # fmt: skip
MESSAGE_BYTES_MAX = 1 << 20
HEARD_MAX = 200  # messages that it can repeat
REDIAL_S = 1.5
ANOTHER_SELF_S = 3.0  # at most so often
PORT = 26_656


@dataclass(frozen=True, slots=True)
class View:
    """What it sees of a running node, at one moment."""

    driver: ConsensusDriver
    executor: BlockExecutor

    @property
    def state(self) -> State:
        return self.driver.state

    @property
    def rounds(self) -> HeightState:
        return self.driver.round_state


class _Ears:
    """A reactor on all channels that never objects."""

    def __init__(self) -> None:
        self.heard: deque[tuple[int, bytes]] = deque(maxlen=HEARD_MAX)
        self.channels = tuple(ChannelDescriptor(id, f"lies {id:#x}", 5, 100, MESSAGE_BYTES_MAX) for id in CHANNELS)

    def add_peer(self, peer: Peer) -> None:
        pass

    def remove_peer(self, peer: Peer, reason: str) -> None:
        pass

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        self.heard.append((channel_id, bytes(message)))

    def writable(self, channel_id: int, peer: Peer) -> None:
        pass


class Liar:
    """key: the validator's that it holds, if any. look: a running node to look at, if any."""

    def __init__(
        self,
        place: int,
        key: PrivKey | None,
        *,
        loop: VirtualLoop,
        network: Network,
        chain_id: str,
        targets: Sequence[str],
        look: Callable[[], View | None],
        judge: Judge,
        rng: random.Random,
    ) -> None:
        self.name = f"liar{place}"
        self.place, self.key, self.chain_id, self.judge, self.rng = place, key, chain_id, judge, rng
        self.look = look
        self.is_rival = False  # it does nothing but propose against what is being decided
        self.proposed: set[tuple[int, int]] = set()  # heights and rounds
        self._loop, self._network, self._targets = loop, network, targets
        self._selves = 0
        self._began_s = 0.0
        self._ears = _Ears()
        self._switch: Switch | None = None
        self.life: Life | None = None

    @property
    def peers(self) -> tuple[Peer, ...]:
        return () if self._switch is None else self._switch.peers

    @property
    def heard(self) -> Sequence[tuple[int, bytes]]:
        return self._ears.heard

    def now_ns(self) -> int:
        return START_NS + int(self._loop.now_s * 1e9)

    def host(self) -> str:
        return f"30.{self.place}.{self._selves % 250}.1"

    def become(self) -> None:
        """Somebody new, with connections of its own."""
        if self.life is not None:
            self._loop.end(self.life)
            self._network.drop_host(self.host(), with_power=True)
        self._selves += 1
        self._began_s = self._loop.now_s
        self.life = Life(f"{self.name} as {self._selves}")
        self._network.power_on(self.host())
        self._loop.spawn(self.life, self._join(self.life))

    async def _join(self, life: Life) -> None:
        key = NodeKey.from_seed(bytes([200 + self.place, *self._selves.to_bytes(2, "big")]).ljust(32, b"!"))
        config = SwitchConfig(
            listen_address=f"{self.host()}:{PORT}", persistent_peers=tuple(self._targets), address_book_strict=False,
            redial_first_s=REDIAL_S,
        )  # fmt: skip
        self._switch = Switch(
            config, node_key=key, node_info=NodeInfo(key.id, "", self.chain_id, "0.38.26", b"", self.name),
            sockets=self._network.door(self.host(), life), clock=self.now_ns, rng=self.rng,
        )  # fmt: skip
        self._switch.add_reactor(self._ears)
        await self._switch.start()

    async def run(self, every_s: float, lie: Callable[[Liar], None]) -> None:
        """Lie until cancelled."""
        self.become()
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / every_s))
            since_s = self._loop.now_s - self._began_s
            if since_s > ANOTHER_SELF_S and 2 * len(self.peers) < len(self._targets):
                self.become()
            elif self.peers:
                lie(self)

    def send(self, peer: Peer, channel: int, message: bytes) -> None:
        with contextlib.suppress(ValueError):  # larger than a channel takes
            peer.try_send(channel, message)

    def some_peers(self) -> list[Peer]:
        """At least one; mostly not all."""
        peers = list(self.peers)
        return self.rng.sample(peers, self.rng.randint(1, len(peers)))

    def tell(self, channel: int, *messages: bytes) -> None:
        for peer in self.some_peers():
            for message in messages:
                self.send(peer, channel, message)
