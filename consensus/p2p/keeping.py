"""Keeps a switch connected to the peers that its operator named, as long as they are named."""

from __future__ import annotations

import asyncio
from functools import partial
from random import Random
from typing import Protocol

import structlog

from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.address import NodeAddress
from consensus.p2p.conn.errors import AlreadyConnected, P2PError
from consensus.p2p.conn.peer import SwitchPeer
from consensus.p2p.reputation import STEADY_S
from consensus.p2p.tasks import Children

log = structlog.get_logger()


class Dialing(Protocol):
    """What it needs of the switch. pins: host and port -> the id first seen there."""

    config: SwitchConfig
    pins: dict[str, str]
    rng: Random
    children: Children

    def peer(self, peer_id: str) -> SwitchPeer | None: ...

    async def dial(self, address: NodeAddress, *, persistent: bool = False) -> SwitchPeer: ...


class Keeping:
    """ids: of named peers, also of those whose address names none and whose id was pinned."""

    def __init__(self, switch: Dialing) -> None:
        self._switch = switch
        self.ids = {address.id for address in switch.config.persistent_addresses if address.id}
        self._kept: set[NodeAddress] = set()  # that a task redials

    def name(self, config: SwitchConfig) -> None:
        """Others are named from now on. Who is not any more is not redialed when it leaves."""
        named, pins = config.persistent_addresses, self._switch.pins
        pinned = {pins.get(address.host_port, "") for address in named if not address.id}
        self.ids = ({address.id for address in named} | pinned) - {""}

    def keep(self, address: NodeAddress) -> None:
        """Of a switch that runs."""
        if address not in self._kept:
            self._kept.add(address)
            self._switch.children.spawn(f"keep {address}", partial(self._keep_connected, address))

    async def _keep_connected(self, address: NodeAddress) -> None:
        """Redial; the wait grows to `redial_max_s` and starts over after a steady time."""
        failures, switch = 0, self._switch
        loop = asyncio.get_running_loop()
        while address in switch.config.persistent_addresses:
            began = loop.time()
            peer_id = address.id or switch.pins.get(address.host_port, "")
            if peer_id:  # one pinned before the start as well
                self.ids.add(peer_id)
            peer = switch.peer(peer_id)
            try:
                if peer is None:
                    peer = await switch.dial(address, persistent=True)
            except AlreadyConnected as error:
                peer = switch.peer(error.peer_id)
            except P2PError as error:
                failures += 1
                if failures & (failures - 1) == 0:  # the 1st, 2nd, 4th, 8th...: it may go on for days
                    log.warning("failed to reach a persistent peer", attempts=failures, reason=str(error))
            if peer is not None:
                await peer.gone.wait()
                failures = 0 if loop.time() - began >= STEADY_S else min(failures, 4) + 1
            wait_s = min(switch.config.redial_first_s * 2 ** min(failures, 32), switch.config.redial_max_s)
            await asyncio.sleep(wait_s * switch.rng.uniform(0.75, 1.25))
        self._kept.discard(address)
