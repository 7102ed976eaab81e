"""Channels and their messages."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.codec import UINT64_MAX, bytes_field, uint_field
from chain.tx.errors import InvalidField
from chain.tx.messages.fields import check_address, check_channel, check_text
from chain.tx.messages.kinds import CHAT, DEVICE_ROLE_NAMES, ROLE_ADMIN, ROLE_MODERATE, ROLE_POST, ROLE_ROOT, Kind
from crypto.hash import HASH_BYTES, sha256
from crypto.keys import ED25519_KEY_BYTES, SIGNATURE_BYTES
from proto.dchat.v1 import channels_pb2, messages_pb2
from proto.dchat.v1 import identities_pb2 as ids
from proto.dchat.v1 import tx_pb2 as pb

CHANNEL_NAME_BYTES_MAX: Final = 64
REACTIONS: Final = (
    "like", "dislike", "love", "laugh", "wow", "sad", "angry", "thanks",
    "yes", "no", "done", "question", "celebrate", "eyes", "fire", "support",
)  # fmt: skip
TTL_S_MAX: Final = 315_360_000  # ten years
TTL_PARTS: Final = gas.GAS_LATER // gas.GAS_NEW_LEAF
ATTACHMENTS_MAX: Final = 8
MEDIA_TYPE_BYTES_MAX: Final = 64
SEALED_COPIES_MAX: Final = 64
SEALED_BYTES_MAX: Final = 256
DEVICE_KEY_BYTES: Final = 32
OPEN: Final = 0
INVITED: Final = 1

MEMBER: Final = 0
GUEST: Final = 1
MODERATOR: Final = 2
ROLE_NAMES: Final = {MEMBER: "member", GUEST: "guest", MODERATOR: "moderator"}
ACCESS_NAMES: Final = {OPEN: "open", INVITED: "invited"}

TOPIC_BYTES_MAX: Final = 256
SLOW_MODE_S_MAX: Final = 86_400
PERIOD_S_MIN: Final = 60
PERIOD_S_MAX: Final = 315_360_000  # ten years
INVITATION_S_MIN: Final = 60
INVITATION_S_MAX: Final = 30 * 86_400
BAN_S_MAX: Final = PERIOD_S_MAX


class CreateChannel(NamedTuple):
    creator: bytes
    name: str
    join_price: int  # udchat
    topic: str
    access: int = OPEN
    period_s: int = 0  # what the price buys; 0: a membership without end
    slow_mode_s: int = 0
    join_role: int = MEMBER
    encrypted: bool = False


class JoinChannel(NamedTuple):
    member: bytes
    channel_id: bytes


class Attachment(NamedTuple):
    """What is stored elsewhere."""

    sha256: bytes
    size: int
    media_type: str

    def encode(self) -> bytes:
        name = bytes_field(b"\x1a", self.media_type.encode())
        return bytes_field(b"\x0a", self.sha256) + uint_field(b"\x10", self.size) + name


class PostMessage(NamedTuple):
    author: bytes
    channel_id: bytes
    content: bytes
    reply_to: int  # index + 1; 0: none
    ttl_s: int = 0  # 0: it stays
    epoch: int = 0
    content_hash: bytes = b""  # instead of content
    attachments: tuple[Attachment, ...] = ()


class EditChannel(NamedTuple):
    """None: as it is."""

    actor: bytes
    channel_id: bytes
    topic: str | None = None
    join_price: int | None = None  # udchat
    period_s: int | None = None
    slow_mode_s: int | None = None
    access: int | None = None
    join_role: int | None = None
    archived: bool | None = None


class InviteMember(NamedTuple):
    actor: bytes
    channel_id: bytes
    member: bytes
    valid_s: int
    reads_back: bool = False


class LeaveChannel(NamedTuple):
    member: bytes
    channel_id: bytes


class SetMemberRole(NamedTuple):
    actor: bytes
    channel_id: bytes
    member: bytes
    role: int


class BanMember(NamedTuple):
    actor: bytes
    channel_id: bytes
    member: bytes
    duration_s: int  # 0: until it is lifted


class UnbanMember(NamedTuple):
    actor: bytes
    channel_id: bytes
    member: bytes


class PinMessage(NamedTuple):
    actor: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # the field's name; tuple.index is not used
    unpin: bool = False


class OfferChannel(NamedTuple):
    owner: bytes
    channel_id: bytes
    heir: bytes  # empty: nobody


class AcceptChannel(NamedTuple):
    heir: bytes
    channel_id: bytes


ChannelMessage: TypeAlias = (
    EditChannel | InviteMember | LeaveChannel | SetMemberRole | BanMember | UnbanMember | PinMessage | OfferChannel
    | AcceptChannel
)  # fmt: skip


class EditMessage(NamedTuple):
    author: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # the field's name; tuple.index is not used
    content: bytes
    epoch: int = 0


class RetractMessage(NamedTuple):
    actor: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]


class React(NamedTuple):
    member: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]
    reaction: int  # its number in REACTIONS, from 1; 0: takes it back


class MarkRead(NamedTuple):
    member: bytes
    channel_id: bytes
    count: int  # type: ignore[assignment]  # how many were read


PostsMessage: TypeAlias = EditMessage | RetractMessage | React | MarkRead


class SealedCopy(NamedTuple):
    member: bytes
    device: bytes  # the X25519 key that it is sealed for
    sealed: bytes


class PublishEpochKeys(NamedTuple):
    actor: bytes
    channel_id: bytes
    epoch: int
    commitment: bytes
    keys: tuple[SealedCopy, ...]


class BeginEpoch(NamedTuple):
    actor: bytes
    channel_id: bytes


class OpenDirect(NamedTuple):
    sender: bytes
    peer: bytes
    encrypted: bool = False


KeysOfChannels: TypeAlias = PublishEpochKeys | BeginEpoch


def create_channel(m: pb.CreateChannel) -> CreateChannel:
    check_address("create_channel.creator", m.creator)
    name = m.name
    if not 1 <= len(name) <= CHANNEL_NAME_BYTES_MAX or any(not " " <= char <= "~" for char in name):
        raise InvalidField(f"create_channel.name: 1 to {CHANNEL_NAME_BYTES_MAX} characters of printable ASCII")
    if name[0] == " " or name[-1] == " ":
        raise InvalidField("create_channel.name: starts or ends with a space")
    check_text("create_channel.topic", m.topic, TOPIC_BYTES_MAX)
    check_terms(
        "create_channel", period_s=m.period_s, slow_mode_s=m.slow_mode_s, access=m.access, join_role=m.join_role
    )
    return CreateChannel(
        m.creator, name, m.join_price, m.topic, m.access, m.period_s, m.slow_mode_s, m.join_role, m.encrypted
    )


def join_channel(m: pb.JoinChannel) -> JoinChannel:
    check_address("join_channel.member", m.member)
    check_channel("join_channel", m.channel_id)
    return JoinChannel(m.member, m.channel_id)


def post_message(m: pb.PostMessage) -> PostMessage:
    check_address("post_message.author", m.author)
    check_channel("post_message", m.channel_id)
    content_hash, ttl_s, attachments = m.content_hash, m.ttl_s, m.attachments
    if bool(m.content) == bool(content_hash):
        raise InvalidField("post_message.content: empty, or there is a content_hash beside it")
    if not ttl_s and not content_hash and not attachments:
        return PostMessage(m.author, m.channel_id, m.content, m.reply_to, 0, m.epoch)
    if ttl_s > TTL_S_MAX:
        raise InvalidField(f"post_message.ttl_s: {ttl_s}, allowed: 0 to {TTL_S_MAX}")
    if len(content_hash) not in (0, HASH_BYTES):
        raise InvalidField(f"post_message.content_hash: {len(content_hash)} bytes, expected {HASH_BYTES}")
    if len(attachments) > ATTACHMENTS_MAX:
        raise InvalidField(f"post_message.attachments: {len(attachments)}, allowed: {ATTACHMENTS_MAX}")
    return PostMessage(
        m.author,
        m.channel_id,
        m.content,
        m.reply_to,
        ttl_s,
        m.epoch,
        content_hash,
        tuple(map(_attachment, attachments)),
    )


def _attachment(m: messages_pb2.Attachment) -> Attachment:
    if len(m.sha256) != HASH_BYTES or not m.size:
        raise InvalidField(f"post_message.attachments: a hash of {HASH_BYTES} bytes and a size are expected")
    if len(m.media_type) > MEDIA_TYPE_BYTES_MAX or any(not " " <= char <= "~" for char in m.media_type):
        raise InvalidField(f"post_message.attachments: media_type has up to {MEDIA_TYPE_BYTES_MAX} printable ASCII")
    return Attachment(m.sha256, m.size, m.media_type)


def fill_post_message(out: Any, message: PostMessage) -> None:
    out.author, out.channel_id, out.content, out.reply_to = message[:4]
    out.ttl_s, out.epoch, out.content_hash = message.ttl_s, message.epoch, message.content_hash
    for attachment in message.attachments:
        out.attachments.add(**attachment._asdict())


def _parts(message: PostMessage) -> int:
    """An attachment is one, a time to live as many as make up for what is done when it is over."""
    return len(message.attachments) + (TTL_PARTS if message.ttl_s else 0)


def check_terms(where: str, *, period_s: int, slow_mode_s: int, access: int, join_role: int) -> None:
    """What a channel's terms must be by themselves. Raises: InvalidField."""
    if period_s and not PERIOD_S_MIN <= period_s <= PERIOD_S_MAX:
        raise InvalidField(f"{where}.period_s: {period_s}, allowed: 0, {PERIOD_S_MIN} to {PERIOD_S_MAX}")
    if slow_mode_s > SLOW_MODE_S_MAX:
        raise InvalidField(f"{where}.slow_mode_s: {slow_mode_s}, allowed: 0 to {SLOW_MODE_S_MAX}")
    if access not in ACCESS_NAMES:
        raise InvalidField(f"{where}.access: {access}, allowed: {OPEN} and {INVITED}")
    if join_role not in (MEMBER, GUEST):
        raise InvalidField(f"{where}.join_role: {join_role}, allowed: {MEMBER} and {GUEST}")


