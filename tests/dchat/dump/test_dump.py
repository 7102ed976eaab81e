"""`dchat debug dump|bundle`: of a process that runs, one whose loop is held, a home at rest; and no secret in any."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from dchat.config import Config
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.dump.asking import NotTold, Process, stacks_of
from dchat.dump.hiding import HIDDEN, Secrets, options_json
from dchat.dump.packed import FOLDER, MEMBER_BYTES_MAX, pack, tail_of
from dchat.home.home import Home
from tests.support.node.machine import Alone, alone, set_option, until

PASSWORD = "hunter2-of-the-database"
PASSPHRASE = "correct horse battery staple"
HELD = """
import asyncio, sys, time
from pathlib import Path
from dchat.dump.own import OwnDump

def hold() -> None:
    Path(sys.argv[1], "held").touch()
    time.sleep(600)

async def main() -> None:
    own = OwnDump(Path(sys.argv[1]))
    own.arm()
    asyncio.get_running_loop().call_soon(hold)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def seeds_of(home: Path) -> list[bytes]:
    """Read as their formats say, not by the code that hides them."""
    validator = json.loads((home / "config" / "priv_validator_key.json").read_text())["priv_key"]["value"]
    node = json.loads((home / "config" / "node_key.json").read_text())["priv_key"]["value"]
    operator = json.loads((home / "identity.json").read_text())["private_key"]["value"]
    return [base64.b64decode(one)[:32] for one in (validator, node, operator)]


def written_forms(seed: bytes) -> list[str]:
    pair = base64.b64encode(seed).decode()
    return [seed.hex(), seed.hex().upper(), pair, pair[:40]]  # 40 of base64 begin the pair's form, too


def dchat(home: Path, *words: str, code: int | None = 0) -> str:
    """code: None: any."""
    done = subprocess.run(
        [sys.executable, "-m", "dchat", *words], cwd=home, env={**os.environ, "DCHAT_HOME": str(home)}, text=True,
        capture_output=True, check=False, timeout=180,
    )  # fmt: skip
    assert code in (None, done.returncode), done.stdout + done.stderr
    return done.stdout + done.stderr


def members_of(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            assert member.isfile()
            assert member.mode == 0o600
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.removeprefix(f"{FOLDER}/")] = file.read().decode()
        return found


def plant_secrets(one: Alone) -> list[str]:
    """Where no node of ours writes one: in the log, in options, in a file with a passphrase."""
    (one.home / "pass").write_text(PASSPHRASE + "\n")
    (one.home / "pass").chmod(0o600)
    set_option(one.home, "validator", 'passphrase_file = "pass"')
    set_option(one.home, "sql", f'connection = "postgresql://dchat:{PASSWORD}@db.example/dchat"')
    secrets = [PASSWORD, PASSPHRASE]
    for seed in seeds_of(one.home):
        secrets += written_forms(seed)
    (one.home / "validator.log").write_text("\n".join(["a line of the log", *secrets, "the last line"]) + "\n")
    return secrets


@pytest.mark.network
def test_a_running_node_is_packed_without_a_secret(tmp_path: Path) -> None:
    with alone(tmp_path / "net") as one:
        one.process.start()
        secrets = plant_secrets(one)  # the node that runs has read its options before
        told = json.loads(dchat(one.home, "debug", "bundle", "--output", "node.tar.gz", "--profile", "1s"))
        shown = dchat(one.home, "debug", "dump")
        refused = dchat(one.home, "debug", "bundle", "--output", "node.tar.gz", code=2)
    path = one.home / "node.tar.gz"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "is there already: it is never written over" in refused
    members = members_of(path)
    assert set(told["members"]) == set(members)
    assert set(members) >= {
        "manifest.json", "versions.json", "config.json", "status.json", "consensus.json", "peers.json", "metrics.txt",
        "tasks.json", "threads.txt", "profile.json", "process.json", "home.json", "sign_record.json", "log.txt",
        "why.jsonl",
    }  # fmt: skip
    for text in (*members.values(), shown):
        assert [secret for secret in secrets if secret in text] == []
    assert HIDDEN in members["log.txt"]
    assert members["log.txt"].startswith("a line of the log\n")
    looked_at(members)
    assert json.loads(shown)["tasks"]["tasks_in_all"] > 5


