"""The repository as a whole: sizes that keep it readable, nothing that ties it to one machine, pages that are fresh."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests import known_failures
from tests.known_failures import ADVISORIES, AUDIT, COMPLAINTS, TRIED, Row
from tests.support import gas_page

ROOT = Path(__file__).parents[1]
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 700
CORE_LINES_MAX = 1_000
BEFORE_AND_AFTER = ROOT / "docs" / "before-and-after.md"
ATTACKS = ROOT / "docs" / "attacks.md"
SECURITY = ROOT / "SECURITY.md"
GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")
# Where somebody's machine or mirror shows: home folders, hosts of registries, caches.
MACHINE = re.compile(
    r"/(?:root|Users)/\w|(?<!dchat)/home/(?!data\b|cs\.wal\b)\w|/work/\w|/workspace/"
    r"|https?://[\w.-]*(?:pypi|pythonhosted|npmjs|proxy\.golang|artifactory|nexus)",
    re.IGNORECASE,
)


def tracked() -> list[Path]:
    try:
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in names.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def is_python(path: Path) -> bool:
    if path.name.endswith(GENERATED):
        return False
    return path.suffix == ".py" or (path.suffix == "" and b"python" in path.read_bytes()[:64].split(b"\n")[0])


def test_functions_and_files_stay_short() -> None:
    long = []
    for path in filter(is_python, tracked()):
        text = path.read_text()
        name = path.relative_to(ROOT)
        if (lines := text.count("\n")) > FILE_LINES_MAX:
            long.append(f"{name}: {lines} lines, allowed {FILE_LINES_MAX}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{name}: {node.name} has {lines} lines, allowed {FUNCTION_LINES_MAX}")
    assert long == []


def test_the_core_stays_small() -> None:
    files = (ROOT / "consensus" / "core").glob("*.py")
    assert sum(path.read_text().count("\n") for path in files) < CORE_LINES_MAX


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" in data[:8_000] or path == Path(__file__):
            continue
        for match in MACHINE.finditer(data.decode(errors="replace")):
            found.append(f"{path.relative_to(ROOT)}: {match.group()}")
    assert found == []


def test_scripts_can_be_run() -> None:
    for name in ("test", "testnet", "demo", "env", "proto"):
        path = ROOT / "scripts" / name
        assert path.stat().st_mode & 0o111, path
        assert path.read_text().startswith("#!/usr/bin/env bash\n"), path
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize("row", [*ADVISORIES, *COMPLAINTS, *TRIED, *AUDIT], ids=lambda row: row.name)
def test_every_known_failure_has_a_test_or_comes_later(row: Row) -> None:
    """A row is never lost: it is named by a test, or says what it comes with."""
    assert known_failures.tests_of(row) or row.later


def test_the_page_of_gas_is_what_the_code_states() -> None:
    """Mend with `python -m tests.support.gas_page`."""
    assert gas_page.PAGE.read_text() == gas_page.render()


def test_the_page_of_known_failures_names_every_row_and_only_tests_that_are_there() -> None:
    """Mend with `python -m tests.known_failures`."""
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in known_failures.PAGE.read_text().splitlines()}
    for row in (*ADVISORIES, *COMPLAINTS, *TRIED, *AUDIT):
        named = {f"tests/{where}" for where in re.findall(r"`([^`]+)`", lines[row.name])}
        there = set(known_failures.tests_of(row))
        assert named <= there, row
        assert bool(named) == bool(there) or row.later, row


def test_the_page_of_before_and_after_has_every_row_that_failed_here_and_names_tests_that_are_there() -> None:
    rows = [line.split(" | ") for line in BEFORE_AND_AFTER.read_text().splitlines() if line.startswith("| ")][1:]
    assert {row[0].removeprefix("| ") for row in rows} == {row.name for row in (*TRIED, *AUDIT)}
    there = {where.removeprefix("tests/") for where, _ in known_failures.all_places()}
    assert {row[1].strip("`") for row in rows} <= there


@pytest.mark.parametrize(
    ("page", "least"), [(ATTACKS, 19), (SECURITY, 20)], ids=lambda value: getattr(value, "name", "")
)
def test_a_page_of_threats_names_a_test_for_each_and_only_tests_that_are_there(page: Path, least: int) -> None:
    there = {where.removeprefix("tests/") for where, _ in known_failures.all_places()}
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= least
    for attack, _, shown in rows:
        named = re.findall(r"`([^`]+)`", shown)
        assert named, attack
        assert not set(named) - there, attack
