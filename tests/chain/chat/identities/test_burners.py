"""Burners: identities that end by themselves, what goes with them, and what nobody gets out of that."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from chain.chat.channels import burners, due
from chain.chat.channels.burners import BLOCKED_PER_TURN, ENDED, SEQUENCES_PER_BLOCK
from chain.chat.channels.records import CHANNEL, MEMBER, member_key
from chain.chat.identities.devices import DEVICE
from chain.chat.identities.names import SKELETON
from chain.chat.identities.prekeys import PREKEY
from chain.chat.identities.profiles import BLOCK, PROFILE
from chain.chat.ledger.records import IDENTITY, IDENTITY_NAME, Identity
from chain.chat.messages.records import message_key
from chain.currency.ledger.records import ACCOUNT
from chain.kernel.branch import Branch
from chain.kernel.modules import BlockContext
from chain.tx import errors as e
from chain.tx.envelope.build import Wallet
from chain.tx.errors import InvalidField, TxError
from chain.tx.identity_errors import BurnerMayNot, IdentityExpired, OfAnEarlierLife
from chain.tx.messages import (
    CreateChannel,
    JoinChannel,
    Message,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    channel_id,
    direct_id,
)
from chain.tx.messages.bridge import LIFETIME_S_MAX, LIFETIME_S_MIN, RegisterBurner, register_burner
from chain.tx.messages.chat import (
    INVITED,
    MODERATOR,
    AcceptChannel,
    InviteMember,
    OfferChannel,
    OpenDirect,
    SetMemberRole,
)
from chain.tx.messages.chat import (
    MEMBER as ROLE_MEMBER,
)
from chain.tx.messages.chat.devices import AddDevice
from chain.tx.messages.chat.identities import BlockIdentity, SetProfile
from chain.tx.messages.chat.prekeys import ClaimPrekey, PublishPrekeys
from chain.tx.messages.grants import Authorise, Exec
from chain.tx.messages.guardians import SetGuardians
from consensus.abci.interface import CommitInfo
from consensus.state.results import ExecTxResult
from proto.dchat.v1 import tx_pb2
from tests.support.chain.harness import SECOND_NS, Chain, wallet
from tests.support.chain.identities import published
from tests.support.chain.keys import rotation, signed

DCHAT = 10**6
LIFE_S = 600
BLOCKS_MAX = 1_000  # `unordered_expiry_blocks_max` of both lanes
ROOM, CLUB, VAULT = channel_id("room"), channel_id("club"), channel_id("vault")


class Party(Chain):
    """ann lasts and has channels; bob is a burner; carl has no identity yet."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(("ann", "bob", "carl"), 1_000 * DCHAT))
        self.ann, self.bob, self.carl = [self.address(name) for name in ("ann", "bob", "carl")]
        self.good("ann", RegisterIdentity(self.ann, "ann", ""))
        self.good("ann", CreateChannel(self.ann, "room", 0, ""), CreateChannel(self.ann, "club", DCHAT, "", 0, 300))
        self.burn()

    def burn(self, lifetime_s: int = LIFE_S, name: str = "bob") -> None:
        self.good("bob", RegisterBurner(self.bob, name, "", lifetime_s))
        self.first = self.height * SEQUENCES_PER_BLOCK

    def by_bob(self, *messages: Message, sequence: int | None = None, **options: Any) -> bytes:
        options.setdefault("memo", str(self.height))
        lane = 3 if sequence is None else 1
        return signed(self, self.wallets["bob"], "bob", *messages, sequence=sequence, lane=lane, **options)

    def run(self, who: str, *messages: Message) -> ExecTxResult:
        return self.take(self.bundle(who, *messages))

    def bundle(self, who: str, *messages: Message) -> bytes:
        """As long as the chain takes it, so that it may be of a next life."""
        return self.tx(who, *messages, lane=3, memo=str(self.height), expiry_height=self.height + 1 + BLOCKS_MAX)

    def take(self, *txs: bytes, propose: bool = True) -> ExecTxResult:
        results = self.block(*txs, propose=propose).tx_results
        self.assert_invariants()
        return results[-1]

    def good(self, who: str, *messages: Message) -> None:
        result = self.run(who, *messages)
        assert result.code == 0, result.log

    def refused(self, who: str, *messages: Message, by: type[TxError]) -> None:
        result = self.run(who, *messages)
        assert (result.codespace, result.code) == (by.codespace, by.code), result.log

    def to(self, time_ns: int) -> None:
        """The next block has this time."""
        self.skipped_ns += time_ns - self.time_of(self.height + 1)

    def end(self) -> None:
        """A block in which the burner's time has come."""
        self.to(self.identity.expiry_ns)
        self.block()
        self.assert_invariants()

    @property
    def identity(self) -> Any:
        return self.app.base.get(IDENTITY + self.bob)

    def numbered(self, claim: ClaimPrekey) -> int:
        """Of the prekey that is handed out."""
        (told,) = [event for event in self.run("ann", claim).events if event.type == "claim_prekey"]
        return int({one.key: one.value for one in told.attributes}["number"])

    def has(self, key: bytes) -> bool:
        return self.app.base.get(key) is not None


