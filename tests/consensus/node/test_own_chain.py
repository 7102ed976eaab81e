"""A chain of one's own: in this process with any application, and as processes by the example's command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from consensus.core.events import CoreConfig
from consensus.node.door import CONNECTIONS_MAX, Door
from consensus.node.errors import TransactionRefused, UnusableHome
from consensus.node.home import NodeHome, Settings, make_network
from consensus.node.node import running
from consensus.system.errors import EXIT_CONSENSUS_FAILURE
from dchat.devnet.leases import lease_ports
from tests.support.engine.kvapp import KeyValueApp

ROOT = Path(__file__).parents[3]
EXAMPLE, PAGE = ROOT / "examples" / "key_value.py", ROOT / "docs" / "your-own-chain.md"
QUICK = CoreConfig(timeout_commit_ms=0, create_empty_blocks_interval_ms=50)
BUDGET_S = 180.0  # of a busy machine; a quiet one needs ten seconds


def base_port(nodes: int) -> int:
    """So many pairs of ports that are free."""
    return lease_ports(1, in_a_row=2 * nodes)[0]


async def call(port: int, path: str, **parameters: str) -> dict[str, Any]:
    """The answer, or the error in it. Raises OSError while nobody listens."""

    def get() -> dict[str, Any]:
        url = f"http://127.0.0.1:{port}/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=BUDGET_S) as answer:
                told: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as refused:
            told = json.load(refused)
        return told

    return await asyncio.to_thread(get)


def test_the_example_is_as_short_as_promised() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 60


async def test_any_application_runs_in_process(tmp_path: Path) -> None:
    """Submitted, read, and there after a restart; what is refused says why."""
    port = base_port(1)
    (home,) = make_network([tmp_path / "home"], chain_id="own", base_port=port, app_state=b'{"begun":true}')
    async with asyncio.timeout(BUDGET_S):
        async with running(home, KeyValueApp, core=QUICK) as node:  # of the tests: it knows nothing of this room
            done = await node.submit(b"colour=blue")
            assert (done.result.code, node.find(b"colour=blue")) == (0, done)
            assert node.query(b"colour").value == b"blue"
            await node.wait_for_height(done.height + 2)
            with pytest.raises(TransactionRefused):
                await node.submit(b"nothing")
            with pytest.raises(TransactionRefused, match="seen before"):
                await node.submit(b"colour=blue")
            assert node.find(b"unheard of") is None
            reached = node.height
        async with running(home, KeyValueApp, core=QUICK) as node:
            assert node.height >= reached
            assert node.query(b"colour").value == b"blue"
            assert node.find(b"colour=blue") == done
            await node.wait_for_height(reached + 2)
            assert not node.ended.done()


async def test_four_of_them_in_one_process_agree(tmp_path: Path) -> None:
    """As a test of somebody's own application would: no process but this one."""
    roots = [tmp_path / f"node{number}" for number in range(4)]
    homes = make_network(roots, chain_id="own", base_port=base_port(4))
    async with asyncio.timeout(BUDGET_S), contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(running(home, KeyValueApp, core=QUICK)) for home in homes]
        done = await asyncio.gather(*(node.submit(b"from%d=1" % number) for number, node in enumerate(nodes)))
        last = max(one.height for one in done)
        await asyncio.gather(*(node.wait_for_height(last) for node in nodes))
        for number in range(4):
            assert [node.query(b"from%d" % number).value for node in nodes] == [b"1"] * 4
        assert {node.find(b"from2=1") for node in nodes} == {done[2]}


async def test_the_counter_of_the_page_counts(tmp_path: Path) -> None:
    """Its code as it stands there, from an empty folder, within one process."""
    counter, program = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "counter.py").write_text(counter)
    assert program.count("28656") == 1
    (tmp_path / "program.py").write_text(program.replace("28656", str(base_port(1))))
    for said in ("0 b'1'", "TransactionRefused: expected a number above 1"):
        async with asyncio.timeout(BUDGET_S):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "program.py",
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            out, _ = await process.communicate()
        assert said in out.decode()


