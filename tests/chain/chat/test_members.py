"""Who is in a channel and which channels somebody is in, as it is listed: at any height, in pages, after all that can
change it; and memberships of before they were found by their member."""

from __future__ import annotations

import pytest

from chain.chat.channels import members
from chain.chat.channels.burners import first_sequences
from chain.chat.channels.members import MEMBERS_PER_SLICE, index_members
from chain.chat.channels.records import BY_MEMBER, MEMBER
from chain.kernel.branch import Branch
from chain.tx.messages import CreateChannel, JoinChannel, Payment, PayToJoin, RegisterIdentity, channel_id, direct_id
from chain.tx.messages.bridge import RegisterBurner
from chain.tx.messages.chat import (
    INVITED,
    MODERATOR,
    AcceptChannel,
    BanMember,
    InviteMember,
    LeaveChannel,
    OfferChannel,
    OpenDirect,
    SetMemberRole,
    UnbanMember,
)
from chain.upgrade.plan import LAST_DONE
from dchat.app.build_plan import UPGRADES
from dchat.app.chat_queries import ChannelQueries
from dchat.app.errors import NoChannel
from tests.support.chain.harness import wallet
from tests.support.chain.rooms import ROOM, Rooms
from tests.support.upgrade import chains as upgraded

DAY_S = 86_400


def lists(rooms: Rooms) -> ChannelQueries:
    """After each look: the index says what the memberships say."""
    base = rooms.app.base
    found = {key[len(MEMBER) :] for key, _ in base.scan(MEMBER)}
    by_member = {key[len(BY_MEMBER) :] for key, _ in base.scan(BY_MEMBER)}
    assert by_member == {item[20:] + item[:20] for item in found}
    return ChannelQueries(rooms.app.queries)


def channels_of(rooms: Rooms, who: bytes) -> dict[str, bool]:
    """Name, or the peer's address -> whether it is theirs."""
    return {row.name or row.peer.hex(): row.is_owner for row in lists(rooms).memberships(who).memberships}


def test_members_are_listed_with_their_roles_in_pages_and_at_a_height() -> None:
    rooms = Rooms().opened()
    for name in ("bob", "carl"):
        rooms.ok(name, JoinChannel(rooms.address(name), ROOM))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.carl, MODERATOR))
    before = rooms.height
    rooms.ok("bob", LeaveChannel(rooms.bob, ROOM))
    everybody = {rooms.ann: (True, 0), rooms.bob: (False, 0), rooms.carl: (False, MODERATOR)}

    def at(height: int) -> dict[bytes, tuple[bool, int]]:
        rows = lists(rooms).members(ROOM, height=height).members
        return {row.address: (row.is_owner, row.membership.role) for row in rows}

    assert at(before) == everybody
    assert list(at(before)) == sorted(everybody)
    assert at(0) == {who: told for who, told in everybody.items() if who != rooms.bob}
    one = lists(rooms).members(ROOM, limit=1, height=before)
    following = lists(rooms).members(ROOM, after=one.next, height=before)
    assert [row.address for row in [*one.members, *following.members]] == sorted(everybody)
    assert (one.next, following.next) == (sorted(everybody)[0], b"")
    with pytest.raises(NoChannel, match=channel_id("nowhere").hex()):
        lists(rooms).members(channel_id("nowhere"))


def test_an_account_finds_its_channels_and_conversations() -> None:
    rooms = Rooms().opened(price=1_000_000, period_s=DAY_S)
    rooms.ok("bob", CreateChannel(rooms.bob, "bobs", 0, ""))
    rooms.ok("bob", PayToJoin(rooms.bob, ROOM, 1_000_000, min_period_s=DAY_S))
    rooms.ok("bob", OpenDirect(rooms.bob, rooms.carl))
    assert channels_of(rooms, rooms.bob) == {"bobs": True, "room": False, rooms.carl.hex(): False}
    assert channels_of(rooms, rooms.carl) == {rooms.bob.hex(): False}
    one = lists(rooms).memberships(rooms.bob, limit=2)
    rest = lists(rooms).memberships(rooms.bob, after=one.next)
    ids = [row.channel_id for row in [*one.memberships, *rest.memberships]]
    assert ids == sorted([ROOM, channel_id("bobs"), direct_id(rooms.bob, rooms.carl)])
    rooms.wait(DAY_S)
    assert channels_of(rooms, rooms.bob) == {"bobs": True, rooms.carl.hex(): False}, "what was paid for has ended"


