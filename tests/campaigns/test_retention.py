"""A slice of `scripts/campaign retention`: what is pruned is gone from real databases, their disk is freed."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.pruning import blocks, needs
from tests.campaigns.retention import growth, run

KEPT = 30


async def test_a_node_that_prunes_everything_keeps_its_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure 4: with all of it kept the last window would take three times what the second does."""
    monkeypatch.setattr(needs, "BLOCKS_KEPT_MIN", KEPT)
    monkeypatch.setattr(blocks, "SLACK_BYTES", 50_000)
    windows = await run(tmp_path, blocks=600, payments=4, kept=KEPT, waits=True)
    assert growth(windows)["disk"] < 1.5
