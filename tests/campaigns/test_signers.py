"""A slice of `scripts/campaign signers` for CI: four validators that sign by four kinds, a fixed seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.campaigns.signers import campaign

SEED = 3


@pytest.mark.network
async def test_four_kinds_of_signers_are_lost_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOFTHSM2_CONF", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.setenv(name, "")  # the campaign sets them; this brings back what was
    await campaign(tmp_path, seed=SEED, blocks=25, kills=3, others=1)
