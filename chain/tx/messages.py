"""The messages of transactions as plain tuples: decoding, what each may say by itself, who must sign it.

Stateless: what depends on state is the machines'. Every kind names the lanes that may carry it and its gas; a new
kind is one class, one row in `KINDS` and a handler in its machine.
Source: proto/dchat/v1/tx.proto.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import economy_messages as economy
from chain.tx import gas
from chain.tx import governance_messages as gov
from chain.tx.economy_messages import (
    CancelUnbonding,
    CreateValidator,
    Delegate,
    EconomyMessage,
    EditValidator,
    FundCommunityPool,
    Redelegate,
    SetWithdrawAddress,
    Undelegate,
    Unjail,
    WithdrawCommission,
    WithdrawRewards,
)
from chain.tx.errors import InvalidField, Malformed
from chain.tx.governance_messages import AddDeposit, CancelProposal, ChangeParams, SubmitProposal, Vote, VoteWeighted
from chain.tx.upgrade_messages import (
    AnnounceReadiness,
    CancelUpgrade,
    SoftwareUpgrade,
    decode_announce_readiness,
    decode_cancel_upgrade,
    decode_software_upgrade,
)
from crypto.hash import ADDRESS_BYTES, sha256
from proto.dchat.v1 import tx_pb2 as pb

LANE_CHAT: Final = 1
LANE_CURRENCY: Final = 2
LANE_BRIDGE: Final = 3
LANE_NAMES: Final = {LANE_CHAT: "chat", LANE_CURRENCY: "currency", LANE_BRIDGE: "bridge"}

CHANNEL_ID_BYTES: Final = 20
CHANNEL_NAME_BYTES_MAX: Final = 64
TOPIC_BYTES_MAX: Final = 256
IDENTITY_NAME_BYTES_MIN: Final = 3
IDENTITY_NAME_BYTES_MAX: Final = 32
DISPLAY_BYTES_MAX: Final = 64

_NAME_BYTES: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")


class Payment(NamedTuple):
    sender: bytes
    recipient: bytes
    amount: int  # udchat


class CreateChannel(NamedTuple):
    creator: bytes
    name: str
    join_price: int  # udchat
    topic: str


class JoinChannel(NamedTuple):
    member: bytes
    channel_id: bytes


class PostMessage(NamedTuple):
    author: bytes
    channel_id: bytes
    content: bytes
    reply_to: int  # index + 1; 0: none


class RegisterIdentity(NamedTuple):
    address: bytes
    name: str
    display: str


class Tip(NamedTuple):
    sender: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # the field's name; tuple.index is not used
    amount: int  # udchat


class PayToJoin(NamedTuple):
    member: bytes
    channel_id: bytes
    max_price: int  # udchat


class BuyAllowance(NamedTuple):
    address: bytes
    amount: int  # udchat


# fmt: off
Message: TypeAlias = (
    Payment | CreateChannel | JoinChannel | PostMessage | RegisterIdentity | Tip | PayToJoin | BuyAllowance
    | SoftwareUpgrade | CancelUpgrade | AnnounceReadiness | EconomyMessage
    | SubmitProposal | AddDeposit | Vote | VoteWeighted | CancelProposal
)
# fmt: on


def channel_id(name: str) -> bytes:
    """20 bytes. Names are unique, so that a channel's id is known before it exists and proved without an index."""
    return sha256(b"dchat/channel" + name.encode("ascii"))[:CHANNEL_ID_BYTES]


# ------------------------------------------------------------------------------ decoding, with each kind's own rules


def _payment(m: pb.Payment) -> Payment:
    sender, recipient, amount = m.sender, m.recipient, m.amount
    if len(sender) != ADDRESS_BYTES or len(recipient) != ADDRESS_BYTES:
        raise InvalidField(f"payment: sender and recipient have {ADDRESS_BYTES} bytes")
    if not amount:
        raise InvalidField("payment: amount is 0, allowed: 1 and more")
    if sender == recipient:
        raise InvalidField("payment: sender and recipient are the same account")
    return Payment(sender, recipient, amount)


def _create_channel(m: pb.CreateChannel) -> CreateChannel:
    _address("create_channel.creator", m.creator)
    name = m.name
    if not 1 <= len(name) <= CHANNEL_NAME_BYTES_MAX or any(not " " <= char <= "~" for char in name):
        raise InvalidField(f"create_channel.name: 1 to {CHANNEL_NAME_BYTES_MAX} characters of printable ASCII")
    if name[0] == " " or name[-1] == " ":
        raise InvalidField("create_channel.name: starts or ends with a space")
    _text("create_channel.topic", m.topic, TOPIC_BYTES_MAX)
    return CreateChannel(m.creator, name, m.join_price, m.topic)


