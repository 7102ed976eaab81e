"""All kinds of messages in one table, by their name and by their class.

Stateless: what depends on state is the machines'. A new kind is one class and one row in the file of its subject, and
a handler in its machine.
Source: proto/dchat/v1/tx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from chain.tx.errors import Malformed
from chain.tx.messages import (
    allowance,
    bridge,
    chat,
    economy,
    escrow,
    governance,
    grants,
    guardians,
    keys,
    payments,
    upgrade,
)
from chain.tx.messages.allowance import AllowanceMessage
from chain.tx.messages.bridge import BridgeMessage
from chain.tx.messages.chat import ChatMessage
from chain.tx.messages.economy import EconomyMessage
from chain.tx.messages.escrow import EscrowMessage
from chain.tx.messages.governance import GovernanceMessage
from chain.tx.messages.grants import GrantMessage
from chain.tx.messages.guardians import GuardianMessage
from chain.tx.messages.keys import KeysMessage
from chain.tx.messages.kinds import Kind, encode_as
from chain.tx.messages.payments import PaymentMessage
from chain.tx.messages.upgrade import UpgradeMessage
from proto.dchat.v1 import tx_pb2 as pb

Message: TypeAlias = (
    PaymentMessage | ChatMessage | BridgeMessage | KeysMessage | EscrowMessage | UpgradeMessage | EconomyMessage
    | GovernanceMessage | GrantMessage | GuardianMessage | AllowanceMessage
)  # fmt: skip

SUBJECTS: Final = (payments, chat, bridge, keys, escrow, upgrade, economy, governance, grants, guardians, allowance)
KINDS: Final[dict[str, Kind]] = {kind.name: kind for subject in SUBJECTS for kind in subject.KINDS}
KIND_OF: Final[dict[type[Message], Kind]] = {kind.type: kind for kind in KINDS.values()}


def decode_message(message: pb.Message) -> tuple[Kind, Message]:
    """Raises Malformed for none or an unknown one, InvalidField for a bad value."""
    name = message.WhichOneof("kind")
    if name is None:
        raise Malformed("a message is empty or of an unknown kind")
    kind = KINDS[name]
    return kind, kind.decode(getattr(message, name))


def encode_message(message: Message) -> pb.Message:
    """The generated message, for signing."""
    return encode_as(KIND_OF[type(message)], message)


def kinds_of(message: Message) -> Iterator[tuple[Kind, Message]]:
    """Itself and its kind, then the messages that it carries."""
    kind = KIND_OF[type(message)]
    yield kind, message
    if kind.within is not None:
        yield from kind.within(message)
