"""What administers a node: who may, that all others get one answer, and that each call is in the audit log."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from consensus.p2p.conn.address import parse_address
from dchat.audit.trail import Entry, Trail
from dchat.cli.main import dchat
from dchat.devnet.leases import free_ports
from dchat.doors.admin.keys import AdminKeys, KeyFile, KeysError
from dchat.home.sockets import own_socket
from tests.support.node.running import Running, running_node
from tests.support.p2p.peers import Node as PeerNode
from tests.support.p2p.peers import running, until

PATHS = ("peers/connect", "peers/bridge", "reload", "log")
NOBODY = f"{'ab' * 20}@127.0.0.1:1"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_node(tmp_path) as running:
        yield running


def home_of(node: Running) -> Path:
    return node.network.home_of(node.network.nodes[0])


def add_key(node: Running, name: str) -> str:
    told = CliRunner().invoke(dchat, ["--home", str(home_of(node)), "admin", "add-key", name])
    assert told.exit_code == 0, told.output
    return str(json.loads(told.output)["key"])


async def call(
    node: Running, path: str, body: Any = None, *, key: str = "", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """body: None: a GET."""
    said = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
    url = f"http://127.0.0.1:{node.ports[1]}/admin/{path}"
    verb = "GET" if body is None else "POST"
    async with aiohttp.ClientSession() as http, http.request(verb, url, json=body, headers=said) as answer:
        return answer.status, await answer.json()


def lines(node: Running, what: str) -> list[Entry]:
    return [entry for entry in Trail(home_of(node) / "audit.log").entries() if entry.what == what]


async def test_without_a_key_nobody_administers_over_http_and_all_hear_the_same(node: Running) -> None:
    """From loopback neither: a proxy on this machine has the internet behind it."""
    told = [await call(node, path, {}) for path in PATHS]
    key = add_key(node, "ops")
    others = [
        f"Bearer {key[:-1]}", f"Bearer {key}x", f"Basic {key}", key, "Bearer", "Bearer " + "x" * 3_000,
        "Bearer dchat_" + "A" * 43, "Bearer \xff",
    ]  # fmt: skip
    for said in others:
        told.append(await call(node, "reload", {}, headers={"Authorization": said}))
    CliRunner().invoke(dchat, ["--home", str(home_of(node)), "admin", "remove-key", "ops"])
    told.append(await call(node, "reload", {}, key=key))
    assert {json.dumps(one) for one in told} == {json.dumps(told[0])}
    assert told[0][0] == 401
    assert node.node.doors.admin.refused == len(told)
    assert len(lines(node, "admin refused")) == 1, "nobody fills the audit log from outside"


async def test_who_has_a_key_does_until_it_is_taken_away(node: Running) -> None:
    first, second = add_key(node, "ops-a"), add_key(node, "ops-b")
    for key in (first, second):
        assert (await call(node, "peers", key=key))[0] == 200
    CliRunner().invoke(dchat, ["--home", str(home_of(node)), "admin", "remove-key", "ops-a"])
    assert (await call(node, "peers", key=first))[0] == 401
    assert (await call(node, "peers", key=second))[0] == 200
    file = home_of(node) / "config" / "admin_keys.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert second not in file.read_text()
    file.chmod(0o640)
    assert (await call(node, "peers", key=second))[0] == 401, "where others may read it, no key counts"
    file.chmod(0o600)
    assert (await call(node, "peers", key=second))[0] == 200
    file.write_text("{}")
    assert (await call(node, "peers", key=second))[0] == 401


async def test_each_call_is_in_the_audit_log_with_its_caller(node: Running) -> None:
    key = add_key(node, "ops-alice")
    status, told = await call(node, "peers/connect", {"address": NOBODY}, key=key)
    assert (status, told["connected"], told["peer_id"]) == (200, False, "ab" * 20)
    assert "127.0.0.1:1" in told["reason"]
    (asked,), (ended,) = lines(node, "admin call"), lines(node, "admin call ended")
    assert (asked.details["caller"], asked.details["client"]) == ("key ops-alice", "127.0.0.1")
    assert NOBODY in asked.details["said"]
    assert (ended.details["call"], ended.details["ended"]) == ("POST /admin/peers/connect", "done")
    assert next(entry.what for entry in Trail(home_of(node) / "audit.log").entries()) == "dchat admin add-key"
    assert key not in (home_of(node) / "audit.log").read_text()


async def test_of_a_peer_that_is_connected_an_address_is_looked_at(node: Running) -> None:
    """What is kept unseen is redialed for ever, the day that the peer is gone."""
    key, switch = add_key(node, "ops"), node.node.switch
    other, third = (PeerNode(name, network=node.network.chain_id) for name in ("other", "third"))
    async with running(other, third):
        await other.switch.dial(parse_address(f"{switch.id}@127.0.0.1:{switch.listen_port}"))
        await until(lambda: switch.is_connected(other.id))
        for address, why in (
            (f"{other.id}@127.0.0.1:{free_ports(1)[0].p2p}", "not at this address"),
            (f"{other.id}@127.0.0.1:{third.switch.listen_port}", f"at this address is {third.id}"),
        ):
            status, told = await call(node, "peers/connect", {"address": address, "keep": True}, key=key)
            assert (status, told["connected"], told["kept"]) == (200, False, False), told
            assert why in told["reason"]
            assert "is connected already (by its own, 127.0.0.1:" in told["reason"]
        assert not switch.config.persistent_peers
        for keep in (False, True):  # it came by itself: what it listens at is looked at
            told = (await call(node, "peers/connect", {"address": other.address, "keep": keep}, key=key))[1]
            assert (told["connected"], told["reason"], told["kept"]) == (True, None, keep), told
        assert [*switch.config.persistent_peers] == [other.address]
        assert switch.is_connected(other.id), "it was left as it was"


async def test_nothing_is_done_that_cannot_be_recorded(node: Running) -> None:
    key = add_key(node, "ops")
    (home_of(node) / "audit.log").chmod(0o644)
    status, told = await call(node, "peers/connect", {"address": NOBODY, "keep": True}, key=key)
    assert (status, "cannot be recorded" in told["error"]) == (503, True)
    assert node.node.switch.config.persistent_peers == ()


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("peers/connect", {"address": "127.0.0.1"}, "no port"),
        ("peers/connect", {"address": "127.0.0.1:1"}, "whose address is it"),
        ("peers/connect", {"address": NOBODY, "peer_id": "cd" * 20}, "say one of them"),
        ("peers/connect", {"address": "127.0.0.1:1", "peer_id": "x"}, "40 hex characters"),
        ("peers/connect", {"address": "x" * 60_000}, "at most 512"),
        ("peers/connect", {"address": 7}, "of another type; allowed: str"),
        ("peers/connect", {"adress": NOBODY}, "no field of this call; allowed: peer_id, address, keep"),
        ("peers/bridge", {"partitions": ["here"]}, "allowed: 2 to 64"),
        ("peers/bridge", {"partitions": ["here", "here"]}, "each once"),
        ("peers/bridge", {"partitions": ["here", "ab" * 20]}, "no address of"),
        ("peers/bridge", {"partitions": ["here", "127.0.0.1:1"]}, "names no node"),
        ("peers/bridge", {"partitions": ["here", 7]}, "allowed are texts"),
        ("peers/bridge", [], "no JSON object"),
    ],
)
async def test_what_is_asked_wrongly_is_told(node: Running, path: str, body: Any, said: str) -> None:
    status, told = await call(node, path, body, key=add_key(node, "ops"))
    assert (status, said in told["error"]) == (400, True), told


async def test_a_page_of_another_origin_cannot_ask(node: Running) -> None:
    """Without being asked whether it may, which nobody here answers: a form sends no JSON."""
    key = add_key(node, "ops")
    url = f"http://127.0.0.1:{node.ports[1]}/admin/reload"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/plain"}
    async with aiohttp.ClientSession() as http:
        async with http.post(url, data=b"{}", headers=headers) as answer:
            assert (answer.status, "Content-Type" in await answer.text()) == (400, True)
        async with http.post(
            url, json={}, headers={"Authorization": headers["Authorization"], "Host": "evil"}
        ) as answer:
            assert answer.status == 403
        async with http.get(f"http://127.0.0.1:{node.ports[1]}/") as answer:
            assert "admin" not in await answer.text()


async def test_who_owns_the_home_needs_no_key_and_nobody_else_opens_its_socket(node: Running) -> None:
    socket = home_of(node) / "run" / "admin.sock"
    assert socket.stat().st_mode & 0o777 == 0o600
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as http:
        async with http.get("http://node/admin/peers") as answer:
            assert (await answer.json())["node_id"] == node.node.switch.id
        async with http.post("http://node/admin/peers/bridge", json={"partitions": ["here", "away"]}) as answer:
            told = await answer.json()
            assert told == {"connected_before": 1, "dialed": [], "connected": 0, "not_dialed": 0}
        async with http.get("http://node/status") as answer:
            assert answer.status == 404, "it administers, and does nothing else"
        async with http.post("http://node/admin/peers/bridge", json={"partitions": []}) as answer:
            assert answer.status == 400
        async with http.post("http://node/admin/reload", json={}) as answer:
            assert (answer.status, "starts still" in await answer.text()) == (503, True), "no process is around it here"
    assert {entry.details["caller"] for entry in lines(node, "admin call")} == {f"uid {os.getuid()}"}


@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
async def test_a_socket_is_its_owners_alone_and_the_processs_umask_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    """A folder that a thread made while the umask was another's had no x, and nothing could be written into it."""
    path = tmp_path / "run" / "admin.sock"
    path.parent.mkdir(mode=0o755)
    before = os.umask(umask)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "umask", lambda _: pytest.fail("it is the whole process's"))
            made = own_socket(path)
    finally:
        os.umask(before)
    made.close()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_node_that_stops_leaves_no_socket(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        socket = home_of(running) / "run" / "admin.sock"
        assert socket.exists()
    assert not socket.exists()


async def test_guesses_cost_what_they_are_worth(tmp_path: Path) -> None:
    options = '\n[rate_limit]\nrequests_per_second = 20\ntrusted_proxies = ["127.0.0.1"]\n'
    async with running_node(tmp_path, options=options) as running:
        headers = {"X-Forwarded-For": "192.0.2.7"}
        found = [(await call(running, "reload", {}, headers=headers))[0] for _ in range(6)]
    assert found[:2] == [401, 401]
    assert 503 in found, "twenty plain requests' worth each"


# ------------------------------------------------------------------------------------------------ the file of keys


def test_every_key_is_compared_whatever_was_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = KeyFile(tmp_path / "keys")
    made = [file.add(f"k{index}", made="2026-01-01T00:00:00Z") for index in range(5)]
    compared: list[bool] = []
    compare_digest = hmac.compare_digest

    def compare(one: str, other: str) -> bool:
        compared.append(compare_digest(one, other))
        return compared[-1]

    monkeypatch.setattr(hmac, "compare_digest", compare)
    keys = AdminKeys(file.path)
    assert [keys.name_of(key) for key in made] == [f"k{index}" for index in range(5)]
    assert keys.name_of("dchat_" + "A" * 43) is None
    assert keys.name_of("") is None
    assert len(compared) == 5 * 7


@pytest.mark.parametrize("name", ["", "A", "a b", "x" * 33, "-a", "a\n", "ü"])
def test_names_are_short_and_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeysError, match="no name of a key"):
        KeyFile(tmp_path / "keys").add(name, made="")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"keys": 1}', '{"keys": [{}]}', '{"keys": [{"name": "a", "sha256": "x", "made": ""}]}',
     '{"keys": [{"name": 1, "sha256": "%s", "made": ""}]}' % ("0" * 64), "[" * 50_000, "x" * 70_000],
)  # fmt: skip
def test_a_broken_file_has_no_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeysError, match="keys"):
        KeyFile(path).load()
    assert AdminKeys(path).name_of("dchat_" + "A" * 43) is None


def test_a_file_that_leads_elsewhere_or_is_none_has_no_keys(tmp_path: Path) -> None:
    made = KeyFile(tmp_path / "made")
    key = made.add("a", made="")
    (tmp_path / "link").symlink_to(made.path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "pipe"):
        with pytest.raises(KeysError):
            KeyFile(tmp_path / name).load()
    assert AdminKeys(tmp_path / "link").name_of(key) is None
    with pytest.raises(KeysError, match="has a key 'a'"):
        made.add("a", made="")
    with pytest.raises(KeysError, match="has no key 'b'; it has: a"):
        made.remove("b")


async def test_two_commands_at_once_lose_no_key(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys")
    await asyncio.gather(*(asyncio.to_thread(file.add, f"k{index}", made="") for index in range(12)))
    assert sorted(one.name for one in file.load()) == sorted(f"k{index}" for index in range(12))
