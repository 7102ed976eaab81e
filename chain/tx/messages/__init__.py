"""The messages of transactions as plain tuples, a file for each subject; and their kinds in one table."""

from chain.tx.messages.bridge import BuyAllowance, PayToJoin, RegisterBurner, RegisterIdentity, Tip
from chain.tx.messages.chat import Attachment, CreateChannel, JoinChannel, PostMessage
from chain.tx.messages.kinds import LANE_BRIDGE, LANE_CHAT, LANE_CURRENCY, LANE_NAMES, Kind
from chain.tx.messages.kinds.fields import CHANNEL_ID_BYTES, channel_id, direct_id
from chain.tx.messages.payments import Output, PayMany, Payment
from chain.tx.messages.table import KIND_OF, KINDS, Message, decode_message, encode_message, kinds_of

__all__ = [
    "Attachment",
    "BuyAllowance",
    "CHANNEL_ID_BYTES",
    "CreateChannel",
    "JoinChannel",
    "KINDS",
    "KIND_OF",
    "Kind",
    "LANE_BRIDGE",
    "LANE_CHAT",
    "LANE_CURRENCY",
    "LANE_NAMES",
    "Message",
    "Output",
    "PayMany",
    "PayToJoin",
    "Payment",
    "PostMessage",
    "RegisterBurner",
    "RegisterIdentity",
    "Tip",
    "allowance",
    "bridge",
    "channel_id",
    "chat",
    "decode_message",
    "direct_id",
    "economy",
    "encode_message",
    "escrow",
    "governance",
    "grants",
    "guardians",
    "keys",
    "kinds_of",
    "kinds",
    "payments",
    "upgrade",
]