@pytest.mark.network
def test_a_process_that_was_stopped_is_named(tmp_path: Path) -> None:
    """Its ports take connections, and nobody answers there: each command says what a person can do."""
    with alone(tmp_path / "net") as one, alone(tmp_path / "other") as other:
        running = one.process.start().running
        assert running is not None
        running.send_signal(signal.SIGSTOP)
        until(lambda: state_of(running.pid) == "T", "it is stopped")
        named = f"the process {running.pid} is stopped (T): kill -CONT {running.pid} lets it go on"
        local = [one.http.replace("127.0.0.1", "localhost"), one.grpc.replace("127.0.0.1", "localhost")]
        by_address = [("health", "--url", local[0]), ("status", "--node", local[1])]
        own = [("health",), ("status",), ("network", "stats"), *by_address]
        with ThreadPoolExecutor() as at_once:
            of_own = [at_once.submit(dchat, one.home, *words, code=4) for words in own]
            of_another = [at_once.submit(dchat, other.home, *words, code=4) for words in by_address]
        for words, said in zip(own, of_own, strict=True):
            assert said.result().endswith(f"; {named}\n"), words
        for said in of_another:  # of another's node nothing is known
            assert "did not answer" in said.result()
            assert "is stopped" not in said.result()
        told = json.loads(dchat(one.home, "debug", "bundle", "--output", "node.tar.gz"))["not_told"]
        assert {told[name] for name in ("threads", "tasks", "metrics")} == {named}
        running.send_signal(signal.SIGCONT)
        until(lambda: '"ok"' in dchat(one.home, "health", code=None), "it goes on")


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def looked_at(members: dict[str, str]) -> None:
    tasks = json.loads(members["tasks.json"])
    places = [place for task in tasks["tasks"] for place in task["at"]]
    assert any("consensus/engine/" in place for place in places), places
    assert "most recent call first" in members["threads.txt"]
    assert json.loads(members["profile.json"])["looks"] >= 1
    assert json.loads(members["sign_record.json"])["height"] >= 1
    assert "signature" not in members["sign_record.json"]
    assert json.loads(members["config.json"])["sql"]["connection"] == HIDDEN
    files = {file["path"]: file for file in json.loads(members["home.json"])["files"]}
    assert files["config/node_key.json"]["mode"] == "-rw-------"
    assert "dchat_chain_height" in members["metrics.txt"]
    assert json.loads(members["why.jsonl"].splitlines()[-1])["height"] >= 1


def test_a_home_at_rest_is_packed_too(tmp_path: Path) -> None:
    network = make_network(tmp_path / "net", validators=1, ports=free_ports(1))
    home = network.home_of(network.nodes[0])
    told = json.loads(dchat(home, "debug", "bundle", "--output", "node.tar.gz"))
    assert told["not_told"]["threads"] == "no process runs on this home"
    assert told["not_told"]["status"] == told["not_told"]["threads"], "another node may have its port"
    assert "--log-file names it" in told["not_told"]["log.txt"]
    assert {"config.json", "home.json", "sign_record.json", "versions.json"} <= set(told["members"])
    assert "allowed: up to 120s" in dchat(
        home, "debug", "bundle", "--output", "other.tar.gz", "--profile", "1h", code=2
    )
    assert not (home / "other.tar.gz").exists()
    dumped = json.loads(dchat(home, "debug", "dump", "--output", "node.json"))
    written = (home / "node.json").read_text()
    assert (dumped["file"], dumped["bytes"]) == ("node.json", len(written.encode()))
    assert set(dumped["told"]) == json.loads(written).keys() - {"made", "not_told"}
    assert dumped["not_told"].keys() == json.loads(written)["not_told"].keys()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param(
            f'[sql]\nconnection = "postgresql:/dchat:{PASSWORD}@db/dchat"\n[p2p]\nmax_inbound_peers = "many"\n',
            "[p2p] max_inbound_peers", id="two options that cannot be used",
        ),
        pytest.param(
            f'[sql]\nconnection = "postgresql://dchat:{PASSWORD}@db/dchat"\n[validator\n', "is not TOML", id="no TOML"
        ),
        pytest.param(
            f'[tracing]\nendpoint = "http://me:{PASSWORD}@collector:4317"\n', "[tracing] endpoint", id="a URL with one"
        ),
        pytest.param(
            f'[sql]\nconnection = "postgresql://dchat:{PASSWORD}@db/dchat"\n[sqll]\na = 1\n', "unknown section [sqll]",
            id="an unknown section",
        ),
    ],
)  # fmt: skip
def test_a_home_with_faulty_options_is_packed_too(tmp_path: Path, options: str, why: str) -> None:
    """For whom it is made: why the options cannot be used is said, and all else, and none of what is secret in them."""
    network = make_network(tmp_path / "net", validators=1, ports=free_ports(1))
    home = network.home_of(network.nodes[0])
    (home / "validator-config.toml").write_text(options)
    (home / "validator.log").write_text(f"no to {PASSWORD}\n")
    said = dchat(home, "debug", "bundle", "--output", "node.tar.gz")
    told, members = json.loads(said), members_of(home / "node.tar.gz")
    assert why in told["not_told"]["config"]
    assert "config.json" not in members
    assert {"home.json", "sign_record.json", "versions.json", "log.txt"} <= set(members)
    assert json.loads(members["manifest.json"])["not_told"]["config"] == told["not_told"]["config"]
    shown = dchat(home, "debug", "dump")
    assert why in json.loads(shown)["not_told"]["config"]
    assert [text for text in (said, shown, *members.values()) if PASSWORD in text] == []


