"""Device keys sign in the chat lane within their role and time, and nothing else; a revoked one signs nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.chat.identities.devices import DEVICE, Device, Devices, retired
from chain.chat.ledger.records import IDENTITY
from chain.kernel.branch import RECORD_BYTES_MAX
from chain.tx import errors as e
from chain.tx import identity_errors as ids
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.build import Wallet
from chain.tx.messages import (
    KINDS,
    LANE_BRIDGE,
    LANE_CHAT,
    CreateChannel,
    JoinChannel,
    Payment,
    PostMessage,
    RegisterIdentity,
    channel_id,
)
from chain.tx.messages.chat import (
    DEVICES_MAX,
    INVITED,
    LIFETIME_S_MAX,
    USE_SIGNED,
    AddDevice,
    ClaimPrekey,
    PublishEpochKeys,
    PublishPrekeys,
    RevokeDevice,
    SealedCopy,
    SetProfile,
)
from chain.tx.messages.kinds import DEVICE_ROLE_NAMES, ROLE_ADMIN, ROLE_MODERATE, ROLE_POST, ROLE_ROOT
from chain.tx.policies import single_key_policy
from consensus.abci.interface import CheckTxRequest, CheckTxType
from consensus.state.results import ExecTxResult
from tests.support.chain.harness import SECOND_NS, Chain, wallet
from tests.support.chain.identities import published
from tests.support.chain.keys import rotation, shared, signed

ROOM = channel_id("room")


class World(Chain):
    """ann owns `room`; her devices are wallets by name. late_s: how much later than its height the chain's clock is."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(("ann", "bob"), 10**9))
        self.late_s = 0
        for name in ("ann", "bob"):
            self.do(name, RegisterIdentity(self.address(name), name, ""))
        self.do("ann", CreateChannel(self.ann, "room", 0, ""))
        self.do("bob", JoinChannel(self.address("bob"), ROOM))

    @property
    def ann(self) -> bytes:
        return self.address("ann")

    def request(self, txs: Any, **options: Any) -> Any:
        made = super().request(txs, **options)
        return replace(made, time_ns=made.time_ns + self.late_s * SECOND_NS)

    def do(self, who: str, *messages: Any, **options: Any) -> ExecTxResult:
        return self.run(self.tx(who, *messages, **options))

    def run(self, tx: bytes, *, propose: bool = False) -> ExecTxResult:
        result = self.block(tx, propose=propose).tx_results[0]
        self.assert_invariants()
        return result

    def add(self, device: str, role: int = ROLE_POST, lifetime_s: int = 1_000) -> int:
        return self.do("ann", AddDevice(self.ann, wallet(device).public_key, role, lifetime_s)).code

    def revoke(self, device: str) -> int:
        return self.do("ann", RevokeDevice(self.ann, wallet(device).public_key)).code

    def next(self, device: str) -> int:
        sequences = dict(self.app.base.get(IDENTITY + self.ann).sequences)
        return sequences.get(wallet(device).public_key, sequences.get(b"", 0))

    def by(self, device: str, *messages: Any, sequence: int | None = -1, **options: Any) -> bytes:
        """Signed for ann by a device of hers. sequence -1: its next."""
        sequence = self.next(device) if sequence == -1 else sequence
        acting = Wallet(wallet(device).key, self.ann)
        return signed(self, acting, device, *messages, sequence=sequence, with_policy=False, **options)

    def post(self, device: str, text: bytes = b"hello", **options: Any) -> bytes:
        return self.by(device, PostMessage(self.ann, ROOM, text, 0), **options)


@pytest.fixture
def world() -> World:
    return World()


def test_a_device_posts_in_its_own_order_beside_the_root_and_others(world: World) -> None:
    assert world.add("phone") == world.add("laptop") == 0
    txs = [world.post("phone"), world.post("laptop"), world.tx("ann", PostMessage(world.ann, ROOM, b"root", 0)),
           world.post("phone", sequence=world.next("phone") + 1)]  # fmt: skip
    for tx in txs:
        assert world.check(tx).code == 0
    assert [result.code for result in world.block(*txs).tx_results] == [0] * 4
    assert e.WrongSequence.rule in world.propose(txs[0])
    unordered = world.post("phone", sequence=None)
    assert world.run(unordered, propose=True).code == 0
    assert e.Replayed.rule in world.propose(unordered)
    assert world.check(world.post("phone")).code == 0