def edit_channel(m: channels_pb2.EditChannel) -> EditChannel:
    check_address("edit_channel.actor", m.actor)
    check_channel("edit_channel", m.channel_id)
    values = [getattr(m, name) if m.HasField(name) else None for name in EditChannel._fields[2:]]
    if all(value is None for value in values):
        raise InvalidField("edit_channel: nothing to change")
    edited = EditChannel(m.actor, m.channel_id, *values)
    if edited.topic is not None:
        check_text("edit_channel.topic", edited.topic, TOPIC_BYTES_MAX)
    check_terms(
        "edit_channel", period_s=edited.period_s or 0, slow_mode_s=edited.slow_mode_s or 0,
        access=edited.access or 0, join_role=edited.join_role or 0,
    )  # fmt: skip
    return edited


def _check_two(where: str, actor: bytes, channel_id: bytes, member: bytes) -> None:
    check_address(f"{where}.actor", actor)
    check_channel(where, channel_id)
    check_address(f"{where}.member", member)
    if actor == member:
        raise InvalidField(f"{where}.member: is the actor")


def invite_member(m: channels_pb2.InviteMember) -> InviteMember:
    _check_two("invite_member", m.actor, m.channel_id, m.member)
    if not INVITATION_S_MIN <= m.valid_s <= INVITATION_S_MAX:
        raise InvalidField(
            f"invite_member.valid_s: {m.valid_s}, allowed: {INVITATION_S_MIN} to {INVITATION_S_MAX}"
        )  # fmt: skip
    return InviteMember(m.actor, m.channel_id, m.member, m.valid_s, m.reads_back)


