"""What `scripts/campaign mixed` draws; tests/interop/test_mixed_network.py runs such a network."""

from __future__ import annotations

import random

from tests.campaigns.mixed import PERTURBATIONS, manifest_of
from tests.support.interop.mixed import OURS, THEIRS


def test_drawn_networks_are_of_both_kinds_and_a_seed_draws_the_same_again() -> None:
    rng = random.Random(7)
    drawn = [manifest_of(rng) for _ in range(200)]
    rng = random.Random(7)
    assert drawn == [manifest_of(rng) for _ in range(200)]
    assert all(set(one.kinds) == {OURS, THEIRS} for one in drawn)
    assert {kinds.count(OURS) for kinds in (one.kinds for one in drawn)} == {1, 2, 3}
    assert {what for one in drawn for what, _, _ in one.disturbed} == set(PERTURBATIONS)
    for one in drawn:
        assert all(what != "application" or one.kinds[index - 1] == THEIRS for what, index, _ in one.disturbed)
