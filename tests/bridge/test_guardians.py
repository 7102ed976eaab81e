"""Guardians: who gives an account other keys, when, and what nobody can make of it (docs/identities.md)."""

from __future__ import annotations

from typing import Any

import pytest

from bridge import guardians as machine
from bridge import keys
from bridge.guardian_records import FAILED, WAITING, Recoveries, Recovery
from bridge.guardians import BLOCKS_MIN
from chain.chat.identities.devices import DEVICE
from chain.currency.ledger.records import ACCOUNT
from chain.kernel.branch import RECORD_BYTES_MAX
from chain.tx import errors as e
from chain.tx import identity_errors as ge
from chain.tx.envelope.build import Seat, Shared, Wallet, build_tx, sign_body
from chain.tx.envelope.tx import decode
from chain.tx.errors import InvalidField
from chain.tx.messages import Payment, RegisterIdentity
from chain.tx.messages.chat import AddDevice
from chain.tx.messages.guardians import (
    DELAY_S_MAX,
    DELAY_S_MIN,
    GUARDIANS_MAX,
    ApproveRecovery,
    ObjectRecovery,
    SetGuardians,
    approve_recovery,
    recovery_id,
    set_guardians,
)
from chain.tx.messages.keys import prove_keys
from chain.tx.policies import KEYS_MAX, Group, threshold_policy
from dchat.client.refusals import explain
from proto.dchat.v1 import tx_pb2
from tests.support.chain.guarded import DCHAT, DELAY_S, Guarded
from tests.support.chain.harness import CHAIN_ID, SECOND_NS, wallet
from tests.support.chain.keys import rotation, shared


def agreed(chain: Guarded, *by: str, to: str = "new") -> Recovery:
    """A recovery on which ben and cid, or others, agree."""
    names = by or ("ben", "cid")
    key = chain.good(names[0], chain.start(names[0], to))
    for name in names[1:]:
        chain.good(name, chain.approve(name, key))
    (found,) = chain.open
    assert found.agreed_height
    return found


# ------------------------------------------------------------------------------ what it is for


def test_lost_keys_are_replaced_on_both_machines_by_the_block_itself() -> None:
    chain = Guarded()
    chain.take(chain.tx("ann", AddDevice(chain.ann, wallet("phone").public_key, 1, 10_000), with_policy=False, lane=1))
    assert chain.app.base.get(DEVICE + chain.ann) is not None
    found = agreed(chain)
    assert found.approvals == (chain.address("ben"), chain.address("cid"))
    chain.wait(DELAY_S - 2)
    assert chain.policies == {chain.me.policy}
    chain.wait(2)
    assert chain.policies == {wallet("new").policy}
    assert chain.open == ()
    assert chain.app.base.get(DEVICE + chain.ann) is None, "as with a rotation"
    stale = chain.by_ann(Payment(chain.ann, chain.address("bob"), 1))
    assert chain.check(stale).code == e.Unauthorised.code
    chain.me = wallet("new")
    assert chain.take(chain.by_ann(Payment(chain.ann, chain.address("bob"), 1))).code == 0
    assert chain.record.terms == chain.naming(("ben", "cid", "dan"))[1:], "they stay her guardians"


def test_several_agree_in_one_bundle() -> None:
    chain = Guarded(threshold=3)
    others = [ApproveRecovery(chain.address(name), chain.ann, leg=1) for name in ("cid", "dan")]
    chain.good(("ben", "cid", "dan"), chain.start("ben"), *others)
    (found,) = chain.open
    assert found.agreed_height == chain.height
    assert found.id == recovery_id(decode(chain.last).replay_id, 0)


def test_a_leg_that_approves_names_one_that_started() -> None:
    chain = Guarded()
    wrong = ApproveRecovery(chain.address("cid"), chain.ann, leg=2)
    chain.refused(("ben", "cid"), chain.start("ben"), wrong, by=e.NoSuchLeg)
    paid = Payment(chain.address("ben"), chain.address("bob"), 1)
    other = ApproveRecovery(chain.address("cid"), chain.ann, leg=1)
    chain.refused(("ben", "cid"), paid, other, by=e.NoSuchLeg)


