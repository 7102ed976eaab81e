"""Must be shown 7 of "Operated", a slice for CI: each fault once, by a fixed seed; all: `scripts/campaign why`."""

from __future__ import annotations

import pytest

from tests.support.why.injected import FAULTS, run

SEED = 1


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_an_injected_fault_is_named(name: str) -> None:
    told = run(SEED, name)
    assert told.verdict is not None, "the fault cost nothing: another seed shows it"
    assert told.is_right, str(told)
