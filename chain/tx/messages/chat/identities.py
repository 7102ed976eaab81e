"""What belongs to an identity: its profile, and whom it blocks."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import CHAT, Kind
from chain.tx.messages.kinds.fields import check_address, check_text, check_two_accounts
from proto.dchat.v1 import identities_pb2 as ids

BIO_BYTES_MAX: Final = 512
LINK_BYTES_MAX: Final = 256
PICTURE_BYTES: Final = 32


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


IdentityMessage: TypeAlias = SetProfile | BlockIdentity | UnblockIdentity


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
    return BlockIdentity(*check_two_accounts("block_identity", m.address, m.blocked))


def unblock_identity(m: ids.UnblockIdentity) -> UnblockIdentity:
    return UnblockIdentity(*check_two_accounts("unblock_identity", m.address, m.blocked))


KINDS: Final = (
    Kind("set_profile", set_profile, SetProfile, CHAT, gas.GAS_MESSAGE + gas.GAS_STAYS),
    Kind("block_identity", block_identity, BlockIdentity, CHAT, gas.GAS_MESSAGE + gas.GAS_STAYS),
    Kind("unblock_identity", unblock_identity, UnblockIdentity, CHAT, gas.GAS_MESSAGE),
)  # fmt: skip
