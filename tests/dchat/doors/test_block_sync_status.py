"""Block sync's part of /status."""

from __future__ import annotations

import json

import pytest

from consensus.sync.progress import SyncProgress, seconds_left
from dchat.doors.http.views import block_sync_json, block_sync_proto
from dchat.doors.rest.json_form import text_of
from dchat.doors.rest.openapi import field_schema


@pytest.mark.parametrize(
    ("left", "waits", "want_left", "want_waits"),
    [(7, "", 7, None), (0, "", 0, None), (None, "peers: none is connected", None, "peers: none is connected")],
)
def test_what_is_told_of_block_sync(left: int | None, waits: str, want_left: int | None, want_waits: str) -> None:
    told = SyncProgress(101, 150, 200, 7.25, 3_625.5, 2, left, waits)
    assert block_sync_json(block_sync_proto(told)) == {
        "first_height": 101,
        "height": 150,
        "target_height": 200,
        "percent": 50.0,
        "blocks_per_second": 7.25,
        "transactions_per_second": 3_625.5,
        "peers": 2,
        "seconds_left": want_left,
        "waits_for": want_waits,
    }


def test_the_schema_of_the_answer_says_what_its_json_is() -> None:
    told = block_sync_proto(SyncProgress(101, 150, 200, 7.25, 3_625.5, 2, 7, "peers"))
    kinds = {"integer": int, "number": float, "string": str}
    shown = json.loads(text_of(told))
    for field in told.DESCRIPTOR.fields:
        assert isinstance(shown[field.name], kinds[field_schema(field, [])["type"]]), field.name


def test_a_height_that_liars_claim_leaves_a_status_that_can_be_told() -> None:
    """The figure has 32 bits: with more of them each answer ended in an error, as long as the node synced."""
    target = 2**63 - 2
    told = SyncProgress(101, 150, target, 0.1, 0.0, 1, seconds_left(150, target, 0.1), "")
    assert block_sync_proto(told).seconds_left == 2**32 - 1
