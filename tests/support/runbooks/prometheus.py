"""A real Prometheus that reads a network and judges by the scaled rules; what it says of its alerts."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dchat.devnet.leases import lease_ports
from tests.support.runbooks.rules import FACTOR, READ_EVERY_S, scaled

POLL_S = 0.1
LOOK_S = 0.25
UP_S = 60.0
NODES, RELAYS = "dchat", "dchat-relay"  # jobs, as the rules name them


@dataclass(frozen=True)
class Alert:
    """One that fires, or is about to. where: host:port of the metrics port; empty where the rule is of no node."""

    name: str
    is_firing: bool
    where: str
    labels: dict[str, str]
    summary: str
    description: str


class Prometheus:
    """`with` runs it. folder: of its own. program: of Debian's package."""

    def __init__(self, program: Path, folder: Path, targets: Sequence[str], *, factor: int = FACTOR) -> None:
        self._program, self._folder, self._factor = program, folder, factor
        self._port = lease_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        self._watch = threading.Thread(target=self._look, name="alerts", daemon=True)
        self._is_over = threading.Event()
        self.targets = list(targets)
        self.first: dict[str, float] = {}  # alert -> when it was first seen to fire, of a monotonic clock
        self.last: dict[str, float] = {}  # when it was last seen, firing or about to

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        every = f"{round(1000 * READ_EVERY_S / self._factor)}ms"
        (self._folder / "rules.yaml").write_text(scaled(self._factor))
        self.read(*self.targets)
        self.read_relays()
        config = {
            "global": {"scrape_interval": every, "evaluation_interval": every},
            "rule_files": [str(self._folder / "rules.yaml")],
            "scrape_configs": [self._job(NODES), self._job(RELAYS)],
        }
        (self._folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._program), f"--config.file={self._folder / 'prometheus.yml'}",
                 f"--storage.tsdb.path={self._folder / 'data'}", f"--web.listen-address=127.0.0.1:{self._port}",
                 "--log.level=warn"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + UP_S
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()[-2_000:]
            assert time.monotonic() < deadline, self.log.read_text()[-2_000:]
            time.sleep(POLL_S)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        if self._watch.is_alive():
            self._watch.join(30)
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(30)

    @property
    def log(self) -> Path:
        return self._folder / "prometheus.log"

    def read(self, *targets: str) -> None:
        """From now on these nodes are read."""
        self.targets = list(targets)
        self._name(NODES, targets)

    def read_relays(self, *targets: str) -> None:
        """From now on these relays are."""
        self._name(RELAYS, targets)

    def _job(self, name: str) -> dict[str, Any]:
        places = [{"files": [str(self._folder / f"{name}.json")], "refresh_interval": "1s"}]
        return {"job_name": name, "file_sd_configs": places}

    def _name(self, job: str, targets: Sequence[str]) -> None:
        draft = self._folder / f"{job}.json.new"
        draft.write_text(json.dumps([{"targets": list(targets)}]))
        draft.replace(self._folder / f"{job}.json")

    def alerts(self) -> list[Alert]:
        found = []
        for one in self._get("/api/v1/alerts")["data"]["alerts"]:
            labels, told = one["labels"], one["annotations"]
            found.append(
                Alert(
                    labels["alertname"], one["state"] == "firing", labels.get("instance", ""), labels,
                    told.get("summary", ""), told.get("description", ""),
                )
            )  # fmt: skip
        return found

    def value(self, query: str) -> list[tuple[dict[str, str], float]]:
        found = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': query})}")["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def firing(self, name: str, where: Callable[[Alert], bool] = lambda alert: True) -> Alert | None:
        return next((one for one in self.alerts() if one.name == name and one.is_firing and where(one)), None)

    def forget(self) -> None:
        """What was seen before."""
        self.first.clear()
        self.last.clear()

    def _look(self) -> None:
        """While commands are typed alerts come and go: when, is seen here."""
        while not self._is_over.wait(LOOK_S):
            try:
                alerts = self.alerts()
            except OSError:  # a busy machine
                continue
            now = time.monotonic()
            for one in alerts:
                self.last[one.name] = now
                if one.is_firing:
                    self.first.setdefault(one.name, now)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=30) as answer:
            return dict(json.load(answer))