# ------------------------------------------------------------------------------ when it ends


def test_it_does_what_others_do_until_its_time_and_then_is_gone() -> None:
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    ends = chain.identity.expiry_ns
    post = PostMessage(chain.bob, ROOM, b"hello", 0)
    assert chain.take(chain.by_bob(post, sequence=chain.first)).code == 0
    chain.to(ends - 1)
    assert chain.take(chain.by_bob(post, sequence=chain.first + 1)).code == 0
    assert chain.identity is not None
    chain.end()
    assert chain.identity is None
    assert chain.check(chain.by_bob(post, sequence=chain.first + 2)).code == e.UnknownIdentity.code
    stored = chain.app.base.get(message_key(ROOM, 1))
    assert b"hello" in stored
    assert chain.bob in stored, "what it said stays, by its address"
    assert chain.balance("bob") > 0, "the account is another thing"
    assert chain.run("bob", Payment(chain.bob, chain.carl, 1)).code == 0


@pytest.mark.parametrize("lane", ["chat", "bundle"])
def test_in_the_block_of_its_time_it_signs_nothing(lane: str) -> None:
    """An expired member posts through a bundle: not in that block either, wherever it waits to be taken away."""
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    chain.to(chain.identity.expiry_ns)
    post = PostMessage(chain.bob, ROOM, b"late", 0)
    tx = chain.by_bob(post, sequence=chain.first if lane == "chat" else None)
    assert IdentityExpired.rule in chain.propose(tx)
    assert chain.prepare(tx) == ()
    assert chain.take(tx, propose=False).code == IdentityExpired.code
    assert chain.app.base.get(CHANNEL + ROOM).range.count == 0


def test_while_it_waits_its_turn_it_is_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(burners, "BLOCKED_PER_TURN", 1)
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    for number in range(3):
        chain.good("bob", BlockIdentity(chain.bob, bytes([number]) * 20))
    chain.end()
    for _ in range(2):
        assert chain.identity is not None
        bundle = chain.by_bob(PostMessage(chain.bob, ROOM, b"late", 0))
        assert IdentityExpired.rule in chain.propose(bundle)
        again = chain.by_bob(RegisterIdentity(chain.bob, "bob", ""))
        assert IdentityExpired.rule in chain.propose(again)
        chain.block()
        chain.assert_invariants()
    assert chain.identity is None
    assert not list(chain.app.base.scan(BLOCK + chain.bob))


def test_its_device_and_a_change_of_keys_end_with_it() -> None:
    chain = Party()
    ends = chain.identity.expiry_ns
    phone = wallet("phone")
    add = AddDevice(chain.bob, phone.public_key, 1, 10_000)
    assert chain.take(chain.by_bob(add, sequence=chain.first)).code == 0
    mine = Wallet(phone.key, chain.bob)
    join = signed(chain, mine, "phone", JoinChannel(chain.bob, ROOM), sequence=chain.first, with_policy=False)
    assert chain.take(join).code == 0
    chain.to(ends)
    post = signed(
        chain, mine, "phone", PostMessage(chain.bob, ROOM, b"x", 0), sequence=chain.first + 1, with_policy=False
    )
    assert IdentityExpired.rule in chain.propose(post)


def test_a_change_of_keys_changes_neither_its_time_nor_where_sequences_begin() -> None:
    chain = Party()
    ends = chain.identity.expiry_ns
    chain.good("bob", rotation(chain.bob, wallet("new").policy, ["new"]))
    assert chain.identity.expiry_ns == ends
    assert dict(chain.identity.sequences)[b""] == chain.first


