"""How far a state sync is, in words and figures."""

from __future__ import annotations

import pytest

from consensus.formats.units import MIB, NS_PER_S
from consensus.statesync.progress import WORDS, Progress, Rate, Stage


@pytest.mark.parametrize(
    ("progress", "sentence"),
    [
        (Progress(), "beginning to join by a snapshot"),
        (Progress(Stage.LOOKS, waits_for="snapshots"), "looking for a snapshot; waits for snapshots"),
        (Progress(Stage.VERIFIES, 50), "verifying the headers of a snapshot (height 50)"),
        (
            Progress(Stage.FETCHES, 1_000, 40, 12, bytes_per_s=5 * MIB, peers=3),
            "fetching a snapshot: 12 of 40 chunks of height 1000, 5.0 MiB a second from 3 peers",
        ),
        (
            Progress(Stage.FETCHES, 7, 1, 0, peers=1, waits_for="x"),
            "fetching a snapshot: 0 of 1 chunks of height 7, 0.0 MiB a second from 1 peer; waits for x",
        ),
    ],
)
def test_it_is_told_in_one_sentence(progress: Progress, sentence: str) -> None:
    assert progress.sentence == sentence


def test_each_stage_has_words() -> None:
    assert set(WORDS) == set(Stage)


def test_the_rate_is_of_lately() -> None:
    rate = Rate()
    assert rate.at(0, 0) == 0
    for second in range(1, 31):
        told = rate.at(second * NS_PER_S, second * 100)
        assert told == 100
    for second in range(31, 60):
        told = rate.at(second * NS_PER_S, 3_000)
    assert told == 0


def test_the_rate_keeps_few_marks_however_often_it_is_asked() -> None:
    rate = Rate()
    for at in range(100_000):
        rate.at(at * 1_000_000, at)
    assert len(rate._marks) < 15
