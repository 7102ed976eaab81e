"""The client without asyncio: the same answers and errors, from any thread, and nothing is left when it ends."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dchat.client import NodeUnreachable, TxRefused
from dchat.client.blocking import Dchat, connect
from dchat.client.blocking.loop import Loop
from dchat.home.identity import generate
from tests.support.node.running import Running, running_node

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """On a loop of its own, in a thread."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[Running] = []

    async def serve() -> None:
        async with running_node(tmp_path_factory.mktemp("chain")) as one:
            found.append(one)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(60)
    yield found[0]
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


def as_(running: Running, name: str) -> Dchat:
    genesis = running.network.home_of(running.network.nodes[0]) / "config" / "genesis.json"
    return connect(running.grpc, trust=genesis, identity=running.account(name))


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "dchat client"]


@pytest.mark.network
def test_pays_reads_and_follows(running: Running) -> None:
    before = len(ours())
    with as_(running, "alice") as chat:
        to = generate()
        done = chat.pay(to.address, "1 DCHAT")
        assert done.proved_by
        assert chat.balance(to.address) == 1_000_000
        with pytest.raises(TxRefused):
            chat.pay(to.address, "900000000 DCHAT")
        events = chat.events("transfer", where={"recipient": to.address_text}, from_height=1)
        assert next(events).tx_hash == done.hash
        with ThreadPoolExecutor(8) as threads:  # from many threads at once, while an iterator is open
            list(threads.map(lambda number: chat.pay(to.address, number, memo=str(number)), range(1, 17)))
        amounts = sorted(int(next(events).attributes["amount"].removesuffix("udchat")) for _ in range(16))
        assert amounts == list(range(1, 17))
        for block in chat.blocks(1):
            assert block.block.header.height == 1
            break
    assert len(ours()) == before
    chat.close()
    with pytest.raises(RuntimeError, match="closed"):
        chat.balance()


@pytest.mark.network
def test_within_a_running_loop_as_in_a_notebook(running: Running) -> None:
    async def cell() -> int:
        with as_(running, "bob") as chat:
            return chat.balance()

    assert asyncio.run(cell()) > 0


def test_one_that_is_forgotten_leaves_no_thread() -> None:
    before = len(ours())
    chat = connect("127.0.0.1:1", believe_nodes_of="somewhere")
    with pytest.raises(NodeUnreachable):
        chat.status()
    assert len(ours()) == before + 1
    del chat
    gc.collect()
    assert len(ours()) == before


def test_a_loop_runs_what_it_is_given_and_never_waits_for_itself() -> None:
    loop = Loop()

    async def within() -> str:
        try:
            loop.run(asyncio.sleep(0))
        except RuntimeError as error:
            return str(error)
        return ""

    assert "wait for itself" in loop.run(within())
    blocked = threading.Event()

    async def for_ever() -> None:
        blocked.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(loop.run, for_ever())
        assert blocked.wait(10)
        loop.close()
        with pytest.raises(RuntimeError, match="closed meanwhile"):
            waiting.result(10)


# What only a node or a person at a terminal needs.
NOT_OURS = (
    "aiohttp", "click", "crc32c", "cronsim", "grpc_health", "grpc_reflection", "plyvel", "prometheus_client",
    "pydantic", "pyrage", "rich", "structlog", "tomlkit", "uvloop", "psycopg", "botocore",
)  # fmt: skip


def test_it_needs_nothing_that_only_a_node_needs() -> None:
    code = f"""
    import sys
    for name in {NOT_OURS!r}:
        sys.modules[name] = None
    import dchat.client
    for name in dchat.client.__all__:
        if name not in ("pack", "pack_make", "pack_verify", "trails", "stall"):
            getattr(dchat.client, name, None)
    import dchat.client.blocking, dchat.client.front.chat, dchat.client.front.messages
    from dchat.client import pack_verify, pack_make, stall, trails, light_provider
    import chain.tx.messages, bridge.records
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, check=True, timeout=60)