def test_an_account_that_only_the_chat_machine_knows_is_recovered() -> None:
    chain = Guarded()
    lonely = wallet("lonely")
    chain.wallets["lonely"] = lonely
    chain.ann = lonely.address
    register = RegisterIdentity(lonely.address, "lonely", "")
    naming = chain.naming(("ben", "cid", "dan"))
    assert chain.take(chain.tx(("ben", "lonely"), register, naming)).code == 0
    assert chain.app.base.get(ACCOUNT + lonely.address) is None
    agreed(chain)
    chain.wait(DELAY_S)
    assert chain.policies == {wallet("new").policy}


def test_who_has_no_keys_on_record_names_nobody() -> None:
    chain = Guarded()
    chain.wallets["ghost"] = wallet("ghost")
    chain.ann = wallet("ghost").address
    result = chain.take(chain.tx(("ben", "ghost"), chain.naming(("ben", "cid"))))
    assert result.code == e.UnknownAccount.code


def test_what_waits_by_the_old_keys_is_checked_again() -> None:
    chain = Guarded()
    agreed(chain)
    chain.wait(DELAY_S - 2)
    waiting = chain.by_ann(Payment(chain.ann, chain.address("bob"), 1))
    assert chain.check(waiting).code == 0
    chain.wait(2)
    assert chain.recheck is not None
    assert ACCOUNT + chain.ann in chain.recheck
    assert chain.check(waiting).code == e.Unauthorised.code
    assert chain.prepare(waiting) == ()


# ------------------------------------------------------------------------------ below the threshold


def test_a_proposal_does_not_outlive_a_standstill_and_the_refusal_says_so() -> None:
    """The first block after it takes the proposal away, whose approval then finds none."""
    chain = Guarded()
    chain.good("ben", chain.start("ben"))
    (found,) = chain.open
    chain.wait(DELAY_S * 10)
    chain.refused("cid", chain.approve("cid", found), by=ge.UnknownRecovery)
    said = explain("guardians", ge.UnknownRecovery.code, "")
    assert "has lapsed" in said
    assert "standstill of the chain counts" in said
    assert "dchat tx start-recovery" in said


def test_fewer_than_the_threshold_do_nothing() -> None:
    chain = Guarded(threshold=3)
    key = chain.good("ben", chain.start("ben"))
    chain.good("cid", chain.approve("cid", key))
    chain.wait(DELAY_S)
    assert chain.open == (), "it lapsed"
    chain.refused("dan", chain.approve("dan", key), by=ge.UnknownRecovery)
    assert chain.policies == {chain.me.policy}


def test_one_word_counts_once() -> None:
    chain = Guarded()
    key = chain.good("ben", chain.start("ben"))
    chain.refused("ben", chain.approve("ben", key), by=ge.AlreadyApproved)
    again = [ApproveRecovery(chain.address("ben"), chain.ann, leg=1)]
    chain.refused("ben", chain.start("ben"), *again, by=ge.AlreadyApproved)
    assert not chain.open[0].agreed_height


def test_words_for_one_do_not_count_for_another() -> None:
    """Each approval names its recovery, and so its keys; who proposes anew begins without approvals."""
    chain = Guarded(threshold=3)
    first = chain.good("ben", chain.start("ben", "new"))
    chain.good("cid", chain.approve("cid", first))
    second = chain.good("ben", chain.start("ben", "other"))
    assert first != second
    assert [found.approvals for found in chain.open] == [(chain.address("ben"),)]
    chain.refused("dan", chain.approve("dan", first), by=ge.UnknownRecovery)
    third = chain.good("cid", chain.start("cid", "new"))
    chain.good("dan", chain.approve("dan", third))
    assert [len(found.approvals) for found in chain.open] == [1, 2]
    assert not any(found.agreed_height for found in chain.open)
    same = chain.good("dan", chain.start("dan", "new"))
    assert same not in (first, second, third), "for the same keys, another one"


@pytest.mark.parametrize("who", ["eve", "ann"])
def test_who_is_no_guardian_has_no_word(who: str) -> None:
    chain = Guarded()
    chain.refused(who, chain.start(who), by=ge.NotGuardian)
    key = chain.good("ben", chain.start("ben"))
    chain.refused(who, chain.approve(who, key), by=ge.NotGuardian)