@contextmanager
def running(code: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", code, *words])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def home_of(root: Path) -> Home:
    home = Home.of(root)
    home.dump.mkdir(parents=True)
    return home


def test_where_a_held_loop_is_can_be_seen(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    with running(HELD, str(home.dump)) as process:
        until((home.dump / "held").exists, "its loop is held")
        asked = Process(home, process.pid)
        until(lambda: "in hold" in asked.threads(), "its thread is where the loop is held")
        with pytest.raises(NotTold, match="its loop had no turn"):
            asked.tasks()
        profile = asked.profile(0.3)
        assert any(stack.endswith(":hold") for stack in profile["stacks"]), profile
        assert process.poll() is None
    assert stat.S_IMODE((home.dump / "threads.txt").stat().st_mode) == 0o600


def test_a_process_that_hears_no_signal_is_sent_none(tmp_path: Path) -> None:
    """It would end it: a validator of an older build."""
    home = home_of(tmp_path)
    with running("import time; print(flush=True); time.sleep(600)") as process:
        asked = Process(home, process.pid)
        for ask in (asked.threads, asked.tasks):
            with pytest.raises(NotTold, match="does not hear SIGUSR"):
                ask()
        assert process.poll() is None
    with pytest.raises(NotTold):
        Process(home, process.pid).threads()


@pytest.mark.parametrize("text", ["seed {hex}", "{HEX}", "a={base64},", "pair {pair}", "{urlsafe}"])
def test_a_key_is_hidden_in_every_form(tmp_path: Path, text: str) -> None:
    network = make_network(tmp_path / "net", validators=1, ports=free_ports(1))
    home = Home.of(network.home_of(network.nodes[0]))
    hide = Secrets(home, Config()).hide
    for seed in seeds_of(home.root):
        told = text.format(
            hex=seed.hex(), HEX=seed.hex().upper(), base64=base64.b64encode(seed).decode(),
            pair=_pair_of(home.root, seed), urlsafe=base64.urlsafe_b64encode(seed).decode().rstrip("="),
        )  # fmt: skip
        hidden = hide(told)
        assert HIDDEN in hidden
        assert all(form not in hidden for form in written_forms(seed))
    public = json.loads((home.root / "identity.json").read_text())["address"]
    assert hide(f"from {public}") == f"from {public}"


def test_a_key_that_was_given_up_is_a_secret_still(tmp_path: Path) -> None:
    """Who has it can have the validator slashed, as long as evidence is valid (docs/signer.md)."""
    network = make_network(tmp_path / "net", validators=1, ports=free_ports(1))
    home = Home.of(network.home_of(network.nodes[0]))
    seed = seeds_of(home.root)[0]
    retired = home.places.retired_keys / "ab.json"
    retired.parent.mkdir()
    home.validator_key.rename(retired)
    hidden = Secrets(home, Config()).hide("\n".join(written_forms(seed)))
    assert [form for form in written_forms(seed) if form in hidden] == []


@pytest.mark.parametrize(
    "phrase", ['in "quotes" and \\ back', "grüße aus dem süden", "it's 'this' one", "a/b c?d@e%41 %"]
)
def test_a_passphrase_is_hidden_as_others_write_it(tmp_path: Path, phrase: str) -> None:
    """In JSON, in JSON within JSON, as Python and URLs write it, and as its bytes."""
    (tmp_path / "pass").write_text(phrase + "\n")
    (tmp_path / "pass").chmod(0o600)
    config = Config.model_validate({"validator": {"passphrase_file": "pass"}})
    once = json.dumps({"error": f"no {phrase}"})
    data = phrase.encode()
    told = [
        once, json.dumps({"error": f"no {phrase}"}, ensure_ascii=False), json.dumps({"line": once}), repr(phrase),
        f"https://u:{quote(phrase, safe='')}@h/", data.hex(), base64.b64encode(data).decode(),
    ]  # fmt: skip
    hide = Secrets(Home.of(tmp_path, config), config).hide
    assert [text for text in told if HIDDEN not in hide(text)] == []


def test_a_password_of_a_url_is_hidden_as_it_is_meant_too(tmp_path: Path) -> None:
    config = Config.model_validate({"sql": {"connection": "postgresql://dchat:sl%2Fash%40and%25more@db/dchat"}})
    hide = Secrets(Home.of(tmp_path), config).hide
    assert hide('the server says no to "sl/ash@and%more"') == f'the server says no to "{HIDDEN}"'
    assert hide("no to sl%2Fash%40and%25more") == f"no to {HIDDEN}"


def test_options_that_nobody_else_may_read_are_no_secrets(tmp_path: Path) -> None:
    """Those that are have names: else `enabled = true` would be hidden wherever it stands."""
    (tmp_path / "validator-config.toml").write_text("[tracing]\nenabled = true\n")
    (tmp_path / "validator-config.toml").chmod(0o600)
    assert Secrets(Home.of(tmp_path), Config()).hide("enabled = true") == "enabled = true"


def _pair_of(home: Path, seed: bytes) -> str:
    for name in ("config/priv_validator_key.json", "config/node_key.json", "identity.json"):
        document: dict[str, Any] = json.loads((home / name).read_text())
        value = str((document.get("priv_key") or document["private_key"])["value"])
        if base64.b64decode(value)[:32] == seed:
            return value
    raise AssertionError("of no file")


def test_options_tell_whether_a_secret_is_set_and_no_more() -> None:
    config = Config.model_validate({"sql": {"connection": f"postgresql://dchat:{PASSWORD}@db/dchat"}})
    told = options_json(config)
    assert (told["sql"]["connection"], told["sql"]["schema_name"]) == (HIDDEN, "dchat")
    assert options_json(Config())["sql"]["connection"] == ""


def test_what_is_too_long_keeps_its_end_and_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    long = "begin" + "x" * MEMBER_BYTES_MAX + "end"
    pack(path, {"log.txt": long, "short.txt": "all"}, str, {"status": "away"})
    members = members_of(path)
    assert len(members["log.txt"]) == MEMBER_BYTES_MAX
    assert members["log.txt"].endswith("xend")
    manifest = json.loads(members["manifest.json"])
    assert manifest["cut_from_bytes"] == {"log.txt": len(long)}
    assert manifest["not_told"] == {"status": "away"}
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        pack(path, {}, str, {})
    assert path.read_bytes() == before


def test_together_the_members_have_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    pack(path, {f"{number}.txt": "x" * MEMBER_BYTES_MAX for number in range(12)}, str, {})
    assert sum(map(len, members_of(path).values())) <= 33 << 20


def test_a_tail_begins_with_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("first line\nsecond line\nthird\n")
    assert tail_of(path, 100) == "first line\nsecond line\nthird\n"
    assert tail_of(path, 12) == "third\n"


def test_stacks_are_read_outermost_first() -> None:
    told = (
        'Thread 0x1 (most recent call first):\n  File "/a/b/c.py", line 3 in wait\n  File "/a/b/d.py", line 9 in run\n'
        '\nCurrent thread 0x2 (most recent call first):\n  File "/x/y.py", line 1 in <module>\n'
    )
    assert stacks_of(told) == ["b/d.py:run;b/c.py:wait", "x/y.py:<module>"]
