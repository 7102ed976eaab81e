"""A chain's random life is exported, and goes on from the document: the same records, the same laws, no replay."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from chain.state import snapshot
from dchat.app.app import DchatApplication
from tests.support.chain.harness import drain
from tests.support.export.cut import lived, moved


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "CHUNK_BYTES", 4_000)


def figures_of(app: DchatApplication) -> dict[str, str]:
    """What there is of everything; but of who is missing from commits."""
    return {name: figures for name, _, figures in app.invariants() if not name.startswith("slashing")}


def test_a_life_goes_on_after_an_export(tmp_path: Path) -> None:
    """All kinds of records; what is due by height and by time comes due; every law and every model holds after it."""
    life = lived(31, 40)
    figures = figures_of(life.app)
    used = life._last_request
    moved(life, tmp_path / "genesis.json", gap=1)
    assert figures_of(life.app) == figures
    assert used is not None
    request = life.request(used.txs)
    assert drain(life.app.process_proposal(request)).accepted is (not used.txs)  # what was executed runs nowhere again
    for _ in range(25):
        life.step()


@settings(max_examples=2, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 10**6), before=st.integers(1, 25), after=st.integers(1, 12), gap=st.integers(0, 9))
def test_any_life_may_be_cut_anywhere(
    seed: int, before: int, after: int, gap: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    life = lived(seed, before)
    moved(life, tmp_path_factory.mktemp("cut") / "genesis.json", gap=gap)
    for _ in range(after):
        life.step()
