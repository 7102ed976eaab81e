"""The operators' guide's option file starts a node after the one change that it is told of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat
from dchat.devnet.leases import free_ports
from tests.support.cli.guide import GUIDE

pytestmark = pytest.mark.network


def test_a_node_starts_from_the_guides_file(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    file = home / "validator-config.toml"
    file.write_text(GUIDE)
    refused = CliRunner().invoke(dchat, ["--home", str(home), "validator", "--validate"])
    faults = [line.removeprefix("dchat: ") for line in refused.output.splitlines() if "warning" not in line]
    assert (refused.exit_code, [line for line in faults if not line.startswith(f"{home / 'config'}")]) == (
        2,
        [f'{file}: [database] backend: "rocksdb" is not built in; write backend = "leveldb"'],
    ), refused.output  # beside it, that no genesis is there yet
    file.write_text(GUIDE.replace("rocksdb", "leveldb"))
    made = CliRunner().invoke(dchat, ["--home", str(home), "init", "--chain-id", "dchat-mainnet-1"])
    assert made.exit_code == 0, made.output
    ports = free_ports(1)[0]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "DCHAT_API_PORT": str(ports.http),
        "DCHAT_GRPC__LISTEN_ADDRESS": f"127.0.0.1:{ports.grpc}",
        "DCHAT_OBSERVABILITY__METRICS_PORT": str(ports.metrics),
    }
    words = ["--listen", f"/ip4/127.0.0.1/tcp/{ports.p2p}", "--rpc-listen", f"/ip4/127.0.0.1/tcp/{ports.rpc}"]
    with (tmp_path / "log").open("w") as log:
        node = subprocess.Popen(
            [sys.executable, "-m", "dchat", "--home", str(home), "validator", *words],
            stdout=log, stderr=log, env=environment,
        )  # fmt: skip
        try:
            until_well(f"http://127.0.0.1:{ports.http}/health", node, tmp_path / "log")
        finally:
            node.send_signal(signal.SIGTERM)
            assert node.wait(30) == 0, (tmp_path / "log").read_text()


def until_well(url: str, node: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                assert answer.status == 200
                return
        except (urllib.error.URLError, OSError):
            assert node.poll() is None and time.monotonic() < deadline, log.read_text()  # noqa: PT018
        time.sleep(0.1)
