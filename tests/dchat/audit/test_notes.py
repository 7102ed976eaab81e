"""What a node notes waits for whoever holds the audit log, in its order, and the node does not."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dchat.audit.notes import WAITING_MAX, Notes
from dchat.audit.trail import AuditHeld, Trail
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.devnet.processes import start, stop, wait_for


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """As another process of the same user does."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(file)


async def test_lines_wait_for_whoever_holds_it_and_follow_in_their_order_and_with_their_times(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    trail = Trail(tmp_path / "audit.log", now_s=lambda: now[0], held_s=0.0)
    notes, heads = Notes(trail), []
    with held(trail.path):
        for index in range(20):
            heads.append(notes.note("options loaded again", changed=str(index)))
            now[0] += 1
        with pytest.raises(AuditHeld, match="another process has held it"):
            Trail(trail.path, held_s=0.0).add("admin call")
        assert not any(head.done() for head in heads)
    assert [await notes.written(head) for head in heads] == [entry.hash for entry in trail.entries()]
    await notes.close()
    entries = list(trail.entries())
    assert [entry.details["changed"] for entry in entries] == [str(index) for index in range(20)]
    assert [entry.time[17:19] for entry in entries] == [f"{20 + index}" for index in range(20)]


async def test_what_is_not_written_by_the_end_is_told_line_by_line(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit.log", held_s=0.05)
    notes = Notes(trail)
    with capture_logs() as said, held(trail.path):
        heads = [notes.note("node stopped", code=code) for code in range(3)]
        await notes.close()
        await notes.close()
        heads.append(notes.note("node stopped", code=3))
        assert [head.result(timeout=0) for head in heads] == [""] * 4
    lost = [line for line in said if line["event"] == "the audit log was not written"]
    assert [(line["what"], line["its_code"]) for line in lost] == [("node stopped", code) for code in range(4)]
    assert list(trail.entries()) == []


async def test_as_many_wait_as_are_allowed(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit.log", held_s=0.0)
    notes = Notes(trail)
    with capture_logs() as said, held(trail.path):
        for index in range(WAITING_MAX + 10):
            notes.note("options loaded again", changed=str(index))
    await notes.close()
    lost = [line for line in said if line["event"] == "the audit log was not written"]
    assert 9 <= len(lost) <= 10  # the thread has one in its hands
    assert len(list(trail.entries())) == WAITING_MAX + 10 - len(lost)


@pytest.mark.network
def test_a_node_runs_while_another_process_holds_its_log(tmp_path: Path) -> None:
    network = make_network(tmp_path, validators=1, ports=free_ports(1))
    node = network.nodes[0]
    home = network.home_of(node)
    with held(home / "audit.log"):
        start(network, node)
        assert wait_for(lambda: "committed" in (home / "validator.log").read_text(), 120)
        assert "the audit log is not written yet" in (home / "validator.log").read_text()
    stop(network, (node,))
    assert [entry.what for entry in Trail(home / "audit.log").entries()] == ["node started", "node stopped"]
