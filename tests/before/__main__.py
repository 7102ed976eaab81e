"""Run the audit's tests over the product of an older commit, to see what they say of it.

    python -m tests.before tests/chain/test_spam.py tests/consensus/mempool/test_attacks.py -k 'leaf or arrive'

The tests are those of the last commit in which files lay where they did then, and are
named as they are now. `tests.before.lent` stands in for what the older code does not have. docs/before-and-after.md has
what came out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMIT = "936c0fc"  # before issue 13
TESTS = "9a8feca"  # the last one before the rooms moved

# Where the tests of a folder lay then.
FOLDERS = {
    "tests/chain/app_state": "tests/chain",
    "tests/chain/currency": "tests/economy",
    "tests/chain/kernel": "tests/chain",
    "tests/chain/state": "tests/state",
    "tests/chain/tx": "tests/chain",
    "tests/chain/upgrade": "tests/upgrade",
    "tests/consensus/channels": "tests/gossip",
    "tests/consensus/core": "tests/core",
    "tests/consensus/documents": "tests/types",
    "tests/consensus/engine": "tests/engine",
    "tests/consensus/evidence": "tests/gossip",
    "tests/consensus/execution": "tests/engine",
    "tests/consensus/gossip": "tests/gossip",
    "tests/consensus/mempool": "tests/mempool",
    "tests/consensus/p2p": "tests/p2p",
    "tests/consensus/privval": "tests/engine",
    "tests/consensus/state": "tests/types",
    "tests/consensus/stores": "tests/engine",
    "tests/consensus/sync": "tests/sync",
    "tests/consensus/system": "tests/p2p",
    "tests/consensus/types": "tests/types",
    "tests/dchat/cli": "tests/cli",
    "tests/dchat/client": "tests/node",
    "tests/dchat/config": "tests/node",
    "tests/dchat/doors": "tests/node",
    "tests/dchat/node": "tests/node",
    "tests/dchat/node/upgrade": "tests/upgrade",
}


def then(test: str) -> str:
    """The test's name at that time."""
    file, colons, name = test.partition("::")
    folder, slash, base = file.rpartition("/")
    return f"{FOLDERS.get(folder, folder)}{slash}{base}{colons}{name}"


def extract(commit: str, folder: Path) -> None:
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "x"], cwd=folder, input=archive, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.before", description=__doc__)
    parser.add_argument("--commit", default=COMMIT)
    parser.add_argument("--of", default=TESTS, help="The commit whose tests they are.")
    parser.add_argument("--seconds", type=int, default=60, help="For each test, then it counts as failed.")
    parser.add_argument("tests", nargs="+", help="As pytest takes them, and more of its options.")
    options, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        old, now = Path(folder) / "old", Path(folder) / "now"
        extract(options.commit, old)
        extract(options.of, now)
        shutil.rmtree(old / "tests")
        shutil.copytree(now / "tests", old / "tests")
        shutil.copy(ROOT / "tests" / "before" / "lent.py", old / "conftest.py")
        environment = {**os.environ, "PYTHONPATH": str(old), "BEFORE_NOW": str(now)}
        environment["BEFORE_SECONDS"] = str(options.seconds)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
        files: dict[str, list[str]] = {}  # a process for each: the older code is known to take its process with it
        for test in map(then, options.tests):
            files.setdefault(test.partition("::")[0], []).append(test)
        return max(
            subprocess.run([*command, *tests, *more], cwd=old, env=environment, check=False).returncode
            for tests in files.values()
        )


if __name__ == "__main__":
    sys.exit(main())
