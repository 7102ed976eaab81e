"""The audit log: whoever changes, removes, inserts or cuts lines is seen; nobody else may read it."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from dchat.audit.trail import FIRST, TORN, AuditBroken, AuditError, Trail
from dchat.cli.main import dchat
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.devnet.processes import start, stop, wait_for


def made(path: Path, lines: int = 5) -> Trail:
    trail = Trail(path, now_s=lambda: 1_700_000_000.25)
    for index in range(lines):
        trail.add("options loaded again", changed=f"log{index}")
    return trail


def test_lines_follow_each_other_and_are_for_their_owner_alone(tmp_path: Path) -> None:
    trail = made(tmp_path / "audit.log")
    entries = list(trail.entries())
    assert [entry.seq for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[0].before == FIRST
    assert [entry.before for entry in entries[1:]] == [entry.hash for entry in entries[:-1]]
    assert entries[0].time == "2023-11-14T22:13:20.250Z"
    assert trail.path.stat().st_mode & 0o777 == 0o600


def _changed(lines: list[str]) -> list[str]:
    return [line.replace("log2", "log9") for line in lines]


def _forged(lines: list[str]) -> list[str]:
    """With a hash of its own, which those after it do not name."""
    import hashlib

    told = json.loads(lines[2])
    del told["hash"]
    told["what"] = "nothing"
    body = json.dumps(told, sort_keys=True, separators=(",", ":"))
    line = json.dumps(
        {**told, "hash": hashlib.sha256(body.encode()).hexdigest()}, sort_keys=True, separators=(",", ":")
    )
    return [*lines[:2], line, *lines[3:]]


@pytest.mark.parametrize(
    ("change", "number"),
    [
        pytest.param(_changed, 3, id="a word is another"),
        pytest.param(_forged, 4, id="a line is another, with its own hash"),
        pytest.param(lambda lines: [*lines[:2], *lines[3:]], 3, id="a line is gone"),
        pytest.param(lambda lines: [lines[0], *lines], 2, id="a line is there twice"),
        pytest.param(lambda lines: [lines[1], lines[0], *lines[2:]], 1, id="two have changed places"),
        pytest.param(lambda lines: [*lines[:2], "rubbish", *lines[2:]], 3, id="something was put in"),
        pytest.param(lambda lines: [line.replace(",", ", ", 1) for line in lines], 1, id="written otherwise"),
    ],
)
def test_what_was_changed_is_seen_and_where(
    tmp_path: Path, change: Callable[[list[str]], list[str]], number: int
) -> None:
    trail = made(tmp_path / "audit.log")
    trail.path.write_text("\n".join(change(trail.path.read_text().splitlines())) + "\n")
    with pytest.raises(AuditBroken) as told:
        list(trail.entries())
    assert told.value.number == number


def test_what_was_cut_off_is_seen_by_a_hash_that_was_told(tmp_path: Path) -> None:
    trail = made(tmp_path / "audit.log")
    head = list(trail.entries())[-1].hash

    def verify(*words: str) -> tuple[int, str]:
        told = CliRunner().invoke(dchat, ["--home", str(tmp_path), "audit", "verify", *words])
        return told.exit_code, told.output

    assert verify("--head", head)[0] == 0
    trail.path.write_text("".join(trail.path.read_text().splitlines(keepends=True)[:-1]))
    assert verify()[0] == 0, "the rest holds"
    code, said = verify("--head", head)
    assert (code, "it was cut" in said) == (5, True)
    assert verify("--head", "abc")[0] == 2


def test_a_write_that_was_cut_off_is_told_by_the_next(tmp_path: Path) -> None:
    trail = made(tmp_path / "audit.log", lines=2)
    whole = trail.path.read_bytes()
    trail.path.write_bytes(whole[:-20])
    with pytest.raises(AuditBroken, match="not whole"):
        list(trail.entries())
    trail.add("node started")
    assert [entry.what for entry in trail.entries()] == ["options loaded again", TORN, "node started"]


@pytest.mark.parametrize("seed", range(16))
def test_a_disk_that_is_full_again_and_again_stops_the_log_no_longer_than_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """audit 82: the line that tells of a torn one was torn itself, and nothing was ever written again."""
    trail, random, write = Trail(tmp_path / "a"), Random(seed), os.write
    trail.add("node started")

    def full(file: int, data: bytes) -> int:
        room = max(1, len(data) - 1)
        return write(file, data[: random.choice((random.randint(1, room), room))])

    refused = 0
    for _ in range(12):
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            for _ in range(random.randrange(4)):
                with pytest.raises(AuditError, match="only a part of a line was written"):
                    trail.add("node stopped")
                refused += 1
        trail.add("node started")
    assert refused > 4
    whole = [entry.what for entry in trail.entries()]
    assert whole.count("node started") == 13
    assert set(whole) <= {"node started", "node stopped", TORN}  # one may lack no more than its end


def test_a_log_that_others_can_read_or_that_leads_elsewhere_is_not_written(tmp_path: Path) -> None:
    trail = made(tmp_path / "audit.log")
    trail.path.chmod(0o644)
    with pytest.raises(AuditError, match="mode 0644; allowed: 0600"):
        trail.add("node started")
    assert trail.note("node started") == "", "a node goes on"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditError):
        Trail(tmp_path / "link").add("node started")
    assert not (tmp_path / "elsewhere").exists()


def _write(path: Path) -> None:
    for index in range(50):
        Trail(path).add("options loaded again", changed=str(index))


def test_a_command_says_in_a_sentence_that_it_is_not_recorded(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert CliRunner().invoke(dchat, ["--home", str(home), "init", "--no-genesis"]).exit_code == 0
    (home / "audit.log").touch()
    (home / "audit.log").chmod(0o644)
    told = CliRunner().invoke(dchat, ["--home", str(home), "rollback"]).stderr
    assert "warning: this is not in the audit log: " in told
    assert "has mode 0644; allowed: 0600: chmod 600 it" in told
    assert "level=error" not in told


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    writers = [multiprocessing.get_context("spawn").Process(target=_write, args=(tmp_path / "a",)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert [entry.seq for entry in Trail(tmp_path / "a").entries()] == list(range(1, 151))


@pytest.mark.network
def test_a_nodes_life_and_what_is_done_to_it_are_in_its_log(tmp_path: Path) -> None:
    network = make_network(tmp_path, validators=1, ports=free_ports(1))
    node = network.nodes[0]
    home = network.home_of(node)
    start(network, node)
    assert wait_for(lambda: "committed" in (home / "validator.log").read_text(), 120)
    stop(network, (node,))

    def call(*words: str) -> tuple[int, str]:
        told = CliRunner().invoke(dchat, ["--home", str(home), *words])
        return told.exit_code, told.output

    assert call("signer", "export", "--output", str(tmp_path / "state.json"))[0] == 0
    assert call("signer", "export", "--output", str(tmp_path / "state.json"))[0] != 0, "it is there"
    code, said = call("audit", "show")
    assert code == 0
    told = json.loads(said)
    assert [entry["what"] for entry in told] == ["node started", "node stopped", *["dchat signer export"] * 2]
    assert told[0]["details"]["signs_as"] == node.address
    assert told[1]["details"] == {"code": 0, "reason": "SIGTERM"}
    assert [entry["details"]["ended"].partition(":")[0] for entry in told[2:]] == ["done", "refused"]
    assert told[2]["details"]["options"] == "output"
    code, said = call("audit", "verify")
    assert (code, json.loads(said)["lines"]) == (0, 4)
    started = [line for line in (home / "validator.log").read_text().splitlines() if "audit_head" in line]
    assert told[0]["hash"] in started[0], "a later reader can ask for it"
    assert call("audit", "show", "--what", "node stopped")[0] == 0
    assert call("--home", str(tmp_path / "nowhere"), "audit", "verify")[0] in (2, 3)
