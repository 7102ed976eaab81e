"""What `scripts/campaign mixed` draws; tests/interop/test_mixed_network.py runs such a network."""

from __future__ import annotations

import pytest

from tests.campaigns.harness import CampaignFailed
from tests.campaigns.mixed import PERTURBATIONS, manifests_of, replayed_by, tables
from tests.support.interop.mixed import OURS, THEIRS


def test_drawn_networks_are_of_both_kinds_and_a_seed_draws_the_same_again() -> None:
    drawn = manifests_of(7, 200)
    assert drawn == manifests_of(7, 200)
    assert drawn[:10] == manifests_of(7, 10)
    assert drawn != manifests_of(8, 200)
    assert all(set(one.kinds) == {OURS, THEIRS} for one in drawn)
    assert {kinds.count(OURS) for kinds in (one.kinds for one in drawn)} == {1, 2, 3}
    assert {what for one in drawn for what, _, _ in one.disturbed} == set(PERTURBATIONS)
    for one in drawn:
        assert all(what != "application" or one.kinds[index - 1] == THEIRS for what, index, _ in one.disturbed)


def test_a_network_that_fails_is_named_with_the_command_that_runs_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CampaignFailed), replayed_by("scripts/campaign mixed --seed 7 --only 3"):
        raise CampaignFailed("they differ at height 5")
    said = capsys.readouterr().out
    assert said == "FAILED: they differ at height 5\nreplay: scripts/campaign mixed --seed 7 --only 3\n"


def test_the_tables_have_a_row_for_each_network_and_each_way() -> None:
    row = {"needed": 300, "copies": 1.12, "of_them_from_the_other_kind": 0.7, "held_already": 0.1}
    drawn = {
        "network": 3, "kinds": (OURS, THEIRS, THEIRS, OURS), "rate": 5.0, "disturbed": (("kill", 2, 1.5),),
        "blocks": 40,
        "rounds_above_0": 1, "app_hashes_compared": 160, "transactions": 99, "seconds": 70,
    }  # fmt: skip
    steady = {
        "seconds": 60, "blocks": 100, "proposed": {"1 dchat": 60, "2 CometBFT": 40}, "rounds_above_0": 0,
        "dropped_peers": 0, "app_hashes_compared": 400, "transactions": 1_200, "committed_of_sample": "200 of 200",
        "copies": {OURS: {"part": row, "vote": row}, THEIRS: {"part": row, "vote": row}},
    }  # fmt: skip
    told = tables({"rate": 20.0, "steady": steady, "manifests": [drawn]}).splitlines()
    assert [line.split() for line in told if line.startswith(OURS)] == [
        [OURS, "part", "300", "1.12", "0.7", "0.1"], [OURS, "vote", "300", "1.12", "0.7", "0.1"],
    ]  # fmt: skip
    assert len([line for line in told if line.startswith(THEIRS)]) == 2
    assert told[-1].split() == ["3", "occo", "5", "40", "1", "160", "99", "70", "kill", "2", "1.5", "s"]
    assert tables({"rate": 20.0, "manifests": []}) == "", "before the first is done"
