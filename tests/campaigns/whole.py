"""The tests of which CI runs a slice, whole: more seeds and examples, and what is marked `campaign`.

    scripts/campaign whole                      # of all rooms
    scripts/campaign whole tests/simulation     # of some; what begins with a dash goes to pytest: -x, -k profile

Which: those that use `counted` of tests/support/counts.py, `pytest.mark.campaign` or Hypothesis, of whose examples CI
runs forty where a test does not say how many.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.counts import VARIABLE

ROOT: Final = Path(__file__).parents[2]
USES: Final = re.compile(
    r"^from tests\.support\.counts import|\bmark\.campaign\b|^from hypothesis import", re.MULTILINE
)


def modules(places: Sequence[str] = ("tests",)) -> list[str]:
    """Of tests that have more than their slice, below these folders and files."""
    found: set[Path] = set()
    for place in places:
        path = ROOT / place
        found |= {path} if path.is_file() else set(path.rglob("test_*.py"))
    return sorted(str(path.relative_to(ROOT)) for path in found if USES.search(path.read_text()))


def main(words: Sequence[str]) -> int:
    first = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    chosen = modules(words[:first] or ("tests",))
    if not chosen:
        sys.stderr.write(f"no test in {' '.join(words[:first])} has more than what CI runs of it\n")
        return 2
    command = [sys.executable, "-m", "pytest", "-n", os.environ.get("DCHAT_TEST_WORKERS", "2"), "--dist", "worksteal"]
    return subprocess.run(
        [*command, *chosen, *words[first:]], cwd=ROOT, env={**os.environ, VARIABLE: "whole"}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
