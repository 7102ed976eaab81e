"""What a block did, as the doors tell it: results and events, from the stored bytes' message to dchat.v1's and to JSON.

Sliced where a block may be large: 5,000 events must not hold the loop, however few transactions they are of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from consensus.abci.interface import Slices
from consensus.state.results import Event
from crypto.hash import sha256
from proto.dchat.v1 import service_pb2 as pb

if TYPE_CHECKING:
    from proto.tendermint.abci import types_pb2 as abci_pb

UNITS_PER_SLICE: Final = 400  # results and events: about 1 ms
TEXTS_PER_SLICE: Final = 50  # made JSON of: about 1 ms
TEXT_UNITS_PER_SLICE: Final = 150  # results and events: likewise


def event_proto(event: abci_pb.Event) -> pb.Event:
    """Field numbers are ABCI's, so its bytes are read as ours: 1.2 us against 6 for copying attribute by attribute.
    Its mark for indexers, which ours has not, goes."""
    told = pb.Event.FromString(event.SerializeToString())
    told.DiscardUnknownFields()
    return told


def told_events(events: Iterable[Event]) -> list[pb.Event]:
    """Of what was run here, and is stored nowhere."""
    found = [pb.Event.FromString(event.encode()) for event in events]
    for event in found:
        event.DiscardUnknownFields()  # the mark for indexers
    return found


def event_protos(events: Iterable[abci_pb.Event]) -> list[pb.Event]:
    return [event_proto(event) for event in events]


def outcome(tx_hash: bytes, result: abci_pb.ExecTxResult) -> pb.TxOutcome:
    return pb.TxOutcome(
        hash=tx_hash,
        code=result.code,
        codespace=result.codespace,
        log=result.log,
        data=result.data,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        events=event_protos(result.events),
    )


class Part(NamedTuple):
    """Of what a block did: results of its transactions, in its order, or events of its own."""

    results: list[pb.TxOutcome]
    events: list[pb.Event]


def in_parts(
    txs: Sequence[bytes], stored: abci_pb.ResponseFinalizeBlock, units_max: int = UNITS_PER_SLICE
) -> Iterator[Part]:
    """All of it. A part has about `units_max` results and events; one transaction has a few hundred at most."""
    results: list[pb.TxOutcome] = []
    units = 0
    for tx, result in zip(txs, stored.tx_results, strict=True):
        results.append(outcome(sha256(tx), result))
        units += 1 + len(result.events)
        if units >= units_max:
            yield Part(results, [])
            results, units = [], 0
    yield Part(results, [])
    for start in range(0, len(stored.events), units_max):
        yield Part([], event_protos(stored.events[start : start + units_max]))


# ------------------------------------------------------------------------------------------------------------- JSON


def event_json(event: pb.Event) -> dict[str, Any]:
    """Attributes are a list: ABCI lets a key stand twice."""
    attributes = [{"key": attribute.key, "value": attribute.value} for attribute in event.attributes]
    return {"type": event.type, "attributes": attributes}


def block_results_text(head: pb.GetBlockResultsResponse, parts: Iterable[Part]) -> Slices[bytes]:
    """JSON, made piece by piece. head: without results and events. parts: of TEXT_UNITS_PER_SLICE."""
    txs: list[bytes] = []
    events: list[bytes] = []
    for part in parts:
        txs += [json.dumps(_outcome_json(result)).encode() for result in part.results]
        events += [json.dumps(event_json(event)).encode() for event in part.events]
        yield
    began = json.dumps({"height": head.height, "app_hash": head.app_hash.hex().upper()})[:-1].encode()
    updates = json.dumps([_update_json(update) for update in head.validator_updates]).encode()
    yield
    told_txs, told_events = b", ".join(txs), b", ".join(events)
    yield
    return b'%b, "txs": [%b], "events": [%b], "validator_updates": %b}' % (began, told_txs, told_events, updates)


def _outcome_json(result: pb.TxOutcome) -> dict[str, Any]:
    return {
        "hash": result.hash.hex(),
        "code": result.code,
        "codespace": result.codespace,
        "log": result.log,
        "data": result.data.hex(),
        "gas_wanted": result.gas_wanted,
        "gas_used": result.gas_used,
        "events": [event_json(event) for event in result.events],
    }


def _update_json(update: abci_pb.ValidatorUpdate) -> dict[str, Any]:
    kind = update.pub_key.WhichOneof("sum") or ""
    key: bytes = getattr(update.pub_key, kind) if kind else b""
    return {"pub_key": {"type": kind, "value": key.hex()}, "power": update.power}