async def test_the_door_says_what_is_wrong(tmp_path: Path) -> None:
    port = base_port(1)
    (home,) = make_network([tmp_path / "home"], chain_id="own", base_port=port)
    async with asyncio.timeout(BUDGET_S), running(home, KeyValueApp, core=QUICK) as node:
        door = Door(node, node.settings.door)
        await door.start()
        try:
            at = port + 1
            assert "in quotes" in (await call(at, "broadcast_tx_commit", tx="a=b"))["error"]["message"]
            assert "hexadecimal" in (await call(at, "abci_query", data="0xzz"))["error"]["message"]
            misspelt = (await call(at, "abci_query", dat='"k"'))["error"]
            assert "no parameter 'dat'; allowed: data, path" in misspelt["message"]
            assert (
                "allowed: /status, /broadcast_tx_commit, /abci_query" in (await call(at, "stats"))["error"]["message"]
            )
            refused = (await call(at, "broadcast_tx_commit", tx='"no"'))["result"]
            assert (refused["check_tx"]["code"], refused["height"]) == (1, "0")
            taken = (await call(at, "broadcast_tx_commit", tx="0x" + b"k=v".hex()))["result"]
            assert (taken["check_tx"]["code"], taken["tx_result"]["code"], int(taken["height"]) > 0) == (0, 0, True)
            status = (await call(at, "status"))["result"]
            assert status["node_info"] == {"id": node.engine.switch.id, "network": "own"}
            for name, text in (("Host", "evil.example:1"), ("Sec-Fetch-Site", "cross-site")):
                asked = urllib.request.Request(f"http://127.0.0.1:{at}/status", headers={name: text})
                with pytest.raises(urllib.error.HTTPError):
                    await asyncio.to_thread(urllib.request.urlopen, asked)
        finally:
            await door.stop()


async def test_idle_connections_keep_nobody_from_the_door(tmp_path: Path) -> None:
    port = base_port(1)
    (home,) = make_network([tmp_path / "home"], chain_id="own", base_port=port)
    async with asyncio.timeout(BUDGET_S), running(home, KeyValueApp, core=QUICK) as node:
        door = Door(node, node.settings.door)
        await door.start()
        idle = [await asyncio.open_connection("127.0.0.1", port + 1) for _ in range(CONNECTIONS_MAX + 10)]
        try:
            assert (await call(port + 1, "status"))["result"]["node_info"]["network"] == "own"
            assert await idle[0][0].read() == b""  # the oldest went
        finally:
            for _, writer in idle:
                writer.close()
            await door.stop()


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        pytest.param("config/genesis.json", "{}", "chain_id", id="genesis"),
        pytest.param("config/genesis.json", None, "cannot be read", id="no genesis"),
        pytest.param("config/node_key.json", "[]", "node_key", id="node key"),
        pytest.param("config/priv_validator_key.json", "{", "priv_validator_key", id="validator key"),
        pytest.param("config/settings.json", '{"peer": []}', "no other keys than p2p, door, peers", id="unknown key"),
        pytest.param("config/settings.json", '{"peers": "x"}', "peers a list", id="a wrong type"),
        pytest.param("data/priv_validator_state.json", None, "sign twice", id="no record of what was signed"),
    ],
)
def test_a_home_that_cannot_be_used_says_which_file(tmp_path: Path, path: str, text: str | None, said: str) -> None:
    (home,) = make_network([tmp_path / "home"], chain_id="own")
    genesis, _, key, settings = home.load()
    assert [one.pub_key for one in genesis.validators] == [key.pub_key]
    assert settings == Settings(p2p="127.0.0.1:26656", door="127.0.0.1:26657")
    (home.root / path).unlink()
    if text is not None:
        (home.root / path).write_text(text)
    with pytest.raises(UnusableHome, match=said) as refused:
        home.load()
    assert str(home.root / path) in str(refused.value)


# ---------------------------------------------------------------------------------------------------- as processes


