"""The application's life: competing proposals, restart, genesis again, history, admission, lanes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from chain.app_state.document import BridgeGenesis, CurrencyGenesis
from chain.kernel.check import STALE_BLOCKS
from chain.kernel.proposals import select, size_in_block
from chain.state import proofs
from chain.state.store import Stores
from chain.tx.envelope.tx import decode
from chain.tx.errors import AllowanceExhausted, Overspend, WrongSequence
from chain.tx.messages import CreateChannel, Payment, PostMessage, RegisterIdentity, channel_id
from consensus.abci.interface import (
    CheckTxRequest,
    CheckTxType,
    CommitInfo,
    InfoRequest,
    InitChainRequest,
    Misbehavior,
    MisbehaviorType,
    QueryRequest,
    VerifyVoteExtensionRequest,
)
from consensus.types.params import ConsensusParams
from dchat.app.app import DchatApplication
from dchat.app.errors import GenesisDiffers
from genesis.app_state import build_app_state
from proto.dchat.v1 import state_pb2
from tests.support.chain.harness import CHAIN_ID, Chain, drain

DCHAT = 10**6


def rich(names: str = "ann bob carl", **options: object) -> Chain:
    return Chain(dict.fromkeys(names.split(), 100 * DCHAT), **options)  # type: ignore[arg-type]


def pay(chain: Chain, sender: str = "ann", recipient: str = "", amount: int = 1, **options: object) -> bytes:
    recipient = recipient or ("carl" if sender == "bob" else "bob")
    message = Payment(chain.address(sender), chain.address(recipient), amount)
    return chain.tx(sender, message, **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ speculation


@pytest.mark.parametrize("decided", [0, 1])
def test_two_proposals_are_executed_and_either_can_be_decided(decided: int) -> None:
    chain, plain = rich(), rich()
    first, second = pay(chain, amount=5), pay(chain, "carl", amount=7)
    requests = [chain.request([first, second]), chain.request([second])]
    for request in requests:
        assert drain(chain.app.process_proposal(request)).accepted
    response = drain(chain.app.finalize_block(requests[decided]))
    chain.app.commit()
    chain.assert_invariants()
    expected = plain.block(*requests[decided].txs, propose=False)
    assert response.app_hash == expected.app_hash == chain.app.stores.app_hash


def test_a_proposal_that_was_executed_is_not_executed_again() -> None:
    chain = rich()
    request = chain.request([pay(chain)])
    assert drain(chain.app.process_proposal(request)).accepted
    chain.app.modules.handlers.clear()  # executing now would fail
    assert drain(chain.app.finalize_block(request)).tx_results[0].code == 0
    assert drain(chain.app.process_proposal(request)).accepted


def test_the_transactions_of_a_proposal_of_ours_run_once() -> None:
    chain, plain = rich(), rich()
    txs = [
        pay(chain, "ann"),
        pay(chain, "bob", amount=1000 * DCHAT),
        pay(chain, "carl", sequence=7),
        pay(chain, "carl"),
    ]
    kept = chain.prepare(*txs)
    assert kept == (txs[0], txs[1], txs[3]), "bob's fails, and pays its fee; carl's second has a wrong sequence"
    request = chain.request(kept)
    chain.app.modules.handlers.clear()  # running one now would fail
    assert drain(chain.app.process_proposal(request)).accepted
    response = drain(chain.app.finalize_block(request))
    chain.app.commit()
    assert response == plain.block(*kept)
    assert [result.code for result in response.tx_results] == [0, Overspend.code, 0]
    assert chain.app.stores.app_hash == plain.app.stores.app_hash


@pytest.mark.parametrize("other", [
    {"time_ns": 5}, {"proposer_address": b"another proposer, of."}, {"next_validators_hash": bytes([1] * 32)},
    {"last_commit": CommitInfo(1, ())}, {"txs": ()},
    {"misbehavior": (Misbehavior(MisbehaviorType.DUPLICATE_VOTE, bytes(20), 1, 1, 1, 1),)},
])  # fmt: skip
def test_another_block_than_the_one_prepared_is_run_by_itself(other: dict[str, Any]) -> None:
    chain, plain = rich(), rich()
    txs = [pay(chain, "ann"), pay(chain, "bob")]
    kept = chain.prepare(*txs)
    request = replace(chain.request(kept), **other)
    responses = []
    for app in (chain.app, plain.app):
        assert drain(app.process_proposal(request)).accepted
        responses.append(drain(app.finalize_block(request)))
        app.commit()
    assert responses[0] == responses[1]
    assert chain.prepare(*txs) == ((), tuple(txs))[other == {"txs": ()}], "of the height before nothing is left"


def test_what_was_prepared_is_forgotten_with_its_height() -> None:
    chain, plain = rich(), rich()
    tx, later = pay(chain, "ann", amount=3), pay(chain, "carl")
    chain.prepare(tx)
    assert chain.block(later) == plain.block(later)
    chain.height -= 1  # a request as it was prepared, but for what the state is by now
    assert chain.propose(tx).startswith("height 1 is not the next one")
    chain.height += 1
    assert chain.block(tx) == plain.block(tx)


def test_an_abandoned_execution_leaves_nothing() -> None:
    chain = rich("ann bob")
    before = chain.app.stores.app_hash
    txs = [pay(chain) for _ in range(200)]
    steps = chain.app.process_proposal(chain.request(txs))
    for _ in range(3):
        next(steps)
    steps.close()
    assert chain.app.stores.app_hash == before
    assert all(result.code == 0 for result in chain.block(*txs).tx_results)


def test_a_proposal_for_another_height_is_refused() -> None:
    chain = rich()
    assert not drain(chain.app.process_proposal(chain.request([], height=5))).accepted


def test_execution_is_the_same_whatever_is_remembered() -> None:
    """The mempool's knowledge has no part in it: signatures known, unknown, and a cold cache."""
    hashes = set()
    for knows in (True, False):
        chain = rich()
        txs = [pay(chain, "ann", "bob"), pay(chain, "bob", "carl")]
        if knows:
            chain.app.remember_verified(chain.app.signature_checks(txs))
            assert chain.app.signature_checks(txs) == []
        response = chain.block(*txs)
        hashes.add((response.app_hash, response.tx_results))
        assert chain.app.signatures.verified == (0 if knows else 2)
    assert len(hashes) == 1


