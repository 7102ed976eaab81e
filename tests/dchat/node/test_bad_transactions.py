"""Every kind of bad transaction through a running node's gRPC door: the rule is named, and nothing changes but a fee.

The machines' own table of every error is tests/chain/test_errors.py; here the whole way is gone: door, mempool, block.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.currency.ledger.records import ACCOUNT
from chain.state.roots import CHAT, CURRENCY
from chain.tx import errors as e
from chain.tx.envelope.build import Seat, Wallet, build_body, build_tx, sign_body
from chain.tx.envelope.tx import TX_BYTES_MAX, decode
from chain.tx.errors import TxError
from chain.tx.messages import (
    LANE_BRIDGE,
    CreateChannel,
    Message,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    Tip,
    channel_id,
)
from consensus.mempool.admission.errors import CODESPACE, Refusal
from dchat.client.client import Client
from dchat.client.wallet import Session
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2, tx_pb2
from tests.support.node.running import Running, running_node

DCHAT = 1_000_000
LOBBY, NOWHERE = channel_id("lobby"), channel_id("nowhere")
STRANGER = Wallet.from_seed(b"\x07" * 32)  # has no account


@dataclass
class World:
    """alice owns the channel `lobby`, which costs 2 DCHAT to join; bob is registered and no member of it."""

    running: Running
    client: Client
    alice: Wallet
    bob: Wallet
    height: int

    def tx(self, who: Wallet, *messages: Message, sequence: int | None = None, **options: Any) -> bytes:
        options = {"chain_id": self.running.network.chain_id, "gas_price": 100_000, **options}
        if sequence is None:
            options.setdefault("expiry_height", self.height + 50)
        seat = Seat(who, sequence, with_policy=True)
        return build_tx(messages=messages, seats=[seat], **options)

    def pay(self, who: Wallet | None = None, amount: int = 1, **options: Any) -> bytes:
        who = who or self.alice
        return self.tx(who, Payment(who.address, self.bob.address, amount), **options)

    def post(self, who: Wallet, *, sequence: int) -> bytes:
        return self.tx(who, PostMessage(who.address, LOBBY, b"x", 0), sequence=sequence)

    def contents(self) -> dict[tuple[str, bytes], bytes]:
        """All that users own: which accounts there are, theirs with their sequences, and the whole chat machine.

        Not what the chain's own accounts hold: fees are shared out in each block.
        """
        view = self.running.node.app.queries.view(self.running.node.views.answers.height)
        people = {ACCOUNT[1:] + self.running.account(name).address for name in self.running.network.accounts}
        accounts = dict(view.scan(CURRENCY, ACCOUNT[1:]))
        chat = {(CHAT, key): value for key, value in view.scan(CHAT)}
        return chat | {(CURRENCY, key): value if key in people else b"" for key, value in accounts.items()}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_node(tmp_path) as running, running.client() as client:
        alice, bob = running.account("alice").wallet, running.account("bob").wallet
        hers = Session(client, alice)
        await hers.send([RegisterIdentity(alice.address, "alice", "")])
        await Session(client, bob).send([RegisterIdentity(bob.address, "bob", "")])
        await hers.send([CreateChannel(alice.address, "lobby", 2 * DCHAT, "")])
        await hers.send([PostMessage(alice.address, LOBBY, b"welcome", 0)])
        yield World(running, client, alice, bob, (await client.status()).latest_block_height)


def forged(world: World) -> bytes:
    envelope = tx_pb2.Tx.FromString(world.pay())
    signature = bytearray(envelope.signatures[0].signature)
    signature[5] ^= 1
    envelope.signatures[0].signature = bytes(signature)
    return envelope.SerializeToString(deterministic=True)


def of_another_body(world: World) -> bytes:
    """alice's signature over one payment, put under a larger one."""
    small, large = tx_pb2.Tx.FromString(world.pay()), tx_pb2.Tx.FromString(world.pay(amount=1_000))
    small.body = large.body
    return small.SerializeToString(deterministic=True)


def signed_by_bob(world: World) -> bytes:
    return sign_body(tx_pb2.Tx.FromString(world.pay()).body, [world.bob])


def acting_for_another(world: World) -> bytes:
    """Authority cannot be borrowed. bob signs, and pays, for a bundle whose second leg spends alice's."""
    body = build_body(
        chain_id=world.running.network.chain_id,
        messages=[
            Payment(world.bob.address, world.alice.address, 1),
            Payment(world.alice.address, world.bob.address, 1),
        ],
        seats=[Seat(world.bob, None)],
        lane=LANE_BRIDGE,
        gas_limit=200_000,
        fee=100_000,
        expiry_height=world.height + 50,
    )
    return sign_body(body, [world.bob])


