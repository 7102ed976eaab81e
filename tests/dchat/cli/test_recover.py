"""`dchat validator recover` on four real processes: nothing to recover, two that are away, one that hangs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dchat.cli.local import recover_command
from dchat.cli.main import dchat
from dchat.devnet import processes
from dchat.devnet.network import Network, NodeEntry
from tests.support.cli.network import four_running

pytestmark = pytest.mark.network


BY_ITSELF = "by itself"  # no --after: the node says when a block is late


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with four_running(tmp_path) as made:
        yield made


def recover(network: Network, *options: str, node: int = 0) -> Result:
    home = network.home_of(network.nodes[node])
    after = [] if BY_ITSELF in options else ["--after", "4s"]
    line = ["validator", "recover", *after, *(one for one in options if one != BY_ITSELF), "--home", str(home)]
    return CliRunner().invoke(dchat, line, prog_name="dchat")


def url(network: Network, node: NodeEntry) -> str:
    return f"http://{network.host}:{node.ports.http}"


def until(
    network: Network, *options: str, code: int, holds: Callable[[dict[str, Any]], bool], node: int = 0
) -> dict[str, Any]:
    """What is said once it is so."""
    deadline = time.monotonic() + 60
    while True:
        ended = recover(network, *options, node=node)
        if ended.exit_code == code:
            answer: dict[str, Any] = json.loads(ended.stdout)
            if holds(answer):
                return answer
        assert time.monotonic() < deadline, ended.output


def test_a_network_that_stands_is_explained(network: Network) -> None:
    one, two, three, four = network.nodes
    answer = until(network, code=0, holds=lambda told: told["height"] > 3)
    assert (answer["stalled"], answer["causes"]) == (False, [])
    states = {node: (network.home_of(node) / "data" / "priv_validator_state.json") for node in (one, two)}

    processes.kill(network, four)
    pid = processes.running_pid(network, three)
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it hangs: its connections stay
    try:
        answer = until(
            network, "--url", url(network, two), "--url", url(network, four), code=1,
            holds=lambda told: set(told["missing"]) == {three.name, four.name} and len(told["peers"]) > 0,
        )  # fmt: skip
        power = answer["power"]
        assert power["voting"] * 2 == power["total"]
        assert power["needed"] == power["total"] * 2 // 3 + 1
        assert answer["causes"][0].startswith(f"validators with power {power['voting']} of {power['total']} vote")
        assert answer["advice"][0].startswith("start these, or others with as much power: ")
        assert {row["moniker"]: row["there"] for row in answer["validators"]} == {
            one.name: True, two.name: True, three.name: False, four.name: False,
        }  # fmt: skip
        assert [node["error"] is None for node in answer["nodes"]] == [True, True, False]
        assert sorted(state.split(",")[0] for state in (row["state"] for row in answer["peers"]))[0] == "connected"
        assert any("does not answer" in row["state"] for row in answer["peers"])
        told = until(network, BY_ITSELF, code=1, holds=lambda told: bool(told["stalled"]))
        assert told["last_block_age_s"] < recover_command.STALLED_AFTER_S, "as /ready says, not half a minute later"
        told = until(network, "--after", "1h", code=0, holds=lambda told: not told["stalled"])
        assert str(told["note"]).startswith("no stall yet: no block for ")
        assert str(told["note"]).endswith("; counted as one after 3600 s")
        before = {node: path.read_bytes() for node, path in states.items()}
        text = recover(network, "--initiate-leader-election", "--min-validators", "3")
        assert text.exit_code == 1
        assert {node: path.read_bytes() for node, path in states.items()} == before
    finally:
        os.kill(pid, signal.SIGCONT)
    answer = until(network, "--min-validators", "3", code=0, holds=lambda told: told["missing"] == [four.name])
    assert not answer["stalled"]
    assert recover(network, "--min-validators", "4").exit_code == 1
    asyncio.run(_nothing_answers(network))
    told = until(
        network, "--url", url(network, four), "--url", url(network, one), node=3, code=0,
        holds=lambda told: told["missing"] == [four.name],
    )  # fmt: skip
    assert "did not answer" in told["own_node_error"]
    assert (told["stalled"], told["height"] > 3) == (False, True)
    assert [node["error"] is None for node in told["nodes"]] == [False, False, True]


async def _nothing_answers(network: Network) -> None:
    """Asked in a home whose node is away: who did not answer is said, and no guess."""
    ended = await asyncio.to_thread(recover, network, node=3)
    assert ended.exit_code == 4
    assert "did not answer" in ended.output
    *_, four = network.nodes
    nobody = await asyncio.to_thread(recover, network, "--url", url(network, four), node=3)
    assert (nobody.exit_code, "nor did any of the 1 others" in nobody.output) == (4, True)


@pytest.mark.parametrize(
    ("health", "error"),
    [([], "answers otherwise than a node of ours"), ({"timestamp": 10**400}, ""), ({"timestamp": "now"}, "")],
)
def test_another_node_that_lies_ends_nothing(health: object, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of --url says must not keep the others from being heard."""
    monkeypatch.setattr(recover_command, "get_json", lambda url: (200, health if url.endswith("/health") else {}))
    asked = recover_command._ask("http://liar")
    assert (error in asked.error, bool(asked.error), asked.skew_s) == (True, bool(error), None)


def test_names_without_end_are_asked_for_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 83: a node that tells the same hundred validators on each page was asked for ever."""
    row, asked = {"consensus_address": "AB", "operator": "cd", "moniker": "m"}, []
    monkeypatch.setattr(
        recover_command, "get_json", lambda url: asked.append(url) or (200, {"validators": [row] * 100})
    )
    assert recover_command._monikers("http://liar") == {"AB": "m"}
    assert len(asked) == recover_command.PAGES_MAX
