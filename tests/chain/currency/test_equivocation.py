"""A validator of real processes that signs twice, from its first double vote to the empty seat."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.campaigns.harness import ROOT


@pytest.mark.network
def test_who_signs_twice_is_slashed_to_the_unit_and_out_of_the_set() -> None:
    """The campaign whole: it takes some twenty seconds, and would not be missed when it stopped to work."""
    command = [sys.executable, "-m", "tests.campaigns.equivocate", "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "every invariant holds on each" in done.stdout
