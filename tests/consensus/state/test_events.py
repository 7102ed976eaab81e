"""Events: their bytes are protobuf's, they are part of no hash, and each has one place in its block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.state.cursors import HEIGHT_MAX, INDEX_MAX, OF_BLOCK, Cursor, in_order
from consensus.state.results import Event, EventAttribute, ExecTxResult, results_hash
from proto.tendermint.abci import types_pb2 as pb

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text("ab", min_size=100, max_size=200)
ATTRIBUTES = st.builds(EventAttribute, TEXTS, TEXTS, st.booleans())
EVENTS = st.builds(Event, TEXTS, st.lists(ATTRIBUTES, max_size=5).map(tuple))


@given(EVENTS)
def test_bytes_are_those_of_protobuf(event: Event) -> None:
    message = pb.Event(type=event.type)
    for attribute in event.attributes:
        message.attributes.add(key=attribute.key, value=attribute.value, index=attribute.index)
    assert event.encode() == message.SerializeToString()
    assert Event.from_proto(message) == event


@pytest.mark.parametrize("value_bytes", [0, 1, 119, 120, 121, 122, 123, 127, 128, 129, 16_384])
@pytest.mark.parametrize("key", ["", "k", "key"])
def test_lengths_around_the_short_way(value_bytes: int, key: str) -> None:
    event = Event("t", (EventAttribute(key, "v" * value_bytes),))
    message = pb.Event(type="t", attributes=[pb.EventAttribute(key=key, value="v" * value_bytes, index=True)])
    assert event.encode() == message.SerializeToString()


@given(st.lists(EVENTS, max_size=4))
def test_a_result_carries_its_events(events: list[Event]) -> None:
    result = ExecTxResult(5, b"data", gas_used=7, events=tuple(events))
    assert result.to_proto().SerializeToString() == result.encode()
    assert ExecTxResult.from_proto(result.to_proto()) == result


def test_made_by_name_in_the_order_given() -> None:
    event = Event.of("transfer", sender="a", recipient="b", type="any name is allowed")
    assert event.type == "transfer"
    assert event.attributes == (
        EventAttribute("sender", "a"),
        EventAttribute("recipient", "b"),
        EventAttribute("type", "any name is allowed"),
    )
    assert all(attribute.index is True for attribute in event.attributes)
    assert isinstance(event, Event)
    assert {type(attribute) for attribute in event.attributes} == {EventAttribute}


@given(st.lists(EVENTS, min_size=1, max_size=3))
def test_events_are_no_part_of_last_results_hash(events: list[Event]) -> None:
    """Two builds may word their events differently and still agree on every block."""
    plain = ExecTxResult(0, b"data", gas_wanted=9, gas_used=7)
    telling = plain._replace(events=tuple(events))
    assert telling.deterministic_bytes() == plain.deterministic_bytes()
    assert results_hash([telling, plain]) == results_hash([plain, plain])


@given(st.lists(st.lists(st.integers(), max_size=3), max_size=5), st.lists(st.integers(), max_size=3))
def test_transactions_first_then_the_block(of_txs: list[list[int]], of_block: list[int]) -> None:
    placed = list(in_order(of_txs, of_block))
    assert [index for index, _, _ in placed] == list(range(len(placed)))
    assert [event for _, _, event in placed] == [event for events in of_txs for event in events] + of_block
    for tx_index, events in enumerate(of_txs):
        assert [event for _, at, event in placed if at == tx_index] == events
    assert [event for _, at, event in placed if at == OF_BLOCK] == of_block


def test_cursors_sort_as_the_chain_went() -> None:
    assert Cursor(6, 9) < Cursor.of_end(6) < Cursor(7, 0) < Cursor(7, 1) < Cursor.of_end(7) < Cursor(8, 0)
    assert Cursor(7, 0).following == Cursor(7, 1)
    assert Cursor.of_end(7).following == Cursor(8, 0)


@given(st.integers(0, HEIGHT_MAX), st.integers(0, INDEX_MAX))
def test_a_cursor_reads_back(height: int, index: int) -> None:
    assert Cursor.parse(str(Cursor(height, index))) == (height, index)


@pytest.mark.parametrize(
    "text",
    ["", ":", "7", "7:", ":7", "-1:0", "1:-1", "1:2:3", " 1:2", "1:٣", "1_0:2", f"{2**63}:0", f"1:{2**32}"],
)
def test_texts_that_are_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: HEIGHT:INDEX"):
        Cursor.parse(text)
