"""What scripts/release makes: two builds, one hash; each installs what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
VERSION: Final = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text())
pytestmark = pytest.mark.network  # the first build on a machine fetches wheels


def release(output: Path, *, umask: str, **environment: str) -> str:
    """Returns what it printed."""
    command = ["/bin/sh", "-c", f'umask {umask}; exec "$0" --output "$1"', ROOT / "scripts" / "release", output]
    done = subprocess.run(
        command, env={**os.environ, "PYTHON": sys.executable, **environment}, cwd=output.parent,
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_builds_give_the_same_artefacts_and_their_sums(tmp_path: Path) -> None:
    """By users with other habits, in other folders, zones and languages."""
    first = release(tmp_path / "first", umask="022", TZ="UTC", LC_ALL="C", PYTHONHASHSEED="1")
    second = release(tmp_path / "second", umask="077", TZ="Asia/Tokyo", LC_ALL="C.UTF-8", PYTHONHASHSEED="2")
    assert first == second
    assert VERSION is not None
    names = [line.split("  ")[1] for line in first.splitlines()]
    assert names == [
        f"dchat-{VERSION[1]}", f"dchat_client-{VERSION[1]}-py3-none-any.whl",
        f"dchat_validator-{VERSION[1]}-py3-none-any.whl",
    ]  # fmt: skip
    checked = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path / "first", capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count(": OK") == 3
    for name in names[1:]:
        with zipfile.ZipFile(tmp_path / "first" / name) as wheel:
            assert {(entry.date_time, entry.external_attr >> 16) for entry in wheel.infolist()} == {
                ((1980, 1, 1, 0, 0, 0), 0o644)
            }
    with zipfile.ZipFile(tmp_path / "first" / names[2]) as wheel:
        assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
        assert not [name for name in wheel.namelist() if name.startswith(("tests/", "scripts/"))]


def test_the_wheel_installs_a_node(tmp_path: Path) -> None:
    """Beside what this environment has: no package is fetched."""
    release(tmp_path / "made", umask="022")
    (wheel,) = (tmp_path / "made").glob("dchat_validator-*.whl")
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]
    subprocess.run([*pip, target, wheel], check=True, timeout=300)
    done = subprocess.run(
        [sys.executable, "-m", "dchat", "--version"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert VERSION is not None
    assert (done.returncode, done.stdout.strip()) == (0, f"dchat {VERSION[1]}"), done.stderr
    ours = subprocess.run(
        [sys.executable, "-c", "import dchat; print(dchat.__file__)"], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert ours.stdout.startswith(str(target))
