"""Prekeys are handed out once, to who may have them, and nobody drains somebody else's; profiles and blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chain.chat.identities.prekeys import CLAIMS, CLAIMS_MAX, LOW_STOCK, PERIOD_NS, PREKEY, Prekeys
from chain.chat.identities.profiles import BLOCK, PROFILE
from chain.chat.ledger.records import IDENTITY
from chain.kernel.branch import RECORD_BYTES_MAX
from chain.kernel.event_text import account
from chain.tx import errors as e
from chain.tx import identity_errors as ids
from chain.tx.codec import UINT64_MAX
from chain.tx.errors import declared_errors
from chain.tx.messages import LANE_BRIDGE, CreateChannel, RegisterIdentity, channel_id
from chain.tx.messages.chat import (
    BIO_BYTES_MAX,
    LINK_BYTES_MAX,
    ONE_TIME_MAX,
    USE_LAST_RESORT,
    USE_SIGNED,
    BlockIdentity,
    ClaimPrekey,
    InviteMember,
    PublishPrekeys,
    SetProfile,
    SignedPrekey,
    UnblockIdentity,
)
from consensus.state.results import ExecTxResult
from proto.dchat.v1 import state_pb2
from tests.support.chain.harness import Chain
from tests.support.chain.identities import published
from tests.support.chain.keys import rotation

NAMES = ("ann", "bob", "eve")


def new_chain() -> Chain:
    chain = Chain(dict.fromkeys((*NAMES, "nobody"), 10**9))
    for name in NAMES:
        do(chain, name, RegisterIdentity(chain.address(name), name, ""))
    return chain


@pytest.fixture
def chain() -> Chain:
    return new_chain()


def do(chain: Chain, who: str, *messages: Any, **options: Any) -> ExecTxResult:
    result = chain.block(chain.tx(who, *messages, **options)).tx_results[0]
    chain.assert_invariants()
    return result


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def batch(chain: Chain, count: int, *, start: int = 0, last: bool = True, who: str = "ann") -> PublishPrekeys:
    address, wallet = chain.address(who), chain.wallets[who]
    return PublishPrekeys(
        address, published(wallet, address, USE_SIGNED, b"s" * 32),
        published(wallet, address, USE_LAST_RESORT, b"l" * 32) if last else None,
        tuple(key(number) for number in range(start, start + count)),
    )  # fmt: skip


def claim(chain: Chain, who: str = "bob", of: str = "ann", **options: Any) -> ExecTxResult:
    return do(chain, who, ClaimPrekey(chain.address(who), chain.address(of)), **options)


def given(result: ExecTxResult) -> tuple[bytes, int]:
    """The prekey in the receipt, and its number."""
    assert result.code == 0, result.log
    (leg,) = state_pb2.Receipt.FromString(result.data).legs
    return leg.subject, leg.index


def told(result: ExecTxResult, kind: str) -> list[dict[str, str]]:
    return [{at: value for at, value, _ in event.attributes} for event in result.events if event.type == kind]


# ------------------------------------------------------------------------------ prekeys


def test_each_is_handed_out_once_in_order_and_then_the_last_resort(chain: Chain) -> None:
    """Issue: one-time prekey replay. The receipt gives it, the record has it no more, no number comes twice."""
    assert do(chain, "ann", batch(chain, 3)).code == 0
    seen = [given(claim(chain, who)) for who in ("bob", "eve", "bob")]
    assert seen == [(key(0), 0), (key(1), 1), (key(2), 2)]
    left = chain.app.base.get(PREKEY + chain.address("ann"))
    assert (left.one_time, left.next_number) == ((), 3)
    result = claim(chain)
    assert given(result) == (b"", 0)
    (event,) = told(result, "claim_prekey")
    assert (event["one_time_prekey"], event["signed_prekey"]) == ("", (b"s" * 32).hex())
    do(chain, "ann", batch(chain, 1, start=7))
    assert given(claim(chain, "eve")) == (key(7), 3)


def test_a_claim_is_executed_once(chain: Chain) -> None:
    do(chain, "ann", batch(chain, 5))
    tx = chain.tx("bob", ClaimPrekey(chain.address("bob"), chain.address("ann")))
    chain.block(tx)
    assert e.WrongSequence.rule in chain.propose(tx)
    unordered = chain.tx("bob", ClaimPrekey(chain.address("bob"), chain.address("ann")), unordered=True)
    chain.block(unordered)
    assert e.Replayed.rule in chain.propose(unordered)
    assert len(chain.app.base.get(PREKEY + chain.address("ann")).one_time) == 3


def test_two_claims_of_a_block_get_two_prekeys(chain: Chain) -> None:
    do(chain, "ann", batch(chain, 5))
    ann = chain.address("ann")
    results = chain.block(*[chain.tx(who, ClaimPrekey(chain.address(who), ann)) for who in ("bob", "eve")]).tx_results
    assert [given(result)[0] for result in results] == [key(0), key(1)]


def test_nobody_drains_somebody_elses(chain: Chain) -> None:
    """So many a day, whatever lane and however many in a transaction; the next day again; and the counts go."""
    do(chain, "ann", batch(chain, 20))
    ann, bob = chain.address("ann"), chain.address("bob")
    for _ in range(CLAIMS_MAX - 1):
        assert claim(chain).code == 0
    assert do(chain, "bob", *[ClaimPrekey(bob, ann)] * 2).code == ids.TooManyClaims.code, "whole or not at all"
    assert claim(chain, lane=LANE_BRIDGE).code == 0
    assert claim(chain).code == claim(chain, lane=LANE_BRIDGE).code == ids.TooManyClaims.code
    assert len(chain.app.base.get(PREKEY + ann).one_time) == 20 - CLAIMS_MAX
    assert given(claim(chain, "eve")) == (key(CLAIMS_MAX), CLAIMS_MAX), "others go on"
    assert len(list(chain.app.base.scan(CLAIMS))) == 2


def test_one_tells_when_few_are_left(chain: Chain) -> None:
    do(chain, "ann", batch(chain, LOW_STOCK + 1))
    assert told(claim(chain), "prekeys_low") == []
    assert told(claim(chain), "prekeys_low") == [
        {"address": account(chain.address("ann")), "one_time_left": str(LOW_STOCK - 1)}
    ]


def test_batches_add_up_to_a_bound_and_can_be_discarded(chain: Chain) -> None:
    ann = chain.address("ann")
    do(chain, "ann", batch(chain, ONE_TIME_MAX - 1))
    do(chain, "ann", PublishPrekeys(ann, one_time=(key(0), key(500))))  # one is known already
    assert len(chain.app.base.get(PREKEY + ann).one_time) == ONE_TIME_MAX
    assert do(chain, "ann", PublishPrekeys(ann, one_time=(key(501),))).code == ids.TooManyPrekeys.code
    do(chain, "ann", PublishPrekeys(ann, one_time=(key(501),), discard=True))
    left = chain.app.base.get(PREKEY + ann)
    assert (left.one_time, left.next_number, left.signed.public_key) == ((key(501),), ONE_TIME_MAX, b"s" * 32)
    do(chain, "ann", PublishPrekeys(ann, discard=True))
    assert claim(chain).code == ids.NoPrekeys.code
    do(chain, "ann", batch(chain, 1))
    assert given(claim(chain)) == (key(0), ONE_TIME_MAX + 1), "numbers never come again"


def test_whoever_has_published_nothing_discards_nothing(chain: Chain) -> None:
    """Its record became an empty value, which no store takes: the block stopped every node."""
    assert do(chain, "ann", PublishPrekeys(chain.address("ann"), discard=True)).code == 0
    assert chain.app.base.get(PREKEY + chain.address("ann")) is None
    do(chain, "ann", batch(chain, 0))
    assert do(chain, "ann", PublishPrekeys(chain.address("ann"), discard=True)).code == 0
    assert claim(chain).code == ids.NoPrekeys.code


@pytest.mark.parametrize("last", [False, True])
def test_without_a_last_resort_there_is_an_end(chain: Chain, last: bool) -> None:
    assert claim(chain).code == ids.NoPrekeys.code
    do(chain, "ann", batch(chain, 0, last=last))
    assert claim(chain).code == (0 if last else ids.NoPrekeys.code)


def test_who_may_sign_them(chain: Chain) -> None:
    ann, eve = chain.address("ann"), chain.wallets["eve"]
    by_eve = published(eve, ann, USE_SIGNED, key(1))
    assert do(chain, "ann", PublishPrekeys(ann, by_eve)).code == ids.PrekeySignerUnknown.code
    for wrong in (
        published(chain.wallets["ann"], ann, USE_LAST_RESORT, key(1)),  # another use
        published(chain.wallets["ann"], eve.address, USE_SIGNED, key(1)),  # another identity
        published(chain.wallets["ann"], ann, USE_SIGNED, key(1), chain_id="another"),
        published(chain.wallets["ann"], ann, USE_SIGNED, key(1))._replace(public_key=key(2)),
    ):
        assert do(chain, "ann", PublishPrekeys(ann, wrong)).code == ids.BadPrekeySignature.code
        assert do(chain, "ann", PublishPrekeys(ann, None, wrong)).code in (0, ids.BadPrekeySignature.code)
    assert do(chain, "nobody", batch(chain, 1, who="nobody"), lane=LANE_BRIDGE).code == e.UnknownIdentity.code


def test_what_a_key_signed_that_was_changed_is_given_to_nobody(chain: Chain) -> None:
    ann, new = chain.address("ann"), chain.wallets["nobody"]
    do(chain, "ann", batch(chain, 5))
    assert do(chain, "ann", rotation(ann, new.policy, ["nobody"])).code == 0
    assert claim(chain).code == ids.NoPrekeys.code


def test_the_blocked_get_none_and_the_unregistered(chain: Chain) -> None:
    ann, bob = chain.address("ann"), chain.address("bob")
    do(chain, "ann", batch(chain, 5))
    do(chain, "ann", BlockIdentity(ann, bob))
    assert claim(chain).code == claim(chain, lane=LANE_BRIDGE).code == ids.Blocked.code
    assert claim(chain, "eve").code == 0
    do(chain, "bob", batch(chain, 1, who="bob"))
    assert claim(chain, "ann", "bob").code == 0, "a block binds the blocked one alone"
    assert do(chain, "ann", BlockIdentity(ann, bob)).code == ids.AlreadyBlocked.code
    assert do(chain, "ann", UnblockIdentity(ann, bob)).code == 0
    assert do(chain, "ann", UnblockIdentity(ann, bob)).code == ids.NotBlocked.code
    assert chain.app.base.get(BLOCK + ann + bob) is None
    assert claim(chain).code == 0
    assert claim(chain, "nobody", lane=LANE_BRIDGE).code == e.UnknownIdentity.code
    assert claim(chain, "bob", "nobody").code == e.UnknownIdentity.code


def test_the_counts_of_a_period_that_is_over_go(chain: Chain) -> None:
    do(chain, "ann", batch(chain, 20))
    for who in ("bob", "eve"):
        claim(chain, who)
    days: list[int] = []
    clock = chain.request

    def at(txs: Any, **options: Any) -> Any:
        request = clock(txs, **options)
        return replace(request, time_ns=request.time_ns + sum(days) * PERIOD_NS)

    chain.request = at  # type: ignore[method-assign]
    days.append(1)
    assert len(list(chain.app.base.scan(CLAIMS))) == 2
    for _ in range(CLAIMS_MAX):
        assert claim(chain).code == 0, "a new day"
    assert len(list(chain.app.base.scan(CLAIMS))) == 1
    assert claim(chain).code == ids.TooManyClaims.code
    days.append(3)
    chain.block()
    chain.assert_invariants()
    assert list(chain.app.base.scan(CLAIMS)) == []
    for _ in range(2):
        days.append(1)
        chain.block()
    assert claim(chain).code == 0


def test_the_greatest_record_fits() -> None:
    signed = SignedPrekey(b"\xff" * 32, b"\xff" * 32, b"\xff" * 64)
    greatest = Prekeys(signed, UINT64_MAX, signed, UINT64_MAX, UINT64_MAX, (b"\xff" * 32,) * ONE_TIME_MAX)
    assert len(greatest.encode()) <= 4_096 <= RECORD_BYTES_MAX


# ------------------------------------------------------------------------------ profiles


def test_a_profile_is_set_replaced_and_taken_away(chain: Chain) -> None:
    ann = chain.address("ann")
    assert do(chain, "ann", SetProfile(ann, "Grüße", "https://ann.example", key(9))).code == 0
    kept = chain.app.base.get(PROFILE + ann)
    assert tuple(kept) == ("Grüße", "https://ann.example", key(9), chain.height)
    before = len(chain.app.base.get(IDENTITY + ann).encode())
    do(chain, "ann", SetProfile(ann, "x" * BIO_BYTES_MAX, "y" * LINK_BYTES_MAX, key(9)))
    assert len(chain.app.base.get(IDENTITY + ann).encode()) <= before + 2, "the identity's record stays small"
    do(chain, "ann", SetProfile(ann))
    assert chain.app.base.get(PROFILE + ann) is None
    assert (
        do(chain, "nobody", SetProfile(chain.address("nobody"), "x"), lane=LANE_BRIDGE).code == e.UnknownIdentity.code
    )


# ------------------------------------------------------------------------------ what a message may say by itself


@pytest.mark.parametrize("make", [
    pytest.param(lambda a, b: SetProfile(a, "é" * (BIO_BYTES_MAX // 2 + 1)), id="profile bomb"),
    pytest.param(lambda a, b: SetProfile(a, link="l" * (LINK_BYTES_MAX + 1)), id="long link"),
    pytest.param(lambda a, b: SetProfile(a, link="a b"), id="link with a space"),
    pytest.param(lambda a, b: SetProfile(a, link="ü"), id="link beyond ASCII"),
    pytest.param(lambda a, b: SetProfile(a, picture_sha256=bytes(31)), id="half a hash"),
    pytest.param(lambda a, b: BlockIdentity(a, a), id="blocks oneself"),
    pytest.param(lambda a, b: UnblockIdentity(a, b[1:]), id="no address"),
    pytest.param(lambda a, b: ClaimPrekey(a, a), id="one's own"),
    pytest.param(lambda a, b: PublishPrekeys(a), id="nothing"),
    pytest.param(lambda a, b: PublishPrekeys(a, one_time=(bytes(32), bytes(32))), id="twice"),
    pytest.param(lambda a, b: PublishPrekeys(a, one_time=(bytes(31),)), id="short"),
    pytest.param(lambda a, b: PublishPrekeys(a, one_time=tuple(map(key, range(ONE_TIME_MAX + 1)))), id="too many"),
    pytest.param(lambda a, b: PublishPrekeys(a, SignedPrekey(bytes(32), bytes(32), bytes(63))), id="no signature"),
    pytest.param(lambda a, b: PublishPrekeys(a, None, SignedPrekey(bytes(33), bytes(32), bytes(64))), id="no key"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_before_it_is_admitted(chain: Chain, make: Any) -> None:
    message = make(chain.address("ann"), chain.address("bob"))
    assert chain.check(chain.tx("ann", message)).code == e.InvalidField.code


def test_every_refusal_of_this_room_has_its_test() -> None:
    from pathlib import Path

    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    missing = [x.__name__ for x in declared_errors() if x.codespace == "identity" and f"{x.__name__}.code" not in text]
    assert missing == []


def test_the_blocked_invite_nobody_who_blocks_them(chain: Chain) -> None:
    ann, bob = chain.address("ann"), chain.address("bob")
    do(chain, "bob", CreateChannel(bob, "club", 0, ""))
    invite = InviteMember(bob, channel_id("club"), ann, 100, False)
    do(chain, "ann", BlockIdentity(ann, bob))
    assert do(chain, "bob", invite).code == ids.Blocked.code
    do(chain, "ann", UnblockIdentity(ann, bob))
    assert do(chain, "bob", invite).code == 0
