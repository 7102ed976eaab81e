"""Encrypted channels with real boxes: who was removed does not read on, who comes does not read back."""

from __future__ import annotations

import pytest
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox
from nacl.secret import SecretBox

from chain.chat.channels.keys import SEALED, SealedKey, epoch_key
from chain.chat.messages.records import message_key
from chain.tx import errors as e
from chain.tx.messages import JoinChannel, PayToJoin, PostMessage, decode_message, encode_message
from chain.tx.messages.chat import (
    INVITED,
    MODERATOR,
    BanMember,
    BeginEpoch,
    EditMessage,
    InviteMember,
    LeaveChannel,
    PublishEpochKeys,
    SealedCopy,
    SetMemberRole,
)
from crypto.hash import sha256
from proto.dchat.v1 import state_pb2 as pb
from tests.support.chain.rooms import DCHAT, ROOM, Rooms


def commitment(key: bytes) -> bytes:
    return sha256(b"dchat/epoch-key" + key)


class Person:
    """Has a device, and reads with it all that is on the chain."""

    def __init__(self, rooms: Rooms, name: str) -> None:
        self.rooms, self.name, self.address = rooms, name, rooms.address(name)
        self.device = PrivateKey(sha256(b"device of " + name.encode()))

    def copy(self, key: bytes) -> SealedCopy:
        sealed = SealedBox(self.device.public_key).encrypt(key)
        return SealedCopy(self.address, bytes(self.device.public_key), sealed)

    def keys(self) -> dict[int, bytes]:
        """Of each epoch of which some copy on the chain, whoever's, opens with this device."""
        found = {}
        for key, stored in self.rooms.app.stores.scan("chat", SEALED[1:] + ROOM):
            epoch = int.from_bytes(key[1 + 20 :][:8], "big")
            try:
                opened = SealedBox(self.device).decrypt(SealedKey.decode(stored).sealed)
            except CryptoError:
                continue
            known = self.rooms.get(epoch_key(ROOM, epoch))
            assert known is not None
            assert known.commitment == commitment(opened)
            found[epoch] = opened
        return found

    def post(self, text: bytes) -> None:
        settings = self.rooms.room.settings
        assert settings is not None
        box = SecretBox(self.keys()[settings.epoch])
        self.rooms.ok(self.name, PostMessage(self.address, ROOM, bytes(box.encrypt(text)), 0, epoch=settings.epoch))

    def reads(self) -> list[bytes]:
        keys, texts = self.keys(), []
        for index in range(self.rooms.room.range.count):
            stored = self.rooms.app.stores.side("chat", message_key(ROOM, index)[1:])
            assert stored is not None
            message = pb.ChatMessage.FromString(stored)
            for key in keys.values():  # whatever epoch it says
                try:
                    texts.append(SecretBox(key).decrypt(message.content))
                except CryptoError:
                    continue
        return texts


class World:
    def __init__(self, price: int = 0, **terms: object) -> None:
        self.rooms = Rooms().opened(price, **{"access": INVITED, "encrypted": True, **terms})
        self.ann, self.bob, self.carl, self.dora = [Person(self.rooms, name) for name in ("ann", "bob", "carl", "dora")]

    @property
    def epoch(self) -> int:
        settings = self.rooms.room.settings
        assert settings is not None
        return settings.epoch

    def invited(self, who: Person, *, reads_back: bool = False) -> None:
        self.rooms.ok("ann", InviteMember(self.ann.address, ROOM, who.address, 3_600, reads_back))
        self.rooms.ok(who.name, JoinChannel(who.address, ROOM))

    def given(self, *people: Person) -> bytes:
        """ann draws the key of the epoch of now and gives it to them."""
        key = sha256(b"key of epoch %d" % self.epoch)
        self.rooms.ok("ann", self.copies(self.epoch, key, *people))
        return key

    def copies(self, epoch: int, key: bytes, *people: Person, actor: Person | None = None) -> PublishEpochKeys:
        copies = tuple(sorted(person.copy(key) for person in people))
        return PublishEpochKeys((actor or self.ann).address, ROOM, epoch, commitment(key), copies)


def test_a_removed_member_does_not_read_on() -> None:
    world = World()
    rooms, ann, bob, carl = world.rooms, world.ann, world.bob, world.carl
    world.invited(bob)
    world.invited(carl)
    world.given(ann, bob, carl)
    bob.post(b"with carl")
    assert carl.reads() == [b"with carl"]
    old = world.epoch
    rooms.ok("ann", BanMember(ann.address, ROOM, carl.address, 0))
    assert world.epoch == old + 1
    stale = PostMessage(bob.address, ROOM, b"sealed with the key that carl has", 0, epoch=old)
    rooms.refused(e.WrongEpoch, "bob", stale)
    rooms.refused(e.NoKeyYet, "bob", stale._replace(epoch=old + 1))
    rooms.refused(e.NotMember, "ann", world.copies(old + 1, b"new", ann, carl))  # nobody can be kind by mistake
    world.given(ann, bob)
    bob.post(b"without carl")
    rooms.refused(e.NotMember, "carl", world.copies(old + 1, b"new", carl, actor=carl))
    assert carl.reads() == [b"with carl"]
    assert ann.reads() == bob.reads() == [b"with carl", b"without carl"]


