"""What a block did is stored and told in slices by its events, which a few transactions can have thousands of."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest

from consensus.abci.interface import FinalizeBlockResponse, Slices
from consensus.formats import wire
from consensus.state.results import Event, ExecTxResult
from consensus.stores import state_store
from consensus.stores.state_store import decode_response, encode_response
from dchat.doors.reads.results import TEXT_UNITS_PER_SLICE, UNITS_PER_SLICE, block_results_text, event_json, in_parts
from proto.dchat.v1 import service_pb2 as pb
from proto.tendermint.abci import types_pb2 as abci_pb
from proto.tendermint.types import types_pb2

OF_ONE = 96  # what 32 messages emit
EVENTS = tuple(Event.of("transfer", amount=str(number), sender="a" * 44) for number in range(OF_ONE))
RESPONSE = FinalizeBlockResponse(
    tuple(ExecTxResult(0, b"receipt", gas_wanted=7, events=EVENTS) for _ in range(50)), bytes(32), events=EVENTS * 30
)
LARGEST = max(len(result.encode()) for result in RESPONSE.tx_results)
TXS = [b"tx%d" % number for number in range(50)]
UNITS = 50 * (1 + OF_ONE) + 30 * OF_ONE


def run(slices: Slices[Any]) -> tuple[int, Any]:
    """(how many, the answer)."""
    steps: Generator[None, None, Any] = slices
    count = 1
    while True:
        try:
            next(steps)
            count += 1
        except StopIteration as stop:
            return count, stop.value


def test_results_are_encoded_in_slices_by_their_events() -> None:
    """audit 13, sibling: 200 transactions of 32 payments are 6,400 events, which were encoded in one piece."""
    count, encoded = run(encode_response(RESPONSE))
    assert count >= UNITS // (state_store.UNITS_PER_SLICE + OF_ONE)
    assert decode_response(encoded) == RESPONSE


def test_what_is_stored_is_parsed_in_slices_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: the 7 MB of a full block's results, and its transactions, were parsed in one piece."""
    encoded = run(encode_response(RESPONSE))[1]
    for size in (1, 100, 10_000, len(encoded) - 1, len(encoded)):
        monkeypatch.setattr(wire, "SLICE_BYTES", size)
        count, message = run(wire.parse_ours(abci_pb.ResponseFinalizeBlock(), encoded))
        assert count > len(encoded) // (size + LARGEST) - 1
        assert message == abci_pb.ResponseFinalizeBlock.FromString(encoded)
    with_others = b"before" + encoded + b"behind"
    message = run(wire.parse_ours(abci_pb.ResponseFinalizeBlock(), with_others, 6, 6 + len(encoded)))[1]
    assert decode_response(message.SerializeToString()) == RESPONSE
    assert run(wire.parse_ours(types_pb2.Data(), b"")) == (1, types_pb2.Data())


def test_results_are_told_in_parts_by_their_events() -> None:
    """audit 13: GetBlockResults made 6,400 events in one piece, and all of a block's own; JSON a thousand in a row."""
    stored = abci_pb.ResponseFinalizeBlock.FromString(run(encode_response(RESPONSE))[1])
    told = pb.GetBlockResultsResponse()
    for part in in_parts(TXS, stored):
        units = len(part.results) + sum(len(result.events) for result in part.results) + len(part.events)
        assert units <= UNITS_PER_SLICE + OF_ONE
        told.MergeFromString(pb.GetBlockResultsResponse(**part._asdict()).SerializeToString())
    assert [len(result.events) for result in told.results] == [OF_ONE] * 50
    assert len(told.events) == 30 * OF_ONE
    head = pb.GetBlockResultsResponse(height=4, app_hash=bytes(32))
    count, text = run(block_results_text(head, in_parts(TXS, stored, TEXT_UNITS_PER_SLICE)))
    assert count >= UNITS // (TEXT_UNITS_PER_SLICE + OF_ONE)
    shown = json.loads(text)
    assert [tx["hash"] for tx in shown["txs"]] == [result.hash.hex() for result in told.results]
    assert shown["txs"][49]["events"] == [event_json(event) for event in told.results[49].events]
    assert shown["events"] == [event_json(event) for event in told.events]
    assert (shown["height"], shown["app_hash"], shown["validator_updates"]) == (4, "00" * 32, [])