def test_it_pays_with_the_identitys_allowance(world: World) -> None:
    world.add("phone")
    before = world.app.base.get(IDENTITY + world.ann).allowance.messages
    world.run(world.post("phone"))
    assert world.app.base.get(IDENTITY + world.ann).allowance.messages == before - 1


@pytest.mark.parametrize("role", [ROLE_POST, ROLE_MODERATE, ROLE_ADMIN])
def test_a_role_allows_what_asks_for_it_or_less(world: World, role: int) -> None:
    world.add("phone", role)
    assert world.run(world.post("phone")).code == 0
    profile = world.by("phone", SetProfile(world.ann, "hello"))
    assert world.check(profile).code == world.run(profile).code == (0 if role >= ROLE_ADMIN else 270)
    for root_only in (
        AddDevice(world.ann, wallet("eve").public_key, ROLE_ADMIN, 10),
        RevokeDevice(world.ann, wallet("phone").public_key),
    ):
        assert world.run(world.by("phone", root_only)).code == ids.DeviceRoleTooLow.code
    both = world.by("phone", PostMessage(world.ann, ROOM, b"x", 0), AddDevice(world.ann, bytes(32), 1, 10))
    assert world.run(both).code == ids.DeviceRoleTooLow.code, "one that it may not is enough"


def test_every_kind_asks_for_a_role_and_votes_for_the_root() -> None:
    roles = {name: kind.role for name, kind in KINDS.items() if LANE_CHAT in kind.lanes}
    assert set(roles.values()) <= DEVICE_ROLE_NAMES.keys()
    assert not [name for name in roles if KINDS[name].within], "what is carried would need the role, too"
    assert {name for name, role in roles.items() if role == ROLE_POST} >= {"post_message", "claim_prekey"}
    assert {"add_device", "revoke_device", "vote", "vote_weighted"} == {
        name for name, role in roles.items() if role == ROLE_ROOT
    }


@pytest.mark.parametrize("role", [ROLE_POST, ROLE_MODERATE])
def test_a_device_that_only_posts_gives_no_channel_its_key(world: World, role: int) -> None:
    world.do("ann", CreateChannel(world.ann, "secret", 0, "", access=INVITED, encrypted=True))
    world.add("phone", role)
    copies = (SealedCopy(world.ann, bytes(32), b"sealed"),)
    publishing = world.by("phone", PublishEpochKeys(world.ann, channel_id("secret"), 1, bytes(32), copies))
    wanted = ids.DeviceRoleTooLow.code if role == ROLE_POST else 0
    assert world.check(publishing).code == world.run(publishing).code == wanted


def test_it_signs_in_no_other_lane(world: World) -> None:
    world.add("phone", ROLE_ADMIN)
    to_bob = Payment(world.ann, world.address("bob"), 1)
    for tx in (
        world.by("phone", to_bob, sequence=0),
        world.by("phone", to_bob, sequence=None, lane=LANE_BRIDGE),
        world.post("phone", sequence=None, lane=LANE_BRIDGE),
    ):
        assert world.check(tx).code == world.run(tx).code == e.Unauthorised.code
    assert world.balance("bob") < 10**9, "the registration's fee alone"


def test_who_is_no_device_signs_nothing(world: World) -> None:
    world.add("phone")
    assert world.run(world.post("eve")).code == e.Unauthorised.code
    two = Wallet(wallet("phone").key, world.ann)
    for signers in ("phone ann", "eve phone"):
        tx = signed(world, two, signers, PostMessage(world.ann, ROOM, b"x", 0), sequence=0, with_policy=False)
        assert world.run(tx).code == e.Unauthorised.code
    bobs = signed(
        world, Wallet(wallet("phone").key, world.address("bob")), "phone",
        PostMessage(world.address("bob"), ROOM, b"x", 0), sequence=0, with_policy=False,
    )  # fmt: skip
    assert world.run(bobs).code == e.Unauthorised.code, "a device is one identity's"
    others = world.by("phone", PostMessage(world.ann, ROOM, b"x", 0), sequence=world.next("ann"))
    forged = others.replace(wallet("phone").public_key, wallet("ann").public_key, 1)
    assert world.run(forged).code in (e.Unauthorised.code, e.BadSignature.code, e.WrongSequence.code)


