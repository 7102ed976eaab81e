"""Decoding: one encoding per transaction, limits, hostile bytes; records encode as their generated classes."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.records import BridgeParams, Totals
from chain.chat.channels.records import Channel
from chain.chat.ledger.records import Allowance, ChatParams, Identity
from chain.chat.messages.records import encode_message
from chain.currency.ledger.records import Account, CurrencyParams, Supply
from chain.kernel.auth import encode_sequences
from chain.kernel.marks import Marks
from chain.state.mmr import Range
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.envelope.tx import MEMO_BYTES_MAX, TX_BYTES_MAX, TX_BYTES_MIN, TxCache, decode, lane_shown
from chain.tx.errors import EnvelopeError, InvalidField, NotCanonical, TooLarge, TxError
from chain.tx.messages import KINDS, LANE_NAMES, Message, Payment, PostMessage
from chain.tx.messages import encode_message as to_proto
from chain.tx.messages.governance import decode_vote_weighted, read_changes
from chain.tx.policies import single_key_policy
from crypto.hash import sha256
from proto.dchat.v1 import governance_pb2, tx_pb2
from proto.dchat.v1 import state_pb2 as pb
from tests.support.counts import counted

ANN, BOB = Wallet.from_seed(bytes(32)), Wallet.from_seed(bytes([1] * 32))
TX = build_tx(chain_id="c", messages=[Payment(ANN.address, BOB.address, 5)], seats=[Seat(ANN, 3)], gas_price=7)


def test_decoded() -> None:
    tx = decode(TX)
    body = tx_pb2.Tx.FromString(TX).body
    assert (tx.id, tx.replay_id, tx.sign_hash) == (sha256(TX), sha256(body), sha256(b"dchat/tx/v1" + body))
    assert tx.messages == (Payment(ANN.address, BOB.address, 5),)
    assert (tx.payer, tx.lane_name, tx.signers[0].sequence) == (ANN.address, "currency", 3)
    assert tx.checks() == [(ANN.public_key, tx.sign_hash, tx.signatures[0][2])]


def test_address_is_the_hash_of_the_policy() -> None:
    policy = tx_pb2.KeyPolicy(ed25519=ANN.public_key).SerializeToString()
    assert policy == single_key_policy(ANN.public_key)
    assert sha256(b"dchat/address" + policy)[:20] == ANN.address


def envelope(body: bytes) -> bytes:
    signature = tx_pb2.Signature(public_key=ANN.public_key, signature=bytes(64))
    return tx_pb2.Tx(body=body, signatures=[signature]).SerializeToString()


BODY = tx_pb2.Tx.FromString(TX).body


@pytest.mark.parametrize("raw", [
    pytest.param(TX + b"\x78\x01", id="an unknown field in the envelope"),
    pytest.param(envelope(BODY + b"\x78\x01"), id="an unknown field in the body"),
    pytest.param(envelope(BODY + b"\x78" + b"\x81" * 3 + b"\x00"), id="a long varint"),
    pytest.param(envelope(BODY + BODY[:3]), id="a field twice"),
    pytest.param(envelope(BODY + b"\x40\x00"), id="a default that is written"),
    pytest.param(envelope(BODY[3:] + BODY[:3]), id="fields out of order"),
    pytest.param(envelope(BODY + b"\x83\x01" * 90 + b"\x84\x01" * 90), id="groups in groups"),
])  # fmt: skip
def test_one_encoding_alone_is_accepted(raw: bytes) -> None:
    with pytest.raises(NotCanonical):
        decode(raw)


def test_no_transaction_is_smaller_than_the_application_says() -> None:
    """audit 21: how many fit in a block follows from it. The least that has what `decode` asks of each is larger."""
    body = tx_pb2.TxBody(chain_id="c", signers=[tx_pb2.Signer(address=bytes(20))], messages=[tx_pb2.Message()])
    assert len(envelope(body.SerializeToString())) > TX_BYTES_MIN
    assert len(TX) > TX_BYTES_MIN
    for size in range(TX_BYTES_MIN):
        with pytest.raises(TxError):
            decode(TX[:size])


@given(st.binary(max_size=200), st.integers(0, len(TX)), st.integers(0, 10), st.sampled_from(sorted(LANE_NAMES)))
def test_the_lane_shown_is_that_of_what_decodes(noise: bytes, at: int, cut: int, lane: int) -> None:
    body = tx_pb2.TxBody.FromString(BODY)
    body.lane, body.memo = lane, "m" * (100 * cut)
    assert lane_shown(envelope(body.SerializeToString())) == LANE_NAMES[lane]
    raw = TX[:at] + noise + TX[at + cut :]
    shown = lane_shown(raw)
    assert shown in {"", *LANE_NAMES.values()}
    with contextlib.suppress(TxError):
        assert decode(raw).lane_name == shown


def test_the_size_is_looked_at_first() -> None:
    """Failure 32: a transaction that would unpack to much is refused before it is."""
    with pytest.raises(TooLarge):
        decode(TX + bytes(TX_BYTES_MAX))


def test_a_memo_has_a_bound_in_bytes() -> None:
    def saying(memo: str) -> bytes:
        return build_tx(
            chain_id="c", messages=[Payment(ANN.address, BOB.address, 5)], seats=[Seat(ANN, 3)], gas_price=7, memo=memo
        )

    assert decode(saying("é" * (MEMO_BYTES_MAX // 2))).messages
    for bomb in ("é" * (MEMO_BYTES_MAX // 2) + "e", "x" * 60_000):
        with pytest.raises(InvalidField, match="memo: above 256 bytes"):
            decode(saying(bomb))


@pytest.mark.parametrize(
    ("decode_message", "message", "repeated"),
    [
        (decode_vote_weighted, governance_pb2.VoteWeighted(voter=bytes(20), proposal_id=1), "options"),
        (read_changes, governance_pb2.ChangeParams(), "changes"),
    ],
)
def test_what_repeats_in_a_message_is_counted_before_one_is_read(
    decode_message: Any, message: Any, repeated: str
) -> None:
    """audit 13: 24,000 empty changes took 18 ms of the loop, before any signature."""

    class Many:
        def __init__(self, inner: Any) -> None:
            self.inner, self.asked = inner, 0

        def __len__(self) -> int:
            return 24_000

        def __iter__(self) -> Any:
            raise AssertionError("one was read")

    class Message:
        def __getattr__(self, name: str) -> Any:
            return Many(message) if name == repeated else getattr(message, name)

    with pytest.raises(InvalidField, match="24000"):
        decode_message(Message())


@pytest.mark.parametrize("filler", [b"\x1a\x00", b"\x22\x00", b"\x83\x01", b"\x1a\x02\x0a\x00", b"\x22\x02\x12\x00"])
def test_the_worst_of_a_size_costs_little(filler: bytes) -> None:
    """SDK 2024-012, -013 (nesting), failure 32 (blow-up): a full transaction of tiny or nested parts."""
    body = BODY + filler * ((TX_BYTES_MAX - len(BODY) - 200) // len(filler))
    started = time.process_time()
    with pytest.raises(EnvelopeError):
        decode(envelope(body))
    assert time.process_time() - started < 0.1


@settings(max_examples=counted(75, whole=300), deadline=None)
@given(st.binary(max_size=300), st.integers(0, len(TX)), st.integers(0, 10))
def test_hostile_bytes_raise_declared_errors_alone(noise: bytes, at: int, cut: int) -> None:
    for raw in (
        noise,
        TX[:at] + noise + TX[at + cut :],
        envelope(noise),
        envelope(BODY[:at] + noise + BODY[at + cut :]),
    ):
        try:
            tx = decode(raw)
        except TxError:
            continue
        assert tx_pb2.Tx.FromString(raw).SerializeToString(deterministic=True) == raw == tx.raw


def test_cache_is_bounded_and_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TxCache, "COUNT_MAX", 3)
    cache = TxCache()
    txs = [
        build_tx(chain_id="c", messages=[Payment(ANN.address, BOB.address, n)], seats=[Seat(ANN, n)])
        for n in range(1, 6)
    ]
    for raw in txs:
        assert cache.get(raw) is cache.get(raw)
    assert cache.decoded == 5
    cache.get(txs[0])
    assert cache.decoded == 6
    cache.drop(txs[0])
    cache.drop(txs[0])
    cache.get(txs[0])
    assert cache.decoded == 7


def test_every_kind_of_the_schema_is_known() -> None:
    assert set(KINDS) == set(tx_pb2.Message.DESCRIPTOR.fields_by_name)
    for kind in KINDS.values():
        fields = [field.name for field in tx_pb2.Message.DESCRIPTOR.fields_by_name[kind.name].message_type.fields]
        assert sorted(kind.type._fields) == sorted(fields)  # type: ignore[attr-defined]


def test_messages_survive_the_way_out_and_back() -> None:
    message: Message = PostMessage(ANN.address, bytes(20), b"hello", 4)
    assert decode(build_tx(chain_id="c", messages=[message], seats=[Seat(ANN, 0)])).messages == (message,)
    assert to_proto(message).post_message.reply_to == 4


# ------------------------------------------------------------------------------ records

UINT = st.one_of(st.just(0), st.integers(0, 300), st.integers(0, 2**64 - 1))
KEY = st.binary(min_size=32, max_size=32)
ADDRESS = st.binary(min_size=20, max_size=20)
SEQUENCES = st.lists(st.tuples(KEY, UINT), max_size=3, unique_by=lambda entry: entry[0]).map(lambda s: tuple(sorted(s)))


def proto_sequences(sequences: tuple[tuple[bytes, int], ...]) -> list[pb.KeySequence]:
    return [pb.KeySequence(public_key=key, next=following) for key, following in sequences]


@given(ADDRESS, UINT, st.none() | KEY, SEQUENCES)
def test_account(address: bytes, balance: int, key: bytes | None, sequences: tuple[tuple[bytes, int], ...]) -> None:
    account = Account(address, balance, None if key is None else single_key_policy(key), sequences)
    expected = pb.Account(address=address, balance=balance, sequences=proto_sequences(sequences))
    if key is not None:
        expected.policy.ed25519 = key
    assert account.encode() == expected.SerializeToString(deterministic=True)
    assert Account.decode(account.encode()).encode() == account.encode()
    assert encode_sequences(b"\x22", ()) == b""


@given(ADDRESS, st.text(max_size=20), KEY, SEQUENCES, st.lists(UINT, min_size=8, max_size=8))
def test_identity(
    address: bytes, text: str, key: bytes, sequences: tuple[tuple[bytes, int], ...], numbers: list[int]
) -> None:
    allowance = Allowance(*numbers[:2])
    identity = Identity(address, text, text, single_key_policy(key), sequences, allowance, numbers[7])
    expected = pb.Identity(
        address=address, name=text, display=text, sequences=proto_sequences(sequences), created_height=numbers[7],
        allowance=pb.Allowance(messages=numbers[0], bytes=numbers[1]),
    )  # fmt: skip
    expected.policy.ed25519 = key
    assert identity.encode() == expected.SerializeToString(deterministic=True)
    assert Identity.decode(identity.encode()).encode() == identity.encode()


@given(st.binary(min_size=20, max_size=20), st.text(max_size=20), UINT, st.integers(0, 20))
def test_channel_and_message(id: bytes, text: str, number: int, count: int) -> None:
    summary, _ = Range().append([bytes([n]) for n in range(count)])
    channel = Channel(id, text, text, id, number, number, summary, number)
    expected = pb.Channel(
        id=id, name=text, topic=text, owner=id, join_price=number, member_count=number, message_count=count,
        peaks=summary.peaks, created_height=number,
    )  # fmt: skip
    assert channel.encode() == expected.SerializeToString(deterministic=True)
    assert Channel.decode(channel.encode()).encode() == channel.encode()
    message = pb.ChatMessage(
        channel_id=id, index=number, author=id, content=text.encode(), reply_to=number, height=number,
        time_ns=number >> 1,
    )  # fmt: skip
    assert message.SerializeToString(deterministic=True) == encode_message(
        channel_id=id, index=number, author=id, content=text.encode(), reply_to=number, height=number,
        time_ns=number >> 1,
    )  # fmt: skip


@given(st.lists(UINT, min_size=6, max_size=6), KEY)
def test_small_records(n: list[int], running_hash: bytes) -> None:
    supply = pb.Supply(total=n[0], collected_fees=n[1]).SerializeToString()
    assert Supply(n[0], n[1]).encode() == (supply or b"\x08\x00")  # no stored value is empty
    assert (
        Marks(n[0], running_hash).encode() == pb.ReplayMarks(count=n[0], running_hash=running_hash).SerializeToString()
    )
    for record, message in (
        (CurrencyParams(n[0], n[1]), pb.CurrencyParams),
        (ChatParams(n[0], n[1], n[2]), pb.ChatParams),
        (BridgeParams(*n, n[0]), pb.BridgeParams),
        (Totals(*n[:5]), pb.BridgeTotals),
        (Totals(n[0], n[1], n[2], n[3] << 64, n[4] << 200), pb.BridgeTotals),
    ):
        if record is not None:
            assert message.FromString(record.encode()).SerializeToString(deterministic=True) == record.encode()
            assert type(record).decode(record.encode()).encode() == record.encode()