@pytest.mark.parametrize("lifetime_s", [0, LIFETIME_S_MIN - 1, LIFETIME_S_MAX + 1])
def test_a_lifetime_is_bounded(lifetime_s: int) -> None:
    with pytest.raises(InvalidField):
        register_burner(tx_pb2.RegisterBurner(address=bytes(20), name="bob", lifetime_s=lifetime_s))
    with pytest.raises(InvalidField):
        register_burner(tx_pb2.RegisterBurner(address=bytes(20), name="B", lifetime_s=LIFETIME_S_MIN))


def test_it_registers_as_others_do() -> None:
    chain = Party()
    chain.refused("bob", RegisterBurner(chain.bob, "other", "", LIFE_S), by=e.IdentityExists)
    chain.refused("bob", RegisterIdentity(chain.bob, "other", ""), by=e.IdentityExists)
    chain.refused("carl", RegisterBurner(chain.carl, "bob", "", LIFE_S), by=e.NameTaken)
    chain.refused("carl", RegisterBurner(chain.carl, "b-0-b", "", LIFE_S), by=e.NameLooksAlike)
    before = chain.balance("carl")
    chain.good("carl", RegisterBurner(chain.carl, "carl", "", LIFE_S))
    assert before - chain.balance("carl") > chain.app.base.get(b"bp").registration_price


def test_an_identity_that_lasts_is_stored_as_before() -> None:
    chain = Party()
    lasting = chain.app.base.get(IDENTITY + chain.ann)
    assert lasting.encode() == Identity(*[getattr(lasting, name) for name in (
        "address", "name", "display", "policy", "sequences", "allowance", "created_height")],
        created_day=lasting.created_day).encode()  # fmt: skip
    assert b"\x40" not in lasting.encode()[-3:]
    assert Identity.decode(chain.identity.encode()).expiry_ns == chain.identity.expiry_ns


# ------------------------------------------------------------------------------ what goes with it


def test_its_records_go() -> None:
    chain = Party()
    signed_prekey = published(wallet("bob"), chain.bob, 1, bytes(32))
    chain.good("bob", SetProfile(chain.bob, "hello"), PublishPrekeys(chain.bob, signed_prekey, None, (b"1" * 32,)))
    assert chain.take(chain.by_bob(AddDevice(chain.bob, bytes(32), 1, 9_000), sequence=chain.first)).code == 0
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    kept = [kind + chain.bob for kind in (PROFILE, PREKEY, DEVICE, IDENTITY)]
    kept += [IDENTITY_NAME + b"bob", SKELETON + b"bob", member_key(ROOM, chain.bob)]
    assert all(map(chain.has, kept))
    chain.end()
    assert not any(map(chain.has, kept))
    assert chain.app.base.get(CHANNEL + ROOM).member_count == 1
    assert chain.has(ACCOUNT + chain.bob)


def test_whom_it_blocked_goes_in_slices() -> None:
    chain = Party()
    count = 2 * BLOCKED_PER_TURN + 1
    for start in range(0, count, 7):
        chain.good(
            "bob", *[BlockIdentity(chain.bob, number.to_bytes(20)) for number in range(start, min(count, start + 7))]
        )
    left = []
    chain.to(chain.identity.expiry_ns)
    while chain.identity is not None:
        chain.block()
        chain.assert_invariants()
        left.append(len(list(chain.app.base.scan(BLOCK + chain.bob))))
    assert left == [count - BLOCKED_PER_TURN, 1, 0]


def test_it_is_no_member_of_an_encrypted_channel_any_more_and_an_epoch_begins() -> None:
    chain = Party()
    chain.good("ann", CreateChannel(chain.ann, "vault", 0, "", 1, encrypted=True))
    chain.good("ann", InviteMember(chain.ann, VAULT, chain.bob, 500, False))
    chain.good("bob", JoinChannel(chain.bob, VAULT))
    epoch = chain.app.base.get(CHANNEL + VAULT).settings.epoch
    chain.end()
    assert not chain.has(member_key(VAULT, chain.bob))
    assert chain.app.base.get(CHANNEL + VAULT).settings.epoch == epoch + 1


def test_what_waits_of_it_is_checked_again() -> None:
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    waiting = chain.by_bob(PostMessage(chain.bob, ROOM, b"x", 0), sequence=chain.first)
    assert chain.check(waiting).code == 0
    chain.end()
    assert chain.recheck is not None
    assert IDENTITY + chain.bob in chain.recheck
    assert chain.check(waiting).code == e.UnknownIdentity.code


# ------------------------------------------------------------------------------ its name and its address again