def test_nobody_approves_in_anothers_name() -> None:
    chain = Guarded()
    key = chain.good("ben", chain.start("ben"))
    forged = build_tx(
        chain_id=CHAIN_ID, messages=[chain.approve("cid", key)],
        seats=[Seat(chain.wallets["cid"], None, with_policy=True)], gas_price=chain.gas_price,
        expiry_height=chain.height + 5,
    )  # fmt: skip
    body = tx_pb2.Tx.FromString(forged).body
    assert chain.check(sign_body(body, [[wallet("ben")]])).code in (e.Unauthorised.code, e.SignersMismatch.code)


def test_an_approval_runs_once() -> None:
    chain = Guarded(threshold=3)
    key = chain.good("ben", chain.start("ben"))
    raw = chain.tx("cid", chain.approve("cid", key), memo="once")
    assert chain.take(raw).code == 0
    assert chain.check(raw).code == e.Replayed.code
    assert e.Replayed.rule in chain.propose(raw)


def test_new_keys_are_proved_and_new() -> None:
    chain = Guarded()
    theirs = chain.start("ben")
    chain.refused("ben", theirs._replace(possessions=(bytes(64),)), by=e.KeysNotPossessed)
    moved = prove_keys([wallet("new").key], CHAIN_ID, chain.address("bob"), wallet("new").policy)
    chain.refused("ben", theirs._replace(possessions=moved), by=e.KeysNotPossessed)
    chain.refused("ben", chain.start("ben", "ann"), by=e.PolicyUnchanged)


def test_a_guardian_of_several_keys_and_one_that_changes_its_keys_speak_as_accounts() -> None:
    board = shared(2, "x", "y", "z")
    chain = Guarded()
    naming = SetGuardians(chain.ann, tuple(sorted((board.address, chain.address("ben")))), 2, DELAY_S)
    chain.good("ann", naming)
    chain.wait(DELAY_S)
    key = chain.good("ben", chain.start("ben"))
    chain.good("eve", Payment(chain.address("eve"), board.address, DCHAT))

    def signed(by: str) -> bytes:
        body = build_tx(
            chain_id=CHAIN_ID, messages=[ApproveRecovery(board.address, chain.ann, key)],
            seats=[Seat(Shared(board.policy), None, with_policy=True)], gas_price=chain.gas_price,
            expiry_height=chain.height + 5,
        )  # fmt: skip
        return sign_body(tx_pb2.Tx.FromString(body).body, [[wallet(name) for name in by.split()]])

    assert chain.check(signed("x")).code == e.Unauthorised.code
    assert chain.take(signed("x z")).code == 0
    assert chain.open[0].agreed_height


@pytest.mark.parametrize("spoil", [
    pytest.param({"guardians": lambda c: (c.ann,)}, id="itself"),
    pytest.param({"guardians": lambda c: (c.address("ben"),) * 2}, id="one twice"),
    pytest.param({"guardians": lambda c: tuple(bytes([n]) * 20 for n in range(GUARDIANS_MAX + 1))}, id="too many"),
    pytest.param({"guardians": lambda c: (b"x",)}, id="no address"),
    pytest.param({"threshold": lambda c: 0}, id="needs nobody"),
    pytest.param({"threshold": lambda c: 4}, id="needs more than there are"),
    pytest.param({"delay_s": lambda c: DELAY_S_MIN - 1}, id="too short"),
    pytest.param({"delay_s": lambda c: DELAY_S_MAX + 1}, id="too long"),
    pytest.param({"overrule": lambda c: 1}, id="overruled by fewer than agree"),
    pytest.param({"overrule": lambda c: 4}, id="overruled by more than there are"),
    pytest.param({"guardians": lambda c: ()}, id="nobody, with a delay"),
])  # fmt: skip
def test_terms_that_make_no_sense_are_no_message(spoil: dict[str, Any]) -> None:
    chain = Guarded()
    usual = chain.naming(("ben", "cid", "dan"))
    message = usual._replace(**{name: make(chain) for name, make in spoil.items()})
    with pytest.raises(InvalidField):
        set_guardians(tx_pb2.SetGuardians(**message._asdict()))
    set_guardians(tx_pb2.SetGuardians(**usual._asdict()))


