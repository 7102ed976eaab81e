"""Devices: other keys that sign for an identity, within a role and for a time."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import CHAT, DEVICE_ROLE_NAMES, ROLE_ADMIN, ROLE_ROOT, Kind
from chain.tx.messages.kinds.fields import check_address
from crypto.keys import ED25519_KEY_BYTES
from proto.dchat.v1 import identities_pb2 as ids

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


DevicesMessage: TypeAlias = AddDevice | RevokeDevice


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


KINDS: Final = (
    Kind("add_device", add_device, AddDevice, CHAT, 2 * gas.GAS_MESSAGE + gas.GAS_STAYS, role=ROLE_ROOT),
    Kind("revoke_device", revoke_device, RevokeDevice, CHAT, 2 * gas.GAS_MESSAGE, role=ROLE_ROOT),
)  # fmt: skip
