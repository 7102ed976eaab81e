"""Messages after they were posted: each rule, and that what is forgotten is gone while all proofs still hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.chat.messages.posts import EDITS_MAX, REACTIONS_PER_TURN
from chain.chat.messages.records import (
    EDITED,
    EXPIRED,
    REACTION,
    REMOVED,
    RETRACTED,
    MessageState,
    message_key,
    reaction_key,
    state_key,
)
from chain.state import mmr, proofs
from chain.tx import errors as e
from chain.tx.errors import TxError, declared_errors
from chain.tx.messages import (
    Attachment,
    JoinChannel,
    PostMessage,
    Tip,
    decode_message,
    encode_message,
)
from chain.tx.messages.chat import (
    GUEST,
    MODERATOR,
    REACTIONS,
    EditChannel,
    EditMessage,
    LeaveChannel,
    MarkRead,
    PinMessage,
    React,
    RetractMessage,
    SetMemberRole,
)
from crypto.hash import sha256
from proto.dchat.v1 import state_pb2 as pb
from tests.support.chain.rooms import DCHAT, ROOM, Rooms

DAY = 86_400
SECRET = b"a secret that is to be forgotten"


def room(**terms: object) -> Rooms:
    """bob and carl are members."""
    rooms = Rooms().opened(**terms)
    for name, who in (("bob", rooms.bob), ("carl", rooms.carl)):
        rooms.ok(name, JoinChannel(who, ROOM))
    return rooms


def stored(rooms: Rooms, index: int) -> pb.ChatMessage:
    found = rooms.app.stores.side("chat", message_key(ROOM, index)[1:])
    assert found is not None
    return pb.ChatMessage.FromString(found)


def state_of(rooms: Rooms, index: int) -> MessageState | None:
    return rooms.get(state_key(ROOM, index))


def assert_all_proved(rooms: Rooms, *, height: int = 0) -> list[pb.ChatMessage]:
    """Every message of the room, by its path and the channel's proof, as a client checks it."""
    proved, found = rooms.app.queries.messages(ROOM, limit=1_000, height=height, with_proof=True)
    assert proved.value is not None
    root = rooms.app.stores.at(height or None).app_hash
    proofs.verify(proved.ops, root, store="chat", key=proved.key, value=proved.value)
    channel = pb.Channel.FromString(proved.value)
    summary = mmr.Range(channel.message_count, tuple(channel.peaks))
    messages = [pb.ChatMessage.FromString(one.value) for one in found]
    for one, message in zip(found, messages, strict=True):
        leaf = message.leaf_hash or mmr.leaf_hash(one.value)
        mmr.verify_leaf(summary, mmr.ItemProof(one.index, one.path), leaf)
    return messages


def is_kept(rooms: Rooms, text: bytes) -> bool:
    """Whether the latest state has it anywhere: trees and what lies beside them, and the records in memory."""
    stores = rooms.app.stores
    kept = [
        value for name in ("chat", "currency", "bridge") for _, value in (*stores.scan(name), *stores.scan_side(name))
    ]
    cached = [value for value in rooms.app.base._young.values() if isinstance(value, bytes)]
    return any(text in value for value in (*kept, *cached))


def test_a_plain_message_is_stored_as_it_always_was() -> None:
    rooms = room()
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, b"hello", 0))
    message = stored(rooms, 0)
    assert {field.name for field, _ in message.ListFields()} <= {
        "channel_id", "author", "content", "height", "time_ns",
    }  # fmt: skip


def test_a_body_elsewhere_and_attachments_are_in_the_leaf() -> None:
    rooms = room()
    attached = (Attachment(sha256(b"1"), 7, "image/png"), Attachment(sha256(b"2"), 1, ""))
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, b"", 0, content_hash=sha256(b"far"), attachments=attached))
    (message,) = assert_all_proved(rooms)
    assert message.content_hash == sha256(b"far")
    assert [(a.sha256, a.size, a.media_type) for a in message.attachments] == [tuple(one) for one in attached]


