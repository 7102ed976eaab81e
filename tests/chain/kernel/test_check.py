"""After a block: what admission had foreseen stays admitted without another run, anything else is checked again."""

from __future__ import annotations

import pytest

from chain.currency.ledger.records import ACCOUNT, Account, PendingAccount
from chain.kernel.auth import waits_between
from chain.kernel.check import STALE_BLOCKS, CheckState
from chain.tx.envelope.tx import Tx, decode
from chain.tx.messages import LANE_BRIDGE, CreateChannel, Message, Payment, PostMessage, RegisterIdentity, channel_id
from chain.tx.messages.chat.identities import SetProfile
from consensus.abci.interface import CheckTxRequest, CheckTxType
from tests.support.chain.harness import Chain, wallet
from tests.support.chain.keys import rotation

BALANCE = 10**9


def new_chain() -> Chain:
    chain = Chain({"ann": BALANCE, "bob": BALANCE})
    for name in ("ann", "bob"):
        answer = chain.block(chain.tx(name, RegisterIdentity(chain.address(name), name, "")))
        assert answer.tx_results[0].code == 0, answer.tx_results[0]
    answer = chain.block(chain.tx("ann", CreateChannel(chain.address("ann"), "red", 0, "")))
    assert answer.tx_results[0].code == 0, answer.tx_results[0]
    return chain


def pay(chain: Chain, amount: int = 1) -> Message:
    return Payment(chain.address("ann"), chain.address("bob"), amount)


def post(chain: Chain) -> Message:
    return PostMessage(chain.address("ann"), channel_id("red"), b"hello", 0)


def said_by(address: bytes) -> Message:
    """Something that an identity without an account says, and another pays for."""
    return SetProfile(address, "somebody")


def admitted(chain: Chain, *txs: bytes) -> list[bytes]:
    for tx in txs:
        assert chain.check(tx).code == 0, chain.check(tx)
    return list(txs)


def is_counted(chain: Chain, raw: bytes) -> bool:
    tx = chain.app.txs.get(raw)
    return chain.app._check.counts(tx)


def recheck(chain: Chain, raw: bytes) -> int:
    return chain.app.check_tx(CheckTxRequest(raw, CheckTxType.RECHECK)).code


@pytest.mark.parametrize("message", [pay, post], ids=["payments", "messages"])
@pytest.mark.parametrize("included", [1, 2])
def test_the_foreseen_stays_counted(message: object, included: int) -> None:
    chain = new_chain()
    txs = admitted(chain, *[chain.tx("ann", message(chain)) for _ in range(4)])  # type: ignore[operator]
    chain.block(*txs[:included])
    assert not chain.recheck, "nobody's"
    assert [is_counted(chain, tx) for tx in txs] == [False] * included + [True] * (4 - included)
    assert {recheck(chain, tx) for tx in txs[included:]} == {0}
    admitted(chain, chain.tx("ann", message(chain)))  # type: ignore[operator]
    chain.block(*txs[included:])
    assert not len(chain.app._check) - 1, "only the last one is left"


def test_incoming_money_does_not_disturb_what_waits() -> None:
    chain = new_chain()
    txs = admitted(chain, chain.tx("ann", pay(chain)), chain.tx("ann", pay(chain)))
    back = Payment(chain.address("bob"), chain.address("ann"), 5)
    chain.block(txs[0], chain.tx("bob", back))
    assert is_counted(chain, txs[1])


def test_another_transaction_with_an_admitted_sequence_takes_the_place_of_those_that_wait() -> None:
    chain = new_chain()
    ours = admitted(chain, *[chain.tx("ann", pay(chain)) for _ in range(3)])
    chain.sequences["ann", "currency"] -= 3
    elsewhere = chain.tx("ann", pay(chain, 7))
    chain.block(elsewhere)
    assert not any(is_counted(chain, tx) for tx in ours)
    assert chain.recheck == {b"ua" + chain.address("ann")}
    assert recheck(chain, ours[0]) != 0, "its sequence is used"
    assert recheck(chain, ours[1]) == 0


