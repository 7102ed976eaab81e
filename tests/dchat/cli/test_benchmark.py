"""`dchat benchmark` on a real process: everything sent is committed, every stage has its cost, nothing is left."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from dchat.cli.main import dchat
from dchat.devnet.live import Load, quantile
from dchat.devnet.stages import FLOOR


@pytest.mark.network
def test_a_validator_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    file = tmp_path / "result.json"
    done = CliRunner().invoke(
        dchat, ["benchmark", "validator", "--duration", "1s", "--transaction-rate", "60", "--json", str(file)]
    )
    assert done.exit_code == 0, done.output
    result = json.loads(file.read_text())
    load = result["load"]
    assert (load["committed"], load["admitted_but_not_committed"], load["refused"]) == (60, 0, {})
    assert result["stages_us_per_tx"][FLOOR] > 0
    assert all(cost > 0 for cost in result["stages_us_per_tx"].values())
    assert result["engine_ms"]["apply"]["runs"] >= 1
    assert result["cpu_us_per_tx_and_validator"] > 0
    for text in (FLOOR, "execution and the trees", "send to commit", "engine: apply"):
        assert text in done.output
    assert list(tmp_path.iterdir()) == [file], "the network's folder is gone"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("validator", "--duration", "100ms"), "too short"),
        (("validator", "--duration", "soon"), "not a duration"),
        (("validator", "--transaction-rate", "0"), "--transaction-rate"),
        (("relay", "--duration", "60s", "--message-rate", "1000"), "not in this build"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_measured_is_refused(arguments: tuple[str, ...], says: str) -> None:
    refused = CliRunner().invoke(dchat, ["benchmark", *arguments])
    assert refused.exit_code != 0
    assert says in refused.output


def test_a_load_is_told_by_its_figures() -> None:
    load = Load(
        committed=4, seconds=2.0, latencies=[0.4, 0.1, 0.2, 0.3], cpu={"validator1": 0.001},
        blocks=[(1.0, 1), (1.5, 2), (3.5, 1)], retries=3, refused={}, lost=0,
    )  # fmt: skip
    row = load.row()
    assert (row["per_second"], row["p50_s"], row["p95_s"]) == (2.0, 0.3, 0.4)
    assert row["block_interval_s"] == {"median": 2.0, "p95": 2.0, "max": 2.0}
    assert (row["block_txs_max"], row["cpu_us_per_tx"], row["told_to_try_later"]) == (2, {"validator1": 250}, 3)
    assert quantile([], 0.5) != quantile([], 0.5), "not a number"
