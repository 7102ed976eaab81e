"""Every task has an owner (audit 6): what fails is told, and ends the process only where the chain needs it."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from consensus.system import tasks as node_tasks
from consensus.system.tasks import EXIT_TASK_FAILED, UNOWNED, Faults, Tasks
from tests.support.node.running import Running, running_node, until

ROOT = Path(__file__).parents[3]

# Where the product makes tasks, and who hears of their end.
MAKERS = {
    "consensus/system/tasks.py": "Tasks: vital ones end the process, others begin anew",
    "consensus/engine/driver.py": "the driver's guard: a failure ends the process",
    "consensus/execution/executor.py": "its caller awaits the execution",
    "consensus/pruning/background.py": "its rounds tell their failures, and the next block begins another",
    "consensus/mempool/journal.py": "who waits for a promise is answered with the error",
    "dchat/node/runtime.py": "whoever stops a node that left its home awaits the end of its connections",
    "dchat/node/process.py": "the process awaits its joining by a snapshot, and ends by what that raises",
    "dchat/abci/engine.py": "the process awaits its start, and ends by what that raises",
    "dchat/abci/rpc.py": "who asked awaits it, and else it gives its place back",
    "dchat/abci/process.py": "a round of pruning that fails is told, and a later block begins another",
    "dchat/statesync/maker.py": "a snapshot that fails is told and counted, and the next height tries again",
    "consensus/node/program.py": "the command awaits its signal and its processes",
    "consensus/node/gossip.py": "block sync's guard: a failure ends the process",
    "dchat/doors/http/connections.py": "the gate begins anew and tells it",
    "dchat/doors/grpc/server.py": "its sweep begins anew and tells it",
    "dchat/doors/jsonrpc/hub.py": "a subscription that fails is logged, and its reader is told",
    "dchat/doors/jsonrpc/websocket.py": "its socket awaits them, and ends by what they raise",
    "consensus/system/aside.py": "a job that fails is logged, and the next begins",
    "consensus/p2p/switch.py": "its task group, whose end `Switch.ended` raises",
    "consensus/p2p/tasks.py": "the switch's children begin anew and tell it",
    "consensus/privval/held.py": "it connects to its key; a loss is told, and the door closes it",
    "consensus/privval/remote.py": "it pings its signer; a loss is told, and the door closes it",
    "dchat/signer/process.py": "the process awaits it, and ends by what it raises",
    "dchat/sql/feed.py": "its session awaits it, and ends by what it raises",
    "dchat/cli/terminal/ask.py": "the command awaits its line of waiting, and ends by what it raises",
    "dchat/client/front/chat.py": "its task group, whose end `send_all` awaits; and a reader awaits the next event",
    "dchat/client/client.py": "its reader awaits the next message, and ends by what that raises",
    "dchat/devnet/live.py": "the benchmark awaits its followers",
    "consensus/simulation/clock.py": "its caller awaits the work, as of a thread",
    "consensus/simulation/loop.py": "the judge: a simulated process in which a task fails unseen breaks a law",
}


def test_nobody_makes_a_task_that_has_no_owner() -> None:
    """A new place must say here who hears of its end."""
    found = set()
    for folder in ("bridge", "chain", "consensus", "crypto", "dchat", "genesis", "governance", "light", "storage"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
                if name in {"create_task", "ensure_future"}:
                    found.add(path.relative_to(ROOT).as_posix())
    assert found - set(MAKERS) == set()


class Ended:
    def __init__(self) -> None:
        self.said: list[tuple[int, str]] = []

    def __call__(self, code: int, line: str) -> None:
        self.said.append((code, line))


async def _raise() -> None:
    raise RuntimeError("disk on fire")


async def _return() -> None:
    return None


@pytest.mark.parametrize(
    ("work", "why"),
    [
        pytest.param(_raise, "network failed: RuntimeError: disk on fire", id="raises"),
        pytest.param(_return, "network ended, which it must not while the node runs", id="returns"),
    ],
)
async def test_a_vital_task_ends_the_process(work: Callable[[], Awaitable[None]], why: str) -> None:
    ended = Ended()
    tasks = Tasks(ended, Faults())
    tasks.vital("network", work)
    await until(lambda: bool(ended.said))
    assert ended.said == [(EXIT_TASK_FAILED, why)]


async def test_a_side_task_begins_anew_and_is_told_until_it_is_steady(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_tasks, "RESTART_FIRST_S", 0.01)
    monkeypatch.setattr(node_tasks, "STEADY_S", 0.3)
    ended, faults, runs = Ended(), Faults(), 0
    tasks = Tasks(ended, faults)

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs <= 3:
            raise RuntimeError(f"run {runs}")
        await asyncio.Event().wait()

    with capture_logs() as said:
        tasks.side("index", work, needed=True)
        await until(lambda: runs == 4)
    assert faults.failures["index"] == 3
    assert faults.down == {"index": "RuntimeError: run 3"}
    assert faults.not_served == "index failed: RuntimeError: run 3"
    assert [line["task"] for line in said if line["log_level"] == "error"] == ["index"] * 3
    await until(lambda: not faults.down)
    assert faults.not_served is None
    await tasks.stop()
    assert tasks.names == frozenset()
    assert ended.said == []


async def test_a_side_task_that_is_done_is_not_begun_again() -> None:
    faults, runs = Faults(), 0
    tasks = Tasks(Ended(), faults)

    async def work() -> None:
        nonlocal runs
        runs += 1

    tasks.side("restore", work)
    await until(lambda: not tasks.names)
    assert (runs, faults.down) == (1, {})


async def test_what_reaches_nobody_is_told() -> None:
    faults = Faults()
    loop = asyncio.get_running_loop()
    Tasks(Ended(), faults).watch_loop(loop)
    try:
        with capture_logs() as said:
            loop.call_soon(lambda: 1 // 0)
            await until(lambda: faults.failures[UNOWNED] == 1)
        assert any("reached nobody" in line["event"] for line in said)
    finally:
        loop.set_exception_handler(None)


# ---------------------------------------------------------------------------------------------- on a running node


async def _get(running: Running, path: str, port: int = 1) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{running.ports[port]}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def _grows(running: Running) -> None:
    height = running.node.views.answers.height
    await until(lambda: running.node.views.answers.height > height + 1)


def _break(target: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr(target, name, fail)


async def test_a_failing_mempool_is_told_and_comes_back_while_blocks_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: admission ended without a line, and the node looked well."""
    monkeypatch.setattr(node_tasks, "RESTART_FIRST_S", 0.3)
    async with running_node(tmp_path) as running:
        with monkeypatch.context() as broken:
            _break(running.node.pool, "_admit_batch", broken)
            answer = await running.node.pool.submit(b"anything")
            assert answer.code
            status, text = await _get(running, "/ready")
            assert (status, "mempool failed" in text) == (503, True)
            _, metrics = await _get(running, "/metrics", 2)
            assert 'dchat_part_failures_total{part="mempool"} 1.0' in metrics
            await _grows(running)
        await until(lambda: "mempool" in running.node.tasks.names and not running.node.pool._stopped)
        answer = await running.node.pool.submit(b"anything")
        assert "stopping" not in answer.log  # it was read: no transaction
        assert running.failures == []


