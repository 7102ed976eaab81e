"""The index of events: what it says of any events, that it is saved with the results, goes with its epoch, and knows of
which heights it is whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.abci.interface import FinalizeBlockResponse
from consensus.execution.executor import drive
from consensus.state.results import Event, EventAttribute, ExecTxResult
from consensus.stores.event_index import (
    EPOCH_HEIGHTS,
    OF_BLOCKS,
    OF_TXS,
    Whole,
    after_saving,
    entries_of,
    epoch_of,
    index_entries,
    places_of,
    postings,
    tag_term,
    value_term,
)
from consensus.stores.state_store import StateStore, encode_response
from storage.memory import MemoryStore

NAMES = st.sampled_from(["a", "b", "a.b", "", "b\0c", "größe"])
ATTRIBUTES = st.builds(EventAttribute, NAMES, st.sampled_from(["", "1", "2", "x\0y"]), st.booleans())
EVENTS = st.lists(st.builds(Event, NAMES, st.lists(ATTRIBUTES, max_size=4).map(tuple)), max_size=4).map(tuple)


def response(of_txs: Iterable[tuple[Event, ...]], of_block: tuple[Event, ...] = ()) -> FinalizeBlockResponse:
    return FinalizeBlockResponse(tuple(ExecTxResult(events=events) for events in of_txs), b"\1" * 32, events=of_block)


def pay(sender: str, amount: int) -> Event:
    return Event.of("transfer", sender=sender, recipient="bob", amount=f"{amount}udchat")


async def save(states: StateStore, height: int, answer: FinalizeBlockResponse, *, is_indexed: bool = True) -> None:
    entries = await drive(index_entries(height, answer)) if is_indexed else None
    states.save_response(height, await drive(encode_response(answer)), [], entries)


def heights(states: StateStore, term: bytes, prefix: bytes = OF_TXS) -> list[int]:
    return [
        height for epoch in range(4) for height, _ in postings(states.events, prefix, term, epoch, 0, 4 * EPOCH_HEIGHTS)
    ]


@given(st.lists(EVENTS, max_size=4), EVENTS, st.sampled_from([1, EPOCH_HEIGHTS - 1, EPOCH_HEIGHTS, 2**40]))
def test_each_marked_attribute_is_found_where_it_is(
    of_txs: list[tuple[Event, ...]], of_block: tuple[Event, ...], height: int
) -> None:
    answer = response(of_txs, of_block)
    db = MemoryStore()
    db.write(entries_of(height, answer))
    groups = {OF_TXS: [(tx, events) for tx, events in enumerate(of_txs)], OF_BLOCKS: [(0, of_block)]}
    for prefix, found in groups.items():
        want: dict[bytes, set[int]] = defaultdict(set)
        tags: set[bytes] = set()
        for tx, events in found:
            for index, event in enumerate(events):
                for key, value, is_marked in event.attributes:
                    if is_marked:
                        want[value_term(f"{event.type}.{key}", value)].add(tx << 32 | index)
                        tags |= {tag_term(event.type), tag_term(f"{event.type}.{key}")}
        for term, places in want.items():
            [(at, data)] = postings(db, prefix, term, epoch_of(height), height, height)
            assert (at, set(places_of(data))) == (height, places)
        for term in tags:
            assert list(postings(db, prefix, term, epoch_of(height), height, height)) == [(height, b"")]
        assert sum(1 for _ in db.scan(prefix, bytes([prefix[0] + 1]))) == len(want) + len(tags)


def test_terms_of_like_texts_are_apart() -> None:
    pairs = [("a.b", "c"), ("a.bc", ""), ("a", "bc"), ("a.b\0", "c"), ("a.b", "\0c")]
    terms = [value_term(*pair) for pair in pairs] + [tag_term(tag) for tag in ("a.b", "a.bc", "a")]
    assert len(set(terms)) == len(terms)


@pytest.mark.parametrize(
    ("known", "height", "is_indexed", "want"),
    [
        (None, 5, True, Whole(5, 5)),
        (None, 5, False, None),
        (Whole(3, 4), 5, True, Whole(3, 5)),
        (Whole(3, 4), 5, False, Whole(3, 4)),
        (Whole(3, 4), 7, True, Whole(7, 7)),  # it was off meanwhile
        (Whole(3, 9), 7, True, Whole(3, 9)),  # executed again
        (Whole(3, 9), 7, False, Whole(3, 6)),
        (Whole(3, 9), 3, False, None),
        (Whole(3, 9), 2, True, Whole(2, 2)),
    ],
)
def test_of_which_heights_it_is_whole(known: Whole | None, height: int, is_indexed: bool, want: Whole | None) -> None:
    assert after_saving(known, height, is_indexed=is_indexed) == want


async def test_saved_with_the_results_and_known_after_a_start() -> None:
    db = MemoryStore()
    states = StateStore(db)
    for height in (1, 2, 3):
        await save(states, height, response([(pay("ann", height),)]))
    again = StateStore(db)
    assert again.indexed == states.indexed == Whole(1, 3)
    assert heights(again, value_term("transfer.sender", "ann")) == [1, 2, 3]
    assert heights(again, value_term("transfer.amount", "2udchat")) == [2]
    assert heights(again, tag_term("transfer")) == [1, 2, 3]
    await save(states, 4, response([(pay("ann", 4),)]), is_indexed=False)
    assert StateStore(db).indexed == Whole(1, 3)
    assert heights(states, value_term("transfer.sender", "ann")) == [1, 2, 3]


async def test_a_block_that_is_executed_again_leaves_nothing_of_before() -> None:
    states = StateStore(MemoryStore())
    await save(states, 1, response([(pay("ann", 1),)], (Event.of("mint", amount="7udchat"),)))
    await save(states, 1, response([(pay("eve", 1),)]))
    assert heights(states, value_term("transfer.sender", "ann")) == []
    assert heights(states, value_term("transfer.sender", "eve")) == [1]
    assert heights(states, value_term("transfer.amount", "1udchat")) == [1]
    assert heights(states, tag_term("mint"), OF_BLOCKS) == []


async def test_is_forgotten_by_whole_epochs() -> None:
    db = MemoryStore()
    states = StateStore(db)
    for height in (5, EPOCH_HEIGHTS - 1, EPOCH_HEIGHTS, 2 * EPOCH_HEIGHTS):
        await save(states, height, response([(pay("ann", 1),)], (Event.of("mint", amount="7udchat"),)))
    term = value_term("transfer.sender", "ann")
    for below, left in ((EPOCH_HEIGHTS - 1, 4), (EPOCH_HEIGHTS, 2), (2 * EPOCH_HEIGHTS + 1, 1)):
        is_more = True
        while is_more:
            is_more, _ = states.forget_events(below)
        assert len(heights(states, term)) == len(heights(states, tag_term("mint.amount"), OF_BLOCKS)) == left
