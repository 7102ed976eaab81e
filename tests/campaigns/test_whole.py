"""What CI runs a slice of is whole in `scripts/campaign whole`; and what takes long begins first."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest

from tests.campaigns.whole import ROOT, modules
from tests.support import counts
from tests.support.counts import counted
from tests.support.order import LONGEST, file_of, long_first


def test_the_campaign_finds_what_has_more_than_its_slice() -> None:
    found = modules()
    assert {"tests/simulation/test_simulation.py", "tests/dchat/node/test_key_types.py"} <= set(found)
    assert modules(["tests/simulation"]) == [name for name in found if name.startswith("tests/simulation/")]
    assert modules(["tests/deploy"]) == []


@pytest.mark.parametrize("is_whole", [False, True])
def test_what_is_marked_is_left_to_the_campaign(is_whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts, "IS_WHOLE", is_whole)
    items = [SimpleNamespace(get_closest_marker=marks.get) for marks in ({"network": 1}, {"campaign": 1})]
    assert counts.left_out(items) == ([] if is_whole else items[1:])
    assert counted(3, whole=10) == (10 if is_whole else 3)


def test_every_long_file_is_there() -> None:
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_each_worker_begins_with_a_long_file_and_none_is_torn_or_lost(workers: int) -> None:
    names = ["a.py"] * 40 + [LONGEST[2]] * 3 + ["b.py"] * 50 + [LONGEST[0]] * 2 + [LONGEST[1]] + ["c.py"] * 24
    items = [SimpleNamespace(nodeid=f"{name}::test_{at}") for at, name in enumerate(names)]
    ordered = long_first(items, workers)
    assert Counter(one.nodeid for one in ordered) == Counter(one.nodeid for one in items)
    size = len(items) // workers
    assert [file_of(ordered[worker * size]) for worker in range(workers)] == list(LONGEST[:workers])
    for name in LONGEST[:3]:
        places = [at for at, one in enumerate(ordered) if file_of(one) == name]
        assert places == list(range(places[0], places[0] + len(places)))


def test_more_long_tests_than_a_run_has_room_for_are_all_run() -> None:
    items = [SimpleNamespace(nodeid=f"{LONGEST[0]}::test_{at}") for at in range(9)]
    items.append(SimpleNamespace(nodeid="a.py::test"))
    assert sorted(one.nodeid for one in long_first(items, 2)) == sorted(one.nodeid for one in items)
