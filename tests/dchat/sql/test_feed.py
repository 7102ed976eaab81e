"""The node's side: what is sent again, what is held from pruning, and what a node does that cannot write."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from chain.tx.messages import Payment
from consensus.pruning.needs import Need
from consensus.system.clock import ThreadWorkers
from dchat.client.client import Client
from dchat.client.wallet import Session
from dchat.config import Config, ConfigError, load
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home import identity
from dchat.home.errors import HomeError
from dchat.home.home import Home
from dchat.node.preflight import check_options
from dchat.node.process import EXIT_USAGE, code_of
from dchat.sql import connection
from dchat.sql.errors import SqlMissing, SqlRefused
from dchat.sql.feed import FOLLOWING, REFUSED, WAITING, SqlFeed
from dchat.sql.frames import Pipe, Sent, encode
from dchat.sql.stored import Stored
from dchat.sql.writer import Frame, Target
from tests.support.node.running import QUICK, Running, running_node, until
from tests.support.sql.chain import app_hash, chain, hash_of
from tests.support.sql.compare import assert_same
from tests.support.sql.processes import worker_of
from tests.support.sql.server import PASSWORD, Server, sql_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with sql_server() as running:
        yield running


class Blocks:
    """A node's stores with blocks that grow and are pruned by hand."""

    def __init__(self, blocks: list[Frame]) -> None:
        self.by_height = {made.height: made for made in blocks}
        self.base, self.height = blocks[0].height, blocks[-1].height

    def load_block_bytes(self, height: int) -> bytes | None:
        return self.by_height[height].block if self.base <= height <= self.height else None

    def load_encoded(self, height: int) -> bytes | None:
        return self.by_height[height].results if self.base <= height <= self.height else None

    def load_meta(self, height: int) -> Any:
        return SimpleNamespace(block_id=SimpleNamespace(hash=hash_of(self.by_height[height])))

    def stored(self) -> Stored:
        return Stored(self, self, lambda: self.height)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- without a server


