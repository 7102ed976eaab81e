"""Two people, a priced channel, a conversation, a tip; all of it proved."""

from __future__ import annotations

import pytest

from chain.state import mmr, proofs
from chain.tx.envelope.tx import decode
from chain.tx.messages import (
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    Tip,
    channel_id,
)
from consensus.abci.interface import QueryRequest
from consensus.state.results import result_proof, results_hash
from proto.dchat.v1 import state_pb2 as pb
from tests.support.chain.harness import Chain

DCHAT = 10**6
ROOM = channel_id("room")


def test_story() -> None:
    chain = Chain({"ann": 10 * DCHAT, "bob": 10 * DCHAT})
    ann, bob = chain.address("ann"), chain.address("bob")
    register = [
        chain.tx("ann", RegisterIdentity(ann, "ann", "Ann")),
        chain.tx("bob", RegisterIdentity(bob, "bob", "Bøb"), Payment(bob, ann, 5)),
    ]
    assert [chain.check(tx).code for tx in register] == [0, 0]
    run(chain, *register)
    run(chain, chain.tx("ann", CreateChannel(ann, "room", DCHAT, "a topic")))
    run(chain, chain.tx("bob", PayToJoin(bob, ROOM, DCHAT)))
    lines = [("ann", b"hello"), ("bob", b"hi"), ("ann", b"how are you"), ("bob", b"well"), ("ann", b"bye")]
    posts = [chain.tx(who, PostMessage(chain.address(who), ROOM, line, 0)) for who, line in lines]
    assert [chain.check(tx).code for tx in posts] == [0] * 5
    run(chain, *posts)
    before = chain.balance("ann")
    tip = chain.tx("bob", Tip(bob, ROOM, 2, 7), BuyAllowance(bob, DCHAT))
    run(chain, tip)
    assert chain.balance("ann") == before + 7
    totals = chain.app.queries.bridge_totals()
    assert (totals["bundles_executed"], totals["bundles_failed"]) == (4, 0)
    assert (totals["udchat_to_chat"], totals["udchat_tipped"], totals["udchat_joins"]) == (
        DCHAT + 2 * 250_000,
        7,
        DCHAT,
    )

    proved, found = chain.app.queries.messages(ROOM, limit=100, with_proof=True)
    root = chain.app.stores.app_hash
    assert proved.value is not None
    proofs.verify(proved.ops, root, store="chat", key=proved.key, value=proved.value)
    channel = pb.Channel.FromString(proved.value)
    summary = mmr.Range(channel.message_count, tuple(channel.peaks))
    for item, (who, line) in zip(found, lines, strict=True):
        mmr.verify(summary, mmr.ItemProof(item.index, item.path), item.value)
        message = pb.ChatMessage.FromString(item.value)
        assert (message.author, message.content) == (chain.address(who), line)

    receipt = chain.app.queries.bundle(decode(tip).replay_id, with_proof=True)
    assert receipt.value is not None
    proofs.verify(receipt.ops, root, store="bridge", key=receipt.key, value=receipt.value)
    assert [leg.kind for leg in pb.Receipt.FromString(receipt.value).legs] == ["tip", "buy_allowance"]
    answer = chain.app.query(QueryRequest("/store/bridge/key", receipt.key, chain.height, True))
    assert (answer.value, answer.height) == (receipt.value, chain.height)


def run(chain: Chain, *txs: bytes) -> None:
    response = chain.block(*txs)
    for result in response.tx_results:
        assert result.code == 0, result.log
        assert result.gas_used <= result.gas_wanted
    chain.assert_invariants()


def test_a_bundle_with_an_impossible_leg_changes_nothing_but_the_fee_and_has_a_receipt() -> None:
    chain = Chain({"ann": 10 * DCHAT, "bob": 10 * DCHAT})
    ann, bob = chain.address("ann"), chain.address("bob")
    run(chain, chain.tx("ann", RegisterIdentity(ann, "ann", "")))
    before_ann, before_bob = chain.balance("ann"), chain.balance("bob")
    tx = chain.tx(
        ("ann", "bob"), Payment(ann, bob, 1000), CreateChannel(ann, "x", 0, ""), JoinChannel(bob, channel_id("x")),
        lane=3,
    )  # fmt: skip
    response = chain.block(tx)
    chain.assert_invariants()
    (result,) = response.tx_results
    assert (result.code, result.codespace) == (60, "chat")
    assert result.log.startswith("message 3: ")
    receipt = pb.Receipt.FromString(result.data)
    assert (receipt.code, receipt.failed_leg, list(receipt.legs)) == (60, 3, [])
    assert receipt.fee_paid == before_ann - chain.balance("ann") > 0
    assert chain.balance("bob") == before_bob
    assert chain.app.queries.channel(channel_id("x")).value is None
    kept = chain.app.queries.bundle(decode(tx).replay_id, with_proof=True)
    assert kept.value == result.data
    proof = result_proof(response.tx_results, 0)  # the other way to prove it: through the next header's results hash
    proof.verify(results_hash(response.tx_results), result.deterministic_bytes())
    assert "a transaction runs once" in chain.propose(tx)


@pytest.mark.parametrize("blocks", [3])
def test_receipts_and_marks_are_removed_after_their_time(blocks: int) -> None:
    from chain.app_state.document import BridgeGenesis

    chain = Chain({"ann": 10 * DCHAT, "bob": 0}, bridge=BridgeGenesis(receipt_blocks=blocks))
    ann = chain.address("ann")
    tx = chain.tx("ann", RegisterIdentity(ann, "ann", ""), expiry_height=2)
    run(chain, tx)
    replay_id = decode(tx).replay_id
    for _ in range(blocks - 1):
        run(chain)
        assert chain.app.queries.bundle(replay_id).value is not None
    run(chain)
    assert chain.app.queries.bundle(replay_id).value is None
    assert chain.app.queries.bundle(replay_id, height=blocks).value is not None
    assert not list(chain.app.stores.scan("bridge", b"r"))
    assert not list(chain.app.stores.scan_side("bridge"))
