"""Address exchange (channel 0x00): how nodes find each other, and seeds.

Every half minute the node fills its outbound places from the book, asks a peer for more addresses while it has few,
and turns to the seeds when it has none. A seed answers once and says goodbye.
Source: CometBFT v0.38, spec/p2p/implementation/pex.md and pex-protocol.md, p2p/pex/pex_reactor.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError

from consensus.formats.units import NS_PER_S
from consensus.p2p.addrbook import SELECTION_MAX, AddressBook
from consensus.p2p.admission import BAN_MAX_S
from consensus.p2p.conn.address import NodeAddress, host_group, parse_ip
from consensus.p2p.conn.base import ChannelDescriptor, Peer, PeerFault
from consensus.p2p.conn.errors import AlreadyConnected, BadAddress, P2PError
from consensus.p2p.conn.node_info import shown
from consensus.p2p.conn.node_key import is_node_id
from consensus.p2p.conn.peer import SwitchPeer
from consensus.p2p.reputation import STEADY_S
from consensus.p2p.switch import Switch
from proto.tendermint.p2p import pex_pb2, types_pb2

log = structlog.get_logger()

PEX_CHANNEL = 0x00
MESSAGE_BYTES_MAX = 64_000  # 250 addresses of 256 bytes
ENSURE_PERIOD_S = 30.0
REQUEST_GAP_S = ENSURE_PERIOD_S / 3  # between two requests of one peer, after two free ones
FREE_REQUESTS = 2
TOO_SOON_WEIGHT = 200  # a request too soon is not answered: a peer that we read late looks like that, a flood does too
BAN_S = 24 * 3600
OWN_REQUEST_GAP_S = REQUEST_GAP_S * 1.2  # ours, so that no clock or delay makes a peer see less than its gap
ASKED_MAX = 1_000  # peers whose last request is remembered: more than are ever connected
DIAL_WAIT_MAX_S = 3600.0  # between two tries of an address: failing to dial is no fault, so it is never banned
HOST_DIAL_GAP_S = 10.0  # between two dials of one host, when the book is strict: nobody makes us a flood
CRAWL_GAP_S = 120.0  # a seed visits an address this often at most
SEED_PEER_AGE_MAX_S = 28 * 3600
SEED_NEW_PERCENT = 30
USEFUL_FOR_GOOD = 10_000  # votes and parts that a peer was the first to bring: then its address is good, as upstream's
SAVE_PERIOD_S = 120.0
DIAL_HISTORY_MAX = 4096
ROUND_GAP_S = 1.0  # between two rounds, whatever happens
TOLD_PER_TURN = 16  # addresses of an answer that are looked at in a turn of the loop: some 2 ms

_REQUEST = pex_pb2.Message(pex_request=pex_pb2.PexRequest()).SerializeToString()


@dataclass(slots=True)
class _Dials:
    failures: int
    next_s: float  # in the loop's time


class PexReactor:
    """Install it with `install`, before the switch runs."""

    channels = (ChannelDescriptor(PEX_CHANNEL, "pex", 1, 10, MESSAGE_BYTES_MAX),)

    def __init__(self, switch: Switch, book: AddressBook) -> None:
        self._switch = switch
        self._book = book
        self._asked: set[str] = set()  # peers whose answer we wait for
        self._asked_s: OrderedDict[str, float] = OrderedDict()  # when we last asked whom, over reconnections as well
        self._requests: dict[str, tuple[int, float]] = {}  # of each peer: how many, when the last (loop's time)
        self._dials: dict[str, _Dials] = {}  # by address, id included; by host:port where nobody answered
        self._host_dials: OrderedDict[str, float] = OrderedDict()  # when we last dialed a host
        self._crawled: dict[str, float] = {}
        self._told: deque[tuple[NodeAddress, Peer]] = deque()  # at most one answer of each peer
        self._now = asyncio.Event()  # set when a round should not wait
        self._seed_ids = {address.id for address in self._switch.config.seed_addresses if address.id}
        self.counters: Counter[str] = Counter()  # addresses_heard, requests_answered, ...

    # --- Reactor ----------------------------------------------------------------------------------------------

    def add_peer(self, peer: Peer) -> None:
        if peer.is_outbound:
            if self._book.needs_more or self._switch.config.seed_mode:
                self._ask(peer)
        else:
            told, source = _told_address(peer), _place(peer)
            # Believed of its own place alone: a changed address elsewhere may be somebody else's.
            self._add(told, source, proven=host_group(told.host) == host_group(source.host))

    def remove_peer(self, peer: Peer, reason: str) -> None:
        self._asked.discard(peer.id)
        self._requests.pop(peer.id, None)
        if not peer.is_outbound:
            return  # strangers come and go at will, and it frees no place of those that we fill
        if isinstance(peer, SwitchPeer) and peer.link.dialed is not None:
            self._judge(peer, peer.link.dialed)
        if not self._switch.config.seed_mode and self._switch.outbound_count < self._switch.config.max_outbound_peers:
            self._now.set()

    def _judge(self, peer: SwitchPeer, dialed: NodeAddress) -> None:
        """Who takes our call and hangs up is called ever more seldom, until it stays."""
        address = dialed.with_id(peer.id)
        if (self._switch.clock() - peer.connected_since_ns) / NS_PER_S >= STEADY_S:
            self._dials.pop(str(address), None)
        elif address.id not in self._seed_ids:
            self._failed(str(address))

    def writable(self, channel_id: int, peer: Peer) -> None:
        """Nothing waits: a request that found no room is made again in the next round."""

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None:
        try:
            decoded = pex_pb2.Message.FromString(message)
        except DecodeError as error:
            raise PeerFault(f"pex: {len(message)} bytes are no message") from error
        match decoded.WhichOneof("sum"):
            case "pex_request":
                self._answer(peer)
            case "pex_addrs":
                self._take(peer, decoded.pex_addrs)
            case _:
                raise PeerFault("pex: neither a request nor addresses")

    def _answer(self, peer: Peer) -> None:
        if self._switch.config.seed_mode and not peer.is_outbound:
            if self._requests.get(peer.id) is None:
                self._requests[peer.id] = (1, 0.0)
                self._send(peer, self._book.selection(new_percent=SEED_NEW_PERCENT))
                self._switch.release_peer(peer, "seed: answered")
            return
        count, last_s = self._requests.get(peer.id, (0, 0.0))
        now_s = asyncio.get_running_loop().time()
        if count >= FREE_REQUESTS and now_s - last_s < REQUEST_GAP_S:
            peer.useless("an address request too soon", TOO_SOON_WEIGHT)
            return
        self._requests[peer.id] = (count + 1, now_s)
        self._send(peer, self._book.selection())

    def _send(self, peer: Peer, addresses: list[NodeAddress]) -> None:
        answer = pex_pb2.Message()
        answer.pex_addrs.SetInParent()
        for address in addresses:
            answer.pex_addrs.addrs.add(id=address.id, ip=address.host, port=address.port)
        peer.try_send(PEX_CHANNEL, answer.SerializeToString())
        self.counters["requests_answered"] += 1

    def _take(self, peer: Peer, answer: pex_pb2.PexAddrs) -> None:
        if peer.id not in self._asked:
            raise PeerFault("pex: addresses that nobody asked for", ban_s=BAN_S)
        self._asked.discard(peer.id)
        told = [_checked(row) for row in answer.addrs[:SELECTION_MAX]]
        self.counters["answers_received"] += 1
        if not self._told:
            asyncio.get_running_loop().call_soon(self._take_some)
        self._told.extend((address, peer) for address in told)
        if peer.id in self._seed_ids:
            self._now.set()

    def _take_some(self) -> None:
        """A few of the addresses that we were told, then others' turn."""
        some = [self._told.popleft() for _ in range(min(TOLD_PER_TURN, len(self._told)))]
        if self._told:
            asyncio.get_running_loop().call_soon(self._take_some)
        for address, peer in some:
            self._add(address, _place(peer))

    def _add(self, address: NodeAddress, source: NodeAddress, *, proven: bool = False) -> None:
        try:
            if self._book.add(address, source, proven=proven):
                self.counters["addresses_heard"] += 1
        except BadAddress as error:
            log.debug("left an address out of the book", reason=str(error))

    def _ask(self, peer: Peer) -> None:
        """Unless an answer is awaited, or the last request is so fresh that the peer would take it for a flood."""
        now_s = asyncio.get_running_loop().time()
        last_s = self._asked_s.get(peer.id)
        if peer.id in self._asked or (last_s is not None and now_s - last_s < OWN_REQUEST_GAP_S):
            return
        if peer.try_send(PEX_CHANNEL, _REQUEST):
            self._asked.add(peer.id)
            self._asked_s[peer.id] = now_s
            self._asked_s.move_to_end(peer.id)
            if len(self._asked_s) > ASKED_MAX:
                self._asked_s.popitem(last=False)

    # --- rounds -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Service: fill the places now and then, and whenever something happened that makes it worthwhile."""
        rng = self._switch.rng
        if self._switch.peers:
            await asyncio.sleep(rng.uniform(0, ENSURE_PERIOD_S))
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            self._now.clear()
            await (self._crawl() if self._switch.config.seed_mode else self._ensure_peers())
            self._mark_good()
            try:
                async with asyncio.timeout(ENSURE_PERIOD_S):
                    await self._now.wait()
                    # Several losses at once are one round.
                    await asyncio.sleep(max(rng.uniform(0.05, 0.2), began_s + ROUND_GAP_S - loop.time()))
            except TimeoutError:
                continue

    async def _ensure_peers(self) -> None:
        places = min(
            self._switch.config.max_outbound_peers - self._switch.outbound_count,
            self._switch.config.max_peers - len(self._switch.peers),
        )
        if places <= 0:
            return
        chosen = self._choose(places)
        if chosen:
            await asyncio.gather(*(self._dial(address) for address in chosen))
        if self._book.needs_more:
            peers = self._switch.peers
            if peers:
                self._ask(self._switch.rng.choice(peers))
            if not chosen:
                await self._dial_seeds()

    def _choose(self, places: int) -> list[NodeAddress]:
        """Up to `places` addresses that are neither connected nor waiting for their next try."""
        bias = min(self._switch.outbound_count, 8) * 10 + 10
        now_s = asyncio.get_running_loop().time()
        chosen: dict[str, NodeAddress] = {}
        for _ in range(3 * places):
            address = self._book.pick(bias)
            if address is None or address.id in chosen or self._switch.is_under_way(address):
                continue
            if self._may_dial(address, now_s) and not any(_is_near(address, other) for other in chosen.values()):
                chosen[address.id] = address
            if len(chosen) == places:
                break
        return list(chosen.values())

    def _may_dial(self, address: NodeAddress, now_s: float) -> bool:
        for name in (str(address), address.host_port):
            history = self._dials.get(name)
            if history is not None and history.next_s > now_s:
                return False
        last_s = self._host_dials.get(host_group(address.host))
        return last_s is None or not self._book.strict or now_s - last_s >= HOST_DIAL_GAP_S

    async def _dial(self, address: NodeAddress) -> bool:
        self._book.mark_attempt(address.id)
        place = host_group(address.host)
        self._host_dials.pop(place, None)
        self._host_dials[place] = asyncio.get_running_loop().time()
        if len(self._host_dials) > DIAL_HISTORY_MAX:
            self._host_dials.popitem(last=False)
        try:
            await self._switch.dial(address)
        except AlreadyConnected:
            return True
        except P2PError as error:
            log.debug("failed to dial an address of the book", reason=str(error))
            # Where somebody answered, only this id failed: whoever announces it there costs the place nothing.
            self._failed(address.host_port if isinstance(error.__cause__, OSError) else str(address))
            return False
        self._dials.pop(address.host_port, None)  # what is held against the id, `_judge` forgets
        self._book.mark_connected(address.id)
        return True

    def _failed(self, name: str) -> None:
        history = self._dials.pop(name, None)
        failures = 1 if history is None else history.failures + 1
        if len(self._dials) >= DIAL_HISTORY_MAX:
            del self._dials[next(iter(self._dials))]
        wait_s = min(2.0 ** min(failures, 32), DIAL_WAIT_MAX_S) * self._switch.rng.uniform(0.75, 1.25)
        self._dials[name] = _Dials(failures, asyncio.get_running_loop().time() + wait_s)

    async def _dial_seeds(self) -> None:
        seeds = list(self._switch.config.seed_addresses)
        self._switch.rng.shuffle(seeds)
        for seed in seeds:
            try:
                peer = await self._switch.dial(seed)
            except AlreadyConnected:
                return
            except P2PError as error:
                log.warning("failed to reach a seed", reason=str(error))
                continue
            self._seed_ids.add(peer.id)
            self._ask(peer)
            return
        if seeds:
            log.error("reached no seed; will try again", seeds=len(seeds), retry_s=ENSURE_PERIOD_S)

    # --- seed mode --------------------------------------------------------------------------------------------

    async def _crawl(self) -> None:
        """Visit addresses of the book to learn more, and let old peers go."""
        now_s = asyncio.get_running_loop().time()
        self._crawled = {id: at for id, at in self._crawled.items() if now_s - at < CRAWL_GAP_S}
        for peer in self._switch.peers:
            age_s = (self._switch.clock() - peer.connected_since_ns) / NS_PER_S
            if age_s > SEED_PEER_AGE_MAX_S and not peer.is_persistent:
                self._switch.release_peer(peer, "seed: connected for long enough")
            elif peer.is_outbound:
                self._ask(peer)
        todo = [a for a in self._book.selection() if a.id not in self._crawled and not self._switch.is_under_way(a)]
        for address in todo[: max(1, self._switch.config.max_outbound_peers)]:
            self._crawled[address.id] = now_s
        await asyncio.gather(
            *(self._dial(address) for address in todo[: max(1, self._switch.config.max_outbound_peers)])
        )
        if not len(self._book):
            await self._dial_seeds()

    def _mark_good(self) -> None:
        for peer in self._switch.peers:
            if peer.is_outbound and peer.budget.useful_messages >= USEFUL_FOR_GOOD:
                self._book.mark_good(peer.id)


