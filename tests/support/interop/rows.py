"""What tests against other people's software found, as rows of docs/interop.md.

A test says at its end, in one line, what was shown:

    row("grpcurl", version, "every method called by reflection", f"{calls} calls answered")

In an ordinary run that only checks that the page has the row. `python -m tests.support.interop.page TESTS` runs the
tests and keeps what they said: a file in tests/interop/results for each test module. A test that was skipped there says
nothing, and its rows stay as they are, with the day of their run.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "tests" / "interop" / "results"
COLLECTED = "DCHAT_INTEROP_ROWS"  # the file that a recording run appends to
COMMAND = "python -m tests.support.interop.page"
TEXT_MAX = 300  # characters of a cell


@dataclass(frozen=True, order=True)
class Row:
    """tried, result: a sentence each. command: how to run it again. day: of the run, UTC. test: its node id."""

    tool: str
    version: str
    tried: str
    result: str
    command: str
    test: str
    day: str

    @property
    def name(self) -> tuple[str, str, str]:
        """By which a row is known from run to run: version and result may differ."""
        return self.test, self.tool, self.tried


def running_test() -> str:
    """The test that runs, by its node id without the case of its table."""
    return os.environ["PYTEST_CURRENT_TEST"].rsplit(" (", 1)[0].partition("[")[0]


def row(tool: str, version: str, tried: str, result: str, *, command: str = "") -> None:
    """Say what the test that runs has shown. command: other than by running this test. Raises AssertionError."""
    test = running_test()
    file, _, name = test.partition("::")
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    said = Row(tool, version.strip(), tried, result, command or f"pytest {file} -k {name}", test, day)
    for cell in (said.tool, said.version, said.tried, said.result, said.command):
        assert 0 < len(cell) <= TEXT_MAX, f"no cell of a table: {cell!r}"
        assert not set(cell) & set("|\n"), f"no cell of a table: {cell!r}"
    if path := os.environ.get(COLLECTED):
        with Path(path).open("a") as file_of_rows:  # one write of a line: processes do not mix theirs
            file_of_rows.write(json.dumps(asdict(said)) + "\n")
        return
    assert said.name in {kept.name for kept in all_rows()}, f"docs/interop.md has no such row: {COMMAND} {file}"


def rows_of(text: str) -> list[Row]:
    return [Row(**one) for one in json.loads(text)]


def all_rows() -> list[Row]:
    return sorted(one for path in RESULTS.glob("*.json") for one in rows_of(path.read_text()))


def collected(path: Path) -> Iterator[Row]:
    """What a recording run wrote."""
    for line in path.read_text().splitlines():
        yield Row(**json.loads(line))


def keep(said: Iterable[Row]) -> None:
    """A test that said something has said all: its older rows go."""
    by_module: dict[str, list[Row]] = {}
    for one in said:
        by_module.setdefault(Path(one.test.partition("::")[0]).stem, []).append(one)
    for module, rows in by_module.items():
        path = RESULTS / f"{module}.json"
        told = {one.test for one in rows}
        older = [one for one in rows_of(path.read_text()) if one.test not in told] if path.exists() else []
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            json.dumps([asdict(one) for one in sorted({*older, *rows})], indent=1, ensure_ascii=False) + "\n"
        )
