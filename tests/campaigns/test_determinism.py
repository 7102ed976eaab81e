"""A slice of the determinism campaign for CI (failure 25: maps, clocks): blocks of a life, under two hash seeds and on
the other Python that we support, where it is found; the whole is `scripts/campaign determinism`."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.campaigns.determinism import HERE, CampaignFailed, compare, places_of, record_lives, version_of

BLOCKS = 120
SEED = 5


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("determinism") / "blocks.jsonl"
    record_lives(path, seed=SEED, steps=BLOCKS)
    return path


def test_hash_seeds_and_the_native_part_change_nothing(blocks: Path) -> None:
    verdict = compare([*HERE[:2], HERE[-1]], blocks)
    assert verdict.blocks == BLOCKS
    assert verdict.txs > BLOCKS
    assert verdict.updates
    assert verdict.records > 300


def find_python(version: str) -> str | None:
    """On the path, or of pyenv, whose commands run only where its configuration names their version."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    on_path = shutil.which(f"python{version}")
    for found in (*([on_path] if on_path else []), *sorted(pyenv.glob(f"versions/{version}.*/bin/python"))):
        with contextlib.suppress(CampaignFailed):
            version_of(str(found))
            return str(found)
    return None


def test_the_other_python_changes_nothing(blocks: Path) -> None:
    other = "3.12" if sys.version_info[:2] == (3, 11) else "3.11"
    if (found := find_python(other)) is None:
        pytest.skip(f"blocks were not executed on Python {other}: it is not on this machine")
    try:
        places = places_of(found)
    except CampaignFailed as error:
        pytest.skip(f"blocks were not executed on Python {other}: {error}")
    assert compare([HERE[0], places[1]], blocks).blocks == BLOCKS


def test_a_difference_is_named(blocks: Path, tmp_path: Path) -> None:
    """A place that executes something else is found at its first block, and told what it has."""
    drifts = tmp_path / "python"
    drifts.write_text(f"#!/bin/sh\n'{sys.executable}' \"$@\" | sed '/^block 7 /s/app_hash=../app_hash=zz/'\n")
    drifts.chmod(0o755)
    with pytest.raises(CampaignFailed, match=r"block 7 app_hash=zz"):
        compare([HERE[0], HERE[1]._replace(python=str(drifts))], blocks)
