"""`dchat network` and `dchat admin` against two real processes that do not know each other until they are told."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from dchat.audit.trail import Trail
from dchat.cli.main import dchat
from dchat.cli.network import network_commands
from dchat.cli.network.network_commands import bytes_text, summary
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, make_network
from tests.support.cli.network import PACE

NOBODY = "ab" * 20


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Two validators that need each other for a block, and have no address of each other."""
    made = make_network(tmp_path_factory.mktemp("n"), validators=2, pace=PACE, ports=free_ports(2))
    try:
        for node in made.nodes:
            file = made.home_of(node) / "validator-config.toml"
            kept = [line for line in file.read_text().splitlines() if not line.startswith("bootstrap_validators")]
            file.write_text("\n".join(kept) + "\n[log]\nlevel = 'info'\n")
            processes.start(made, node)
        assert processes.wait_for(lambda: all(call(made, at, "stats").exit_code == 0 for at in (1, 2)), 60)
        yield made
    finally:
        for node in made.nodes:
            if processes.running_pid(made, node) is not None:
                processes.kill(made, node)


def call(network: Network, at: int, *words: str, group: str = "network", env: dict[str, str] | None = None) -> Result:
    home = network.home_of(network.node(at))
    return CliRunner().invoke(dchat, ["--home", str(home), group, *words], prog_name="dchat", env=env)


def told(result: Result, *, code: int = 0) -> Any:
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def url(network: Network, at: int) -> str:
    return f"http://127.0.0.1:{network.node(at).ports.http}"


def log_of(network: Network, at: int) -> str:
    return processes.log_file(network, network.node(at)).read_text()


@pytest.mark.network
def test_two_halves_are_bridged_and_what_is_known_of_peers(apart: Network) -> None:
    """One validator of two decides nothing; over the bridge they do at once."""
    other = apart.node(2)
    assert told(call(apart, 1, "peer-list")) == {"peer_count": 0, "peers": []}
    before = told(call(apart, 1, "stats"))
    assert (before["peers"], before["ready"], before["validators"]) == (0, False, 2)
    absent = call(apart, 1, "peer-lookup", "--peer-id", other.node_id)
    assert (absent.exit_code, absent.stdout.strip()) == (3, "null")
    unknown = call(apart, 1, "activate-bridge", "--partition-id", "here", "--partition-id", other.node_id)
    assert "http://node" not in unknown.output
    assert (unknown.exit_code, f"name it as {other.node_id}@HOST:PORT" in unknown.output) == (1, True)

    address = f"/ip4/127.0.0.1/tcp/{other.ports.p2p}/p2p/{other.node_id}"
    bridged = told(call(apart, 1, "activate-bridge", "--partition-id", "here", "--partition-id", address))
    assert (bridged["connected_before"], bridged["connected"]) == (1, 1), bridged
    assert bridged["dialed"][0]["peer_id"] == other.node_id
    assert processes.wait_for(lambda: told(call(apart, 1, "stats"))["ready"] is True, 90)

    found = told(call(apart, 1, "peer-lookup", "--peer-id", other.node_id))
    assert (found["partition"], found["connected"], found["moniker"]) == ("here", True, other.name)

    def both_voted() -> bool:
        after = told(call(apart, 1, "stats"))
        return (after["peers"], after["outbound"], after["validators_in_last_commit"]) == (1, 1, 2)

    assert processes.wait_for(both_voted, 30), told(call(apart, 1, "stats"))  # the first block has no commit before it
    again = told(call(apart, 1, "activate-bridge", "--partition-id", "here", "--partition-id", other.node_id))
    assert (again["connected_before"], again["dialed"]) == (2, [])
    nothing = call(apart, 1, "activate-bridge", "--partition-id", "here", "--partition-id", other.node_id)
    assert "nothing was dialed: this node hears all that were named" in nothing.stderr


@pytest.mark.network
def test_connect_tells_why_not_and_whom_it_keeps(apart: Network) -> None:
    refused = call(apart, 1, "connect", "--peer-id", NOBODY, "--address", "127.0.0.1:1", "--keep")
    answer = json.loads(refused.stdout)
    assert (refused.exit_code, answer["connected"], "127.0.0.1:1" in answer["reason"]) == (1, False, True)
    assert "it is tried again" in refused.output
    away = told(call(apart, 1, "peer-lookup", "--peer-id", NOBODY))
    assert (away["connected"], away["partition"], away["named"]) == (False, "away", True)
    assert away["address"] == f"{NOBODY}@127.0.0.1:1"
    none = call(apart, 1, "activate-bridge", "--partition-id", "here", "--partition-id", "away")
    assert (none.exit_code, "no bridge: none of" in none.output) == (1, True)
    told(call(apart, 1, "reload", group="admin"))
    assert call(apart, 1, "peer-lookup", "--peer-id", NOBODY).exit_code == 3, "its options do not name it"
    itself = call(apart, 1, "connect", "--address", f"{apart.node(1).node_id}@127.0.0.1:1")
    assert (itself.exit_code, "this node itself" in itself.output) == (1, True)


