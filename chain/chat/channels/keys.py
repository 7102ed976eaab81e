"""Keys of encrypted channels: which key an epoch has, and its sealed copies, one for each device of a member.

The chain sees no key and reads no body. It sees to it that a message says the epoch of now, that an epoch has one key,
and that copies go to members alone, and to none of an epoch before they came unless they were invited to read back. A
change of members begins an epoch (`members`): whoever went is given no copy of what follows.
Source: docs/chat.md.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from chain.chat.channels.records import CHANNEL, Channel
from chain.chat.channels.rights import KEYS, RIGHTS, peer_of, require_channel, require_member, require_right, role_in
from chain.chat.identities.profiles import require_open
from chain.kernel.branch import Key, Readable, RecordKind
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account
from chain.tx.codec import height_bytes
from chain.tx.errors import KeyGiven, NoKeyYet, NotEncrypted, NotForMember, NotPermitted, OtherKey, WrongEpoch
from chain.tx.messages.chat import BeginEpoch, PublishEpochKeys
from proto.dchat.v1 import channels_pb2 as pb


class Epoch(NamedTuple):
    commitment: bytes
    publisher: bytes
    height: int

    def encode(self) -> bytes:
        return pb.Epoch(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Epoch:
        r = pb.Epoch.FromString(stored)
        return Epoch(r.commitment, r.publisher, r.height)


class SealedKey(NamedTuple):
    sealed: bytes
    by: bytes
    height: int

    def encode(self) -> bytes:
        return pb.SealedKey(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> SealedKey:
        r = pb.SealedKey.FromString(stored)
        return SealedKey(r.sealed, r.by, r.height)


EPOCH: Final = Key.of(b"ce", Epoch)  # ‖ channel id ‖ epoch
SEALED: Final = Key.of(b"cz", SealedKey)  # ‖ channel id ‖ epoch ‖ member ‖ device

EPOCHS: Final = RecordKind(EPOCH, pb.Epoch, "the epoch")
SEALED_KEYS: Final = RecordKind(SEALED, pb.SealedKey, "the sealed key")


def epoch_key(channel_id: bytes, epoch: int) -> Key[Epoch | None]:
    return EPOCH + channel_id + height_bytes(epoch)


def sealed_key(channel_id: bytes, epoch: int, member: bytes, device: bytes) -> Key[SealedKey | None]:
    return SEALED + channel_id + height_bytes(epoch) + member + device


def _current(channel: Channel) -> int:
    """Raises: NotEncrypted."""
    if channel.settings is None or not channel.settings.epoch:
        raise NotEncrypted(channel.name)
    return channel.settings.epoch


def check_epoch(state: Readable, channel: Channel, epoch: int) -> None:
    """What is posted to an encrypted channel says that it is of the epoch of now, and that has a key.

    Raises: WrongEpoch, NoKeyYet.
    """
    current = channel.settings.epoch if channel.settings is not None else 0
    if epoch != current:
        raise WrongEpoch(f"{epoch}, expected {current}")
    if epoch and state.get(epoch_key(channel.id, epoch)) is None:
        raise NoKeyYet(f"epoch {epoch}")


def _check_unblocked(state: Readable, channel: Channel, actor: bytes) -> None:
    """In a conversation of two: a key reaches the other as a message does, and binds what the other says.

    Raises: Blocked.
    """
    if channel.settings is not None and channel.settings.pair:
        require_open(state, peer_of(channel.settings.pair, actor), to=actor)


def publish_epoch_keys(ctx: Context, message: PublishEpochKeys) -> Leg:
    actor, channel_id, epoch, commitment, copies = message
    branch, now = ctx.branch, ctx.time_ns
    channel = require_channel(branch, channel_id)
    current = _current(channel)
    gives = RIGHTS[role_in(channel, actor, require_member(branch, channel, actor, now))] & KEYS
    if not gives and any(copy.member != actor for copy in copies):
        raise NotPermitted(account(actor))
    known = branch.get(epoch_key(channel_id, epoch))
    if known is None or any(copy.member != actor for copy in copies):
        _check_unblocked(branch, channel, actor)
    if known is None:
        if epoch != current:
            raise WrongEpoch(f"{epoch}, expected {current}")
        if not gives:
            raise NotPermitted(account(actor))
        branch.set(epoch_key(channel_id, epoch), Epoch(commitment, actor, ctx.height))
    elif known.commitment != commitment:
        raise OtherKey(f"{commitment.hex()}, expected {known.commitment.hex()}")
    for member, device, sealed in copies:
        if require_member(branch, channel, member, now).first_epoch > epoch:
            raise NotForMember(account(member))
        key = sealed_key(channel_id, epoch, member, device)
        if branch.get(key) is not None:
            raise KeyGiven(account(member))
        branch.set(key, SealedKey(sealed, actor, ctx.height))
    told = {"epoch": str(epoch), "by": account(actor), "copies": str(len(copies))}
    branch.emit(Event.of("publish_epoch_keys", channel_id=channel_id.hex(), **told))
    return Leg("publish_epoch_keys", 0, channel_id, epoch)


def begin_epoch(ctx: Context, message: BeginEpoch) -> Leg:
    actor, channel_id = message
    branch = ctx.branch
    channel = require_channel(branch, channel_id)
    require_right(branch, channel, actor, KEYS, ctx.time_ns)
    _check_unblocked(branch, channel, actor)
    epoch = _current(channel) + 1
    branch.set(CHANNEL + channel_id, channel.edited(epoch=epoch))
    branch.emit(Event.of("begin_epoch", channel_id=channel_id.hex(), by=account(actor), epoch=str(epoch)))
    return Leg("begin_epoch", 0, channel_id, epoch)


def handlers() -> dict[type[Any], Handler]:
    return {PublishEpochKeys: publish_epoch_keys, BeginEpoch: begin_epoch}