def test_an_edit_is_a_message_and_drops_the_body_before() -> None:
    rooms = room()
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, SECRET, 0), PostMessage(rooms.bob, ROOM, b"other", 0))
    rooms.ok("bob", EditMessage(rooms.bob, ROOM, 0, b"better"))
    first, other, edit = assert_all_proved(rooms)
    assert (first.forgotten, other.content, edit.content, edit.edits) == (EDITED, b"other", b"better", 1)
    assert not is_kept(rooms, SECRET)
    assert stored(rooms, 0).author == rooms.bob
    rooms.ok("bob", EditMessage(rooms.bob, ROOM, 0, b"best"))
    assert state_of(rooms, 0) == MessageState(edits=(2, 3))
    assert not is_kept(rooms, b"better")
    rooms.refused(e.NotOriginal, "bob", EditMessage(rooms.bob, ROOM, 2, b"x"))
    rooms.refused(e.NotAuthor, "carl", EditMessage(rooms.carl, ROOM, 0, b"x"))
    rooms.refused(e.UnknownMessage, "bob", EditMessage(rooms.bob, ROOM, 9, b"x"))
    rooms.refused(e.MessageTooLong, "bob", EditMessage(rooms.bob, ROOM, 0, b"x" * 1_001))
    rooms.ok("ann", Tip(rooms.ann, ROOM, 0, DCHAT))  # whose it was is still known
    rooms.ok("bob", *[EditMessage(rooms.bob, ROOM, 0, b"%d" % number) for number in range(EDITS_MAX - 2)])
    rooms.refused(e.TooManyEdits, "bob", EditMessage(rooms.bob, ROOM, 0, b"x"))
    rooms.ok("bob", EditMessage(rooms.bob, ROOM, 1, b"on the last day"))
    rooms.wait(DAY)
    rooms.refused(e.EditTooLate, "bob", EditMessage(rooms.bob, ROOM, 1, b"x"))
    assert_all_proved(rooms)


def test_an_edit_counts_as_a_message_in_slow_mode() -> None:
    rooms = room(slow_mode_s=10)
    rooms.wait(10)
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, b"hello", 0))
    rooms.refused(e.SlowMode, "bob", EditMessage(rooms.bob, ROOM, 0, b"and more"))
    rooms.wait(9)
    rooms.refused(e.SlowMode, "bob", *[EditMessage(rooms.bob, ROOM, 0, text) for text in (b"one", b"two")])
    rooms.ok("bob", EditMessage(rooms.bob, ROOM, 0, b"better"))
    rooms.refused(e.SlowMode, "bob", PostMessage(rooms.bob, ROOM, b"x", 0))
    rooms.wait(9)
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, b"x", 0))
    rooms.ok("ann", PostMessage(rooms.ann, ROOM, b"y", 0))  # who moderates does not wait
    rooms.ok("ann", *[EditMessage(rooms.ann, ROOM, 3, text) for text in (b"one", b"two")])


def test_edits_obey_the_channel() -> None:
    rooms = room()
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, b"hello", 0))
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, archived=True))
    rooms.refused(e.ChannelArchived, "bob", EditMessage(rooms.bob, ROOM, 0, b"x"))
    rooms.refused(e.ChannelArchived, "carl", React(rooms.carl, ROOM, 0, 1))
    rooms.ok("ann", EditChannel(rooms.ann, ROOM, archived=False))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.bob, GUEST))
    rooms.refused(e.NotPermitted, "bob", EditMessage(rooms.bob, ROOM, 0, b"x"))
    rooms.refused(e.NotPermitted, "bob", React(rooms.bob, ROOM, 0, 1))
    rooms.ok("bob", MarkRead(rooms.bob, ROOM, 1))  # guests read


