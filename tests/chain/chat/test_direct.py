"""Conversations of two: one for each pair, for the two alone; messages as in any channel."""

from __future__ import annotations

import pytest

from chain.chat.channels.records import CHANNEL
from chain.tx import errors as e
from chain.tx.identity_errors import Blocked
from chain.tx.messages import JoinChannel, PayToJoin, PostMessage, channel_id, decode_message, direct_id, encode_message
from chain.tx.messages.chat import (
    AcceptChannel,
    BanMember,
    BeginEpoch,
    BlockIdentity,
    EditChannel,
    EditMessage,
    InviteMember,
    LeaveChannel,
    MarkRead,
    OfferChannel,
    OpenDirect,
    PinMessage,
    PublishEpochKeys,
    React,
    RetractMessage,
    SealedCopy,
    SetMemberRole,
    UnbanMember,
    UnblockIdentity,
)
from tests.support.chain.rooms import Rooms


def opened(*, encrypted: bool = False) -> tuple[Rooms, bytes]:
    rooms = Rooms()
    rooms.ok("ann", OpenDirect(rooms.ann, rooms.bob, encrypted))
    return rooms, direct_id(rooms.ann, rooms.bob)


def test_a_pair_has_one_conversation() -> None:
    rooms, between = opened()
    assert between == direct_id(rooms.bob, rooms.ann)
    rooms.refused(e.ChannelExists, "bob", OpenDirect(rooms.bob, rooms.ann))
    rooms.ok("bob", OpenDirect(rooms.bob, rooms.carl))
    channel = rooms.get(CHANNEL + between)
    assert channel is not None
    assert (channel.owner, channel.name, channel.member_count) == (b"", "", 2)
    stranger = bytes(20)
    rooms.refused(e.UnknownIdentity, "ann", OpenDirect(rooms.ann, stranger))


def test_messages_go_both_ways_as_in_any_channel() -> None:
    rooms, between = opened()
    rooms.ok("ann", PostMessage(rooms.ann, between, b"hello", 0))
    rooms.ok("bob", PostMessage(rooms.bob, between, b"hi", 1, ttl_s=30))
    rooms.ok("ann", EditMessage(rooms.ann, between, 0, b"hello, bob"))
    rooms.ok("bob", React(rooms.bob, between, 0, 1), MarkRead(rooms.bob, between, 3))
    rooms.refused(e.NotPermitted, "bob", RetractMessage(rooms.bob, between, 0))  # nobody moderates
    rooms.ok("ann", RetractMessage(rooms.ann, between, 0))
    rooms.wait(30)
    assert rooms.told == ["message_expired"]


def test_nobody_else_comes_in_and_neither_rules() -> None:
    rooms, between = opened()
    rooms.refused(e.NotMember, "carl", PostMessage(rooms.carl, between, b"me too", 0))
    rooms.refused(e.InvitationNeeded, "carl", JoinChannel(rooms.carl, between))
    rooms.refused(e.InvitationNeeded, "carl", PayToJoin(rooms.carl, between, 1))
    for message in (
        InviteMember(rooms.ann, between, rooms.carl, 60), BanMember(rooms.ann, between, rooms.bob, 0),
        UnbanMember(rooms.ann, between, rooms.bob), SetMemberRole(rooms.ann, between, rooms.bob, 1),
        EditChannel(rooms.ann, between, topic="mine"), EditChannel(rooms.ann, between, access=0),
        OfferChannel(rooms.ann, between, rooms.bob), PinMessage(rooms.ann, between, 0),
        LeaveChannel(rooms.ann, between),
    ):  # fmt: skip
        rooms.refused(e.NotPermitted, "ann", message)
    rooms.refused(e.NotOffered, "ann", AcceptChannel(rooms.ann, between))


def test_who_is_blocked_neither_begins_nor_goes_on() -> None:
    rooms, between = opened()
    rooms.ok("ann", PostMessage(rooms.ann, between, b"hello", 0))
    rooms.ok("bob", BlockIdentity(rooms.bob, rooms.ann))
    rooms.refused(Blocked, "ann", PostMessage(rooms.ann, between, b"hello?", 0))
    rooms.refused(Blocked, "ann", EditMessage(rooms.ann, between, 0, b"hello, by an edit"))
    rooms.ok("bob", PostMessage(rooms.bob, between, b"one last word", 0))
    rooms.refused(Blocked, "ann", React(rooms.ann, between, 1, 1))
    rooms.ok("ann", RetractMessage(rooms.ann, between, 0))
    rooms.ok("carl", BlockIdentity(rooms.carl, rooms.ann))
    rooms.refused(Blocked, "ann", OpenDirect(rooms.ann, rooms.carl))
    rooms.ok("bob", UnblockIdentity(rooms.bob, rooms.ann))
    rooms.ok("ann", PostMessage(rooms.ann, between, b"hello again", 0))


def test_an_encrypted_one_has_keys_of_both() -> None:
    rooms, between = opened(encrypted=True)
    rooms.refused(e.WrongEpoch, "ann", PostMessage(rooms.ann, between, b"in the clear", 0))
    rooms.refused(e.NoKeyYet, "ann", PostMessage(rooms.ann, between, b"sealed", 0, epoch=1))
    copies = tuple(sorted(SealedCopy(who, bytes(32), b"sealed") for who in (rooms.ann, rooms.bob)))
    rooms.ok("bob", PublishEpochKeys(rooms.bob, between, 1, bytes(32), copies))
    rooms.ok("ann", PostMessage(rooms.ann, between, b"sealed", 0, epoch=1))


def test_who_is_blocked_gives_no_key_and_changes_none() -> None:
    """audit 47: it went on writing in sealed copies, and began epochs so that the other's messages were refused."""
    rooms, between = opened(encrypted=True)
    mine, theirs = [SealedCopy(who, bytes(32), b"sealed") for who in (rooms.ann, rooms.bob)]
    rooms.ok("bob", BlockIdentity(rooms.bob, rooms.ann))
    rooms.refused(Blocked, "ann", BeginEpoch(rooms.ann, between))
    for copies in ((mine,), (theirs,)):
        rooms.refused(Blocked, "ann", PublishEpochKeys(rooms.ann, between, 1, bytes(32), copies))
    rooms.ok("bob", PublishEpochKeys(rooms.bob, between, 1, bytes(32), (theirs,)))
    rooms.ok("bob", PostMessage(rooms.bob, between, b"one last word", 0, epoch=1))
    other = theirs._replace(device=b"x" * 32)
    rooms.refused(Blocked, "ann", PublishEpochKeys(rooms.ann, between, 1, bytes(32), (other,)))
    rooms.ok("ann", PublishEpochKeys(rooms.ann, between, 1, bytes(32), (mine,)))  # for another device of its own
    rooms.ok("bob", UnblockIdentity(rooms.bob, rooms.ann))
    rooms.ok("ann", BeginEpoch(rooms.ann, between))


def test_it_is_with_somebody_else() -> None:
    with pytest.raises(e.InvalidField, match="is the sender"):
        decode_message(encode_message(OpenDirect(b"a" * 20, b"a" * 20)))
    assert direct_id(b"a" * 20, b"b" * 20) != channel_id("")