def test_its_name_and_what_looks_like_it_are_free_at_once() -> None:
    chain = Party()
    chain.end()
    chain.good("carl", RegisterIdentity(chain.carl, "b0b", ""))
    chain.refused("bob", RegisterBurner(chain.bob, "bob", "", LIFE_S), by=e.NameLooksAlike)
    assert chain.app.base.get(SKELETON + b"bob") == b"b0b"


@pytest.mark.parametrize("lasting", [False, True])
def test_nothing_that_an_earlier_life_signed_runs_again(lasting: bool) -> None:
    """The attack: sequences that begin at 0 again when the address registers anew."""
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    post = PostMessage(chain.bob, ROOM, b"hello", 0)
    old = [chain.by_bob(post, sequence=chain.first + number) for number in range(3)]
    late = chain.by_bob(post, sequence=chain.first + 3)  # signed, and in no block
    unordered = signed(
        chain, chain.wallets["bob"], "bob", post, lane=1, expiry_height=chain.height + 900, memo="unordered"
    )  # fmt: skip
    assert chain.take(*old, unordered).code == 0
    chain.end()
    first = chain.first
    if lasting:
        chain.good("bob", RegisterIdentity(chain.bob, "bob", ""))
        chain.first = 0
    else:
        chain.burn()
        assert chain.first > first + 3
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    for tx in (*old, late):
        assert chain.check(tx).code == e.WrongSequence.code
        assert chain.propose(tx)
    assert chain.check(unordered).code == e.Replayed.code
    assert chain.take(chain.by_bob(post, sequence=chain.first)).code == 0


def test_an_earlier_lifes_membership_is_none() -> None:
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    chain.end()
    chain.burn()
    chain.refused("bob", PostMessage(chain.bob, ROOM, b"x", 0), by=e.NotMember)


@pytest.mark.parametrize("lasting", [False, True])
def test_what_an_earlier_life_signed_without_a_sequence_does_not_run_in_the_next(lasting: bool) -> None:
    """audit 38: signed, in no block of that life, and not expired: in the chat lane, and as a bundle that waits."""
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    post = PostMessage(chain.bob, ROOM, b"as bob", 0)
    chain.to(chain.identity.expiry_ns - 1)  # the last block of that life comes next
    chain.block()
    latest = chain.height + 1 + BLOCKS_MAX
    old = [chain.tx("bob", post, unordered=True, expiry_height=latest), chain.by_bob(post, expiry_height=latest)]
    assert [chain.check(tx).code for tx in old] == [0, 0]
    chain.end()
    again = RegisterIdentity(chain.bob, "bob", "") if lasting else RegisterBurner(chain.bob, "bob", "", LIFE_S)
    chain.good("bob", again)
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    for tx in old:
        assert chain.check(tx).code == OfAnEarlierLife.code
        assert OfAnEarlierLife.rule in chain.propose(tx)
        assert chain.prepare(tx) == ()
    assert chain.app.base.get(CHANNEL + ROOM).range.count == 0
    new = chain.tx("bob", post, unordered=True, expiry_height=chain.height + BLOCKS_MAX)
    assert chain.take(new).code == 0, "who has the address now is taken at once"
    chain.good("bob", rotation(chain.bob, wallet("new").policy, ["new"]))
    assert chain.identity.before_height, "also with other keys"


def test_a_first_life_signs_for_as_short_a_time_as_it_likes() -> None:
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    assert chain.identity.before_height == 0
    post = PostMessage(chain.bob, ROOM, b"x", 0)
    assert chain.take(chain.tx("bob", post, unordered=True, expiry_height=chain.height + 1)).code == 0


