"""Names of backups, and which of them go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat.backups.kept import DAY_S, Kept, kept_of, name_of, series_of, which_go

NOW = 1_800_000_000
OURS, OTHERS = series_of("mychain", "aa" * 20), series_of("mychain", "bb" * 20)


def made(age_s: int, series: str = OURS, height: int = 7) -> Kept:
    name = name_of(series, height=height, time_s=NOW - age_s)
    kept = kept_of(name, 10)
    assert kept is not None
    return kept


def test_a_name_says_whose_it_is_when_and_at_which_height() -> None:
    one = made(60, height=4_711)
    assert one.name == f"mychain.aaaaaaaa.0000004711.{one.name.split('.')[3]}.backup"
    assert (one.series, one.height, one.time_s, one.bytes) == (OURS, 4_711, NOW - 60, 10)


@pytest.mark.parametrize("chain_id", ["../x", "a b", "ü", "a.b.c", ""])
def test_no_chain_id_makes_a_name_of_another_folder_or_another_chain(chain_id: str) -> None:
    kept = kept_of(name_of(series_of(chain_id, "AB" * 20), height=1, time_s=NOW), 1)
    assert kept is not None
    assert kept.series == series_of(chain_id, "ab" * 20)
    assert "/" not in kept.name


@pytest.mark.parametrize(
    "name", ["", "notes.txt", f"{OURS}.backup", f"{OURS}.0000000001.20269999T000000Z.backup", f".{OURS}.5.new",
             f"{OURS}.0000000001.20261129T170000Z.backup.part"],
)  # fmt: skip
def test_what_is_not_ours_is_no_backup(name: str) -> None:
    assert kept_of(name, 1) is None


def test_old_ones_of_this_node_go_the_oldest_first() -> None:
    kept = [made(days * DAY_S) for days in (0, 1, 2, 40, 50)] + [made(90 * DAY_S, OTHERS)]
    assert which_go(kept, OURS, now_s=NOW, days=30, at_least=1) == [made(50 * DAY_S), made(40 * DAY_S)]
    assert which_go(kept, OURS, now_s=NOW, days=0, at_least=1) == []


@given(
    ages=st.lists(st.integers(0, 400 * DAY_S), max_size=12), jump=st.integers(-500, 5_000), at_least=st.integers(1, 5)
)
def test_whatever_the_clock_says_the_newest_stay(ages: list[int], jump: int, at_least: int) -> None:
    kept = [made(age) for age in dict.fromkeys(ages)]
    gone = which_go(kept, OURS, now_s=NOW + jump * DAY_S, days=1, at_least=at_least)
    stay = sorted(set(kept) - set(gone), reverse=True)
    assert stay[:at_least] == sorted(kept, reverse=True)[:at_least]
