"""Validators across the world, in the simulator: a block is final about as soon as three messages can be."""

from __future__ import annotations

import pytest

from dchat.simulation.regions import limit_ms, measure


def test_the_limit_of_three_message_delays() -> None:
    """Of one region's two nodes it is nearly nothing; of ten regions, that of commonware's estimator: about 290 ms."""
    assert limit_ms(1) == 0
    assert limit_ms(10) == pytest.approx(286, abs=2)
    assert limit_ms(100) == pytest.approx(286, abs=2)


def test_across_ten_regions_a_block_is_final_soon_after_three_message_delays() -> None:
    """Where proposals waited for a peer's word that it is in their height it was 1.23 of the limit, and each vote came
    three times."""
    told = measure(10, heights=5)
    assert told["rounds_above_0"] == 0
    assert told["of_the_limit"] <= 1.08
    assert told["copies_per_vote"] <= 1.05
    assert told["copies_per_part"] <= 1.05


def test_payments_and_few_neighbours_across_the_world() -> None:
    """Four peers each: what is relayed takes its way through them, and all agree."""
    told = measure(10, heights=3, payments=20, peers=4)
    assert told["rounds_above_0"] == 0
    assert told["payments_a_block"] >= 10
    assert told["of_the_limit"] <= 2.5
