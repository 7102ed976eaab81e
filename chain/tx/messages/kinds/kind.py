"""A kind of message: its name, how it is decoded, the lanes that may carry it, and its gas.

Each file of `chain.tx.messages` has the messages of one subject and, at its end, their rows; `table` puts all of them
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from chain.tx.gas import GAS_ML_DSA, GAS_NEW_LEAF
from chain.tx.messages.kinds.fields import consensus_key_type
from crypto.mldsa import ML_DSA_65
from proto.dchat.v1 import tx_pb2 as pb

LANE_CHAT: Final = 1
LANE_CURRENCY: Final = 2
LANE_BRIDGE: Final = 3
LANE_NAMES: Final = {LANE_CHAT: "chat", LANE_CURRENCY: "currency", LANE_BRIDGE: "bridge"}

CURRENCY: Final = frozenset((LANE_CURRENCY, LANE_BRIDGE))
CHAT: Final = frozenset((LANE_CHAT, LANE_BRIDGE))
BRIDGE: Final = frozenset((LANE_BRIDGE,))

TOUCHED_IDENTITY: Final = b"ci"  # ‖ address: of `Kind.touches`

# What a device key of an identity must be for, to sign a message in the chat lane; each includes the lower ones.
ROLE_POST: Final = 1
ROLE_MODERATE: Final = 2
ROLE_ADMIN: Final = 3
ROLE_ROOT: Final = 4  # no device's
DEVICE_ROLE_NAMES: Final = {ROLE_POST: "post", ROLE_MODERATE: "moderate", ROLE_ADMIN: "admin", ROLE_ROOT: "root"}


KEY_TYPE_GAS: Final = {ML_DSA_65: GAS_ML_DSA}  # of a consensus key, beside what one of Ed25519 costs


class Kind(NamedTuple):
    """decode: from the generated message, raising InvalidField. The first field of each message is who must sign.

    fill: sets the generated message's fields; None: they are the message's, one by one.
    parts: how many things a message lists, where it lists any that cost memory by number. gas_each: of each of them.
    new_gas, new_gas_each: at most so much more is used for records that were not there, by message and part.
    touches: prefix of a record of its signer's that it changes, and that what waits in another lane rests on; asked
    where there are `parts`. Of nobody else's: who names another's record would have what rests on it wait behind.
    within: the messages that a message carries, with their kinds, where it carries any; it has parts, too.
    role: that a device key needs. consensus_key: that a message names and signs by, where it does.
    """

    name: str
    decode: Callable[[Any], Any]
    type: type[Any]
    lanes: frozenset[int]
    gas: int
    fill: Callable[[Any, Any], None] | None = None
    parts: Callable[[Any], int] | None = None
    gas_each: int = 0
    new_gas: int = GAS_NEW_LEAF
    new_gas_each: int = 0
    touches: bytes = b""
    within: Callable[[Any], Iterable[tuple[Kind, Any]]] | None = None
    role: int = ROLE_ADMIN
    consensus_key: Callable[[Any], bytes] | None = None

    def cost_of(self, message: Any) -> int:
        """Gas that is known from the message alone, without that of messages that it carries."""
        each = self.gas_each * self.parts(message) if self.parts is not None else 0
        return self.gas + each + self.key_gas(message)

    def key_gas(self, message: Any) -> int:
        """Of the type of the consensus key that the message names, beside what one of Ed25519 costs."""
        return KEY_TYPE_GAS.get(self.key_type_of(message), 0)

    def key_type_of(self, message: Any) -> str:
        """Of the consensus key that the message names; empty: it names none, or one that no validator may have."""
        kind = None if self.consensus_key is None else consensus_key_type(self.consensus_key(message))
        return "" if kind is None else kind.name

    def most_of(self, message: Any) -> int:
        """Gas that is enough for the message."""
        each = self.new_gas_each * self.parts(message) if self.parts is not None else 0
        return self.cost_of(message) + self.new_gas + each


def encode_as(kind: Kind, message: Any) -> pb.Message:
    """The generated message, for signing."""
    out = pb.Message()
    inner = getattr(out, kind.name)
    inner.SetInParent()
    if kind.fill is not None:
        kind.fill(inner, message)
        return out
    for name, value in zip(message._fields, message, strict=True):
        if type(value) is tuple:
            getattr(inner, name).extend(value)
        elif value is not None:
            setattr(inner, name, value)
    return out