class Command:
    """The example's command, and the lines that it wrote so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reads = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(re.sub(r"\x1b\[[0-9;]*m", "", line.decode()))

    def pid_of(self, node: str) -> int:
        (line,) = [line for line in self.lines if re.search(rf" started .*node={node}\b", line)]
        return int(re.findall(r"pid=(\d+)", line)[0])

    def kill(self, node: str) -> None:
        """Raises AssertionError, with the last lines: it ended by itself."""
        try:
            os.kill(self.pid_of(node), signal.SIGKILL)
        except ProcessLookupError:
            raise AssertionError("\n".join([f"{node} is gone:", *self.lines[-40:]])) from None

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = await self.process.wait()
        await self._reads
        return code


@contextlib.asynccontextmanager
async def command(*words: str, script: Path = EXAMPLE) -> AsyncIterator[Command]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), *words, stderr=asyncio.subprocess.PIPE, cwd=ROOT
    )
    made = Command(process)
    try:
        yield made
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def value_at(port: int, key: str, want: bytes) -> None:
    """Wait until the node has it."""
    while True:
        with contextlib.suppress(OSError):
            told = (await call(port, "abci_query", data=f'"{key}"'))["result"]["response"]["value"]
            if told and b64decode(told) == want:
                return
        await asyncio.sleep(0.1)


@pytest.mark.network
async def test_four_validators_keep_what_was_set_through_a_kill(tmp_path: Path) -> None:
    port = base_port(4)
    doors = [port + 2 * number + 1 for number in range(4)]
    network = tmp_path / "network"
    async with (
        asyncio.timeout(BUDGET_S),
        command("--home", str(network), "--validators", "4", "--base-port", str(port)) as all_four,
    ):
        await until_answers(doors)
        told = await call(doors[0], "broadcast_tx_commit", tx='"colour=blue"')
        assert told["result"]["tx_result"]["code"] == 0, told
        for door in doors:
            await value_at(door, "colour", b"blue")
        all_four.kill("node3")
        told = await call(doors[1], "broadcast_tx_commit", tx='"shape=round"')
        assert told["result"]["tx_result"]["code"] == 0, told
        async with command("--home", str(network / "node3")) as third:
            await value_at(doors[2], "shape", b"round")  # made while it was down
            await value_at(doors[2], "colour", b"blue")
            told = await call(doors[2], "broadcast_tx_commit", tx='"colour="')
            assert b64decode(told["result"]["tx_result"]["data"]) == b"blue"
            assert await third.stop() == 0
        assert await all_four.stop() == 0
        assert any("node3 ended with -9" in line for line in all_four.lines)


async def until_answers(doors: list[int]) -> None:
    for door in doors:
        while True:
            with contextlib.suppress(OSError):
                if int((await call(door, "status"))["result"]["sync_info"]["latest_block_height"]):
                    break
            await asyncio.sleep(0.1)


async def test_a_port_that_is_taken_makes_no_chain(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ("--home", str(tmp_path / "home"), "--validators", "2", "--base-port", str(port - 3))
        async with asyncio.timeout(BUDGET_S), command(*words) as refused:
            assert await refused.process.wait() == 1
            await refused._reads
    assert "--base-port" in refused.lines[-1]
    assert not NodeHome(tmp_path / "home").root.exists()


async def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    async with asyncio.timeout(BUDGET_S), command("--home", str(tmp_path)) as refused:
        assert await refused.process.wait() == 1
        await refused._reads
        assert "holds something else than nodes" in refused.lines[-1]
    assert os.listdir(tmp_path) == ["letter.txt"]  # noqa: PTH208, RUF100
    assert not NodeHome(tmp_path).genesis.exists()


BROKEN = """
from consensus.node.application import MapApplication
from consensus.node.program import run

class Broken(MapApplication):
    def end_block(self, request, state):
        key = b"secret" * 2
        raise RuntimeError("nothing works")

run(Broken)
"""


async def test_a_failure_is_told_with_no_value_of_a_variable(tmp_path: Path) -> None:
    """A key may be one of them."""
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    words = ("--home", str(tmp_path / "home"), "--base-port", str(base_port(1)))
    async with asyncio.timeout(BUDGET_S), command(*words, script=script) as broken:
        assert await broken.process.wait() == EXIT_CONSENSUS_FAILURE
        await broken._reads
    said = "".join(broken.lines)
    assert "Traceback (most recent call last):" in said
    assert 'raise RuntimeError("nothing works")' in said
    assert "secretsecret" not in said