@pytest.mark.parametrize("said", [{}, {"recovery_id": bytes(32), "leg": 1}, {"recovery_id": bytes(31)}, {"leg": 33}])
def test_an_approval_names_one_recovery(said: dict[str, Any]) -> None:
    with pytest.raises(InvalidField):
        approve_recovery(tx_pb2.ApproveRecovery(guardian=bytes(20), address=bytes(20), **said))


# ------------------------------------------------------------------------------ objecting


def test_the_account_objects_until_it_is_done_and_its_objectors_are_quiet() -> None:
    chain = Guarded()
    key = agreed(chain).id
    chain.good("ann", ObjectRecovery(chain.ann))
    assert chain.open == ()
    assert [one.guardian for one in chain.record.quiet] == sorted((chain.address("ben"), chain.address("cid")))
    chain.refused("ben", chain.start("ben"), by=ge.GuardianQuiet)
    chain.refused("dan", chain.approve("dan", key), by=ge.UnknownRecovery)
    other = chain.good("dan", chain.start("dan"))
    chain.refused("cid", chain.approve("cid", other), by=ge.GuardianQuiet)
    chain.wait(DELAY_S)
    assert chain.policies == {chain.me.policy}
    agreed(chain, "cid", "ben")


def test_an_objection_in_the_block_of_the_end_wins() -> None:
    chain = Guarded()
    found = agreed(chain)
    for _ in range(BLOCKS_MIN):
        chain.take_empty()
    chain.skipped_ns += found.end_ns - chain.time_of(chain.height + 1)
    assert chain.time_of(chain.height + 1) == found.end_ns
    chain.good("ann", ObjectRecovery(chain.ann))
    chain.wait(DELAY_S)
    assert chain.policies == {chain.me.policy}


def test_an_objection_after_the_end_is_not_heard() -> None:
    chain = Guarded()
    found = agreed(chain)
    for _ in range(BLOCKS_MIN):
        chain.take_empty()
    chain.skipped_ns += found.end_ns - chain.time_of(chain.height + 1)
    chain.take_empty()
    assert chain.policies == {wallet("new").policy}
    assert chain.check(chain.by_ann(ObjectRecovery(chain.ann))).code == e.Unauthorised.code
    chain.me = wallet("new")
    chain.refused("ann", ObjectRecovery(chain.ann), by=ge.UnknownRecovery)


def test_block_time_that_jumps_leaves_blocks_to_object_in() -> None:
    """A chain that stood still for a month goes on: nothing is carried out before anybody can say a word."""
    chain = Guarded()
    agreed(chain)
    since = chain.height
    chain.skipped_ns += 30 * 86_400 * SECOND_NS
    while chain.height < since + BLOCKS_MIN - 1:
        chain.take_empty()
        assert chain.policies == {chain.me.policy}
    chain.take_empty()
    assert chain.policies == {wallet("new").policy}


def test_guardians_and_strangers_do_not_object_and_there_must_be_something_to_object_to() -> None:
    chain = Guarded()
    chain.refused("ann", ObjectRecovery(chain.ann), by=ge.UnknownRecovery)
    chain.refused("eve", ObjectRecovery(chain.address("eve")), by=ge.NoGuardians)
    agreed(chain)
    raw = build_tx(
        chain_id=CHAIN_ID, messages=[ObjectRecovery(chain.ann)], seats=[Seat(Wallet(wallet("dan").key, chain.ann), None,
        with_policy=False)], gas_price=chain.gas_price, expiry_height=chain.height + 5,
    )  # fmt: skip
    assert chain.check(raw).code == e.Unauthorised.code


def test_a_change_of_keys_neither_ends_a_recovery_nor_escapes_it() -> None:
    """A thief's first act: the keys that he took the account to are replaced all the same. He who has them objects."""
    chain = Guarded()
    agreed(chain)
    chain.good("ann", rotation(chain.ann, wallet("thief").policy, ["thief"]))
    chain.wait(DELAY_S)
    assert chain.policies == {wallet("new").policy}
    agreed(chain, to="ann")
    chain.me = wallet("new")
    chain.good("ann", rotation(chain.ann, wallet("newer").policy, ["newer"]))
    assert chain.check(chain.by_ann(ObjectRecovery(chain.ann))).code == e.Unauthorised.code, "by keys of before"
    chain.me = wallet("newer")
    chain.good("ann", ObjectRecovery(chain.ann))
    assert chain.open == ()


