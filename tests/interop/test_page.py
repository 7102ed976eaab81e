"""docs/interop.md is what the tests said, of tests that are there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.interop import rows
from tests.support.interop.page import PAGE, rendered
from tests.support.interop.rows import COMMAND, ROOT, Row, all_rows, collected, keep, row, running_test


def test_the_page_fits_the_rows() -> None:
    assert PAGE.read_text() == rendered(all_rows()), f"run {COMMAND}"


def test_each_row_is_of_a_test_that_is_there() -> None:
    strange = []
    for one in all_rows():
        file, _, name = one.test.partition("::")
        path = ROOT / file
        if not path.exists() or f"def {name.rpartition('::')[2]}(" not in path.read_text():
            strange.append(one.test)
    assert strange == [], "gone, or renamed: take the rows out of tests/interop/results, or run the test again"


def test_each_module_here_says_what_it_showed() -> None:
    here = Path(__file__).parent
    silent = [path.name for path in sorted(here.glob("test_*.py")) if "row(" not in path.read_text()]
    assert silent == [], "a test with other people's software ends with row(...): tests/support/interop/rows.py"


def test_a_row_that_the_page_lacks_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rows.COLLECTED, raising=False)
    with pytest.raises(AssertionError, match="has no such row"):
        row("a tool", "1", "a thing never tried", "done")
    with pytest.raises(AssertionError, match="no cell"):
        row("a tool", "1", "a | b", "done")


def test_a_run_keeps_what_its_tests_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.jsonl"
    monkeypatch.setenv(rows.COLLECTED, str(path))
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    row("a tool", "2\n", "a thing", "done", command="tool --go")
    row("a tool", "2", "another", "done")
    said = list(collected(path))
    assert said[0] == Row("a tool", "2", "a thing", "done", "tool --go", running_test(), said[0].day)
    assert said[1].command == f"pytest tests/interop/test_page.py -k {running_test().partition('::')[2]}"
    keep(said)
    assert all_rows() == sorted(said)
    of_another = replace(said[0], test="tests/interop/test_page.py::test_another")
    keep([replace(said[0], version="3"), of_another])
    assert all_rows() == sorted([replace(said[0], version="3"), of_another])
    (kept,) = (tmp_path / "results").iterdir()
    assert len(json.loads(kept.read_text())) == 2
