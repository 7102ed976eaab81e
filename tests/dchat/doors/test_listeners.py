"""What hears of saved blocks beside consensus: its failures are told, and end nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest
from structlog.testing import capture_logs

from consensus.engine.interfaces import SavedBlock
from consensus.node.commit_watch import FAILURES_MAX, CommitWatch, OnSaved, SafeListener
from consensus.pruning.background import Pruner
from consensus.system.tasks import Faults
from dchat.doors.metrics.exposition import Registry, gauge
from dchat.node.node_metrics import NodeMetrics
from tests.support.node.running import running_node, until

ROOT = Path(__file__).parents[3]


class Moody(OnSaved):
    """Raises for the heights it is told to."""

    def __init__(self, bad: set[int]) -> None:
        super().__init__(self._hear)
        self.bad, self.heard = bad, list[int]()

    def _hear(self, saved: SavedBlock) -> None:
        height = saved.height
        self.heard.append(height)
        if height in self.bad:
            raise RuntimeError(f"cannot bear {height}")


def test_a_listener_that_fails_is_told_until_it_is_well_and_switched_off_when_it_never_is() -> None:
    """audit 6: a failure is said, counted and shown; one success clears it; without any the listener is left alone."""
    faults, moody = Faults(), Moody(bad={2, *range(10, 100)})
    listener = SafeListener("moody", moody, faults, needed=True)
    with capture_logs() as lines:
        for height in range(1, 5):
            listener.block_saved(cast(SavedBlock, SimpleNamespace(height=height)))
            assert (faults.down == {}) == (height != 2)
            assert (faults.not_served is None) == (height != 2)
        for height in range(10, 100):
            listener.block_saved(cast(SavedBlock, SimpleNamespace(height=height)))
    assert moody.heard == [1, 2, 3, 4, *range(10, 10 + FAILURES_MAX)]
    assert listener.is_off
    assert faults.failures["moody"] == 1 + FAILURES_MAX
    assert "cannot bear" in faults.down["moody"]
    assert [line["switched_off"] for line in lines] == [False] * FAILURES_MAX + [True]


@pytest.mark.parametrize("kind", [CommitWatch, NodeMetrics, OnSaved, Pruner])
async def test_a_failing_listener_does_not_end_consensus(
    kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 6: before, the first block whose listener raised was the node's last."""

    def fail(self: object, saved: SavedBlock) -> None:
        raise RuntimeError("the listener's own fault")

    async with running_node(tmp_path) as running, aiohttp.ClientSession() as http:
        views = running.node.views
        monkeypatch.setattr(kind, "block_saved", fail)
        reached = views.answers.height
        await until(lambda: views.answers.height > reached + 2)
        assert running.failures == []
        async with http.get(f"http://127.0.0.1:{running.ports[1]}/ready") as answer:
            assert "the listener's own fault" in str((await answer.json())["failing"])
        async with http.get(f"http://127.0.0.1:{running.ports[1]}/metrics") as answer:
            page = await answer.text()
        assert re.search(r"^dchat_parts_failing [1-9]", page, re.MULTILINE)
        monkeypatch.undo()


def test_the_driver_is_given_no_listener_of_the_node_bare() -> None:
    """audit 6: consensus calls its listeners in the middle of its work.

    The simulator's judge is no part of a node, and what it finds is to end the run.
    """
    bare = []
    for path in (ROOT / "dchat").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in {
                "add_round_listener",
                "add_saved_listener",
            }:
                given = call.args[0]
                safe = ("SafeListener", "SafeRoundListener")
                if not (isinstance(given, ast.Call) and getattr(given.func, "id", "") in safe):
                    bare.append(f"{path.parent.name}/{path.name}: {ast.unparse(given)}")
    assert bare == ["simulation/node.py: OnSaved(self._saved)"]


def test_the_page_of_metrics_comes_in_parts_of_one_moment() -> None:
    registry, counted = Registry(), [0]
    registry.add(lambda: iter([gauge(f"dchat_some_{number}", "One of many.", counted[0]) for number in range(200)]))
    parts = []
    for part in registry.parts():
        parts.append(part)
        counted[0] += 1
    assert len(parts) >= 4
    assert b"".join(parts).decode().count("\ndchat_some_") == 200
    assert all(f"dchat_some_{number} 0.0\n" in b"".join(parts).decode() for number in range(200))


def test_a_source_of_metrics_that_fails_takes_none_of_the_others_away() -> None:
    """audit 6: a scrape still tells the rest, and that something is missing."""
    registry = Registry()

    def broken() -> object:
        yield gauge("dchat_lost", "Never told.", 1)
        raise RuntimeError("no disk")

    registry.add(broken)  # type: ignore[arg-type]
    registry.add(lambda: iter([gauge("dchat_found", "Told.", 2)]))
    page = registry.render()[0].decode()
    assert "dchat_found 2.0" in page
    assert "dchat_lost" not in page
    assert "dchat_metrics_sources_failed_total 1.0" in page
