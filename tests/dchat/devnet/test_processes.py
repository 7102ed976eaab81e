"""Which process runs on a home of a test network, however its home was named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network

HOLDS = """
import fcntl, os, sys
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(str(os.getpid()))
    file.flush()
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("words", "is_found"), [
    pytest.param(("validator", "--home", "{home}"), True, id="absolute"),
    pytest.param(("validator", "--takeover", "--home", "validator1"), True, id="from where it was started"),
    pytest.param(("validator", "--home=./validator1"), True, id="in one word"),
    pytest.param(("validator", "--home", "validator2"), False, id="another home"),
    pytest.param(("--home", "{home}"), False, id="no validator"),
])  # fmt: skip
def test_who_runs_on_a_home(tmp_path: Path, words: tuple[str, ...], is_found: bool) -> None:
    network = make_network(tmp_path / "net", validators=2, ports=free_ports(2))
    node = network.nodes[0]
    home = network.home_of(node)
    assert home.name == "validator1"
    assert processes.running_pid(network, node) is None
    (home / "data").mkdir(exist_ok=True)
    arguments = [word.format(home=home) for word in words]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(home / "data" / "validator.pid"), *arguments],
        cwd=home.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline() == "held\n"
        assert processes.running_pid(network, node) == (running.pid if is_found else None)
        assert running.stdin is not None
        running.stdin.close()
    assert processes.running_pid(network, node) is None