def test_when_it_ended_is_kept_as_long_as_what_it_signed_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes by blocks: neither a jump of time nor slow blocks make it shorter."""
    monkeypatch.setattr(burners, "KEPT_BLOCKS", 4)
    chain = Party()
    chain.end()
    ended = chain.height
    chain.skipped_ns += 86_400 * SECOND_NS
    while chain.has(ENDED + chain.bob):
        chain.block()
        chain.assert_invariants()
        assert chain.height < ended + 12
    assert chain.height > ended + 4
    chain.burn(60)
    assert chain.identity.before_height == 0
    chain.end()
    chain.burn(60, "again")
    first = chain.height - 1
    assert chain.identity.before_height == first
    chain.end()
    assert chain.app.base.get(ENDED + chain.bob) == chain.height.to_bytes(8), "of two ends the last counts"
    for _ in range(12):
        chain.block()
        chain.assert_invariants()
    assert not list(chain.app.base.scan(ENDED))


def test_an_invitation_is_to_one_life() -> None:
    """audit 38: of an encrypted channel it would have let a stranger read back."""
    chain = Party()
    chain.good("ann", CreateChannel(chain.ann, "vault", 0, "", INVITED, encrypted=True))
    chain.good("ann", InviteMember(chain.ann, VAULT, chain.bob, 86_400, True))
    chain.end()
    chain.burn()
    chain.refused("bob", JoinChannel(chain.bob, VAULT), by=e.InvitationNeeded)
    chain.good("ann", InviteMember(chain.ann, VAULT, chain.bob, 86_400, False))
    chain.good("bob", JoinChannel(chain.bob, VAULT))
    assert chain.app.base.get(member_key(VAULT, chain.bob)).first_epoch > 1


def test_nobody_makes_it_join_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 38: who waits to be taken away was made to join, with an end where the queue had been: for ever."""
    monkeypatch.setattr(burners, "BLOCKED_PER_TURN", 1)
    chain = Party()
    chain.good("bob", Authorise(chain.bob, chain.ann, "join_channel", 10**18))
    chain.good("bob", *[BlockIdentity(chain.bob, bytes([number]) * 20) for number in range(4)])
    chain.end()
    assert chain.identity is not None
    chain.refused("ann", Exec(chain.ann, chain.bob, (JoinChannel(chain.bob, ROOM),)), by=IdentityExpired)
    assert not chain.has(member_key(ROOM, chain.bob))