def leave_channel(m: channels_pb2.LeaveChannel) -> LeaveChannel:
    check_address("leave_channel.member", m.member)
    check_channel("leave_channel", m.channel_id)
    return LeaveChannel(m.member, m.channel_id)


def set_member_role(m: channels_pb2.SetMemberRole) -> SetMemberRole:
    _check_two("set_member_role", m.actor, m.channel_id, m.member)
    if m.role not in ROLE_NAMES:
        raise InvalidField(f"set_member_role.role: {m.role}, allowed: 0 to {MODERATOR}")
    return SetMemberRole(m.actor, m.channel_id, m.member, m.role)


def ban_member(m: channels_pb2.BanMember) -> BanMember:
    _check_two("ban_member", m.actor, m.channel_id, m.member)
    if m.duration_s > BAN_S_MAX:
        raise InvalidField(f"ban_member.duration_s: {m.duration_s}, allowed: 0 to {BAN_S_MAX}")
    return BanMember(m.actor, m.channel_id, m.member, m.duration_s)


def unban_member(m: channels_pb2.UnbanMember) -> UnbanMember:
    _check_two("unban_member", m.actor, m.channel_id, m.member)
    return UnbanMember(m.actor, m.channel_id, m.member)


def pin_message(m: channels_pb2.PinMessage) -> PinMessage:
    check_address("pin_message.actor", m.actor)
    check_channel("pin_message", m.channel_id)
    if m.index >= UINT64_MAX:
        raise InvalidField(f"pin_message.index: {m.index}, allowed: 0 to {UINT64_MAX - 1}")
    return PinMessage(m.actor, m.channel_id, m.index, m.unpin)