def test_frames_come_as_they_were_sent_however_the_pipe_cuts_them() -> None:
    sent = [Sent(Frame(height, b"b" * height, b"r" * (height // 2)), height % 3, height == 5) for height in range(1, 6)]
    read, write = os.pipe()
    data = b"".join(map(encode, sent))
    pipe, got, at = Pipe(read), [], 0
    for size in (1, 5, 20, 7, len(data)):
        os.write(write, data[at : at + size])
        at += size
    while len(got) < len(sent):
        got.append(pipe.next())
    assert got == sent
    pipe.pause(0)
    os.close(write)
    with pytest.raises(EOFError):
        pipe.next()
    with pytest.raises(EOFError):
        pipe.pause(60)
    os.close(read)


def made_feed(blocks: Blocks, held: list[int], hold_blocks: int) -> SqlFeed:
    return SqlFeed(
        Target("", "dchat", "chain", ""), blocks.stored(), ThreadWorkers(1), hold=held.append, hold_blocks=hold_blocks
    )


async def test_the_first_block_is_looked_for_beside_the_loop() -> None:
    """After a state sync none of the headers that were fetched for evidence has results: it took seconds."""
    blocks, looked = Blocks(list(chain(5))), set[str]()

    def load_encoded(height: int) -> bytes | None:
        looked.add(threading.current_thread().name)
        return blocks.by_height[height].results if height == 5 else None

    blocks.load_encoded = load_encoded  # type: ignore[method-assign]
    feed = made_feed(blocks, [], 0)
    feed._heard({"at": 0, "hash": ""})
    reader = asyncio.StreamReader()
    read, write = os.pipe()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb"))
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(write, "wb")
    )
    sending = asyncio.create_task(feed._send(asyncio.StreamWriter(transport, protocol, None, loop)))
    want = encode(Sent(blocks.by_height[5], 1, True))
    assert await asyncio.wait_for(reader.readexactly(len(want)), 30) == want
    sending.cancel()
    transport.close()
    assert looked
    assert not {name for name in looked if "engine" not in name}


async def test_what_sql_has_not_got_is_held_as_far_as_the_bound_goes() -> None:
    blocks, held = Blocks(list(chain(50))), list[int]()
    blocks.height = 10
    feed = made_feed(blocks, held, 20)
    assert held == [1]  # before the first word of SQL
    feed._heard({"at": 4, "hash": hash_of(blocks.by_height[4]).hex()})
    feed.block_saved(11)
    assert held[-1] == 5
    with capture_logs() as said:
        for blocks.height in range(12, 31):
            feed.block_saved(blocks.height)
    assert held[-1] == 11
    assert [line["log_level"] for line in said] == ["error"], "once: pruning goes on past it"
    feed._heard({"saved": 30, "blocks": 26, "transactions": 3})
    feed.block_saved(31)
    assert held[-1] == 31
    assert (feed.metrics.blocks, feed.metrics.transactions) == (26, 3)


@pytest.mark.parametrize(
    ("base", "at", "block_hash", "why"),
    [
        pytest.param(6, 4, "", "blocks 5 to 5 would be missing", id="pruned in between"),
        pytest.param(1, 4, "ab", "not the same history", id="another history"),
    ],
)
async def test_what_does_not_fit_is_refused(base: int, at: int, block_hash: str, why: str) -> None:
    blocks = Blocks(list(chain(10)))
    blocks.base = base
    with pytest.raises(SqlRefused, match=why):
        made_feed(blocks, [], 5)._heard({"at": at, "hash": block_hash})


async def test_the_first_block_is_the_lowest_that_has_results() -> None:
    """After a state sync there may be blocks whose results nobody has."""
    blocks = Blocks(list(chain(6)))
    real = blocks.load_encoded
    blocks.load_encoded = lambda height: real(height) if height > 3 else None  # type: ignore[method-assign]
    assert blocks.stored().first() == 4
    blocks.height = 3
    assert blocks.stored().first() == 0
    with pytest.raises(SqlRefused, match="block 2"):
        blocks.stored().read(2)


@pytest.mark.parametrize(
    "value",
    [
        "mysql://u:hunter2@h/d",
        "host=h password=hunter2",
        "postgresql://u:hun@ter2@h/d",
        "postgresql://u:hunter2@h:x/d",
        7,
    ],
)
def test_a_connection_that_is_none_is_refused_without_being_shown(value: object, tmp_path: Path) -> None:
    file = tmp_path / "options.toml"
    text = f'"{value}"' if isinstance(value, str) else value
    file.write_text(f"[sql]\nconnection = {text}\n")
    with pytest.raises(ConfigError) as raised:
        load(file, environment={})
    assert "[sql] connection" in str(raised.value)
    assert "ter2" not in str(raised.value)


def test_options_do_not_show_the_connection() -> None:
    config = load(None, environment={"DCHAT_SQL__CONNECTION": "postgresql://u:hunter2@h/d"}).config
    assert config.sql.connection
    assert "hunter2" not in repr(config) + str(config)
    assert Config().sql.connection == ""


async def test_without_the_library_a_node_does_not_start_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> object:
        raise ImportError("No module named 'psycopg'")

    monkeypatch.setattr(connection.importlib, "import_module", missing)
    with pytest.raises(SqlMissing, match=r"pip install 'dchat-validator\[sql\]'") as raised:
        async with running_node(tmp_path, options=options("postgresql:///nowhere")):
            pass
    assert code_of(raised.value) == EXIT_USAGE
    home = tmp_path / "validator1"
    config = load(home / "validator-config.toml", environment={}).config
    with pytest.raises(HomeError, match="pip install"):
        check_options(Home.of(home, config), config)


# ---------------------------------------------------------------------------------------------------- with a node


def options(url: str, schema: str = "dchat") -> str:
    return f'\n[sql]\nconnection = "{url}"\nschema_name = "{schema}"\n'


def feed_of(running: Running) -> SqlFeed:
    assert running.node.feed is not None
    return running.node.feed


async def pay(running: Running, times: int) -> int:
    async with running.client() as client:
        sender = running.account("alice")
        session = Session(client, sender.wallet)
        for _ in range(times):
            paid = await session.send([Payment(sender.address, running.account("bob").address, 5)])
        return paid.height


async def until_quiet(condition: Callable[[], bool]) -> None:
    await until(condition, timeout_s=60.0)


async def test_a_node_writes_what_it_does_whatever_becomes_of_server_and_worker(server: Server, tmp_path: Path) -> None:
    url = server.new_database("of_a_node")
    with capture_logs() as said:
        async with running_node(tmp_path, options=options(url)) as running, running.client() as client:
            feed = feed_of(running)
            paid = await pay(running, 2)
            await until_quiet(lambda: feed.saved_height >= paid and feed.state == FOLLOWING)
            status = running.node.views.status()["sql"]
            assert status == {"state": FOLLOWING, "height": feed.saved_height, "lag": feed.lag}
            assert (await client.status()).sql.height >= paid

            worker = worker_of(os.getpid())
            assert worker is not None
            os.kill(worker, signal.SIGKILL)
            paid = await pay(running, 1)
            await until_quiet(lambda: feed.saved_height >= paid)
            assert running.node.tasks._faults.failures["write into SQL"] == 1
            assert worker_of(os.getpid()) not in (None, worker)

            await asyncio.to_thread(server.stop, "immediate")
            paid = await pay(running, 2)
            await until_quiet(lambda: feed.state == WAITING)
            assert running.node.views.ready()[0]
            wanted = Need(feed.saved_height + 1, "held: the SQL database has not got it yet")
            assert wanted in running.node.retention.blocks.holds.needs()
            await asyncio.to_thread(server.start)
            await until_quiet(lambda: feed.saved_height >= paid and feed.state == FOLLOWING)
            assert await assert_same(client, server, url) >= paid
            assert not running.failures
    assert worker_of(os.getpid()) is None, "it ends with the node"
    assert PASSWORD not in str(said)
    assert any("SQL is not written to" in line["event"] for line in said)


async def test_a_block_whose_results_were_wrong_is_written_anew(server: Server) -> None:
    """A node that executed wrongly was mended: what was on its way when SQL goes back is not taken for what follows."""
    blocks = Blocks(list(chain(30, wrong=[9])))
    blocks.height = 9
    target = Target(server.url("postgres"), "mended", "chain", "00")
    workers = ThreadWorkers(1)
    feed = SqlFeed(target, blocks.stored(), workers)
    running = asyncio.ensure_future(feed.run())
    try:
        await until_quiet(lambda: feed.saved_height == 9)
        blocks.by_height = {made.height: made for made in chain(30)}
        blocks.height = 30
        feed.block_saved(30)
        await until_quiet(lambda: feed.saved_height == 30)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        workers.close()
    told = server.ask(target.connection, "SELECT height, app_hash FROM blocks ORDER BY 1", schema="mended")
    assert told == [(height, app_hash(height).hex()) for height in range(1, 31)]
    assert server.ask(target.connection, "SELECT count(*) FROM transactions", schema="mended") == [(60,)]


async def test_a_node_that_is_refused_goes_on_and_says_so(server: Server, tmp_path: Path) -> None:
    url = server.new_database("of_another")
    async with running_node(tmp_path / "other", options=options(url)) as running:
        await until_quiet(lambda: feed_of(running).saved_height > 0)
    with capture_logs() as said:
        async with running_node(tmp_path / "ours", options=options(url)) as running:
            feed = feed_of(running)
            await until_quiet(lambda: feed.state == REFUSED)
            height = running.node.views.answers.height
            await until_quiet(lambda: running.node.views.answers.height > height)
            ready, told = running.node.views.ready()
            assert ready
            assert "belongs to chain" in told["failing"]["write into SQL"]
            assert running.node.views.status()["sql"]["state"] == REFUSED
    assert PASSWORD not in str(said)


async def test_a_node_that_is_killed_in_the_middle_leaves_no_gap_and_writes_nothing_twice(
    server: Server, tmp_path: Path
) -> None:
    """kill -9 of the process, wherever it is just then (failure 21)."""
    url = server.new_database("of_a_process")
    network = make_network(tmp_path, validators=1, pace=QUICK, ports=free_ports(1))
    (node,) = network.nodes
    file = network.home_of(node) / "validator-config.toml"
    file.write_text(file.read_text() + options(url))
    sender, recipient = (identity.load(network.folder / network.accounts[name]) for name in ("alice", "bob"))
    written = 0
    for _ in range(2):
        pid = await asyncio.to_thread(processes.start, network, node)
        try:
            await until_quiet(lambda: is_listening(node.ports.grpc))
            async with Client(f"127.0.0.1:{node.ports.grpc}") as client:
                await client.wait_for_height(1)
                session = Session(client, sender.wallet)
                while (height := written_in(server, url)) <= written:
                    await session.send([Payment(sender.address, recipient.address, 5)])
                written = height
        finally:
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                await asyncio.to_thread(os.waitpid, pid, 0)  # only then its databases are free
    async with running_node(tmp_path) as running, running.client() as client:
        await until_quiet(lambda: feed_of(running).saved_height > written)
        assert await assert_same(client, server, url) > written


def is_listening(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def written_in(server: Server, url: str) -> int:
    """The last height there; 0: no table is there yet, or no row."""
    if server.ask(url, "SELECT to_regclass('chain')") == [(None,)]:
        return 0
    found = server.ask(url, "SELECT height FROM chain")
    return int(found[0][0]) if found else 0