def _is_near(address: NodeAddress, other: NodeAddress) -> bool:
    return address.host_port == other.host_port


def _told_address(peer: Peer) -> NodeAddress:
    """Where the peer says it listens; where it connects from if that is no address with an IP."""
    try:
        address = peer.node_info.address
    except BadAddress:
        address = None
    return address if address is not None and address.ip is not None else _place(peer)


def _place(peer: Peer) -> NodeAddress:
    """Where the peer's socket is: the source of what it tells us. What it says of itself chooses no bucket. Without a
    zone, which no file of addresses can be read with: one neighbour's would cost the book, its pins and bans."""
    host = peer.link.remote_host if isinstance(peer, SwitchPeer) else ""
    return NodeAddress(peer.id, host.partition("%")[0], 0)


def _checked(row: types_pb2.NetAddress) -> NodeAddress:
    """Raises PeerFault for what no honest peer sends: an id, IP or port that is none."""
    try:
        ip = parse_ip(row.ip)
    except ValueError:
        raise PeerFault(f"pex: {shown(row.ip)} is no IP") from None
    if not is_node_id(row.id):
        raise PeerFault(f"pex: {shown(row.id)} is no node id")
    if row.port > 65_535:
        raise PeerFault(f"pex: port {row.port} is not 0 to 65535")
    return NodeAddress(row.id, str(ip), row.port)