def offer_channel(m: channels_pb2.OfferChannel) -> OfferChannel:
    check_address("offer_channel.owner", m.owner)
    check_channel("offer_channel", m.channel_id)
    if m.heir:
        check_address("offer_channel.heir", m.heir)
    if m.heir == m.owner:
        raise InvalidField("offer_channel.heir: is the owner")
    return OfferChannel(m.owner, m.channel_id, m.heir)


def accept_channel(m: channels_pb2.AcceptChannel) -> AcceptChannel:
    check_address("accept_channel.heir", m.heir)
    check_channel("accept_channel", m.channel_id)
    return AcceptChannel(m.heir, m.channel_id)


def _check_index(where: str, actor: bytes, channel_id: bytes, index: int) -> None:
    check_address(where, actor)
    check_channel(where, channel_id)
    if index >= UINT64_MAX:
        raise InvalidField(f"{where}.index: {index}, allowed: 0 to {UINT64_MAX - 1}")


def edit_message(m: messages_pb2.EditMessage) -> EditMessage:
    _check_index("edit_message", m.author, m.channel_id, m.index)
    if not m.content:
        raise InvalidField("edit_message.content: empty")
    return EditMessage(m.author, m.channel_id, m.index, m.content, m.epoch)


def retract_message(m: messages_pb2.RetractMessage) -> RetractMessage:
    _check_index("retract_message", m.actor, m.channel_id, m.index)
    return RetractMessage(m.actor, m.channel_id, m.index)


def react(m: messages_pb2.React) -> React:
    _check_index("react", m.member, m.channel_id, m.index)
    if m.reaction > len(REACTIONS):
        raise InvalidField(f"react.reaction: {m.reaction}, allowed: 0 to {len(REACTIONS)}")
    return React(m.member, m.channel_id, m.index, m.reaction)


def mark_read(m: messages_pb2.MarkRead) -> MarkRead:
    check_address("mark_read.member", m.member)
    check_channel("mark_read", m.channel_id)
    if not m.count:
        raise InvalidField("mark_read.count: 0, allowed: 1 and more")
    return MarkRead(m.member, m.channel_id, m.count)


def publish_epoch_keys(m: channels_pb2.PublishEpochKeys) -> PublishEpochKeys:
    check_address("publish_epoch_keys.actor", m.actor)
    check_channel("publish_epoch_keys", m.channel_id)
    if not m.epoch or len(m.commitment) != HASH_BYTES:
        raise InvalidField(f"publish_epoch_keys: expected an epoch from 1 on, a commitment of {HASH_BYTES} bytes")
    if not 1 <= len(m.keys) <= SEALED_COPIES_MAX:
        raise InvalidField(f"publish_epoch_keys.keys: {len(m.keys)}, allowed: 1 to {SEALED_COPIES_MAX}")
    copies = tuple([SealedCopy(copy.member, copy.device, copy.sealed) for copy in m.keys])
    for member, device, sealed in copies:
        check_address("publish_epoch_keys.keys.member", member)
        if len(device) != DEVICE_KEY_BYTES or not 1 <= len(sealed) <= SEALED_BYTES_MAX:
            raise InvalidField(
                f"publish_epoch_keys.keys: a device of {DEVICE_KEY_BYTES} bytes, 1 to {SEALED_BYTES_MAX} sealed"
            )
    names = [copy[:2] for copy in copies]
    if names != sorted(set(names)):
        raise InvalidField("publish_epoch_keys.keys: not ascending by member and device")
    return PublishEpochKeys(m.actor, m.channel_id, m.epoch, m.commitment, copies)


