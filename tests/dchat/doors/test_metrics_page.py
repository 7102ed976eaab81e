"""docs/metrics.md is what the code says, and what a running node tells is all on it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from consensus.statesync.syncer import StateSyncMetrics
from dchat.doors.metrics.meanings import MEANINGS
from dchat.doors.metrics.page import PAGE, RULES, alerts, page, rows
from dchat.sql.feed import SqlMetrics
from tests.support.node.running import running_node

ROOT: Final = Path(__file__).parents[3]


def test_the_page_is_fresh() -> None:
    expected = page((ROOT / RULES).read_text())
    assert (ROOT / PAGE).read_text() == expected, "python -m dchat.doors.metrics.page"


def test_a_metric_has_one_meaning_and_alerts_look_at_what_there_is() -> None:
    names = [row.name for row in rows()]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    # Relays are not built yet.
    missing = set(alerts((ROOT / RULES).read_text())) - set(names)
    assert missing <= {"dchat_relay_queue_size"}


def test_every_text_is_a_sentence() -> None:
    assert [row.name for row in rows() if not re.fullmatch(r"(?:[A-Z0-9]|gRPC).*\w.*[.)]", row.text)] == []


@pytest.mark.parametrize(("prefix", "counters"), [("dchat_state_sync", StateSyncMetrics), ("dchat_sql", SqlMetrics)])
def test_counters_that_a_lone_node_has_not_are_said_too(prefix: str, counters: Any) -> None:
    for field in fields(counters):
        name = f"{prefix}_{field.name}"
        assert {name, f"{name}_total"} & set(MEANINGS), name


async def test_what_a_node_tells_is_on_the_page(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running, running.client() as client, aiohttp.ClientSession() as http:
        await client.wait_for_height(2)
        async with http.get(f"http://127.0.0.1:{running.ports[2]}/metrics") as answer:
            families = list(text_string_to_metric_families(await answer.text()))
    known = {row.name: row for row in rows()}
    wrong = []
    for family in families:
        name = family.name + "_total" * (family.type == "counter")
        if name.endswith("_created"):  # the client library's, of a histogram
            continue
        row = known.get(name)
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if row is None or (family.type, family.documentation) != (row.kind, row.text) or not labels <= set(row.labels):
            wrong.append((name, family.type, family.documentation, labels, row))
    assert wrong == []
