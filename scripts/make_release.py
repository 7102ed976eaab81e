"""What scripts/release does: artefacts whose bytes are the tree's alone, and their sums.

A wheel is packed again: names in order, one time, one mode, not compressed (what compresses differs by its version).
What is in it stays as it was, so that the hashes of its RECORD hold.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import tempfile
from pathlib import Path

import make_executable as executable

ROOT = executable.ROOT
CLIENT = Path("packaging") / "client"
SUMS = "SHA256SUMS"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/release", description=__doc__)
    parser.add_argument("--python", action="append", metavar="X.Y", help="a Python that the executable is to run on")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="DIR", help="default: dist")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dchat-release-") as folder:
        made = build(Path(folder), arguments.output, arguments.python or [executable.HERE])
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(made)]
    (arguments.output / SUMS).write_text("".join(lines))
    print("".join(lines), end="")


def build(folder: Path, output: Path, pythons: list[str]) -> list[Path]:
    """The artefacts, in `output`."""
    version, own = executable.project_wheel(folder, None, None)
    program = output / f"dchat-{version}"
    executable.write(program, version, own, {python: executable.dependencies(python) for python in pythons})
    return [program, Path(shutil.copy(own, output)), executable.packed(client_wheel(folder), output)]


def client_wheel(folder: Path) -> Path:
    """Of a copy of the tree: setuptools leaves folders of its own where it builds."""
    tree = folder / "client-tree"
    for name in (*executable.packages(), str(CLIENT)):
        shutil.copytree(
            ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "build", "*.egg-info")
        )
    out = folder / "client"
    executable.pip(
        "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", out, tree / CLIENT,
        SOURCE_DATE_EPOCH=executable.EPOCH,
    )  # fmt: skip
    (wheel,) = out.glob("*.whl")
    return wheel


if __name__ == "__main__":
    main()