@pytest.mark.parametrize("reads_back", [False, True])
def test_who_comes_does_not_read_back_unless_invited_to(reads_back: bool) -> None:
    world = World()
    rooms, ann, dora = world.rooms, world.ann, world.dora
    first, key = world.epoch, world.given(ann)
    ann.post(b"before dora")
    world.invited(dora, reads_back=reads_back)
    back = world.copies(first, key, dora)
    if reads_back:
        rooms.ok("ann", back)
    else:
        rooms.refused(e.NotForMember, "ann", back)
    world.given(ann, dora)
    ann.post(b"with dora")
    assert dora.reads() == ([b"before dora"] if reads_back else []) + [b"with dora"]


def test_each_way_of_going_begins_an_epoch() -> None:
    world = World()
    rooms, bob = world.rooms, world.bob
    assert world.epoch == 1
    world.invited(bob)
    assert world.epoch == 2
    rooms.ok("bob", LeaveChannel(bob.address, ROOM))
    assert world.epoch == 3
    rooms.ok("ann", BeginEpoch(world.ann.address, ROOM))
    assert world.epoch == 4


def test_one_whose_paid_time_has_passed_does_not_read_on() -> None:
    world = World(DCHAT, access=0, period_s=60)
    rooms, ann, bob = world.rooms, world.ann, world.bob
    rooms.ok("bob", PayToJoin(bob.address, ROOM, DCHAT, 60))
    before = world.epoch
    world.given(ann, bob)
    ann.post(b"paid for")
    rooms.wait(60)
    assert world.epoch == before + 1
    world.given(ann)
    ann.post(b"not paid for")
    assert bob.reads() == [b"paid for"]


def test_an_epoch_has_one_key_and_a_device_one_copy() -> None:
    world = World()
    rooms, ann, bob, carl = world.rooms, world.ann, world.bob, world.carl
    world.invited(bob)
    world.invited(carl)
    epoch = world.epoch
    rooms.refused(e.NotPermitted, "bob", world.copies(epoch, b"mine", bob, actor=bob))  # the first is a moderator's
    key = world.given(ann, bob)
    rooms.refused(e.OtherKey, "ann", world.copies(epoch, b"another", carl))
    rooms.refused(e.KeyGiven, "ann", world.copies(epoch, key, bob))
    rooms.refused(e.NotPermitted, "bob", world.copies(epoch, key, carl, actor=bob))
    rooms.refused(e.WrongEpoch, "ann", world.copies(epoch + 1, key, carl))
    rooms.refused(e.WrongEpoch, "ann", world.copies(epoch - 1, key, carl))  # which never had a key
    bob.device = PrivateKey(sha256(b"another device of bob"))
    rooms.ok("bob", world.copies(epoch, key, bob, actor=bob))
    rooms.ok("ann", SetMemberRole(ann.address, ROOM, bob.address, MODERATOR))
    rooms.ok("bob", world.copies(epoch, key, carl, actor=bob))
    carl.post(b"all three")
    assert ann.reads() == bob.reads() == [b"all three"]
    rooms.refused(e.NotPermitted, "carl", BeginEpoch(carl.address, ROOM))


def test_edits_are_of_the_epoch_of_now() -> None:
    world = World()
    rooms, ann = world.rooms, world.ann
    world.given(ann)
    ann.post(b"first")
    rooms.ok("ann", BeginEpoch(ann.address, ROOM))
    rooms.refused(e.WrongEpoch, "ann", EditMessage(ann.address, ROOM, 0, b"x", epoch=1))
    world.given(ann)
    rooms.ok("ann", EditMessage(ann.address, ROOM, 0, b"x", epoch=2))


def test_an_open_channel_has_no_keys() -> None:
    rooms = Rooms().opened()
    copy = SealedCopy(rooms.ann, bytes(32), b"x")
    rooms.refused(e.NotEncrypted, "ann", PublishEpochKeys(rooms.ann, ROOM, 1, bytes(32), (copy,)))
    rooms.refused(e.NotEncrypted, "ann", BeginEpoch(rooms.ann, ROOM))


COPY = SealedCopy(b"b" * 20, bytes(32), b"x")


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        (PublishEpochKeys(b"a" * 20, ROOM, 0, bytes(32), (COPY,)), "an epoch from 1 on"),
        (PublishEpochKeys(b"a" * 20, ROOM, 1, bytes(31), (COPY,)), "commitment"),
        (PublishEpochKeys(b"a" * 20, ROOM, 1, bytes(32), ()), "allowed: 1 to 64"),
        (PublishEpochKeys(b"a" * 20, ROOM, 1, bytes(32), (COPY,) * 65), "allowed: 1 to 64"),
        (PublishEpochKeys(b"a" * 20, ROOM, 1, bytes(32), (COPY, COPY)), "not ascending"),
        (PublishEpochKeys(b"a" * 20, ROOM, 1, bytes(32), (COPY._replace(device=bytes(31)),)), "device"),
        (PublishEpochKeys(b"a" * 20, ROOM, 1, bytes(32), (COPY._replace(sealed=bytes(257)),)), "sealed"),
        (PublishEpochKeys(b"a" * 20, ROOM, 1, bytes(32), (COPY._replace(sealed=b""),)), "sealed"),
        (BeginEpoch(b"a" * 19, ROOM), "expected 20"),
    ],
)
def test_what_a_message_may_not_say(message: object, wrong: str) -> None:
    with pytest.raises(e.InvalidField, match=wrong):
        decode_message(encode_message(message))  # type: ignore[arg-type]