def test_keys_that_were_recovered_to_do_not_begin_their_sequences_again() -> None:
    """What ran by the old keys before does not run again after the account has been recovered to them."""
    chain = Guarded()
    old = [chain.tx("ann", Payment(chain.ann, chain.address("bob"), 5), with_policy=False) for _ in range(3)]
    assert chain.take(*old).code == 0
    agreed(chain)
    chain.wait(DELAY_S)
    agreed(chain, to="ann")
    chain.wait(DELAY_S)
    assert chain.policies == {wallet("ann").policy}
    assert {chain.check(raw).code for raw in old} == {e.WrongSequence.code}


# ------------------------------------------------------------------------------ guardians that change


def test_a_change_waits_the_delay_and_can_be_withdrawn() -> None:
    chain = Guarded()
    terms = chain.record.terms
    chain.refused("ann", chain.naming(("ben", "cid", "dan")), by=ge.GuardiansUnchanged)
    chain.good("ann", chain.naming(("eve", "bob"), delay_s=DELAY_S_MIN))
    chain.refused("eve", chain.start("eve"), by=ge.NotGuardian)
    chain.wait(DELAY_S - 2)
    assert chain.record.terms == terms
    chain.good("ann", chain.naming(("ben", "cid", "dan")))
    assert chain.record.pending is None
    chain.wait(DELAY_S)
    assert chain.record.terms == terms
    chain.good("ann", chain.naming(("eve", "bob"), delay_s=DELAY_S_MIN))
    chain.wait(DELAY_S - 2)
    chain.good("ann", chain.naming(("eve", "ben"), delay_s=DELAY_S_MIN))
    chain.wait(DELAY_S_MIN)
    assert chain.record.terms == terms, "another one waits anew"
    chain.wait(DELAY_S)
    assert chain.record.terms.delay_s == DELAY_S_MIN
    chain.refused("cid", chain.start("cid"), by=ge.NotGuardian)
    agreed(chain, "ben", "eve")


def test_a_thief_who_removes_the_guardians_is_late() -> None:
    """Those of before agree within the delay; then the removal waits, and the recovery withdraws it."""
    chain = Guarded()
    chain.good("ann", chain.naming(()))
    chain.wait(DELAY_S - 4)
    agreed(chain)
    chain.wait(10)
    assert chain.record is not None
    assert chain.record.pending is not None
    chain.wait(DELAY_S)
    assert chain.policies == {wallet("new").policy}
    assert chain.record.pending is None
    chain.wait(2 * DELAY_S)
    assert len(chain.record.terms.guardians) == 3


def test_a_thief_who_names_his_own_guardians_gains_nothing_before_the_delay() -> None:
    chain = Guarded()
    chain.good("ann", chain.naming(("eve",), threshold=1, delay_s=DELAY_S_MIN))
    chain.refused("eve", chain.start("eve"), by=ge.NotGuardian)
    agreed(chain)
    chain.wait(DELAY_S)
    chain.refused("eve", chain.start("eve", "bob"), by=ge.NotGuardian)
    chain.wait(DELAY_S)
    assert chain.record.terms == chain.naming(("ben", "cid", "dan"))[1:]


def test_in_one_block_agreement_comes_before_the_change() -> None:
    chain = Guarded()
    chain.good("ann", chain.naming(()))
    at = chain.record.pending_ns
    key = chain.good("ben", chain.start("ben"))
    for _ in range(BLOCKS_MIN):
        chain.take_empty()
    chain.skipped_ns += at - chain.time_of(chain.height + 1)
    chain.good("cid", chain.approve("cid", key))
    assert chain.open[0].agreed_height
    chain.wait(DELAY_S)
    assert chain.policies == {wallet("new").policy}


