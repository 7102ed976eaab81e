"""Four real processes, of which two change their consensus keys while the chain goes on: one that runs through, and one
that is killed between the transaction and the height from which its new key signs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dchat.devnet import processes
from dchat.devnet.network import Network
from tests.campaigns.logs import double_signatures
from tests.support.cli.network import four_running, height, until_height

pytestmark = pytest.mark.network
WITHIN_S = 180.0
LATE = 3  # votes that a busy machine may cost each validator; by a change of keys none is


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with four_running(tmp_path) as made:
        yield made


def ask(network: Network, index: int, path: str) -> Any:
    url = f"http://{network.host}:{network.nodes[index].ports.http}{path}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def dchat(network: Network, home: Path, *words: str) -> str:
    node = f"{network.host}:{network.nodes[1].ports.grpc}"
    said = [sys.executable, "-m", "dchat", *words, "--home", str(home)]
    if words[0] in ("tx", "query"):
        said += ["--node", node]
    done = subprocess.run(said, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def address_in(file: Path) -> str:
    return str(json.loads(file.read_text())["address"]).upper()


def rotate(network: Network, index: int) -> tuple[str, str, int]:
    """(old address, new one, height of the block that has it)."""
    home = network.home_of(network.nodes[index])
    old = address_in(home / "config" / "priv_validator_key.json")
    dchat(network, home, "signer", "next-key")
    new = address_in(home / "config" / "priv_validator_next_key.json")
    told = json.loads(dchat(network, home, "tx", "stake", "rotate-key", "--from", str(home / "identity.json")))
    assert told["code"] == 0, told
    return old, new, int(told["height"])


def signers(network: Network, at: int) -> set[str]:
    """Consensus addresses that signed for the block of a height, by the commit that is kept of it."""
    block = ask(network, 1, f"/v1/blocks/{at + 1}")["block"]
    signatures = block["last_commit"]["signatures"]
    return {one["validator_address"].upper() for one in signatures if one.get("signature")}


def why(network: Network, index: int, at: int) -> Any:
    """Its record is written a moment after the block."""
    deadline = time.monotonic() + WITHIN_S
    while (told := ask(network, index, f"/why?height={at}"))["record"] is None:
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    return told


def remembered(network: Network, index: int, heights: range, change: int, *, old: str, new: str) -> None:
    """Each of these heights, by the key that was its validator's then. change: from where the new one signs."""
    for one in heights:
        told = why(network, index, one)
        assert told["record"]["address"] == (new if one >= change else old), told
        assert told["cause"] != "not_in_set", told
        voted = {old, new} & signers(network, one)
        after = why(network, index, one + 1)["record"]
        assert after["before"] == ("commit" if voted else "absent"), (one, told, after)


def synced_anew(network: Network, index: int, until: int) -> None:
    """As after a loss of the databases: only its keys, those it gave up, and their records are left."""
    node = network.nodes[index]
    assert processes.stop(network, (node,)) == [node]
    for path in (network.home_of(node) / "data").iterdir():
        if path.is_dir() and path.name != "retired":
            shutil.rmtree(path)
    processes.start(network, node)
    until_height(network, index, until, within_s=WITHIN_S)


def test_keys_change_while_the_chain_goes_on(network: Network) -> None:
    until_height(network, 1, 3, within_s=WITHIN_S)
    old, new, at = rotate(network, 0)
    home = network.home_of(network.nodes[0])
    pid = processes.running_pid(network, network.nodes[0])
    until_height(network, 1, at + 12, within_s=WITHIN_S)
    missed = []
    for one in range(at - 1, at + 10):
        assert not {old, new} <= signers(network, one)
        by = new if one >= at + 2 else old
        if by not in signers(network, one):
            missed.append(one)
    assert len(missed) <= LATE, missed
    assert processes.running_pid(network, network.nodes[0]) == pid  # no restart
    assert address_in(home / "config" / "priv_validator_key.json") == new
    assert address_in(home / "config" / "retired" / f"{old.lower()}.json") == old
    assert not (home / "config" / "priv_validator_next_key.json").exists()
    assert (home / "config" / "priv_validator_key.json").stat().st_mode & 0o777 == 0o600
    assert ask(network, 0, "/status")["validator_address"].upper() == new
    remembered(network, 0, range(at - 1, at + 10), at + 2, old=old, new=new)
    synced_anew(network, 0, at + 12)
    remembered(network, 0, range(2, at + 10), at + 2, old=old, new=new)

    other = network.nodes[2]
    old, new, at = rotate(network, 2)
    processes.kill(network, other)
    processes.start(network, other)
    until_height(network, 2, at + 8, within_s=WITHIN_S)
    deadline = time.monotonic() + WITHIN_S
    while new not in signers(network, height(network, 1) - 2):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert address_in(network.home_of(other) / "config" / "priv_validator_key.json") == new
    found = ask(network, 1, f"/v1/validators/by-consensus-address/{old}")["validator"]
    assert found["consensus_address"].upper() == new
    assert [one["address"].upper() for one in found["rotations"]] == [old]
    synced_anew(network, 2, at + 12)
    remembered(network, 2, range(at - 1, at + 10), at + 2, old=old, new=new)
    slots, twice = double_signatures([network.home_of(node) for node in network.nodes])
    assert slots > 50
    assert twice == []
