"""docs/interop.md, made from what tests against other people's software said (`rows.py`).

python -m tests.support.interop.page             # writes the page from the rows that are kept
python -m tests.support.interop.page TESTS...    # runs these tests first (pytest's arguments), and keeps what they say
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.interop.rows import COLLECTED, COMMAND, ROOT, Row, all_rows, collected, keep

PAGE = ROOT / "docs" / "interop.md"
HEAD = f"""# Other people's software

What other people's software was tried, unmodified, and what came of it. Each row was written by a test that ran with
the real tool and passed; where its tool is missing it says aloud that it was skipped. The command runs it again, in the
repository with the test environment (`./scripts/env --dev`, then `. .venv/bin/activate`). What a test needs of
others it fetches and builds once, into `$DCHAT_CACHE` or `~/.cache/dchat`; installed must be the tool's language: Go
(CometBFT, abci-cli, grpcurl), Rust's cargo, or Node.js with npm. What is known not to work has a row that says so.

This page is made: `{COMMAND}` writes it from the rows that are kept in `tests/interop/results`, and with
`tests/interop` behind it runs all of these tests first and keeps what they say.
"""


def rendered(rows: list[Row]) -> str:
    parts = [HEAD]
    for tool, of_tool in itertools.groupby(rows, lambda one: one.tool):
        parts.append(f"\n## {tool}\n\n| version | tried | result | command | run |\n|---|---|---|---|---|\n")
        parts += [f"| {one.version} | {one.tried} | {one.result} | `{one.command}` | {one.day} |\n" for one in of_tool]
    return "".join(parts)


def run(arguments: list[str]) -> int:
    """Run tests, and keep what they say. Returns pytest's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.touch()
        command = [sys.executable, "-m", "pytest", *arguments]
        code = subprocess.run(command, cwd=ROOT, env=os.environ | {COLLECTED: str(path)}, check=False).returncode
        keep(collected(path))
    return code


if __name__ == "__main__":
    code = run(sys.argv[1:]) if sys.argv[1:] else 0
    PAGE.write_text(rendered(all_rows()))
    sys.exit(code)
