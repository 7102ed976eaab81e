"""The short way through a payment or a post beside the long one: the same transaction or refusal, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.envelope.short import read_ordinary
from chain.tx.envelope.tx import Tx, decode, decode_by_schema
from chain.tx.errors import TxError
from chain.tx.messages import Attachment, Message, Payment, PostMessage
from proto.dchat.v1 import tx_pb2

ANN, BOB = Wallet.from_seed(bytes(32)), Wallet.from_seed(bytes([1] * 32))
EDGES = (0, 1, 127, 128, 16_383, 16_384, (1 << 56) - 1, 1 << 56, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
NUMBER = st.sampled_from(EDGES) | st.integers(0, (1 << 64) - 1)
COST = st.integers(10_000, 1 << 22) | NUMBER
ADDRESS = st.sampled_from([ANN.address, BOB.address]) | st.binary(max_size=21)
KEY = st.sampled_from([ANN.public_key, BOB.public_key]) | st.binary(max_size=33)


TEXT = st.sampled_from([b"", b"a", b"a" * 127, b"b" * 128, b"c" * 16_383, b"d" * 16_384, b"e" * 65_500])
CHANNEL = bytes(range(20))


@st.composite
def enveloped(draw: st.DrawFn) -> bytes:
    """A payment or a post, of all fields, most of them as they should be."""

    def sometimes(value: st.SearchStrategy[Any], otherwise: Any) -> Any:
        return draw(value) if draw(st.integers(0, 9)) == 0 else otherwise

    message, lane, fee = tx_pb2.Message(), 2, draw(COST)
    if draw(st.booleans()):
        message.payment.sender, message.payment.recipient = (
            sometimes(ADDRESS, ANN.address),
            sometimes(ADDRESS, BOB.address),
        )
        message.payment.amount = draw(NUMBER)
    else:
        post, lane, fee = message.post_message, 1, sometimes(COST, 0)
        post.author, post.channel_id = sometimes(ADDRESS, ANN.address), sometimes(ADDRESS, CHANNEL)
        post.content, post.reply_to = draw(TEXT | st.binary(max_size=300)), sometimes(NUMBER, 0)
        post.ttl_s, post.epoch = sometimes(NUMBER, 0), sometimes(NUMBER, 0)
        post.content_hash = sometimes(st.binary(max_size=33), b"")
        for size in sometimes(st.lists(st.integers(0, 9), max_size=9), []):
            post.attachments.add(sha256=bytes(32), size=size)
    signer = tx_pb2.Signer(
        address=sometimes(ADDRESS, ANN.address), sequence_key=sometimes(KEY, ANN.public_key), sequence=draw(NUMBER)
    )
    if draw(st.booleans()):
        signer.policy.ed25519 = sometimes(KEY, ANN.public_key)
    body = tx_pb2.TxBody(
        chain_id=sometimes(st.text(max_size=52), "chain-1"), lane=sometimes(st.integers(0, 4), lane), fee=fee,
        messages=[message] * sometimes(st.integers(0, 2), 1), signers=[signer] * sometimes(st.integers(0, 2), 1),
        fee_payer=sometimes(st.integers(0, 2), 0), gas_limit=draw(COST | st.just(1 << 21)),
        expiry_height=sometimes(NUMBER, 0),
        unordered=sometimes(st.booleans(), False), memo=sometimes(st.text(max_size=5), ""),
        fee_granter=sometimes(ADDRESS, b""),
    )  # fmt: skip
    signature = tx_pb2.Signature(
        signer=sometimes(st.integers(0, 2), 0), public_key=sometimes(KEY, ANN.public_key),
        signature=sometimes(st.binary(min_size=63, max_size=65), bytes(range(64))),
    )  # fmt: skip
    signatures = [signature] * sometimes(st.integers(0, 2), 1)
    return tx_pb2.Tx(body=body.SerializeToString(), signatures=signatures).SerializeToString()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """In which some bytes are others, more or fewer."""
    raw = bytearray(draw(enveloped()))
    for _ in range(draw(st.integers(1, 3))):
        at, cut = draw(st.integers(0, len(raw))), draw(st.integers(0, 3))
        raw[at : at + cut] = draw(st.binary(max_size=3))
    return bytes(raw)


def outcome(way: Any, raw: bytes) -> object:
    try:
        tx = way(raw)
    except TxError as error:
        return type(error), error.log
    return {name: (getattr(tx, name), type(getattr(tx, name))) for name in (*Tx.__slots__, "id")}


@given(enveloped() | damaged())
@example(b"")
def test_both_ways_give_one_result(raw: bytes) -> None:
    assert outcome(decode, raw) == outcome(decode_by_schema, raw)


PAYMENT = Payment(ANN.address, BOB.address, 300)
POST = PostMessage(ANN.address, CHANNEL, b"hello to all of you" * 12, 9)


@pytest.mark.parametrize("message", [PAYMENT, POST, POST._replace(reply_to=0)])
def test_each_byte_that_is_another_is_judged_alike(message: Message) -> None:
    seat = Seat(ANN, 3)
    raw = build_tx(chain_id="c", messages=[message], seats=[seat], gas_price=7 if message is PAYMENT else 0)
    assert read_ordinary(raw) is not None
    for at in range(len(raw)):
        for value in (0, 1, 0x7F, 0x80, 0xFF, raw[at] ^ 1, raw[at] ^ 0x80, raw[at] + 1 & 0xFF):
            other = raw[:at] + bytes([value]) + raw[at + 1 :]
            assert outcome(decode, other) == outcome(decode_by_schema, other), (at, value)
    for at in range(len(raw)):
        for other in (raw[:at] + raw[at + 1 :], raw[: at + 1] + raw[at:]):
            assert outcome(decode, other) == outcome(decode_by_schema, other), at


@pytest.mark.parametrize("options", [
    {}, {"gas_price": 0}, {"expiry_height": 70_000}, {"chain_id": "a" * 50}, {"with_policy": False}, {"sequence": 0},
    {"sequence": 200}, {"sequence": (1 << 40)}, {"number": (1 << 50)},
])  # fmt: skip
@pytest.mark.parametrize("text", [b"", b"x", b"y" * 127, b"z" * 128, b"a" * 1_024, b"b" * 16_384, b"c" * 60_000])
def test_ordinary_ones_take_the_short_way(options: dict[str, Any], text: bytes) -> None:
    """Else nothing is won."""
    given = {"chain_id": "chain-1", "gas_price": 100_000, "number": 5, "with_policy": True, "sequence": 3, **options}
    seat, number = Seat(ANN, given.pop("sequence"), with_policy=given.pop("with_policy")), given.pop("number")
    message: Message = Payment(ANN.address, BOB.address, number)
    if text:
        message, given["gas_price"] = PostMessage(ANN.address, CHANNEL, text, number), 0
    raw = build_tx(messages=[message], seats=[seat], **given)
    found = read_ordinary(raw)
    assert found is not None
    assert (found.to, found.number, found.text) == (CHANNEL if text else BOB.address, number, text)
    assert found.sequence == seat.sequence
    assert outcome(decode, raw) == outcome(decode_by_schema, raw)


@pytest.mark.parametrize("message", [
    POST._replace(ttl_s=60), POST._replace(epoch=1), POST._replace(content=b"", content_hash=bytes(32)),
    POST._replace(attachments=(Attachment(bytes(32), 9, "image/png"),)), Payment(ANN.address, BOB.address, 1 << 60),
])  # fmt: skip
def test_others_take_the_long_way(message: Message) -> None:
    raw = build_tx(chain_id="c", messages=[message], seats=[Seat(ANN, 3)], gas_price=0)
    assert read_ordinary(raw) is None
    assert decode(raw).messages == (message,)
