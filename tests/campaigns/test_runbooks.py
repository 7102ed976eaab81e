"""A slice of `scripts/campaign runbooks` for CI: one fault, three alerts, their pages; what holds for all of them."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.docs.pages import typed_in
from tests.support.interop.tools import deb_tool
from tests.support.node.machine import CannotFault
from tests.support.runbooks.carry import Row, carry_out
from tests.support.runbooks.cases import CASES
from tests.support.runbooks.pages import PAGE as RUNBOOKS
from tests.support.runbooks.pages import runbooks
from tests.support.runbooks.rules import alerts, scaled
from tests.support.runbooks.table import HEAD, PAGE, told, written
from tests.support.runbooks.world import World

# What the table in docs/operators/alerts.md lacks yet: an alert that has a line is an error here.
YET: frozenset[str] = frozenset()
# Whose remedy is no command of ours: what is wrong is elsewhere, and the node goes on by itself.
IN_WORDS = {
    "DchatCpuHigh", "DchatDiskFillsUp", "DchatMemoryHigh", "DchatPartFailing", "DchatRelayDown", "DchatRelayQueueLong",
    "DchatSignerLost",
}  # fmt: skip
# Commands under no alert that is caused: restore.md has the like, and tests/dchat/cli/test_one_machine.py types it.
LIKE_THOSE = ("dchat database (?:verify|restore --input )",)


@pytest.mark.network
def test_a_killed_validator_is_told_of_and_its_pages_bring_it_back(tmp_path: Path) -> None:
    prometheus = deb_tool("prometheus", "prometheus")
    try:
        with World(tmp_path / "world", prometheus) as world:
            rows = carry_out(world, CASES[0])
    except CannotFault as why:
        pytest.skip(str(why))
    assert [row.alert for row in rows] == ["DchatValidatorDown", "DchatPeersLow", "DchatMissedBlocks"]
    assert all(row.fired_s > 0 and row.commands for row in rows)


def test_every_alert_is_caused() -> None:
    caused = {alert for case in CASES for alert in case.alerts}
    assert caused == set(alerts())
    assert set(told(PAGE.read_text())) == set(alerts()) - YET, "./scripts/campaign runbooks --write"


def test_every_alerts_page_says_what_to_type() -> None:
    pages = runbooks()
    assert [name for name in alerts() if not pages[name].check] == []
    typed = {name for name in alerts() if pages[name].remedy}
    assert set(alerts()) - typed == set(IN_WORDS)


def test_every_command_of_a_page_was_typed() -> None:
    """In the campaign whose table this is; what no alert of it has, by tests of the operators' pages."""
    table, pages, typed = PAGE.read_text(), runbooks(), set[str]()
    for name in told(table):
        rows = re.findall(rf"^\| \[{name}\].*$", table, re.MULTILINE)
        page = {shlex.join(one.words) for one in (*pages[name].check, *pages[name].remedy)}
        assert {command for row in rows for command in re.findall(r"`([^`]+)`", row)} == page, name
        typed |= page
    others = {shlex.join(one.words) for one in typed_in(RUNBOOKS)} - typed
    assert {text for text in others if not any(re.match(like, text) for like in LIKE_THOSE)} == set()


def test_scaled_rules_are_the_shipped_ones_in_other_times(tmp_path: Path) -> None:
    promtool = deb_tool("promtool", "prometheus")
    file = tmp_path / "rules.yaml"
    file.write_text(scaled(30))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(alerts())} rules found" in done.stdout
    text = file.read_text()
    assert text.count("[1467ms]") == 4
    assert "> 10 and" in text
    assert "[60000ms], 720)" in text
    assert "5m" not in text


def test_the_table_is_written_in_its_place() -> None:
    row = Row("DchatJailed", "it was away", 12.4, ("dchat status",), 3.2)
    page = f"before\n\n{HEAD}| [DchatJailed](runbooks.md#dchatjailed) | old |\n\nafter\n"
    made = written(page, [row])
    assert made == (
        f"before\n\n{HEAD}"
        "| [DchatJailed](runbooks.md#dchatjailed) | it was away | 12 s | `dchat status` | 3 s | 1/30 |\n"
        "\nafter\n"
    )