def fill_publish_keys(out: Any, message: PublishEpochKeys) -> None:
    out.actor, out.channel_id, out.epoch, out.commitment = message[:4]
    for copy in message.keys:
        out.keys.add(**copy._asdict())


def _copies(message: PublishEpochKeys) -> int:
    return len(message.keys)


def begin_epoch(m: channels_pb2.BeginEpoch) -> BeginEpoch:
    check_address("begin_epoch.actor", m.actor)
    check_channel("begin_epoch", m.channel_id)
    return BeginEpoch(m.actor, m.channel_id)


def open_direct(m: channels_pb2.OpenDirect) -> OpenDirect:
    check_address("open_direct.sender", m.sender)
    check_address("open_direct.peer", m.peer)
    if m.sender == m.peer:
        raise InvalidField("open_direct.peer: is the sender")
    return OpenDirect(m.sender, m.peer, m.encrypted)


GAS_TWO: Final = 2 * gas.GAS_MESSAGE  # the channel, and one of its members


# ------------------------------------------------------------------------------ what belongs to identities

BIO_BYTES_MAX: Final = 512
LINK_BYTES_MAX: Final = 256
PICTURE_BYTES: Final = 32
PREKEY_BYTES: Final = 32  # X25519
ONE_TIME_MAX: Final = 100  # of an identity at once, and in a message: a record of 3.5 kB

PREKEY_DOMAIN: Final = b"dchat/prekey/v1"
USE_SIGNED: Final = 1
USE_LAST_RESORT: Final = 2


class SetProfile(NamedTuple):
    address: bytes
    bio: str = ""
    link: str = ""
    picture_sha256: bytes = b""


class BlockIdentity(NamedTuple):
    address: bytes
    blocked: bytes


class UnblockIdentity(NamedTuple):
    address: bytes
    blocked: bytes


class SignedPrekey(NamedTuple):
    """signature: by `signer`, of `prekey_hash`."""

    public_key: bytes
    signer: bytes
    signature: bytes


class PublishPrekeys(NamedTuple):
    """None: as it is."""

    address: bytes
    signed: SignedPrekey | None = None
    last_resort: SignedPrekey | None = None
    one_time: tuple[bytes, ...] = ()
    discard: bool = False


class ClaimPrekey(NamedTuple):
    claimer: bytes
    address: bytes


def prekey_hash(chain_id: str, address: bytes, use: int, public_key: bytes) -> bytes:
    """What is signed of a prekey: 32 bytes, bound to chain, identity and use."""
    return sha256(PREKEY_DOMAIN + chain_id.encode() + b"\x00" + address + bytes((use,)) + public_key)


def set_profile(m: ids.SetProfile) -> SetProfile:
    check_address("set_profile.address", m.address)
    check_text("set_profile.bio", m.bio, BIO_BYTES_MAX)
    link = m.link
    if len(link) > LINK_BYTES_MAX or any(not "!" <= char <= "~" for char in link):
        raise InvalidField(f"set_profile.link: up to {LINK_BYTES_MAX} characters of printable ASCII, without spaces")
    if len(m.picture_sha256) not in (0, PICTURE_BYTES):
        raise InvalidField(f"set_profile.picture_sha256: {len(m.picture_sha256)} bytes, expected {PICTURE_BYTES}")
    return SetProfile(m.address, m.bio, link, m.picture_sha256)


def block_identity(m: ids.BlockIdentity) -> BlockIdentity:
    return BlockIdentity(*_two_accounts("block_identity", m.address, m.blocked))


def unblock_identity(m: ids.UnblockIdentity) -> UnblockIdentity:
    return UnblockIdentity(*_two_accounts("unblock_identity", m.address, m.blocked))


