"""Number 7a: new homes whose peers can't be reached wait for them, for as long as it takes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from dchat.devnet.network import make_network
from dchat.devnet.processes import undisturbed, wait_for
from tests.campaigns.hostile.cases import Case
from tests.campaigns.hostile.run import STOP_S, Result, Rules

HOLD_S = 130.0  # the old code ended within 12 to 104 s
DEAD_PORT = 9  # nobody listens there


def hold_homes(case: Case, rules: Rules, folder: Path, hold_s: float = HOLD_S) -> Result:
    """Four validators, each told of the others where nobody listens."""
    result = Result(case)
    network = make_network(folder / "homes")
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for node in network.nodes:
            home = network.home_of(node).absolute()
            config = home / "validator-config.toml"
            text = config.read_text()
            for other in network.nodes:
                at = f"{other.node_id}@{network.host}"
                text = text.replace(f"{at}:{other.ports.p2p}", f"{at}:{DEAD_PORT}")
            config.write_text(text)
            command = [str(rules.root / ".venv" / "bin" / "python"), "-m", "dchat", "validator", "--home", str(home)]
            with undisturbed(), (home / "validator.log").open("ab") as log:
                processes[node.name] = subprocess.Popen(
                    command, cwd=rules.root, stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )
        began = time.monotonic()
        wait_for(lambda: any(process.poll() is not None for process in processes.values()), hold_s)
        for name, process in processes.items():
            if process.poll() is not None:
                last = (folder / "homes" / name / "validator.log").read_text().splitlines()[-1:]
                held = f"{time.monotonic() - began:.0f} s"
                result.failures.append(f"{name} ended with {process.returncode} within {held}: {''.join(last)[-120:]}")
    finally:
        with undisturbed():
            _stop(result, list(processes.values()))
    return result


def _stop(result: Result, processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    began = time.monotonic()
    wait_for(lambda: all(process.poll() is not None for process in processes), STOP_S)
    result.stop_s = time.monotonic() - began
    for process in processes:
        if process.poll() is None:
            result.failures.append(f"process {process.pid} did not stop within {STOP_S:g} s")
            process.kill()
        process.wait()
