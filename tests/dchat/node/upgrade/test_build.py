"""The executable file: runs without the repository and without an environment; the same tree gives the same file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.upgrade.builds import ROOT, SPRING

pytestmark = pytest.mark.network  # the first build on a machine fetches wheels


def build(output: Path, *options: object) -> str:
    """Returns the printed SHA-256."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "build"), "--output", str(output), *map(str, options)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHON": sys.executable},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


def call(binary: Path, folder: Path, *arguments: str) -> str:
    """From an empty folder, with nothing of this environment."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "DCHAT_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [str(binary), *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_file_runs_anywhere_and_is_reproducible(tmp_path: Path) -> None:
    first, again, second = tmp_path / "first", tmp_path / "again", tmp_path / "second"
    digest = build(first)
    assert build(again) == digest
    assert build(second, "--with-plan", SPRING, "--version", "9.9.9") != digest
    empty = tmp_path / "empty"
    empty.mkdir()
    assert call(first, empty, "--version").startswith("dchat ")
    call(first, empty, "keygen", "--output", "key.json")
    assert json.loads((empty / "key.json").read_text())
    assert call(first, empty, "upgrade", "names") == "look-alikes\nmemberships\nkey-rotation\n"
    assert call(second, empty, "upgrade", "names") == "spring\n"
    assert call(second, empty, "--version") == "dchat 9.9.9\n"
    assert len(list((empty / "cache").iterdir())) == 2  # two builds never share what they unpacked
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        assert names == ["__main__.py", "manifest.json", *sorted(name for name in names if name.startswith("wheels/"))]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