def publish_prekeys(m: ids.PublishPrekeys) -> PublishPrekeys:
    check_address("publish_prekeys.address", m.address)
    if len(m.one_time) > ONE_TIME_MAX:
        raise InvalidField(f"publish_prekeys.one_time: {len(m.one_time)}, allowed: {ONE_TIME_MAX}")
    one_time = tuple(m.one_time)
    if any(len(key) != PREKEY_BYTES for key in one_time) or len(set(one_time)) != len(one_time):
        raise InvalidField(f"publish_prekeys.one_time: keys of {PREKEY_BYTES} bytes, no repeats")
    signed = _read_signed("signed", m.signed) if m.HasField("signed") else None
    last_resort = _read_signed("last_resort", m.last_resort) if m.HasField("last_resort") else None
    if signed is None and last_resort is None and not one_time and not m.discard:
        raise InvalidField("publish_prekeys: nothing in it")
    return PublishPrekeys(m.address, signed, last_resort, one_time, m.discard)


def claim_prekey(m: ids.ClaimPrekey) -> ClaimPrekey:
    return ClaimPrekey(*_two_accounts("claim_prekey", m.claimer, m.address))


def _two_accounts(where: str, first: bytes, second: bytes) -> tuple[bytes, bytes]:
    check_address(where, first)
    check_address(where, second)
    if first == second:
        raise InvalidField(f"{where}: both are one account")
    return first, second


def _read_signed(where: str, m: ids.SignedPrekey) -> SignedPrekey:
    if (len(m.public_key), len(m.signer), len(m.signature)) != (PREKEY_BYTES, ED25519_KEY_BYTES, SIGNATURE_BYTES):
        raise InvalidField(f"publish_prekeys.{where}: keys of 32 bytes and a signature of 64")
    return SignedPrekey(m.public_key, m.signer, m.signature)


def fill_publish_prekeys(out: ids.PublishPrekeys, message: PublishPrekeys) -> None:
    out.address, out.discard = message.address, message.discard
    out.one_time.extend(message.one_time)
    for given, field in ((message.signed, out.signed), (message.last_resort, out.last_resort)):
        if given is not None:
            field.public_key, field.signer, field.signature = given


def _one_time_keys(message: PublishPrekeys) -> int:
    return len(message.one_time)


DEVICES_MAX: Final = 8  # of an identity: what one person carries
LIFETIME_S_MAX: Final = 366 * 86_400  # a device that is forgotten signs for a year at most


class AddDevice(NamedTuple):
    address: bytes
    public_key: bytes
    role: int
    lifetime_s: int


class RevokeDevice(NamedTuple):
    address: bytes
    public_key: bytes


def add_device(m: ids.AddDevice) -> AddDevice:
    check_address("add_device.address", m.address)
    _check_key("add_device", m.public_key)
    if not 1 <= m.role <= ROLE_ADMIN:
        raise InvalidField(f"add_device.role: {m.role}, allowed: 1 to {ROLE_ADMIN} ({DEVICE_ROLE_NAMES[ROLE_ADMIN]})")
    if not 1 <= m.lifetime_s <= LIFETIME_S_MAX:
        raise InvalidField(f"add_device.lifetime_s: {m.lifetime_s}, allowed: 1 to {LIFETIME_S_MAX}")
    return AddDevice(m.address, m.public_key, m.role, m.lifetime_s)


def revoke_device(m: ids.RevokeDevice) -> RevokeDevice:
    check_address("revoke_device.address", m.address)
    _check_key("revoke_device", m.public_key)
    return RevokeDevice(m.address, m.public_key)


def _check_key(where: str, key: bytes) -> None:
    if len(key) != ED25519_KEY_BYTES:
        raise InvalidField(f"{where}.public_key: {len(key)} bytes, expected {ED25519_KEY_BYTES}")


ChatMessage: TypeAlias = (
    CreateChannel | JoinChannel | PostMessage | ChannelMessage | PostsMessage | KeysOfChannels
    | SetProfile | BlockIdentity | UnblockIdentity | PublishPrekeys | ClaimPrekey | AddDevice | RevokeDevice
    | OpenDirect
)  # fmt: skip

