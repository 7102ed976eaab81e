"""The messages of the chat, a file for each subject: channels, what is posted, keys, identities."""

from typing import Final, TypeAlias

from chain.tx.messages.chat import channels, devices, epochs, identities, messages, prekeys, reputation
from chain.tx.messages.chat.channels import (
    GUEST,
    INVITED,
    MEMBER,
    MODERATOR,
    OPEN,
    PERIOD_S_MAX,
    ROLE_NAMES,
    AcceptChannel,
    BanMember,
    ChannelMessage,
    CreateChannel,
    EditChannel,
    InviteMember,
    JoinChannel,
    LeaveChannel,
    OfferChannel,
    OpenDirect,
    PinMessage,
    SetMemberRole,
    UnbanMember,
)
from chain.tx.messages.chat.devices import DEVICES_MAX, LIFETIME_S_MAX, AddDevice, DevicesMessage, RevokeDevice
from chain.tx.messages.chat.epochs import BeginEpoch, KeysOfChannels, PublishEpochKeys, SealedCopy
from chain.tx.messages.chat.identities import (
    BIO_BYTES_MAX,
    LINK_BYTES_MAX,
    BlockIdentity,
    IdentityMessage,
    SetProfile,
    UnblockIdentity,
)
from chain.tx.messages.chat.messages import (
    REACTIONS,
    Attachment,
    EditMessage,
    MarkRead,
    PostMessage,
    PostsMessage,
    React,
    RetractMessage,
)
from chain.tx.messages.chat.prekeys import (
    ONE_TIME_MAX,
    USE_LAST_RESORT,
    USE_SIGNED,
    ClaimPrekey,
    PrekeysMessage,
    PublishPrekeys,
    SignedPrekey,
    prekey_hash,
)
from chain.tx.messages.chat.reputation import ReputationMessage

ChatMessage: TypeAlias = (
    ChannelMessage | PostsMessage | KeysOfChannels | IdentityMessage | PrekeysMessage | DevicesMessage
    | ReputationMessage
)  # fmt: skip
SUBJECTS: Final = (channels, messages, epochs, identities, prekeys, devices, reputation)
KINDS: Final = tuple([kind for subject in SUBJECTS for kind in subject.KINDS])

__all__ = [
    "BIO_BYTES_MAX",
    "DEVICES_MAX",
    "GUEST",
    "INVITED",
    "LIFETIME_S_MAX",
    "LINK_BYTES_MAX",
    "MEMBER",
    "MODERATOR",
    "ONE_TIME_MAX",
    "OPEN",
    "PERIOD_S_MAX",
    "REACTIONS",
    "ROLE_NAMES",
    "USE_LAST_RESORT",
    "USE_SIGNED",
    "AcceptChannel",
    "AddDevice",
    "Attachment",
    "BanMember",
    "BeginEpoch",
    "BlockIdentity",
    "ChatMessage",
    "ClaimPrekey",
    "CreateChannel",
    "EditChannel",
    "EditMessage",
    "InviteMember",
    "JoinChannel",
    "LeaveChannel",
    "MarkRead",
    "OfferChannel",
    "OpenDirect",
    "PinMessage",
    "PostMessage",
    "PublishEpochKeys",
    "PublishPrekeys",
    "React",
    "RetractMessage",
    "RevokeDevice",
    "SealedCopy",
    "SetMemberRole",
    "SetProfile",
    "SignedPrekey",
    "UnbanMember",
    "UnblockIdentity",
    "channels",
    "devices",
    "epochs",
    "identities",
    "messages",
    "prekey_hash",
    "prekeys",
    "reputation",
]
