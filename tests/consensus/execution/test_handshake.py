"""The handshake's table: every pair of heights that a stop can leave, and those that it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.engine.interfaces import SavedBlock
from consensus.simulation.disk import SimulatedDisk
from consensus.system.errors import HandshakeError
from storage.memory import MemoryStore
from tests.support.engine.bench import Home, Node, genesis_of, make_node
from tests.support.engine.kvapp import KeyValueApp

GENESIS = genesis_of(1)


def copy(store: object) -> MemoryStore:
    assert isinstance(store, MemoryStore)
    return MemoryStore(dict(store.scan()), models_crashes=True)


async def chain(heights: int) -> list[Home]:
    """Homes after each height up to `heights`, as they were on disk."""
    node = await make_node(GENESIS, 0, Home())
    saved: list[Home] = []

    class Saver:
        def block_saved(self, saved_block: SavedBlock) -> None:
            home = node.home
            assert isinstance(home.disk, SimulatedDisk)
            disk = home.disk.crashed(kept_tail_bytes=10**9)
            saved.append(Home(disk, copy(home.blocks), copy(home.state), copy(home.app)))

    for number in range(heights):
        node.pool.txs.append(b"k%d=%d" % (number, number))
    node.pool.per_block = 1
    node.driver.add_saved_listener(Saver())
    await node.driver.start()
    await node.reach(heights)
    await node.driver.stop()
    return saved


def mixed(homes: list[Home], *, store: int, state: int, app: int) -> Home:
    """A home whose databases are of different heights; 0: empty."""
    empty = Home()
    return Home(
        homes[store - 1].disk if store else empty.disk,
        blocks=homes[store - 1].blocks if store else empty.blocks,
        state=homes[state - 1].state if state else empty.state,
        app=homes[app - 1].app if app else empty.app,
    )


async def restarted(home: Home) -> Node:
    return await make_node(GENESIS, 0, home)


@pytest.mark.parametrize(
    ("store", "state", "app", "executed"),
    [
        pytest.param(4, 4, 4, 0, id="S=T=A: nothing to do"),
        pytest.param(4, 4, 2, 2, id="S=T, A behind: run what it lacks"),
        pytest.param(4, 4, 0, 4, id="S=T, A new: init chain, run all"),
        pytest.param(4, 3, 3, 1, id="S=T+1, A=T: apply the last"),
        pytest.param(4, 3, 1, 3, id="S=T+1, A behind: run, then apply the last"),
        pytest.param(4, 3, 0, 4, id="S=T+1, A new"),
        pytest.param(1, 0, 0, 1, id="S=1, nothing else"),
        pytest.param(0, 0, 0, 0, id="a new home"),
    ],
)
async def test_what_a_stop_can_leave_is_mended(store: int, state: int, app: int, executed: int) -> None:
    homes = await chain(5)
    node = await restarted(mixed(homes, store=store, state=state, app=app))
    assert node.height == node.app.height == node.executor.blocks.height == store
    assert node.app.executions == executed
    if store:
        want = (await restarted(homes[store - 1])).driver.state
        assert node.driver.state == want
        assert node.app.app_hash == want.app_hash
    await node.driver.start()
    await node.reach(store + 2)
    await node.driver.stop()


@pytest.mark.parametrize("height", [1, 4])
async def test_application_that_committed_is_not_asked_again(height: int) -> None:
    """S=T+1, A=S: the state is made from the saved response; results were saved before the application committed."""
    homes = await chain(4)
    home = mixed(homes, store=height, state=height - 1, app=height)
    if height == 1:
        home.state = (await make_node(GENESIS, 0, Home())).home.state  # as init chain left it
    key = b"r" + height.to_bytes(8, "big")
    home.state.write([(key, homes[height - 1].state.get(key))])
    node = await restarted(home)
    assert (node.height, node.app.executions) == (height, 0)
    assert node.driver.state == (await restarted(homes[height - 1])).driver.state


@pytest.mark.parametrize(
    ("store", "state", "app", "message"),
    [
        pytest.param(2, 2, 4, "the application knows blocks that are not here", id="A above S"),
        pytest.param(3, 4, 3, "one was lost", id="S below T"),
        pytest.param(0, 2, 0, "one was lost", id="no blocks"),
        pytest.param(4, 3, 4, "its results are not stored", id="A=S without results"),
    ],
)
async def test_what_no_stop_can_leave_is_refused_with_the_heights(
    store: int, state: int, app: int, message: str
) -> None:
    """Failure 27: a disk that cannot be right is found at the start, and named; the node is never wedged on it."""
    homes = await chain(4)
    with pytest.raises(HandshakeError, match=message):
        await restarted(mixed(homes, store=store, state=state, app=app))


@pytest.mark.parametrize("app", [1, 2])
async def test_blocks_that_were_gone_back_over_are_all_executed_again(app: int) -> None:
    homes = await chain(4)
    node = await restarted(mixed(homes, store=4, state=2, app=app))
    assert (node.height, node.app.executions) == (4, 4 - app)
    assert node.driver.state == (await restarted(homes[3])).driver.state


async def test_another_application_hash_is_refused_by_height() -> None:
    homes = await chain(3)
    home = mixed(homes, store=3, state=3, app=3)
    app = KeyValueApp(home.app)
    app.app_hash = b"\x01" * 32
    with pytest.raises(HandshakeError, match="hash at height 3 is 0101"):
        await make_node(GENESIS, 0, home, app=app)

    class Forgetful(KeyValueApp):
        @staticmethod
        def hash_of(pairs: dict[str, str]) -> bytes:
            return KeyValueApp.hash_of({key: value for key, value in pairs.items() if key != "k1"})

    home = mixed(homes, store=3, state=3, app=0)
    with pytest.raises(HandshakeError, match="replay: the application's hash at height 2"):
        await make_node(GENESIS, 0, home, app=Forgetful(home.app))


async def test_another_chains_state_is_refused() -> None:
    homes = await chain(1)
    with pytest.raises(HandshakeError, match="chain 'bench'"):
        await make_node(replace(GENESIS, chain_id="other"), 0, homes[0])


async def test_initial_height_above_one() -> None:
    genesis = genesis_of(1, initial_height=1000)
    home = Home()
    node = await make_node(genesis, 0, home)
    await node.driver.start()
    await node.reach(1003)
    await node.driver.stop()
    blocks = node.executor.blocks
    assert blocks.base == 1000
    again = await make_node(genesis, 0, replace(home, app=MemoryStore()))
    assert again.app.height == again.height == node.height