# ------------------------------------------------------------------------------ restart, genesis


def test_a_restart_goes_on_from_the_last_commit() -> None:
    chain = rich()
    chain.block(pay(chain, amount=5))
    request = chain.request([pay(chain, amount=6)])
    drain(chain.app.finalize_block(request))  # never committed
    again = DchatApplication(Stores(chain.db))
    info = again.info(InfoRequest("", 0, 0))
    assert (info.last_block_height, info.last_block_app_hash) == (1, chain.app.stores.app_hash)
    chain.app = again
    assert chain.block(*request.txs).tx_results[0].code == 0
    assert chain.balance("bob") == 100 * DCHAT + 11
    chain.assert_invariants()


@pytest.mark.parametrize("initial_height", [1, 1000])
def test_a_genesis_without_blocks_is_begun_again(initial_height: int) -> None:
    chain = rich(initial_height=initial_height)
    assert DchatApplication(Stores(chain.db)).info(InfoRequest("", 0, 0)).last_block_height == 0
    state = json.dumps(build_app_state({chain.address("ann"): 7})).encode()
    request = InitChainRequest(0, CHAIN_ID, ConsensusParams(), (), state, initial_height)
    response = chain.app.init_chain(request)
    assert response.app_hash == chain.app.stores.app_hash
    assert chain.balance("ann") == 7
    assert chain.balance("bob") == 0
    chain.block()
    assert chain.app.last_height == initial_height
    with pytest.raises(GenesisDiffers):
        chain.app.init_chain(request)


def test_the_first_app_hash_is_the_genesis() -> None:
    assert rich().app.stores.app_hash == rich().app.stores.app_hash
    assert rich("ann").app.stores.app_hash != rich("bob").app.stores.app_hash


# ------------------------------------------------------------------------------ history


def test_every_height_can_be_read_and_proved() -> None:
    chain = rich()
    hashes = [chain.app.stores.app_hash]
    for _ in range(5):
        hashes.append(chain.block(pay(chain, amount=10)).app_hash)
    for height in range(1, 6):
        found = chain.app.queries.account(chain.address("bob"), height=height, with_proof=True)
        account = state_pb2.Account.FromString(found.value or b"")
        assert account.balance == 100 * DCHAT + 10 * height
        proofs.verify(found.ops, hashes[height], store="currency", key=found.key, value=found.value)
    absent = chain.app.queries.account(bytes(20), with_proof=True)
    assert absent.value is None
    proofs.verify(absent.ops, hashes[5], store="currency", key=absent.key, value=None)


