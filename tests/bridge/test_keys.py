"""Accounts of several keys in all three lanes, and keys that are changed under an address.

Who may sign, what becomes of what waits, and that nothing which ran runs again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from bridge import machine as bridge
from chain.chat.ledger.records import IDENTITY
from chain.currency.ledger.records import ACCOUNT, Account
from chain.tx import errors as e
from chain.tx.envelope.build import Seat, Shared, Wallet, build_tx
from chain.tx.envelope.tx import decode
from chain.tx.errors import TxError
from chain.tx.messages import CreateChannel, Message, Payment, PostMessage, RegisterIdentity, channel_id
from chain.tx.policies import single_key_policy
from proto.dchat.v1 import tx_pb2
from tests.support.chain.harness import CHAIN_ID, Chain, wallet
from tests.support.chain.keys import rotation, shared, signed

DCHAT = 10**6
BOARD = shared(2, "a", "b", (2, "c d e"))
ROOM = channel_id("room")


def new_chain() -> Chain:
    """The board has money and an identity."""
    chain = Chain({"ann": 100 * DCHAT, "bob": 0})
    ann = chain.address("ann")
    assert ok(chain, chain.tx("ann", Payment(ann, BOARD.address, 50 * DCHAT)))
    assert ok(chain, signed(chain, BOARD, "a b", RegisterIdentity(BOARD.address, "board", "")))
    return chain


def ok(chain: Chain, *txs: bytes) -> bool:
    """Whether a block with them was proposed, and each did what it says."""
    results = chain.block(*txs).tx_results
    chain.assert_invariants()
    return not any(result.code for result in results)


def refused(chain: Chain, tx: bytes) -> type[TxError]:
    """Which rule keeps it out, at the door as in a proposal."""
    answer = chain.check(tx)
    (found,) = [error for error in e.declared_errors() if error.code == answer.code]
    assert found.rule in chain.propose(tx)
    return found


def pay(account: Shared | Wallet, amount: int = 1) -> Message:
    return Payment(account.address, wallet("bob").address, amount)


# ------------------------------------------------------------------------------ several keys


@pytest.mark.parametrize("by", ["a b", "a c d", "b d e"])
def test_whoever_is_enough_may_sign_in_every_lane(by: str) -> None:
    chain = new_chain()
    for tx in (
        signed(chain, BOARD, by, pay(BOARD), sequence=0),
        signed(chain, BOARD, by, CreateChannel(BOARD.address, "room", 0, ""), sequence=0),
        signed(chain, BOARD, by, pay(BOARD), PostMessage(BOARD.address, ROOM, b"x", 0)),
    ):
        assert chain.check(tx).code == 0
        assert ok(chain, tx)
    assert chain.balance("bob") == 2


@pytest.mark.parametrize("by", [
    pytest.param("a", id="too few"),
    pytest.param("a c", id="half of the group"),
    pytest.param("c d", id="the group alone"),
    pytest.param("c d e", id="the group alone, and more than it needs"),
    pytest.param("a b c", id="one too many"),
    pytest.param("a b c d", id="three members"),
    pytest.param("a c d e", id="a group with one too many"),
    pytest.param("a b ann", id="a stranger beside"),
    pytest.param("a ann", id="a stranger instead"),
    pytest.param("ann", id="a stranger alone"),
])  # fmt: skip
def test_other_signatures_than_it_needs_are_refused(by: str) -> None:
    chain = new_chain()
    for tx in (
        signed(chain, BOARD, by, pay(BOARD), sequence=0),
        signed(chain, BOARD, by, CreateChannel(BOARD.address, "room", 0, ""), sequence=0),
        signed(chain, BOARD, by, pay(BOARD), CreateChannel(BOARD.address, "room", 0, "")),
    ):
        assert refused(chain, tx) is e.Unauthorised
    assert ok(chain, signed(chain, BOARD, "a b", pay(BOARD), sequence=0))


def test_another_subset_cannot_run_it_again() -> None:
    """The envelopes differ, the body and so the replay id do not; in any order, in one block or in two."""
    chain = new_chain()
    for sequence in (None, 0):
        bodies = [signed(chain, BOARD, by, pay(BOARD, 7), sequence=sequence) for by in ("a b", "b c d", "a d e")]
        txs = [decode(raw) for raw in bodies]
        assert len({tx.id for tx in txs}) == 3
        assert len({tx.replay_id for tx in txs}) == 1
        assert len(chain.prepare(*bodies)) == 1
        assert chain.propose(*bodies)
        before = chain.balance("bob")
        codes = [result.code for result in chain.block(*bodies, propose=False).tx_results]
        again = e.Replayed if sequence is None else e.WrongSequence
        assert codes == [0, again.code, again.code]
        assert chain.balance("bob") == before + 7
        assert {refused(chain, raw) for raw in bodies} == {again}


def test_each_key_has_its_own_sequence_and_a_strangers_has_none() -> None:
    chain = new_chain()
    for name in ("a", "c", "a", "e"):
        mine = Shared(BOARD.policy, wallet(name).public_key)
        taken = dict(chain.app.base.get(ACCOUNT + BOARD.address).sequences).get(mine.public_key, 0)
        assert ok(chain, signed(chain, mine, "a b", pay(mine), sequence=taken))
        assert refused(chain, signed(chain, mine, "a b", pay(mine), sequence=taken)) is e.WrongSequence
    strange = Shared(BOARD.policy, wallet("ann").public_key)
    assert refused(chain, signed(chain, strange, "a b", pay(strange), sequence=0)) is e.Unauthorised


def test_many_wait_at_the_door_and_stay_when_some_are_in_a_block() -> None:
    chain = new_chain()
    txs = [signed(chain, BOARD, "a b", pay(BOARD), sequence=number) for number in range(4)]
    other = Shared(BOARD.policy, wallet("c").public_key)
    txs += [signed(chain, other, "a c d", pay(BOARD), sequence=number) for number in range(3)]
    assert [chain.check(tx).code for tx in txs] == [0] * 7
    assert ok(chain, txs[0], txs[4])
    assert not chain.recheck
    assert ok(chain, *txs[1:4], *txs[5:])


def test_the_policy_comes_with_the_first_transaction_and_must_be_the_addresses() -> None:
    chain = Chain({"ann": 100 * DCHAT, "bob": 0})
    ok(chain, chain.tx("ann", Payment(chain.address("ann"), BOARD.address, DCHAT)))
    assert refused(chain, signed(chain, BOARD, "a b", pay(BOARD), sequence=0, with_policy=False)) is e.PolicyMissing
    other = Shared(shared(1, "a", "b").policy, address=BOARD.address)
    assert refused(chain, signed(chain, other, "a", pay(other), sequence=0)) is e.PolicyMismatch
    assert ok(chain, signed(chain, BOARD, "a b", pay(BOARD), sequence=0))
    assert ok(chain, signed(chain, BOARD, "a b", pay(BOARD), sequence=1, with_policy=False))
    stored = chain.app.base.get(ACCOUNT + BOARD.address)
    assert stored.policy == BOARD.policy
    again = Account.decode(stored.encode())
    assert (again.policy, again.sequences) == (stored.policy, stored.sequences)


def test_gas_is_by_signatures_and_the_estimate_covers_every_subset() -> None:
    chain = new_chain()
    two, three = (decode(signed(chain, BOARD, by, pay(BOARD), sequence=0)) for by in ("a b", "a c d"))
    assert two.gas_limit == three.gas_limit >= three.intrinsic_gas
    assert three.intrinsic_gas == two.intrinsic_gas + 6_000 + 10 * (len(three.raw) - len(two.raw))
    everyone = shared(2, (8, "a b c d e f g h"), (8, "i j k l m n o p"))
    tx = decode(signed(chain, everyone, "a b c d e f g h i j k l m n o p", pay(everyone), sequence=0))
    assert tx.intrinsic_gas <= tx.gas_limit <= tx.intrinsic_gas + 10_000


def test_a_seventeenth_signature_is_refused_before_any_is_looked_at() -> None:
    raw = signed(new_chain(), BOARD, "a b c d e f g h i j k l m n o p q", pay(BOARD), sequence=0)
    with pytest.raises(e.TooMany):
        decode(raw)


# ------------------------------------------------------------------------------ changing keys


def rotate(chain: Chain, account: Shared | Wallet, by: str, policy: bytes, held_by: str, **options: object) -> bytes:
    options.setdefault("with_policy", False)
    return signed(chain, account, by, rotation(account.address, policy, held_by.split()), **options)  # type: ignore[arg-type]


def policies(chain: Chain, address: bytes) -> set[bytes | None]:
    records = [chain.app.base.get(kind + address) for kind in (ACCOUNT, IDENTITY)]
    return {record.policy for record in records if record is not None}


def test_keys_change_on_both_machines_at_once_and_the_address_stays() -> None:
    chain = new_chain()
    new = wallet("new").policy
    assert ok(chain, rotate(chain, BOARD, "a b", new, "new"))
    assert policies(chain, BOARD.address) == {new}
    me = Wallet(wallet("new").key, BOARD.address)
    for tx in (
        signed(chain, me, "new", pay(me), sequence=0, with_policy=False),
        signed(chain, me, "new", CreateChannel(me.address, "room", 0, ""), sequence=0, with_policy=False),
        signed(chain, me, "new", pay(me), PostMessage(me.address, ROOM, b"x", 0), with_policy=False),
    ):
        assert ok(chain, tx)
    for sequence in (0, 1, None):
        old = signed(chain, BOARD, "a b", pay(BOARD), sequence=sequence, with_policy=False)
        assert refused(chain, old) is e.Unauthorised
    assert refused(chain, signed(chain, BOARD, "a b", pay(BOARD), sequence=0)) is e.PolicyMismatch
    assert refused(chain, signed(chain, me, "new", RegisterIdentity(me.address, "x", ""))) is e.PolicyMismatch


def test_what_waits_with_the_old_keys_is_checked_again_and_fails_in_all_lanes() -> None:
    chain = new_chain()
    ok(chain, signed(chain, BOARD, "a b", CreateChannel(BOARD.address, "room", 0, ""), sequence=0))
    posts = [
        signed(chain, BOARD, "a b", PostMessage(BOARD.address, ROOM, b"x", 0), sequence=number) for number in (1, 2)
    ]
    waiting = [*posts, signed(chain, BOARD, "a b", pay(BOARD), sequence=0), signed(chain, BOARD, "a b", pay(BOARD))]
    assert [chain.check(tx).code for tx in waiting] == [0] * 4
    rotating = rotate(chain, BOARD, "a b", wallet("new").policy, "new")
    assert chain.check(rotating).code == 0
    assert ok(chain, rotating)
    assert chain.recheck is not None
    assert chain.recheck >= {ACCOUNT + BOARD.address, IDENTITY + BOARD.address}
    assert [chain.check(tx).code for tx in waiting] == [e.PolicyMismatch.code] * 4
    assert chain.prepare(*waiting) == ()


def test_keys_that_come_back_do_not_begin_again() -> None:
    """The attack: rotate away and back, and run what ran before once more."""
    chain = new_chain()
    ann = chain.wallets["ann"]
    policy, other = single_key_policy(ann.public_key), wallet("other")
    old = [chain.tx("ann", Payment(ann.address, chain.address("bob"), 5), with_policy=False) for _ in range(3)]
    assert ok(chain, *old)
    me = Wallet(other.key, ann.address)
    assert ok(chain, rotate(chain, ann, "ann", other.policy, "other"))
    assert {refused(chain, tx) for tx in old} == {e.Unauthorised}
    assert ok(chain, signed(chain, me, "other", pay(me), sequence=4, with_policy=False)), "where the old key ended"
    assert ok(chain, rotate(chain, me, "other", policy, "ann"))
    assert {refused(chain, tx) for tx in old} == {e.WrongSequence}
    assert ok(chain, signed(chain, ann, "ann", pay(ann), sequence=5, with_policy=False))
    assert ok(chain, rotate(chain, ann, "ann", other.policy, "other"))
    again = signed(chain, me, "other", pay(me), sequence=4, with_policy=False)
    assert refused(chain, again) is e.WrongSequence


def test_a_key_that_stays_goes_on_where_it_was() -> None:
    chain = new_chain()
    assert ok(chain, *[signed(chain, BOARD, "a b", pay(BOARD), sequence=number) for number in range(3)])
    gone = dict(chain.app.base.get(ACCOUNT + BOARD.address).sequences)
    assert list(gone.values()) == [3]
    (first,) = gone
    staying = next(name for name in "abcde" if wallet(name).public_key != first)
    kept = [wallet(name).public_key for name in "abcde" if wallet(name).public_key != first]
    waiting = signed(chain, Shared(BOARD.policy, wallet(staying).public_key), "a b", pay(BOARD), sequence=0,
                     with_policy=False)  # fmt: skip
    names = [name for name in "abcde" if wallet(name).public_key != first]
    target = shared(2, *names, "new")
    assert ok(chain, rotate(chain, BOARD, "a b", target.policy, " ".join([*names, "new"])))
    sequences = dict(chain.app.base.get(ACCOUNT + BOARD.address).sequences)
    assert sequences == {b"": 3, **dict.fromkeys(kept, 0)}
    if {"a", "b"} <= set(names):
        assert ok(chain, waiting), "what waits by a key that stays, signed by keys that stay"
    both = " ".join(names[:2])
    for name, begins in ((names[-1], 0), ("new", 3)):
        mine = Shared(target.policy, wallet(name).public_key, BOARD.address)
        tx = signed(chain, mine, both, pay(mine), sequence=begins, with_policy=False)
        assert ok(chain, tx), name


def test_an_account_that_only_the_chat_machine_knows_is_opened() -> None:
    """Else the key that was given away could show the first policy to the currency machine, and take what comes."""
    chain = Chain({"ann": 100 * DCHAT, "bob": 0})
    new, lonely = wallet("new"), wallet("lonely")
    register = beside(chain, "ann", lonely, RegisterIdentity(lonely.address, "lonely", ""))
    assert ok(chain, register)
    assert chain.app.base.get(ACCOUNT + lonely.address) is None
    move = rotation(lonely.address, new.policy, ["new"])
    assert ok(chain, beside(chain, "ann", lonely, move, with_policy=False))
    assert policies(chain, lonely.address) == {new.policy}
    assert ok(chain, chain.tx("ann", Payment(chain.address("ann"), lonely.address, DCHAT)))
    stolen = signed(chain, lonely, "lonely", pay(lonely), sequence=0)
    assert refused(chain, stolen) is e.PolicyMismatch
    mine = Wallet(new.key, lonely.address)
    assert ok(chain, signed(chain, mine, "new", pay(mine), sequence=0, with_policy=False))


def beside(chain: Chain, payer: str, other: Wallet, message: Message, *, with_policy: bool = True) -> bytes:
    """`other` acts, somebody else pays."""
    first = chain.app.base.get(ACCOUNT + chain.address(payer)).policy is None
    seats = [Seat(chain.wallets[payer], None, with_policy=first), Seat(other, None, with_policy=with_policy)]
    return build_tx(
        chain_id=CHAIN_ID, messages=[message], seats=seats, gas_price=chain.gas_price, expiry_height=chain.height + 10
    )


def test_what_a_bundle_does_after_a_rotation_goes_by_the_new_keys() -> None:
    chain = Chain({"ann": 100 * DCHAT, "bob": 0})
    ann, new = chain.wallets["ann"], wallet("new")
    move = rotation(ann.address, new.policy, ["new"])
    assert ok(chain, signed(chain, ann, "ann", move, RegisterIdentity(ann.address, "ann", "")))
    assert policies(chain, ann.address) == {new.policy}


def test_a_bundle_that_fails_changes_no_keys() -> None:
    chain = Chain({"ann": 100 * DCHAT, "bob": 0})
    ann, new = chain.wallets["ann"], wallet("new")
    move = rotation(ann.address, new.policy, ["new"])
    assert not ok(chain, signed(chain, ann, "ann", move, Payment(ann.address, BOARD.address, 10**15)))
    assert policies(chain, ann.address) == {ann.policy}
    assert ok(chain, signed(chain, ann, "ann", pay(ann), sequence=0))


@pytest.mark.parametrize("spoil", [
    pytest.param(lambda m, c: m._replace(address=BOARD.address), id="of another account"),
    pytest.param(lambda m, c: m._replace(possessions=(m.possessions[1], m.possessions[0])), id="of each other"),
    pytest.param(lambda m, c: m._replace(possessions=(m.possessions[0], bytes(64))), id="none of one key"),
])  # fmt: skip
def test_each_new_key_must_sign_for_this_account_and_policy(spoil: object) -> None:
    chain = new_chain()
    ann, pair = chain.wallets["ann"], shared(1, "x", "y")
    good = rotation(ann.address, pair.policy, ["x", "y"])
    bad = spoil(good, chain)  # type: ignore[operator]
    account, by = (BOARD, "a b") if bad.address == BOARD.address else (ann, "ann")
    (result,) = chain.block(signed(chain, account, by, bad)).tx_results
    assert result.code == e.KeysNotPossessed.code
    chain.assert_invariants()
    assert ok(chain, signed(chain, ann, "ann", good))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_possessions_as_keys(count: int) -> None:
    chain, pair = new_chain(), shared(1, "x", "y")
    message = rotation(BOARD.address, pair.policy, ["x", "y"])
    tx = signed(chain, BOARD, "a b", message._replace(possessions=(message.possessions[0],) * count), gas_limit=10**6)
    with pytest.raises(e.InvalidField, match="2 expected"):
        decode(tx)


def test_random_lives_of_keys_never_run_anything_twice() -> None:
    """Against the simplest model there is: the set of bodies that ran, and the keys as the last rotation named them."""
    rng = random.Random(7)
    people = ["a", "b", "c", "d"]
    chain = Chain({"ann": 1_000 * DCHAT, "bob": 0})
    account: Wallet | Shared = chain.wallets["ann"]
    address, holders, needed = account.address, ["ann"], 1
    ran: list[bytes] = []
    payments = 0
    ok(chain, signed(chain, account, "ann", pay(account), RegisterIdentity(address, "ann", "")))
    payments += 1
    for step in range(120):
        policy = chain.app.base.get(ACCOUNT + address).policy
        assert policies(chain, address) == {policy}
        account = Shared(policy, wallet(rng.choice(holders)).public_key, address)
        by = " ".join(rng.sample(holders, needed))
        draw = rng.random()
        others = rng.sample(people, rng.randrange(1, 4))
        least = rng.randrange(1, len(others) + 1)
        target = wallet(others[0]).policy if len(others) == 1 else shared(least, *others).policy
        if draw < 0.25 and target != policy:
            holders, needed = others, least
            tx = rotate(chain, account, by, target, " ".join(holders), memo=str(step), expiry_height=200)
        else:
            sequences = dict(chain.app.base.get(ACCOUNT + address).sequences)
            following = sequences.get(account.public_key, sequences.get(b"", 0))
            tx = signed(chain, account, by, pay(account), sequence=following, with_policy=False, expiry_height=200)
            payments += 1
        assert chain.check(tx).code == 0, chain.check(tx)
        assert ok(chain, tx)
        ran.append(tx)
        for old in rng.sample(ran, min(6, len(ran))):
            assert chain.check(old).code in (e.Unauthorised.code, e.WrongSequence.code, e.Replayed.code)
            assert chain.propose(old)
    assert chain.balance("bob") == payments


@pytest.mark.parametrize(("recorded", "holds"), [(b"", True), ("first", False), ("new", True), (None, False)])
def test_the_invariant_sees_a_policy_that_differs(recorded: str | bytes | None, holds: bool) -> None:
    """Of an identity whose keys were changed; and (`b""`) of one whose keys never were, which needs no account's."""
    chain, new = new_chain(), wallet("new").policy
    account = chain.app.base.get(ACCOUNT + BOARD.address)
    identity = chain.app.base.get(IDENTITY + BOARD.address)
    if recorded != b"":
        identity = identity.with_policy(new, ())
    found = {"first": BOARD.policy, "new": new}.get(str(recorded))
    chain.app.base.merge({ACCOUNT + BOARD.address: account.with_use(account.balance, found, ())})

    def scan(prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, object]]:
        return iter([(prefix + BOARD.address, identity)] if prefix == IDENTITY else [])

    rows = {name: held for name, held, _ in bridge.invariants(chain.app.base, scan)}
    assert rows["bridge: both machines have one key policy"] == holds


def test_bytes_of_a_rotation_that_were_changed_are_refused_or_another_body() -> None:
    chain, rng = new_chain(), random.Random(3)
    raw = rotate(chain, BOARD, "a b", shared(1, "x", (1, "y z")).policy, "x y z")
    body = tx_pb2.Tx.FromString(raw).body
    for _ in range(400):
        spoiled = bytearray(raw)
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
        try:
            tx = decode(bytes(spoiled))
        except TxError:
            continue
        answer = chain.check(bytes(spoiled))
        assert answer.code or tx.body == body
        assert answer.code, "every signature is over the whole body"