def test_money_spent_elsewhere_is_missed() -> None:
    chain = new_chain()
    ours = admitted(chain, *[chain.tx("ann", pay(chain)) for _ in range(2)])
    left = chain.balance("ann") - decode(ours[0]).fee - 1
    fee = decode(chain.tx("ann", pay(chain, left), unordered=True)).fee
    chain.block(ours[0], chain.tx("ann", pay(chain, left - fee), unordered=True))
    assert chain.balance("ann") == 0
    assert not is_counted(chain, ours[1])
    assert recheck(chain, ours[1]) != 0, "its fee cannot be paid"


def test_a_shared_transaction_in_a_block_is_settled_at_all_its_signers() -> None:
    chain = new_chain()
    both = chain.tx(("ann", "bob"), pay(chain), Payment(chain.address("bob"), chain.address("ann"), 1))
    after = chain.tx("ann", pay(chain))
    admitted(chain, both, after)
    chain.block(both)
    assert is_counted(chain, after)
    assert len(chain.app._check) == 1


def test_what_signers_share_is_counted_at_all_of_them_or_checked_again() -> None:
    chain = new_chain()
    first = chain.tx("ann", pay(chain))
    both = chain.tx(("ann", "bob"), pay(chain), Payment(chain.address("bob"), chain.address("ann"), 1))
    admitted(chain, first, both)
    elsewhere = chain.tx("bob", Payment(chain.address("bob"), chain.address("ann"), 5), unordered=True)
    chain.block(first, elsewhere)
    assert recheck(chain, both) == 0


def test_an_expiring_one_that_is_in_the_block_is_settled() -> None:
    chain = new_chain()
    chain.block(*admitted(chain, chain.tx("ann", pay(chain), expiry_height=chain.height + 1)))
    assert len(chain.app._check) == 0


def test_nothing_is_kept_of_senders_whose_transactions_are_all_in_blocks() -> None:
    chain = new_chain()
    chain.block(*admitted(chain, chain.tx("ann", pay(chain)), chain.tx("ann", post(chain))))
    assert len(chain.app._check) == 0


def test_an_expiring_one_makes_its_sender_be_checked_again() -> None:
    chain = new_chain()
    first, second = chain.tx("ann", pay(chain)), chain.tx("ann", pay(chain), expiry_height=chain.height + 1)
    third = chain.tx("ann", pay(chain))
    admitted(chain, first, second, third)
    chain.block(first)
    assert not is_counted(chain, third)
    assert recheck(chain, third) != 0, "the one before it can be in no block any more"


def test_of_a_far_expiry_nothing_is_kept() -> None:
    """audit 17: of each admitted transaction its expiry height stayed in memory until the chain came to it."""
    chain = new_chain()
    for ahead in (1, STALE_BLOCKS, STALE_BLOCKS + 1, 10**6, 2**62):
        chain.block(*admitted(chain, chain.tx("ann", pay(chain), expiry_height=chain.height + ahead)))
    for _ in range(STALE_BLOCKS):
        chain.block()
    assert chain.app._check._expiring == {}


def test_one_that_expires_after_the_stale_ones_were_looked_at_makes_its_sender_be_checked_again() -> None:
    chain = new_chain()
    last = chain.tx("ann", pay(chain), expiry_height=chain.height + STALE_BLOCKS + 3)
    after = chain.tx("ann", pay(chain))
    admitted(chain, last, after)
    for _ in range(STALE_BLOCKS + 1):
        chain.block()
        for raw in (last, after):  # as the pool does with those of the senders that it is told of
            if chain.recheck:
                assert recheck(chain, raw) == 0
    chain.block()
    chain.block()
    assert not is_counted(chain, after)
    assert recheck(chain, after) != 0, "the one before it can be in no block any more"