@pytest.mark.parametrize(("request_", "text"), [
    (QueryRequest("/store/gold/key", b"x"), "unknown path"),
    (QueryRequest("x" * 10_000, b"x"), "unknown path"),
    (QueryRequest("/store/chat/key", b"x", height=99), "height 99 is not there yet: the latest is "),
    (QueryRequest("/store/chat/key", b"x", height=-1), "height -1"),
    (QueryRequest("/store/chat/key", b"", prove=True), "0 bytes"),
    (QueryRequest("/store/chat/key", b"x" * 100_000, prove=True), "bytes"),
])  # fmt: skip
def test_queries_that_cannot_be_answered_say_why(request_: QueryRequest, text: str) -> None:
    answer = rich().app.query(request_)
    assert answer.code == 1
    assert text in answer.log


def test_vote_extensions_are_empty() -> None:
    app = rich().app
    assert app.verify_vote_extension(VerifyVoteExtensionRequest(b"", b"", 1, b""))
    assert not app.verify_vote_extension(VerifyVoteExtensionRequest(b"", b"", 1, b"x"))


# ------------------------------------------------------------------------------ admission


def test_many_of_one_sender_queue_and_a_gap_is_refused() -> None:
    """Failure 32: no orphaned sequences."""
    chain = rich()
    txs = [pay(chain) for _ in range(50)]
    assert chain.check(txs[1]).code == WrongSequence.code
    assert [chain.check(tx).code for tx in txs] == [0] * 50
    assert chain.check(txs[0]).code == WrongSequence.code
    chain.block(*txs[:20])
    for tx in txs[20:]:  # the mempool rechecks what the block touched
        assert chain.app.check_tx(CheckTxRequest(tx, CheckTxType.RECHECK)).code == 0
    assert chain.check(pay(chain)).code == 0
    assert chain.prepare(*txs[20:]) == tuple(txs[20:])


def test_what_is_admitted_counts_against_the_balance() -> None:
    chain = Chain({"ann": 10 * DCHAT, "bob": DCHAT})
    assert chain.check(pay(chain, amount=6 * DCHAT)).code == 0
    assert chain.check(pay(chain, amount=6 * DCHAT)).code == Overspend.code


def test_what_is_admitted_counts_against_the_allowance() -> None:
    chain = rich(bridge=BridgeGenesis(starter_messages=2))
    ann = chain.address("ann")
    chain.block(chain.tx("ann", RegisterIdentity(ann, "ann", "")))
    chain.block(chain.tx("ann", CreateChannel(ann, "room", 0, "")))
    posts = [chain.tx("ann", PostMessage(ann, channel_id("room"), b"x", 0)) for _ in range(2)]
    assert [chain.check(tx).code for tx in posts] == [0, AllowanceExhausted.code]


def test_untouched_senders_stay_admitted() -> None:
    chain = rich()
    waiting = [pay(chain, "carl") for _ in range(3)]
    assert [chain.check(tx).code for tx in waiting] == [0] * 3
    touched = chain.block(pay(chain, "ann")).touched
    assert touched is not None
    assert not touched & set(chain.app.identify_tx(waiting[0]).touches)
    assert chain.check(pay(chain, "carl")).code == 0


def test_a_recheck_of_what_is_counted_changes_nothing() -> None:
    chain = rich()
    txs = [pay(chain, amount=40 * DCHAT) for _ in range(2)]
    assert [chain.check(tx).code for tx in txs] == [0, 0]
    for tx in txs:
        assert chain.app.check_tx(CheckTxRequest(tx, CheckTxType.RECHECK)).code == 0
    assert chain.check(pay(chain, amount=DCHAT)).code == 0


def test_receiving_does_not_touch() -> None:
    chain = rich()
    assert chain.check(pay(chain, "bob", "ann")).code == 0
    touched = chain.block(pay(chain, "ann", "bob")).touched
    assert touched == frozenset({b"ua" + chain.address("ann")})


def test_those_who_share_a_transaction_are_touched_together() -> None:
    chain = rich()
    ann, bob = chain.address("ann"), chain.address("bob")
    both = chain.tx(("ann", "bob"), Payment(ann, bob, 1), Payment(bob, ann, 1))
    assert chain.check(both).code == 0
    assert chain.check(pay(chain, "bob")).code == 0
    touched = chain.block(pay(chain, "ann", sequence=0)).touched
    assert touched == frozenset({b"ua" + ann, b"ua" + bob})
    assert chain.check(pay(chain, "bob", sequence=0)).code == 0


