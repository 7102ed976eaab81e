"""Who may do what in a channel: a fixed set of rights for each role.

A role is of the membership; the owner is whom the channel names, whatever the membership says. A membership that was
paid for by period and has ended gives no right, also while it waits to be taken away.
"""

from __future__ import annotations

from typing import Final

from chain.chat.channels.records import CHANNEL, Channel, Membership, member_key
from chain.kernel.branch import Readable
from chain.kernel.event_text import account, time_text
from chain.tx.errors import MembershipEnded, NotMember, NotPermitted, UnknownChannel
from chain.tx.messages.chat import GUEST, MEMBER, MODERATOR

POST: Final = 1
TOPIC: Final = 2
PIN: Final = 4
INVITE: Final = 8
BAN: Final = 16  # also lifting one
RETRACT: Final = 32  # what others wrote
KEYS: Final = 64  # gives out the keys of an epoch, and begins another
SETTINGS: Final = 128  # price, period, slow mode, access, archive
ROLES: Final = 256

OWNER: Final = 3  # above all roles; no membership has it
PEER: Final = 4  # of a conversation of two
RIGHTS: Final = {
    GUEST: 0,
    MEMBER: POST,
    MODERATOR: POST | TOPIC | PIN | INVITE | BAN | RETRACT | KEYS,
    PEER: POST | KEYS,
    OWNER: POST | TOPIC | PIN | INVITE | BAN | RETRACT | KEYS | SETTINGS | ROLES,
}
RANKS: Final = {GUEST: 0, MEMBER: 0, PEER: 0, MODERATOR: 1, OWNER: 2}


def peer_of(pair: bytes, one: bytes) -> bytes:
    """The other of a conversation of two."""
    lesser, greater = pair[: len(one)], pair[len(one) :]
    return greater if one == lesser else lesser


def require_channel(state: Readable, channel: bytes) -> Channel:
    """Raises: UnknownChannel."""
    found = state.get(CHANNEL + channel)
    if found is None:
        raise UnknownChannel(channel.hex())
    return found


def require_member(state: Readable, channel: Channel, address: bytes, now_ns: int) -> Membership:
    """Raises: NotMember, MembershipEnded."""
    found = state.get(member_key(channel.id, address))
    if found is None:
        raise NotMember(channel.name)
    if found.end_ns and now_ns >= found.end_ns:
        raise MembershipEnded(time_text(found.end_ns))
    return found


def role_in(channel: Channel, address: bytes, membership: Membership) -> int:
    if channel.settings is not None and channel.settings.pair:
        return PEER
    return OWNER if address == channel.owner else membership.role


def has_right(state: Readable, channel: Channel, address: bytes, right: int, now_ns: int) -> bool:
    found = state.get(member_key(channel.id, address))
    if found is None or (found.end_ns and now_ns >= found.end_ns):
        return False
    return bool(RIGHTS[role_in(channel, address, found)] & right)


def require_right(state: Readable, channel: Channel, address: bytes, right: int, now_ns: int) -> int:
    """The role that gives it. Raises: NotMember, MembershipEnded, NotPermitted."""
    role = role_in(channel, address, require_member(state, channel, address, now_ns))
    if not RIGHTS[role] & right:
        raise NotPermitted(account(address))
    return role