def test_what_an_account_pays_for_a_newcomer_is_counted_once_however_often_it_is_checked_again() -> None:
    """audit 44: a block that names a signer without an account had all that waits of who pays counted once more."""
    chain = Chain({"ann": 60_000, "bob": BALANCE, "new": 0})
    new = chain.address("new")
    assert chain.block(chain.tx(("bob", "new"), RegisterIdentity(new, "newcomer", ""))).tx_results[0].code == 0
    waiting = admitted(
        chain, *[chain.tx(("ann", "new"), said_by(new), lane=LANE_BRIDGE, memo=str(number)) for number in range(4)]
    )
    pays = sum(decode(raw).fee for raw in waiting)
    for number in range(4):
        assert (
            chain.block(chain.tx(("bob", "new"), said_by(new), lane=LANE_BRIDGE, memo=f"bob {number}"))
            .tx_results[0]
            .code
            == 0
        )
        assert chain.recheck, "the newcomer's: nothing is counted there"
        assert {recheck(chain, raw) for raw in waiting} == {0}
        left = chain.app._check.get(ACCOUNT + chain.address("ann")).balance
        assert left == chain.balance("ann") - pays


class Accounts:
    """A base of one account."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def get(self, key: bytes) -> Account:
        return self.account


def a_payment(sequence: int) -> Tx:
    chain = Chain({"ann": BALANCE, "bob": BALANCE})
    return decode(chain.tx("ann", pay(chain), sequence=sequence))


@pytest.mark.parametrize(
    ("committed", "is_other_signature", "stays"),
    [
        pytest.param((90, b"policy", 1), False, True, id="as foreseen"),
        pytest.param((90, b"policy", 1), True, False, id="the same body under another signature"),
        pytest.param((10, b"policy", 1), False, True, id="just enough"),
        pytest.param((9, b"policy", 1), False, False, id="too little left"),
        pytest.param((90, b"rotated", 1), False, False, id="another policy"),
        pytest.param((90, b"policy", 2), False, False, id="a sequence too far"),
        pytest.param((90, b"policy", 0), False, False, id="a sequence too low"),
    ],
)
def test_what_the_committed_record_must_look_like(
    committed: tuple[int, bytes, int], is_other_signature: bool, stays: bool
) -> None:
    first, second = a_payment(0), a_payment(1)
    key, signer, address = first.touches[0], b"key", first.payer
    base = Accounts(Account(address, 100, b"policy"))
    check = CheckState(base, height=1)  # type: ignore[arg-type]
    before = base.account
    for number, tx in enumerate((first, second), 1):
        after = Account(address, before.balance - 10, b"policy", ((signer, number),))
        check.admit(tx, [(key, PendingAccount, before, after)])
        before = after
    balance, policy, sequence = committed
    base.account = Account(address, balance, policy, ((signer, sequence),))
    if is_other_signature:
        first.raw += bytes(64)
    check.block_committed([(key, first)], [], 2)
    assert check.counts(second) is stays


def test_income_counted_on_makes_the_order_matter() -> None:
    pending = PendingAccount()
    rich, poor = Account(bytes(20), 100), Account(bytes(20), 50)
    assert pending.add(poor, rich, None) == -50
    pending.add(rich, poor, None)
    assert not pending.agrees(Account(bytes(20), 10**6), 0, 1, None)


@pytest.mark.parametrize(
    ("committed", "foreseen", "count"),
    [
        ((), (), 0),
        (((b"a", 3),), ((b"a", 5),), 2),
        ((), ((b"a", 1), (b"b", 2)), 3),
        (((b"a", 3),), ((b"a", 2),), -1),
        (((b"a", 3), (b"b", 1)), ((b"a", 3),), -1),
    ],
)
def test_waits_between_sequences(
    committed: tuple[tuple[bytes, int], ...], foreseen: tuple[tuple[bytes, int], ...], count: int
) -> None:
    assert waits_between(committed, foreseen) == count


def test_a_change_of_keys_that_is_checked_again_counts_once() -> None:
    """It touches the identity, too, at which it takes nothing and is not counted."""
    chain = new_chain()
    ann = chain.address("ann")
    rotating = chain.tx("ann", rotation(ann, wallet("new").policy, ["new"]))
    admitted(chain, rotating)
    assert is_counted(chain, rotating)
    fee = decode(rotating).fee
    for _ in range(3):
        assert recheck(chain, rotating) == 0
        assert chain.app._check.get(b"ua" + ann).balance == chain.balance("ann") - fee
