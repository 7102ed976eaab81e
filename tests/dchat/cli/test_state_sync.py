"""What docs/state-sync.md says to type, typed: a node joins real processes by a snapshot, both ways of trusting."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, Pace, Ports, make_network
from dchat.home.home import Home

pytestmark = pytest.mark.network

PAGE = Path(__file__).parents[3] / "docs" / "state-sync.md"
ROOT = Path(__file__).parents[3]
QUICK = Pace(block_time=50, timeout_propose=500, timeout_prevote=100, timeout_precommit=100, timeout_commit=0)
WAIT_S = 60.0


def said(pattern: str) -> str:
    """The one block of the page that has it."""
    (found,) = re.findall(pattern, PAGE.read_text(), re.MULTILINE)
    return str(found)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = make_network(tmp_path / "net", validators=1, pace=QUICK, ports=free_ports(1))
    file = Home.of(made.home_of(made.node(1))).config_file
    file.write_text(file.read_text() + "\n[snapshots]\ninterval = 8\nkeep_recent = 10\n")
    try:
        processes.start(made, made.node(1))
        yield made
    finally:
        if processes.running_pid(made, made.node(1)) is not None:
            processes.kill(made, made.node(1))


def asked(port: int, path: str) -> dict[str, Any] | None:
    """What a door answers, well or not; None: there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        return dict(json.load(error))
    except OSError:
        return None


def until(found: Callable[[], Any], log: Path | None = None) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (value := found()):
        assert time.monotonic() < deadline, "" if log is None else log.read_text()[-3_000:]
        time.sleep(0.05)
    return value


@contextlib.contextmanager
def typed(line: str, folder: Path) -> Iterator[Path]:
    """A command of the page, in a shell of its own; gives its log. SIGTERM at the end, and it ends well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DCHAT_HOME": str(folder)}
    words = [sys.executable, "-m", *line.split()]
    log = folder / "typed.log"
    with log.open("w") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out, env=environment)
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()[-3_000:]


def options_of(ports: Ports) -> str:
    """That two nodes of one machine have ports of their own."""
    return (
        f'[network]\nlisten_address = "127.0.0.1:{ports.p2p}"\nrpc_listen_address = "127.0.0.1:{ports.rpc}"\n'
        f'[grpc]\nlisten_address = "127.0.0.1:{ports.grpc}"\n'
        f"[observability]\nhealth_port = {ports.http}\nmetrics_port = {ports.metrics}\n"
        "[p2p]\naddress_book_strict = false\n"
    )


def has_snapshot(network: Network) -> bool:
    """And headers after it."""
    height = (asked(network.node(1).ports.http, "/status") or {}).get("latest_block_height", 0)
    folder = Path(network.home_of(network.node(1))) / "data" / "snapshots"
    return bool(height >= 12 and list(folder.glob("*.manifest")))


def follows(network: Network, ports: Ports, log: Path) -> None:
    """It was restored, not executed from the first block; then goes on with the chain, and fetches older headers."""
    until(lambda: (asked(ports.http, "/ready") or {}).get("ready"), log)
    text = log.read_text()
    (restored,) = re.findall(r'event="joined by a snapshot" height=(\d+)', text)
    assert int(restored) % 8 == 0
    assert f'"compared heights" blocks=0 state={restored} application={restored}' in text
    theirs = (asked(network.node(1).ports.http, "/status") or {})["latest_block_height"]
    told = until(lambda: (told := asked(ports.http, "/status")) and told["latest_block_height"] > theirs and told, log)
    assert told["catching_up"] is False
    until(lambda: (asked(ports.http, "/status") or {"backfill": 1})["backfill"] is None, log)


def test_a_header_that_one_has_from_somebody(network: Network, tmp_path: Path) -> None:
    command = said(r"^    (dchat validator --state-sync .*)$")
    until(lambda: has_snapshot(network))
    known = asked(network.node(1).ports.http, "/status")
    assert known is not None
    command = command.replace("HEIGHT:HASH", f"{known['latest_block_height']}:{known['latest_block_hash']}")
    command = command.replace("ID@HOST:26656", f"{known['node_id']}@127.0.0.1:{network.node(1).ports.p2p}")
    (ports,) = free_ports(1)
    folder = tmp_path / "joiner"
    folder.mkdir()
    (folder / "validator-config.toml").write_text(f"{options_of(ports)}[state_sync]\ndiscovery_time = 1\n")
    genesis = Home.of(network.home_of(network.node(1))).genesis
    with typed(f"{command} --genesis-file {genesis}", folder) as log:
        follows(network, ports, log)
    with typed("dchat validator", folder) as log:  # without the flag it goes on as any node
        until(lambda: (asked(ports.http, "/ready") or {}).get("ready"), log)
        assert "began state sync" not in log.read_text()


def test_nodes_of_ones_own(network: Network, tmp_path: Path) -> None:
    options = said(r"^    \[state_sync\]\n(?:    .*\n)+")
    until(lambda: has_snapshot(network))
    known = asked(network.node(1).ports.http, "/status")
    assert known is not None
    options = re.sub(r"\[\".*\"\]", json.dumps([f"127.0.0.1:{network.node(1).ports.grpc}"]), options)
    (ports,) = free_ports(1)
    folder = tmp_path / "joiner"
    folder.mkdir()
    lines = "\n".join(line.strip() for line in options.splitlines())
    (folder / "validator-config.toml").write_text(f"{options_of(ports)}{lines}\ndiscovery_time = 1\n")
    genesis = Home.of(network.home_of(network.node(1))).genesis
    peer = f"{known['node_id']}@127.0.0.1:{network.node(1).ports.p2p}"
    with typed(f"dchat validator --bootstrap {peer} --genesis-file {genesis}", folder) as log:
        follows(network, ports, log)
        assert "trust begins with a header of the trusted nodes" in log.read_text()
