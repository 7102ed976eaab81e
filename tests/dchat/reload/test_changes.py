"""SIGHUP: what takes effect in a running node, what needs a restart, and that a broken file changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat
from dchat.config import load
from dchat.config.sources import sections
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Ports
from dchat.reload.changes import AT_RUN_TIME, Parts, changed, differences
from tests.support.node.running import running_node

OTHER = "ab" * 20


def test_every_option_that_changes_at_run_time_is_one() -> None:
    known = {f"{section}.{key}" for section, model in sections().items() for key in model.model_fields}
    assert known >= AT_RUN_TIME


def test_what_is_taken_and_what_waits() -> None:
    old = load(None, environment={}).config
    new = load(None, environment={"DCHAT_MAX_PEERS": "7", "DCHAT_API_PORT": "81", "DCHAT_LOG_LEVEL": "debug"}).config
    assert list(differences(old, new)) == ["network.max_peers", "observability.health_port", "log.level"]
    told = changed(old, new)
    assert (told.taken, told.waiting) == (("network.max_peers", "log.level"), ("observability.health_port",))
    assert (told.config.network.max_peers, told.config.log.level) == (7, "debug")
    assert told.config.observability.health_port == old.observability.health_port
    assert changed(told.config, new).taken == ()


async def test_a_running_node_obeys(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        node, ports = running.node, free_ports(1)[0]
        parts = Parts(node.switch, node.doors.rate, node.views.thresholds, node.room)
        flags = {
            "network.bootstrap_validators": [f"{OTHER}@127.0.0.1:{ports.p2p}"],
            "network.max_peers": 3,
            "p2p.unconditional_peer_ids": ["cd" * 20],
            "p2p.private_peer_ids": ["ef" * 20],
            "rate_limit.requests_per_second": 9,
            "rate_limit.trusted_proxies": ["10.0.0.0/8"],
            "observability.unhealthy_after": 77,
            "database.min_free": 5,
        }
        parts.take(load(None, environment={}, flags=flags).config)
        switch = node.switch
        assert switch.config.max_peers == 3
        assert switch.ban_left_s(OTHER) == 0
        switch.bans.ban(OTHER, 100)
        switch.bans.ban("cd" * 20, 100)
        assert (switch.ban_left_s(OTHER), switch.ban_left_s("cd" * 20)) == (0, 0)  # whoever is named is not banned
        assert node.doors.rate.proxies.has("10.1.2.3")
        assert (node.views.thresholds.unhealthy_after_s, node.room.floor_bytes) == (77, 5 << 20)
        parts.take(load(None, environment={}).config)
        assert switch.ban_left_s(OTHER) > 0
        assert not node.doors.rate.proxies.has("10.1.2.3")


@contextmanager
def process(folder: Path) -> Iterator[tuple[Path, Path, Callable[[str], dict[str, object]]]]:
    """A node of its own: its option file, its log, and what sends SIGHUP and gives the line with a text."""
    ports = free_ports(1)[0]
    home, log = folder / "home", folder / "log"
    made = CliRunner().invoke(dchat, ["--home", str(home), "init", "--chain-id", "c"])
    assert made.exit_code == 0, made.output
    file = home / "validator-config.toml"
    file.write_text(options(ports))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with log.open("w") as out:
        node = subprocess.Popen(
            [sys.executable, "-m", "dchat", "--home", str(home), "validator"], stdout=out, stderr=out, env=environment
        )

    def reload(text: str) -> dict[str, object]:
        before = log.stat().st_size
        node.send_signal(signal.SIGHUP)
        return line_with(log, text, before)

    try:
        line_with(log, "committed", 0)
        yield file, log, reload
    finally:
        node.send_signal(signal.SIGTERM)
        assert node.wait(30) == 0, log.read_text()


def options(ports: Ports, more: str = "") -> str:
    return (
        f'[network]\nlisten_address = "127.0.0.1:{ports.p2p}"\nrpc_listen_address = ""\n'
        f'[grpc]\nlisten_address = "127.0.0.1:{ports.grpc}"\n[consensus]\nblock_time = 100\n'
        f"[observability]\nhealth_port = {ports.http}\nmetrics_enabled = false\n[log]\njson_lines = true\n{more}"
    )


def line_with(log: Path, event: str, start: int) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while True:
        for line in log.read_text()[start:].splitlines():
            if line.startswith("{") and line.endswith("}"):
                told: dict[str, object] = json.loads(line)
                if str(told["event"]).startswith(event):
                    return told
        assert time.monotonic() < deadline, log.read_text()[-3_000:]
        time.sleep(0.05)


@pytest.mark.network
def test_a_signal_is_all_that_it_takes(tmp_path: Path) -> None:
    with process(tmp_path) as (file, log, reload):
        text = file.read_text()
        file.write_text(text + 'level = "error"\nlevels = ["dchat.node.process=info"]\n[rate_limit]\nenabled = false\n'
                        '[mempool]\nsize = 7\n')  # fmt: skip
        told = reload("loaded the options again")
        assert told["taken"] == "rate_limit.enabled,log.level,log.levels"
        assert told["needs_restart"] == "mempool.size"
        quiet = log.stat().st_size
        file.write_text(text.replace("block_time = 100", 'block_time = "soon"'))
        assert "[consensus] block_time" in str(reload("options were not loaded again, and none was changed")["error"])
        file.write_text(text + "[network2]\n")
        assert "unknown section [network2]" in str(reload("options were not loaded again")["error"])
        said = [json.loads(line) for line in log.read_text()[quiet:].splitlines()]
        assert not [line for line in said if line["event"] == "committed"]  # of a room that is silent
        file.write_text(text)
        assert reload("loaded the options again")["taken"] == "rate_limit.enabled,log.level,log.levels"
        assert line_with(log, "committed", log.stat().st_size)["node"]