@pytest.mark.parametrize("who", ["bob", "ann"])
def test_what_is_retracted_is_gone_and_everything_stays_proved(who: str) -> None:
    rooms = room()
    attached = (Attachment(sha256(b"1"), 7, "a/secret"),)
    rooms.ok("ann", *[PostMessage(rooms.ann, ROOM, b"line %d" % number, 0) for number in range(5)])
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, SECRET, 0, attachments=attached))
    rooms.ok("carl", PostMessage(rooms.carl, ROOM, b"answer", 6))
    rooms.ok("bob", EditMessage(rooms.bob, ROOM, 5, SECRET + b", edited"))
    rooms.ok("ann", PinMessage(rooms.ann, ROOM, 5), PinMessage(rooms.ann, ROOM, 1))
    rooms.ok("carl", React(rooms.carl, ROOM, 5, 3))
    before, range_before = rooms.height, rooms.room.range
    rooms.refused(e.NotPermitted, "carl", RetractMessage(rooms.carl, ROOM, 5))
    rooms.ok(who, RetractMessage(rooms.address(who), ROOM, 5))
    assert not is_kept(rooms, SECRET)
    assert not is_kept(rooms, b"a/secret")
    assert rooms.room.range == range_before
    assert rooms.room.settings is not None
    assert rooms.room.settings.pinned == (1,)
    why = RETRACTED if who == "bob" else REMOVED
    assert state_of(rooms, 5) == MessageState(forgotten=why, by=rooms.address(who), height=rooms.height)
    for height in (0, before):  # of a height when it was still there, too
        messages = assert_all_proved(rooms, height=height)
        assert {field.name for field, _ in messages[5].ListFields()} == {
            "channel_id", "index", "leaf_hash", "forgotten",
        }  # fmt: skip
        assert (messages[5].forgotten, messages[7].forgotten, messages[6].content) == (why, why, b"answer")
    rooms.wait(1)
    assert rooms.get(reaction_key(ROOM, 5, rooms.carl)) is None
    for message in (
        RetractMessage(rooms.bob, ROOM, 5),
        EditMessage(rooms.bob, ROOM, 5, b"x"),
        React(rooms.bob, ROOM, 5, 1),
    ):
        rooms.refused(e.MessageForgotten, "bob", message)
    rooms.restart()
    assert_all_proved(rooms)
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, b"and on", 0))
    assert_all_proved(rooms)


def test_an_author_retracts_also_after_leaving() -> None:
    rooms = room()
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, SECRET, 0))
    rooms.ok("bob", LeaveChannel(rooms.bob, ROOM))
    rooms.ok("bob", RetractMessage(rooms.bob, ROOM, 0))
    assert not is_kept(rooms, SECRET)
    rooms.ok("carl", PostMessage(rooms.carl, ROOM, SECRET, 0))
    rooms.ok("ann", SetMemberRole(rooms.ann, ROOM, rooms.carl, MODERATOR))
    rooms.refused(e.NotMember, "bob", RetractMessage(rooms.bob, ROOM, 1))


def test_a_message_lives_as_long_as_it_says() -> None:
    rooms = room()
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, SECRET, 0, ttl_s=60), PostMessage(rooms.bob, ROOM, b"stays", 0))
    rooms.ok("bob", EditMessage(rooms.bob, ROOM, 0, SECRET + b", edited"))
    rooms.ok("carl", React(rooms.carl, ROOM, 0, 1))
    rooms.wait(57)
    assert is_kept(rooms, SECRET)
    rooms.wait(1)
    assert rooms.told == ["message_expired"]
    assert not is_kept(rooms, SECRET)
    messages = assert_all_proved(rooms)
    assert [message.forgotten for message in messages] == [EXPIRED, 0, EXPIRED]
    rooms.wait(1)
    assert (state_of(rooms, 0), rooms.get(reaction_key(ROOM, 0, rooms.carl))) == (None, None)
    rooms.refused(e.MessageForgotten, "bob", RetractMessage(rooms.bob, ROOM, 0))


def test_what_was_retracted_does_not_expire_again() -> None:
    rooms = room()
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, SECRET, 0, ttl_s=60))
    rooms.ok("bob", RetractMessage(rooms.bob, ROOM, 0))
    rooms.wait(60)
    assert rooms.told == []
    kept = state_of(rooms, 0)
    assert kept is not None
    assert kept.forgotten == RETRACTED


def test_each_member_has_one_reaction_and_they_are_counted() -> None:
    rooms = room()
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, b"hello", 0))
    rooms.ok("bob", React(rooms.bob, ROOM, 0, 2))
    rooms.ok("carl", React(rooms.carl, ROOM, 0, 2))
    assert state_of(rooms, 0) == MessageState(reactions=(0, 2))
    rooms.refused(e.SameReaction, "carl", React(rooms.carl, ROOM, 0, 2))
    rooms.ok("carl", React(rooms.carl, ROOM, 0, len(REACTIONS)))
    assert state_of(rooms, 0) == MessageState(reactions=(0, 1, *[0] * 13, 1))
    rooms.ok("carl", React(rooms.carl, ROOM, 0, 0))
    rooms.ok("bob", React(rooms.bob, ROOM, 0, 0))
    assert state_of(rooms, 0) is None
    rooms.refused(e.SameReaction, "carl", React(rooms.carl, ROOM, 0, 0))


