"""The short way through a payment beside the long one: the same transaction or the same refusal, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.envelope.short import read_ordinary
from chain.tx.envelope.tx import Tx, decode, decode_by_schema
from chain.tx.errors import TxError
from chain.tx.messages import Payment
from proto.dchat.v1 import tx_pb2

ANN, BOB = Wallet.from_seed(bytes(32)), Wallet.from_seed(bytes([1] * 32))
EDGES = (0, 1, 127, 128, 16_383, 16_384, (1 << 56) - 1, 1 << 56, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
NUMBER = st.sampled_from(EDGES) | st.integers(0, (1 << 64) - 1)
COST = st.integers(10_000, 1 << 22) | NUMBER
ADDRESS = st.sampled_from([ANN.address, BOB.address]) | st.binary(max_size=21)
KEY = st.sampled_from([ANN.public_key, BOB.public_key]) | st.binary(max_size=33)


@st.composite
def payments(draw: st.DrawFn) -> bytes:
    """Of all fields, most of them as they should be."""

    def sometimes(value: st.SearchStrategy[Any], otherwise: Any) -> Any:
        return draw(value) if draw(st.integers(0, 9)) == 0 else otherwise

    payment = tx_pb2.Payment(
        sender=sometimes(ADDRESS, ANN.address), recipient=sometimes(ADDRESS, BOB.address), amount=draw(NUMBER)
    )
    signer = tx_pb2.Signer(
        address=sometimes(ADDRESS, ANN.address), sequence_key=sometimes(KEY, ANN.public_key), sequence=draw(NUMBER)
    )
    if draw(st.booleans()):
        signer.policy.ed25519 = sometimes(KEY, ANN.public_key)
    body = tx_pb2.TxBody(
        chain_id=sometimes(st.text(max_size=52), "chain-1"), lane=sometimes(st.integers(0, 4), 2), fee=draw(COST),
        messages=[tx_pb2.Message(payment=payment)] * sometimes(st.integers(0, 2), 1),
        signers=[signer] * sometimes(st.integers(0, 2), 1),
        fee_payer=sometimes(st.integers(0, 2), 0), gas_limit=draw(COST), expiry_height=sometimes(NUMBER, 0),
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
    """A payment in which some bytes are others, more or fewer."""
    raw = bytearray(draw(payments()))
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


@given(payments() | damaged())
@example(b"")
def test_both_ways_give_one_result(raw: bytes) -> None:
    assert outcome(decode, raw) == outcome(decode_by_schema, raw)


def test_each_byte_that_is_another_is_judged_alike() -> None:
    raw = build_tx(chain_id="c", messages=[Payment(ANN.address, BOB.address, 300)], seats=[Seat(ANN, 3)], gas_price=7)
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
    {"sequence": 200}, {"sequence": (1 << 40)}, {"amount": (1 << 50)},
])  # fmt: skip
def test_ordinary_payments_take_the_short_way(options: dict[str, Any]) -> None:
    """Else nothing is won."""
    seat = Seat(ANN, options.pop("sequence", 3), with_policy=options.pop("with_policy", True))
    message = Payment(ANN.address, BOB.address, options.pop("amount", 5))
    raw = build_tx(messages=[message], seats=[seat], **{"chain_id": "chain-1", "gas_price": 100_000, **options})
    found = read_ordinary(raw)
    assert found is not None
    assert (found.recipient, found.amount, found.sequence) == (BOB.address, message.amount, seat.sequence)
    assert outcome(decode, raw) == outcome(decode_by_schema, raw)
