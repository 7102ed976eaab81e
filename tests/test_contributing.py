"""CONTRIBUTING.md is true: each of its lists, carried out in a copy of the tree, gives what it promises."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.support.adding import EXAMPLES, ROOT, Copy

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")
FILES_MAX = 7  # of a message with query, command, HTTP path and docs; what protoc writes counts once, and tests do not


def listed(heading: str) -> set[str]:
    """The files that a section's numbered list names."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    items = re.findall(r"^\d\. (.*(?:\n   .*)*)", section, re.MULTILINE)
    named = {name for item in items for name in re.findall(r"`([\w./-]+)`", item)}
    return {name for name in named if (ROOT / name).is_file() and not name.startswith("./")}


@pytest.mark.parametrize("heading", EXAMPLES)
def test_a_list_carried_out_gives_what_it_promises(heading: str, tmp_path: Path) -> None:
    example, copy = EXAMPLES[heading], Copy.make(tmp_path / "tree")
    touched = copy.carry_out(example)
    alternatives = {"dchat/node/runtime.py"}  # "or where it belongs" instead of the example's
    assert set(touched) == listed(heading) - alternatives
    product = {"generated" if name.endswith(GENERATED) else name for name in touched if not name.startswith("tests/")}
    assert len(product) <= FILES_MAX, product

    written = [name for name in touched if name.endswith(".py") and not name.endswith(GENERATED)]
    copy.run(sys.executable, "-m", "ruff", "format", *written)
    copy.run(sys.executable, "-m", "ruff", "check", "--fix", *written)  # the order of imports; the rest is a finding
    copy.run(sys.executable, "scripts/check_determinism.py")
    copy.run(str(Path(sys.executable).parent / "lint-imports"))
    if heading == "A message":  # the one that all rooms meet; it takes its time
        copy.check_types()
    (copy.root / "tests" / "test_added.py").write_text(example.test)
    copy.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_added.py", *example.shows)


def test_the_page_names_both_commands_and_every_example() -> None:
    for command in ("./scripts/testnet", "./scripts/test"):
        assert f"    {command} " in PAGE
    assert re.findall(r"^## (An? .*)$", PAGE, re.MULTILINE) == list(EXAMPLES)