@pytest.mark.parametrize("part", ["loop lag", "restore journal"])
async def test_a_failing_side_task_is_told_and_nothing_else_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    from consensus.mempool.journal import Journal
    from dchat.doors.metrics.loop_lag import LoopLag

    target, name = {"loop lag": (LoopLag, "late"), "restore journal": (Journal, "restore")}[part]
    _break(target, name, monkeypatch)
    async with running_node(tmp_path) as running:
        await until(lambda: part in running.node.views.faults.down)
        status, text = await _get(running, "/ready")
        assert (status, part in text) == (200, True)
        await _grows(running)
        assert running.failures == []


async def test_a_network_that_ends_by_itself_ends_the_process(tmp_path: Path) -> None:
    async with running_node(tmp_path) as running:
        running.node.switch._stop.set()  # what a failing service of it leads to
        await until(lambda: bool(running.failures))
        assert running.failures[0] == (EXIT_TASK_FAILED, "p2p ended, which it must not while the node runs")


async def test_all_tasks_of_a_running_node_are_owned(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with running_node(tmp_path) as running:
        node = running.node
        named = {task.get_name() for task in asyncio.all_tasks() - before}
        ours = {name for name in named if not name.startswith("Task-")}
        owned = set(node.tasks.names) | {task.get_name() for task in node.driver._tasks}
        owned |= {task.get_name() for task in node.switch.children._tasks} | {f"switch {node.views.me.moniker}"}
        owned |= {"grpc connections"}  # the gRPC door's, which begins it anew
        owned |= node.doors.http.gate.task_names | node.doors.http.metrics_gate.task_names
        assert node.doors.rpc is not None
        owned |= node.doors.rpc.gate.task_names
        assert ours <= owned | {"block sync"}
    assert {task for task in asyncio.all_tasks() - before if not task.get_name().startswith("Task-")} == set()