def _join_channel(m: pb.JoinChannel) -> JoinChannel:
    _address("join_channel.member", m.member)
    _channel("join_channel", m.channel_id)
    return JoinChannel(m.member, m.channel_id)


def _post_message(m: pb.PostMessage) -> PostMessage:
    _address("post_message.author", m.author)
    _channel("post_message", m.channel_id)
    if not m.content:
        raise InvalidField("post_message.content: empty")
    return PostMessage(m.author, m.channel_id, m.content, m.reply_to)


def _register_identity(m: pb.RegisterIdentity) -> RegisterIdentity:
    _address("register_identity.address", m.address)
    name = m.name
    fits = IDENTITY_NAME_BYTES_MIN <= len(name) <= IDENTITY_NAME_BYTES_MAX
    if not fits or not name.isascii() or not _NAME_BYTES.issuperset(name.encode()):
        raise InvalidField(
            f"register_identity.name: {IDENTITY_NAME_BYTES_MIN} to {IDENTITY_NAME_BYTES_MAX} of a-z 0-9 _ -"
        )
    _text("register_identity.display", m.display, DISPLAY_BYTES_MAX)
    return RegisterIdentity(m.address, name, m.display)


def _tip(m: pb.Tip) -> Tip:
    _address("tip.sender", m.sender)
    _channel("tip", m.channel_id)
    if not m.amount:
        raise InvalidField("tip: amount is 0, allowed: 1 and more")
    return Tip(m.sender, m.channel_id, m.index, m.amount)


def _pay_to_join(m: pb.PayToJoin) -> PayToJoin:
    _address("pay_to_join.member", m.member)
    _channel("pay_to_join", m.channel_id)
    return PayToJoin(m.member, m.channel_id, m.max_price)


def _buy_allowance(m: pb.BuyAllowance) -> BuyAllowance:
    _address("buy_allowance.address", m.address)
    if not m.amount:
        raise InvalidField("buy_allowance: amount is 0, allowed: 1 and more")
    return BuyAllowance(m.address, m.amount)


def _address(where: str, value: bytes) -> None:
    if len(value) != ADDRESS_BYTES:
        raise InvalidField(f"{where}: {len(value)} bytes, expected {ADDRESS_BYTES}")


def _channel(where: str, value: bytes) -> None:
    if len(value) != CHANNEL_ID_BYTES:
        raise InvalidField(f"{where}.channel_id: {len(value)} bytes, expected {CHANNEL_ID_BYTES}")


def _text(where: str, value: str, bytes_max: int) -> None:
    if len(value.encode()) > bytes_max:
        raise InvalidField(f"{where}: above {bytes_max} bytes of UTF-8")


# ------------------------------------------------------------------------------ the table


class Kind(NamedTuple):
    """decode: from the generated message, raising InvalidField. The first field of each message is who must sign.

    fill: sets the generated message's fields; None: they are the message's, one by one.
    """

    name: str
    decode: Callable[[Any], Message]
    type: type[Message]
    lanes: frozenset[int]
    gas: int
    fill: Callable[[Any, Any], None] | None = None


_CURRENCY: Final = frozenset((LANE_CURRENCY, LANE_BRIDGE))
_CHAT: Final = frozenset((LANE_CHAT, LANE_BRIDGE))
_BRIDGE: Final = frozenset((LANE_BRIDGE,))

GAS_DEPOSIT: Final = 2 * gas.GAS_MESSAGE + gas.GAS_NEW_LEAF + gas.GAS_LATER
GAS_VOTE: Final = gas.GAS_NEW_LEAF + 3 * gas.GAS_MESSAGE  # written now, counted later and removed in the end

KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("payment", _payment, Payment, _CURRENCY, gas.GAS_MESSAGE),
        Kind("create_channel", _create_channel, CreateChannel, _CHAT, gas.GAS_MESSAGE + 2 * gas.GAS_STAYS),
        Kind("join_channel", _join_channel, JoinChannel, _CHAT, gas.GAS_MESSAGE + gas.GAS_STAYS),
        Kind("post_message", _post_message, PostMessage, _CHAT, gas.GAS_POST),
        Kind("register_identity", _register_identity, RegisterIdentity, _BRIDGE, 2 * gas.GAS_STAYS),
        Kind("tip", _tip, Tip, _BRIDGE, gas.GAS_MESSAGE),
        Kind("pay_to_join", _pay_to_join, PayToJoin, _BRIDGE, 2 * gas.GAS_MESSAGE + gas.GAS_STAYS),
        Kind("buy_allowance", _buy_allowance, BuyAllowance, _BRIDGE, 2 * gas.GAS_MESSAGE),
        Kind("software_upgrade", decode_software_upgrade, SoftwareUpgrade, _BRIDGE, gas.GAS_MESSAGE),
        Kind("cancel_upgrade", decode_cancel_upgrade, CancelUpgrade, _BRIDGE, gas.GAS_MESSAGE),
        Kind(
            "announce_readiness",
            decode_announce_readiness,
            AnnounceReadiness,
            _BRIDGE,
            gas.GAS_MESSAGE + gas.GAS_SIGNATURE + gas.GAS_STAYS,  # it outlives the validator
        ),
        Kind("create_validator", economy.create_validator, CreateValidator, _CURRENCY, gas.GAS_VALIDATOR),
        Kind("edit_validator", economy.edit_validator, EditValidator, _CURRENCY, gas.GAS_MESSAGE),
        Kind("delegate", economy.delegate, Delegate, _CURRENCY, gas.GAS_STAKE),
        Kind("undelegate", economy.undelegate, Undelegate, _CURRENCY, gas.GAS_STAKE + gas.GAS_LATER),
        Kind("cancel_unbonding", economy.cancel_unbonding, CancelUnbonding, _CURRENCY, gas.GAS_STAKE),
        Kind("redelegate", economy.redelegate, Redelegate, _CURRENCY, 2 * gas.GAS_STAKE + gas.GAS_LATER),
        Kind("unjail", economy.unjail, Unjail, _CURRENCY, gas.GAS_MESSAGE),
        Kind("withdraw_rewards", economy.withdraw_rewards, WithdrawRewards, _CURRENCY, gas.GAS_REWARDS),
        Kind("withdraw_commission", economy.withdraw_commission, WithdrawCommission, _CURRENCY, gas.GAS_MESSAGE),
        Kind(
            "set_withdraw_address",
            economy.set_withdraw_address,
            SetWithdrawAddress,
            _CURRENCY,
            gas.GAS_MESSAGE + gas.GAS_NEW_LEAF,
        ),
        Kind("fund_community_pool", economy.fund_community_pool, FundCommunityPool, _CURRENCY, gas.GAS_MESSAGE),
        Kind(
            "submit_proposal", gov.decode_submit_proposal, SubmitProposal, _BRIDGE,
            4 * gas.GAS_MESSAGE + 3 * gas.GAS_NEW_LEAF + gas.GAS_STAYS + 4 * gas.GAS_LATER, gov.fill_submit_proposal,
        ),
        Kind("add_deposit", gov.decode_add_deposit, AddDeposit, _BRIDGE, GAS_DEPOSIT),
        Kind("vote", gov.decode_vote, Vote, _CHAT, GAS_VOTE),
        Kind(
            "vote_weighted", gov.decode_vote_weighted, VoteWeighted, _CHAT, GAS_VOTE, gov.fill_vote_weighted
        ),
        Kind("cancel_proposal", gov.decode_cancel_proposal, CancelProposal, _BRIDGE, 3 * gas.GAS_MESSAGE),
    )
}  # fmt: skip
KIND_OF: Final[dict[type[Message], Kind]] = {kind.type: kind for kind in KINDS.values()}


def decode_message(message: pb.Message) -> tuple[Kind, Message]:
    """Raises Malformed for none or an unknown one, InvalidField for a bad value."""
    name = message.WhichOneof("kind")
    if name is None:
        raise Malformed("a message is empty or of an unknown kind")
    kind = KINDS[name]
    return kind, kind.decode(getattr(message, name))


def parts_of(message: Message) -> int:
    """How many things a message lists."""
    match message:
        case SubmitProposal():
            return sum(len(action.changes) if isinstance(action, ChangeParams) else 1 for action in message.actions)
        case VoteWeighted():
            return len(message.options)
    return 0


def encode_message(message: Message) -> pb.Message:
    """The generated message, for signing."""
    kind = KIND_OF[type(message)]
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