@pytest.mark.network
def test_another_node_is_administered_by_an_api_key(apart: Network, tmp_path: Path) -> None:
    first, words = apart.node(1), ("connect", "--address", f"{NOBODY}@127.0.0.1:1", "--url", url(apart, 2))
    without = call(apart, 1, *words)
    assert (without.exit_code, "--api-key-file" in without.output) == (2, True)
    told(call(apart, 2, "add-key", "ops", "--output", str(tmp_path / "key"), group="admin"))
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    exists = call(apart, 2, "add-key", "more", "--output", str(tmp_path / "key"), group="admin")
    assert (exists.exit_code, "not overwritten" in exists.output) == (2, True)
    key = (tmp_path / "key").read_text().strip()
    for more, env in (((), {"DCHAT_API_KEY": key}), (("--api-key-file", str(tmp_path / "key")), {})):
        asked = call(apart, 1, *words, *more, env=env)
        assert (asked.exit_code, json.loads(asked.stdout)["connected"]) == (1, False)
    lines = [entry.details for entry in Trail(apart.home_of(apart.node(2)) / "audit.log").entries()]
    assert [one["caller"] for one in lines if one.get("call") == "POST /admin/peers/connect"] == ["key ops"] * 4
    told(call(apart, 2, "remove-key", "ops", group="admin"))
    gone = call(apart, 1, *words, env={"DCHAT_API_KEY": key})
    assert (gone.exit_code, "needs an API key that counts here" in gone.output) == (1, True)
    assert told(call(apart, 2, "keys", group="admin")) == []
    elsewhere = call(apart, 1, *words[:3], "--url", "http://192.0.2.1:8080", env={"DCHAT_API_KEY": key})
    assert (elsewhere.exit_code, "without TLS" in elsewhere.output) == (2, True), "nobody reads it on its way"
    broken = call(apart, 1, *words, env={"DCHAT_API_KEY": "x"})
    assert (broken.exit_code, "holds no API key" in broken.output) == (2, True)
    assert call(apart, 1, "peer-list", "--url", url(apart, 2)).exit_code == 0, "reading is for everybody"
    assert first.node_id


@pytest.mark.network
def test_levels_change_until_options_are_loaded_again(apart: Network) -> None:
    set_to = told(call(apart, 1, "log-level", "warning", "--room", "dchat.doors=debug", group="admin"))
    assert set_to == {"level": "warning", "levels": ["dchat.doors=debug"]}
    wrong = call(apart, 1, "log-level", "info", "--room", "dchat.doors", group="admin")
    assert (wrong.exit_code, "no level of a room" in wrong.output) == (1, True)
    size = len(log_of(apart, 1))
    file = apart.home_of(apart.node(1)) / "validator-config.toml"
    before = file.read_text()
    file.write_text(before + "\n[rate_limit]\nrequests_per_second = 77\n[index]\nwork_max = 2000\n")
    assert told(call(apart, 1, "reload", group="admin")) == {
        "taken": ["rate_limit.requests_per_second"], "needs_restart": ["index.work_max"],
    }  # fmt: skip
    assert "loaded the options again" in log_of(apart, 1)[size:], "info is said again"
    file.write_text("broken")
    assert call(apart, 1, "reload", group="admin").exit_code == 2
    file.write_text(before.replace("[network]\n", '[network]\nbootstrap_validators = ["nobody"]\n'))
    refused = call(apart, 1, "reload", group="admin")
    assert (refused.exit_code, "none was changed" in refused.output) == (1, True)
    file.write_text(before)
    told(call(apart, 1, "reload", group="admin"))
    calls = [entry.what for entry in Trail(apart.home_of(apart.node(1)) / "audit.log").entries()]
    assert calls.count("options loaded again") >= 2
    ended = [entry.details["ended"] for entry in Trail(apart.home_of(apart.node(1)) / "audit.log").entries()
             if entry.what == "admin call ended"]  # fmt: skip
    assert any("none was changed" in one for one in ended), "what was refused is recorded with why"