def test_its_time_ends_by_the_blocks(world: World) -> None:
    world.add("phone", lifetime_s=100)
    expiry = world.app.base.get(DEVICE + world.ann).of[0].expiry_time_ns
    world.late_s = expiry // SECOND_NS - world.height - 2
    tx = world.post("phone")
    assert world.run(tx, propose=True).code == 0, "a second before"
    tx = world.post("phone")
    assert world.run(tx).code == ids.DeviceExpired.code, "at its time"
    assert ids.DeviceExpired.rule in world.propose(tx)
    assert world.add("phone") == 0, "the root adds it again"
    assert world.run(world.post("phone")).code == 0


def test_revocation_is_immediate_and_what_was_signed_before_never_runs(world: World) -> None:
    """Within the block; and when the key comes back, its old transactions are used up."""
    world.add("phone")
    first, second = world.post("phone"), world.post("phone", sequence=world.next("phone") + 1)
    assert world.run(first).code == 0
    unordered = world.post("phone", sequence=None)
    revoke = world.tx("ann", RevokeDevice(world.ann, wallet("phone").public_key))
    assert [r.code for r in world.block(revoke, second, unordered, propose=False).tx_results] == [0, 10, 10]
    assert world.app.base.get(DEVICE + world.ann) is None
    assert world.revoke("phone") == ids.UnknownDevice.code
    assert wallet("phone").public_key not in dict(world.app.base.get(IDENTITY + world.ann).sequences)
    world.add("phone")
    assert world.run(first).code == e.WrongSequence.code
    assert world.run(world.post("phone")).code == 0, "it goes on where it was"


@pytest.mark.parametrize("lane", [LANE_CHAT, LANE_BRIDGE])
@pytest.mark.parametrize("how", ["revoked", "a lower role"])
def test_what_waits_is_checked_again_when_its_device_changes(world: World, how: str, lane: int) -> None:
    """Also where what was foreseen of the identity came about: neither its policy nor its sequences changed."""
    world.add("phone", ROLE_ADMIN)
    waiting = [world.by("phone", SetProfile(world.ann, "hello"), sequence=sequence) for sequence in (None, 0)]
    assert [world.check(tx).code for tx in waiting] == [0, 0]
    public_key = wallet("phone").public_key
    change = (
        RevokeDevice(world.ann, public_key) if how == "revoked" else AddDevice(world.ann, public_key, ROLE_POST, 10)
    )
    changing = world.tx("ann", change, lane=lane, unordered=True)
    assert world.check(changing).code == 0
    world.run(changing)
    assert world.recheck is not None
    assert IDENTITY + world.ann in world.recheck
    wanted = e.Unauthorised.code if how == "revoked" else ids.DeviceRoleTooLow.code
    assert [world.app.check_tx(CheckTxRequest(tx, CheckTxType.RECHECK)).code for tx in waiting] == [wanted] * 2


def test_a_change_of_keys_revokes_all_of_them(world: World) -> None:
    """Whoever had the root for a while leaves no device behind."""
    world.add("phone")
    world.add("thief's", ROLE_ADMIN)
    kept = world.post("thief's", sequence=0)
    world.run(world.post("thief's"))
    assert world.do("ann", rotation(world.ann, wallet("new").policy, ["new"])).code == 0
    for device in ("phone", "thief's"):
        assert world.run(world.post(device)).code == e.Unauthorised.code
    assert world.run(kept).code == e.Unauthorised.code
    assert world.app.base.get(DEVICE + world.ann) is None
    new = Wallet(wallet("new").key, world.ann)
    again = AddDevice(world.ann, wallet("thief's").public_key, ROLE_POST, 100)
    tx = signed(world, new, "new", again, sequence=world.next("new"), with_policy=False)
    assert world.run(tx).code == 0
    assert world.run(kept).code == e.WrongSequence.code, "nothing of before runs again"


