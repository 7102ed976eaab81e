"""Ports of tests and benchmarks: two programs that run at once never choose the same."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dchat.devnet import leases
from dchat.devnet.leases import NoPortsLeft, free_ports, lease_ports

CHOOSES = """
import json, sys
from dchat.devnet import leases
leases.LEASED_PORTS = range(int(sys.argv[1]), int(sys.argv[2]))
print(json.dumps(leases.lease_ports(int(sys.argv[3]))), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> range:
    """Twelve ports that only this test leases, by a file of its own."""
    first = lease_ports(1, in_a_row=12)[0]
    monkeypatch.setattr(leases, "LEASED_PORTS", range(first, first + 13))
    monkeypatch.setattr(leases, "_LEASES", leases._Leases())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return range(first, first + 12)


def choosing(few: range, count: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", CHOOSES, str(few.start), str(few.stop + 1), str(count)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ.copy())


def test_two_programs_choose_all_ports_between_them(few: range) -> None:
    with choosing(few, 7) as other:
        assert other.stdout is not None
        theirs = json.loads(other.stdout.readline())
        ours = lease_ports(5)
        assert sorted([*theirs, *ours]) == list(few)
        with pytest.raises(NoPortsLeft, match=r"found 0 of 1 free ports from .* try again"):
            lease_ports(1)
        other.kill()  # whatever way it ends
    assert sorted(lease_ports(7)) == sorted(theirs)


def test_a_port_that_somebody_listens_on_is_not_chosen(few: range) -> None:
    with socket.create_server(("127.0.0.1", few[3])):
        assert sorted(lease_ports(11)) == [port for port in few if port != few[3]]


def test_ports_in_a_row(few: range) -> None:
    assert lease_ports(1, in_a_row=12) == [few.start]


def test_a_file_of_leases_that_cannot_be_opened_is_named(few: range, tmp_path: Path) -> None:
    (tmp_path / f"dchat-ports-{os.getuid()}.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NoPortsLeft, match=r"dchat-ports-\d+\.lock: .*: remove it, or set TMPDIR"):
        lease_ports(1)
    assert not (tmp_path / "elsewhere").exists()


def test_validators_get_five_each() -> None:
    ports = free_ports(3)
    numbers = [number for one in ports for number in (one.p2p, one.http, one.metrics, one.grpc, one.rpc)]
    assert len(set(numbers)) == 15
