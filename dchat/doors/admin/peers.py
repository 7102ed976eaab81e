"""What an operator asks of the switch: whom this node knows, connected or away; connect one; bridge a partition.

A partition is what this node sees of one: `here` is this node and its peers, `away` are nodes that it knows (named in
the options, or in its address book) and is not connected with. A bridge dials across: nodes of `away`, by their ids, or
by addresses that the operator lists.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from consensus.formats.units import NS_PER_S
from consensus.p2p.addrbook import AddressBook
from consensus.p2p.conn.address import ADDRESS_CHARS_MAX, NodeAddress, parse_address
from consensus.p2p.conn.errors import AlreadyConnected, BadAddress, P2PError
from consensus.p2p.conn.node_key import is_node_id
from consensus.p2p.switch import Switch
from dchat.doors.admin.proof import who_is_at
from dchat.doors.reads.errors import BadQuestion

HERE: Final = "here"
AWAY: Final = "away"
KNOWN_MAX: Final = 1_000  # told at once
PARTITIONS_MAX: Final = 64  # named in one call
DIALED_MAX: Final = 32  # in one call
DIAL_S: Final = 8.0  # within the HTTP door's time for an answer
NAMED_MAX: Final = 512  # peers that are redialed: one more is a mistake


class Known(NamedTuple):
    """A node that this one knows. last_seen_ns: since 1970, 0: never."""

    id: str
    address: NodeAddress | None
    is_connected: bool
    is_named: bool
    last_seen_ns: int
    attempts: int


class Dialed(NamedTuple):
    """How it went with one. reason: why it is not connected at that address; empty: it is. kept: it is redialed."""

    id: str
    address: str
    reason: str
    kept: bool = False

    def json(self) -> dict[str, Any]:
        return {
            "peer_id": self.id, "address": self.address, "connected": not self.reason,
            "reason": self.reason or None, "kept": self.kept,
        }  # fmt: skip


class AdminPeers:
    def __init__(self, switch: Switch, book: AddressBook) -> None:
        self._switch, self._book = switch, book

    def known(self) -> list[Known]:
        """Connected ones first, then by id."""
        switch = self._switch
        named = {address.id: address for address in switch.config.persistent_addresses if address.id}
        connected = {peer.id for peer in switch.peers}
        entries = {entry.address.id: entry for entry in self._book.entries()}
        found = []
        for peer_id in {*named, *connected, *entries} - {switch.id}:
            entry = entries.get(peer_id)
            found.append(
                Known(
                    peer_id,
                    named.get(peer_id) or (entry.address if entry is not None else None),
                    peer_id in connected,
                    peer_id in named,
                    entry.last_success_ns if entry is not None else 0,
                    entry.attempts if entry is not None else 0,
                )
            )
        return sorted(found, key=lambda one: (not one.is_connected, not one.is_named, one.id))

    def told(self) -> dict[str, Any]:
        """`known`, as JSON."""
        known = self.known()
        rows = [
            {
                "id": one.id,
                "partition": HERE if one.is_connected else AWAY,
                "address": str(one.address) if one.address is not None else None,
                "named": one.is_named,
                "last_seen_unix": one.last_seen_ns // NS_PER_S or None,
                "failed_attempts": one.attempts,
                "banned_seconds": round(self._switch.ban_left_s(one.id)) or None,
            }
            for one in known[:KNOWN_MAX]
        ]
        return {"node_id": self._switch.id, "known": len(known), "peers": rows}

    async def connect(self, peer_id: str, text: str, *, keep: bool) -> Dialed:
        """Dial one. keep: and redial it whenever it is gone, until options are loaded anew. Raises BadQuestion."""
        address = self._address(text)
        if peer_id and not is_node_id(peer_id):
            raise BadQuestion(f"peer_id is {peer_id[:64]!r}; allowed: 40 hex characters in lower case")
        if peer_id and address.id and address.id != peer_id:
            raise BadQuestion(f"the address is that of {address.id}, and peer_id is {peer_id}: say one of them")
        if not (peer_id or address.id):
            raise BadQuestion("whose address is it? peer_id, or ID@HOST:PORT, or /ip4/HOST/tcp/PORT/p2p/ID says so")
        return await self._dial(address.with_id(peer_id or address.id), keep=keep)

    async def bridge(self, partitions: Sequence[str], *, keep: bool) -> dict[str, Any]:
        """Dial the nodes of `away` that are meant. partitions: `here`, `away`, ids, or addresses with an id, from both
        sides. Raises BadQuestion."""
        if not 2 <= len(partitions) <= PARTITIONS_MAX or len(set(partitions)) != len(partitions):
            raise BadQuestion(f"partitions are {len(partitions)}; allowed: 2 to {PARTITIONS_MAX}, each once")
        known = {one.id: one for one in self.known()}
        here, wanted = 0, dict[str, NodeAddress]()
        for said in partitions:
            if said in (HERE, self._switch.id):
                here += 1
            elif said == AWAY:
                wanted |= {one.id: one.address for one in known.values() if not one.is_connected and one.address}
            else:
                address = self._meant(said, known)
                if self._switch.is_connected(address.id):
                    here += 1
                else:
                    wanted[address.id] = address
        dialed = list(wanted.values())[:DIALED_MAX]
        ended = await asyncio.gather(*(self._dial(address, keep=keep) for address in dialed))
        return {
            "connected_before": here,
            "dialed": [one.json() for one in ended],
            "connected": sum(not one.reason for one in ended),
            "not_dialed": len(wanted) - len(dialed),
        }

    def _meant(self, said: str, known: dict[str, Known]) -> NodeAddress:
        """Raises BadQuestion."""
        if not is_node_id(said):
            address = self._address(said)
            if not address.id:
                raise BadQuestion(
                    f"partition {said[:64]!r} names no node; allowed: {HERE}, {AWAY}, a node's id, ID@HOST:PORT"
                )
            return address
        one = known.get(said)
        if one is None or (one.address is None and not one.is_connected):
            raise BadQuestion(f"no address of {said} is known here: name it as {said}@HOST:PORT")
        return one.address or NodeAddress(said, "", 0)

    @staticmethod
    def _address(text: str) -> NodeAddress:
        """Raises BadQuestion."""
        try:
            return parse_address(text[: ADDRESS_CHARS_MAX + 1], id_required=False)
        except BadAddress as error:
            raise BadQuestion(str(error)) from None

    async def _why_not_there(self, address: NodeAddress) -> str:
        """Of a peer that is connected, by whatever address: why this is none of it; empty: it is."""
        peer = self._switch.peer(address.id)
        if peer is None or (peer.is_outbound and peer.remote_address == address.host_port):
            return ""
        way = "by our dial" if peer.is_outbound else "by its own"
        here = f"{address.id} is connected already ({way}, {peer.remote_address}), and"
        try:
            async with asyncio.timeout(DIAL_S):
                found = await who_is_at(address)
        except P2PError as error:
            return f"{here} not at this address: {error}"
        except TimeoutError:
            return f"{here} nobody answered at this address within {DIAL_S:g} s"
        return "" if found == address.id else f"{here} at this address is {found}"

    async def _dial(self, address: NodeAddress, *, keep: bool) -> Dialed:
        switch, reason = self._switch, ""
        if address.id == switch.id:
            raise BadQuestion(f"{address.id} is this node itself")
        if keep and len(switch.config.persistent_peers) >= NAMED_MAX:
            raise BadQuestion(f"{NAMED_MAX} peers are redialed already")
        try:
            async with asyncio.timeout(DIAL_S):
                await switch.dial(address, persistent=True)
        except AlreadyConnected as error:
            reason = await self._why_not_there(address) if switch.is_connected(address.id) else str(error)
            keep = keep and not reason  # else it would be redialed there for ever
        except P2PError as error:
            reason = str(error)
        except TimeoutError:
            reason = f"no peer within {DIAL_S:g} s"
        if keep:
            switch.add_persistent_peer(address)
        return Dialed(address.id, str(address), reason, keep)