def test_what_waits_of_an_earlier_life_is_no_membership(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 38: where the queue is behind, an identity ends blocks before its memberships. The next is no moderator by
    them, renews none, and gets none of their epochs."""
    chain = Party()
    chain.good("ann", CreateChannel(chain.ann, "vault", 0, "", INVITED, encrypted=True))
    chain.good("ann", InviteMember(chain.ann, VAULT, chain.bob, 500, True))
    chain.good("bob", JoinChannel(chain.bob, VAULT), PayToJoin(chain.bob, CLUB, DCHAT, 300))
    moderator = [SetMemberRole(chain.ann, channel, chain.bob, MODERATOR) for channel in (VAULT, CLUB)]
    chain.good("ann", *moderator)
    monkeypatch.setattr(due.gas, "most_of", lambda each, limit: 3)  # what came before, the identity: VAULT's waits
    chain.end()
    assert chain.identity is None
    old = chain.app.base.get(member_key(VAULT, chain.bob))
    assert old is not None
    monkeypatch.setattr(due.gas, "most_of", lambda each, limit: 0)
    epoch = chain.app.base.get(CHANNEL + VAULT).settings.epoch
    chain.good("bob", RegisterIdentity(chain.bob, "bobby", ""))
    chain.refused("ann", moderator[0], by=e.NotMember)
    chain.refused("bob", JoinChannel(chain.bob, VAULT), by=e.InvitationNeeded)
    chain.good("ann", InviteMember(chain.ann, VAULT, chain.bob, 500, False))
    chain.good("bob", JoinChannel(chain.bob, VAULT))
    new = chain.app.base.get(member_key(VAULT, chain.bob))
    assert (new.role, new.end_ns, new.first_epoch) == (ROLE_MEMBER, 0, epoch + 2)
    channel = chain.app.base.get(CHANNEL + VAULT)
    assert (channel.member_count, channel.settings.epoch) == (2, epoch + 2)


def test_a_membership_that_is_over_is_not_renewed_but_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Party()
    chain.good("carl", RegisterIdentity(chain.carl, "carl", ""), PayToJoin(chain.carl, CLUB, DCHAT, 300))
    chain.good("ann", SetMemberRole(chain.ann, CLUB, chain.carl, MODERATOR))
    monkeypatch.setattr(due.gas, "most_of", lambda each, limit: 0)
    chain.to(chain.app.base.get(member_key(CLUB, chain.carl)).end_ns)
    chain.good("carl", PayToJoin(chain.carl, CLUB, DCHAT, 300))
    new = chain.app.base.get(member_key(CLUB, chain.carl))
    assert (new.role, new.joined_height) == (ROLE_MEMBER, chain.height)
    assert chain.app.base.get(CHANNEL + CLUB).member_count == 2


def test_numbers_of_prekeys_never_come_again() -> None:
    """audit 38: in its next life they began at 0 again."""
    chain = Party()
    chain.sequences["ann", "chat"] = 0
    numbers = []
    for _ in range(2):
        signed_prekey = published(wallet("bob"), chain.bob, 1, bytes(32))
        chain.good("bob", PublishPrekeys(chain.bob, signed_prekey, None, (b"1" * 32, b"2" * 32)))
        numbers += [chain.numbered(ClaimPrekey(chain.ann, chain.bob)) for _ in range(2)]
        chain.end()
        chain.burn()
    assert numbers == sorted(set(numbers))
    assert numbers[2] - numbers[0] >= 1 << 20


# ------------------------------------------------------------------------------ the work of its end


def test_a_turn_of_its_end_is_a_bounded_part_of_a_slice() -> None:
    """audit 38: fifty burners with twenty blocks each went between two yields; GAS_LATER pays for ten records."""
    chain = Party()
    chain.good("bob", *[BlockIdentity(chain.bob, bytes([number]) * 20) for number in range(BLOCKED_PER_TURN)])
    signed_prekey = published(wallet("bob"), chain.bob, 1, bytes(32))
    chain.good("bob", SetProfile(chain.bob, "hello"), PublishPrekeys(chain.bob, signed_prekey, None, (b"1" * 32,)))
    base, ends = chain.app.base, chain.identity.expiry_ns
    branch = Branch(base.get)
    ctx = BlockContext(branch, base.scan, chain.height + 1, ends, CommitInfo(0, ()), ())
    burners.end_identity(branch, chain.bob, ctx)
    assert branch.writes[IDENTITY + chain.bob] is None
    assert len(branch.writes) <= 12
    done: list[bytes] = []
    queue = {due.entry(1, due.IDENTITY, b"%03d" % number): due.MARK for number in range(100)}
    several = BlockContext(Branch(queue.get), lambda *_: iter(sorted(queue.items())), 1, 2, CommitInfo(0, ()), ())
    slices = [0]
    for _ in due.work_off(several, {due.IDENTITY: lambda branch, item, ctx: done.append(item)}):
        slices.append(len(done))
    assert max(after - before for before, after in pairwise(slices)) * 12 <= 60
    assert len(done) == 100


# ------------------------------------------------------------------------------ what lasts is not its


def test_it_owns_no_channel_and_has_no_conversation_of_two() -> None:
    chain = Party()
    chain.refused("bob", CreateChannel(chain.bob, "mine", 0, ""), by=BurnerMayNot)
    chain.refused("bob", OpenDirect(chain.bob, chain.ann), by=BurnerMayNot)
    chain.refused("ann", OpenDirect(chain.ann, chain.bob), by=BurnerMayNot)
    assert not chain.has(CHANNEL + direct_id(chain.ann, chain.bob))
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    chain.good("ann", OfferChannel(chain.ann, ROOM, chain.bob))
    chain.refused("bob", AcceptChannel(chain.bob, ROOM), by=BurnerMayNot)
    chain.end()
    assert chain.app.base.get(CHANNEL + ROOM).settings is None, "nor is it offered to whoever comes after"


def test_a_membership_ends_with_it_and_none_is_paid_for_longer() -> None:
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    assert chain.app.base.get(member_key(ROOM, chain.bob)).end_ns == chain.identity.expiry_ns
    chain.good("bob", PayToJoin(chain.bob, CLUB, DCHAT, 300))
    chain.refused("bob", PayToJoin(chain.bob, CLUB, DCHAT, 300), by=e.PaidTooFar)
    chain.end()
    chain.burn(100)
    chain.refused("bob", PayToJoin(chain.bob, CLUB, DCHAT, 300), by=e.PaidTooFar)
    assert not list(chain.app.base.scan(MEMBER + CLUB + chain.bob))


def test_who_has_nothing_but_a_burner_names_no_guardians() -> None:
    """Nothing would be on record of its keys, once it ends."""
    chain = Party()
    chain.wallets["dora"] = wallet("dora")
    dora = chain.address("dora")
    made = chain.tx(("ann", "dora"), RegisterBurner(dora, "dora", "", LIFE_S))
    assert chain.take(made).code == 0
    named = SetGuardians(dora, (chain.ann,), 1, 60)
    assert chain.take(chain.tx(("ann", "dora"), named)).code == e.UnknownAccount.code
    chain.good("bob", SetGuardians(chain.bob, (chain.ann,), 1, 60))


def test_its_time_is_of_blocks_and_may_be_jumped_over() -> None:
    chain = Party()
    chain.good("bob", JoinChannel(chain.bob, ROOM))
    chain.skipped_ns += 40 * 86_400 * SECOND_NS
    chain.block()
    chain.assert_invariants()
    assert chain.identity is None
    assert chain.app.base.get(CHANNEL + ROOM).member_count == 1