def test_reactions_of_what_is_forgotten_go_a_bounded_number_a_block() -> None:
    rooms = room()
    rooms.ok("bob", PostMessage(rooms.bob, ROOM, b"hello", 0))
    branch = {reaction_key(ROOM, 0, bytes([1, number]) * 10): b"\x01" for number in range(REACTIONS_PER_TURN + 5)}
    counted = MessageState(reactions=(len(branch),))
    pending = rooms.app.stores
    changes = {bytes(key[1:]): value for key, value in branch.items()}
    changes[bytes(state_key(ROOM, 0)[1:])] = counted.encode()
    pending.commit(pending.prepare(rooms.height + 1, {"chat": changes}))
    rooms.height += 1
    rooms.restart()
    rooms.ok("bob", RetractMessage(rooms.bob, ROOM, 0))
    left = []
    for _ in range(3):
        rooms.wait(1)
        left.append(sum(1 for _ in pending.scan("chat", REACTION[1:])))
    assert left == [5, 0, 0]


def test_marks_of_what_was_read_go_forward() -> None:
    rooms = room()
    rooms.ok("bob", *[PostMessage(rooms.bob, ROOM, b"hello", 0)] * 3)
    rooms.ok("carl", MarkRead(rooms.carl, ROOM, 2))
    membership = rooms.member(rooms.carl)
    assert membership is not None
    assert membership.read_count == 2
    rooms.refused(e.NotNewlyRead, "carl", MarkRead(rooms.carl, ROOM, 2))
    rooms.refused(e.UnknownMessage, "carl", MarkRead(rooms.carl, ROOM, 4))
    rooms.refused(e.NotMember, "dora", MarkRead(rooms.dora, ROOM, 1))


def test_a_channel_in_the_clear_has_no_epoch() -> None:
    rooms = room()
    rooms.refused(e.WrongEpoch, "ann", PostMessage(rooms.ann, ROOM, b"x", 0, epoch=1))


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        (PostMessage(b"a" * 20, ROOM, b"", 0), "content"),
        (PostMessage(b"a" * 20, ROOM, b"x", 0, content_hash=bytes(32)), "content"),
        (PostMessage(b"a" * 20, ROOM, b"", 0, content_hash=b"x" * 31), "content_hash"),
        (PostMessage(b"a" * 20, ROOM, b"x", 0, ttl_s=315_360_001), "ttl_s"),
        (PostMessage(b"a" * 20, ROOM, b"x", 0, attachments=(Attachment(b"x" * 32, 1, ""),) * 9), "attachments"),
        (PostMessage(b"a" * 20, ROOM, b"x", 0, attachments=(Attachment(b"x" * 31, 1, ""),)), "a hash of 32"),
        (PostMessage(b"a" * 20, ROOM, b"x", 0, attachments=(Attachment(b"x" * 32, 0, ""),)), "a size"),
        (PostMessage(b"a" * 20, ROOM, b"x", 0, attachments=(Attachment(b"x" * 32, 1, "é"),)), "media_type"),
        (EditMessage(b"a" * 20, ROOM, 0, b""), "content"),
        (EditMessage(b"a" * 20, ROOM, 2**64 - 1, b"x"), "index"),
        (RetractMessage(b"a" * 19, ROOM, 0), "expected 20"),
        (React(b"a" * 20, ROOM, 0, 17), "reaction"),
        (MarkRead(b"a" * 20, ROOM, 0), "count"),
    ],
)
def test_what_a_message_may_not_say(message: object, wrong: str) -> None:
    with pytest.raises(e.InvalidField, match=wrong):
        decode_message(encode_message(message))  # type: ignore[arg-type]


def test_each_refusal_is_met_here() -> None:
    own: set[type[TxError]] = {error for error in declared_errors() if error.codespace == "messages"}
    text = Path(__file__).read_text() + (Path(__file__).parent / "test_keys.py").read_text()
    assert {error.__name__ for error in own if f"e.{error.__name__}" not in text} == set()