# Refused at the door: in no block, and nothing is due.
# The mempool answers by itself where it need not ask the application.
REFUSED: dict[str, tuple[type[TxError] | Refusal, str, Callable[[World], bytes]]] = {
    "signature forged": (e.BadSignature, "", forged),
    "signature of another body": (e.BadSignature, "", of_another_body),
    "chain id": (e.WrongChain, "", lambda w: w.pay(chain_id="another")),
    "sequence used": (e.WrongSequence, "", lambda w: w.post(w.alice, sequence=0)),
    "sequence ahead": (e.WrongSequence, "", lambda w: w.pay(sequence=7)),
    "expired": (Refusal.EXPIRED, "expired at height 1", lambda w: w.pay(expiry_height=1)),
    "expires too late": (e.ExpiryTooFar, "", lambda w: w.pay(expiry_height=w.height + 10**6)),
    "overspend": (e.Overspend, "", lambda w: w.pay(amount=10**15)),
    "too large": (Refusal.TOO_LARGE, "bytes", lambda w: b"\x0a" * (TX_BYTES_MAX + 1)),
    "unknown account": (e.UnknownAccount, "", lambda w: w.pay(STRANGER)),
    "unknown identity": (e.UnknownIdentity, "", lambda w: w.post(STRANGER, sequence=0)),
    "unauthorised key": (e.Unauthorised, "", signed_by_bob),
    "unauthorised leg": (e.SignersMismatch, "", acting_for_another),
    "fee beyond the balance": (e.FeeUnpayable, "", lambda w: w.pay(fee=10**15)),
    "fee too low": (e.FeeTooLow, "", lambda w: w.pay(fee=1)),
    "no transaction": (e.Malformed, "", lambda w: b"\xff" * 40),
    "more than one encoding": (e.NotCanonical, "", lambda w: w.pay() + b"\x18\x01"),
}

# Found out by running it: in a block, with a receipt that names the leg (from 1); the fee and the replay mark are kept,
# and nothing else.
FAILED: dict[str, tuple[type[TxError], int, Callable[[World], bytes]]] = {
    "one leg impossible: overspend": (
        e.Overspend,
        3,
        lambda w: w.tx(
            w.bob,
            PayToJoin(w.bob.address, LOBBY, 2 * DCHAT),
            PostMessage(w.bob.address, LOBBY, b"let me in", 0),
            Payment(w.bob.address, w.alice.address, 10**15),
            lane=LANE_BRIDGE,
        ),
    ),
    "one leg impossible: no such channel": (
        e.UnknownChannel,
        2,
        lambda w: w.tx(
            w.alice,
            Payment(w.alice.address, w.bob.address, DCHAT),
            PostMessage(w.alice.address, NOWHERE, b"hello?", 0),
            lane=LANE_BRIDGE,
        ),
    ),
    "one leg impossible: no such message": (
        e.UnknownMessage,
        2,
        lambda w: w.tx(
            w.bob, Payment(w.bob.address, w.alice.address, 1), Tip(w.bob.address, LOBBY, 9, 1), lane=LANE_BRIDGE
        ),
    ),
}  # fmt: skip


async def next_blocks(world: World) -> None:
    """Two more: what was under way is executed."""
    latest = (await world.client.status()).latest_block_height
    await world.client.wait_for_height(latest + 2)


async def test_refused_at_the_door_with_the_rule_and_nothing_changes(world: World) -> None:
    """Also Elderflower: no leg of a bundle borrows the authority of another's signer."""
    before = world.contents()
    for name, (rule, says, make) in REFUSED.items():
        request = pb.BroadcastRequest(tx=make(world), wait=pb.WAIT_COMMIT)
        answer = await world.client.call(world.client.txs.Broadcast, request)
        if isinstance(rule, Refusal):
            expected, text = (CODESPACE, int(rule)), says or "transaction"
        else:
            expected, text = (rule.codespace, rule.code), rule.rule
        assert (answer.codespace, answer.code, answer.height) == (*expected, 0), (name, answer)
        assert text in answer.log, (name, answer.log)
    await next_blocks(world)
    assert world.contents() == before
    assert world.running.node.pool.size == 0


@pytest.mark.parametrize(("error", "leg", "make"), FAILED.values(), ids=FAILED.keys())
async def test_failed_in_a_block_keeps_the_fee_alone(
    world: World, error: type[TxError], leg: int, make: Callable[[World], bytes]
) -> None:
    before = world.contents()
    tx = make(world)
    decoded = decode(tx)
    answer = await world.client.broadcast(tx, wait_commit=True)
    assert (answer.codespace, answer.code) == (error.codespace, error.code), answer
    assert error.rule in answer.log
    assert answer.height > 0
    receipt = state_pb2.Receipt.FromString(answer.data)
    assert (receipt.code, receipt.failed_leg, receipt.fee_paid) == (error.code, leg, decoded.fee)
    await next_blocks(world)
    after = world.contents()
    payer = (CURRENCY, ACCOUNT[1:] + decoded.payer)
    assert {at for at in before.keys() | after.keys() if before.get(at) != after.get(at)} == {payer}
    was, now = (state_pb2.Account.FromString(found[payer]) for found in (before, after))
    assert was.balance - now.balance == decoded.fee > 0
    now.balance = was.balance
    assert now == was
    assert all(row.holds for row in (await world.client.invariants()).invariants)


async def test_a_bad_one_among_many_does_not_harm_the_others(world: World) -> None:
    """BroadcastMany answers each by itself."""
    good = [world.pay(amount=amount, expiry_height=world.height + 60) for amount in (5, 6)]
    bad = [make(world) for name, (_, _, make) in REFUSED.items() if name != "too large"]
    answers = await world.client.broadcast_many([good[0], *bad, good[1]])
    assert [bool(answer.code) for answer in answers] == [False, *[True] * len(bad), False]
    await next_blocks(world)
    for tx, answer in zip((good[0], good[1]), (answers[0], answers[-1]), strict=True):
        assert (await world.client.tx(answer.hash)).tx == tx