KINDS: Final = (
    Kind("create_channel", create_channel, CreateChannel, CHAT, gas.GAS_MESSAGE + 2 * gas.GAS_STAYS),
    Kind("join_channel", join_channel, JoinChannel, CHAT, gas.GAS_MESSAGE + gas.GAS_STAYS, role=ROLE_POST),
    Kind("post_message", post_message, PostMessage, CHAT, gas.GAS_POST, fill_post_message, _parts, gas.GAS_NEW_LEAF,
         role=ROLE_POST),
    Kind("edit_channel", edit_channel, EditChannel, CHAT, GAS_TWO),
    Kind(
        "invite_member", invite_member, InviteMember, CHAT, GAS_TWO + gas.GAS_NEW_LEAF + gas.GAS_LATER,
        role=ROLE_MODERATE,
    ),
    Kind("leave_channel", leave_channel, LeaveChannel, CHAT, GAS_TWO, role=ROLE_POST),
    Kind("set_member_role", set_member_role, SetMemberRole, CHAT, GAS_TWO),
    Kind("ban_member", ban_member, BanMember, CHAT, GAS_TWO + gas.GAS_STAYS + gas.GAS_LATER, role=ROLE_MODERATE),
    Kind("unban_member", unban_member, UnbanMember, CHAT, GAS_TWO, role=ROLE_MODERATE),
    Kind("pin_message", pin_message, PinMessage, CHAT, GAS_TWO, role=ROLE_MODERATE),
    Kind("offer_channel", offer_channel, OfferChannel, CHAT, GAS_TWO),
    Kind("accept_channel", accept_channel, AcceptChannel, CHAT, 2 * GAS_TWO),
    Kind("edit_message", edit_message, EditMessage, CHAT, gas.GAS_POST + GAS_TWO + gas.GAS_STAYS, role=ROLE_POST),
    # bodies of up to 16 edits go with it
    Kind(
        "retract_message", retract_message, RetractMessage, CHAT, GAS_TWO + gas.GAS_STAYS + gas.GAS_LATER,
        role=ROLE_MODERATE,  # it may be others' that are retracted
    ),
    Kind("react", react, React, CHAT, GAS_TWO + gas.GAS_STAYS, role=ROLE_POST),
    Kind("mark_read", mark_read, MarkRead, CHAT, gas.GAS_MESSAGE, role=ROLE_POST),
    Kind(
        "publish_epoch_keys", publish_epoch_keys, PublishEpochKeys, CHAT, GAS_TWO + gas.GAS_STAYS, fill_publish_keys,
        _copies,
        gas.GAS_MESSAGE + gas.GAS_STAYS,
        role=ROLE_POST,
    ),
    Kind("begin_epoch", begin_epoch, BeginEpoch, CHAT, GAS_TWO),
    Kind("set_profile", set_profile, SetProfile, CHAT, gas.GAS_MESSAGE + gas.GAS_STAYS),
    Kind("block_identity", block_identity, BlockIdentity, CHAT, gas.GAS_MESSAGE + gas.GAS_STAYS),
    Kind("unblock_identity", unblock_identity, UnblockIdentity, CHAT, gas.GAS_MESSAGE),
    Kind(
        "publish_prekeys",
        publish_prekeys,
        PublishPrekeys,
        CHAT,
        gas.GAS_MESSAGE + gas.GAS_STAYS + 2 * gas.GAS_SIGNATURE,
        fill_publish_prekeys,
        _one_time_keys,
        role=ROLE_POST,
    ),
    Kind(
        "claim_prekey",
        claim_prekey,
        ClaimPrekey,
        CHAT,
        2 * gas.GAS_MESSAGE + gas.GAS_NEW_LEAF + gas.GAS_LATER,
        role=ROLE_POST,
    ),
    Kind("add_device", add_device, AddDevice, CHAT, 2 * gas.GAS_MESSAGE + gas.GAS_STAYS, role=ROLE_ROOT),
    Kind("revoke_device", revoke_device, RevokeDevice, CHAT, 2 * gas.GAS_MESSAGE, role=ROLE_ROOT),
    Kind("open_direct", open_direct, OpenDirect, CHAT, GAS_TWO + 3 * gas.GAS_STAYS, role=ROLE_POST),
)  # fmt: skip
