"""The keys of encrypted channels, epoch by epoch."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.chat.channels import GAS_TWO
from chain.tx.messages.kinds import CHAT, ROLE_MODERATE, Kind
from chain.tx.messages.kinds.fields import check_address, check_channel
from crypto.hash import HASH_BYTES
from proto.dchat.v1 import channels_pb2

SEALED_COPIES_MAX: Final = 64
SEALED_BYTES_MAX: Final = 256
DEVICE_KEY_BYTES: Final = 32


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


KeysOfChannels: TypeAlias = PublishEpochKeys | BeginEpoch


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


KINDS: Final = (
    Kind(
        "publish_epoch_keys", publish_epoch_keys, PublishEpochKeys, CHAT, GAS_TWO + gas.GAS_STAYS, fill_publish_keys,
        _copies,
        gas.GAS_MESSAGE + gas.GAS_STAYS,
        role=ROLE_MODERATE,  # as what it binds others to: an epoch's key; and who bans gives out the next one
    ),
    Kind("begin_epoch", begin_epoch, BeginEpoch, CHAT, GAS_TWO),
)  # fmt: skip
