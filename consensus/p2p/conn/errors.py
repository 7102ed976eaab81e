"""What can go wrong between two nodes. Each error says what, where, expected and got.

`P2PError` is the root. `PeerFault` (consensus.p2p.conn.base) is the reactors' word for the same and stands beside it.
"""

from __future__ import annotations


class P2PError(Exception):
    """Something about one address, connection or peer; never more than that one is lost."""


class BadAddress(P2PError, ValueError):
    """A text is no address of a node, or an address cannot be used."""


class BadHandshake(P2PError):
    """The other side broke the secret connection's handshake or one of its frames."""


class BadNodeInfo(P2PError):
    """The other side's node info is malformed or does not fit ours."""


class ForeignChain(BadNodeInfo):
    """The other side is a node of another chain, or began this one with another genesis."""


class ConnectionFault(P2PError):
    """The other side broke the packet format or a limit."""


class NoOffence(ConnectionFault):
    """Costs the connection, but an honest peer can get there."""


class TooSlow(NoOffence):
    """It fell silent, or did not finish in time: a bad line does that too."""


class LargerThanAsked(NoOffence):
    """An answer is larger than we thought when we asked: the parameters may have changed since."""


class Rejected(P2PError):
    """A connection is refused by our own rules (limits, bans, filters, duplicates)."""


class AlreadyConnected(Rejected):
    """Refused because the peer is here, or on its way."""

    def __init__(self, peer_id: str, why: str) -> None:
        super().__init__(f"peer {peer_id} {why}")
        self.peer_id = peer_id


class DialError(P2PError):
    """A dial did not lead to a peer; `__cause__` says why where there is one."""
