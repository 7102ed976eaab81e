"""Staking, slashing, rewards, governance, bridge and chat together, by chance: a slice of `scripts/campaign economy`.

Every step checks all invariants, the models of `tests.economy.shadow`, and a twin's app hash.
"""

from __future__ import annotations

import pytest

from chain.messages import KINDS
from tests.economy.life import Life

STEPS = 160
# What a life does not do: upgrades have tests of their own.
LEFT_OUT = {"software_upgrade", "cancel_upgrade", "announce_readiness"}


@pytest.fixture(scope="module")
def lived() -> list[Life]:
    return []


@pytest.mark.parametrize("seed", [3, 11, 42])
def test_all_laws_hold_whatever_happens(seed: int, lived: list[Life]) -> None:
    life = Life(seed)
    for _ in range(STEPS):
        life.step()
    lived.append(life)
    assert life.height == STEPS
    assert all(life.seen[what] for what in ("evidence", "jailed for misses", "restarts of the twin"))


def test_a_life_sees_everything(lived: list[Life]) -> None:
    """The slice would prove nothing about what did not happen in it."""
    if not lived:
        pytest.skip("needs the lives of the tests before it")
    done = set.union(*(life.succeeded for life in lived))
    assert KINDS.keys() - LEFT_OUT - done == set()
    assert {"passed", "rejected"} <= set().union(*(life.proposals_decided for life in lived))


def test_a_seed_says_everything() -> None:
    lives = [Life(5, twin=False) for _ in range(2)]
    for life in lives:
        for _ in range(25):
            life.step()
    assert lives[0].app.stores.app_hash == lives[1].app.stores.app_hash
