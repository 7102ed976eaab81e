"""Grafana's dashboards: their queries are PromQL, name metrics that nodes have, and give data of a running network."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from dchat.devnet.leases import free_ports
from dchat.devnet.network import Pace, make_network
from dchat.devnet.processes import start, stop
from tests.support.docs.dashboards import ALL, FILES, ROOT, maker, scraped
from tests.support.interop.tools import deb_tool

METRIC: Final = re.compile(r"\b(?:dchat|process)_[a-z0-9_]+")


def test_the_files_are_what_the_tables_make() -> None:
    """Mend with `python deploy/monitoring/make_dashboards.py`."""
    made = maker().files()
    assert {path: path.read_text() for path in FILES} == made


def test_there_is_a_dashboard_of_each_subject_and_no_panel_without_words() -> None:
    assert [path.stem for path in FILES] == ["chains", "consensus", "network", "system", "validator"]
    for path in FILES:
        document = json.loads(path.read_text())
        panels = [panel for panel in document["panels"] if panel["type"] != "row"]
        assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
        assert [panel["title"] for panel in panels if not panel["description"].endswith(".")] == []
        grid = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in document["panels"]]
        assert len(set(grid)) == len(grid), "panels lie on each other"
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in document["panels"])


def test_every_metric_is_one_that_nodes_tell_and_the_page_explains() -> None:
    known = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    named = {re.sub(r"_(bucket|sum|count)$", "", name) for _, query in ALL for name in METRIC.findall(query)}
    assert len(named) > 50
    assert named - known == set()


def test_promtool_reads_every_query(tmp_path: Path) -> None:
    promtool = deb_tool("promtool", "prometheus")
    rules = [{"record": f"panel:{index}", "expr": query} for index, (_, query) in enumerate(ALL)]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(ALL)} rules found" in done.stdout


@pytest.mark.network
def test_every_panel_has_data_of_a_network_that_prometheus_scrapes(tmp_path: Path) -> None:
    prometheus = deb_tool("prometheus", "prometheus")
    network = make_network(tmp_path / "net", validators=4, pace=Pace(block_time=500), ports=free_ports(5)[:4])
    targets = [f"127.0.0.1:{node.ports.metrics}" for node in network.nodes]
    try:
        for node in network.nodes:
            start(network, node)
        lacking = scraped(prometheus, targets, tmp_path)
    finally:
        stop(network, network.nodes)
    assert lacking == [], (tmp_path / "prometheus.log").read_text()[-2000:]
