"""The short way through an ordinary post beside the long one: the same writes, results and refusals, whatever the post,
its author, the channel and the membership are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chain.chat.channels.records import CHANNEL, Channel, Membership, Settings, member_key
from chain.chat.ledger.records import IDENTITY, PARAMS, Allowance, ChatParams, Identity, Use
from chain.state.mmr import Range
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.envelope.tx import Tx, decode
from chain.tx.errors import TxError
from chain.tx.messages import Attachment, PostMessage
from chain.tx.messages.chat import MODERATOR
from chain.tx.policies import Group, single_key_policy, threshold_policy
from tests.support.chain.short_ways import (
    BLOCK_GAS_MAX,
    CHAIN_ID,
    HEIGHT,
    LONG,
    SHORT,
    TIME_NS,
    Odd,
    executor,
    outcome,
)

ANN, BOB = (Wallet.from_seed(bytes([number] * 32)) for number in (1, 2))
BOTH_KEYS = threshold_policy(1, [Group(1, (key,)) for key in sorted((ANN.public_key, BOB.public_key))])
HIS = single_key_policy(ANN.public_key)
GAS_LIMIT = 30_000
ROOM, OTHER = bytes([7] * 20), bytes([8] * 20)
BYTES_MAX = 200  # of a message

EDGES = (0, 1, 2, 5, 1_000, UINT64_MAX - 1, UINT64_MAX)
NUMBER = st.sampled_from(EDGES) | st.integers(0, UINT64_MAX)
SEQUENCES = st.sampled_from((
    (), ((ANN.public_key, 0),), ((BOB.public_key, 7),), ((b"", 7),), ((b"", 7), (ANN.public_key, 9)),
    tuple(sorted(((ANN.public_key, 7), (BOB.public_key, 2)))),
    ((ANN.public_key, UINT64_MAX - 1),), ((ANN.public_key, UINT64_MAX),),
))  # fmt: skip
SEQUENCE = st.sampled_from((0, 6, 8, 9, UINT64_MAX - 1, UINT64_MAX))
POLICY = st.sampled_from((single_key_policy(BOB.public_key), BOTH_KEYS))
SETTINGS = st.sampled_from((
    Settings(archived=True), Settings(slow_mode_s=10), Settings(epoch=2), Settings(pair=ANN.address + BOB.address),
))  # fmt: skip


def room(count: int, settings: Settings | None = None) -> Channel:
    peaks = tuple(bytes([bit]) * 32 for bit in range(count.bit_count()))
    return Channel(ROOM, "room", "", BOB.address, 0, 2, Range(count, peaks), 3, settings)


@st.composite
def states(draw: st.DrawFn) -> dict[bytes, Any]:
    odd = Odd(draw)
    allowance = Allowance(
        odd(0, NUMBER, 10),
        odd(1, NUMBER, 100_000),
        odd(2, NUMBER, 0),
        Use(*odd(3, st.tuples(NUMBER, NUMBER, NUMBER), ())),
    )
    identity = Identity(
        ANN.address, "ann", "Ann", odd(4, POLICY, HIS), odd(5, SEQUENCES, ((ANN.public_key, 7),)), allowance, 2,
        expiry_ns=odd(6, st.sampled_from((1, TIME_NS, TIME_NS + 1)), 0), before_height=odd(7, NUMBER, 0),
    )  # fmt: skip
    lent = odd(8, st.sampled_from(((0, 3, 3_000, 0, 0), (1_000, 0, 0, 5, 5_000), (7, 1, 1, 1, 1))), (0, 0, 0, 0, 0))
    member = Membership(
        5, odd(9, st.integers(0, 3), 0), end_ns=odd(10, st.sampled_from((1, TIME_NS, TIME_NS + 1)), 0),
        last_post_ns=odd(11, st.sampled_from((1, TIME_NS - 1)), 0),
    )  # fmt: skip
    state: dict[bytes, Any] = {
        PARAMS: ChatParams(BYTES_MAX, 100, 1_000, *lent),
        IDENTITY + ANN.address: identity,
        CHANNEL + ROOM: room(draw(st.integers(0, 70)), odd(12, SETTINGS, None)),
        member_key(ROOM, ANN.address): member,
    }
    for gone in odd(13, st.frozensets(st.sampled_from(sorted(state.keys() - {PARAMS}))), ()):
        del state[gone]
    return state


@st.composite
def posts(draw: st.DrawFn) -> Tx:
    """Decoded."""
    odd = Odd(draw)
    content = odd(0, st.sampled_from((b"x" * BYTES_MAX, b"x" * (BYTES_MAX + 1))), b"hello")
    message = PostMessage(
        ANN.address, odd(1, st.just(OTHER), ROOM), content, odd(2, st.integers(0, 72), 0), odd(3, st.just(60), 0),
        odd(4, st.integers(0, 3), 0), b"", odd(5, st.just((Attachment(bytes(32), 9, "image/png"),)), ()),
    )  # fmt: skip
    unordered = odd(6, st.just(True), False)
    signing = odd(7, st.just(Wallet(BOB.key, ANN.address)), ANN)
    raw = build_tx(
        chain_id=odd(8, st.just("chain-2"), CHAIN_ID), messages=[message] * odd(9, st.just(2), 1),
        seats=[Seat(signing, None if unordered else odd(10, SEQUENCE, 7), with_policy=odd(11, st.just(True), False))],
        gas_limit=odd(12, st.sampled_from((45_000, BLOCK_GAS_MAX + 1)), GAS_LIMIT), fee=0,
        expiry_height=odd(13, st.sampled_from((HEIGHT - 1, HEIGHT)), HEIGHT + 9 if unordered else 0),
        memo=odd(14, st.just("for lunch"), ""), fee_granter=odd(15, st.just(ROOM), b""),
    )  # fmt: skip
    raw = draw(st.sampled_from((raw, raw, raw, raw[:-1] + bytes((raw[-1] ^ 1,)))))  # the signature's last byte
    try:
        return decode(raw)
    except TxError:
        assume(False)
        raise


def ordinary(sequence: int, text: bytes = b"hello", reply_to: int = 0) -> Tx:
    post = PostMessage(ANN.address, ROOM, text, reply_to)
    return decode(build_tx(chain_id=CHAIN_ID, messages=[post], seats=[Seat(ANN, sequence)], gas_limit=GAS_LIMIT, fee=0))


def plain_state(count: int = 5, messages: int = 3) -> dict[bytes, Any]:
    identity = Identity(ANN.address, "ann", "", HIS, ((ANN.public_key, 7),), Allowance(messages, 100_000), 2)
    return {
        PARAMS: ChatParams(BYTES_MAX, 100, 1_000),
        IDENTITY + ANN.address: identity,
        CHANNEL + ROOM: room(count),
        member_key(ROOM, ANN.address): Membership(5),
    }


def with_sequences(*sequences: tuple[bytes, int]) -> dict[bytes, Any]:
    state = plain_state()
    state[IDENTITY + ANN.address] = state[IDENTITY + ANN.address].with_use(
        tuple(sorted(sequences)), Allowance(3, 10**6)
    )
    return state


@given(states(), st.lists(posts(), min_size=1, max_size=3))
@example(with_sequences((ANN.public_key, 7), (BOB.public_key, 2)), [ordinary(0), ordinary(7)])
@example(with_sequences((ANN.public_key, UINT64_MAX)), [ordinary(UINT64_MAX)])
@example(plain_state(), [ordinary(7), ordinary(8, b"x" * BYTES_MAX, 6), ordinary(9), ordinary(10)])
def test_a_block_is_the_same_both_ways(state: dict[bytes, Any], txs: list[Tx]) -> None:
    assert outcome(SHORT, state, txs) == outcome(LONG, state, txs)


@pytest.mark.parametrize(("tx", "goes"), [
    (ordinary(7), True), (ordinary(7, b"x" * BYTES_MAX), True), (ordinary(7, reply_to=5), True),
    (ordinary(7, b"x" * (BYTES_MAX + 1)), False), (ordinary(7, reply_to=6), False), (ordinary(8), False),
])  # fmt: skip
def test_which_go_the_short_way(tx: Tx, goes: bool) -> None:
    """Or nothing is compared above."""
    state = plain_state()
    assert (executor(SHORT, state).short(tx) is not None) == goes
    assert executor(LONG, state).short(tx) is None


def test_the_last_message_of_an_allowance_can_be_posted_and_none_more() -> None:
    assert executor(SHORT, plain_state(messages=1)).short(ordinary(7)) is not None
    assert executor(SHORT, plain_state(messages=0)).short(ordinary(7)) is None


def test_a_moderator_goes_the_long_way() -> None:
    state = {**plain_state(), member_key(ROOM, ANN.address): Membership(5, MODERATOR)}
    assert executor(SHORT, state).short(ordinary(7)) is None
    assert executor(SHORT, state).run(ordinary(7), 0).code == 0