def test_what_the_mempool_lost_is_let_go() -> None:
    chain = rich()
    assert chain.check(pay(chain, expiry_height=2)).code == 0
    assert chain.check(pay(chain, "bob")).code == 0
    assert chain.check(pay(chain, "bob", sequence=0)).code == WrongSequence.code
    chain.block()
    assert chain.block().touched == frozenset({b"ua" + chain.address("ann")})  # its transaction expired
    assert chain.check(pay(chain, sequence=0)).code == 0
    for _ in range(STALE_BLOCKS):
        chain.block()
    assert chain.check(pay(chain, "bob", sequence=0)).code == 0


def test_each_transaction_is_decoded_once() -> None:
    chain = rich()
    txs = [pay(chain) for _ in range(10)]
    for tx in txs:
        assert chain.app.identify_tx(tx).code == 0
    chain.app.signature_checks(txs)
    assert [chain.check(tx).code for tx in txs] == [0] * 10
    chain.block(*chain.prepare(*txs))
    assert chain.app.txs.decoded == 10


# ------------------------------------------------------------------------------ proposals


def test_a_flood_in_one_lane_starves_no_other() -> None:
    chain = rich()
    ann = chain.address("ann")
    chain.block(chain.tx("ann", RegisterIdentity(ann, "ann", "")))
    flood = [decode(chain.tx("ann", PostMessage(ann, channel_id("room"), b"x", 0))) for _ in range(100)]
    payments = [decode(pay(chain, "bob")) for _ in range(10)]
    room = 50 * size_in_block(flood[1])
    chosen = select([*flood, *payments], bytes_max=room, gas_max=-1)
    assert [tx for tx in chosen if tx in payments] == payments
    assert sum(size_in_block(tx) for tx in chosen) <= room
    assert len(chosen) >= 45
    assert [tx for tx in chosen if tx in flood] == flood[: len(chosen) - 10]
    alone = select(flood, bytes_max=room, gas_max=-1)
    assert len(alone) == 50
    by_gas = select([*flood, *payments], bytes_max=1 << 20, gas_max=20 * flood[1].gas_limit)
    assert sum(tx.gas_limit for tx in by_gas) <= 20 * flood[1].gas_limit


def test_one_that_reserves_the_whole_block_stops_nobody_and_gets_its_turn() -> None:
    """sei-chain#3892, with an engine whose mempool gives us more than a block holds."""
    chain = rich()
    gas_max = decode(pay(chain)).gas_limit * 20
    whole = decode(pay(chain, gas_limit=gas_max))
    later = decode(pay(chain))
    others = [decode(pay(chain, "bob")) for _ in range(10)]
    chosen = select([whole, later, *others], bytes_max=1 << 20, gas_max=gas_max)
    assert chosen == others  # without `later`, which would overtake
    turn = select([whole, later, *others], bytes_max=1 << 20, gas_max=gas_max, first_turn=True)
    assert turn == [whole]


def test_what_we_prepare_we_accept() -> None:
    """SDK 2024-002."""
    chain = rich()
    good = [pay(chain) for _ in range(3)]
    bad = [pay(chain, "bob", sequence=5), pay(chain, "carl", fee=0), b"\x00", good[0]]
    prepared = chain.prepare(*bad, *good, *good)
    assert list(prepared) == good
    assert chain.propose(*prepared) == ""
    assert chain.prepare(*good, max_tx_bytes=0) == ()


@pytest.mark.parametrize("gas_price", [0, 1, 99_991, 10**7])
def test_who_pays_the_least_fee_has_one_priority_and_who_pays_more_a_higher_one(gas_price: int) -> None:
    """Whatever the gas: rounding up makes no difference between those who pay what they have to."""
    chain = rich(currency=CurrencyGenesis(gas_price=gas_price))
    least = [pay(chain, gas_limit=gas) for gas in (20_000, 20_001, 33_333, 1_000_000)]
    assert {chain.app.identify_tx(tx).priority for tx in least} == {1_000}
    fee = decode(least[0]).fee
    dear = [pay(chain, gas_limit=20_000, fee=paid) for paid in (fee + fee // 10 + 1, 2 * fee + 2)]
    first, second = (chain.app.identify_tx(tx).priority for tx in dear)
    assert 1_000 < first < second
    posting = PostMessage(chain.address("ann"), bytes(32), b"hello", 0)
    assert chain.app.identify_tx(chain.tx("ann", posting)).priority == 0
