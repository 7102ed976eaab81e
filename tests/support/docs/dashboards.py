"""What Grafana's dashboards ask, and which of it a Prometheus has no answer for.

`python -m tests.support.docs.dashboards PROMETHEUS TARGET...` scrapes these metrics ports (HOST:PORT) with that binary
until every query of every dashboard has data, prints the panels that got none in time, and ends with 1 where there are.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import aiohttp

from dchat.devnet.leases import free_ports

ROOT: Final = Path(__file__).parents[3]
MONITORING: Final = ROOT / "deploy" / "monitoring"
FILES: Final = sorted((MONITORING / "dashboards").glob("*.json"))
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


def scraped(prometheus: Path, targets: list[str], folder: Path) -> list[str]:
    """What `lacking_data` says of a Prometheus that scrapes these metrics ports, and is stopped then."""
    scrape = {"job_name": "dchat", "static_configs": [{"targets": targets}]}
    config = folder / "prometheus.yml"
    config.write_text(json.dumps({"global": {"scrape_interval": "2s"}, "scrape_configs": [scrape]}))
    port = free_ports(1)[0].http
    command = [
        str(prometheus), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        return asyncio.run(lacking_data(f"http://127.0.0.1:{port}", needing()))
    finally:
        process.terminate()
        process.wait(30)


def main(prometheus: str, *targets: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lacking = scraped(Path(prometheus), list(targets), Path(folder))
    quiet = needing()
    asked = sum(panel not in quiet for panel, _ in ALL)
    sys.stdout.write(f"{asked - len(lacking)} of {asked} queries have data\n")
    sys.exit("\n".join(lacking) or None)


if __name__ == "__main__":
    main(*sys.argv[1:])