def test_an_account_of_several_keys_has_devices_too(world: World) -> None:
    policy = shared(2, "a", "b", "c").policy
    assert world.do("ann", rotation(world.ann, policy, ["a", "b", "c"])).code == 0
    add = AddDevice(world.ann, wallet("phone").public_key, ROLE_POST, 1_000)
    all_of_it = replace(shared(2, "a", "b", "c"), address=world.ann)
    tx = signed(world, all_of_it, "a b", add, sequence=world.next("a"), with_policy=False)
    assert world.run(tx).code == 0
    assert world.run(world.post("phone")).code == 0
    one = signed(world, all_of_it, "a", add, sequence=world.next("a"), with_policy=False)
    assert world.run(one).code == e.Unauthorised.code


def test_they_are_bounded_and_those_past_their_time_make_room(world: World) -> None:
    for number in range(DEVICES_MAX):
        assert world.add(f"device {number}", lifetime_s=100 if number else 10_000) == 0
    assert world.add("one more") == ids.TooManyDevices.code
    assert world.add("device 3", ROLE_ADMIN, 100) == 0, "one that is known changes"
    world.run(world.post("device 1"))
    world.late_s = 2_000
    assert world.add("one more") == 0
    assert [d.public_key for d in world.app.base.get(DEVICE + world.ann).of] == [
        wallet(name).public_key for name in ("device 0", "one more")
    ]
    assert wallet("device 1").public_key not in dict(world.app.base.get(IDENTITY + world.ann).sequences)


def test_a_device_signs_prekeys_as_long_as_it_may(world: World) -> None:
    bob = world.address("bob")
    by_phone = published(wallet("phone"), world.ann, USE_SIGNED, bytes(32))
    prekeys = PublishPrekeys(world.ann, by_phone, None, (b"1" * 32,))
    assert world.do("ann", prekeys).code == ids.PrekeySignerUnknown.code
    world.add("phone")
    assert world.run(world.by("phone", prekeys)).code == 0
    assert world.do("bob", ClaimPrekey(bob, world.ann)).code == 0
    world.do("ann", PublishPrekeys(world.ann, one_time=(b"2" * 32,)))
    world.revoke("phone")
    assert world.do("bob", ClaimPrekey(bob, world.ann)).code == ids.NoPrekeys.code


@pytest.mark.parametrize("make", [
    pytest.param(lambda a: AddDevice(a, bytes(31), 1, 10), id="no key"),
    pytest.param(lambda a: AddDevice(a, bytes(32), 0, 10), id="no role"),
    pytest.param(lambda a: AddDevice(a, bytes(32), ROLE_ROOT, 10), id="the root's role"),
    pytest.param(lambda a: AddDevice(a, bytes(32), 1, 0), id="no time"),
    pytest.param(lambda a: AddDevice(a, bytes(32), 1, LIFETIME_S_MAX + 1), id="too long"),
    pytest.param(lambda a: RevokeDevice(a, bytes(33)), id="no key to revoke"),
    pytest.param(lambda a: RevokeDevice(b"", bytes(32)), id="no address"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_before_it_is_admitted(world: World, make: Any) -> None:
    message = make(world.ann)
    assert world.check(world.tx("ann", message)).code in (e.InvalidField.code, e.SignersMismatch.code)


def test_the_greatest_record_fits_and_sequences_of_the_root_stay() -> None:
    greatest = Devices((Device(b"\xff" * 32, ROLE_ADMIN, UINT64_MAX, UINT64_MAX),) * DEVICES_MAX)
    assert len(greatest.encode()) <= 600 <= RECORD_BYTES_MAX
    root, phone = wallet("ann").public_key, wallet("phone").public_key
    both = tuple(sorted(((root, 5), (phone, 9))))
    policy = single_key_policy(root)
    assert retired(both, [phone], policy) == ((b"", 9), (root, 5))
    assert retired(both, [root], policy) == both
    assert retired(((b"", 12), (phone, 9)), [phone], policy) == ((b"", 12),)
