"""`dchat doctor`: what it judges, and four real processes, of which one is stopped."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dchat.cli.debug.checkup import BAD, OK, UNKNOWN, Line, Seen, calm_intervals, lines_of
from dchat.cli.debug.doctor_command import ANSWER_BYTES_MAX, figures
from dchat.cli.main import dchat
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from tests.support.cli.network import PACE

WELL = {
    "dchat_network_connected_peers": 3.0, "dchat_consensus_validators": 4.0, "process_cpu_seconds_total": 10.0,
    "dchat_memory_usage_bytes": 2e8, "dchat_disk_free_bytes": 5e10, "dchat_disk_size_bytes": 1e11,
    "dchat_clock_skew_seconds": 0.2, "dchat_validator_voting_power": 10.0, "dchat_validator_missed_blocks_total": 2.0,
}  # fmt: skip


def blocks(*seconds: float, txs: int = 0) -> list[dict[str, Any]]:
    """Newest first, as a node tells them."""
    return [
        {"height": index + 1, "time": f"2026-01-01T00:00:{at:09.6f}Z", "num_txs": txs, "hash": "AB", "app_hash": "CD"}
        for index, at in enumerate(seconds)
    ][::-1]


def seen(**changed: Any) -> Seen:
    told: dict[str, Any] = {
        "answers": {
            "/ready": {"ready": True}, "/status": {"moniker": "ada"},
            "/chain/blocks": {"blocks": blocks(0, 3, 6, 9, 12)},
        },
        "metrics": (WELL, WELL), "window_s": 10.0, "requests_ms": [5.0] * 40, "iops": 40.0,
    }  # fmt: skip
    return Seen("http://one", **{**told, **changed})


def judged(*nodes: Seen, check: str) -> Line:
    return next(line for line in lines_of(nodes) if line.check == check)


def test_a_node_that_is_well_fails_nothing() -> None:
    verdicts = {line.check: line.verdict for line in lines_of([seen()], waiting_tx_s=0.4)}
    assert set(verdicts.values()) == {OK, UNKNOWN}
    assert [check for check, verdict in verdicts.items() if verdict == UNKNOWN] == ["agreement", "capacity"]


@pytest.mark.parametrize(
    ("check", "metric", "value"),
    [
        ("peers", "dchat_network_connected_peers", 2.0),
        ("core", "process_cpu_seconds_total", 15.1),
        ("memory", "dchat_memory_usage_bytes", 1.3e9),
        ("disk, room", "dchat_disk_free_bytes", 1e10),
        ("clock", "dchat_clock_skew_seconds", -11.0),
        ("votes", "dchat_validator_missed_blocks_total", 3.0),
    ],
)
def test_each_figure_beyond_the_baseline_fails_and_says_what_to_do(check: str, metric: str, value: float) -> None:
    line = judged(seen(metrics=(WELL, {**WELL, metric: value})), check=check)
    assert line.verdict == BAD
    assert line.do
    assert judged(seen(metrics=({}, {})), check=check).verdict == UNKNOWN


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, -1e308])
def test_figures_that_no_node_has_are_not_known_and_end_nothing(value: float) -> None:
    """audit 83: one node of many ended what was said of all."""
    lines = list(lines_of([seen(metrics=(dict.fromkeys(WELL, -value), dict.fromkeys(WELL, value))), seen()]))
    first = {line.check: line.verdict for line in lines[:10]}
    assert {first[check] for check in ("core", "memory", "disk, room", "clock", "votes")} == {UNKNOWN}


def test_a_page_of_metrics_is_read_in_one_go_whatever_it_is() -> None:
    """audit 83: an open bracket in each of its lines took half an hour, in which no time-out counted."""
    page = "dchat_a{\n" * (ANSWER_BYTES_MAX // 9)
    began = time.process_time()
    assert figures(page + 'dchat_b{x="1"} 2\n') == {"dchat_b": 2.0}
    assert time.process_time() - began < 20


def test_slow_answers_slow_blocks_and_a_late_transaction_fail() -> None:
    assert judged(seen(requests_ms=[5.0] * 36 + [150.0] * 4), check="RPC").verdict == BAD
    slow = {"/chain/blocks": {"blocks": blocks(0, 4, 8, 12, 16)}}
    assert judged(seen(answers=slow), check="blocks").verdict == BAD
    assert next(iter([x for x in lines_of([seen()], waiting_tx_s=1.4) if "waiting" in x.check])).verdict == BAD


def test_only_empty_blocks_are_calm_and_a_gap_is_none() -> None:
    assert calm_intervals(blocks(0, 3, 6)) == [3.0, 3.0]
    assert calm_intervals(blocks(0, 3, 6, txs=1)) == []
    assert calm_intervals(blocks(0, 3, 6)[::2]) == []
    assert calm_intervals([{"height": 1}, "x", {"height": 2, "time": "never", "num_txs": 0}]) == []


def test_a_disk_that_others_use_is_not_known_and_one_elsewhere_neither() -> None:
    assert judged(seen(iops=300.0), check="disk, IOPS").verdict == UNKNOWN
    assert judged(seen(iops=None), check="disk, IOPS").verdict == UNKNOWN


def test_another_block_at_one_height_is_no_agreement() -> None:
    other = [{**row, "app_hash": "EE"} for row in blocks(0, 3, 6, 9, 12)]
    line = judged(seen(), seen(answers={"/chain/blocks": {"blocks": other}}), check="agreement")
    assert (line.verdict, line.figure) == (BAD, "1 of 2 at height 5")


def test_one_node_agrees_with_nobody() -> None:
    line = judged(seen(), check="agreement")
    assert (line.verdict, line.figure) == (UNKNOWN, "one node asked: nothing to compare")
    line = judged(seen(), seen(error="away"), check="agreement")
    assert (line.verdict, line.figure) == (UNKNOWN, "one node answers: nothing to compare")


@pytest.mark.network
def test_four_processes_are_judged_and_one_that_is_down_is_named(tmp_path: Path) -> None:
    network = make_network(tmp_path / "net", validators=4, pace=PACE, ports=free_ports(4))

    def doctor(*words: str) -> tuple[int, dict[str, Any]]:
        line = ["doctor", "--network", str(network.folder), "--for", "1s", *words]
        ended = CliRunner().invoke(dchat, line, prog_name="dchat")
        return ended.exit_code, json.loads(ended.stdout) if ended.stdout.startswith("{") else {}

    try:
        assert doctor()[0] == 4
        for node in network.nodes:
            processes.start(network, node)
        payer = str(network.folder / network.accounts["alice"])
        deadline = time.monotonic() + 120
        while True:
            told = doctor("--from", payer)[1].get("lines", [])
            found = {line["check"]: line for line in told}
            if found.get("agreement", {}).get("figure", "").startswith("4 of 4"):
                break
            assert time.monotonic() < deadline, told
        assert found["a waiting transaction"]["figure"].endswith(" s")
        assert all(line["verdict"] != BAD for line in told if line["check"] in ("peers", "memory", "clock")), told
        processes.stop(network, network.nodes[3:])
        code, answer = doctor()
        assert code == 1
        assert not answer["healthy"]
        (down,) = [line for line in answer["lines"] if line["check"] == "answers"]
        assert (down["verdict"], down["figure"]) == (BAD, "Connection refused")
    finally:
        for node in network.nodes:
            if processes.running_pid(network, node) is not None:
                processes.kill(network, node)
