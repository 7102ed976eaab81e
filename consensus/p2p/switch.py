"""The switch: which peers we have, how they come and go, and who hears their messages.

One object per node, on the event loop. Links (connections) have no tasks; what waits (persistent peers' redialling,
services such as address exchange) runs in one TaskGroup, and `run` returns only when all of it is gone.
A peer can cost us that peer, never more. Of two nodes that dial each other at once the lower id's dial is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from consensus.formats.units import NS_PER_S
from consensus.p2p.admission import FAULTS_FORGIVEN, Bans, ForeignChains, Gate
from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.address import NodeAddress
from consensus.p2p.conn.base import ChannelDescriptor, Network, Peer, PeerFault, Reactor
from consensus.p2p.conn.budget import PeerBudget, SharedBudget
from consensus.p2p.conn.connection import MultiplexConnection
from consensus.p2p.conn.errors import AlreadyConnected, BadNodeInfo, DialError, NoOffence, P2PError, Rejected
from consensus.p2p.conn.link import Link, Phase, may_lead_elsewhere
from consensus.p2p.conn.node_info import CHANNELS_MAX, NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.conn.peer import PeerStatus, SwitchPeer, who_frees_memory
from consensus.p2p.conn.sockets import Listener, Sockets, TcpSockets
from consensus.p2p.holding import Holding
from consensus.p2p.keeping import Keeping
from consensus.p2p.places import Places
from consensus.p2p.reputation import Reputation
from consensus.p2p.tasks import Children
from consensus.system.log_limit import LogLimit

log = structlog.get_logger()
loud = LogLimit(log)  # for lines that strangers can cause at will

DUPLICATE_SILENT_S = 5.0  # a peer this silent that proves its key anew has lost the old connection
SWEEP_S = 5.0  # between two looks for messages that do not end and readers that do not read
STUCK_S = 30.0
PINS_MAX = 1_024  # addresses without id come from the configuration only

ConnectionFilter = Callable[[str, int], None]  # (host, port); raises Rejected
PeerFilter = Callable[[NodeInfo], None]  # raises Rejected


class Switch:
    """Implements consensus.p2p.conn.base.Network.

    `node_info` needs id, network, version and moniker; channels and listen address are filled in here.
    `clock` gives nanoseconds since the epoch, best without jumps (bans, dates); waits use the running loop's time.
    `work_ns` and `slice_ns` measure what peers cost; a simulator gives clocks that stand.
    """

    def __init__(
        self,
        config: SwitchConfig,
        *,
        node_key: NodeKey,
        node_info: NodeInfo,
        sockets: Sockets | None = None,
        clock: Callable[[], int] = time.time_ns,
        rng: random.Random | None = None,
        work_ns: Callable[[], int] = time.thread_time_ns,
        slice_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.config = config
        self.id = node_key.id
        self.clock = clock
        self.rng = rng if rng is not None else random.Random()
        self.bans = Bans(clock)
        self.foreign_chains = ForeignChains()
        self.pins: dict[str, str] = {}  # host:port of an address without id -> the id first seen there
        self.connection_filters: list[ConnectionFilter] = []
        self.peer_filters: list[PeerFilter] = []
        self.is_known_good: Callable[[str], bool] = lambda peer_id: False  # the address book says
        self.on_own_address: Callable[[NodeAddress], None] = lambda address: None
        self.counters: Counter[str] = Counter()  # refused, handshake_failed, peers_lost, reactor_failed, ...
        self._key = node_key
        self._info = replace(node_info, id=node_key.id)
        self._sockets = sockets if sockets is not None else TcpSockets()
        self._reactors: list[Reactor] = []
        self._descriptors: list[ChannelDescriptor] = []
        self._reactor_of: dict[int, Reactor] = {}
        self._services: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._peers: dict[str, SwitchPeer] = {}
        self._peers_tuple: tuple[SwitchPeer, ...] = ()
        self._links: set[Link] = set()  # that are no peers yet: connecting, shaking hands
        self._dialing: dict[Link, asyncio.Future[SwitchPeer]] = {}  # by whom `dial` waits
        self._closing: set[Link] = set()  # that may still write
        self._keeping = Keeping(self)
        self.on_change: Callable[[SwitchConfig], None] = lambda config: None  # told of other names and limits
        self._places = Places(config, self._is_exempt)
        self._traffic_gone: Counter[tuple[str, int]] = Counter()
        self._socket_bytes_gone = [0, 0]
        self._work_ns, self._slice_ns = work_ns, slice_ns
        self._shared: SharedBudget | None = None
        self._reputation: Reputation | None = None
        self._listener: Listener | None = None
        self._gate: Gate[Link] | None = None
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._holding = Holding()
        self._stopping = False
        self._all_closed = asyncio.Event()
        self.children = Children()
        self._main: asyncio.Task[None] | None = None

    # --- setting up -------------------------------------------------------------------------------------------

    def add_reactor(self, reactor: Reactor) -> None:
        """Register a reactor and its channels; before `run`."""
        assert not self._started.is_set() or self._holding.is_on, "reactors are added before the switch runs"
        for descriptor in reactor.channels:
            taken = self._reactor_of.setdefault(descriptor.id, reactor)
            if taken is not reactor:
                raise ValueError(f"channel {descriptor.id:#04x} ({descriptor.name}) belongs to {taken!r} already")
            self._descriptors.append(descriptor)
        if len(self._descriptors) > CHANNELS_MAX:
            raise ValueError(f"{len(self._descriptors)} channels, at most {CHANNELS_MAX} fit into a node info")
        self._reactors.append(reactor)

    def add_service(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        """Run `service()` as a task while the switch runs; it is cancelled at the end."""
        assert not self._started.is_set() or self._holding.is_on, "services are added before the switch runs"
        self._services.append((name, service))

    async def start(self) -> None:
        """Start `run` in a task of its own and return when we listen; or go on after `hold`. Raises OSError: the port
        is taken."""
        if self._holding.is_on:
            self._started.clear()
            self._holding.release()
        else:
            assert self._main is None, "a switch starts once"
            self._main = asyncio.create_task(self.run(), name=f"switch {self._info.moniker}")
        assert self._main is not None
        started = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait({started, self._main}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            started.cancel()
        if self._main.done():
            failed, self._main = self._main, None  # nothing has begun that `stop` would end, and say again
            await failed

    async def hold(self) -> None:
        """Dial the named peers and prove who we are, before there are reactors; `start` goes on from there."""
        self._holding.hold()
        self._main = asyncio.create_task(self.run(), name=f"switch {self._info.moniker}")
        await self._started.wait()

    async def stop(self) -> None:
        """Stop listening, say what is queued, close everything. Raises what `run` failed with."""
        self._stop.set()
        self._holding.release()
        if self._main is not None:
            await self._main

    async def ended(self) -> None:
        """Return when a started switch has stopped. Raises what it failed with."""
        assert self._main is not None, "not started"
        await asyncio.wait({self._main})
        self._main.result()

    async def run(self) -> None:
        """Run until `stop`. Raises OSError (listening). A service that fails begins anew (`children`)."""
        loop = asyncio.get_running_loop()
        config = self.config
        self._shared = SharedBudget(config.budget, loop, work_ns=self._work_ns, slice_ns=self._slice_ns)
        forgotten_s = config.budget.useless_max / config.budget.useless_per_s
        self._reputation = Reputation(loop.time, wait_max_s=forgotten_s, is_known_good=self.is_known_good)
        self._gate = Gate(
            total_max=config.unauthenticated_max, per_host_max=config.unauthenticated_per_ip_max,
            per_host_per_s=config.accepts_per_ip_per_s, per_s=config.accepts_per_s, time_s=loop.time,
        )  # fmt: skip
        for address in config.persistent_addresses:
            if address.ip is not None:
                self._gate.add_known(address.host)
        try:
            if not self._holding.is_on:
                await self._listen(loop)
            async with asyncio.TaskGroup() as tasks:
                self.children.group = tasks
                self._started.set()
                for address in config.persistent_addresses:
                    self._keeping.keep(address)
                if self._holding.is_on:
                    await self._go_on(loop)
                self.children.spawn("sweep", self._sweep)
                for name, service in self._services:
                    self.children.spawn(name, service)
                await self._stop.wait()
                self.children.cancel()
            self._holding.check()
        finally:
            self._stopping = True
            if self._listener is not None:
                self._listener.close()
            await self._close_all()

    async def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        channels = bytes(descriptor.id for descriptor in self._descriptors)
        at, told = self.config.listen_at, self.config.external
        if at is not None:
            self._listener = await self._sockets.listen(lambda: self._new_link(loop), at.host, at.port)
            at = replace(at, port=self._listener.port)
            log.info("listened", address=at.host_port, node_id=self.id)
        shown = told or at or NodeAddress("", "0.0.0.0", 0)
        self._info = replace(self._info, channels=channels, listen_address=f"tcp://{shown.host_port}")
        self._info.validate()

    async def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """From held to running, once the reactors are here; or to the end. Raises nothing before the others ended."""
        await self._holding.until_released()
        if self._stop.is_set() or not await self._holding.tries(self._listen(loop)):
            self._stop.set()
            return
        self._holding.end(self._info)
        self._started.set()

    async def _close_all(self) -> None:
        """Flush and close every link; cut those that are not done in time."""
        for link in (*self._links, *(peer.link for peer in self._peers.values())):
            if link.is_open:
                self._closing.add(link)
            link.close("we stop", flush=True)
        if self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.config.stop_timeout_s):
                    await self._all_closed.wait()
        for link in tuple(self._closing):
            link.abort()
        for peer in tuple(self._peers.values()):
            self._remove(peer, "we stop")

    # --- what reactors and doors ask --------------------------------------------------------------------------

    @property
    def node_info(self) -> NodeInfo:
        """What we tell peers; complete once the switch runs."""
        return self._info

    @property
    def listen_port(self) -> int:
        return self._listener.port if self._listener is not None else 0

    @property
    def peers(self) -> tuple[SwitchPeer, ...]:
        return self._peers_tuple

    def peer(self, peer_id: str) -> SwitchPeer | None:
        return self._peers.get(peer_id)

    def peer_statuses(self) -> tuple[PeerStatus, ...]:
        return tuple(peer.status() for peer in self._peers_tuple)

    def broadcast(self, channel_id: int, message: bytes) -> None:
        for peer in self._peers_tuple:
            peer.try_send(channel_id, message)

    def drop_peer(self, peer: Peer, reason: str, *, ban_s: int = 0) -> None:
        """Close the peer's connection; the reactors hear of it in a later turn. With `ban_s` it gave offence."""
        ours = self._peers.get(peer.id)
        if ours is not None and (ours is peer or not isinstance(peer, SwitchPeer)):
            if ban_s > 0:
                self._offended(ours, reason, ban_s=ban_s)
            else:
                ours.link.close(reason)
        elif ban_s > 0:
            self.ban(peer.id, ban_s, reason=reason)

    def release_peer(self, peer: Peer, reason: str) -> None:
        """Close without a fault of the peer: what is queued for it still leaves."""
        ours = self._peers.get(peer.id)
        if ours is not None:
            ours.link.close(reason, flush=True)

    def ban(self, peer_id: str, ban_s: int, *, reason: str) -> None:
        """Keep the peer away for a while. One that the operator named is dropped and redialled, never kept away: a
        fault of ours, or a day's ban over a slip, would cut a validator off its network."""
        if self._is_exempt(peer_id):
            self.counters["named_faults"] += 1
            loud.warning("a peer that was named broke the protocol", peer_id, reason=reason)
            return
        self.bans.ban(peer_id, ban_s)
        self.counters["banned"] += 1
        loud.warning("banned a peer", peer_id, ban_s=ban_s, reason=reason)

    def _misses_named(self) -> bool:
        """Whether a connection may be that of a peer which the operator named: from where it comes we can't know."""
        return not self._peers.keys() >= (self.config.unconditional_peer_ids | self._keeping.ids)

    def ban_left_s(self, peer_id: str) -> float:
        """Seconds of its ban; who was named since is not banned any more."""
        return 0.0 if self._is_exempt(peer_id) else self.bans.left_s(peer_id)

    def is_connected(self, peer_id: str) -> bool:
        return peer_id in self._peers

    def is_under_way(self, address: NodeAddress) -> bool:
        """Connected to it, dialing it, or shaking hands with it."""
        if address.id and (address.id in self._peers or address.id == self.id):
            return True
        return any(self._names(link, address.id) or link.is_dialing(address) for link in self._links)

    @property
    def outbound_count(self) -> int:
        """Outbound peers and dials under way."""
        return sum(p.is_outbound for p in self._peers_tuple) + sum(link.is_outbound for link in self._links)

    @property
    def inbound_count(self) -> int:
        return sum(not p.is_outbound for p in self._peers_tuple)

    def traffic(self) -> dict[tuple[str, int], int]:
        """{("in" or "out", channel id): bytes of packets}, of all peers since the start."""
        total = Counter(self._traffic_gone)
        for peer in self._peers.values():
            peer.add_traffic(total)
        return dict(total)

    def socket_bytes(self) -> dict[str, int]:
        """{"in", "out"}: bytes of all sockets since the start, frames and handshakes included."""
        totals = list(self._socket_bytes_gone)
        for link in (*self._links, *(peer.link for peer in self._peers.values())):
            totals[0] += link.bytes_in
            totals[1] += link.bytes_out
        return {"in": totals[0], "out": totals[1]}

    # --- dialing ----------------------------------------------------------------------------------------------

    async def dial(self, address: NodeAddress, *, persistent: bool = False) -> SwitchPeer:
        """Connect to `address` and return the peer.

        Raises AlreadyConnected, Rejected (by our own rules), DialError (it did not work; the text says why).
        """
        pinned = self.pins.get(address.host_port) if not address.id else None
        if pinned is not None:
            address = address.with_id(pinned)
        self._check_dial(address, persistent=persistent)
        link = self._new_link(asyncio.get_running_loop(), dialed=address, persistent=persistent)
        self._links.add(link)
        self.counters["dialed"] += 1
        established: asyncio.Future[SwitchPeer] = asyncio.get_running_loop().create_future()
        self._dialing[link] = established
        try:
            async with asyncio.timeout(self.config.dial_timeout_s):
                await self._sockets.connect(lambda: link, address.host, address.port)
            return await established
        except TimeoutError as error:
            raise DialError(f"dial {address}: no connection within {self.config.dial_timeout_s} s") from error
        except (OSError, UnicodeError) as error:
            raise DialError(f"dial {address}: {error}") from error
        finally:
            del self._dialing[link]
            if not established.cancel() and not established.cancelled():
                established.exception()  # seen: a failure before the await is not "never retrieved"
            if link.phase is not Phase.RUNNING:
                link.close("the dial was given up")
                self._links.discard(link)

    def add_persistent_peer(self, address: NodeAddress) -> None:
        """From now on keep connected to `address` (its id may be missing), as to those of the configuration."""
        if address.id:
            self._keeping.ids.add(address.id)
            self.bans.lift(address.id)
        named = (*self.config.persistent_peers, str(address))
        self.config = self._places.config = replace(self.config, persistent_peers=named)
        self._keeping.keep(address)

    def change(self, config: SwitchConfig) -> None:
        """Obey other names and limits of peers, from the next that comes or is dialed; nobody who is here has to go.

        A peer that is not named any more is not redialed when it leaves. Where to listen, budgets and what bounds
        handshakes are those of the start.
        """
        self.config = self._places.config = config
        self.on_change(config)
        self._keeping.name(config)
        if not self._started.is_set() or self._stopping:
            return
        for address in config.persistent_addresses:
            if address.id:
                self.bans.lift(address.id)
            if self._gate is not None and address.ip is not None:
                self._gate.add_known(address.host)
            self._keeping.keep(address)

    def _check_dial(self, address: NodeAddress, *, persistent: bool) -> None:
        if address.id == self.id:
            raise Rejected(f"dial {address}: that is ourselves")
        left_s = self.ban_left_s(address.id)
        if left_s and not persistent:
            raise Rejected(f"dial {address}: banned for another {left_s:.0f} s")
        if address.id in self._peers:
            raise AlreadyConnected(address.id, "is already connected")
        if self.is_under_way(address):
            raise AlreadyConnected(address.id or address.host_port, "is being connected already")
        if not persistent:
            self._places.check_outbound(address.id, self._peers_tuple)

    # --- LinkOwner --------------------------------------------------------------------------------------------

    def _new_link(
        self, loop: asyncio.AbstractEventLoop, dialed: NodeAddress | None = None, *, persistent: bool = False
    ) -> Link:
        timeout_s = self.config.phase_timeout_s
        return Link(self, self._key, loop=loop, phase_timeout_s=timeout_s, dialed=dialed, persistent=persistent)

    def link_opened(self, link: Link) -> None:
        if self._stopping:
            raise Rejected("we stop")
        if not link.is_outbound:
            assert self._gate is not None
            assert self._reputation is not None
            is_held = self._reputation.is_held(link.remote_host) and not self._misses_named()
            victim = self._gate.enter(link.remote_host, link, is_held=is_held)
            if victim is not None:
                victim.close(Rejected("made room for another connection"))
        self._links.add(link)
        for check in self.connection_filters:
            check(link.remote_host, link.remote_port)

    def link_authenticated(self, link: Link) -> NodeInfo | None:
        if self._gate is not None:
            self._gate.leave(link)
        peer_id = link.id
        if peer_id == self.id:
            if link.dialed is not None:
                self.on_own_address(link.dialed.with_id(peer_id))
            raise Rejected("that is ourselves")
        left_s = self.ban_left_s(peer_id)
        if left_s and not link.persistent:
            raise Rejected(f"{peer_id} is banned for another {left_s:.0f} s")
        was_here = peer_id in self._peers
        if link.dialed is not None and not link.dialed.id:
            self._pin(link.dialed, peer_id, persistent=link.persistent)
        self._settle_duplicates(link)
        self._places.check_address(
            link, self._peers_tuple, self._links
        )  # after a stale connection of this very peer has gone
        self._check_room(link)
        if not link.is_outbound and not was_here and not self._is_exempt(peer_id):
            assert self._reputation is not None, "the switch does not run"
            self._reputation.enter(peer_id, link.remote_host)
        if self._gate is not None and self._is_exempt(peer_id):
            self._gate.add_known(link.remote_host)
        if self._holding.is_on:
            self._holding.add(link)
        return None if self._holding.is_on else self._info

    def _pin(self, address: NodeAddress, peer_id: str, *, persistent: bool) -> None:
        if persistent:
            self._keeping.ids.add(peer_id)
        if len(self.pins) < PINS_MAX:
            self.pins[address.host_port] = peer_id
            log.warning("pinned an address without id to the id first seen", address=address.host_port, peer=peer_id)

    def _names(self, link: Link, peer_id: str) -> bool:
        """Whether the link leads, or will lead, to this peer."""
        if not peer_id or link.is_closed:
            return False
        return link.id == peer_id or (link.dialed is not None and link.dialed.id == peer_id)

    def _settle_duplicates(self, link: Link) -> None:
        """Keep one connection with each peer, the same one at both ends. Raises AlreadyConnected for `link`."""
        peer = self._peers.get(link.id)
        if peer is not None:
            if not peer.link.is_closed and peer.link.silent_s < DUPLICATE_SILENT_S:
                raise AlreadyConnected(link.id, "is already connected")
            peer.link.close("replaced by a newer connection")
            self._remove(peer, peer.link.close_reason)
        for other in tuple(self._links):
            if other is link or not self._names(other, link.id):
                continue
            if may_lead_elsewhere(other, link):
                other.close(AlreadyConnected(link.id, "came itself, from another address"))
                continue
            lower_dialed = link.is_outbound == (self.id < link.id)
            if other.is_outbound == link.is_outbound or not lower_dialed:
                raise AlreadyConnected(link.id, "is being connected already")
            other.close(AlreadyConnected(link.id, "is being connected the other way"))

    def _is_exempt(self, peer_id: str) -> bool:
        return peer_id in self.config.unconditional_peer_ids or peer_id in self._keeping.ids

    def _check_room(self, link: Link) -> SwitchPeer | None:
        """Returns who has to go for this newcomer, if somebody has. Raises Rejected."""
        if link.is_outbound:
            self._places.check_outbound(link.id, self._peers_tuple)
            return None
        now_s = asyncio.get_running_loop().time()
        return self._places.check_inbound(link.id, link.remote_host, self._peers_tuple, now_s=now_s)

    def _make_room(self, link: Link) -> None:
        """A newcomer that passed every check takes its place, of another if need be. Raises Rejected."""
        victim = self._check_room(link)
        if victim is not None:
            self.counters["evicted"] += 1
            self._places.evicted(link.remote_host, now_s=asyncio.get_running_loop().time())
            victim.link.close("made room for a peer from elsewhere")
            self._remove(victim, victim.link.close_reason)

    def link_ready(self, link: Link, info: NodeInfo) -> MultiplexConnection:
        if info.id != link.id:
            raise BadNodeInfo(f"node info: id is {info.id}, but the connection's key is that of {link.id}")
        self._info.check_compatible(info)
        for check in self.peer_filters:
            check(info)
        self._make_room(link)  # others may have finished since
        assert link.id not in self._peers, link.id  # _settle_duplicates lets one link per id live
        is_persistent = link.persistent or link.id in self._keeping.ids
        budget, now_ns = self._budget_of(link.id), self.clock()
        peer = SwitchPeer(link, info, budget, is_persistent=is_persistent, connected_since_ns=now_ns)
        connection = MultiplexConnection(
            self._descriptors, self.config.connection, peer_channels=peer.channels, loop=asyncio.get_running_loop(),
            pipe=link, budget=peer.budget, deliver=partial(self._deliver, peer),
            on_writable=partial(self._writable, peer), on_fault=partial(self._fault, peer), on_memory=self._free_memory,
        )  # fmt: skip
        peer.attach(connection)
        self._add(peer)
        return connection

    def link_closed(self, link: Link, reason: str) -> None:
        if self._gate is not None:
            self._gate.leave(link)
        self._links.discard(link)
        if link.has_joined:
            if (peer := self._peers.get(link.id)) is not None and peer.link is link:
                self._remove(peer, reason)
        else:
            self._socket_bytes_gone[0] += link.bytes_in
            self._socket_bytes_gone[1] += link.bytes_out
            refused = isinstance(link.close_error, Rejected)
            self.counters["refused" if refused else "handshake_failed"] += 1
            loud.debug("a connection did not become a peer", link.id, remote=link.remote, reason=reason)
            if self.foreign_chains.met(link.id, link.close_error) and not link.persistent:  # of these keeping.py tells
                loud.warning("a node of another chain did not become a peer", link.id, reason=reason)
        if (established := self._dialing.get(link)) is not None and not established.done():
            already = isinstance(link.close_error, AlreadyConnected)
            error = DialError(f"dial {link.dialed}: {reason}")
            established.set_exception(link.close_error if already and link.close_error else error)
        self._closing.discard(link)
        if self._stopping and not self._closing:
            self._all_closed.set()

    # --- peers ------------------------------------------------------------------------------------------------

    def _add(self, peer: SwitchPeer) -> None:
        link = peer.link
        link.has_joined = True
        self._links.discard(link)
        self._peers[peer.id] = peer
        self._places.joined(peer, now_s=asyncio.get_running_loop().time())
        self._peers_tuple = tuple(self._peers.values())
        self.foreign_chains.joined(peer.id)
        told = {"moniker": peer.moniker, "remote": peer.remote_address, "outbound": peer.is_outbound}
        self._say_of(peer, "connected a peer", **told)
        for reactor in self._reactors:
            try:
                reactor.add_peer(peer)
            except Exception as error:
                self._fault(peer, error)
        if (established := self._dialing.get(link)) is not None and not link.is_closed and not established.done():
            established.set_result(peer)

    def _remove(self, peer: SwitchPeer, reason: str) -> None:
        if self._peers.get(peer.id) is not peer:
            return
        del self._peers[peer.id]
        self._places.left(peer)
        self._peers_tuple = tuple(self._peers.values())
        peer.add_traffic(self._traffic_gone)
        if self._shared is not None:
            self._shared.held_s += peer.budget.held_s
        self._socket_bytes_gone[0] += peer.link.bytes_in
        self._socket_bytes_gone[1] += peer.link.bytes_out
        self.counters["peers_lost"] += 1
        self._say_of(peer, "lost a peer", moniker=peer.moniker, reason=reason)
        for reactor in self._reactors:
            try:
                reactor.remove_peer(peer, reason)
            except Exception:
                self.counters["reactor_failed"] += 1
                log.exception("a reactor failed to let a peer go", peer=peer.id)
        if self._reputation and self._gate and not peer.gave_offence and not self._is_exempt(peer.id):
            here_s = (self.clock() - peer.connected_since_ns) / NS_PER_S
            self._reputation.left(peer.id, peer.remote_host, connected_s=here_s, useful=peer.budget.useful_messages)
            self._gate.peer_left(peer.remote_host, connected_s=here_s)
        peer.gone.set()

    def _say_of(self, peer: SwitchPeer, event: str, **fields: object) -> None:
        """A line for each that the operator named; of strangers, who come and go as they like, at a rate."""
        if self._is_exempt(peer.id):
            log.info(event, peer=peer.id, **fields)
        else:
            loud.info(event, peer.id, **fields)

    def _deliver(self, peer: SwitchPeer, channel_id: int, message: bytes) -> None:
        self._reactor_of[channel_id].receive(channel_id, peer, message)

    def _writable(self, peer: SwitchPeer, channel_id: int) -> None:
        self._reactor_of[channel_id].writable(channel_id, peer)

    def _fault(self, peer: SwitchPeer, error: Exception) -> None:
        """Drop the peer for what it did, or for what we could not do with what it sent."""
        if isinstance(error, PeerFault):
            self.counters["peer_faults"] += 1
            self._offended(peer, f"broke the protocol: {error}", forgiven=FAULTS_FORGIVEN, ban_s=error.ban_s)
        elif isinstance(error, NoOffence):
            peer.link.close(error)
        elif isinstance(error, P2PError):
            self.counters["peer_faults"] += 1
            self._offended(peer, str(error), forgiven=FAULTS_FORGIVEN)
        else:
            self.counters["reactor_failed"] += 1
            loud.error("a reactor failed", peer.id, error=repr(error), exc_info=error)
            peer.link.close(f"our reactor failed: {error!r}")

    # --- what peers cost --------------------------------------------------------------------------------------

    @property
    def useless_messages(self) -> dict[str, int]:
        """By kind and weight, of all peers since the start."""
        return dict(self._shared.useless_by_kind) if self._shared is not None else {}

    @property
    def held_s(self) -> float:
        """How long peers were not read from, for what their messages cost; all peers since the start."""
        gone = self._shared.held_s if self._shared is not None else 0.0
        return gone + sum(peer.budget.held_s for peer in self._peers_tuple)

    @property
    def unfinished_bytes(self) -> int:
        return self._shared.unfinished_bytes if self._shared is not None else 0

    def _budget_of(self, peer_id: str) -> PeerBudget:
        assert self._shared is not None, "the switch does not run"
        return PeerBudget(
            self._shared,
            time_s=asyncio.get_running_loop().time,
            is_named=self._is_exempt(peer_id),
            on_spent=lambda why: self._spent(peer_id, why),
        )

    def _spent(self, peer_id: str, why: str) -> None:
        """A peer's useless messages passed their budget, somewhere inside a reactor: drop it in a later turn."""

        def drop() -> None:
            peer = self._peers.get(peer_id)
            if peer is not None:
                self.counters["over_budget"] += 1
                self._offended(peer, why)

        asyncio.get_running_loop().call_soon(drop)

    def _offended(self, peer: SwitchPeer, why: str, *, forgiven: int = 0, ban_s: int = 0) -> None:
        """Drop the peer and keep it away, longer each time; new ids from its place come more seldom."""
        assert self._reputation is not None, "the switch does not run"
        host = "" if self._is_exempt(peer.id) else peer.remote_host
        peer.gave_offence = True
        ban_s = self._reputation.offended(peer.id, host, forgiven=forgiven, ban_s=ban_s)
        if ban_s:
            self.ban(peer.id, ban_s, reason=why)
        peer.link.close(why)

    def _free_memory(self) -> None:
        """All unfinished messages together are too much: one peer goes."""
        now_s = asyncio.get_running_loop().time()
        worst, is_offence = who_frees_memory(self._peers_tuple, self._is_exempt, now_s)
        if worst is not None:
            self.counters["over_budget"] += 1
            go = partial(self._offended, worst) if is_offence else worst.link.close
            go(f"unfinished messages of all peers hold {worst.budget.shared.held_bytes} bytes, most are its")

    async def _sweep(self) -> None:
        """Look now and then for what no packet tells: messages that do not end, readers that do not read."""
        stuck: dict[str, int] = {}
        while True:
            await asyncio.sleep(SWEEP_S)
            self._places.look(self._peers_tuple, now_s=asyncio.get_running_loop().time())
            stuck = {peer.id: stuck.get(peer.id, 0) + 1 for peer in self._peers_tuple if peer.link.is_stuck()}
            for peer in self._peers_tuple:
                if stuck.get(peer.id, 0) * SWEEP_S >= STUCK_S:
                    self.counters["stuck_readers"] += 1
                    self.drop_peer(peer, f"took nothing of what waits for it in {STUCK_S:.0f} s")
                else:
                    peer.connection.check_deadlines()


if TYPE_CHECKING:
    _network: type[Network] = Switch