class _Keeper:
    """Loads the book before the switch runs and saves it while it does, and at the end."""

    def __init__(self, switch: Switch, book: AddressBook) -> None:
        self._switch, self._book = switch, book
        self._lock = threading.Lock()  # the last save may find the one before still at work

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(SAVE_PERIOD_S)
                snapshot = self._book.snapshot(bans=self._switch.bans.all())
                await asyncio.to_thread(self._write, snapshot)
        finally:
            self._write(self._book.snapshot(bans=self._switch.bans.all()))

    def _write(self, snapshot: dict[str, object]) -> None:
        try:
            with self._lock:
                self._book.write(snapshot)
        except OSError as error:
            log.error("failed to save the address book", path=str(self._book.path), error=str(error))


def install(switch: Switch, book: AddressBook, *, exchange: bool = True) -> PexReactor | None:
    """Give the switch its book, and with `exchange` the reactor; before the switch runs.

    The book then keeps the pins and bans of the switch over restarts.
    """
    book.load()
    book.private_ids = switch.config.private_peer_ids
    switch.on_change = lambda config: setattr(book, "private_ids", config.private_peer_ids)
    book.is_banned = lambda peer_id: switch.ban_left_s(peer_id) > 0
    book.add_own(NodeAddress(switch.id, "", 0))
    for address in switch.config.persistent_addresses:
        with contextlib.suppress(BadAddress):  # a name, or not for others to know
            book.add(address, address)
    switch.is_known_good = book.is_good
    for peer_id, until_ns in book.bans.items():
        left_s = min(BAN_MAX_S, (until_ns - switch.clock()) // NS_PER_S)  # more is of a clock that was ahead
        if left_s > 0:
            switch.bans.ban(peer_id, left_s)
    book.pins |= switch.pins
    switch.pins = book.pins
    switch.on_own_address = book.add_own
    if book.path is not None:
        switch.add_service("address book", _Keeper(switch, book).run)
    if not exchange:
        return None
    reactor = PexReactor(switch, book)
    switch.add_reactor(reactor)
    switch.add_service("address exchange", reactor.run)
    return reactor