def test_banned_handed_on_and_again() -> None:
    rooms = Rooms().opened()
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    rooms.ok("ann", BanMember(rooms.ann, ROOM, rooms.bob, 60))
    assert channels_of(rooms, rooms.bob) == {}
    bans = lists(rooms).bans(ROOM).bans
    assert [(row.address, row.ban.by) for row in bans] == [(rooms.bob, rooms.ann)]
    rooms.ok("ann", UnbanMember(rooms.ann, ROOM, rooms.bob))
    assert not lists(rooms).bans(ROOM).bans
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    rooms.ok("ann", OfferChannel(rooms.ann, ROOM, rooms.bob))
    rooms.ok("bob", AcceptChannel(rooms.bob, ROOM))
    assert (channels_of(rooms, rooms.bob), channels_of(rooms, rooms.ann)) == ({"room": True}, {"room": False})


def test_an_invitation_is_void_when_its_maker_may_not_invite() -> None:
    rooms = Rooms().opened(access=INVITED)
    rooms.ok("ann", InviteMember(rooms.ann, ROOM, rooms.bob, 600, reads_back=False))
    rooms.ok("bob", JoinChannel(rooms.bob, ROOM))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.bob, MODERATOR))
    rooms.ok("bob", InviteMember(rooms.bob, ROOM, rooms.carl, 600, reads_back=False))
    rooms.ok("ann", InviteMember(rooms.ann, ROOM, rooms.dora, 600, reads_back=False))

    def told() -> dict[bytes, bool]:
        return {row.address: row.is_void for row in lists(rooms).invitations(ROOM).invitations}

    assert told() == {rooms.carl: False, rooms.dora: False}
    rooms.ok("ann", BanMember(rooms.ann, ROOM, rooms.bob, 60))
    assert told() == {rooms.carl: True, rooms.dora: False}
    rooms.wait(600)
    assert told() == {}


def test_what_a_burner_was_in_ends_with_it() -> None:
    rooms = Rooms().opened()
    rooms.wallets["eve"] = wallet("eve")
    eve = rooms.address("eve")
    rooms.ok("ann", Payment(rooms.ann, eve, 10**6))
    rooms.ok("eve", RegisterBurner(eve, "eve", "", 600))
    rooms.sequences["eve", "chat"] = first_sequences(rooms.height)[0][1]
    rooms.ok("eve", JoinChannel(eve, ROOM))
    assert channels_of(rooms, eve) == {"room": False}
    rooms.wait(600)
    rooms.wait(1)
    assert channels_of(rooms, eve) == {}


def test_the_upgrade_finds_memberships_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = upgraded.new_chain(upgrades=UPGRADES[:1])
    ann, bob = chain.address("ann"), chain.address("bob")
    with monkeypatch.context() as before:
        before.setattr(
            members, "admit", lambda state, channel, who, membership: state.set(MEMBER + channel + who, membership)
        )
        upgraded.ok(chain, chain.tx("ann", RegisterIdentity(ann, "ann", "")))
        upgraded.ok(chain, chain.tx("bob", RegisterIdentity(bob, "bob", "")))
        upgraded.ok(chain, chain.tx("ann", CreateChannel(ann, "room", 0, "")))
        upgraded.ok(chain, chain.tx("bob", JoinChannel(bob, ROOM)))
    assert not list(chain.app.base.scan(BY_MEMBER))
    upgraded.ok(chain, upgraded.plan(chain, chain.height + 3, "memberships"))
    upgraded.to_height(chain, chain.height + 1)
    chain.restart(upgrades=UPGRADES[:2])
    upgraded.ok(chain)
    assert {key for key, _ in chain.app.base.scan(BY_MEMBER)} == {BY_MEMBER + who + ROOM for who in (ann, bob)}
    assert chain.app.base.get(LAST_DONE).migrated == (("chat", 3),)
    chain.assert_invariants()


def test_a_slice_of_the_migration_is_bounded() -> None:
    there = {MEMBER + ROOM + number.to_bytes(20, "big"): b"" for number in range(2 * MEMBERS_PER_SLICE + 1)}
    branch = Branch({}.get)
    written = [len(branch.writes) for _ in index_members(branch, lambda prefix, start=b"": iter(there.items()))]
    assert written == [MEMBERS_PER_SLICE, 2 * MEMBERS_PER_SLICE]
    assert len(branch.writes) == len(there)