def test_a_change_ends_what_those_of_before_proposed() -> None:
    """One bad guardian holds nothing back: only what enough of them agree on does."""
    chain = Guarded()
    chain.good("ann", chain.naming(("ben", "cid", "eve")))
    chain.wait(DELAY_S // 2)
    key = chain.good("dan", chain.start("dan"))
    chain.wait(DELAY_S // 2)
    assert chain.open == ()
    assert chain.address("eve") in chain.record.terms.guardians
    chain.refused("ben", chain.approve("ben", key), by=ge.UnknownRecovery)
    chain.refused("dan", chain.start("dan"), by=ge.NotGuardian)


def test_a_removal_that_was_held_back_holds_with_the_objection() -> None:
    """Guardians who collude are rid of at once: they cannot hold themselves in office by one recovery after another."""
    chain = Guarded()
    chain.good("ann", chain.naming(("dan", "eve")))
    chain.wait(DELAY_S - 4)
    agreed(chain)
    chain.wait(10)
    assert chain.record.pending is not None
    chain.good("ann", ObjectRecovery(chain.ann))
    assert chain.record.pending is None
    assert chain.record.terms.guardians == chain.naming(("dan", "eve")).guardians
    assert chain.record.quiet == ()
    chain.refused("cid", chain.start("cid"), by=ge.NotGuardian)
    chain.wait(2 * DELAY_S)


def test_a_removal_that_was_held_back_through_a_jump_of_time_waits_for_its_blocks() -> None:
    chain = Guarded()
    chain.good("ann", chain.naming(("dan", "eve")))
    since = chain.height
    agreed(chain)
    chain.skipped_ns += 30 * 86_400 * SECOND_NS
    chain.take_empty()
    chain.good("ann", ObjectRecovery(chain.ann))
    assert chain.record.pending is not None
    while chain.height < since + BLOCKS_MIN + 1:
        chain.take_empty()
    assert chain.record.pending is None
    assert chain.record.terms.guardians == chain.naming(("dan", "eve")).guardians


def test_a_removal_and_a_recovery_that_are_due_in_one_block() -> None:
    chain = Guarded()
    chain.good("ann", chain.naming(()))
    agreed(chain)
    chain.wait(50 * DELAY_S)
    assert chain.policies == {wallet("new").policy}
    assert chain.record.pending is None


def test_guardians_are_removed_and_named_anew() -> None:
    chain = Guarded()
    chain.good("ann", chain.naming(()))
    chain.good("ben", chain.start("ben"))
    chain.wait(DELAY_S)
    assert chain.record is None
    assert chain.open == ()
    chain.refused("ann", chain.naming(()), by=ge.NoGuardians)
    chain.refused("ben", chain.start("ben"), by=ge.NoGuardians)
    chain.good("ann", chain.naming(("eve",), 1))
    agreed(chain, "eve")


def test_a_change_after_a_jump_of_time_waits_for_blocks_too() -> None:
    chain = Guarded()
    chain.good("ann", chain.naming(()))
    since = chain.height
    chain.skipped_ns += 30 * 86_400 * SECOND_NS
    while chain.height < since + BLOCKS_MIN - 1:
        chain.take_empty()
        assert chain.record is not None
    chain.take_empty()
    assert chain.record is None


# ------------------------------------------------------------------------------ one bad guardian, and spam


def test_one_guardian_cannot_keep_the_others_from_agreeing() -> None:
    """Each has a recovery of its own; the one that is agreed on ends the rest."""
    chain = Guarded()
    chain.good("dan", chain.start("dan", "thief"))
    agreed(chain)
    chain.refused("dan", chain.start("dan", "thief"), by=ge.RecoveryAgreed)
    chain.wait(DELAY_S)
    assert chain.policies == {wallet("new").policy}


def test_what_is_open_is_bounded_and_paid_for_by_who_starts_it() -> None:
    chain = Guarded()
    before = chain.balance("ben"), chain.balance("ann")
    for number in range(5):
        chain.good("ben", chain.start("ben", f"key {number}"))
    assert len(chain.open) == 1
    assert len(list(chain.app.base.scan(WAITING.prefix))) == 1
    assert chain.balance("ben") < before[0]
    assert chain.balance("ann") == before[1]
    chain.good("ann", ObjectRecovery(chain.ann))
    chain.refused("ben", chain.start("ben"), by=ge.GuardianQuiet)
    assert list(chain.app.base.scan(WAITING.prefix)) == []


def test_too_late_to_agree_in_the_block_of_the_end() -> None:
    chain = Guarded()
    key = chain.good("ben", chain.start("ben"))
    at = chain.open[0].end_ns
    chain.skipped_ns += at - chain.time_of(chain.height + 1)
    result = chain.run("cid", chain.approve("cid", key))
    assert result.code == ge.RecoveryLapsed.code
    assert chain.open == ()


def test_the_greatest_records_fit() -> None:
    who = tuple(bytes([number]) * 20 for number in range(GUARDIANS_MAX))
    policy = threshold_policy(1, [Group(1, (bytes([number]) * 32,)) for number in range(KEYS_MAX)])
    each = Recovery(bytes(32), who[0], policy, who, 2**63 - 1, 2**64 - 1, (2**64 - 1,) * GUARDIANS_MAX)
    assert len(Recoveries((each,) * GUARDIANS_MAX).encode()) < RECORD_BYTES_MAX
    assert Recoveries.decode(Recoveries((each,) * GUARDIANS_MAX).encode()).of == (each,) * GUARDIANS_MAX


def test_whose_word_stands_is_asked_once_of_each_guardian() -> None:
    """However many recoveries they approved: an objection costs what its gas says."""
    who = tuple(bytes([number]) * 20 for number in range(GUARDIANS_MAX))
    each = Recovery(bytes(32), who[0], wallet("new").policy, who, 1, 0, (0, *(1,) * (GUARDIANS_MAX - 1)))
    read: list[bytes] = []

    class Counting:
        def get(self, key: bytes) -> None:
            read.append(key)

    assert machine._all_stand(Counting(), (each,) * GUARDIANS_MAX) == [[who[0]]] * GUARDIANS_MAX  # type: ignore[arg-type]
    assert len(read) == len(set(read)) == GUARDIANS_MAX


# ------------------------------------------------------------------------------ overruling


def test_so_many_as_the_account_said_overrule_a_thief() -> None:
    """In one bundle, so that he has no block to object in; by fewer, he is heard."""
    chain = Guarded(overrule=3)
    agreed(chain)
    chain.good("ann", ObjectRecovery(chain.ann))
    chain.wait(DELAY_S)
    others = [ApproveRecovery(chain.address(name), chain.ann, leg=1) for name in ("cid", "dan")]
    chain.good("ann", chain.naming(()))
    chain.good(("ben", "cid", "dan"), chain.start("ben"), *others)
    chain.refused("ann", ObjectRecovery(chain.ann), by=ge.Overruled)
    chain.wait(DELAY_S)
    assert chain.policies == {wallet("new").policy}


def test_a_later_word_overrules_too_and_counts_until_it_is_done() -> None:
    chain = Guarded(overrule=3)
    found = agreed(chain)
    chain.good("dan", chain.approve("dan", found))
    assert chain.open[0].end_ns == found.end_ns, "the delay goes on as it began"
    chain.refused("ann", ObjectRecovery(chain.ann), by=ge.Overruled)


# ------------------------------------------------------------------------------ what breaks


def test_a_recovery_that_cannot_be_carried_out_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decision 8: nothing of it stays, the chain goes on, the account can still object."""
    chain = Guarded()
    agreed(chain)

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(machine, "change", broken)
    for _ in range(BLOCKS_MIN):
        chain.block()
    chain.skipped_ns += DELAY_S * SECOND_NS
    chain.block()
    assert [failed.code for _, failed in chain.app.base.scan(FAILED.prefix)] == [e.ActionPanicked.code]
    assert chain.policies == {chain.me.policy}
    assert len(chain.open) == 1
    monkeypatch.setattr(machine, "change", keys.change)
    assert [name for name, holds, _ in chain.app.invariants() if not holds] == ["guardians: no item of a queue failed"]
    result = chain.block(chain.by_ann(ObjectRecovery(chain.ann))).tx_results[0]
    assert result.code == 0
    assert chain.open == ()
