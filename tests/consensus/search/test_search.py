"""Searching: each query finds what a search through all events by hand finds, in the order asked for and by pages; no
search looks at more than it may, and one that stopped is gone on from."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.abci.interface import FinalizeBlockResponse
from consensus.queries.errors import InvalidQuery
from consensus.queries.matching import matcher
from consensus.queries.syntax import Condition, Operator, parse
from consensus.search.errors import SearchTooWide
from consensus.search.pages import counted, page
from consensus.search.plan import BLOCKS, TRANSACTIONS, Subject, plan
from consensus.search.walk import WORK_PER_SLICE, Place, Walk
from consensus.state.results import Event, EventAttribute, ExecTxResult
from consensus.stores.event_index import EPOCH_HEIGHTS, entries_of
from consensus.stores.state_store import StateStore, encode_response
from storage.memory import MemoryStore
from tests.support.chain.harness import drain


@dataclass
class Chain:
    """Results with their index; of blocks no more than how many transactions they have."""

    answers: dict[int, FinalizeBlockResponse] = field(default_factory=dict)
    states: StateStore = field(default_factory=lambda: StateStore(MemoryStore()))

    def add(self, height: int, of_txs: list[tuple[Event, ...]], of_block: tuple[Event, ...] = ()) -> None:
        answer = FinalizeBlockResponse(tuple(ExecTxResult(events=events) for events in of_txs), b"\1", events=of_block)
        self.answers[height] = answer
        hashes = [bytes([height % 256, index]) * 16 for index in range(len(of_txs))]
        self.states.save_response(height, drain(encode_response(answer)), hashes, entries_of(height, answer))

    def load_meta(self, height: int) -> Any:
        return SimpleNamespace(num_txs=len(self.answers[height].tx_results)) if height in self.answers else None

    def walk(
        self, text: str, subject: Subject = TRANSACTIONS, *, work_max: int = 10**9, as_subscriptions: bool = True
    ) -> Walk:
        low, high = min(self.answers, default=1), max(self.answers, default=0)
        made = plan(parse(text), subject, as_subscriptions=as_subscriptions)
        return Walk(made, self, self.states, low, high, work_max)  # type: ignore[arg-type]

    def find(self, text: str, subject: Subject = TRANSACTIONS, *, is_descending: bool = False) -> list[Place]:
        return [one for one in self.walk(text, subject).found(is_descending=is_descending) if one is not None]


def event(text: str) -> Event:
    """From `type|key=value|key=value`; a key that ends with `!` is not for the index."""
    kind, *attributes = text.split("|")
    made = []
    for attribute in attributes:
        key, _, value = attribute.partition("=")
        made.append(EventAttribute(key.rstrip("!"), value, not key.endswith("!")))
    return Event(kind, tuple(made))


def pay(sender: str, recipient: str, amount: int) -> Event:
    return event(f"transfer|sender={sender}|recipient={recipient}|amount={amount}udchat")


@pytest.fixture(scope="module")
def chain() -> Chain:
    made = Chain()
    made.add(1, [(pay("ann", "bob", 5),), ()], (event("mint|amount=7udchat"),))
    made.add(2, [], (event("mint|amount=9udchat"), event("slash|power=100|reason=double_sign")))
    made.add(3, [(pay("bob", "ann", 50), pay("ann", "eve", 1)), (pay("ann", "bob", 20),), (event("note|text!=x"),)])
    made.add(EPOCH_HEIGHTS + 1, [(event("unbond|completion_time=2026-05-01T00:00:00Z|amount=8.5x"),)])
    made.add(
        EPOCH_HEIGHTS + 2, [(event("post_message|channel_id=team|message_index=4"),), (pay("eve", "ann", 5),)],
        (event("mint|amount=7udchat"),),
    )  # fmt: skip
    return made


E1, E2 = EPOCH_HEIGHTS + 1, EPOCH_HEIGHTS + 2

TX_CASES = [
    ("transfer.sender='ann'", [(1, 0), (3, 0), (3, 1)]),
    ("transfer.sender='ann' AND transfer.recipient='bob'", [(1, 0), (3, 1)]),
    ("transfer.sender='bob' AND transfer.recipient='eve'", []),  # of one transaction, and of no one event
    ("transfer.sender='ann' AND transfer.amount='5udchat'", [(1, 0)]),
    ("transfer.sender='nobody'", []),
    ("transfer.amount=5", []),  # texts: it is `5udchat`
    ("post_message.message_index=4", [(E2, 0)]),
    ("post_message.message_index='4'", [(E2, 0)]),
    ("transfer.amount > 5", [(3, 0), (3, 1)]),
    ("transfer.amount >= 5 AND transfer.amount < 50", [(1, 0), (3, 1), (E2, 1)]),
    ("transfer.sender='ann' AND transfer.amount > 4", [(1, 0), (3, 1)]),
    ("unbond.amount > 8.4", [(E1, 0)]),
    ("unbond.completion_time < TIME 2026-06-01T00:00:00Z", [(E1, 0)]),
    ("unbond.completion_time > DATE 2026-01-01", []),  # it is a time
    ("post_message.channel_id CONTAINS 'ea'", [(E2, 0)]),
    ("transfer.recipient CONTAINS 'o' AND transfer.sender CONTAINS 'n'", [(1, 0), (3, 1)]),
    ("post_message.channel_id EXISTS", [(E2, 0)]),
    ("unbond EXISTS", [(E1, 0)]),
    ("note EXISTS", []),  # not for the index
    ("note.text='x'", []),
    ("mint.amount EXISTS", []),  # a block's own
    ("tx.height=3", [(3, 0), (3, 1), (3, 2)]),
    ("tx.height='3'", [(3, 0), (3, 1), (3, 2)]),
    ("tx.height=3.5", []),
    ("tx.height='x'", []),
    ("tx.height=3 AND tx.height=1", [(3, 0), (3, 1), (3, 2)]),  # the first
    ("tx.height=1 AND tx.height>2", [(3, 0), (3, 1), (3, 2), (E1, 0), (E2, 0), (E2, 1)]),  # a range counts more
    ("tx.height>=3 AND tx.height<257.5", [(3, 0), (3, 1), (3, 2), (E1, 0)]),
    ("tx.height>1.5 AND tx.height<=3.9", [(3, 0), (3, 1), (3, 2)]),
    ("tx.height<2 AND transfer.sender='ann'", [(1, 0)]),
    ("tx.height<99999999999999999999", [(1, 0), (1, 1), (3, 0), (3, 1), (3, 2), (E1, 0), (E2, 0), (E2, 1)]),
    ("tx.height>99999999999999999999", []),
    ("tx.height EXISTS AND transfer.sender='eve'", [(E2, 1)]),
    ("tx.height CONTAINS '25'", [(E1, 0), (E2, 0), (E2, 1)]),
    ("tx.height > DATE 2020-01-01", []),
    (f"tx.hash='{(bytes([3, 1]) * 16).hex()}' AND transfer.sender='nobody'", [(3, 1)]),
    (f"tx.hash='{(bytes([3, 1]) * 16).hex().upper()}'", [(3, 1)]),
    ("tx.hash='00'", []),
    ("block.height=3", []),
    ("tm.event='Tx'", []),
]

BLOCK_CASES = [
    ("mint.amount='7udchat'", [1, E2]),
    ("mint.amount > 7", [2]),
    ("mint EXISTS AND block.height > 1", [2, E2]),
    ("slash.reason='double_sign' AND slash.power >= 100", [2]),
    ("mint.amount='9udchat' AND slash.power=100", []),  # in two events
    ("transfer.sender='ann'", []),  # a transaction's
    ("block.height=3", [3]),
    ("block.height=4", []),
    ("block.height>=2 AND block.height<258", [2, 3, E1]),
    ("tx.hash='00'", []),
]


@pytest.mark.parametrize(("text", "want"), TX_CASES)
def test_transactions(chain: Chain, text: str, want: list[tuple[int, int]]) -> None:
    assert chain.find(text) == want
    assert chain.find(text, is_descending=True) == want[::-1]


@pytest.mark.parametrize(("text", "want"), BLOCK_CASES)
def test_blocks(chain: Chain, text: str, want: list[int]) -> None:
    assert chain.find(text, BLOCKS) == [(height, 0) for height in want]
    assert chain.find(text, BLOCKS, is_descending=True) == [(height, 0) for height in want[::-1]]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("tx.hash='xyz'", "error during searching for a hash in the query: encoding/hex: invalid byte: U+0078 'x'"),
        ("tx.hash='abc'", "error during searching for a hash in the query: encoding/hex: odd length hex string"),
        ("tx.hash='abö'", "error during searching for a hash in the query: encoding/hex: invalid byte: U+00C3 'Ã'"),
        ("tx.hash=''", "error while retrieving the result: transaction hash cannot be empty"),
        ("tx.hash EXISTS", "error while retrieving the result: transaction hash cannot be empty"),
    ],
)
def test_a_hash_that_is_none(text: str, error: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        plan(parse(text), TRANSACTIONS)
    assert str(refused.value) == error


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("transfer.amount > 5", []),  # its values have a unit
        ("unbond.completion_time < TIME 2026-06-01T00:00:00Z", []),
        ("unbond EXISTS", []),
        ("unbond.amount EXISTS", [(E1, 0)]),
        ("post_message.message_index >= 4", [(E2, 0)]),
        ("post_message.message_index < 4.5", [(E2, 0)]),
        ("tx.height < 3 AND transfer.sender='ann'", [(1, 0)]),
    ],
)
def test_to_the_letter_less_is_found(chain: Chain, text: str, want: list[tuple[int, int]]) -> None:
    walk = chain.walk(text, as_subscriptions=False)
    assert [one for one in walk.found() if one is not None] == want


@pytest.mark.parametrize(
    ("value", "below_two", "above_two"),
    [("1", True, False), ("2.01", False, True), ("-3", True, False), ("-0", True, False), ("+3", False, True),
     ("3.", False, True), ("3x", False, False), (".5", False, False), ("", False, False), ("2", False, False)],
)  # fmt: skip
def test_whole_numbers(value: str, below_two: bool, above_two: bool) -> None:
    chain = Chain()
    chain.add(1, [(event(f"a|k={value}"),)])
    found = [[*chain.walk(f"a.k {sign} 2", as_subscriptions=False).found()] for sign in "<>"]
    assert found == [[Place(1, 0)] * below_two, [Place(1, 0)] * above_two]


# --------------------------------------------------------------------------------------------- held against a model

KINDS, KEYS, VALUES = ["a", "a.b", "b"], ["k", "l", "b.k"], ["1", "2x", "10", "x", ""]
ATTRIBUTES = st.builds(
    EventAttribute, st.sampled_from(KEYS), st.sampled_from(VALUES), st.sampled_from([True] * 4 + [False])
)
EVENTS = st.lists(st.builds(Event, st.sampled_from(KINDS), st.lists(ATTRIBUTES, max_size=3).map(tuple)), max_size=3)
TAGS = st.sampled_from([f"{kind}.{key}" for kind in KINDS for key in KEYS] + KINDS + ["tx.height", "c.k"])
ASKED = st.one_of(
    st.builds("{} = '{}'".format, TAGS, st.sampled_from(VALUES)),
    st.builds("{} = {}".format, TAGS, st.sampled_from(["1", "10", "2"])),
    st.builds(
        "{} {} {}".format, TAGS, st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from(["0", "1.5", "3", "10"])
    ),
    st.builds("{} CONTAINS '{}'".format, TAGS, st.sampled_from(["1", "x", ""])),
    st.builds("{} EXISTS".format, TAGS),
)
QUERIES = st.lists(ASKED, min_size=1, max_size=3).map(" AND ".join)
TXS = st.lists(EVENTS.map(tuple), max_size=3)
CHAINS = st.lists(TXS, min_size=1, max_size=6)


def meets(conditions: list[Condition], told: Event) -> bool:
    """By the rules as they are written down, without an index."""
    ranges: dict[str, list[Callable[[str], bool]]] = {}
    for one in conditions:
        values = [value for key, value, marked in told.attributes if marked and f"{told.type}.{key}" == one.tag]
        if one.operator.is_range:
            ranges.setdefault(one.tag, []).append(matcher(one))
        elif one.operator is Operator.EQUAL:
            assert one.argument is not None
            if one.argument.text not in values:
                return False
        else:
            if one.tag == told.type and any(marked for _, _, marked in told.attributes):
                values = [*values, ""]
            if not any(map(matcher(one), values)):
                return False
    return all(
        any(
            all(match(value) for match in matchers)
            for key, value, marked in told.attributes
            if marked and f"{told.type}.{key}" == tag
        )
        for tag, matchers in ranges.items()
    )


def by_hand(chain: Chain, text: str) -> list[Place]:
    conditions = parse(text)
    made = plan(conditions, TRANSACTIONS)
    others = [one for one in conditions if one.tag != "tx.height"]
    return [
        Place(height, index)
        for height, answer in sorted(chain.answers.items())
        if made.low <= height <= made.high and made.meets_height(height)
        for index, result in enumerate(answer.tx_results)
        if not others or any(meets(others, told) for told in result.events)
    ]


@given(CHAINS, QUERIES, st.sampled_from([1, 7, EPOCH_HEIGHTS - 2]))
@settings(max_examples=200)
def test_any_query_finds_what_is_found_by_hand(blocks: list[list[tuple[Event, ...]]], text: str, first: int) -> None:
    chain = Chain()
    for height, txs in enumerate(blocks, first):
        chain.add(height, txs)
    assert chain.find(text) == by_hand(chain, text)


@given(CHAINS, QUERIES, st.booleans(), st.integers(1, 4), st.integers(1, 60))
@settings(max_examples=200)
def test_pages_are_the_whole_in_pieces(
    blocks: list[list[tuple[Event, ...]]], text: str, is_descending: bool, limit: int, work_max: int
) -> None:
    """However little each may look at, the next one goes on; and by number they are the same."""
    chain = Chain()
    for height, txs in enumerate(blocks, EPOCH_HEIGHTS - 2):
        chain.add(height, txs)
    want = by_hand(chain, text)[:: -1 if is_descending else 1]
    found: list[Place] = []
    after = None
    for _ in range(100):
        walk = chain.walk(text, work_max=work_max)
        piece = drain(page(walk, limit=limit, after=after, is_descending=is_descending))
        assert len(piece.places) <= limit
        found += piece.places
        after = piece.cursor
        if after is None:
            break
    assert (found, after) == (want, None)
    for skip in range(0, len(want) + 1, limit):
        told = drain(counted(chain.walk(text), skip=skip, limit=limit, is_descending=is_descending))
        assert told == (want[skip : skip + limit], len(want))


# --------------------------------------------------------------------------------------------------------- bounds


@pytest.fixture(scope="module")
def long_chain() -> Chain:
    made = Chain()
    for height in range(1, 12 * EPOCH_HEIGHTS):
        made.add(height, [(pay("ann", "bob", height),)] * 2 + ([(pay("eve", "bob", 1),)] if height == 2000 else []))
    return made


@pytest.mark.parametrize(
    "text",
    ["transfer.sender='ann'", "transfer.amount > 0", "transfer CONTAINS ''", "tx.height > 0", "tx.height CONTAINS 'x'"],
)
def test_a_wide_search_is_cut_in_slices_and_refused(long_chain: Chain, text: str) -> None:
    walk = long_chain.walk(text, work_max=2_500)
    with pytest.raises(SearchTooWide, match=r"narrow it by heights \(tx.height >= 1 AND tx.height < "):
        drain(counted(walk, skip=0, limit=10))
    assert walk.work < 2_500 + 1_100
    walk, pauses = long_chain.walk(text), [0]
    for _ in page(walk, limit=10**6):
        pauses.append(walk.work)
    assert max(later - before for before, later in itertools.pairwise(pauses)) < 1.2 * WORK_PER_SLICE


def test_a_rare_condition_beside_a_common_one_costs_what_the_rare_one_has(long_chain: Chain) -> None:
    for text in ("transfer.recipient='bob' AND transfer.sender='eve'", "transfer.amount > 0 AND transfer.sender='eve'"):
        walk = long_chain.walk(text, work_max=200)
        assert [one for one in walk.found() if one is not None] == [Place(2000, 2)]


def test_each_condition_that_is_asked_counts(long_chain: Chain) -> None:
    """Audit 62: one of 16 KiB asked an event a thousand things, and counted as much as one that asks a single one."""
    for text in ("transfer.sender CONTAINS '{}n'", "tx.height CONTAINS '{}'"):
        one, many = (" AND ".join(text.format("") for _ in range(count)) for count in (1, 1_000))
        walks = [
            Walk(plan(parse(query, bytes_max=10**6), TRANSACTIONS), long_chain, long_chain.states, 1, 40, 10**9)  # type: ignore[arg-type]
            for query in (one, many)
        ]
        pauses = [0]
        for _ in page(walks[0], limit=10**6):
            pass
        for _ in page(walks[1], limit=10**6):
            pauses.append(walks[1].work)
        assert walks[1].work > 20 * walks[0].work
        assert max(later - before for before, later in itertools.pairwise(pauses)) < 2 * WORK_PER_SLICE


def test_many_terms_are_asked_in_slices(long_chain: Chain) -> None:
    """Audit 62: hundreds of ranges of the index were begun in a row."""
    text = " AND ".join(f"transfer.amount='{height}udchat'" for height in range(1, EPOCH_HEIGHTS))
    made = plan(parse(text, bytes_max=10**6), TRANSACTIONS)
    walk = Walk(made, long_chain, long_chain.states, 1, 1_000, 10**9)  # type: ignore[arg-type]
    pauses = [0]
    for _ in page(walk, limit=10):
        pauses.append(walk.work)
    assert walk.work > 4 * EPOCH_HEIGHTS
    assert max(later - before for before, later in itertools.pairwise(pauses)) < 1.2 * WORK_PER_SLICE
