"""Grafana's dashboards: their queries are PromQL, name metrics that nodes have, and give data of a running network."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import aiohttp
import pytest

from dchat.devnet.leases import free_ports
from dchat.devnet.network import Pace, make_network
from dchat.devnet.processes import start, stop
from tests.support.interop.tools import deb_tool

ROOT: Final = Path(__file__).parents[3]
MONITORING: Final = ROOT / "deploy" / "monitoring"
FILES: Final = sorted((MONITORING / "dashboards").glob("*.json"))
METRIC: Final = re.compile(r"\b(?:dchat|process)_[a-z0-9_]+")
RANGE: Final = "10s"  # of rates, in place of Grafana's $__rate_interval
DATA_S: Final = 120.0


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_dashboards", MONITORING / "make_dashboards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def queries(path: Path) -> list[tuple[str, str]]:
    """(panel, query) of a file, as Prometheus is asked."""
    found = []
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel.get("targets", []):
            query = target["expr"].replace("$__rate_interval", RANGE).replace("$instance", ".*")
            found.append((f"{path.stem}: {panel['title']}", query))
    return found


ALL: Final = [one for path in FILES for one in queries(path)]


def needing() -> dict[str, str]:
    """Panels of which a quiet network has no data, and what they need."""
    found = {}
    for dashboard in maker().DASHBOARDS:
        for panel in (panel for row in dashboard.rows.values() for panel in row):
            if panel.needs:
                found[f"{dashboard.slug}: {panel.title}"] = panel.needs
    return found


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


async def data_of(http: aiohttp.ClientSession, url: str, query: str) -> list[Any]:
    asked = urllib.parse.urlencode({"query": query})
    async with http.get(f"{url}/api/v1/query?{asked}") as answer:
        told = await answer.json()
    assert told["status"] == "success", (query, told)
    return list(told["data"]["result"])


async def lacking_data(url: str, needing: dict[str, str]) -> list[str]:
    """Panels' queries that gave none until there was time enough; none where a server does not answer yet."""
    waiting = {(panel, query) for panel, query in ALL if panel not in needing}
    async with aiohttp.ClientSession() as http:
        with_deadline = asyncio.get_running_loop().time() + DATA_S
        while waiting and asyncio.get_running_loop().time() < with_deadline:
            for one in sorted(waiting):
                try:
                    found = await data_of(http, url, one[1])
                except aiohttp.ClientConnectionError:
                    break
                if found and all(item["value"][1] != "NaN" for item in found):
                    waiting.discard(one)
            await asyncio.sleep(0.5)
    return sorted(f"{panel}: {query}" for panel, query in waiting)


@pytest.mark.network
def test_every_panel_has_data_of_a_network_that_prometheus_scrapes(tmp_path: Path) -> None:
    prometheus = deb_tool("prometheus", "prometheus")
    network = make_network(tmp_path / "net", validators=4, pace=Pace(block_time=500), ports=free_ports(5)[:4])
    targets = [f"127.0.0.1:{node.ports.metrics}" for node in network.nodes]
    scrape = {"job_name": "dchat", "static_configs": [{"targets": targets}]}
    config = tmp_path / "prometheus.yml"
    config.write_text(json.dumps({"global": {"scrape_interval": "2s"}, "scrape_configs": [scrape]}))
    port = free_ports(1)[0].http
    command = [
        str(prometheus), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    try:
        for node in network.nodes:
            start(network, node)
        with (tmp_path / "prometheus.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            lacking = asyncio.run(lacking_data(f"http://127.0.0.1:{port}", needing()))
        finally:
            process.terminate()
            process.wait(30)
    finally:
        stop(network, network.nodes)
    assert lacking == [], (tmp_path / "prometheus.log").read_text()[-2000:]