@pytest.mark.network
def test_people_see_tables(apart: Network) -> None:
    home = str(apart.home_of(apart.node(1)))
    first = apart.node(1).node_id
    for words, said in (
        (("network", "peer-list"), "latency"), (("network", "stats"), "validators in last commit"),
        (("network", "stats"), "count now"), (("network", "stats"), "B "),
        (("network", "activate-bridge", "--partition-id", "here", "--partition-id", first), "connected before"),
        (("admin", "log-level", "info"), "level"), (("admin", "reload"), "needs restart"),
        (("admin", "add-key", "seen"), "dchat_"), (("admin", "remove-key", "seen"), "removed"),
        (("status",), "latest block height"), (("upgrade", "status"), "key-rotation"), (("health",), "status"),
    ):  # fmt: skip
        reader, writer = pty.openpty()
        line = [sys.executable, "-m", "dchat", "--home", home, *words]
        subprocess.run(line, stdout=writer, check=True, timeout=120, env={**os.environ, "COLUMNS": "200"})
        os.close(writer)
        shown = b""
        while piece := _read(reader):
            shown += piece
        os.close(reader)
        assert said in shown.decode()
        assert "{" not in shown.decode()


def _read(file: int) -> bytes:
    try:
        return os.read(file, 65_536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize(
    ("address", "said"),
    [("127.0.0.1:7999", "--address 127.0.0.1:7999 does not say whose it is: give --peer-id"), ("x", "--address: ")],
)
def test_an_address_is_judged_by_its_option(tmp_path: Path, address: str, said: str) -> None:
    line = ["--home", str(tmp_path), "network", "connect", "--address", address]
    told = CliRunner().invoke(dchat, line, prog_name="dchat")
    assert (told.exit_code, said in told.output) == (2, True), told.output


def test_bytes_have_units() -> None:
    assert [bytes_text(count) for count in (0, 999, 5_200, 1_300_000, 2_000_000_000)] == [
        "0 B", "999 B", "5.2 kB", "1.3 MB", "2.0 GB",
    ]  # fmt: skip


def test_a_node_that_does_not_run_says_so(tmp_path: Path) -> None:
    made = make_network(tmp_path, validators=1, pace=PACE, ports=free_ports(1))
    for words in (("connect", "--address", f"{NOBODY}@127.0.0.1:1"), ("peer-list",), ("stats",)):
        away = call(made, 1, *words)
        assert away.exit_code == 4, away.output
    assert call(made, 1, "peer-lookup", "--peer-id", "xyz").exit_code == 2


def shown_peers(monkeypatch: pytest.MonkeyPatch, peer: dict[str, Any], width: int) -> list[str]:
    """The lines of a terminal so wide."""
    monkeypatch.setattr(network_commands, "read", lambda *_: {"peers": [peer]})
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    told = CliRunner().invoke(dchat, ["network", "peer-list"], prog_name="dchat")
    assert told.exit_code == 0, told.output
    return click.unstyle(told.stdout).splitlines()


PEER = {
    "id": NOBODY, "moniker": "validator-frankfurt-1", "remote_address": "203.0.113.200:26656", "bytes_out": 7,
    "direction": "outbound", "round_trip_seconds": 0.1234, "bytes_in": 999_900_000,
    "connected_since": "2027-01-31T12:00:00.123456789Z",
}  # fmt: skip


@pytest.mark.parametrize(("width", "more", "is_told_where"), [(80, [], True), (130, [NOBODY], False)])
def test_a_person_can_read_who_is_connected(
    monkeypatch: pytest.MonkeyPatch, width: int, more: list[str], is_told_where: bool
) -> None:
    """Before, at 80 and at 130 columns, names, addresses and latency were cut, and ids and nanoseconds were whole."""
    lines = shown_peers(monkeypatch, PEER, width)
    assert max(map(len, lines)) <= width
    want = ["validator-frankfurt-1", "203.0.113.200:26656", "out", "123.4", "ms", "999.9", "MB", "7", "B", *more]
    assert want in [line.split() for line in lines], lines
    assert any("for peer-lookup" in line for line in lines) is is_told_where


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_name_and_address_of_a_peer_go_on_in_the_next_line(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    address = f"[{':'.join(['2001'] * 8)}]:26656"
    lines = shown_peers(monkeypatch, {**PEER, "moniker": "n" * 70, "remote_address": address}, width)
    (head,) = [at for at, line in enumerate(lines) if "latency" in line]
    columns = [lines[head].index(name) for name in ("peer", "address", "way")]
    for want, start, end in zip(("n" * 70, address), columns[:-1], columns[1:], strict=True):
        table = [line for line in lines[head + 2 :] if "peer-lookup" not in line]
        assert "".join(line[start:end].strip() for line in table) == want
    assert "…" not in "".join(lines)
    assert (NOBODY in "".join(lines)) is (width == 120)


def test_what_a_door_tells_wrongly_counts_as_none() -> None:
    told = summary([{"bytes_in": "much", "round_trip_seconds": None}, {}, {"bytes_in": 3}], {}, {"ready": "yes"})
    assert (told["peers"], told["bytes_in"], told["round_trip_seconds_median"], told["ready"]) == (3, 3, None, False)
